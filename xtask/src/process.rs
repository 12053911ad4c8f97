//! One program and everything it starts, ended together.
//!
//! Owns process groups, deadlines and the interrupt flag. It must not know what a part or a test is.

use std::io;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use process_wrap::std::{ChildWrapper, CommandWrap};

/// How a program ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// By itself. `left_behind`: members of its process group were still running and were ended.
    Exited { status: ExitStatus, left_behind: bool },
    /// It was still running at the deadline; it and its descendants were ended.
    OverBudget,
    /// The person asked for the end; it and its descendants were ended.
    Interrupted,
}

/// Runs `command` as the leader of a process group of its own until it exits, `deadline` passes or `interrupted` is set.
///
/// Whatever of the group is left is ended before this returns. On Linux also descendants that made a group or session
/// of their own (test runners do), as long as they are still linked to the program when the end is ordered. A daemon that
/// detached itself earlier is not found.
///
/// # Errors
/// The program could not be started or waited for.
pub(crate) fn run_in_group(command: Command, deadline: Instant, interrupted: &AtomicBool) -> io::Result<Ended> {
    let mut wrap = CommandWrap::from(command);
    #[cfg(unix)]
    wrap.wrap(process_wrap::std::ProcessGroup::leader());
    #[cfg(windows)]
    wrap.wrap(process_wrap::std::JobObject);
    let mut child = wrap.spawn()?;
    loop {
        if let Some(status) = child.try_wait()? {
            // The group outlives its leader; an empty one answers "no such process".
            let left_behind = child.start_kill().is_ok();
            return Ok(Ended::Exited { status, left_behind });
        }
        if interrupted.load(Ordering::Relaxed) {
            end_tree(child.as_mut())?;
            return Ok(Ended::Interrupted);
        }
        if Instant::now() >= deadline {
            end_tree(child.as_mut())?;
            return Ok(Ended::OverBudget);
        }
        thread::sleep(POLL);
    }
}

/// A flag that Ctrl-C, a termination request or a hang-up sets.
///
/// # Errors
/// The handler could not be installed (a second call in one process).
pub(crate) fn interrupt_flag() -> Result<&'static AtomicBool> {
    static INTERRUPTED: AtomicBool = AtomicBool::new(false);
    ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Relaxed)).context("cannot handle Ctrl-C")?;
    Ok(&INTERRUPTED)
}

/// Asks the group to end, gives it a moment to end its own children, then ends by force what is left.
fn end_tree(child: &mut dyn ChildWrapper) -> io::Result<()> {
    let descendants = Descendants::of(child.id());
    #[cfg(unix)]
    {
        // A group that is gone already is as good as ended.
        let _ = child.signal(TERMINATE);
        let grace_over = Instant::now() + GRACE;
        while child.try_wait()?.is_none() && Instant::now() < grace_over {
            thread::sleep(POLL);
        }
    }
    // The first list is kept: once their parent is gone, descendants can no longer be found.
    let late = Descendants::of(child.id());
    let _ = child.start_kill();
    descendants.kill();
    late.kill();
    child.wait().map(drop)
}

const POLL: Duration = Duration::from_millis(25);
const GRACE: Duration = Duration::from_secs(5);
#[cfg(unix)]
const TERMINATE: i32 = 15;

