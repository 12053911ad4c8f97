//! Certificates of clients: of right ones and of broken ones, at both levels, judged again from the file alone, and changed in every
//! way.

use lastword::certificate::{self, ClientOptions, Options, Origin, Verified};
use lastword::client::{ClientPlan, MADE_UP_TOKEN, catalogue};
use lastword::memory::{self, Certified};
use lastword::report::SubjectReport;
use lastword_client_mutants::find;
use lastword_spec::finding::Verdict;
use serde_json::Value;

use crate::crowd;
use crate::forge::{forged, parts, sealed};
use crate::looks;

/// A run of a client, right or with the fault of this name, with these cases or all, and its certificate.
fn certified(mutant: Option<&str>, level: u8, only: &[&str], looks_again: bool) -> (Certified, String) {
    let options = mutant.map(|name| find(name).expect("a mutant of this name").options()).unwrap_or_default();
    let (program, stdin) = crowd::program(&options, level);
    let mut plan = memory::client_plan(program, stdin);
    plan.looks_again = looks_again;
    written(plan, level, only)
}

/// What comes of a plan with these cases or all, and its certificate.
fn written(mut plan: ClientPlan, level: u8, only: &[&str]) -> (Certified, String) {
    if !only.is_empty() {
        plan.cases.retain(|case| only.contains(&case.id.as_str()));
    }
    let origin = Origin {
        subject: SubjectReport {
            url: format!("./client --token {MADE_UP_TOKEN} {{url}}"),
            command: None,
            died: None,
            fell: None,
        },
        options: Options {
            seed: 1,
            only: only.iter().map(|one| (*one).to_owned()).collect(),
            jobs: plan.jobs,
            client: Some(ClientOptions { level, path: plan.path.clone(), ..ClientOptions::default() }),
            ..Options::default()
        },
        token: Some(MADE_UP_TOKEN.to_owned()),
        secrets: vec![MADE_UP_TOKEN.to_owned()],
        made_at: "2030-06-15T00:00:00Z".into(),
    };
    let run = crowd::carried_out(plan);
    let text = certificate::write(&run.run, &origin).unwrap_or_else(|error| panic!("{only:?}: {error}"));
    (run, text)
}

