//! How `lastword certify client` starts a command, gives it its input and ends it: the places of a command line, the variables, each
//! way in which the end of an input can be known, and what a client leaves behind. As processes, with a shell around the client of the
//! tests that writes down what it was given; what a client is convicted of is `certify_client`'s business.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use lastword::exit;
use lastword_spec::trace::{EventKind, InputEnd, InputEnded};
use quick_junit::{NonSuccessKind, TestCaseStatus};

use crate::certify_client::{certify, example};
use crate::command::{code, lastword, text};

const IDEAL: &str = "client/end/ideal";
const PLACES: [&str; 6] = ["url", "http_url", "host", "port", "audio", "case"];

/// What `client/end/ideal` gives a client to say, and what an own file of these tests holds.
const GIVEN_MS: u64 = 3_000;
const OWN_MS: u64 = 2_000;
const BYTES_PER_MS: u64 = 32;

/// Certifies a shell script in the one case; `$0` is the folder of the test, `$1` the client and the rest what follows here.
fn certify_script(folder: &Path, options: &[&str], script: &str, rest: &[&str]) -> Output {
    let (client, folder) = (example("client-mutants"), folder.to_string_lossy());
    let command = [&["sh", "-c", script, &*folder, client.as_str()], rest].concat();
    certify(&[&["--only", IDEAL], options].concat(), &command)
}

/// What each process of a script wrote down in the folder.
fn written(folder: &Path, start: &str) -> Vec<String> {
    let files = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = files.filter(|file| name(file).starts_with(start)).collect();
    files.sort();
    files.iter().map(|file| fs::read_to_string(file).expect("text")).collect()
}

fn name(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

fn variables(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.split_once('=')).collect()
}

/// The end of the client's input, as the trace of the case has it.
fn input_ended(logs: &Path) -> Option<InputEnded> {
    let trace = fs::read_to_string(logs.join("client.end.ideal.jsonl")).expect("the trace");
    let trace = lastword_spec::trace::read(&trace).expect("it is a trace");
    trace.events.iter().find_map(|event| match event.kind {
        EventKind::InputEnded(ended) => Some(ended),
        _ => None,
    })
}

/// A file with silence of its own, which the harness knows nothing of.
fn own_wav(folder: &Path) -> String {
    let mut wav = wav_header(OWN_MS);
    wav.resize(wav.len() + usize::try_from(OWN_MS * BYTES_PER_MS).expect("it is short"), 0);
    let path = folder.join("own.wav");
    fs::write(&path, wav).expect("it can be written");
    path.to_string_lossy().into_owned()
}

/// What stands before the samples of a WAV file, 16 kHz mono s16le.
fn wav_header(audio_ms: u64) -> Vec<u8> {
    let bytes = u32::try_from(audio_ms * BYTES_PER_MS).expect("it is short");
    let word = |value: u32| value.to_le_bytes();
    let half = |value: u16| value.to_le_bytes();
    let parts: [&[u8]; 13] = [
        b"RIFF",
        &word(bytes + 36),
        b"WAVE",
        b"fmt ",
        &word(16),
        &half(1),
        &half(1),
        &word(16_000),
        &word(32_000),
        &half(2),
        &half(16),
        b"data",
        &word(bytes),
    ];
    parts.concat()
}

#[test]
fn every_place_of_the_command_and_every_variable_says_where_the_server_is_and_what_there_is_to_say() {
    let folder = tempfile::tempdir().expect("a folder");
    // By the variables it dials; what stands in the places must be the same.
    let script = r#"
        client=$1; shift
        { printf '%s\n' "$@"; env | grep '^LASTWORD_'; } > "$0/told.$$"
        exec "$client" "$LASTWORD_URL" --audio "$LASTWORD_AUDIO"
    "#;
    let places = PLACES.map(|place| format!("{place}={{{place}}}"));
    let mut rest: Vec<&str> = places.iter().map(String::as_str).collect();
    rest.extend(["both={host}:{port}", "no_place={nobody}{}"]);
    let output = certify_script(folder.path(), &["--path", "/some/where"], script, &rest);
    assert_eq!(code(&output), exit::PASS, "{}", text(&output.stdout));
    let told = written(folder.path(), "told.");
    assert!(told.len() >= 2, "the session before the cases and the case: {told:?}");
    let mut ports = Vec::new();
    for one in &told {
        let told = variables(one);
        for place in PLACES {
            let variable = format!("LASTWORD_{}", place.to_uppercase());
            assert_eq!(told.get(place), told.get(variable.as_str()), "{place}: {one}");
        }
        let (host, port) = (told["host"], told["port"]);
        assert_eq!(host, "127.0.0.1");
        assert_eq!(told["both"], format!("{host}:{port}"));
        assert_eq!(told["url"], format!("ws://{host}:{port}/some/where"));
        assert_eq!(told["http_url"], format!("http://{host}:{port}"));
        assert_eq!(told["case"], IDEAL);
        assert!(told["audio"].ends_with(".wav"), "{one}");
        assert_eq!(told["no_place"], "{nobody}{}", "what is no place is the command's own");
        assert!(!told.contains_key("LASTWORD_CA"), "nothing dials by TLS: {one}");
        ports.push(port.parse::<u16>().expect("a port"));
    }
    ports.dedup();
    assert_eq!(ports.len(), told.len(), "each process has a server of its own");
}

