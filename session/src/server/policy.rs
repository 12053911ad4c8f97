//! Owns what the operator of a server decides: limits, what is served, who may come. Knows nothing of a session's course.

use std::fmt;

use lastword_spec::limits::Limits;
use lastword_spec::message::{Capabilities, Encoding};

use crate::fault::ApiMisuse;

/// What holds for every session of a server. Checked by [`ServerSession::new`](super::ServerSession::new).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerPolicy {
    /// The limits announced in `ready`. `max_frame_bytes` is raised to 1,000 ms of a session's audio where it is less.
    pub limits: Limits,
    /// What is announced and served. An absent list of encodings means `pcm_s16le`, of rates 16000 Hz, of channels one; an
    /// absent `words` or `vad_events` means not served. `update` is not served by this machine: false is announced.
    pub capabilities: Capabilities,
    /// How long a client may take for its `config`: 1,000 to 10,000 ms. Spec: CON-S3.
    pub config_timeout_ms: u64,
    /// The token that `config.token` must hold. `None`: nobody is asked for credentials.
    pub token: Option<Token>,
    /// The upgrade showed a good `Authorization` header: `config.token` may be left out then, but a wrong one is refused. Spec: SEC-S1.
    pub header_was_good: bool,
    /// Whether `keyterms` have an effect.
    pub serves_keyterms: bool,
    /// Whether `languages`, the list of hints, has an effect.
    pub serves_language_hints: bool,
    /// Whether the task `translate` is served.
    pub serves_translation: bool,
    /// Whether endpointing can be left to the client's flushes (mode `none`).
    pub serves_manual_endpointing: bool,
}

impl Default for ServerPolicy {
    /// The defaults of the protocol, without credentials.
    fn default() -> Self {
        Self {
            limits: Limits::DEFAULT,
            capabilities: Capabilities {
                encodings: Some(vec![Encoding::PCM_S16LE]),
                sample_rates_hz: Some(vec![16_000]),
                max_channels: Some(1),
                ..Capabilities::default()
            },
            config_timeout_ms: 10_000,
            token: None,
            header_was_good: false,
            serves_keyterms: false,
            serves_language_hints: false,
            serves_translation: false,
            serves_manual_endpointing: true,
        }
    }
}

impl ServerPolicy {
    /// # Errors
    /// [`ApiMisuse::BadOption`] for limits or capabilities that the protocol does not allow.
    pub(super) fn check(&self) -> Result<(), ApiMisuse> {
        let refuse = |name, why| Err(ApiMisuse::BadOption { name, why });
        if let Some((spec, _)) = self.limits.below_minimum().first() {
            return refuse(spec.name, "is below the minimum that the protocol allows");
        }
        // [KA-S1]
        if self.limits.keepalive_interval_ms > self.limits.idle_timeout_ms / 3 {
            return refuse("keepalive_interval_ms", "must be at most a third of `idle_timeout_ms`");
        }
        if !(1_000..=10_000).contains(&self.config_timeout_ms) {
            return refuse("config_timeout_ms", "must be from 1000 to 10000");
        }
        if self.encodings().any(|encoding| encoding.bytes_per_sample().is_none()) {
            return refuse("encodings", "may only hold encodings whose samples have a fixed size");
        }
        if self.encodings().all(|encoding| *encoding != Encoding::PCM_S16LE) || !self.rates_hz().contains(&16_000) {
            return refuse("capabilities", "must include `pcm_s16le` at 16000 Hz");
        }
        Ok(())
    }

    pub(super) fn encodings(&self) -> impl Iterator<Item = &Encoding> {
        const DEFAULT: &[Encoding] = &[Encoding::PCM_S16LE];
        self.capabilities.encodings.as_deref().unwrap_or(DEFAULT).iter()
    }

    pub(super) fn rates_hz(&self) -> &[u32] {
        self.capabilities.sample_rates_hz.as_deref().unwrap_or(&[16_000])
    }

    pub(super) fn max_channels(&self) -> u32 {
        self.capabilities.max_channels.unwrap_or(1)
    }
}

/// A credential. Its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Token(String);

impl Token {
    /// A token with this text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether `given` is this token, in a time that does not tell how much of it was right.
    #[must_use]
    pub fn admits(&self, given: Option<&Self>) -> bool {
        let given = given.map_or(&b""[..], |token| token.0.as_bytes());
        let mut difference = u8::from(given.len() != self.0.len());
        for (index, byte) in self.0.bytes().enumerate() {
            difference |= byte ^ given.get(index).copied().unwrap_or(!byte);
        }
        difference == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_admits_itself_alone_and_does_not_show() {
        let token = Token::new("open sesame");
        assert!(token.admits(Some(&Token::new("open sesame"))));
        for wrong in ["", "open", "open sesame!", "Open sesame"] {
            assert!(!token.admits(Some(&Token::new(wrong))), "{wrong}");
        }
        assert!(!token.admits(None));
        assert_eq!(format!("{token:?}"), "Token(..)");
    }

    #[test]
    fn limits_that_the_protocol_forbids_are_refused() {
        let mut policy = ServerPolicy::default();
        assert_eq!(policy.check(), Ok(()));
        policy.limits.keepalive_interval_ms = 10_001;
        assert!(matches!(policy.check(), Err(ApiMisuse::BadOption { name: "keepalive_interval_ms", .. })));
        policy.limits = Limits { close_ms: 1, ..Limits::DEFAULT };
        assert!(matches!(policy.check(), Err(ApiMisuse::BadOption { name: "close_ms", .. })));
        policy.limits = Limits::DEFAULT;
        policy.capabilities.encodings = Some(vec![Encoding::PCM_S16LE, Encoding::OPUS]);
        assert!(matches!(policy.check(), Err(ApiMisuse::BadOption { name: "encodings", .. })));
    }
}
