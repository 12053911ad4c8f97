//! The harness against servers on loopback: one that keeps the specification and several that do not. Each fault must be
//! named by its clause, and a peer that serves nothing must pass nothing.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use lastword::case::{Case, catalogue};
use lastword::redact::Redactor;
use lastword::report::{self, Context, Report};
use lastword::run::{self, CaseResult, Observer, Plan, Run};
use lastword::select::select;
use lastword::speech::Speech;
use lastword::subject::Target;
use lastword::wire::{Dialler, Roots};
use lastword_spec::finding::Verdict;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::peer::{self, Fault, Setup};

pub(crate) struct Quiet;

impl Observer for Quiet {
    fn calibrated(&self, _: &run::Calibration) {}
    fn finished(&self, _: &CaseResult, _: usize, _: usize) {}
    fn note(&self, _: &str) {}
}

fn cases(only: &[&str]) -> Vec<&'static Case> {
    let only: Vec<String> = only.iter().map(|pattern| (*pattern).to_owned()).collect();
    select(catalogue(), &only, &[]).expect("cases of these names")
}

pub(crate) fn plan(target: Target, only: &[&str]) -> Plan {
    Plan {
        dialler: Dialler::new(target, &Roots::Public).expect("no roots are needed"),
        speech: Speech::built_in(),
        cases: cases(only),
        jobs: 16,
        max_sessions: None,
        rate: None,
        audio_budget_s: None,
        seed: 1,
        max_wait_ms: 45_000,
        transcribe: false,
        suite: None,
        expect: Vec::new(),
    }
}

pub(crate) async fn certify(setup: Setup, only: &[&str]) -> Run {
    let target = Target::local(peer::spawn_on(0, setup).await, "/v1/listen");
    run::run(plan(target, only), &Quiet).await
}

pub(crate) fn faulty(fault: Fault) -> Setup {
    Setup { fault, ..Setup::default() }
}

pub(crate) fn to_report(run: &Run) -> Report {
    let context = Context {
        url: "ws://subject/".into(),
        command: None,
        died: None,
        seed: 1,
        again: "lastword certify server ws://subject/ --only {case}".into(),
        known: lastword::known::KnownFailures::default(),
        redactor: Redactor::default(),
        has_logs: false,
    };
    report::build(run, &context)
}

fn found(run: &Run) -> BTreeSet<&'static str> {
    let findings = run.results.iter().filter(|result| result.verdict.is_failure()).flat_map(CaseResult::findings);
    findings.map(|finding| finding.requirement.as_str()).collect()
}

