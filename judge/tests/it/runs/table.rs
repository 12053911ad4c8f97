//! What the judge says of one run of a client each: every finding in its words, what was exercised, what stays open.

use std::fmt::Write as _;

use lastword_judge::render;

use super::super::scene::{FLUSH, FLUSHED, KEEPALIVE, ended, error, heard};
use super::*;

const PLAIN: &str = r#">{"type":"keepalive"}"#;

fn say(table: &mut String, name: &str, events: &[(u64, &str)]) {
    let judgement = verdict(events);
    let _ = writeln!(table, "{name}");
    for finding in &judgement.findings {
        let _ = writeln!(table, "    {}", render(finding));
    }
    let exercised: Vec<&str> = judgement.exercised.iter().map(|id| id.as_str()).collect();
    let _ = writeln!(table, "    exercised: {}", exercised.join(" "));
    for (id, why) in &judgement.undecided {
        let _ = writeln!(table, "    undecided {id}: {why}");
    }
}

#[test]
fn what_runs_show_that_end_well_or_for_a_good_reason() {
    let mut table = String::new();
    let mut say = |name: &str, events: &[(u64, &str)]| say(&mut table, name, events);
    let (whole, none) = (ended(100, 0, 2), ended(0, 0, 0));
    let (zero, one) = (heard(0, 0, 50), heard(1, 50, 100));
    let (internal, retryable) = (fatal("bad_message"), fatal("overloaded"));
    let refused = error("bad_message", false, "");
    say("an upgrade that failed, a program", &[(0, "program"), (5, "failed"), (10, "exit 1")]);
    say("an upgrade that failed, with a driver", &[(0, "driven"), (5, "failed"), (10, "told ended error")]);
    say("an upgrade that failed, and nothing is known of the end", &[(0, "driven"), (5, "failed"), (10, "exit 1")]);
    say("a token was shown", &[(0, "driven"), (0, "open shown")]);
    say("closed before ready", &[(0, "program"), (0, "open"), (1, CONFIG), (9, "closed 1013"), (20, "exit 1")]);
    say("never ready", &[(0, "program"), (0, "open"), (1, CONFIG), (12_000, "exit 1")]);
    say("refused before ready", &[(0, "program"), (0, "open"), (1, CONFIG), (9, &internal), (20, "exit 1")]);
    say("ready before config", &[(0, "program"), (0, "open"), (1, READY), (2, CONFIG), (3, "audio 640")]);
    say("fatal", &driven(&[(10, &internal), (20, "told ended error bad_message")]));
    say("fatal and retryable", &driven(&[(10, &retryable), (20, "told ended error overloaded")]));
    say("the application knows nothing of it", &driven(&[(10, &internal), (20, "exit 1")]));

    let calls = [(10, "call 2 push"), (11, "audio 1600"), (60, "call 3 push"), (61, "audio 1600")];
    let finals = [(70, zero.as_str()), (71, one.as_str()), (72, "told final 0 word 0"), (73, "told final 1 word 1")];
    let end = [(100, "call 9 end"), (100, "input 100"), (101, END)];
    let told = [(111, "told ended complete"), (112, "close 1000"), (113, "closed 1000"), (114, "told left 0")];
    let tail = [(110, whole.as_str())];
    say("a whole session with a driver", &driven(&joined(&[&calls, &finals, &end, &tail, &told])));
    let again = [(105, "call 10 end"), (106, "back 10 end")];
    say("ended twice", &driven(&joined(&[&calls, &finals, &end, &again, &tail, &told])));
    say(
        "a whole session of a program",
        &program(&joined(&[
            &calls[1..2],
            &finals[..2],
            &calls[3..],
            &end[1..],
            &tail,
            &[(112, "close 1000"), (113, "closed 1000"), (114, "exit 0")],
        ])),
    );
    say(
        "one final and one frame",
        &driven(&joined(&[
            &calls[..2],
            &[(70, zero.as_str()), (72, "told final 0 word 0")],
            &end[..1],
            &end[2..],
            &tail,
            &told[..1],
        ])),
    );
    say(
        "its input was over before ready",
        &[(0, "program"), (0, "open"), (1, CONFIG), (2, "input"), (3, READY), (4, END), (5, &none), (6, "close 1000")],
    );
    let flush = [(10, "call 2 flush"), (11, FLUSH), (12, FLUSHED), (20, "call 3 flush"), (21, FLUSH), (22, FLUSHED)];
    let over = [end[0], (100, "input"), end[2]];
    say("flushed twice", &driven(&joined(&[&flush, &over, &[(110, &none)], &told[..1]])));
    say("flushed once", &driven(&joined(&[&flush[..3], &over, &[(110, &none)], &told[..1]])));
    say("flushed twice and not ended", &driven(&flush));
    let failed = [(10, "call 2 flush"), (11, FLUSH), (20, "dropped"), (21, "told flush_failed")];
    say("a flush failed", &driven(&joined(&[&failed, &[(30, "told ended incomplete")]])));
    say(
        "closed by its application",
        &driven(&[(10, "call 2 close"), (20, "close 1000"), (21, "closed 1000"), (30, "told ended cancelled")]),
    );
    say("cut while it streamed", &driven(&[(10, "dropped"), (20, "told ended incomplete")]));
    say("cut while it drained", &driven(&[(5, END), (10, "dropped"), (20, "told ended incomplete")]));
    say("closed while it drained", &driven(&[(5, END), (10, "closed 1011"), (20, "told ended incomplete")]));
    say("no end came", &driven(&[(5, END), (20_000, "close 1000"), (20_010, "told ended incomplete")]));
    let speaks: Vec<(u64, &str)> = (1..8).map(|count| (9_000 * count, PLAIN)).collect();
    say("nothing was heard any more", &driven(&joined(&[&speaks, &[(64_000, "told ended incomplete")]])));
    say("an early end", &driven(&[(10, &none), (20, "told ended incomplete"), (21, "close 1000")]));
    for (name, ms) in [
        ("1 s", 1_010),
        ("more than 1 s", 1_011),
        ("15 s", 15_010),
        ("more", 15_011),
        ("20 s", 20_010),
        ("longer", 20_011),
    ] {
        let events = [(10, END), (ms, none.as_str()), (ms + 1, "told ended complete")];
        say(&format!("a drain of {name}"), &driven(&events));
    }
    let odd = [(10, "sound"), (11, refused.as_str()), (12, "told error bad_message"), (13, KEEPALIVE)];
    say("odd messages and an error", &driven(&joined(&[&odd, &[(20, END), (30, &none), (31, "told ended complete")]])));
    say("odd messages after the sentinel", &driven(&joined(&[&[(5, END)], &odd[..3]])));
    say("an error that nobody hears of yet", &driven(&[(11, &refused), (12, "told other"), (20, END)]));
    say(
        "only the wire",
        &[(0, "open"), (1, CONFIG), (2, READY), (3, "audio 640"), (4, "audio 640"), (5, END), (6, &none)],
    );
    insta::assert_snapshot!(table);
}

