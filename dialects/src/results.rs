//! From a service's results to segments: numbers, revisions, what is new in a final, windows and tokens. Owns the state that this
//! needs; it knows no frames and no rules but the two reducers.

use std::collections::BTreeMap;

use lastword_spec::message::{Final, Partial, Probability, Word};
use serde_json::Value;

use crate::file::{Commit, Finals};
use crate::rule::{TokensRule, with_end};

/// What one result came to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    Partial(Partial, Vec<String>),
    /// `on_wire` is false where the service did not say that it is final.
    Final {
        result: Final,
        synthesised: Vec<String>,
        on_wire: bool,
    },
    /// The marker that answers a flush.
    Flushed,
    Note(String),
}

/// The segments of one session.
#[derive(Clone, Debug)]
pub(crate) struct Results {
    finals: Finals,
    next_id: u64,
    open: BTreeMap<String, Segment>,
    /// Keys of segments that the service told and that have their final, with their number.
    closed: BTreeMap<String, u64>,
    /// Everything said in finals, and in finals since the utterance began.
    said: Vec<String>,
    utterance: Vec<String>,
    last_key: Option<String>,
    last_end_ms: u64,
    final_tokens: Vec<Value>,
}

#[derive(Clone, Debug, Default)]
struct Segment {
    id: u64,
    revision: u64,
    raw_text: String,
    shown: String,
    start_ms: Option<u64>,
    end_ms: Option<u64>,
    /// As a window showed it last.
    object: Option<Value>,
}

impl Results {
    pub(crate) fn new(finals: Finals) -> Self {
        Self {
            finals,
            next_id: 0,
            open: BTreeMap::new(),
            closed: BTreeMap::new(),
            said: Vec::new(),
            utterance: Vec::new(),
            last_key: None,
            last_end_ms: 0,
            final_tokens: Vec::new(),
        }
    }

    /// Takes a partial: an object with v1's members, as far as the wire told them. `audio_ms` is the audio sent so far.
    pub(crate) fn partial(&mut self, object: Value, append: bool, audio_ms: u64) -> Vec<Told> {
        let object = with_end(object);
        let mut told = Vec::new();
        let key = key_of(&object);
        if let Some(key) = told_key(&object).filter(|key| self.closed.contains_key(key)) {
            return vec![Told::Note(format!("a partial of segment {key}, which has its final"))];
        }
        let last_end_ms = self.last_end_ms;
        let segment = self.segment(&key);
        let text = string(&object, "text").unwrap_or_default();
        if append {
            segment.raw_text.push_str(&text);
        } else {
            segment.raw_text = text;
        }
        let text = segment.raw_text.trim().to_owned();
        if text.is_empty() {
            told.push(Told::Note("a partial without text".to_owned()));
            return told;
        }
        let mut synthesised = made_up(&object, &["segment_id", "revision"]);
        let start_ms = number(&object, "start_ms").or(segment.start_ms).unwrap_or(last_end_ms);
        let end_ms = number(&object, "end_ms").unwrap_or_else(|| start_ms.max(audio_ms));
        segment.start_ms = Some(start_ms);
        segment.end_ms = Some(end_ms);
        segment.shown.clone_from(&text);
        let partial = Partial {
            segment_id: segment.id,
            revision: segment.revision,
            text,
            start_ms,
            end_ms,
            words: words(&object),
            language: string(&object, "language"),
            channel: number(&object, "channel").unwrap_or_default() as u32,
        };
        segment.revision += 1;
        synthesised.sort();
        told.push(Told::Partial(partial, synthesised));
        told
    }

    /// Takes a final, as [`Self::partial`].
    pub(crate) fn finish(&mut self, object: Value, on_wire: bool, audio_ms: u64) -> Vec<Told> {
        let object = with_end(object);
        let mut told = Vec::new();
        let confidence = confidence_of(&object, &mut told);
        let key = key_of(&object);
        let explicit = told_key(&object);
        let text = string(&object, "text").unwrap_or_default().trim().to_owned();
        let said_bytes = text.len();
        let Some(text) = self.news(&text, &object, explicit.as_ref()) else {
            // Its segment, where one is open, stays open for what comes next.
            told.push(Told::Note(format!("a final that only says again what earlier ones said: {} bytes", said_bytes)));
            return told;
        };
        let segment = self.open.remove(&key).unwrap_or_else(|| {
            let again = explicit.as_ref().and_then(|key| self.closed.get(key)).copied();
            Segment { id: again.unwrap_or_else(|| self.take_id()), ..Segment::default() }
        });
        let start_ms = number(&object, "start_ms").or(segment.start_ms).unwrap_or(self.last_end_ms);
        let end_ms = number(&object, "end_ms").unwrap_or_else(|| start_ms.max(audio_ms));
        self.last_end_ms = end_ms;
        if let Some(key) = explicit {
            self.closed.insert(key, segment.id);
        }
        self.said.push(text.clone());
        let result = Final {
            segment_id: segment.id,
            text,
            start_ms,
            end_ms,
            confidence,
            words: words(&object),
            language: string(&object, "language"),
            speaker: string(&object, "speaker"),
            channel: number(&object, "channel").unwrap_or_default() as u32,
        };
        let mut synthesised = made_up(&object, &["segment_id"]);
        synthesised.sort();
        told.push(Told::Final { result, synthesised, on_wire });
        told
    }

