//! Owns the vocabulary of plays: what the scripted server does to a client, as typed data. A play says what is sent and when;
//! it never says what a right client does, for that is the judge's.

use std::collections::BTreeSet;

use lastword_spec::driver::Lack;
use lastword_spec::trace::ToldWhat;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::dialect;

/// What a client case is made of.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// 0: any command shows it. 1: only a driver can.
    #[serde(default)]
    pub level: u8,
    /// How much audio the client is given, in milliseconds.
    #[serde(default = "usual_audio_ms")]
    pub audio_ms: u64,
    /// What a driver is told to do. Empty: start, push all the audio, end.
    #[serde(default)]
    pub calls: Vec<Ask>,
    /// The client is given far more time than it has, so that it can be seen when it ends by itself.
    #[serde(default)]
    pub patient: bool,
    /// What the server does; one play for each run of the client within the case, one after the other.
    pub plays: Vec<Play>,
}

impl Script {
    /// The first call of the case that a client which lacks these has not.
    pub(super) fn lacking(&self, lacks: &[Lack]) -> Option<&'static str> {
        let calls = self.calls.iter().filter_map(|call| match call {
            Ask::Flush => Some(Lack::Flush),
            Ask::Close => Some(Lack::Close),
            Ask::Start | Ask::Push(_) | Ask::Speak(_) | Ask::Fill(_) | Ask::End | Ask::Await(_) | Ask::Wait(_) => None,
        });
        calls.into_iter().find(|call| lacks.contains(call)).map(|lack| lack.call().as_str())
    }

    /// Whether the server lets a client that is right come to a complete transcript, in each run of it.
    #[must_use]
    pub fn lets_complete(&self) -> bool {
        let mut until_over = self.calls.iter().take_while(|call| **call != Ask::Await(ToldWhat::Ended));
        !until_over.any(|call| *call == Ask::Close) && self.plays.iter().all(Play::lets_complete)
    }

    /// The types of the messages without which the case means nothing. A call is none: what a client makes of a flush that its wire
    /// cannot say is for the case to show, unless it waits for the answer.
    pub(crate) fn messages(&self) -> BTreeSet<&'static str> {
        let calls = self.calls.iter().filter_map(|call| match call {
            Ask::Await(ToldWhat::Flushed | ToldWhat::FlushFailed) => Some("flushed"),
            Ask::Await(_) | Ask::Start | Ask::Push(_) | Ask::Speak(_) | Ask::Fill(_) | Ask::Flush => None,
            Ask::End | Ask::Close | Ask::Wait(_) => None,
        });
        let acts = self.plays.iter().flat_map(|play| play.points().flatten()).filter_map(|act| match act {
            Act::Partial => Some("partial"),
            Act::Error(error) if error.fatal => Some("error.fatal"),
            Act::Error(_) => Some("error.not_fatal"),
            Act::Jam(_) => Some("partial"),
            Act::Ended(ended) if !ended.complete => Some("session_ended.complete"),
            _ => None,
        });
        let about_ready = self.plays.iter().any(Play::is_about_ready).then_some("ready");
        let ended_alone = self.plays.iter().any(Play::ends_apart_from_close).then_some(dialect::ENDED_APART);
        let error_alone = self.plays.iter().any(Play::fails_apart_from_close).then_some(dialect::ERROR_APART);
        calls.chain(acts).chain(about_ready).chain(ended_alone).chain(error_alone).collect()
    }
}

/// One thing that a driver is asked for, or that is waited for between two of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// Connect and begin.
    Start,
    /// Hand over so many milliseconds of audio, in pieces of 100 ms.
    Push(u64),
    /// The same at the pace of speech, until the session is over.
    Speak(u64),
    /// Hand over so many milliseconds of audio, and no more once a push does not come back for a second: the buffer is full.
    Fill(u64),
    /// Flush.
    Flush,
    /// The input is over.
    End,
    /// Cancel.
    Close,
    /// Wait until the application was told this, or the session is over.
    Await(ToldWhat),
    /// Wait so many milliseconds.
    Wait(u64),
}

