//! The page of every option of `lastword`: `docs/options.md`.

use crate::option_tables;

const INTRO: &str = "# The options of `lastword`

What `lastword COMMAND --help` says, on one page. Everything behind `--` is the command that starts the subject. The options of the
reference server are in [server-options.md](server-options.md).
";

#[test]
fn the_page_of_options_is_what_the_command_line_takes() {
    option_tables::hold("options.md", "-p lastword --test it options", INTRO, lastword::cli::command());
}