fn verified(text: &str) -> Verified {
    certificate::verify(text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

fn differences(text: &str) -> Vec<String> {
    verified(text).differences.iter().map(ToString::to_string).collect()
}

#[test]
fn a_certificate_of_a_right_client_holds_at_both_levels_and_says_what_the_run_said() {
    for level in [0, 1] {
        let (run, text) = certified(None, level, &[], false);
        let verified = verified(&text);
        assert_eq!(verified.differences, [], "level {level}");
        assert_eq!((verified.cases, verified.failed), (catalogue().len(), 0), "level {level}");
        let passed = run.run.results.iter().filter(|result| result.verdict.as_str() == "PASS").count();
        assert_eq!(verified.passed, passed, "level {level}");
        let standing = verified.client.clone().expect("a client");
        assert_eq!((standing.level, standing.broken.len()), (level, 0), "{standing:?}");
        assert!(standing.kept.len() > 30, "{standing:?}");
        assert_eq!(sealed(&parts(&text)), text, "digests by other code are the same");
        let page = certificate::render("x.cert", &verified);
        assert!(page.contains("holds") && page.contains(&format!("a client, seen at level {level}")), "{page}");
        assert!(!page.contains("certified:") && !page.contains("state table"), "{page}");
    }
}

#[test]
fn a_certificate_of_a_broken_client_holds_with_its_failures_and_the_runs_that_confirmed_them() {
    let some = [("never-ends", 0, "client/end/ideal"), ("flush-swallowed", 1, "client/calls/flush-of-nothing")];
    for (mutant, level, case) in some {
        let (run, text) = certified(Some(mutant), level, &[case], true);
        let verified = verified(&text);
        assert_eq!((verified.differences.len(), verified.failed), (0, 1), "{mutant}");
        let broken = find(mutant).expect("a mutant").breaks;
        assert!(verified.client.is_some_and(|client| client.broken.iter().any(|id| id == broken)), "{mutant}");
        let again: Vec<_> = run.run.results.iter().map(|result| result.confirmation.word()).collect();
        assert_eq!(again, [Some("alone".to_owned())], "{mutant}");
        assert!(verified.traces >= 3, "the calibration, the case, and its second look: {}", verified.traces);
    }
}

#[test]
fn a_certificate_of_a_client_that_was_late_once_holds_with_its_two_clean_runs_and_not_without_one() {
    const CASE: &str = "client/end/ideal";
    let (run, text) = written(looks::plan_of_late(|run| run == 1).0, 0, &[CASE]);
    assert_eq!((run.run.results[0].verdict, run.report.exit_code), (Verdict::Pass, 0));
    let one = verified(&text);
    assert_eq!((one.differences.as_slice(), one.failed, one.passed), (&[][..], 0, 1));
    assert_eq!(one.traces, 4, "the calibration, the case, and two looks");
    let (_, alone) = written(looks::plan_of_late(|_| true).0, 0, &[CASE]);
    assert_eq!((verified(&alone).failed, verified(&alone).traces), (1, 3));
    let without_third = forged(&text, "case client/end/ideal", |part| {
        let third = part.lines().position(|line| line.contains(r#""third""#)).expect("a third run");
        part.lines().take(third).map(|line| format!("{line}\n")).collect()
    });
    assert!(!differences(&without_third).is_empty(), "who takes out a look takes out the pass");
}

#[test]
fn the_credential_that_a_client_gives_away_is_found_again_and_stands_nowhere_in_the_file() {
    for mutant in ["token-in-url", "token-told"] {
        let entry = find(mutant).expect("a mutant");
        let (_, text) = certified(Some(mutant), entry.level, &[entry.case], false);
        assert!(!text.contains(MADE_UP_TOKEN), "{mutant}");
        let verified = verified(&text);
        assert_eq!(verified.differences, [], "{mutant}");
        assert!(verified.client.is_some_and(|client| client.broken.contains(&"SEC-C1".to_owned())), "{mutant}");
    }
}

/// Its giving up is no pass, in the run and in the file; who says in the file that it was is told so.
#[test]
fn that_no_session_of_a_client_completed_follows_from_the_file() {
    const REFUSED: &str = "client/start/refused";
    let told = |run: &Certified| {
        let refused = run.run.results.iter().find(|result| result.case.id == REFUSED).expect("it ran");
        (refused.verdict.as_str().to_owned(), refused.reason.clone().unwrap_or_default())
    };
    let never = "no session of it ever completed: that it gives up proves nothing".to_owned();
    let (run, text) = certified(Some("waits-for-close"), 0, &[REFUSED, "client/end/no-close"], true);
    assert_eq!(told(&run), ("PASS".to_owned(), String::new()), "its first session completed");
    assert_eq!(differences(&text), [] as [&str; 0]);
    let (run, text) = certified(Some("never-ends"), 0, &[REFUSED, "client/end/ideal"], true);
    assert_eq!(told(&run), ("INCONCLUSIVE".to_owned(), never.clone()));
    assert_eq!(differences(&text), [] as [&str; 0]);
    let passes = forged(&text, "case client/start/refused", |part| {
        with(part, |entry| {
            entry["verdict"] = "PASS".into();
            entry["reason"] = Value::Null;
        })
    });
    let found = differences(&passes);
    assert!(found.iter().any(|one| one.starts_with("case client/start/refused") || one.contains(REFUSED)), "{found:?}");
    let (run, text) = certified(Some("never-ends"), 0, &[REFUSED], true);
    assert_eq!(told(&run), ("PASS".to_owned(), String::new()), "no case let it complete");
    assert_eq!((differences(&text), run.report.exit_code), (Vec::new(), lastword::exit::UNDECIDED));
}

/// What the file of one failing case would say.
fn small() -> String {
    certified(Some("never-ends"), 0, &["client/end/ideal"], true).1
}

#[test]
fn one_changed_byte_anywhere_is_noticed() {
    let text = small();
    let bytes = text.as_bytes();
    // Every byte of what frames the parts, and a sample of each of them that no length divides.
    let edges = (0..400).chain(bytes.len().saturating_sub(1_200)..bytes.len());
    for at in edges.chain((0..bytes.len()).step_by(331)) {
        let mut changed = bytes.to_vec();
        changed[at] ^= 1;
        let holds = certificate::verify(&changed).is_ok_and(|verified| verified.differences.is_empty());
        assert!(!holds, "byte {at} of {}", bytes.len());
    }
}

/// The first line of a part with a member changed.
fn with(part: &str, change: impl Fn(&mut Value)) -> String {
    let (first, rest) = part.split_once('\n').expect("a first line");
    let mut entry: Value = serde_json::from_str(first).expect("JSON");
    change(&mut entry);
    format!("{entry}\n{rest}")
}

#[test]
fn whatever_does_not_follow_from_the_traces_is_noticed_although_it_is_sealed_again() {
    let text = small();
    let case = "case client/end/ideal";
    let passes = forged(&text, case, |part| {
        with(part, |entry| {
            entry["verdict"] = "PASS".into();
            entry["findings"] = Value::Array(Vec::new());
        })
    });
    let found = differences(&passes);
    assert!(found.iter().any(|one| one.contains("the verdict is said to be PASS")), "{found:?}");
    let requirements = forged(&text, "verdicts", |part| part.replace("\"DEADLOCK\"", "\"PASS\""));
    assert!(differences(&requirements).iter().any(|one| one.starts_with("verdicts: END-C1")), "{requirements}");
    // A sentinel that was never sent.
    let sent =
        forged(&text, case, |part| part.replace(r#"{\"type\":\"keepalive\"}"#, r#"{\"type\":\"end_of_stream\"}"#));
    assert!(differences(&sent).iter().any(|one| one.contains("the verdict")), "{:?}", differences(&sent));
    let driven = forged(&text, "head", |part| part.replace(r#""level":0"#, r#""level":1"#));
    assert!(differences(&driven).iter().any(|one| one.contains("another level")), "{:?}", differences(&driven));
    let server = forged(&text, "head", |part| {
        with(part, |entry| {
            let options = entry["options"].as_object_mut().expect("options");
            options.remove("client");
        })
    });
    assert!(certificate::verify(server.as_bytes()).is_err(), "the cases are those of a client");
    let without = forged(&text, case, |part| format!("{}\n", part.lines().next().expect("a first line")));
    assert!(
        differences(&without).iter().any(|one| one.contains("there is no trace of it")),
        "{:?}",
        differences(&without)
    );
    let fewer: Vec<(String, String)> = parts(&text).into_iter().filter(|(name, _)| name != case).collect();
    assert!(differences(&sealed(&fewer)).iter().any(|one| one.contains("it holds 0")), "{fewer:?}");
}
