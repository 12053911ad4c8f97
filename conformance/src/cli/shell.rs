//! Owns words for and to a shell: quoting, and printing to a pipe that may be gone.

use std::fmt::Display;
use std::io::Write as _;

/// An argument as a person would type it.
pub(super) fn quote(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,{}".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', r"'\''"))
    }
}

/// An option with its value as a person would type it, where there is one.
pub(super) fn option(name: &str, value: Option<impl Display>) -> Option<String> {
    value.map(|value| format!("{name} {}", quote(&value.to_string())))
}

/// Prints to stdout. A reader that has gone away is no reason to panic.
pub(super) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_needs_it_is_quoted() {
        assert_eq!(quote("server/end/plain"), "server/end/plain");
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("server/*"), "'server/*'");
    }
}