    /// What is new in a final; `None` where nothing is.
    fn news(&mut self, text: &str, object: &Value, key: Option<&String>) -> Option<String> {
        match self.finals {
            Finals::Incremental | Finals::Snapshot => Some(text.to_owned()),
            Finals::Cumulative => match behind(&self.said.join(" "), text) {
                Some(rest) if rest.is_empty() && !self.said.is_empty() => None,
                Some(rest) => Some(rest),
                None => Some(text.to_owned()),
            },
            Finals::Restating => {
                let flag = object.get("restates").and_then(Value::as_bool);
                let same_key = key.is_some() && key == self.last_key.as_ref();
                self.last_key = key.cloned();
                let restates = flag.unwrap_or(same_key);
                if !restates {
                    if flag.is_none() {
                        self.utterance.clear();
                    }
                    self.utterance.push(text.to_owned());
                    return Some(text.to_owned());
                }
                let said = std::mem::take(&mut self.utterance).join(" ");
                if said.is_empty() {
                    return Some(text.to_owned());
                }
                match behind(&said, text) {
                    Some(rest) if rest.is_empty() => None,
                    Some(rest) => Some(rest),
                    // Formatted differently, the same words.
                    None if letters(&said) == letters(text) => None,
                    None => Some(text.to_owned()),
                }
            }
        }
    }

    /// Takes a window: the segments that one message shows, with their keys and whether each is flagged as final.
    pub(crate) fn window(&mut self, shown: Vec<(String, Value, bool)>, commit: Commit, audio_ms: u64) -> Vec<Told> {
        let mut told = Vec::new();
        let last = shown.len().saturating_sub(1);
        for (index, (key, mut object, flagged)) in shown.into_iter().enumerate() {
            if self.closed.contains_key(&key) {
                continue;
            }
            object["segment_id"] = Value::from(key.clone());
            let is_final = match commit {
                Commit::Flag => flagged,
                Commit::Superseded => index < last,
                Commit::End => false,
            };
            if is_final {
                told.extend(self.finish(object, true, audio_ms));
                continue;
            }
            let text = string(&object, "text").unwrap_or_default();
            let segment = self.segment(&key);
            let is_new = segment.shown != text.trim();
            segment.object = Some(object.clone());
            if is_new {
                told.extend(self.partial(object, false, audio_ms));
            }
        }
        told
    }

    /// Takes the tokens of one message: final ones come once, the others are replaced by the next message.
    pub(crate) fn tokens(&mut self, tokens: Vec<(Value, bool)>, rule: &TokensRule, audio_ms: u64) -> Vec<Told> {
        let mut told = Vec::new();
        let mut tail = Vec::new();
        for (token, is_final) in tokens {
            let text = string(&token, "text").unwrap_or_default();
            if rule.flushed.as_ref() == Some(&text) {
                told.extend(self.commit_tokens(&rule.join, audio_ms));
                told.push(Told::Flushed);
            } else if rule.end.as_ref() == Some(&text) {
                told.extend(self.commit_tokens(&rule.join, audio_ms));
            } else if is_final {
                self.final_tokens.push(token);
            } else {
                tail.push(token);
            }
        }
        let all: Vec<Value> = self.final_tokens.iter().chain(&tail).cloned().collect();
        let object = united(&all, &rule.join);
        let text = string(&object, "text").unwrap_or_default();
        if !text.trim().is_empty() && self.open.get("").is_none_or(|segment| segment.shown != text.trim()) {
            told.extend(self.partial(object, false, audio_ms));
        }
        told
    }

    fn commit_tokens(&mut self, join: &str, audio_ms: u64) -> Vec<Told> {
        let tokens = std::mem::take(&mut self.final_tokens);
        if tokens.is_empty() {
            return Vec::new();
        }
        self.finish(united(&tokens, join), true, audio_ms)
    }

