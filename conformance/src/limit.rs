//! Owns the look-up of a limit by the name it has on the wire. Knows nothing of sessions.

use lastword_spec::limits::{LIMITS, Limits};

/// The value of a limit by its name; `None` for a name the protocol does not define.
#[must_use]
pub fn by_name(limits: &Limits, name: &str) -> Option<u64> {
    serde_json::to_value(limits).ok()?.get(name)?.as_u64()
}

/// What holds where the server announced nothing.
#[must_use]
pub fn default_of(name: &str) -> Option<u64> {
    LIMITS.iter().find(|limit| limit.name == name).map(|limit| limit.default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_is_found_by_its_name() {
        for limit in LIMITS {
            assert_eq!(by_name(&Limits::DEFAULT, limit.name), Some(limit.default));
            assert_eq!(default_of(limit.name), Some(limit.default));
        }
        assert_eq!(by_name(&Limits::DEFAULT, "patience_ms"), None);
    }
}
