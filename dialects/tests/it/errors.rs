//! What is wrong in a dialect file is told with file, line and remedy.

use lastword_dialects::{Dialect, DialectErrors};

/// A file that is right, with one line changed.
const RIGHT: &str = r#"dialect = "mine"
title = "mine"
unsupported = ["auth", "confidence", "error_codes", "errors", "flush", "flushed", "idle_timeout", "keepalive", "keepalive_ack", "partials", "progress", "ready", "rejections", "speech_events", "timestamps", "update", "warnings", "words"]

[connect]
path = "/x"

[[client]]
message = "end_of_stream"
send = { json = { type = "end" } }

[[server]]
message = "final"
send = { json = { type = "final", text = "${text}" } }

[[server]]
message = "session_ended"
send = { json = { type = "bye" } }
"#;

fn errors(text: &str) -> DialectErrors {
    Dialect::from_toml("mine.toml", text).expect_err("a file with a fault")
}

/// The right file with `from` replaced: its only error.
fn told(from: &str, to: &str) -> String {
    assert!(RIGHT.contains(from), "{from}");
    errors(&RIGHT.replacen(from, to, 1)).to_string()
}

#[test]
fn the_file_without_fault_reads() {
    Dialect::from_toml("mine.toml", RIGHT).unwrap_or_else(|errors| panic!("{errors}"));
}

