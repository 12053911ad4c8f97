//! A server that says that it has no room though nobody has had a session with it for longer than it may keep a slot.

use lastword_judge::{Options, judge};

use super::scene::{CONFIG, READY, broken, error, scene};

#[test]
fn who_has_no_room_long_after_its_last_session_has_not_freed_a_slot() {
    let after = |for_ms: &str, how: &[(u64, &str)]| {
        let alone = format!("alone {for_ms}");
        broken(&[&[(0, alone.as_str())], how].concat())
    };
    let refused = [(5, "refused 503")];
    assert_eq!(after("5001", &refused), ["REC-S2"]);
    assert_eq!(after("5000", &refused), [""; 0], "so long it may keep it");
    assert_eq!(broken(&refused), [""; 0], "others may have sessions with it");
    assert_eq!(after("9000", &[(5, "refused 429")]), [""; 0], "how often somebody may ask is another matter");
    assert_eq!(after("9000", &[(5, "refused 401")]), [""; 0]);

    let overloaded = error("overloaded", true, r#","retry_after_ms":1000"#);
    let in_words = [(5, "open"), (6, CONFIG), (7, overloaded.as_str()), (8, "closed 1013")];
    assert_eq!(after("5001", &in_words), ["REC-S2"], "once, although it is said twice");
    let otherwise = |code: &str, made_up: &[&str]| {
        let error = error(code, true, r#","retry_after_ms":1000"#);
        let mut trace = scene(&[(0, "alone 5001"), (5, "open"), (6, CONFIG), (7, error.as_str()), (8, "closed 1011")]);
        trace.events[3].made_up = made_up.iter().map(|one| (*one).to_owned()).collect();
        let found = judge(&trace, &Options::default()).findings;
        found.iter().any(|finding| finding.requirement.as_str() == "REC-S2")
    };
    assert!(otherwise("overloaded", &[]), "whatever the Close says");
    assert!(!otherwise("overloaded", &["code"]), "nobody said so");
    assert!(!otherwise("internal", &[]));
    let by_its_code = after("5001", &[(5, "open"), (6, CONFIG), (7, "closed 1013")]);
    assert!(by_its_code.contains(&"REC-S2".to_owned()), "{by_its_code:?}");
    let taken = [(5, "open"), (6, CONFIG), (7, READY), (8, overloaded.as_str()), (9, "closed 1013")];
    assert!(!after("5001", &taken).contains(&"REC-S2".to_owned()), "it had room");
}

#[test]
fn on_a_busy_machine_a_slot_may_be_kept_for_longer() {
    let found = |for_ms: &str| {
        let mut trace = scene(&[(0, for_ms), (5, "refused 503")]);
        trace.header.time_scale_percent = 200;
        judge(&trace, &Options::default()).findings.len()
    };
    assert_eq!((found("alone 10000"), found("alone 10001")), (0, 1));
}
