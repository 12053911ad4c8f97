//! From a service's results to segments: numbers, revisions, what is new in a final, windows and tokens. Owns the state that this
//! needs; it knows no frames and no rules but the two reducers.

use std::collections::{BTreeMap, BTreeSet};

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
        let taken: BTreeSet<u64> = self.open.values().map(|segment| segment.id).collect();
        while taken.contains(&self.next_id) {
            self.next_id += 1;
        }
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

/// The members that the translator fills in: these, and the times and the channel where they were not told.
fn made_up(object: &Value, always: &[&str]) -> Vec<String> {
    let absent = ["start_ms", "end_ms", "channel"].into_iter().filter(|name| object.get(name).is_none());
    always.iter().copied().chain(absent).map(str::to_owned).collect()
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
