//! What is unusual about a text that a client sent: only such a text can put MSG-3 or VER-3 to the test, and where a good
//! message is refused its oddity is the likely reason. Knows text, no state.

use lastword_spec::codec;

/// What is unusual about a well-formed message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Oddity {
    /// It has a member whose name begins with `x_`.
    pub(crate) extension: bool,
    /// White space outside strings, escapes, or `type` not first.
    pub(crate) form: bool,
    /// A `config` with members that version 1 does not define, other than extensions.
    pub(crate) unknown_member: bool,
}

impl Oddity {
    pub(crate) fn of(text: &str, is_config: bool) -> Self {
        Self {
            extension: text.contains("\"x_"),
            form: !text.starts_with("{\"type\":") || text.contains("\\u") || has_outer_space(text),
            unknown_member: is_config && unknown_config_paths(text).next().is_some(),
        }
    }
}

/// Members of a `config` that version 1 does not define and that are no extensions.
pub(crate) fn unknown_config_paths(text: &str) -> impl Iterator<Item = String> {
    codec::config_paths_unknown(text).into_iter().filter(|path| !path.split('.').any(|name| name.starts_with("x_")))
}

fn has_outer_space(text: &str) -> bool {
    let (mut in_string, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b' ' | b'\t' | b'\n' | b'\r' if !in_string => return true,
            _ => {}
        }
    }
    false
}

/// Whether the first bytes of a binary message look like a command of some speech protocol.
pub(crate) fn looks_like_command(head: &[u8]) -> bool {
    matches!(head, [b'{', b'"', ..] | [b'E', b'O', b'S', ..] | [b'E', b'N', b'D', ..] | [b'E', b'O', b'F', ..])
}

/// Whether the first bytes of a binary message are a container's magic number.
pub(crate) fn is_container(head: &[u8]) -> bool {
    head == b"RIFF" || head == b"OggS"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_message_has_no_oddity() {
        assert_eq!(Oddity::of(r#"{"type":"flush","id":"turn 7"}"#, false), Oddity::default());
    }

    #[test]
    fn space_order_escapes_and_extensions_are_seen() {
        assert!(Oddity::of(r#"{"type": "flush","id":"a"}"#, false).form);
        assert!(Oddity::of(r#"{"id":"a","type":"flush"}"#, false).form);
        assert!(Oddity::of(r#"{"type":"fl\u0075sh","id":"a"}"#, false).form);
        assert!(Oddity::of(r#"{"type":"flush","id":"a\\" }"#, false).form, "the string ends behind its backslash");
        assert!(!Oddity::of(r#"{"type":"flush","id":"a\" b"}"#, false).form, "the string goes on behind its quote");
        assert!(Oddity::of(r#"{"type":"flush","id":"a","x_trace":1}"#, false).extension);
        assert!(Oddity::of(r#"{"type":"config","colour":"red"}"#, true).unknown_member);
        assert!(!Oddity::of(r#"{"type":"config","x_colour":"red"}"#, true).unknown_member);
    }
}