#[cfg(not(target_os = "linux"))]
use self::elsewhere::Descendants;
#[cfg(target_os = "linux")]
use self::linux::Descendants;

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    /// Without `/proc` the process group (or job object) is all that is ended.
    pub(super) struct Descendants;

    impl Descendants {
        pub(super) fn of(_pid: u32) -> Self {
            Self
        }

        pub(super) fn kill(&self) {}
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    /// Processes below one process at one moment, each with its start time: a pid alone may have a new owner.
    pub(super) struct Descendants(Vec<Process>);

    #[derive(Clone, Copy)]
    struct Process {
        pid: i32,
        parent: i32,
        started_ticks: u64,
    }

    impl Descendants {
        pub(super) fn of(pid: u32) -> Self {
            let Ok(pid) = i32::try_from(pid) else { return Self(Vec::new()) };
            let mut all: Vec<Process> = fs::read_dir("/proc")
                .into_iter()
                .flatten()
                .flatten()
                .filter_map(|entry| read_process(entry.file_name().to_str()?.parse().ok()?))
                .collect();
            let mut found = Vec::new();
            let mut parents = vec![pid];
            while let Some(parent) = parents.pop() {
                let (children, rest) = all.into_iter().partition(|process| process.parent == parent);
                let children: Vec<Process> = children;
                parents.extend(children.iter().map(|process| process.pid));
                found.extend(children);
                all = rest;
            }
            Self(found)
        }

        pub(super) fn kill(&self) {
            for known in &self.0 {
                if read_process(known.pid).is_some_and(|now| now.started_ticks == known.started_ticks) {
                    // It may end by itself in between; then there is nothing to do.
                    let _ = kill(Pid::from_raw(known.pid), Signal::SIGKILL);
                }
            }
        }
    }

    fn read_process(pid: i32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the program's name in brackets and may itself hold brackets and spaces.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        Some(Process { pid, parent: fields.get(1)?.parse().ok()?, started_ticks: fields.get(19)?.parse().ok()? })
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    static NEVER: AtomicBool = AtomicBool::new(false);

    fn sh(script: &str, dir: &Path) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(dir);
        command
    }

    fn pid_in(file: &Path) -> PathBuf {
        let pid = fs::read_to_string(file).unwrap();
        Path::new("/proc").join(pid.trim())
    }

    /// A process is gone when `/proc` has no entry for it or it only waits to be reaped by somebody else.
    fn is_running(process: &Path) -> bool {
        fs::read_to_string(process.join("stat"))
            .is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X'])))
    }

    fn assert_gone(process: &Path) {
        let patience = Instant::now() + Duration::from_secs(20);
        while is_running(process) {
            assert!(Instant::now() < patience, "{} is still running", process.display());
            thread::sleep(POLL);
        }
    }

    fn in_seconds(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    #[test]
    fn exit_status_is_passed_through() {
        let dir = tempfile::tempdir().unwrap();
        let ended = run_in_group(sh("exit 7", dir.path()), in_seconds(60), &NEVER).unwrap();
        let Ended::Exited { status, left_behind } = ended else { panic!("{ended:?}") };
        assert_eq!(status.code(), Some(7));
        assert!(!left_behind);
    }

    #[test]
    fn over_budget_ends_the_program() {
        let dir = tempfile::tempdir().unwrap();
        let deadline = Instant::now() + Duration::from_millis(100);
        let ended = run_in_group(sh("exec sleep 300", dir.path()), deadline, &NEVER).unwrap();
        assert!(matches!(ended, Ended::OverBudget), "{ended:?}");
    }

    #[test]
    fn the_end_reaches_grandchildren_in_the_group_and_outside_it() {
        let dir = tempfile::tempdir().unwrap();
        // One grandchild in the group, one in a session of its own; both refuse to end politely.
        let script = "sh -c 'trap \"\" TERM; echo $$ > inside; while :; do sleep 1; done' &
                      setsid sh -c 'trap \"\" TERM; echo $$ > outside; while :; do sleep 1; done' &
                      while ! test -s inside || ! test -s outside; do :; done; touch ready; wait";
        let (inside, outside) = (dir.path().join("inside"), dir.path().join("outside"));
        let stop = AtomicBool::new(false);
        let ended = thread::scope(|scope| {
            scope.spawn(|| {
                while !dir.path().join("ready").exists() {
                    thread::sleep(POLL);
                }
                stop.store(true, Ordering::Relaxed);
            });
            run_in_group(sh(script, dir.path()), in_seconds(60), &stop).unwrap()
        });
        assert!(matches!(ended, Ended::Interrupted), "{ended:?}");
        assert_gone(&pid_in(&inside));
        assert_gone(&pid_in(&outside));
    }

    #[test]
    fn a_child_left_behind_is_ended_and_told() {
        let dir = tempfile::tempdir().unwrap();
        let script = "sh -c 'echo $$ > left.tmp; mv left.tmp left; exec sleep 300' & while ! test -f left; do :; done";
        let ended = run_in_group(sh(script, dir.path()), in_seconds(60), &NEVER).unwrap();
        assert!(matches!(ended, Ended::Exited { left_behind: true, .. }), "{ended:?}");
        assert_gone(&pid_in(&dir.path().join("left")));
    }

    #[test]
    fn an_interrupt_ends_the_program() {
        let dir = tempfile::tempdir().unwrap();
        let interrupted = AtomicBool::new(true);
        let ended = run_in_group(sh("exec sleep 300", dir.path()), in_seconds(60), &interrupted).unwrap();
        assert!(matches!(ended, Ended::Interrupted), "{ended:?}");
    }
}
