//! The page of every option of `lastword-server`: `docs/server-options.md`.

use clap::CommandFactory as _;
use lastword_server::cli::Cli;

#[path = "../../conformance/tests/it/option_tables.rs"]
mod option_tables;

const INTRO: &str = "# The options of `lastword-server`

What `lastword-server --help` says. The options of the harness are in [options.md](options.md).
";

#[test]
fn the_page_of_options_is_what_the_command_line_takes() {
    option_tables::hold(
        "server-options.md",
        "-p lastword-server --no-default-features --test options",
        INTRO,
        Cli::command(),
    );
}
