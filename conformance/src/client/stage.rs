//! Owns what the scripted server knows of its session: the audio it received, and the results it makes of it. Sends nothing.

use std::collections::VecDeque;

use lastword_spec::limits::Limits;
use serde_json::{Map, Value, json};

/// The session of one connection, as its server sees it.
pub(super) struct Stage {
    bytes_per_s: u64,
    audio: Value,
    limits: Map<String, Value>,
    /// Whether results tell their words.
    has_words: bool,
    received_bytes: u64,
    /// Where the segment begins that is not final yet, in milliseconds.
    open_from_ms: u64,
    partial_at_ms: u64,
    revision: u64,
    segments: u64,
    last_final: Option<Value>,
    /// Finals that were sent, one that was sent again included.
    finals: u64,
    pub(super) rejected: u64,
    progress: u64,
    pub(super) flushes: VecDeque<String>,
    pub(super) probes: VecDeque<u64>,
    pub(super) ended: bool,
    pub(super) draining: bool,
    pub(super) said_late_audio: bool,
}

/// How much new audio makes a partial, and how much makes a final.
const PARTIAL_MS: u64 = 300;
const FINAL_MS: u64 = 1_000;

/// What the segments say. What a client delivers is compared with it by number and text.
const WORDS: [&str; 10] = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];

impl Stage {
    /// A session with these members of `ready.limits` beside the usual ones of a play.
    pub(super) fn new(limits: &Map<String, Value>) -> Self {
        let mut all = usual_limits();
        all.extend(limits.clone());
        Self::with(all)
    }

    /// A stage whose limits nobody is told: what the service documents, or the specification has for such a case. Its results have
    /// words: no option of version 1 asks for them there.
    pub(super) fn unannounced(limits: &Limits) -> Self {
        let limits = serde_json::to_value(limits).ok();
        let all = limits.and_then(|limits| limits.as_object().cloned()).unwrap_or_default();
        Self { has_words: true, ..Self::with(all) }
    }

    fn with(all: Map<String, Value>) -> Self {
        Self {
            bytes_per_s: 32_000,
            audio: json!({"encoding": "pcm_s16le", "sample_rate_hz": 16_000, "channels": 1}),
            limits: all,
            has_words: false,
            received_bytes: 0,
            open_from_ms: 0,
            partial_at_ms: 0,
            revision: 0,
            segments: 0,
            last_final: None,
            finals: 0,
            rejected: 0,
            progress: 0,
            flushes: VecDeque::new(),
            probes: VecDeque::new(),
            ended: false,
            draining: false,
            said_late_audio: false,
        }
    }

    /// Takes the client's `config`: its audio format is the one that is served.
    pub(super) fn configure(&mut self, config: &Map<String, Value>) {
        let asked = config.get("audio").and_then(Value::as_object);
        let number = |name: &str, default: u64| {
            asked.and_then(|audio| audio.get(name)).and_then(Value::as_u64).unwrap_or(default)
        };
        let encoding = asked.and_then(|audio| audio.get("encoding")).and_then(Value::as_str).unwrap_or("pcm_s16le");
        let (rate_hz, channels) = (number("sample_rate_hz", 16_000), number("channels", 1));
        let bytes_per_sample = match encoding {
            "pcm_f32le" => 4,
            "mulaw" | "alaw" => 1,
            _ => 2,
        };
        self.bytes_per_s = rate_hz.saturating_mul(channels).saturating_mul(bytes_per_sample).max(1);
        self.audio = json!({"encoding": encoding, "sample_rate_hz": rate_hz, "channels": channels});
    }

    /// The limits that `ready` announces.
    pub(super) fn limits(&self) -> Limits {
        Limits::from_partial(&self.limits).0
    }

    pub(super) fn hears(&mut self, bytes: u64) {
        self.received_bytes += bytes;
    }

    /// How many bytes so much audio is.
    pub(super) fn bytes_of(&self, ms: u64) -> u64 {
        ms.saturating_mul(self.bytes_per_s).div_ceil(1_000)
    }

    pub(super) fn received_ms(&self) -> u64 {
        self.received_bytes.saturating_mul(1_000) / self.bytes_per_s
    }

    pub(super) fn ready(&self) -> Value {
        json!({
            "type": "ready", "session_id": "scripted", "protocol": lastword_spec::PROTOCOL,
            "config": {
                "languages": [], "task": "transcribe", "audio": self.audio, "interim_results": true, "words": false,
                "vad_events": false, "endpointing": {"mode": "vad", "silence_ms": 500, "max_segment_ms": 30_000}, "keyterms": [],
            },
            "limits": self.limits, "capabilities": {}, "ignored": [],
        })
    }

