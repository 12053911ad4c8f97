//! `lastword certify client` as a process, over real sockets, against clients that are processes.

use std::path::{Path, PathBuf};

use lastword::exit;

use crate::command::{code, lastword, text};

/// The client of the tests, right or broken, built with them.
fn client() -> String {
    example("client-mutants")
}

/// A program that was built with the tests.
pub(crate) fn example(name: &str) -> String {
    let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let path: PathBuf = Path::new(env!("CARGO_BIN_EXE_lastword")).with_file_name("examples").join(name);
    path.to_string_lossy().into_owned()
}

const SIDE_BY_SIDE: &[&str] = &["certify", "client", "--quiet", "--jobs", "12"];

pub(crate) fn certify(more: &[&str], command: &[&str]) -> std::process::Output {
    let arguments: Vec<&str> =
        SIDE_BY_SIDE.iter().chain(more).copied().chain(["--"]).chain(command.iter().copied()).collect();
    lastword(&arguments)
}

#[test]
fn the_client_that_never_ends_is_told_that_each_waits_for_the_other() {
    let client = client();
    let command = [client.as_str(), "{url}", "--audio", "{audio}", "--mutant", "never-ends"];
    let output = certify(&["--only", "client/end/ideal"], &command);
    let report = text(&output.stdout);
    assert_eq!(code(&output), exit::VIOLATION, "{report}");
    assert!(report.contains("END-C1"), "{report}");
    let sentence =
        "sent no end_of_stream although its input ended at 3.00 s, keepalives went on: each waits for the other";
    assert!(report.contains(sentence), "{report}");
}

/// The words of these and of the one above stand in `docs/reading-a-report.md`.
#[test]
fn the_client_whose_keepalives_hold_its_iterator_is_told_that_nobody_owes_it_what_it_waits_for() {
    let client = client();
    let command = [client.as_str(), "{url}", "--audio", "{audio}", "--mutant", "keepalive-holds-the-end"];
    let output = certify(&["--only", "client/end/ideal"], &command);
    let report = text(&output.stdout);
    assert_eq!(code(&output), exit::VIOLATION, "{report}");
    assert!(report.contains("DEADLOCK END-C3: client/end/ideal"), "{report}");
    assert!(report.contains("UNBOUNDED_WAIT: client did not end although session_ended came at "), "{report}");
    assert!(report.contains(" s: it waits for something that nobody owes it (connection 0, Ended, "), "{report}");
    assert!(report.contains("socket: server closed with 1000"), "{report}");
    assert!(report.contains("note: the process was ended by the harness"), "{report}");
}

#[test]
fn the_client_that_a_timer_of_its_own_ends_is_told_of_the_timer_though_each_run_looks_fine() {
    let client = client();
    let command = [client.as_str(), "{url}", "--audio", "{audio}", "--mutant", "own-timer"];
    let output = certify(&["--only", "client/end/two-times"], &command);
    let report = text(&output.stdout);
    assert_eq!(code(&output), exit::VIOLATION, "{report}");
    assert!(report.contains("DEADLOCK END-C9: client/end/two-times"), "{report}");
    assert!(report.contains("MASKED_BY_TIMER: client ended 5."), "{report}");
    assert!(report.contains(" s after its sentinel both times, although session_ended came after "), "{report}");
    assert!(report.contains(": a timer ends it (connection 1, Ended, "), "{report}");
    assert!(report.contains("the client's process exited with 0"), "{report}");
}

#[test]
fn the_client_without_a_fault_passes_at_both_levels() {
    let client = client();
    let some = [
        "--only",
        "client/end/ideal",
        "--only",
        "client/errors/*",
        "--only",
        "client/closing/*",
        "--only",
        "client/end/reset*",
    ];
    let output = certify(&some, &[client.as_str(), "{url}", "--audio", "{audio}"]);
    assert_eq!(code(&output), exit::PASS, "{}", text(&output.stdout));
    let some =
        ["--driver", "--only", "client/calls/*", "--only", "client/security/*", "--only", "client/closing/reset*"];
    let output = certify(&some, &[client.as_str(), "--driver"]);
    assert_eq!(code(&output), exit::PASS, "{}", text(&output.stdout));
}

