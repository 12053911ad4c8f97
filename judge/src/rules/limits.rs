//! The limits that `ready` announces (LIM-S1, KA-S1). That they are kept is seen where messages are read and closes come.

use lastword_spec::finding::FindingKind;
use lastword_spec::message::{AudioFormat, Ready};
use lastword_spec::requirements as req;

use crate::conn::{At, Conn};

/// The limits of a `ready` in its place.
pub(crate) fn on_ready(conn: &mut Conn, at: At, ready: &Ready) {
    let limits = &ready.limits;
    conn.credit(req::KA_S1);
    if let Some((spec, value)) = limits.below_minimum().first() {
        let text = format!("announces `limits.{}` {value}, below the minimum of {}", spec.name, spec.minimum);
        conn.convict(FindingKind::WrongValue, req::LIM_S1, at, text);
    } else if let Some(needed) = second_of_audio_bytes(ready).filter(|needed| limits.max_frame_bytes < *needed) {
        // A format of which not one second fits into a frame is not served, whatever `ready` says.
        let default_format = ready.config.audio == AudioFormat::default();
        let (kind, clause) = if default_format {
            (FindingKind::WrongValue, req::LIM_S1)
        } else {
            (FindingKind::WronglyAccepted, req::CFG_S6)
        };
        let text = format!(
            "announces `limits.max_frame_bytes` {}, less than the {needed} of one second",
            limits.max_frame_bytes
        );
        conn.convict(kind, clause, at, text);
    }
    if limits.keepalive_interval_ms.saturating_mul(3) > limits.idle_timeout_ms {
        let text = format!(
            "announces a keepalive interval of {} ms, more than a third of the idle timeout of {} ms",
            limits.keepalive_interval_ms, limits.idle_timeout_ms
        );
        conn.convict(FindingKind::WrongValue, req::KA_S1, at, text);
    }
}

/// Whether something that the client sent before `ready`, within the defaults, is above the limits announced since: a server
/// that handles it after `ready` may refuse it.
pub(crate) fn early_may_be_too_large(conn: &Conn) -> bool {
    conn.answers.longest_early_bytes > conn.limits.max_text_bytes
        || conn.audio.longest_early_bytes > conn.limits.max_frame_bytes
}

fn second_of_audio_bytes(ready: &Ready) -> Option<u64> {
    let audio = &ready.config.audio;
    audio.bytes_per_sample_group().map(|group| group.saturating_mul(u64::from(audio.sample_rate_hz)))
}