#[test]
fn every_fault_has_its_file_line_and_remedy() {
    let faults = [
        ("title = \"mine\"", "title = "),
        ("title = \"mine\"", "titel = \"mine\""),
        ("title = \"mine\"", ""),
        ("dialect = \"mine\"", "dialect = \"My Dialect\""),
        ("\"auth\"", "\"wings\""),
        ("\"auth\"", "\"segments\""),
        ("\"auth\", ", ""),
        ("\"flush\", \"flushed\", ", ""),
        ("\"auth\"", "\"auth\", \"end_of_stream\""),
        ("path = \"/x\"", "path = \"x\""),
        ("path = \"/x\"", "query = { a = \"${colour}\" }"),
        ("path = \"/x\"", "headers = { a = \"${token\" }"),
        ("path = \"/x\"", "http = { path = \"/y\" }"),
        ("path = \"/x\"", "http = { path = \"/y\", socket_url = \"/url\", answer = { url = \"${socket_url}\" } }"),
        ("path = \"/x\"", "http = { path = \"/y\", token = \"/a/b\", answer = { a = \"${uuid}\" } }"),
        ("path = \"/x\"", "http = { path = \"/y\", token = \"/a\", answer = { b = \"${colour}\" } }"),
        (
            "path = \"/x\"",
            "path = \"/x\"\n\n[batch]\npath = \"y\"\njson = { t = \"${texts}\" }\nsegment = { t = \"${text}\" }\nrefusal = {}",
        ),
        (
            "path = \"/x\"",
            "path = \"/x\"\n\n[batch]\npath = \"/x\"\njson = {}\nsegment = {}\nrefusal = { d = \"${text}\" }",
        ),
        ("path = \"/x\"", "path = \"/x\"\n\n[batch]\njson = {}\nsegment = {}\nrefusal = {}"),
        ("[connect]", "[limits]\nidle_ms = 5\n\n[connect]"),
        ("[connect]", "[audio]\nsample_rate_hz = 0\n\n[connect]"),
        ("[connect]", "[audio]\nsample_rate_hz = 4294967295\n\n[connect]"),
        ("[connect]", "[values.colour]\nred = \"rot\"\n\n[connect]"),
        ("[connect]", "[end]\nby = \"close\"\n\n[connect]"),
        ("[connect]", "[end]\nby = \"applause\"\n\n[connect]"),
        ("message = \"end_of_stream\"", "message = \"end\""),
        ("message = \"final\"", "message = \"flush\""),
        ("send = { json = { type = \"end\" } }", ""),
        ("send = { json = { type = \"end\" } }", "send = { jason = {} }"),
        ("send = { json = { type = \"end\" } }", "send = { binary = \"${token}\" }"),
        ("send = { json = { type = \"end\" } }", "send = { close = 99 }"),
        ("send = { json = { type = \"end\" } }", "send = { json = { token = \"${token}\" } }"),
        ("send = { json = { type = \"end\" } }", "send = { text = \"${uuid}\" }"),
        ("send = { json = { type = \"end\" } }", "send = [{ text = \"a\" }, { text = \"b\" }]"),
        ("send = { json = { type = \"end\" } }", "when = { type = \"end\" }"),
        ("send = { json = { type = \"end\" } }", "when = { \"/type\" = { like = \"end\" } }"),
        ("send = { json = { type = \"end\" } }", "when = { \"/type\" = { prefix = \"end\" } }"),
        ("send = { json = { type = \"end\" } }", "when = { text = \"x\", \"/type\" = \"end\" }"),
        ("send = { json = { type = \"end\" } }", "when = { first = 1 }\nsend = { text = \"x\" }"),
        ("text = \"${text}\"", "text = \"${txt}\""),
        ("text = \"${text}\"", "text = \"${words}\""),
        ("text = \"${text}\"", "other = 1"),
        ("text = \"${text}\" } }", "text = \"${text}\" } }\ntake = { text = \"text\" }"),
        ("text = \"${text}\" } }", "text = \"${text}\" } }\ntake = { text = \"/text\", colour = \"/x\" }"),
        ("text = \"${text}\" } }", "text = \"${text}\" } }\ntake = { text = { each = \"/x\", value = \"/y\" } }"),
        ("text = \"${text}\" } }", "text = \"${text}\" } }\ntake = { text = { every = \"/x\" } }"),
        (
            "text = \"${text}\" } }",
            "text = \"${text}\" } }\ntake = { text = \"/t\", start_s = \"/a\", start_ms = \"/b\" }",
        ),
        ("text = \"${text}\" } }", "text = \"${text}\" } }\ntake = { text = \"/t\", words = \"/words\" }"),
        ("text = \"${text}\" } }", "text = \"${text}\" } }\nappend = true"),
        ("text = \"${text}\" } }", "text = \"${text}\" } }\nset = { confidence = \"high\" }"),
        ("message = \"final\"\nsend", "message = \"window\"\nsend"),
        (
            "message = \"final\"\nsend = { json = { type = \"final\", text = \"${text}\" } }",
            "message = \"window\"\nwhen = { \"/s\" = { exists = true } }\nwindow = { each = \"/s\", key = \"/k\", take = { text = \"/t\" } }",
        ),
        (
            "message = \"final\"\nsend = { json = { type = \"final\", text = \"${text}\" } }",
            "message = \"tokens\"\nwhen = { \"/s\" = { exists = true } }\ntokens = { each = \"/s\", take = { word = \"/t\" } }",
        ),
        ("title = \"mine\"", "title = \"mine\"\nfinals = \"snapshot\""),
        ("title = \"mine\"", "title = \"mine\"\nnative = true"),
    ];
    let mut all = String::new();
    for (from, to) in faults {
        all.push_str(&format!(
            "{}\n=> {}\n\n",
            if to.is_empty() { format!("without {from}") } else { to.to_owned() },
            told(from, to)
        ));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn several_faults_are_told_together_in_the_order_of_their_lines() {
    let text =
        RIGHT.replace("${text}", "${txt}").replace("\"/x\"", "\"x\"").replace("type = \"bye\"", "type = \"${bye}\"");
    let found = errors(&text);
    assert_eq!(found.0.iter().map(|error| error.line).collect::<Vec<_>>(), [6, 14, 18]);
    assert!(found.0.iter().all(|error| error.file == "mine.toml" && !error.path.is_empty()));
    assert_eq!(found.to_string().lines().count(), 3);
}