fn passes(run: &Run) -> usize {
    run.results.iter().filter(|result| matches!(result.verdict, Verdict::Pass | Verdict::NonStrict)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_keeps_the_specification_passes_everything_that_arose() {
    let run = certify(Setup { speed: 10, ..Setup::default() }, &[]).await;
    let report = to_report(&run);
    let open: Vec<(&str, &str, Option<&str>)> = report
        .cases
        .iter()
        .filter(|case| !matches!(case.verdict.as_str(), "PASS" | "NON_STRICT" | "NOT_APPLICABLE"))
        .map(|case| (case.id.as_str(), case.verdict.as_str(), case.reason.as_deref()))
        .collect();
    // It gives no confidence, so the rule about confidences cannot be seen.
    let not_tested = "the condition never arose for FIN-S8";
    assert_eq!(open, [("server/results/confidence", "NOT_TESTED", Some(not_tested))], "{}", report::render(&report));
    assert_eq!(report.exit_code, lastword::exit::PASS);
    assert_eq!(run.planned, run.results.len());
}

/// What the harness must name, by the fault.
const NAMED: &[(Fault, &str)] = &[
    (Fault::NeverEnds, "END-S2"),
    (Fault::WaitsForMore, "END-S2"),
    (Fault::NoSessionEnded, "END-S2"),
    (Fault::FinalAfterEnd, "END-S3"),
    (Fault::DropsLastFinal, "FIN-S2"),
    (Fault::SecondSessionEnded, "END-S5"),
];
/// Peers that serve nothing at all.
const NOTHING: &[Fault] = &[Fault::Silent, Fault::Echo, Fault::ClosesAtOnce, Fault::UpgradesAndCloses];

#[test]
fn every_fault_of_the_peer_has_its_test() {
    let named = NAMED.iter().map(|(fault, _)| *fault);
    let tested: Vec<Fault> =
        named.chain(NOTHING.iter().copied()).chain([Fault::None, Fault::LeaksToken, Fault::StopsWhereAsked]).collect();
    assert!(Fault::ALL.iter().all(|fault| tested.contains(fault)));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_is_named_by_its_clause() {
    let end = ["server/end/*", "server/flush/nothing"];
    let runs = NAMED.iter().map(|&(fault, clause)| async move { (fault, clause, certify(faulty(fault), &end).await) });
    for (fault, clause, run) in futures_util::future::join_all(runs).await {
        assert!(found(&run).contains(clause), "{fault:?}: {:?}", found(&run));
        assert_eq!(to_report(&run).exit_code, lastword::exit::VIOLATION, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_fault_alone_is_the_only_thing_found() {
    let run = certify(faulty(Fault::SecondSessionEnded), &[]).await;
    assert_eq!(found(&run), BTreeSet::from(["END-S5"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_that_nothing_releases_is_found_with_the_evidence_that_proves_it() {
    let run = certify(faulty(Fault::NeverEnds), &["server/end/plain"]).await;
    let result = &run.results[0];
    assert_eq!(result.verdict, Verdict::Deadlock);
    assert!(matches!(result.confirmation, run::Confirmation::Probes));
    let finding = result.findings().next().expect("a finding");
    assert!(finding.message.contains("owes session_ended"), "{}", finding.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_serves_nothing_passes_nothing_and_does_not_hold_the_harness() {
    let runs = NOTHING.iter().map(|&fault| async move { (fault, certify(faulty(fault), &[]).await) });
    for (fault, run) in futures_util::future::join_all(runs).await {
        assert_eq!(passes(&run), 0, "{fault:?}");
        assert_eq!(run.results.len(), run.planned, "{fault:?}");
        assert!(run.took_ms < 60_000, "{fault:?} took {} ms", run.took_ms);
        let code = to_report(&run).exit_code;
        assert!(code == lastword::exit::VIOLATION || code == lastword::exit::UNDECIDED, "{fault:?}: {code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_with_one_slot_is_certified_one_case_at_a_time() {
    let run = certify(Setup { slots: 1, ..Setup::default() }, &["server/flush/*", "server/end/*"]).await;
    assert_eq!(run.jobs_at_end, 1);
    assert_eq!(to_report(&run).exit_code, lastword::exit::PASS, "{}", report::render(&to_report(&run)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_with_little_room_halves_the_cases_side_by_side_and_loses_none() {
    let run = certify(Setup { slots: 5, ..Setup::default() }, &["server/flush/*", "server/config/*"]).await;
    assert!((1..16).contains(&run.jobs_at_end), "{}", run.jobs_at_end);
    assert_eq!(passes(&run), run.planned, "{}", report::render(&to_report(&run)));
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_are_turned_away_beside_others_have_their_answer() {
    const CASE: &str = "server/connection/side-by-side";
    for slots in [1, 3, 64] {
        let run = certify(Setup { slots, ..Setup::default() }, &[CASE]).await;
        assert_eq!((passes(&run), run.jobs_at_end), (1, 16), "{slots}: {}", report::render(&to_report(&run)));
    }
    let target = Target::local(peer::spawn_on(0, Setup::default()).await, "/v1/listen");
    let run = run::run(Plan { max_sessions: Some(8), ..plan(target, &[CASE]) }, &Quiet).await;
    assert_eq!(run.results[0].verdict, Verdict::NotTested);
    let target = Target::local(peer::spawn_on(0, Setup::default()).await, "/v1/listen");
    let run = run::run(Plan { max_sessions: Some(9), ..plan(target, &[CASE]) }, &Quiet).await;
    assert_eq!(run.results[0].verdict, Verdict::Pass, "{}", report::render(&to_report(&run)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_is_still_proved_where_only_one_session_is_allowed() {
    let target = Target::local(peer::spawn_on(0, faulty(Fault::NeverEnds)).await, "/v1/listen");
    let plan = Plan { max_sessions: Some(1), ..plan(target, &["server/end/plain"]) };
    let run = run::run(plan, &Quiet).await;
    assert_eq!(found(&run), BTreeSet::from(["END-S2"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_audio_budget_does_not_allow_is_not_tested() {
    let target = Target::local(peer::spawn_on(0, Setup::default()).await, "/v1/listen");
    let plan = Plan { audio_budget_s: Some(1), ..plan(target, &["server/end/plain"]) };
    let run = run::run(plan, &Quiet).await;
    assert_eq!(run.results[0].verdict, Verdict::NotTested);
    assert_eq!(to_report(&run).exit_code, lastword::exit::UNDECIDED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_that_is_longer_than_the_longest_wait_is_not_waited_for() {
    let target = Target::local(peer::spawn_on(0, Setup::default()).await, "/v1/listen");
    let plan = Plan { max_wait_ms: 1_400, ..plan(target, &["server/keepalive/idle-timeout", "CON-S3"]) };
    let run = run::run(plan, &Quiet).await;
    assert!(run.results.iter().all(|result| result.verdict == Verdict::NotTested && result.took_ms == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_demanded_shown_and_tested() {
    let setup = Setup { token: Some("sesame-open".into()), ..Setup::default() };
    let mut target = Target::local(peer::spawn_on(0, setup).await, "/v1/listen");
    target.token = Some("sesame-open".into());
    let run = run::run(plan(target, &["server/security/*", "server/end/plain"]), &Quiet).await;
    let report = to_report(&run);
    assert_eq!(report.exit_code, lastword::exit::PASS, "{}", report::render(&report));
    let verdict = |id: &str| report.cases.iter().find(|case| case.id == id).map(|case| case.verdict.as_str());
    assert_eq!(verdict("server/security/wrong-header"), Some("PASS"));
    assert_eq!(verdict("server/security/wrong-token"), Some("PASS"));
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_the_subject_is_said_to_hear_are_missed_when_they_do_not_come() {
    let port = peer::spawn_on(0, Setup::default()).await;
    let certify = |lamp: &str| {
        let expect =
            vec![("word.wav".to_owned(), "s0w1 s0w2 s0w3 s0w4".to_owned()), ("lamp.wav".to_owned(), lamp.to_owned())];
        Plan { expect, ..plan(Target::local(port, "/"), &["server/results/expected-words"]) }
    };
    let good = run::run(certify("s0w1 s0w2 s0w3 s0w4 s0w5 s0w6"), &Quiet).await;
    assert_eq!(good.results[0].verdict, Verdict::Pass, "{:?}", good.results[0].reason);
    let lost = run::run(certify("s0w1 s0w2 s0w3 s0w4 s0w5 s0w6 and more"), &Quiet).await;
    assert_eq!(found(&lost), BTreeSet::from(["END-S2"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_behind_tls_is_certified_with_its_own_root_and_refused_without() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let certificate = CertificateDer::from_pem_file(folder.join("server.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("they fit");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(peer::serve_with(listener, Setup::default(), move |stream| {
        let accept = acceptor.accept(stream);
        async move { accept.await.ok() }
    }));
    let target = Target::parse(&format!("wss://localhost:{port}/v1/listen")).expect("a URL");
    let roots = Roots::With(folder.join("ca.pem"));
    let trusted = Dialler::new(target.clone(), &roots).expect("the root is there");
    let good = run::run(Plan { dialler: trusted, ..plan(target.clone(), &["server/end/plain"]) }, &Quiet).await;
    assert_eq!(good.results[0].verdict, Verdict::Pass, "{:?}", good.results[0].reason);
    let bad = run::run(plan(target, &["server/end/plain"]), &Quiet).await;
    assert_eq!(bad.results[0].verdict, Verdict::Inconclusive);
    assert!(
        bad.results[0].reason.as_deref().is_some_and(|why| why.contains("certificate")),
        "{:?}",
        bad.results[0].reason
    );
}