#[test]
fn where_nobody_said_what_the_credential_is_the_report_says_how_to_say_it() {
    let client = client();
    let output = certify(&["--only", "client/security/credential"], &[client.as_str(), "{url}", "--audio", "{audio}"]);
    let report = text(&output.stdout);
    assert_eq!(code(&output), exit::UNDECIDED, "{report}");
    assert!(report.contains("give the client its credential, and say with --token which it is"), "{report}");
}

/// Over real sockets, whose kernels hold what nobody reads. Elsewhere nobody says how much.
#[cfg(target_os = "linux")]
#[test]
fn a_client_that_reads_nothing_while_its_send_is_blocked_is_told_from_one_that_does() {
    let client = client();
    let command = [client.as_str(), "{url}", "--audio", "{audio}"];
    let case = ["--only", "client/audio/reader-that-stops"];
    let right = certify(&case, &command);
    let report = text(&right.stdout);
    assert_eq!(code(&right), exit::PASS, "{report}");
    let broken = [command.as_slice(), &["--mutant", "reads-nothing-while-it-writes"]].concat();
    let report = text(&certify(&case, &broken).stdout);
    assert!(report.contains("read nothing while its own send was blocked: 2 times"), "{report}");
    assert!(report.contains("[BP-C2]"), "{report}");
}

