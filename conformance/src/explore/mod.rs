//! Random sessions against any live server: drawn from a seed, judged by the same monitor as every case, and shrunk to a minimal
//! transcript where one fails. It owns the steps, their choice, their execution and the shrinking; what is wrong is the judge's
//! business alone.

mod conduct;
mod model;
mod play;
mod render;
mod shrink;
mod step;

pub use conduct::{Exploration, Failure, REPETITIONS, Wanted, explore};
pub use render::render;
pub use step::{Form, Garbage, Sequence, Step, Stranger};