/// What the server does on one connection. Every member has the behaviour of a good server as its default.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Play {
    /// How the connection begins.
    pub upgrade: Upgrade,
    /// Members of `ready.limits` that differ from those of a play.
    pub limits: Map<String, Value>,
    /// What comes as soon as the connection stands, whatever the client has sent by then.
    pub opened: Vec<Act>,
    /// What follows `config`.
    pub config: Vec<Act>,
    /// What is told of the audio while it comes.
    pub results: bool,
    /// Where nothing is told: says a result after so many milliseconds without audio all the same, before the sentinel.
    pub prompt_ms: Option<u64>,
    /// What happens as soon as so much audio was received.
    pub when: Vec<When>,
    /// What happens so long after the first audio came, unless the sentinel came before.
    pub after: Vec<After>,
    /// What follows a flush.
    pub flush: Vec<Act>,
    /// What follows a keepalive with a number.
    pub probe: Vec<Act>,
    /// What follows the sentinel.
    pub end: Vec<Act>,
    /// How the messages after `ready` are written.
    pub form: Form,
    /// How many connections of the same run meet this, one after the other.
    pub times: u32,
    /// What the next connection meets then; a good server, where nothing is said.
    pub again: Option<Box<Self>>,
    /// Every further connection meets the same.
    pub always: bool,
}

impl Play {
    /// Whether the time of `ready` is what the play is about: nothing comes before it, or nothing but silence or signs of work.
    fn is_about_ready(&self) -> bool {
        matches!(self.config.first(), None | Some(Act::Work(_) | Act::Wait(_) | Act::Mute | Act::Deaf))
    }

    /// Whether every client that connects has a session at once.
    pub(super) fn is_ready_at_once(&self) -> bool {
        let is_met = self.upgrade == Upgrade::default() && self.opened.is_empty();
        is_met && matches!(self.config.first(), Some(Act::Ready))
    }

    /// Whether it says `session_ended` and does not close in order at once, or does that without saying it.
    fn ends_apart_from_close(&self) -> bool {
        let ended = |act: Option<&Act>| matches!(act, Some(Act::Ended(_)));
        let closes = |act: Option<&Act>| matches!(act, Some(Act::Close(1000)));
        (0..=self.end.len()).any(|at| {
            let (before, here) = (at.checked_sub(1).and_then(|before| self.end.get(before)), self.end.get(at));
            ended(before) != closes(here)
        })
    }

    /// What it does at each point of a session.
    fn points(&self) -> impl Iterator<Item = &Vec<Act>> {
        let points = self.when.iter().map(|when| &when.acts).chain(self.after.iter().map(|after| &after.acts));
        [&self.opened, &self.config, &self.end].into_iter().chain(points)
    }

    /// Whether it says a fatal error and does not close after it.
    fn fails_apart_from_close(&self) -> bool {
        self.points().any(|acts| {
            let fails = |act: &Act| matches!(act, Act::Error(error) if error.fatal);
            let failed = acts.iter().position(fails);
            failed.is_some_and(|at| !acts[at..].iter().any(|act| matches!(act, Act::Close(_))))
        })
    }

    /// Whether nothing stands between the upgrade and a `session_ended` that says complete, behind the sentinel.
    fn lets_complete(&self) -> bool {
        let is_complete = |act: &Act| matches!(act, Act::Ended(ended) if ended.complete);
        let points = self.when.iter().map(|when| &when.acts).chain(self.after.iter().map(|after| &after.acts));
        let mut before = self.opened.iter().chain(&self.config).chain(points.flatten());
        let mut last = self.end.iter().take_while(|act| !is_complete(act));
        self.upgrade == Upgrade::Accept
            && self.config.contains(&Act::Ready)
            && self.end.iter().any(is_complete)
            && !before.any(Act::ends_it)
            && !last.any(Act::ends_it)
    }

    /// The point of the audio from which nothing is read until the client's sends stand still, if there is one.
    pub(super) fn jams_at_ms(&self) -> Option<u64> {
        let jams = |when: &&When| when.acts.iter().any(|act| matches!(act, Act::Jam(_)));
        self.when.iter().find(jams).map(|when| when.audio_ms)
    }

    /// Whether this connection or one that follows it meets a jam.
    pub(super) fn jams(&self) -> bool {
        self.jams_at_ms().is_some() || self.again.as_deref().is_some_and(Self::jams)
    }

    /// Whether every jam of this and what follows is the only one of its connection, and due at a point of the audio: the reader is told
    /// beforehand where to stop.
    pub(super) fn jams_are_right(&self) -> bool {
        let jams = |acts: &[Act]| acts.iter().filter(|act| matches!(act, Act::Jam(_))).count();
        let elsewhere = [&self.opened, &self.config, &self.flush, &self.probe, &self.end].map(|acts| jams(acts));
        let elsewhere = elsewhere.into_iter().chain(self.after.iter().map(|after| jams(&after.acts)));
        let often: usize = self.when.iter().map(|when| jams(&when.acts)).sum();
        elsewhere.sum::<usize>() == 0 && often <= 1 && self.again.as_deref().is_none_or(Self::jams_are_right)
    }
}

