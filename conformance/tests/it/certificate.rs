//! Certificates: made of runs against the test peer, judged again from the file alone, changed in every way, and written and
//! verified by the command. The digests are computed here once more, by other code than the harness's.

use std::collections::BTreeMap;
use std::fs;

use lastword::certificate::{self, Damage, Level, Options, Origin, ReadError, Verified, VerifyError};
use lastword::exit;
use lastword::report::SubjectReport;
use lastword::run::{self, Plan, Run};
use lastword::subject::Target;
use lastword::suite::SuitePlan;
use serde_json::Value;

use crate::certify::{Quiet, certify, faulty, plan};
use crate::command::{code, lastword, serve, text};
use crate::forge::{forged, parts, sealed};
use crate::peer::{self, Fault, Setup};

/// What stands in a certificate of a run of these cases.
fn origin(only: &[&str]) -> Origin {
    Origin {
        subject: SubjectReport { url: "ws://subject/".into(), command: None, died: None, fell: None },
        options: Options {
            seed: 1,
            only: only.iter().map(|one| (*one).to_owned()).collect(),
            jobs: 16,
            ..Options::default()
        },
        token: None,
        secrets: Vec::new(),
        made_at: "2030-06-15T00:00:00Z".into(),
    }
}

fn of(run: &Run, only: &[&str]) -> String {
    certificate::write(run, &origin(only)).unwrap_or_else(|error| panic!("{error}"))
}

