//! Owns the exit codes of the `lastword` command and which of them wins. Knows nothing of how a run came to its end.

/// Everything that was to be decided was decided, and nothing broke a MUST.
pub const PASS: u8 = 0;
/// The subject broke a MUST.
pub const VIOLATION: u8 = 1;
/// The command line, or a file it names, is wrong; the subject cannot be started; or a report or a certificate cannot be written.
/// A subject at a URL that nobody answers leaves everything undecided instead.
pub const USAGE: u8 = 2;
/// Something remained undecided, or nothing was decided.
pub const UNDECIDED: u8 = 3;
/// The known-failure file is stale: it lists what passes, what does not exist, or what has expired.
pub const STALE_LIST: u8 = 4;
/// A defect of the harness itself.
pub const INTERNAL: u8 = 70;

/// The code of a run that met all of these: 70, then 2, 1, 4, 3, 0. A wrong command line ends a run before it starts; a 2 that comes
/// after it is a report that is not there, which must not look like one that is green.
#[must_use]
pub fn strongest(codes: impl IntoIterator<Item = u8>) -> u8 {
    codes.into_iter().max_by_key(|code| rank(*code)).unwrap_or(PASS)
}

fn rank(code: u8) -> u8 {
    match code {
        PASS => 0,
        UNDECIDED => 1,
        STALE_LIST => 2,
        VIOLATION => 3,
        USAGE => 4,
        _ => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_defect_outranks_a_report_that_is_missing_and_that_a_violation_and_so_on_to_the_undecided() {
        let order = [INTERNAL, USAGE, VIOLATION, STALE_LIST, UNDECIDED, PASS];
        for (index, stronger) in order.iter().enumerate() {
            for weaker in &order[index..] {
                assert_eq!(strongest([*weaker, *stronger]), *stronger);
                assert_eq!(strongest([*stronger, *weaker]), *stronger);
            }
        }
        assert_eq!(strongest([]), PASS);
    }
}