/// Our own SDK, by its driver, over real sockets: every case, and what cannot be seen of it by name.
#[test]
fn the_sdk_is_clean_at_level_1_in_every_case() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("report.json");
    let output = certify(&["--driver", "--json", &file.to_string_lossy()], &[example("client-sdk").as_str()]);
    let told = text(&output.stdout);
    assert_eq!(code(&output), exit::PASS, "{told}");
    let report = std::fs::read_to_string(&file).expect("the report");
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    let cases = report["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), lastword::client::catalogue().len());
    let not_passed: Vec<String> = cases
        .iter()
        .filter(|case| case["verdict"] != "PASS")
        .map(|case| format!("{} {} {}", case["id"], case["verdict"], case["reason"]))
        .collect();
    let wanted = [("closing/reset-and-again", "REC-C4, TIM-C1"), ("reconnect/budget-restored", "REC-C5")];
    let why = "it did not go on with a lost session on a new connection, which it need not";
    let wanted = wanted
        .map(|(case, ids)| format!(r#""client/{case}" "NOT_TESTED" "the condition never arose for {ids}: {why}""#));
    assert_eq!(not_passed, wanted, "{told}");
}

#[test]
fn the_certificate_of_a_client_is_verified_without_it_and_a_changed_byte_is_told() {
    let client = client();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("client.cert");
    let path = file.to_string_lossy().into_owned();
    let secret = "tokensecret-7";
    let only = ["--only", "client/end/ideal", "--only", "client/security/*", "--token", secret, "--certificate", &path];
    let command = [client.as_str(), "{url}", "--audio", "{audio}", "--token", secret];
    let output = certify(&only, &[&command[..], &["--mutant", "never-ends"]].concat());
    assert_eq!(code(&output), exit::VIOLATION, "{}", text(&output.stdout));
    let written = std::fs::read_to_string(&file).expect("the certificate");
    assert!(written.contains("never-ends") && !written.contains(secret));

    let output = lastword(&["verify", &path]);
    let page = text(&output.stdout);
    assert_eq!(code(&output), exit::PASS, "it holds, whatever it says of its subject: {page}");
    assert!(page.contains("a client, seen at level 0") && page.contains("broken: END-C1"), "{page}");

    std::fs::write(&file, written.replacen("keepalive", "keepalivf", 1)).expect("it can be written");
    let output = lastword(&["verify", &path]);
    assert_eq!(code(&output), exit::VIOLATION);
    assert!(text(&output.stdout).contains("DOES NOT HOLD"), "{}", text(&output.stdout));
    let short = certify(&["--token", "abc", "--certificate", &path], &command);
    assert_eq!(code(&short), exit::USAGE, "{}", text(&short.stderr));
}

#[cfg(unix)]
#[test]
fn a_client_of_wss_is_certified_with_a_certificate_of_this_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("client.cert").to_string_lossy().into_owned();
    let sdk = example("client-sdk");
    let some = [
        "--tls",
        "--driver",
        "--certificate",
        &path,
        "--only",
        "client/end/ideal",
        "--only",
        "client/end/reset*",
        "--only",
        "client/closing/*",
    ];
    let output = certify(&some, &[&sdk]);
    let report = text(&output.stdout);
    assert_eq!(code(&output), exit::PASS, "{report}");
    let verified = lastword(&["verify", &path]);
    assert_eq!(code(&verified), exit::PASS, "{}", text(&verified.stdout));
    let other = concat!("LASTWORD_CA=", env!("CARGO_MANIFEST_DIR"), "/tests/data/ca.pem");
    let distrusts = certify(&["--tls", "--driver", "--only", "client/end/ideal"], &["env", other, &sdk]);
    let report = text(&distrusts.stdout);
    assert_eq!(code(&distrusts), exit::UNDECIDED, "{report}");
    assert!(report.contains("it never connected: a TLS handshake failed") && report.contains("{ca}"), "{report}");
}

#[test]
fn a_crash_is_seen_and_blamed_on_what_came_before_it() {
    let client = client();
    let command = [client.as_str(), "{url}", "--audio", "{audio}", "--mutant", "garbage-crashes"];
    let output = certify(&["--only", "client/errors/garbage"], &command);
    let report = text(&output.stdout);
    assert_eq!(code(&output), exit::VIOLATION, "{report}");
    assert!(report.contains("CRASH") && report.contains("SEC-C2"), "{report}");
}

#[test]
fn a_program_that_is_no_client_passes_nothing() {
    let client = client();
    for kind in ["true", "garbage"] {
        let command = [client.as_str(), "{url}", "--audio", "{audio}", "--degenerate", kind];
        let output = certify(&["--only", "client/end/*", "--only", "client/results/by-value"], &command);
        let report = text(&output.stdout);
        assert_ne!(code(&output), exit::PASS, "{kind}: {report}");
        assert!(report.contains(" 0 PASS"), "{kind}: {report}");
    }
}

#[test]
fn a_command_that_does_not_exist_is_a_usage_error() {
    let output = certify(&[], &["no-such-client-on-this-machine", "{url}"]);
    assert_eq!(code(&output), exit::USAGE);
    assert!(text(&output.stderr).contains("no-such-client-on-this-machine"), "{}", text(&output.stderr));
}

/// What a person interrupts leaves no process behind and says how far it came.
#[cfg(unix)]
#[test]
fn an_interrupted_certification_ends_the_clients_that_it_started() {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use crate::client_start::lives;

    let folder = tempfile::tempdir().expect("a folder");
    let noted = folder.path().join("pid");
    // A grandchild, so that it is the group that must end.
    let script = format!("sleep 600 & echo $! > '{0}.new'; mv '{0}.new' '{0}'; wait # {{url}}", noted.display());
    let certifying = Command::new(env!("CARGO_BIN_EXE_lastword"))
        .args(["certify", "client", "--quiet", "--only", "client/end/ideal", "--", "sh", "-c", &script])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs");
    let until = |what: &str, is: &dyn Fn() -> bool| {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is() {
            assert!(Instant::now() < deadline, "{what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    until("the client was never started", &|| noted.exists());
    let pid = std::fs::read_to_string(&noted).expect("a number").trim().to_owned();
    assert!(lives(&pid));
    let told = Command::new("kill").args(["-TERM", &certifying.id().to_string()]).status();
    assert!(told.expect("kill runs").success());
    let ended = certifying.wait_with_output().expect("it ends");
    assert_eq!(ended.status.code(), Some(i32::from(exit::UNDECIDED)));
    assert!(text(&ended.stderr).contains("interrupted: 0 of 1 cases had run"), "{}", text(&ended.stderr));
    until("the client outlived the harness", &|| !lives(&pid));
}