    /// At the end: final tokens without a marker are a final; the segments of a window are, where the file says so.
    pub(crate) fn end(&mut self, join: &str, commit: Option<Commit>, audio_ms: u64) -> Vec<Told> {
        let mut told = self.commit_tokens(join, audio_ms);
        if matches!(commit, Some(Commit::Superseded | Commit::End)) {
            let mut open: Vec<(u64, Value)> =
                self.open.values().filter_map(|segment| Some((segment.id, segment.object.clone()?))).collect();
            open.sort_by_key(|(id, _)| *id);
            for (_, object) in open {
                told.extend(self.finish(object, false, audio_ms));
            }
        }
        told
    }

    fn segment(&mut self, key: &str) -> &mut Segment {
        if !self.open.contains_key(key) {
            let id = self.take_id();
            self.open.insert(key.to_owned(), Segment { id, ..Segment::default() });
        }
        self.open.entry(key.to_owned()).or_default()
    }

    fn take_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }
}

/// Several tokens as one result.
fn united(tokens: &[Value], join: &str) -> Value {
    let texts: Vec<String> = tokens.iter().filter_map(|token| string(token, "text")).collect();
    let mut object = serde_json::json!({ "text": texts.join(join) });
    let ends = tokens.iter().filter_map(|token| number(&with_end(token.clone()), "end_ms"));
    if let Some(end) = ends.max() {
        object["end_ms"] = Value::from(end);
    }
    for name in ["start_ms", "language", "speaker", "channel", "confidence"] {
        if let Some(value) = tokens.iter().find_map(|token| token.get(name)) {
            object[name] = value.clone();
        }
    }
    object
}

/// What stands behind `said` at the beginning of `text`; `None` where `text` does not begin so. White space, case and punctuation
/// make no difference: services format anew what they say again.
fn behind(said: &str, text: &str) -> Option<String> {
    let mut words = text.split_whitespace();
    for word in said.split_whitespace() {
        if letters(words.next()?) != letters(word) {
            return None;
        }
    }
    Some(words.collect::<Vec<_>>().join(" "))
}

fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The members that the translator fills in: these, the times and the channel where they were not told, and the words where one of
/// them does not tell its times.
fn made_up(object: &Value, always: &[&str]) -> Vec<String> {
    let absent = ["start_ms", "end_ms", "channel"].into_iter().filter(|name| object.get(name).is_none());
    let words = object.get("words").and_then(Value::as_array);
    let tells = |word: &Value| ["start_ms", "end_ms"].into_iter().all(|name| number(word, name).is_some());
    let untimed = words.filter(|words| !words.iter().all(tells)).map(|_| "words");
    always.iter().copied().chain(absent).chain(untimed).map(str::to_owned).collect()
}

fn told_key(object: &Value) -> Option<String> {
    string(object, "segment_id")
}

/// Without a key of the service there is one open segment a channel.
fn key_of(object: &Value) -> String {
    told_key(object).unwrap_or_else(|| match number(object, "channel") {
        None | Some(0) => String::new(),
        Some(channel) => format!("channel {channel}"),
    })
}

fn confidence_of(object: &Value, told: &mut Vec<Told>) -> Option<Probability> {
    let value = object.get("confidence")?.as_f64()?;
    let probability = Probability::new(value);
    if probability.is_none() {
        told.push(Told::Note(format!("a confidence of {value}, which is no probability, was left out")));
    }
    probability
}

fn words(object: &Value) -> Option<Vec<Word>> {
    let items = object.get("words")?.as_array()?;
    let word = |item: &Value| Word {
        text: string(item, "text").unwrap_or_default().trim().to_owned(),
        start_ms: number(item, "start_ms").unwrap_or_default(),
        end_ms: number(item, "end_ms").or_else(|| number(item, "start_ms")).unwrap_or_default(),
        confidence: item.get("confidence").and_then(Value::as_f64).and_then(Probability::new),
    };
    Some(items.iter().map(word).collect())
}

fn string(object: &Value, name: &str) -> Option<String> {
    object.get(name)?.as_str().map(str::to_owned)
}

