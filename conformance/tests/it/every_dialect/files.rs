//! A dialect file that is wrong, given to the commands: they tell it before anything is started, with file, line and member.

use lastword::exit;

use crate::command::{code, lastword, text};

#[test]
fn a_wrong_file_is_told_with_its_lines_by_the_commands_and_nothing_is_started() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, started) = (folder.path().join("mine.toml"), folder.path().join("started"));
    let [path, started_path] = [&file, &started].map(|path| path.to_str().expect("a plain path").to_owned());
    let wrong = "dialect = \"mine\"\ntitle = \"mine\"\nunsupported = [\"flsh\"]\n\n[[server]]\nmessage = \"final\"\n\
                 send = { json = { t = \"${txt}\" } }\n";
    std::fs::write(&file, wrong).expect("it can be written");
    for (subject, dialect, expected) in [
        (
            "server",
            path.as_str(),
            &["mine.toml:3", "`unsupported[0]`", "no capability has this name", "mine.toml:7", "${txt}"][..],
        ),
        ("client", &path, &["mine.toml:3", "mine.toml:7", "there is no `${txt}` in a `final`"]),
        ("server", "no-such-dialect", &["no-such-dialect", "whisper-fastapi", "smallest-pulse"]),
        ("client", "/nowhere/mine.toml", &["/nowhere/mine.toml", "no file that can be read"]),
    ] {
        let output = lastword(&["certify", subject, "--dialect", dialect, "--", "touch", &started_path]);
        let told = text(&output.stderr);
        assert_eq!(code(&output), exit::USAGE, "{told}");
        for part in expected {
            assert!(told.contains(part), "{part} is not in: {told}");
        }
        assert!(text(&output.stdout).is_empty() && !started.exists(), "{subject} {dialect}");
    }
}