#[test]
fn how_breaches_of_a_client_are_told() {
    let mut table = String::new();
    let mut say = |name: &str, events: &[(u64, &str)]| say(&mut table, name, events);
    let (none, internal) = (ended(0, 0, 0), fatal("internal"));
    let late = (90_000, "gave_up");
    say("no config", &[(0, "program"), (0, "open"), late]);
    say("no end, never connected", &[(0, "program"), (10, "refused"), late]);
    say("no end, never ready", &[(0, "program"), (0, "open"), (1, CONFIG), late]);
    say("no end, closed before ready", &[(0, "program"), (0, "open"), (1, CONFIG), (2, "closed 1000"), late]);
    say("no end after a fatal error", &driven(&[(10, &internal), late]));
    say("no end after its close", &driven(&[(10, "close 1000"), late]));
    say("no end after the server's", &driven(&[(10, "dropped"), late]));
    say("no end in the drain", &driven(&[(10, END), late]));
    say("no end after session_ended", &driven(&[(10, END), (20, &none), late]));
    say("silent", &driven(&[late]));
    let speaks: Vec<(u64, &str)> = (1..10).map(|count| (9_000 * count, PLAIN)).collect();
    say("deaf", &driven(&joined(&[&speaks, &[late]])));
    say("no sentinel", &driven(&[(10, "input 1000"), (5_000, "gave_up")]));
    say("no sentinel, and the input is of unknown length", &driven(&[(10, "input"), (5_000, "gave_up")]));
    say("no sentinel, but one keepalive", &driven(&[(5, PLAIN), (10, "input"), (2_600, PLAIN), (5_000, "gave_up")]));
    let went_on = [(10, "input"), (2_600, PLAIN), (5_200, PLAIN), (9_000, "gave_up")];
    say("no sentinel, but keepalives", &driven(&went_on));
    say(
        "no sentinel where its input ended before ready",
        &[(0, "program"), (0, "open"), (1, CONFIG), (2, "input"), (3, READY), (9_000, "gave_up")],
    );
    say("unknown whether its input ended", &program(&[(10, PLAIN), (5_000, "gave_up")]));
    for outcome in ["complete", "incomplete", "error", "cancelled"] {
        let told = format!("told ended {outcome} internal");
        let said = told.as_str();
        say(&format!("{outcome} without session_ended"), &driven(&[(10, END), (20, "dropped"), (30, said)]));
        say(&format!("{outcome} after an early end"), &driven(&[(10, &none), (30, said)]));
        say(&format!("{outcome} after a whole session"), &driven(&[(10, END), (20, &none), (30, said)]));
        say(&format!("{outcome} after a fatal error"), &driven(&[(10, &internal), (30, said)]));
        say(&format!("{outcome} and never connected"), &[(0, "driven"), (10, "failed"), (30, said)]);
        say(&format!("{outcome} and never ready"), &[(0, "driven"), (0, "open"), (1, CONFIG), (30_000, said)]);
        let refused = [(0, "driven"), (0, "open"), (1, CONFIG), (2, "closed 1013"), (30, said)];
        say(&format!("{outcome} and closed before ready"), &refused);
        say(&format!("{outcome} where it was closed"), &driven(&[(10, "call 2 close"), (30, said)]));
    }
    for exit in ["exit 0", "exit 1", "signal 11"] {
        say(&format!("{exit} without session_ended"), &program(&[(10, END), (20, "dropped"), (30, exit)]));
        say(&format!("{exit} after a whole session"), &program(&[(10, END), (20, &none), (30, exit)]));
    }
    let gap = [(10, "audio 640"), (20, "dropped"), (30, "@1 open"), (31, r#"@1 >{"type":"config"}"#)];
    let ready = format!("@1 {READY}");
    let last = format!("@1 {}", ended(20, 0, 0));
    let second = [(32, ready.as_str()), (33, "@1 audio 640"), (34, r#"@1 >{"type":"end_of_stream"}"#), (35, &last)];
    say("complete after a gap", &driven(&joined(&[&gap, &second, &[(40, "told ended complete")]])));
    say("left 310 ms after the sentinel", &driven(&[(10, END), (320, "close 1000")]));
    say("left at once", &driven(&[(10, END), (20, "close 1000")]));
    say("left soon after progress", &driven(&[(10, END), (10_000, PROGRESS), (16_000, "close 1000")]));
    say("left for an odd message", &driven(&[(10, "sound"), (20, "close 1000")]));
    say("dialled after its sentinel", &driven(&[(10, END), (20, "dropped"), (30, "@1 open")]));
    say(
        "dialled after a fatal error",
        &driven(&[(10, &fatal("quota_exceeded")), (20, "closed 4429"), (30, "@1 open")]),
    );
    say("ended short of its input", &driven(&[(5, "audio 640"), (10, "input 1000"), (20, END)]));
    say("left without a sentinel", &driven(&[(10, "input 1000"), (20, "close 1000")]));
    say("closed with 1001", &driven(&[(20, "close 1001")]));
    say("ended late", &driven(&[(10, END), (20, &none), (3_000, "told ended complete")]));
    say(
        "frames",
        &driven(&[(5, "audio 1601"), (6, "audio 64002"), (7, "audio 32032"), (8, "audio 3232"), (9, "audio 640")]),
    );
    say("keepalives", &driven(&[(5, PLAIN), (6, PLAIN), (10, &internal), (5_000, PLAIN)]));
    say("silent and then not", &driven(&[(12_000, "audio 640"), (30_000, "audio 640")]));
    say("out of place", &[(0, "open"), (1, "audio 640"), (2, CONFIG), (3, FLUSH), (4, CONFIG), (5, ">[]")]);
    say(
        "behind the sentinel",
        &driven(&[(5, END), (6, END), (7, "audio 640"), (8, FLUSH), (9, KEEPALIVE), (10, CONFIG)]),
    );
    let leak = format!("open ws://127.0.0.1/?token={SECRET}");
    say("a credential in its URL", &[(0, "driven"), (0, &leak)]);
    let told = format!("told error {SECRET}");
    say("a credential in what it tells", &[(0, "driven"), (0, "open"), (1, &told)]);
    let push = [(10, "call 2 end"), (11, END), (20, "call 3 push"), (21, "back 3 push")];
    say("audio after the end", &driven(&push));
    say("a second end", &driven(&[(10, END), (11, "call 2 end"), (12, "call 3 end"), (13, "fails 3 end no")]));
    say("told twice", &driven(&[(10, END), (20, &none), (21, "told ended complete"), (22, "told ended complete")]));
    say("a flush that was not sent", &driven(&[(10, "call 2 flush"), (20, "call 3 end"), (21, END)]));
    say("a flush that was an end", &driven(&[(10, "call 2 flush"), (21, END), (22, FLUSH)]));
    say("a flush that failed unheard", &driven(&[(10, FLUSH), (9_000, "dropped"), (9_010, "told ended incomplete")]));
    let (zero, one) = (heard(0, 0, 0), heard(1, 0, 0));
    let ends = [(30, END), (40, none.as_str()), (50, "told ended complete")];
    say(
        "a final twice",
        &driven(&joined(&[&[(10, &zero), (11, "told final 0 a b"), (12, "told final 0 a b")], &ends])),
    );
    say("two finals lost", &driven(&joined(&[&[(10, &zero), (11, &one)], &ends])));
    let after = [(10, zero.as_str()), (11, "told final 0 a"), (12, "told partial 0 a")];
    say("a partial after its final", &driven(&joined(&[&after, &ends])));
    say("a fatal error told late", &driven(&[(10, &internal), (2_000, "told ended error internal")]));
    let refused = error("bad_message", false, "");
    say("an error not told", &driven(&joined(&[&[(10, &refused)], &ends])));
    say("left behind", &driven(&joined(&[&ends, &[(60, "told left 3")]])));
    insta::assert_snapshot!(table);
}

#[test]
fn a_run_is_judged_for_what_it_did_itself() {
    let mut table = String::new();
    let none = ended(0, 0, 0);
    let later = |start: &'static str| {
        let events = [
            (20_000, start.to_owned()),
            (20_000, "@1 open".to_owned()),
            (20_001, format!("@1 {CONFIG}")),
            (20_002, format!("@1 {READY}")),
            (20_010, format!("@1 {END}")),
            (22_500, format!("@1 {none}")),
            (23_510, "told ended complete".to_owned()),
        ];
        events.to_vec()
    };
    let first = [(10, END), (20, none.as_str()), (3_510, "told ended complete")];
    let second = later("driven");
    let second: Vec<(u64, &str)> = second.iter().map(|(ms, what)| (*ms, what.as_str())).collect();
    say(&mut table, "a timer ends both runs", &driven(&joined(&[&first, &second])));
    let given_up = [(10, "input"), (5_000, "gave_up"), (5_001, "closed 1000"), (5_002, "signal 9")];
    say(&mut table, "the first was given up", &driven(&joined(&[&given_up, &second])));
    insta::assert_snapshot!(table);
}
