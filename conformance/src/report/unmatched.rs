//! Owns what a report says of a client's messages that the dialect has no rule for. Reads the traces; judges nothing: where such
//! messages come, it is the dialect or the client that is another than was thought.

use std::collections::{BTreeMap, BTreeSet};

use lastword_spec::trace::{EventKind, Side, Trace};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::NO_MESSAGE;
use crate::redact::Redactor;

/// How much of an example is shown, in characters.
const SHOWN: usize = 160;

/// Messages of one sort that no rule of the dialect matched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnmatchedReport {
    /// How many there were, in all cases together.
    pub count: u64,
    /// In how many cases.
    pub cases: u64,
    /// The first of them, as it came; of a binary message its length.
    pub example: String,
    /// Why no rule took it.
    pub why: String,
}

/// The sorts of such messages in these traces, the most frequent first.
pub(super) fn unmatched<'t>(traces: impl Iterator<Item = &'t Trace>, redactor: &Redactor) -> Vec<UnmatchedReport> {
    let mut found: BTreeMap<String, UnmatchedReport> = BTreeMap::new();
    for trace in traces {
        let mut here: BTreeSet<String> = BTreeSet::new();
        let mut why: BTreeMap<u32, &str> = BTreeMap::new();
        for event in &trace.events {
            if let EventKind::Note(note) = &event.kind {
                let told = note.strip_prefix(NO_MESSAGE).and_then(|rest| rest.split_once(": "));
                why.extend(told.map(|(_, told)| (event.conn, told)));
                continue;
            }
            let Some(why) = why.remove(&event.conn) else { continue };
            let (sort, example) = match &event.kind {
                EventKind::Text { from: Side::Client, text } => (sort_of(text), shown(&redactor.redact(text))),
                EventKind::Audio { from: Side::Client, bytes, .. } => {
                    ("binary".to_owned(), format!("a binary message of {bytes} bytes"))
                }
                _ => continue,
            };
            let is_new = here.insert(sort.clone());
            let one = found.entry(sort).or_insert_with(|| UnmatchedReport {
                count: 0,
                cases: 0,
                example,
                why: redactor.redact(why),
            });
            one.count += 1;
            one.cases += u64::from(is_new);
        }
    }
    let mut all: Vec<UnmatchedReport> = found.into_values().collect();
    all.sort_by_key(|one| std::cmp::Reverse(one.count));
    all
}

/// What messages of one sort have in common: their members, and their `type` where they have one.
fn sort_of(text: &str) -> String {
    match serde_json::from_str(text) {
        Ok(Value::Object(members)) => {
            let names: Vec<&str> = members.keys().map(String::as_str).collect();
            let kind = members.get("type").and_then(Value::as_str).unwrap_or_default();
            format!("{kind} {}", names.join(" "))
        }
        Ok(_) | Err(_) => format!("text {text}"),
    }
}

fn shown(text: &str) -> String {
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    text.chars().take(SHOWN).chain("..".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_without_a_rule_are_counted_by_their_sort_and_no_others() {
        let text = concat!(
            "{\"lastword_trace\":1,\"subject\":\"client\"}\n",
            "{\"t_us\":1,\"conn\":0,\"note\":\"no message of d: no rule\"}\n",
            "{\"t_us\":2,\"conn\":0,\"from\":\"client\",\"text\":\"{\\\"type\\\":\\\"eos\\\",\\\"n\\\":1}\"}\n",
            "{\"t_us\":3,\"conn\":0,\"from\":\"client\",\"text\":\"{\\\"type\\\":\\\"end_of_stream\\\"}\"}\n",
            "{\"t_us\":4,\"conn\":1,\"note\":\"no message of d: no rule\"}\n",
            "{\"t_us\":5,\"conn\":1,\"from\":\"client\",\"text\":\"{\\\"type\\\":\\\"eos\\\",\\\"n\\\":2}\"}\n",
        );
        let trace = lastword_spec::trace::read(text).expect("a trace");
        let told = unmatched([&trace, &trace].into_iter(), &Redactor::new(&[]));
        let example = "{\"type\":\"eos\",\"n\":1}".to_owned();
        assert_eq!(told, [UnmatchedReport { count: 4, cases: 2, example, why: "no rule".to_owned() }]);
    }
}