fn verified(text: &str) -> Verified {
    certificate::verify(text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

const END: &[&str] = &["server/end/*"];

async fn good() -> String {
    of(&certify(Setup::default(), END).await, END)
}

fn differences(text: &str) -> Vec<String> {
    verified(text).differences.iter().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_a_good_run_holds_and_says_what_the_run_said() {
    let run = certify(Setup { speed: 10, ..Setup::default() }, &[]).await;
    let text = of(&run, &[]);
    let verified = verified(&text);
    assert_eq!(verified.differences, []);
    assert_eq!(verified.cases, run.results.len());
    let passed = run.results.iter().filter(|result| result.verdict.as_str() == "PASS").count();
    assert!(verified.passed >= passed && passed > 70, "{passed} of {}", verified.passed);
    assert!(verified.coverage.visited > 30);
    assert!(text.len() < 4 << 20, "{} bytes", text.len());
    assert_eq!(sealed(&parts(&text)), text, "digests by other code are the same");
    let page = certificate::render("x.cert", &verified);
    assert!(page.contains("holds") && page.contains("not signed"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_keeps_everything_is_certified_for_level_3_with_its_suite_in_the_file() {
    let target = Target::local(peer::spawn_on(0, Setup { speed: 10, ..Setup::default() }).await, "/v1/listen");
    let plan = Plan { suite: Some(SuitePlan { extra_states: 0 }), ..plan(target, &[]) };
    let run = run::run(plan, &Quiet).await;
    let text = of(&run, &[]);
    let good = verified(&text);
    assert_eq!((good.differences.len(), good.level.level), (0, Some(Level::L3)), "{:#?}", good.level);
    let sequences = run.suite.as_ref().map_or(0, |suite| suite.sequences.len());
    assert!(sequences > 50 && good.traces > run.results.len() - 10 + sequences, "{sequences}, {}", good.traces);
    assert_eq!(good.level.suite.as_ref().map(|suite| (suite.extra_states, suite.conforming)), Some((0, sequences)));

    let broken = forged(&text, "suite", |part| part.replacen(r#"\"complete\":true"#, r#"\"complete\":false"#, 1));
    let found = differences(&broken);
    assert!(found[0].starts_with("suite: sequence") && found.iter().any(|one| one.contains("the level")), "{found:?}");
    let mut without: Vec<(String, String)> = parts(&text);
    without.retain(|(name, _)| name != "suite");
    let found = differences(&sealed(&without));
    assert!(found.iter().any(|one| one.contains("whether the suite was run")), "{found:?}");
    let shortened = forged(&text, "suite", |part| {
        let first = part.lines().next().expect("a first line");
        let mut entry: Value = serde_json::from_str(first).expect("JSON");
        entry["sequences"] = Value::Array(Vec::new());
        format!("{entry}\n")
    });
    assert!(differences(&shortened).iter().any(|one| one.contains("the summary")), "{:?}", differences(&shortened));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_a_broken_server_holds_with_its_failures_and_the_runs_that_confirmed_them() {
    for fault in [Fault::SecondSessionEnded, Fault::NeverEnds, Fault::DropsLastFinal, Fault::FinalAfterEnd] {
        let run = certify(faulty(fault), END).await;
        let failed = run.results.iter().filter(|result| result.verdict.is_failure()).count();
        let text = of(&run, END);
        let verified = verified(&text);
        assert_eq!(verified.differences, [], "{fault:?}");
        assert_eq!((verified.failed, verified.level.level), (failed, None), "{fault:?}");
        assert!(failed > 0, "{fault:?}");
        // A hang is confirmed by its release probes, which stand in the first trace.
        let ran_again = text.contains(r#"{"trace":{"run":"second""#);
        assert_eq!(ran_again, fault != Fault::NeverEnds, "{fault:?}");
        let broken = verified.level.hindrances.iter().any(|one| one.what.contains("broken"));
        assert!(broken, "{fault:?}: {:?}", verified.level.hindrances);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_a_peer_that_serves_nothing_holds_and_certifies_nothing() {
    for fault in [Fault::Silent, Fault::ClosesAtOnce, Fault::Echo] {
        let only = ["server/end/plain", "server/end/no-audio", "server/results/words"];
        let text = of(&certify(faulty(fault), &only).await, &only);
        let verified = verified(&text);
        assert_eq!(verified.differences, [], "{fault:?}");
        assert_eq!((verified.passed, verified.level.level), (0, None), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_changed_byte_is_noticed_anywhere_and_its_part_is_named() {
    let text = good().await;
    let parts = parts(&text);
    let mut starts = Vec::new();
    let mut at = 0;
    for (name, part) in &parts {
        starts.push((at, name.as_str()));
        at += part.len();
    }
    let step = (text.len() / 600).max(1) | 1;
    let white = text.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_whitespace()).map(|(index, _)| index);
    let tail = text.len() - 400..text.len();
    let positions: Vec<usize> = (0..text.len()).step_by(step).chain(white.step_by(7)).chain(tail).collect();
    for (round, index) in positions.into_iter().enumerate() {
        let mut bytes = text.clone().into_bytes();
        bytes[index] ^= 1 << (round % 8);
        let error = certificate::verify(&bytes).expect_err("a changed byte");
        let VerifyError::Read(ReadError::Damaged(damage)) = &error else { panic!("byte {index}: {error}") };
        if index < at {
            let (_, part) = starts.iter().rev().find(|(start, _)| *start <= index).expect("a part");
            assert_eq!(*damage, Damage::Parts(vec![(*part).to_owned()]), "byte {index}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_that_does_not_follow_is_named_although_all_digests_fit() {
    let text = of(&certify(faulty(Fault::SecondSessionEnded), END).await, END);
    let case = "case server/end/second-sentinel";
    let acquitted = forged(&text, case, |part| part.replacen(r#""verdict":"FAIL""#, r#""verdict":"PASS""#, 1));
    let found = differences(&acquitted);
    assert!(found[0].starts_with("server/end/second-sentinel: the verdict is said to be PASS"), "{found:?}");
    let renamed = forged(&text, case, |part| part.replacen("END-S5", "END-S4", 1));
    assert!(differences(&renamed)[0].contains("the findings"), "{:?}", differences(&renamed));
    let kept = forged(&text, "verdicts", |part| {
        let fail = r#""id":"END-S5","level":"MUST","verdict":"FAIL""#;
        part.replacen(fail, &fail.replace("FAIL", "PASS"), 1)
    });
    assert!(differences(&kept)[0].contains("END-S5 is said to be PASS"), "{:?}", differences(&kept));
    let levelled = forged(&text, "verdicts", |part| part.replacen(r#""level":null"#, r#""level":"L3""#, 1));
    assert!(differences(&levelled)[0].contains("the level is said to be L3"), "{:?}", differences(&levelled));
    let covered = forged(&text, "verdicts", |part| part.replacen(r#""visited":"#, r#""visited":1"#, 1));
    assert!(differences(&covered)[0].contains("transitions"), "{:?}", differences(&covered));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_that_is_changed_cut_or_left_out_gives_another_verdict() {
    let text = good().await;
    let case = "case server/end/plain";
    // The end is no more complete.
    let incomplete = forged(&text, case, |part| part.replace(r#"\"complete\":true"#, r#"\"complete\":false"#));
    assert!(differences(&incomplete)[0].contains("the verdict is said to be PASS"), "{:?}", differences(&incomplete));
    let without_trace = forged(&text, case, |part| format!("{}\n", part.lines().next().expect("a first line")));
    assert!(differences(&without_trace)[0].contains("there is no trace of it"), "{:?}", differences(&without_trace));
    let claims_nothing = forged(&text, case, |part| {
        let first = part.lines().next().expect("a first line");
        format!(
            "{}\n",
            first.replacen(r#""verdict":"PASS","reason":null"#, r#""verdict":"NOT_TESTED","reason":"x""#, 1)
        )
    });
    let found = differences(&claims_nothing);
    assert!(found.iter().any(|one| one.contains("is said to be PASS, and from the cases follows")), "{found:?}");
    let excused = forged(&text, case, |part| {
        let first = part.lines().next().expect("a first line");
        format!("{}\n", first.replacen(r#""verdict":"PASS""#, r#""verdict":"NOT_APPLICABLE""#, 1))
    });
    assert!(differences(&excused)[0].contains("NOT_APPLICABLE"), "{:?}", differences(&excused));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_that_is_left_out_or_made_up_is_noticed() {
    let text = good().await;
    let mut fewer = parts(&text);
    fewer.retain(|(name, _)| name != "case server/end/plain");
    let found = differences(&sealed(&fewer));
    assert!(found.iter().any(|one| one.contains("missing: server/end/plain")), "{found:?}");
    let mut renamed = parts(&text);
    for (name, part) in &mut renamed {
        if name == "case server/end/plain" {
            *name = "case server/end/made-up".into();
            *part = part.replacen("server/end/plain", "server/end/made-up", 1);
        }
    }
    let found = differences(&sealed(&renamed));
    assert!(found.iter().any(|one| one.contains("there is no such case")), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_is_told_from_a_damaged_file_and_says_what_to_use() {
    let text = good().await;
    let head = |from: &str, to: &str| forged(&text, "head", |part| part.replacen(from, to, 1));
    let error = |text: &str| certificate::verify(text.as_bytes()).expect_err("another version").to_string();
    let harness = format!(r#""harness":"{}""#, env!("CARGO_PKG_VERSION"));
    let newer = error(&head(&harness, r#""harness":"99.0.0""#));
    assert!(newer.contains("made by lastword 99.0.0, which is newer than this one"), "{newer}");
    let form = error(&head(r#""lastword_certificate":1"#, r#""lastword_certificate":2"#));
    assert!(form.contains("form 2") && form.contains("reads form 1"), "{form}");
    let set = lastword_spec::frozen::current();
    let digest = head(set.sha256, &"0".repeat(64));
    assert!(error(&digest).contains("a set that this harness does not know"), "{}", error(&digest));
    let version = head(&format!(r#""version":"{}""#, set.version), r#""version":"9.9.9""#);
    assert!(error(&version).contains("gives version 9.9.9 the requirements of"), "{}", error(&version));
    let protocol = error(&head("lastword.v1", "lastword.v7"));
    assert!(protocol.contains("is about `lastword.v7`"), "{protocol}");
    let cases = forged(&text, "head", |part| {
        let at = part.find(r#""cases_sha256":""#).expect("the digest") + r#""cases_sha256":""#.len();
        format!("{}{}{}", &part[..at], "f".repeat(64), &part[at + 64..])
    });
    assert!(error(&cases).contains("other cases"), "{}", error(&cases));
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_the_verification_does_not_know_are_refused() {
    let text = good().await;
    for part in ["head", "requirements", "calibration", "case server/end/plain", "verdicts"] {
        let more = forged(&text, part, |part| part.replacen('{', r#"{"endorsed":true,"#, 1));
        let error = certificate::verify(more.as_bytes()).expect_err(part);
        assert!(matches!(error, VerifyError::Read(ReadError::Malformed { .. })), "{part}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_stand_nowhere_in_a_certificate_and_a_leak_is_still_found_in_it() {
    let secrets = ["token-secret-1", "headersecret-2"];
    let setup = Setup { fault: Fault::LeaksToken, token: Some(secrets[0].into()), ..Setup::default() };
    let mut target = Target::local(peer::spawn_on(0, setup).await, "/v1/listen?key=querysecret-3");
    target.token = Some(secrets[0].into());
    target.add_header(&format!("X-Api-Key: {}", secrets[1])).expect("a header");
    let only = ["server/security/*", "server/messages/*", "server/end/plain"];
    let origin = Origin { token: target.token.clone(), secrets: target.secrets(), ..origin(&only) };
    let run = run::run(Plan { ..plan(target, &only) }, &Quiet).await;
    let text = certificate::write(&run, &origin).unwrap_or_else(|error| panic!("{error}"));
    for secret in ["token-secret-1", "headersecret-2", "querysecret-3"] {
        assert!(!text.contains(secret), "{secret}");
    }
    let verified = verified(&text);
    assert_eq!(verified.differences, []);
    let broken: Vec<&String> = verified.level.hindrances.iter().flat_map(|one| &one.requirements).collect();
    assert!(broken.iter().any(|id| *id == "SEC-S2"), "{broken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_cannot_be_hidden_gives_no_certificate() {
    let run = certify(Setup::default(), &["server/end/plain"]).await;
    let origin = Origin { token: Some("abc".into()), ..origin(&["server/end/plain"]) };
    let error = certificate::write(&run, &origin).expect_err("a short credential").to_string();
    assert!(error.contains("fewer than 4 bytes"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_the_way_of_a_level_names_the_option_that_is_missing() {
    let target = || async { Target::local(peer::spawn_on(0, Setup::default()).await, "/v1/listen") };
    let hindrances = |text: &str| -> BTreeMap<String, Option<String>> {
        verified(text).level.hindrances.into_iter().map(|one| (one.what, one.remedy)).collect()
    };
    let remedy = |all: &BTreeMap<String, Option<String>>, what: &str| {
        let found = all.iter().find(|(text, _)| text.contains(what));
        found.unwrap_or_else(|| panic!("{what} is not in {all:#?}")).1.clone().unwrap_or_default()
    };
    let timers = ["server/keepalive/idle-timeout"];
    let run = run::run(Plan { max_wait_ms: 1_400, ..plan(target().await, &timers) }, &Quiet).await;
    let all = hindrances(&of(&run, &timers));
    assert_eq!(remedy(&all, "longer than --max-wait"), "give --max-wait 2");
    assert_eq!(remedy(&all, "their cases were left out"), "leave out --only and --skip");
    assert!(remedy(&all, "the W-method suite was not run").contains("--no-suite"));

    let quiet = ["server/end/no-audio"];
    let all = hindrances(&of(&run::run(plan(target().await, &quiet), &Quiet).await, &quiet));
    assert!(remedy(&all, "no final with words came").contains("--audio"));

    let security = ["server/security/*"];
    let mut with_header = target().await;
    with_header.add_header("Authorization: Bearer something").expect("a header");
    let run = run::run(plan(with_header, &security), &Quiet).await;
    let all = hindrances(&of(&run, &security));
    assert!(remedy(&all, "no --token was given").contains("--token, not only with --header"));

    let run = run::run(plan(target().await, &security), &Quiet).await;
    let level = verified(&of(&run, &security)).level;
    assert!(level.not_applicable.iter().any(|one| one.requirement == "SEC-S1"), "{level:?}");
}

#[test]
fn the_command_writes_a_certificate_and_verifies_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("made/here.cert");
    let file = path.to_str().expect("a plain path");
    let url = format!("ws://127.0.0.1:{}/v1/listen", serve(Setup::default()));
    let output = lastword(&["certify", "server", &url, "--quiet", "--only", "server/end/plain", "--certificate", file]);
    assert_eq!(code(&output), exit::PASS, "{}{}", text(&output.stdout), text(&output.stderr));
    let good = lastword(&["verify", file]);
    assert_eq!(code(&good), exit::PASS, "{}", text(&good.stdout));
    assert!(text(&good.stdout).contains("here.cert: holds"), "{}", text(&good.stdout));

    let whole = fs::read_to_string(&path).expect("the certificate");
    fs::write(&path, whole.replacen("\"t_us\":", "\"t_us\": ", 1)).expect("it can be written");
    let spaced = lastword(&["verify", file]);
    assert_eq!(code(&spaced), exit::VIOLATION);
    assert!(text(&spaced.stdout).contains("DOES NOT HOLD"), "{}", text(&spaced.stdout));
    fs::write(&path, forged(&whole, "head", |part| part.replacen("lastword.v1", "lastword.v7", 1))).expect("written");
    let other = lastword(&["verify", file]);
    assert_eq!(code(&other), exit::USAGE, "{}", text(&other.stdout));
    assert!(text(&other.stderr).contains("lastword.v7"), "{}", text(&other.stderr));

    let short = lastword(&["certify", "server", &url, "--token", "abc", "--certificate", file]);
    assert_eq!(code(&short), exit::USAGE);
    assert!(text(&short.stderr).contains("cannot be kept out of a certificate"), "{}", text(&short.stderr));
}

#[test]
fn the_words_of_the_levels_are_ordered() {
    assert!(Level::L1 < Level::L2 && Level::L2 < Level::L3);
    assert_eq!(serde_json::to_string(&Level::L3).expect("JSON"), r#""L3""#);
    assert_eq!(Level::L3.as_str(), "L3");
}