impl Default for Play {
    fn default() -> Self {
        let completed = Ended { complete: true, reason: "completed".to_owned() };
        Self {
            upgrade: Upgrade::Accept,
            limits: Map::new(),
            opened: Vec::new(),
            config: vec![Act::Ready],
            results: true,
            prompt_ms: None,
            when: Vec::new(),
            after: Vec::new(),
            flush: vec![Act::Finals, Act::Flushed],
            probe: vec![Act::Ack],
            end: vec![Act::Finals, Act::Ended(completed), Act::Close(1_000)],
            form: Form::Usual,
            times: 1,
            again: None,
            always: false,
        }
    }
}

/// How a connection begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Upgrade {
    /// The upgrade is answered as it should be.
    #[default]
    Accept,
    /// The upgrade is refused with this HTTP status.
    Refuse(u16),
    /// The transport ends as soon as it stands.
    Drop,
    /// The upgrade is never answered.
    Silent,
}

/// How messages are written; what they say is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// As short as can be, `type` first.
    #[default]
    Usual,
    /// With white space, `type` last, and letters of strings as escapes.
    Odd,
    /// With extensions and with members of a later version.
    Extended,
}

/// What happens at a point of the audio.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// As soon as so much was received.
    pub audio_ms: u64,
    /// This.
    pub acts: Vec<Act>,
}

/// What happens at a point of time.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct After {
    /// So many milliseconds after the first audio.
    pub ms: u64,
    /// This.
    pub acts: Vec<Act>,
}

/// One thing the scripted server does.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Act {
    /// Sends `ready`.
    Ready,
    /// Sends a partial of what is not final yet.
    Partial,
    /// Sends the finals of all audio received so far.
    Finals,
    /// Sends the last final once more.
    FinalAgain,
    /// Answers the oldest flush.
    Flushed,
    /// Answers the keepalive.
    Ack,
    /// Sends `session_ended` with true counters.
    Ended(Ended),
    /// Sends a Close with this code.
    Close(u16),
    /// Resets the connection.
    Reset,
    /// Ends the transport in order, without a Close.
    Fin,
    /// Works so many milliseconds, and tells progress meanwhile.
    Work(u64),
    /// Says nothing for so many milliseconds.
    Wait(u64),
    /// Sends an `error`.
    Error(ServerError),
    /// Sends this object.
    Send(Map<String, Value>),
    /// Sends this text as it stands.
    Raw(String),
    /// Sends so many bytes as a binary message.
    Binary(usize),
    /// From here on answers nothing, and reads on.
    Mute,
    /// From here on answers nothing and reads nothing.
    Deaf,
    /// Reads nothing until what the client sends stands still, says results, and reads on when the client has read them, or does
    /// not read them. As soon as the client has sent so much that the act is due, nothing more is read.
    Jam(Jam),
}

impl Act {
    /// Whether what comes behind it, if anything does, is no session that ends well.
    fn ends_it(&self) -> bool {
        match self {
            Self::Ended(_) | Self::Close(_) | Self::Reset | Self::Fin | Self::Mute | Self::Deaf => true,
            Self::Error(error) => error.fatal,
            Self::Ready | Self::Partial | Self::Finals | Self::FinalAgain | Self::Flushed => false,
            Self::Ack | Self::Work(_) | Self::Wait(_) | Self::Send(_) | Self::Raw(_) | Self::Binary(_) => false,
            Self::Jam(_) => false,
        }
    }
}

/// A server that reads nothing until its own results are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jam {
    /// How many bytes of partials are said, at least.
    pub results_bytes: u64,
    /// After how many milliseconds what is not read counts as not read.
    pub unread_ms: u64,
}

/// How `session_ended` is sent.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ended {
    /// Its `complete`.
    pub complete: bool,
    /// Its `reason`.
    pub reason: String,
}

/// An `error` to send.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerError {
    /// Its `code`.
    pub code: String,
    /// Its `fatal`.
    #[serde(default)]
    pub fatal: bool,
    /// Its `retryable`.
    #[serde(default)]
    pub retryable: bool,
}

fn usual_audio_ms() -> u64 {
    3_000
}
