//! Owns the tables and diagrams that stand in the prose between `<!-- generated: NAME -->` and `<!-- /generated -->`.
//! Knows nothing of files: it takes the text of one page and gives it back with every marked part filled in.

use crate::error_code::{ERROR_CODES, Fatality};
use crate::finding::FindingKind;
use crate::limits::LIMITS;
use crate::registry::RequirementId;
use crate::table::{
    Answer, Bound, CLIENT_ROWS, CLIENT_SENDS, ClientInput, DEBTS, Row, SERVER_ROWS, ServerInput, State,
};
use std::fmt::Write as _;

const OPEN: &str = "<!-- generated: ";
const CLOSE: &str = "<!-- /generated -->";

/// The page with every generated part filled in. `messages` is the text of the part of that name, which comes from the schemas.
/// `Err` names a marker that is unknown or not closed.
pub fn fill_prose(page: &str, messages: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = page;
    while let Some(at) = rest.find(OPEN) {
        let (before, marked) = rest.split_at(at);
        let (name, _) =
            marked[OPEN.len()..].split_once(" -->").ok_or("a `<!-- generated: ` marker is not closed by ` -->`")?;
        let end = marked.find(CLOSE).ok_or_else(|| format!("`{OPEN}{name} -->` has no `{CLOSE}`"))?;
        let body = part(name, messages).ok_or_else(|| format!("nothing generates `{name}`"))?;
        let _ = write!(out, "{before}{OPEN}{name} -->\n\n{body}\n{CLOSE}");
        rest = &marked[end + CLOSE.len()..];
    }
    out.push_str(rest);
    Ok(out)
}

fn part(name: &str, messages: &str) -> Option<String> {
    match name {
        "messages" => Some(messages.to_owned()),
        "states" => Some(states()),
        "findings" => Some(findings()),
        "limits" => Some(limits()),
        "error-codes" => Some(error_codes()),
        _ => None,
    }
}

fn findings() -> String {
    let mut out = String::from("| finding | verdict | meaning |\n|---|---|---|\n");
    for kind in FindingKind::ALL {
        let _ = writeln!(out, "| {kind} | {} | {} |", kind.verdict(), kind.meaning());
    }
    out
}

fn limits() -> String {
    let mut out = String::from("| limit | default | minimum | meaning |\n|---|---|---|---|\n");
    for limit in LIMITS {
        let _ = writeln!(out, "| `{}` | {} | {} | {} |", limit.name, limit.default, limit.minimum, limit.doc);
    }
    out
}

fn error_codes() -> String {
    let mut out = String::from("| code | fatal | close code | retryable | meaning |\n|---|---|---|---|---|\n");
    for code in ERROR_CODES {
        let close = code.close.map_or_else(|| "none".to_owned(), |close| close.0.to_string());
        let fatal = match code.fatality {
            Fatality::Fatal => "yes",
            Fatality::NonFatal => "no",
            Fatality::NonFatalUsually => "only where the text says so",
        };
        let retryable = if code.retryable { "yes" } else { "no" };
        let _ = writeln!(out, "| `{}` | {fatal} | {close} | {retryable} | {} |", code.code, code.doc());
    }
    out
}

fn states() -> String {
    let mut out = String::from("## 14.1 The path of a session\n\n");
    out.push_str("Seen by the server (left out: what changes nothing, and Close and loss, which lead to Closed from everywhere):\n\n");
    let server = moves(SERVER_ROWS, |input| {
        (!matches!(input, ServerInput::Close | ServerInput::Loss)).then(|| input.as_str().to_owned())
    });
    out.push_str(&diagram(&server));
    out.push_str("\nSeen by the client:\n\n");
    let mut client = moves(CLIENT_SENDS, |input| Some(format!("sends {}", input.as_str())));
    client.extend(moves(CLIENT_ROWS, |input| {
        (!matches!(input, ClientInput::Close | ClientInput::Loss)).then(|| input.as_str().to_owned())
    }));
    out.push_str(&diagram(&client));
    out.push_str(
        "\n## 14.2 Who owes what\n\n| state | who | owes | from | within | because |\n|---|---|---|---|---|---|\n",
    );
    for debt in DEBTS {
        let within = match debt.within {
            Bound::Limit(name) => format!("`{name}`"),
            Bound::Extensible(name) => format!("`{name}`, restarted by progress"),
            Bound::Fixed(ms) => format!("{ms} ms"),
        };
        let (state, who) = (debt.state.as_str(), debt.debtor.as_str());
        let _ = writeln!(out, "| {state} | {who} | {} | {} | {within} | {} |", debt.what, debt.since, cite(debt.ids));
    }
    out.push_str("\n## 14.3 The server\n\n");
    out.push_str("`error` stands for a non-fatal one unless it says fatal; \"the first time\" means once a session; \"by cause\" means the code that names what was refused.\n\n");
    out.push_str(&legend(ServerInput::ALL, ServerInput::as_str, ServerInput::meaning));
    out.push_str(&rows(SERVER_ROWS, ServerInput::as_str));
    out.push_str("\n## 14.4 The client\n\n");
    out.push_str(&legend(ClientInput::ALL, ClientInput::as_str, ClientInput::meaning));
    out.push_str(&rows(CLIENT_ROWS, ClientInput::as_str));
    out.push_str("\nWhat a client may send of its own accord, besides a Close, which is legal everywhere; in any other state it is the client's violation:\n\n");
    out.push_str("| state | message | next | because |\n|---|---|---|---|\n");
    for row in CLIENT_SENDS {
        let (state, next) = (row.state.as_str(), row.next.as_str());
        let _ = writeln!(out, "| {state} | {} | {next} | {} |", row.input.as_str(), cite(row.ids));
    }
    out
}