    /// What the audio so far makes due while it streams: a partial or a final, if there is enough new audio.
    pub(super) fn due(&mut self) -> Option<Value> {
        let now_ms = self.received_ms();
        if now_ms >= self.open_from_ms + FINAL_MS {
            return Some(self.final_upto(self.open_from_ms + FINAL_MS));
        }
        (now_ms >= self.partial_at_ms + PARTIAL_MS).then(|| self.partial())
    }

    /// A partial of the segment that is open.
    pub(super) fn partial(&mut self) -> Value {
        self.revision += 1;
        self.partial_at_ms = self.received_ms();
        self.worded(json!({
            "type": "partial", "segment_id": self.segments, "revision": self.revision, "text": word(self.segments),
            "start_ms": self.open_from_ms, "end_ms": self.received_ms().max(self.open_from_ms), "channel": 0,
        }))
    }

    /// The result with its text as one word, where results tell their words.
    fn worded(&self, mut result: Value) -> Value {
        if self.has_words {
            result["words"] =
                json!([{"text": result["text"], "start_ms": result["start_ms"], "end_ms": result["end_ms"]}]);
        }
        result
    }

    /// The same, so long that it fills what lies between a server and a client which does not read.
    pub(super) fn long_partial(&mut self, bytes: usize) -> Value {
        let mut partial = self.partial();
        let word = format!("{} ", word(self.segments));
        partial["text"] = Value::from(word.repeat(bytes / word.len()).trim_end());
        partial
    }

    /// The next final of what was received, until there is none.
    pub(super) fn next_final(&mut self) -> Option<Value> {
        let now_ms = self.received_ms();
        (now_ms > self.open_from_ms || self.revision > 0)
            .then(|| self.final_upto(now_ms.min(self.open_from_ms + FINAL_MS)))
    }

    fn final_upto(&mut self, end_ms: u64) -> Value {
        let last = self.worded(json!({
            "type": "final", "segment_id": self.segments, "text": word(self.segments), "start_ms": self.open_from_ms, "end_ms": end_ms,
            "channel": 0,
        }));
        self.segments += 1;
        self.revision = 0;
        self.open_from_ms = end_ms;
        self.partial_at_ms = end_ms;
        self.last_final = Some(last.clone());
        self.finals += 1;
        last
    }

    /// The last final once more, if there was one. The account counts what was sent, however often. [END-S9]
    pub(super) fn final_again(&mut self) -> Option<Value> {
        let again = self.last_final.clone()?;
        self.finals += 1;
        Some(again)
    }

    pub(super) fn progress(&mut self) -> Value {
        self.progress += 1;
        json!({"type": "progress", "seq": self.progress, "audio_processed_ms": self.open_from_ms})
    }

    pub(super) fn session_ended(&mut self, complete: bool, reason: &str) -> Value {
        self.ended = true;
        json!({
            "type": "session_ended", "reason": reason, "complete": complete, "audio_received_ms": self.received_ms(),
            "audio_processed_ms": self.open_from_ms.min(self.received_ms()), "rejected_frames": self.rejected, "finals": self.finals,
        })
    }
}

fn word(segment: u64) -> String {
    let digits: Vec<&str> = segment.to_string().bytes().map(|digit| WORDS[usize::from(digit - b'0')]).collect();
    digits.join(" ")
}

/// The limits of a play: timers as short as the specification allows, so that what hangs shows soon.
fn usual_limits() -> Map<String, Value> {
    let Ok(Value::Object(limits)) = serde_json::to_value(Limits {
        idle_timeout_ms: 3_000,
        keepalive_interval_ms: 1_000,
        flush_ms: 2_000,
        drain_ms: 3_000,
        close_ms: 1_000,
        progress_interval_ms: 500,
        ..Limits::DEFAULT
    }) else {
        unreachable!("limits are an object")
    };
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_final_that_was_sent_again_counts_twice_in_the_account() {
        let mut stage = Stage::new(&Map::new());
        stage.hears(64_000);
        assert_eq!(stage.final_again(), None);
        while stage.next_final().is_some() {}
        assert_eq!(stage.session_ended(true, "completed")["finals"], 2);
        assert!(stage.final_again().is_some());
        assert_eq!(stage.session_ended(true, "completed")["finals"], 3);
    }

    #[test]
    fn audio_is_counted_exactly_where_a_millisecond_is_no_whole_number_of_bytes() {
        let mut stage = Stage::new(&Map::new());
        let config = json!({"audio": {"encoding": "pcm_s16le", "sample_rate_hz": 44_100, "channels": 1}});
        stage.configure(config.as_object().expect("an object"));
        stage.hears(88_200);
        assert_eq!(stage.received_ms(), 1_000);
    }
}
