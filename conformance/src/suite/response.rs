//! Owns what the suite tells apart in a subject's answers, and which answers a row of the table allows. Knows nothing of
//! messages or sequences.

use std::borrow::Cow;
use std::fmt;

/// One thing that a subject says. Results, speech events, progress and warnings are left out: they come when they come.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Output {
    /// `ready`.
    Ready,
    /// A non-fatal error of this code.
    Error(Cow<'static, str>),
    /// A fatal error of this code.
    Fatal(Cow<'static, str>),
    /// `flushed`.
    Flushed,
    /// `updated`, or the non-fatal error that may stand in its place.
    Updated,
    /// `keepalive_ack`.
    Ack,
    /// `session_ended` with this reason.
    Ended(Cow<'static, str>),
    /// A Close with this code.
    Close(Option<u16>),
    /// The end of the transport without a Close.
    Gone,
}

impl Output {
    /// Whether nothing but the rest of the ending follows it.
    #[must_use]
    pub fn ends_the_session(&self) -> bool {
        matches!(self, Self::Fatal(_) | Self::Ended(_) | Self::Close(_) | Self::Gone)
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Error(code) => write!(f, "error({code})"),
            Self::Fatal(code) => write!(f, "fatal error({code})"),
            Self::Flushed => f.write_str("flushed"),
            Self::Updated => f.write_str("updated"),
            Self::Ack => f.write_str("ack"),
            Self::Ended(reason) => write!(f, "ended({reason})"),
            Self::Close(Some(code)) => write!(f, "close({code})"),
            Self::Close(None) => f.write_str("close()"),
            Self::Gone => f.write_str("gone"),
        }
    }
}

/// What may be observed after one input: these outputs in this order, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Response {
    outputs: Vec<Output>,
    /// Silence will do as well.
    optional: bool,
}

impl Response {
    /// Nothing may come.
    #[must_use]
    pub const fn silence() -> Self {
        Self { outputs: Vec::new(), optional: false }
    }

    /// Exactly these must come.
    #[must_use]
    pub fn exactly(outputs: Vec<Output>) -> Self {
        Self { outputs, optional: false }
    }

    /// These may come, or nothing.
    #[must_use]
    pub fn perhaps(output: Output) -> Self {
        Self { outputs: vec![output], optional: true }
    }

    /// The same, or nothing.
    #[must_use]
    pub fn or_silence(&self) -> Self {
        Self { outputs: self.outputs.clone(), optional: true }
    }

    /// The outputs, where any come.
    #[must_use]
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// Whether something must come, so that it can be waited for.
    #[must_use]
    pub fn is_due(&self) -> bool {
        !self.optional && !self.outputs.is_empty()
    }

    /// Whether this was allowed.
    #[must_use]
    pub fn accepts(&self, observed: &[Output]) -> bool {
        observed == self.outputs || (self.optional && observed.is_empty())
    }

    /// Whether no observation is allowed by both: only then do the two tell states apart.
    #[must_use]
    pub fn excludes(&self, other: &Self) -> bool {
        let both_silent = self.may_be_silent() && other.may_be_silent();
        !both_silent && self.outputs != other.outputs
    }

    fn may_be_silent(&self) -> bool {
        self.optional || self.outputs.is_empty()
    }
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.outputs.is_empty() {
            return f.write_str("silence");
        }
        let words: Vec<String> = self.outputs.iter().map(ToString::to_string).collect();
        f.write_str(&words.join(", "))?;
        if self.optional { f.write_str(" or silence") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &'static str) -> Output {
        Output::Error(code.into())
    }

    #[test]
    fn what_may_be_left_out_tells_nothing_apart_from_silence_but_from_another_answer() {
        let perhaps = Response::perhaps(error("invalid_state"));
        assert!(perhaps.accepts(&[]) && perhaps.accepts(&[error("invalid_state")]));
        assert!(!perhaps.accepts(&[error("bad_message")]));
        assert!(!perhaps.excludes(&Response::silence()));
        assert!(!perhaps.excludes(&Response::exactly(vec![error("invalid_state")])));
        assert!(perhaps.excludes(&Response::exactly(vec![Output::Ack])));
        assert!(!perhaps.is_due() && Response::exactly(vec![Output::Ack]).is_due());
        assert!(!Response::silence().is_due());
    }

    #[test]
    fn an_answer_that_comes_twice_is_not_the_answer() {
        let once = Response::exactly(vec![Output::Ack]);
        assert!(once.accepts(&[Output::Ack]));
        assert!(!once.accepts(&[Output::Ack, Output::Ack]) && !once.accepts(&[]));
        assert_eq!(once.to_string(), "ack");
        assert_eq!(Response::perhaps(Output::Close(Some(1_000))).to_string(), "close(1000) or silence");
    }
}
