//! What both translators keep of a session: names, configuration, counters. Owns the numbers; it knows no frames.

use std::collections::VecDeque;

use lastword_spec::message::{AudioFormat, Config, EffectiveConfig, Encoding};
use serde_json::Value;

use crate::template::Known;

/// What a session is begun with. There is no chance in this crate: names that must be unique are the caller's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seed {
    /// `${uuid}`: a name for the session that nobody else has.
    pub uuid: String,
    /// `${token}`: the credential. As a server it need not be given; what the client shows is told by
    /// [`crate::ServerSide::token`].
    pub token: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) uuid: String,
    pub(crate) token: Option<String>,
    pub(crate) session_id: Option<String>,
    pub(crate) config: Config,
    pub(crate) socket_url: Option<String>,
    pub(crate) audio_frames: u64,
    pub(crate) audio_bytes: u64,
    /// Audio frames after the end, or that were not whole.
    pub(crate) rejected_frames: u64,
    pub(crate) finals: u64,
    pub(crate) transcript: Vec<String>,
    /// The end of the stream was said.
    pub(crate) after_end: bool,
    /// Nothing was received yet.
    pub(crate) first: bool,
    /// Ids of flushes that are not answered yet.
    pub(crate) flushes: VecDeque<String>,
    pub(crate) updates: VecDeque<String>,
    /// Flushes and updates that the wire does not name.
    pub(crate) requests: u64,
    pub(crate) progress_seq: u64,
}

impl Session {
    pub(crate) fn new(seed: Seed, sample_rate_hz: Option<u32>) -> Self {
        let mut config = Config::default();
        if let Some(rate) = sample_rate_hz.filter(|rate| *rate != AudioFormat::default().sample_rate_hz) {
            config.audio.get_or_insert_default().sample_rate_hz = Some(rate);
        }
        Self {
            uuid: seed.uuid,
            token: seed.token,
            session_id: None,
            config,
            socket_url: None,
            audio_frames: 0,
            audio_bytes: 0,
            rejected_frames: 0,
            finals: 0,
            transcript: Vec::new(),
            after_end: false,
            first: true,
            flushes: VecDeque::new(),
            updates: VecDeque::new(),
            requests: 0,
            progress_seq: 0,
        }
    }

    pub(crate) fn effective(&self) -> EffectiveConfig {
        self.config.effective()
    }

    /// Milliseconds of audio so far, for one channel, rounded down.
    pub(crate) fn audio_ms(&self) -> u64 {
        let audio = self.effective().audio;
        let group = u64::from(audio.encoding.bytes_per_sample().unwrap_or(2)) * u64::from(audio.channels.max(1));
        self.audio_bytes / group * 1_000 / u64::from(audio.sample_rate_hz.max(1))
    }

    /// Counts a frame of audio, in the encoding of the `config`.
    pub(crate) fn count_audio(&mut self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        if self.after_end || !self.is_whole(bytes) {
            self.reject_frame();
        } else {
            self.audio_frames += 1;
            self.audio_bytes += bytes as u64;
        }
    }

    /// Whether so many bytes are whole samples of every channel.
    pub(crate) fn is_whole(&self, bytes: usize) -> bool {
        let audio = self.effective().audio;
        let group = u64::from(audio.encoding.bytes_per_sample().unwrap_or(1)) * u64::from(audio.channels.max(1));
        (bytes as u64).is_multiple_of(group)
    }

    /// Counts a frame of audio that cannot be taken.
    pub(crate) fn reject_frame(&mut self) {
        self.rejected_frames += 1;
    }

    /// Keeps what the other side told of the session. What is counted is compared instead; a remark where it differs.
    pub(crate) fn keep(&mut self, told: Vec<(&'static str, Value)>) -> Option<String> {
        let mut remark = None;
        for (name, value) in told {
            match name {
                "audio_frames" if value.as_u64() != Some(self.audio_frames) => {
                    remark = Some(format!("counts {value} audio frames, {} crossed the wire", self.audio_frames));
                }
                "uuid" => self.uuid = value.as_str().unwrap_or_default().to_owned(),
                "token" => self.token = value.as_str().map(str::to_owned),
                "session_id" => self.session_id = value.as_str().map(str::to_owned),
                _ => {}
            }
        }
        remark
    }
}

impl Known for Session {
    fn value(&self, name: &str) -> Option<Value> {
        let audio = || self.effective().audio;
        Some(match name {
            "uuid" => Value::from(self.uuid.clone()),
            "token" => Value::from(self.token.clone().or_else(|| self.config.token.clone())?),
            "session_id" => Value::from(self.session_id.clone().unwrap_or_else(|| self.uuid.clone())),
            "language" => Value::from(self.config.language.clone()?),
            "model" => Value::from(self.config.model.clone()?),
            "task" => Value::from(self.config.task.as_ref()?.as_str()),
            "encoding" => Value::from(audio().encoding.as_str()),
            "sample_rate_hz" => Value::from(audio().sample_rate_hz),
            "channels" => Value::from(audio().channels),
            "audio_frames" => Value::from(self.audio_frames),
            "audio_ms" | "audio_s" => Value::from(self.audio_ms()),
            "transcript" => Value::from(self.transcript.join(" ")),
            "socket_url" => Value::from(self.socket_url.clone()?),
            _ => return None,
        })
    }
}

/// Samples from 32-bit floats to 16-bit integers. A broken last sample stays a broken last sample.
pub(crate) fn s16_from_f32(bytes: &[u8]) -> Vec<u8> {
    let (samples, rest) = bytes.as_chunks::<4>();
    let mut out = Vec::with_capacity(bytes.len() / 2 + 1);
    for sample in samples {
        let scaled = (f32::from_le_bytes(*sample) * 32_768.0).round().clamp(-32_768.0, 32_767.0);
        out.extend_from_slice(&(scaled as i16).to_le_bytes());
    }
    out.extend(rest.first());
    out
}

/// Samples from 16-bit integers to 32-bit floats; as [`s16_from_f32`].
pub(crate) fn f32_from_s16(bytes: &[u8]) -> Vec<u8> {
    let (samples, rest) = bytes.as_chunks::<2>();
    let mut out = Vec::with_capacity(bytes.len() * 2);
    for sample in samples {
        out.extend_from_slice(&(f32::from(i16::from_le_bytes(*sample)) / 32_768.0).to_le_bytes());
    }
    out.extend(rest.first());
    out
}

/// Whether the audio of a session can be converted to floats: it must be `pcm_s16le`.
pub(crate) fn is_s16(config: &EffectiveConfig) -> bool {
    config.audio.encoding == Encoding::PCM_S16LE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_come_back_from_floats() {
        let all: Vec<u8> = (i16::MIN..=i16::MAX).flat_map(i16::to_le_bytes).collect();
        assert_eq!(s16_from_f32(&f32_from_s16(&all)), all);
    }

    #[test]
    fn a_broken_sample_stays_broken() {
        assert_eq!(s16_from_f32(&[0; 7]).len() % 2, 1);
        assert_eq!(f32_from_s16(&[0; 3]).len() % 4, 1);
    }

    #[test]
    fn frames_after_the_end_are_not_counted_as_audio() {
        let mut session = Session::new(Seed::default(), None);
        session.count_audio(32_000);
        session.count_audio(641);
        session.after_end = true;
        session.count_audio(640);
        assert_eq!((session.audio_ms(), session.audio_frames, session.rejected_frames), (1_000, 1, 2));
    }
}
