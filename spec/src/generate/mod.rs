//! Owns the text of every generated file that comes from prose and tables: constants, registry JSON, tables and diagrams in the prose.
//! Does no I/O: `xtask gen` reads the prose, calls this and writes (or, with `--check`, compares).

mod consts;
mod json;
mod markdown;

pub use consts::requirements_rs;
pub use json::requirements_json;
pub use markdown::fill_prose;