/// The rows that lead on, with a label each; rows without a label are left out.
fn moves<I: Copy>(rows: &[Row<I>], label: impl Fn(I) -> Option<String>) -> Vec<(State, State, String)> {
    let leads_on = rows.iter().filter(|row| row.next != row.state);
    leads_on.filter_map(|row| Some((row.state, row.next, label(row.input)?))).collect()
}

fn diagram(moves: &[(State, State, String)]) -> String {
    let mut out = String::from("```mermaid\nstateDiagram-v2\n    [*] --> AwaitConfig\n");
    for &from in State::ALL {
        for &to in State::ALL {
            let between = moves.iter().filter(|(a, b, _)| (*a, *b) == (from, to));
            let labels: Vec<_> = between.map(|(_, _, label)| label.as_str()).collect();
            if !labels.is_empty() {
                let _ = writeln!(out, "    {} --> {}: {}", from.as_str(), to.as_str(), labels.join(", "));
            }
        }
    }
    out.push_str("    Ended --> Closed: Close\n    Closed --> [*]\n```\n");
    out
}

fn legend<I: Copy>(all: &[I], label: fn(I) -> &'static str, meaning: fn(I) -> &'static str) -> String {
    let mut out = String::from("| input | meaning |\n|---|---|\n");
    for &input in all {
        let _ = writeln!(out, "| {} | {} |", label(input), meaning(input));
    }
    out.push('\n');
    out
}

fn rows<I: Copy>(rows: &[Row<I>], label: fn(I) -> &'static str) -> String {
    let mut out = String::from("| state | input | answer | next | because |\n|---|---|---|---|---|\n");
    for row in rows {
        let (state, next) = (row.state.as_str(), row.next.as_str());
        let _ =
            writeln!(out, "| {state} | {} | {} | {next} | {} |", label(row.input), answer(row.answer), cite(row.ids));
    }
    out
}

/// What the answer column says, in words.
fn answer(answer: Answer) -> String {
    let plain = match answer {
        Answer::CountMayReject(code) => return format!("counted as rejected; may be answered `error` {code}"),
        Answer::RejectOnce(code) => return format!("counted as rejected; the first time `error` {code}"),
        Answer::Reject(code) => return format!("`error` {code}"),
        Answer::Fatal(code) => return format!("fatal `error` {code}"),
        Answer::Nothing => "nothing",
        Answer::Accept => "accepted",
        Answer::Wait => "waits for `ready`",
        Answer::OweReady => "owes `ready`",
        Answer::SendReady => "`ready`",
        Answer::OweFlushed => "owes `flushed`",
        Answer::UpdatedOrError => "`updated`, or `error` with the id",
        Answer::OweKeepaliveAck => "owes `keepalive_ack`",
        Answer::OweSessionEnded => "owes finals and `session_ended`",
        Answer::FatalByCause => "fatal `error` by cause",
        Answer::SendSessionEnded => "`session_ended`, then Close",
        Answer::EchoClose => "Close",
        Answer::Discard => "discarded",
        Answer::Deliver => "delivered",
        Answer::Note => "noted",
        Answer::Violation => "a violation by the server",
    };
    plain.to_owned()
}

fn cite(ids: &[RequirementId]) -> String {
    ids.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filled_page_stays_as_it_is_when_filled_again() {
        let once = fill_prose("a\n<!-- generated: findings -->\n<!-- /generated -->\nb\n", "").unwrap();
        assert!(once.contains("| STALLED | FAIL |"));
        assert_eq!(fill_prose(&once, "").unwrap(), once);
    }

    #[test]
    fn an_unknown_or_open_marker_is_an_error() {
        assert!(fill_prose("<!-- generated: nonsense -->\n<!-- /generated -->", "").unwrap_err().contains("nonsense"));
        assert!(fill_prose("<!-- generated: states -->\n", "").unwrap_err().contains("has no"));
    }
}