fn number(object: &Value, name: &str) -> Option<u64> {
    object.get(name)?.as_u64()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(told: Vec<Told>) -> Vec<String> {
        told.into_iter()
            .map(|one| match one {
                Told::Partial(partial, _) => format!("{}.{} {}", partial.segment_id, partial.revision, partial.text),
                Told::Final { result, .. } => format!("{} {}!", result.segment_id, result.text),
                Told::Flushed => "flushed".to_owned(),
                Told::Note(_) => "note".to_owned(),
            })
            .collect()
    }

    #[test]
    fn of_cumulative_finals_the_new_end_counts() {
        let mut results = Results::new(Finals::Cumulative);
        let mut say = |text: &str| texts(results.finish(json!({ "text": text }), true, 0));
        assert_eq!(say("Hello"), ["0 Hello!"]);
        assert_eq!(say("Hello world."), ["1 world.!"]);
        assert_eq!(say("hello world."), ["note"], "nothing is new in it");
        assert_eq!(say("Yellow world. Bye"), ["2 Yellow world. Bye!"], "what was said cannot be taken back");
    }

    #[test]
    fn a_restating_final_ends_the_utterance() {
        let mut results = Results::new(Finals::Restating);
        let mut say =
            |text: &str, restates: bool| texts(results.finish(json!({ "text": text, "restates": restates }), true, 0));
        assert_eq!(say("yes", false), ["0 yes!"]);
        assert_eq!(say("Yes.", true), ["note"]);
        assert_eq!(say("yes", false), ["1 yes!"], "a word said again later is new");
        assert_eq!(say("Yes, sir.", true), ["2 sir.!"]);
        assert_eq!(say("alone", true), ["3 alone!"], "there was nothing to restate");
        assert_eq!(say("e mail", false), ["4 e mail!"]);
        assert_eq!(say("E-mail.", true), ["note"], "the same letters, cut into other words");
    }

    #[test]
    fn a_segment_with_a_key_keeps_its_number_out_of_order() {
        let mut results = Results::new(Finals::Incremental);
        let mut partial =
            |key: &str, text: &str| texts(results.partial(json!({ "segment_id": key, "text": text }), false, 0));
        assert_eq!(partial("a", "one"), ["0.0 one"]);
        assert_eq!(partial("b", "two"), ["1.0 two"]);
        assert_eq!(partial("a", "one more"), ["0.1 one more"]);
        assert_eq!(texts(results.finish(json!({ "segment_id": "b", "text": "two" }), true, 0)), ["1 two!"]);
        assert_eq!(texts(results.partial(json!({ "segment_id": "b", "text": "late" }), false, 0)), ["note"]);
        assert_eq!(texts(results.finish(json!({ "segment_id": "a", "text": "one" }), true, 0)), ["0 one!"]);
        assert_eq!(texts(results.partial(json!({ "text": "three" }), false, 0)), ["2.0 three"]);
    }

    #[test]
    fn times_that_are_not_told_follow_each_other_and_are_marked() {
        let mut results = Results::new(Finals::Incremental);
        let first = results.finish(json!({ "text": "a", "start_ms": 100, "duration_ms": 400 }), true, 900);
        let second = results.finish(json!({ "text": "b" }), true, 900);
        let (Told::Final { result: first, .. }, Told::Final { result, synthesised, .. }) = (&first[0], &second[0])
        else {
            panic!("two finals");
        };
        assert_eq!((first.start_ms, first.end_ms), (100, 500));
        assert_eq!((result.start_ms, result.end_ms), (500, 900));
        assert_eq!(synthesised, &["channel", "end_ms", "segment_id", "start_ms"]);
    }

    #[test]
    fn a_confidence_that_is_no_probability_is_left_out_aloud() {
        let mut results = Results::new(Finals::Incremental);
        assert_eq!(texts(results.finish(json!({ "text": "a", "confidence": 1.5 }), true, 0)), ["note", "0 a!"]);
    }

    #[test]
    fn a_window_tells_what_changed_and_what_is_final_once() {
        let mut results = Results::new(Finals::Snapshot);
        let mut window = |shown: &[(&str, &str, bool)], commit| {
            let shown =
                shown.iter().map(|(key, text, is_final)| ((*key).to_owned(), json!({ "text": text }), *is_final));
            texts(results.window(shown.collect(), commit, 0))
        };
        assert_eq!(window(&[("0", "a", false)], Commit::Flag), ["0.0 a"]);
        assert_eq!(window(&[("0", "a", false)], Commit::Flag), Vec::<String>::new());
        assert_eq!(window(&[("0", "a b", true), ("2", "c", false)], Commit::Flag), ["0 a b!", "1.0 c"]);
        assert_eq!(window(&[("0", "a b", true), ("2", "c", true)], Commit::Flag), ["1 c!"]);
        assert_eq!(window(&[("3", "d", false), ("4", "e", false)], Commit::Superseded), ["2 d!", "3.0 e"]);
        assert_eq!(texts(results.end("", Some(Commit::Superseded), 0)), ["3 e!"]);
    }
}
