//! Speech samples and WAV bytes. Owns: the one sample format of the engines, and reading it out of a WAV file.
//! Must not know: engines, sessions, HTTP.

use std::io::Cursor;

/// The sample rate of everything that an engine is given, in hertz. One channel, 16 bits.
pub const SAMPLE_RATE_HZ: u32 = 16_000;

/// Samples in one millisecond of audio.
pub const SAMPLES_PER_MS: u64 = SAMPLE_RATE_HZ as u64 / 1_000;

/// Whole milliseconds in `samples` samples, rounded down.
#[must_use]
pub const fn samples_to_ms(samples: u64) -> u64 {
    samples / SAMPLES_PER_MS
}

/// Samples in `ms` milliseconds.
#[must_use]
pub const fn ms_to_samples(ms: u64) -> u64 {
    ms * SAMPLES_PER_MS
}

/// Why WAV bytes were refused. Always the fault of who sent them.
#[derive(Debug, thiserror::Error)]
pub enum WavError {
    /// The bytes are no WAV file, or one that ends early.
    #[error("not a readable WAV file: {0}")]
    Unreadable(#[from] hound::Error),
    /// A WAV file, but not in the format of the engines.
    #[error(
        "the WAV file has {channels} channel(s) of {bits} bits at {rate_hz} Hz; send 1 channel of 16-bit PCM at 16000 Hz"
    )]
    Format {
        /// Channels in the file.
        channels: u16,
        /// Bits in a sample.
        bits: u16,
        /// Samples in a second.
        rate_hz: u32,
    },
}

/// Reads a WAV file of 16-bit PCM, 16 kHz, one channel.
///
/// # Errors
/// [`WavError`] when the bytes are no such file. Nothing is resampled or mixed down.
pub fn read_wav(bytes: &[u8]) -> Result<Vec<i16>, WavError> {
    let mut reader = hound::WavReader::new(Cursor::new(bytes))?;
    let spec = reader.spec();
    let is_pcm16 = spec.sample_format == hound::SampleFormat::Int && spec.bits_per_sample == 16;
    if !is_pcm16 || spec.channels != 1 || spec.sample_rate != SAMPLE_RATE_HZ {
        let (channels, bits, rate_hz) = (spec.channels, spec.bits_per_sample, spec.sample_rate);
        return Err(WavError::Format { channels, bits, rate_hz });
    }
    Ok(reader.samples::<i16>().collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wav(channels: u16, rate_hz: u32, samples: &[i16]) -> Vec<u8> {
        let spec = hound::WavSpec {
            channels,
            sample_rate: rate_hz,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut bytes, spec).expect("a header");
        for sample in samples {
            writer.write_sample(*sample).expect("a sample");
        }
        writer.finalize().expect("a file");
        bytes.into_inner()
    }

    #[test]
    fn a_good_file_comes_back_sample_for_sample() {
        let samples = [0, 1, -1, i16::MAX, i16::MIN];
        assert_eq!(read_wav(&wav(1, 16_000, &samples)).expect("good"), samples);
    }

    #[test]
    fn another_rate_or_two_channels_are_refused_with_what_was_found() {
        let stereo = read_wav(&wav(2, 16_000, &[0, 0])).expect_err("two channels");
        assert!(stereo.to_string().contains("2 channel(s)"), "{stereo}");
        let slow = read_wav(&wav(1, 8_000, &[0])).expect_err("8 kHz");
        assert!(slow.to_string().contains("8000 Hz"), "{slow}");
    }

    #[test]
    fn a_truncated_file_and_no_file_are_refused() {
        let whole = wav(1, 16_000, &[7; 100]);
        for cut in [0, 3, 20, 43, whole.len() - 1] {
            assert!(read_wav(&whole[..cut]).is_err(), "{cut} bytes were accepted");
        }
        assert!(read_wav(b"<!doctype html>").is_err());
    }
}
