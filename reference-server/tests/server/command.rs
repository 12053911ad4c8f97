//! The program itself: what it prints, and how it ends.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn server(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_lastword-server"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

#[test]
fn it_prints_where_it_listens_and_ends_well_when_asked_to() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut child = server(&["--listen", "127.0.0.1:0", "--recognizer", "scripted"]);
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let port = line.strip_prefix("listening on ws://127.0.0.1:").and_then(|rest| rest.split('/').next());
        assert!(port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0)), "{line}");
        assert!(line.ends_with("/v1/listen (recognizer scripted, model scripted)\n"), "{line}");
        kill(Pid::from_raw(child.id() as i32), signal).expect("it runs");
        assert!(child.wait().expect("it ends").success());
    }
}

#[test]
fn what_it_cannot_keep_it_refuses_in_one_line() {
    for (arguments, named) in [
        (&["--recognizer", "scripted", "--keepalive-interval-ms", "20000"][..], "keepalive_interval_ms"),
        (&["--recognizer", "scripted", "--progress-interval-ms", "100"], "progress_interval_ms"),
        (&["--recognizer", "scripted", "--cost-ms-per-segment", "9000", "--max-step-ms", "8000"], "max_step_ms"),
        (&["--recognizer", "scripted", "--model", "x.bin"], "--model"),
        (&["--recognizer", "scripted", "--token", " "], "token"),
        (&["--recognizer", "scripted", "--listen", "256.0.0.1:1"], "--listen"),
        (&["--cost-ms-per-segment", "1"], "--recognizer scripted"),
    ] {
        let mut child = server(arguments);
        let mut said = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
        assert_eq!(child.wait().expect("it ends").code(), Some(1), "{arguments:?}: {said}");
        assert!(said.starts_with("lastword-server: ") && said.contains(named) && said.lines().count() == 1, "{said}");
    }
}