#[test]
fn a_client_of_wss_is_told_of_the_root_in_its_place_and_in_every_variable_that_libraries_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = r#"
        client=$2
        { printf '%s\n' "$3" "$4" "$5"; env; echo "head=$(head -n 1 "$LASTWORD_CA")"; } > "$0/told.$$"
        exec "$client"
    "#;
    let sdk = example("client-sdk");
    let rest = [sdk.as_str(), "ca={ca}", "url={url}", "http_url={http_url}"];
    let output = certify_script(folder.path(), &["--tls", "--driver"], script, &rest);
    assert_eq!(code(&output), exit::PASS, "{}", text(&output.stdout));
    let told = written(folder.path(), "told.");
    assert!(!told.is_empty());
    for one in &told {
        let told = variables(one);
        for variable in ["LASTWORD_CA", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE"] {
            assert_eq!(told.get(variable), Some(&told["ca"]), "{variable}: {one}");
        }
        assert_eq!(told["head"], "-----BEGIN CERTIFICATE-----");
        assert!(told["url"].starts_with("wss://") && told["http_url"].starts_with("https://"), "{one}");
        assert_eq!((told["LASTWORD_URL"], told["LASTWORD_HTTP_URL"]), (told["url"], told["http_url"]));
    }
}

/// Certifies a script that is right, and the same with the fault that it never says the end. Both times the harness must know of the
/// end by the same: the one passes, the other owes the sentinel since then.
fn known_by(known_by: InputEnd, audio_ms: u64, options: &[&str], script: &str, folder: &Path, rest: &[&str]) {
    let logs = folder.join("logs");
    let told = logs.to_string_lossy();
    let options = [options, &["--log-dir", &told]].concat();
    let right = certify_script(folder, &options, script, rest);
    assert_eq!(code(&right), exit::PASS, "{}", text(&right.stdout));
    assert_eq!(input_ended(&logs), Some(InputEnded { known_by, audio_ms: Some(audio_ms) }));
    let broken = certify_script(folder, &options, script, &[rest, &["--mutant", "never-ends"]].concat());
    let report = text(&broken.stdout);
    assert_eq!(code(&broken), exit::VIOLATION, "{report}");
    assert!(report.contains("UNBOUNDED_WAIT: client sent no end_of_stream although its input ended at"), "{report}");
    assert_eq!(input_ended(&logs), Some(InputEnded { known_by, audio_ms: Some(audio_ms) }));
}

#[test]
fn the_end_of_an_input_is_known_by_the_file_that_the_command_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = r#"exec "$@""#;
    known_by(InputEnd::File, GIVEN_MS, &[], script, folder.path(), &["{url}", "--audio", "{audio}"]);
}

#[test]
fn the_end_of_an_input_is_known_by_the_end_of_a_wav_on_standard_input() {
    let folder = tempfile::tempdir().expect("a folder");
    // It begins when it has all of it, and has nothing to wait for then.
    let script = r#"
        client=$1; url=$2; shift 2
        cat > "$0/heard.$$"
        exec "$client" "$url" --audio "$0/heard.$$" --pace 100 "$@"
    "#;
    known_by(InputEnd::Stdin, GIVEN_MS, &["--stdin", "wav"], script, folder.path(), &["{url}"]);
    for file in heard(folder.path()) {
        let header = wav_header(GIVEN_MS);
        assert_eq!(&file[..header.len()], &header, "a WAV file whose header says how long it is");
        assert_eq!(file.len() - header.len(), usize::try_from(GIVEN_MS * BYTES_PER_MS).expect("it is short"));
    }
}

#[test]
fn the_end_of_an_input_is_known_by_the_end_of_bare_samples_on_standard_input() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("header"), wav_header(GIVEN_MS)).expect("it can be written");
    let script = r#"
        client=$1; url=$2; shift 2
        cat > "$0/heard.$$"
        cat "$0/header" "$0/heard.$$" > "$0/whole.$$"
        exec "$client" "$url" --audio "$0/whole.$$" --pace 100 "$@"
    "#;
    known_by(InputEnd::Stdin, GIVEN_MS, &["--stdin", "pcm"], script, folder.path(), &["{url}"]);
    for file in heard(folder.path()) {
        assert_eq!(file.len(), usize::try_from(GIVEN_MS * BYTES_PER_MS).expect("it is short"));
        assert!(!file.starts_with(b"RIFF"), "samples and nothing else");
    }
}

