//! The `lastword` command as a process: exit codes, outputs, and that no secret is in any of them.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::mpsc;

use lastword::exit;

use crate::peer::{self, Fault, Setup};

/// A server of this setup, on a thread of its own.
pub(crate) fn serve(setup: Setup) -> u16 {
    let (tell, hear) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            tell.send(peer::spawn_on(0, setup).await).expect("somebody waits");
            std::future::pending::<()>().await;
        });
    });
    hear.recv().expect("a port")
}

pub(crate) fn lastword(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lastword"))
        .args(arguments)
        .env_remove("LASTWORD_TOKEN")
        .env("RUST_BACKTRACE", "0")
        .output()
        .expect("the command runs")
}

pub(crate) fn code(output: &Output) -> u8 {
    u8::try_from(output.status.code().expect("no signal")).expect("an exit code")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The example server, built with the tests.
fn example() -> PathBuf {
    let name = format!("minimal-server{}", std::env::consts::EXE_SUFFIX);
    Path::new(env!("CARGO_BIN_EXE_lastword")).with_file_name("examples").join(name)
}

#[test]
fn no_secret_stands_in_any_output() {
    let secrets = ["tokensecret-1", "headersecret-2", "querysecret-3"];
    let setup = Setup { fault: Fault::LeaksToken, token: Some(secrets[0].into()), ..Setup::default() };
    let url = format!("ws://127.0.0.1:{}/v1/listen?key={}", serve(setup), secrets[2]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let header = format!("X-Api-Key: {}", secrets[1]);
    let output = lastword(&[
        "certify",
        "server",
        &url,
        "--token",
        secrets[0],
        "--header",
        &header,
        "--only",
        "server/security/*",
        "--only",
        "server/messages/*",
        "--json",
        &file("report.json"),
        "--junit",
        &file("junit.xml"),
        "--log-dir",
        &file("logs"),
    ]);
    assert_eq!(code(&output), exit::VIOLATION, "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("SEC-S2"), "{}", text(&output.stdout));
    let mut outputs = vec![("stdout".to_owned(), text(&output.stdout)), ("stderr".to_owned(), text(&output.stderr))];
    for name in ["report.json", "junit.xml"] {
        outputs.push((name.to_owned(), fs::read_to_string(file(name)).expect("it was written")));
    }
    let logs: Vec<_> =
        fs::read_dir(file("logs")).expect("the logs").map(|entry| entry.expect("a log").path()).collect();
    assert!(logs.len() > 5);
    for path in logs {
        outputs.push((path.display().to_string(), fs::read_to_string(&path).expect("it was written")));
    }
    for (name, content) in outputs {
        for secret in secrets {
            assert!(!content.contains(secret), "{secret} stands in {name}");
        }
    }
}

#[test]
fn a_subject_that_is_started_here_is_certified_and_gone_afterwards() {
    let folder = tempfile::tempdir().expect("a folder");
    let json = folder.path().join("report.json");
    let server = example();
    let server = server.to_str().expect("a plain path");
    let json_text = json.to_str().expect("a plain path");
    let only = ["--only", "server/end/*"];
    let output =
        lastword(&[&["certify", "server"], &only[..], &["--json", json_text, "--", server, "{port}"]].concat());
    assert_eq!(code(&output), exit::PASS, "{}{}", text(&output.stdout), text(&output.stderr));
    let report: lastword::report::Report =
        serde_json::from_str(&fs::read_to_string(&json).expect("the report")).expect("its form");
    assert_eq!(report.exit_code, exit::PASS);
    let port = report.subject.url.trim_start_matches("ws://127.0.0.1:").split('/').next().expect("a port").to_owned();
    let free = TcpListener::bind(("127.0.0.1", port.parse::<u16>().expect("a port")));
    assert!(free.is_ok(), "somebody still listens on {port}");
}

#[test]
fn a_subject_that_does_not_start_or_does_not_listen_is_a_usage_error_with_its_own_words() {
    let server = example();
    let server = server.to_str().expect("a plain path");
    let output = lastword(&["certify", "server", "--", server, "{port}", "NoSuchFault"]);
    assert_eq!(code(&output), exit::USAGE);
    assert!(text(&output.stderr).contains("the faults are"), "{}", text(&output.stderr));
    let output = lastword(&["certify", "server", "--start-wait", "1", "--", "sleep", "60", "{port}"]);
    assert_eq!(code(&output), exit::USAGE);
    assert!(text(&output.stderr).contains("nobody listens after 1 s"), "{}", text(&output.stderr));
    let output = lastword(&["certify", "server", "--", "no-such-command-anywhere", "{port}"]);
    assert_eq!(code(&output), exit::USAGE);
    let output = lastword(&["certify", "server", "--", server]);
    assert!(text(&output.stderr).contains("{port}"), "{}", text(&output.stderr));
}

#[test]
fn a_subject_that_takes_connections_and_answers_none_is_certified_and_passes_nothing() {
    let server = example();
    let server = server.to_str().expect("a plain path");
    let output = lastword(&["certify", "server", "--start-wait", "1", "--", server, "{port}", "ClosesAtOnce"]);
    assert_eq!(code(&output), exit::UNDECIDED, "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains(": 0 PASS, 0 NON_STRICT, 0 failed"), "{}", text(&output.stdout));
}

#[test]
fn known_failures_do_not_fail_and_a_stale_list_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let list = folder.path().join("known.toml");
    let url = format!("ws://127.0.0.1:{}/", serve(Setup { fault: Fault::SecondSessionEnded, ..Setup::default() }));
    let certify = |entries: &str, only: &str| {
        fs::write(&list, entries).expect("it can be written");
        let list = list.to_str().expect("a plain path");
        lastword(&["certify", "server", &url, "--quiet", "--only", only, "--known-failures", list])
    };
    let entry = |id: &str| format!("[[known]]\nid = \"{id}\"\nreason = \"being mended\"\nissue = \"#12\"\n");
    let sentinel = "server/end/second-sentinel";
    let known = certify(&entry(sentinel), sentinel);
    assert_eq!(code(&known), exit::PASS, "{}", text(&known.stdout));
    assert!(text(&known.stdout).contains("known: being mended (#12)"), "{}", text(&known.stdout));
    assert_eq!(code(&certify("", sentinel)), exit::VIOLATION);
    let stale = certify(&entry("server/end/plain"), "server/end/plain");
    assert_eq!(code(&stale), exit::STALE_LIST, "{}", text(&stale.stdout));
    assert_eq!(code(&certify(&entry("server/end/nonsense"), "server/end/plain")), exit::STALE_LIST);
    assert_eq!(code(&certify("[[known]]\nid = 1", "server/end/plain")), exit::USAGE);
    // A violation that nobody lists outranks the stale list.
    assert_eq!(code(&certify(&entry("server/end/plain"), "server/end/*")), exit::VIOLATION);
}

#[test]
fn a_report_that_cannot_be_written_does_not_keep_the_others_from_it_and_is_no_pass() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("ws://127.0.0.1:{}/", serve(Setup::default()));
    let blocker = folder.path().join("blocker");
    fs::write(&blocker, "").expect("it can be written");
    let json = blocker.join("report.json");
    let junit = folder.path().join("junit.xml");
    let output = lastword(&[
        "certify",
        "server",
        &url,
        "--only",
        "server/end/plain",
        "--json",
        json.to_str().expect("plain"),
        "--junit",
        junit.to_str().expect("plain"),
    ]);
    assert_eq!(code(&output), exit::USAGE, "{}", text(&output.stderr));
    assert!(junit.exists());
}
