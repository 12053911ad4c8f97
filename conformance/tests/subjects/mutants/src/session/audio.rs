//! Owns what binary messages do (section 3): accepted, refused and counted, or nothing at all.

use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::Bytes;

use super::{Session, State};
use crate::fault::Fault;
use crate::hearing::ms;

/// A fault listens to nothing more while so much waits.
const BURST_MS: u64 = 2_000;

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Session<T> {
    pub(super) fn audio(&mut self, pcm: Bytes) {
        if pcm.is_empty() {
            return self.empty_frame();
        }
        match self.state {
            State::AwaitConfig if pcm.len() <= self.limits.max_frame_bytes => self.audio_too_early(),
            State::Draining => self.audio_after_end(&pcm),
            State::Failing | State::Ended => {}
            _ if pcm.len() > self.limits.max_frame_bytes => self.oversize(pcm),
            _ if !pcm.len().is_multiple_of(2) => self.broken_frame(pcm),
            _ => self.accept(pcm),
        }
    }

    fn empty_frame(&mut self) {
        match self.server.fault() {
            Fault::EmptyFrameEnds if self.state == State::Streaming => self.sentinel(),
            Fault::EmptyFrameRefused => self.error("invalid_audio", "no samples", None),
            Fault::EmptyFrameCounted => self.rejected_frames += 1,
            Fault::EmptyFrameIsActivity => self.touch(),
            _ => {}
        }
    }

    fn audio_too_early(&mut self) {
        match self.server.fault() {
            Fault::AudioBeforeConfigCloses => return self.close(4409),
            Fault::AudioBeforeConfigUncounted => return,
            _ => {}
        }
        self.rejected_frames += 1;
        self.incomplete = true;
    }

    fn audio_after_end(&mut self, pcm: &Bytes) {
        self.memory.poked = true;
        self.memory.late_audio = true;
        match self.server.fault() {
            Fault::LateAudioIgnored => return,
            Fault::LateAudioEnds => return self.fail("internal", None),
            Fault::LateAudioTranscribed => {
                let whole = pcm.len() - pcm.len() % 2;
                self.received_samples += whole / 2;
                if let Some(engine) = &mut self.engine {
                    engine.feed(pcm.slice(..whole));
                    engine.end();
                }
                return;
            }
            Fault::LateAudioUncounted => {}
            Fault::LateAudioCountedAsReceived => {
                self.rejected_frames += 1;
                self.received_samples += pcm.len() / 2;
            }
            _ => self.rejected_frames += 1,
        }
        if !self.told_late_audio && !self.is(Fault::LateAudioUnanswered) {
            self.error("audio_after_end", "audio after end_of_stream was discarded", None);
        }
        self.told_late_audio = !self.is(Fault::LateAudioAnsweredEach);
    }

    fn oversize(&mut self, pcm: Bytes) {
        match self.server.fault() {
            Fault::LongFrameServed if pcm.len().is_multiple_of(2) => return self.accept(pcm),
            Fault::LongFrameDropped => return,
            _ => {}
        }
        self.rejected_frames += 1;
        self.incomplete = true;
        self.fail("message_too_large", None);
    }

    fn broken_frame(&mut self, pcm: Bytes) {
        match self.server.fault() {
            Fault::BrokenFrameShiftsPhase => return self.accept(pcm),
            Fault::BrokenFrameCut => return self.accept(pcm.slice(..pcm.len() - 1)),
            Fault::BrokenFrameEnds => return self.fail("internal", None),
            Fault::BrokenFrameIsActivity => self.touch(),
            _ => {}
        }
        self.rejected_frames += u64::from(!self.is(Fault::BrokenFrameUncounted));
        self.incomplete = true;
        if !self.told_invalid_audio && !self.is(Fault::BrokenFrameUnanswered) {
            self.error("invalid_audio", "the frame is not whole samples", None);
        }
        self.told_invalid_audio = !self.is(Fault::BrokenFrameAnsweredEach);
    }

    fn accept(&mut self, pcm: Bytes) {
        if self.refuses_by_fault(&pcm) {
            return;
        }
        self.touch();
        for flushed in std::mem::take(&mut self.memory.held) {
            self.open_flushes += 1;
            if let (Some(engine), Some(id)) = (&mut self.engine, flushed["id"].as_str()) {
                engine.flush(id.to_owned());
            }
        }
        self.warn_of_container(&pcm);
        let bytes = pcm.len() + usize::from(self.memory.half);
        self.memory.half = bytes % 2 == 1;
        self.received_samples += bytes / 2;
        self.memory.per_frame_ms += ms(bytes / 2);
        let floods = self.engine.as_ref().is_some_and(|engine| engine.backlog_ms() > BURST_MS);
        let deaf = self.memory.deaf || floods && self.is(Fault::BurstUnheard);
        let pcm = if deaf { Bytes::from(vec![0; pcm.len()]) } else { pcm };
        match &mut self.engine {
            Some(_) if floods && self.server.is(Fault::BurstSkipped) => {}
            Some(engine) => engine.feed(pcm),
            None => {}
        }
    }

    fn refuses_by_fault(&mut self, pcm: &Bytes) -> bool {
        match self.server.fault() {
            Fault::ContentIsCommand if pcm.starts_with(br#"{"type":"end_of_stream"}"#) => self.sentinel(),
            Fault::WordEndsStream if pcm.as_ref() == b"END_OF_AUDIO" => self.sentinel(),
            Fault::ContentDropped if pcm.first() == Some(&b'{') => {}
            Fault::ShortFrameDropped if pcm.len() < 320 => {}
            Fault::ShortFrameRefused if pcm.len() < 320 => {
                self.rejected_frames += 1;
                self.incomplete = true;
                self.error("invalid_audio", "the frame is too short", None);
            }
            Fault::FullFrameRefused if pcm.len() > 32_000 => self.fail("message_too_large", None),
            Fault::FirstFrameLost if self.received_samples == 0 && !std::mem::replace(&mut self.memory.poked, true) => {
            }
            Fault::AudioRefused => {
                self.rejected_frames += 1;
                self.incomplete = true;
                self.error("invalid_audio", "this is not understood", None);
            }
            Fault::FullBufferDrops if self.has_no_room(pcm) => {}
            Fault::FullBufferEnds if self.has_no_room(pcm) => self.fail("rate_limited", None),
            Fault::FullBufferFails if self.has_no_room(pcm) => self.fail("internal", None),
            Fault::FullBufferDropsWithWarning if self.has_no_room(pcm) => {
                self.received_samples += pcm.len() / 2;
                if !std::mem::replace(&mut self.incomplete, true) {
                    self.say(json!({"type": "warning", "code": "audio_dropped", "message": "too much at once"}));
                }
            }
            _ => return false,
        }
        true
    }

    fn has_no_room(&self, pcm: &Bytes) -> bool {
        let backlog_ms = self.engine.as_ref().map_or(0, crate::engine::Engine::backlog_ms);
        backlog_ms + ms(pcm.len() / 2) > self.limits.max_buffered_audio_ms
    }

    fn warn_of_container(&mut self, pcm: &Bytes) {
        if self.head.len() < 4 {
            self.head.extend(pcm.iter().take(4 - self.head.len()));
            if [&b"RIFF"[..], b"OggS"].contains(&self.head.as_slice()) {
                let message = "the audio begins like a container file; raw samples are expected";
                self.say(json!({"type": "warning", "code": "container_in_raw_audio", "message": message}));
            }
        }
    }
}