/// What came on the standard input of each process that read all of it.
fn heard(folder: &Path) -> Vec<Vec<u8>> {
    let files = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path());
    let heard: Vec<Vec<u8>> = files
        .filter(|file| name(file).starts_with("heard."))
        .map(|file| fs::read(file).expect("it can be read"))
        .collect();
    assert!(heard.len() >= 4, "a session and a case of two clients");
    heard
}

#[test]
fn the_end_of_an_input_is_known_by_the_length_that_was_stated() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = own_wav(folder.path());
    let rest = ["{url}", "--audio", own.as_str()];
    known_by(InputEnd::Stated, OWN_MS, &["--stream-ms", "2000"], r#"exec "$@""#, folder.path(), &rest);
}

#[test]
fn where_nothing_tells_when_the_input_ended_a_missing_sentinel_is_inconclusive_and_blames_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = own_wav(folder.path());
    let logs = folder.path().join("logs");
    let options = ["--max-wait", "6", "--log-dir", &logs.to_string_lossy()];
    let rest = ["{url}", "--audio", own.as_str(), "--mutant", "never-ends"];
    let output = certify_script(folder.path(), &options, r#"exec "$@""#, &rest);
    let report = text(&output.stdout);
    assert_eq!(code(&output), exit::UNDECIDED, "{report}");
    let why = "input end unknown: give the command {audio}, --stdin or --stream-ms, or a driver";
    assert!(report.contains("INCONCLUSIVE client/end/ideal") && report.contains(why), "{report}");
    assert!(report.contains(" 0 failed") && !report.contains("UNBOUNDED_WAIT"), "{report}");
    assert_eq!(input_ended(&logs), None);
}

#[test]
fn the_junit_file_of_a_client_says_of_every_case_what_the_page_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("junit.xml");
    let client = example("client-mutants");
    let cases = ["client/calls/cancel", IDEAL, "client/errors/fatal"];
    let only: Vec<&str> = cases.iter().flat_map(|case| ["--only", *case]).collect();
    let path = file.to_string_lossy();
    let options = [&only[..], &["--junit", &path]].concat();
    let command = [client.as_str(), "{url}", "--audio", "{audio}", "--mutant", "never-ends"];
    let output = certify(&options, &command);
    assert_eq!(code(&output), exit::VIOLATION, "{}", text(&output.stdout));
    let xml = fs::read_to_string(&file).expect("the file");
    let junit = quick_junit::Report::deserialize_from_str(&xml).expect("well-formed XML");
    assert_eq!(junit.name.as_deref(), Some("lastword certify client"));
    let found: BTreeMap<&str, &TestCaseStatus> = junit
        .test_suites
        .iter()
        .flat_map(|suite| &suite.test_cases)
        .map(|case| (case.name.as_str(), &case.status))
        .collect();
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), cases, "{xml}");
    let TestCaseStatus::NonSuccess { kind: NonSuccessKind::Failure, message: Some(message), .. } = found[IDEAL] else {
        panic!("it never ended: {xml}")
    };
    assert!(message.as_str().contains("END-C1") && message.as_str().contains("each waits for the other"), "{xml}");
    // A client of which no session completes passes nothing.
    let TestCaseStatus::NonSuccess { kind: NonSuccessKind::Error, message: Some(message), .. } =
        found["client/errors/fatal"]
    else {
        panic!("it proves nothing: {xml}")
    };
    assert!(message.as_str().contains("no session of it ever completed"), "{xml}");
    assert!(matches!(found["client/calls/cancel"], TestCaseStatus::Skipped { .. }), "{xml}");
}

#[test]
fn what_a_client_started_and_left_behind_ends_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = r#"
        sleep 600 & echo $! > "$0/left.$$"
        exec "$@"
    "#;
    let output = certify_script(folder.path(), &[], script, &["{url}", "--audio", "{audio}"]);
    assert_eq!(code(&output), exit::PASS, "the client itself ended as it should: {}", text(&output.stdout));
    let left = written(folder.path(), "left.");
    assert!(left.len() >= 2, "{left:?}");
    for pid in left.iter().map(|pid| pid.trim()) {
        // Who is ended is gone when its parent has taken notice, which is the system's first process by now.
        let deadline = Instant::now() + Duration::from_secs(60);
        while lives(pid) {
            assert!(Instant::now() < deadline, "process {pid} outlived the harness");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Whether there is a process of this number that is not only waiting to be taken notice of.
pub(crate) fn lives(pid: &str) -> bool {
    let kill = Command::new("kill").args(["-0", pid]).stderr(std::process::Stdio::null()).status();
    let is_dead = fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "));
    kill.expect("kill runs").success() && !is_dead
}

#[test]
fn a_command_has_one_way_to_say_when_its_input_ends() {
    for ways in [["--stdin", "wav", "--stream-ms", "9"], ["--driver", "--stdin", "pcm", "--quiet"]] {
        let output = lastword(&[&["certify", "client"], &ways[..], &["--", "true"]].concat());
        assert_eq!(code(&output), exit::USAGE, "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("cannot be used with"), "{}", text(&output.stderr));
    }
}
