//! Speech samples and WAV bytes. Owns: the one sample format of the engines, and how a WAV file becomes it.
//! Must not know: engines, sessions, HTTP.

use std::io::Cursor;

use rubato::audioadapter_buffers::owned::InterleavedOwned;
use rubato::{Fft, FixedSync, Resampler as _};

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
    /// A WAV file, but not of 16-bit PCM.
    #[error("the WAV file has {channels} channel(s) of {bits}-bit {format} samples at {rate_hz} Hz; send 16-bit PCM")]
    Format {
        /// Channels in the file.
        channels: u16,
        /// Bits in a sample.
        bits: u16,
        /// Samples in a second.
        rate_hz: u32,
        /// `integer` or `float`.
        format: &'static str,
    },
    /// A sample rate that no recording of speech has.
    #[error("the WAV file has {rate_hz} samples a second; send {} to {}", RATES_HZ.start(), RATES_HZ.end())]
    Rate {
        /// Samples in a second.
        rate_hz: u32,
    },
    /// Samples at another rate that could not be brought to that of the engines.
    #[error("the samples cannot be brought to 16000 Hz: {0}")]
    Resample(String),
}

/// The sample rates that are read.
const RATES_HZ: std::ops::RangeInclusive<u32> = 4_000..=192_000;
/// Frames that are resampled at once.
const RESAMPLE_FRAMES: usize = 1_024;

/// Reads a WAV file of 16-bit PCM as one channel of 16 kHz samples: channels are averaged, other rates are resampled. A file that
/// is in this format already comes back sample for sample.
///
/// # Errors
/// [`WavError`] when the bytes are no such file.
pub fn read_wav(bytes: &[u8]) -> Result<Vec<i16>, WavError> {
    let mut reader = hound::WavReader::new(Cursor::new(bytes))?;
    let hound::WavSpec { channels, sample_rate: rate_hz, bits_per_sample: bits, sample_format } = reader.spec();
    if sample_format != hound::SampleFormat::Int || bits != 16 {
        let format = if sample_format == hound::SampleFormat::Int { "integer" } else { "float" };
        return Err(WavError::Format { channels, bits, rate_hz, format });
    }
    if !RATES_HZ.contains(&rate_hz) {
        return Err(WavError::Rate { rate_hz });
    }
    let samples = reader.samples::<i16>().collect::<Result<Vec<i16>, _>>()?;
    let mono = mix_down(samples, channels);
    if rate_hz == SAMPLE_RATE_HZ { Ok(mono) } else { resample(&mono, rate_hz) }
}

fn mix_down(samples: Vec<i16>, channels: u16) -> Vec<i16> {
    if channels <= 1 {
        return samples;
    }
    let average = |group: &[i16]| {
        let sum: i32 = group.iter().map(|sample| i32::from(*sample)).sum();
        (sum / i32::from(channels)) as i16
    };
    samples.chunks_exact(usize::from(channels)).map(average).collect()
}

fn resample(samples: &[i16], rate_hz: u32) -> Result<Vec<i16>, WavError> {
    let failed = |error: &dyn std::fmt::Display| WavError::Resample(error.to_string());
    let (from, to) = (rate_hz as usize, SAMPLE_RATE_HZ as usize);
    let mut resampler =
        Fft::<f32>::new(from, to, RESAMPLE_FRAMES, 1, FixedSync::Input).map_err(|error| failed(&error))?;
    let scaled = samples.iter().map(|sample| f32::from(*sample) / 32_768.0).collect();
    let input = InterleavedOwned::new_from(scaled, 1, samples.len()).map_err(|error| failed(&error))?;
    let output = resampler.process_all(&input, samples.len(), None).map_err(|error| failed(&error))?;
    // A resampler may swing beyond full scale: the conversion saturates.
    Ok(output.take_data().into_iter().map(|sample| (sample * 32_768.0).round() as i16).collect())
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
    fn channels_are_averaged() {
        let stereo = [i16::MAX, i16::MAX, 100, -100, i16::MIN, i16::MIN, 10, 20];
        assert_eq!(read_wav(&wav(2, 16_000, &stereo)).expect("good"), [i16::MAX, 0, i16::MIN, 15]);
    }

    #[test]
    fn another_rate_is_resampled_to_the_same_tone_of_the_same_length() {
        for rate_hz in [8_000, 11_025, 22_050, 44_100, 48_000] {
            let phase =
                |at: usize, rate_hz: u32| (at as f64 * 440.0 * std::f64::consts::TAU / f64::from(rate_hz)).sin();
            let tone = |rate_hz: u32| (0..rate_hz as usize).map(move |at| (phase(at, rate_hz) * 8_000.0) as i16);
            let heard = read_wav(&wav(1, rate_hz, &tone(rate_hz).collect::<Vec<_>>())).expect("good");
            assert_eq!(heard.len(), 16_000, "{rate_hz} Hz");
            // The edges ring.
            let pairs = heard.iter().zip(tone(16_000)).skip(1_000).take(14_000);
            let worst = pairs.map(|(heard, wanted)| (heard - wanted).abs()).max();
            // The tone changes by 1,382 from one sample to the next at most: it is less than one sample early or late throughout.
            assert!(worst < Some(1_382), "{rate_hz} Hz: off by {worst:?} of 8000");
        }
    }

    #[test]
    fn a_loud_recording_saturates_and_does_not_wrap() {
        let square: Vec<i16> = (0..44_100).map(|at| if at / 50 % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
        let heard = read_wav(&wav(1, 44_100, &square)).expect("good");
        let in_a_high_half = heard[16_000 / 441 * 4 + 9];
        assert!(in_a_high_half > 20_000, "{in_a_high_half}");
        assert!(heard.contains(&i16::MAX) && heard.contains(&i16::MIN));
    }

    #[test]
    fn other_samples_and_absurd_rates_are_refused_with_what_was_found() {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 16_000,
            bits_per_sample: 32,
            sample_format: hound::SampleFormat::Float,
        };
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut bytes, spec).expect("a header");
        writer.write_sample(0.5f32).expect("a sample");
        writer.finalize().expect("a file");
        let float = read_wav(&bytes.into_inner()).expect_err("float");
        assert!(float.to_string().contains("32-bit float"), "{float}");
        let slow = read_wav(&wav(1, 100, &[0])).expect_err("100 Hz");
        assert!(slow.to_string().contains("100 samples a second"), "{slow}");
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
