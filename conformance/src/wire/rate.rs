//! Owns the change of the sample rate on the way to a subject whose wire has one rate and does not tell it. Speech is heard at any
//! rate, so this is no more than linear interpolation, and the mean where samples are left out. Knows no frames and no dialect.

/// A stream of samples from one rate to another; what one frame leaves over begins the next.
#[derive(Clone, Debug)]
pub(super) struct Rate {
    from_hz: u64,
    to_hz: u64,
    /// The last sample of the frame before.
    before: Option<i16>,
    /// Samples that came, and samples that went.
    came: u64,
    went: u64,
    /// The sum of the samples since the last one that went, and how many they are.
    sum: (i64, i64),
}

impl Rate {
    /// A stream that begins now.
    pub(super) fn new(from_hz: u32, to_hz: u32) -> Self {
        Self { from_hz: from_hz.into(), to_hz: to_hz.into(), before: None, came: 0, went: 0, sum: (0, 0) }
    }

    /// A frame of s16le, changed. A byte that is no whole sample stays behind it, for some frames are wrong on purpose.
    pub(super) fn change(&mut self, frame: &[u8]) -> Vec<u8> {
        let (samples, odd) = frame.split_at(frame.len() / 2 * 2);
        let mut changed = Vec::with_capacity(frame.len().saturating_mul(2));
        for pair in samples.chunks_exact(2) {
            self.take(i16::from_le_bytes([pair[0], pair[1]]), &mut changed);
        }
        changed.extend_from_slice(odd);
        changed
    }

    fn take(&mut self, sample: i16, changed: &mut Vec<u8>) {
        self.came += 1;
        self.sum = (self.sum.0 + i64::from(sample), self.sum.1 + 1);
        // The sample `went` lies at this place of the stream that comes, in units of 1 / to_hz.
        while self.went * self.from_hz < self.came * self.to_hz {
            let value = if self.to_hz < self.from_hz { self.mean() } else { self.between(sample) };
            changed.extend_from_slice(&value.to_le_bytes());
            self.went += 1;
        }
        self.before = Some(sample);
    }

    fn mean(&mut self) -> i16 {
        let (sum, count) = std::mem::take(&mut self.sum);
        i16::try_from(sum / count.max(1)).unwrap_or_default()
    }

    /// Between the sample before and this one.
    fn between(&self, sample: i16) -> i16 {
        let (before, here) = (i64::from(self.before.unwrap_or(sample)), i64::from(sample));
        let to = self.to_hz as i64;
        let into = (self.went * self.from_hz) as i64 - (self.came as i64 - 1) * to;
        i16::try_from(before + (here - before) * into / to).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(samples: impl IntoIterator<Item = i16>) -> Vec<u8> {
        samples.into_iter().flat_map(i16::to_le_bytes).collect()
    }

    fn samples(bytes: &[u8]) -> Vec<i16> {
        bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
    }

    /// A tone, in frames of these many samples, at its new rate.
    fn tone(from_hz: u32, to_hz: u32, frames: usize) -> Vec<i16> {
        let wave =
            |at: usize| (8_000.0 * (at as f64 * 440.0 * std::f64::consts::TAU / f64::from(from_hz)).sin()) as i16;
        let all: Vec<i16> = (0..from_hz as usize).map(wave).collect();
        let mut rate = Rate::new(from_hz, to_hz);
        all.chunks(frames).flat_map(|frame| samples(&rate.change(&bytes(frame.iter().copied())))).collect()
    }

    fn crossings(samples: &[i16]) -> usize {
        samples.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count()
    }

    #[test]
    fn a_second_stays_a_second_and_a_tone_the_same_however_it_is_cut() {
        for to_hz in [8_000, 11_025, 22_050, 24_000, 44_100, 48_000] {
            let whole = tone(16_000, to_hz, 16_000);
            assert_eq!(whole.len(), to_hz as usize, "{to_hz}");
            assert!(crossings(&whole).abs_diff(440) <= 1, "{to_hz}: {} crossings", crossings(&whole));
            let loudest = whole.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or_default();
            assert!((7_500..=8_000).contains(&loudest), "{to_hz}: {loudest}");
            assert_eq!(whole, tone(16_000, to_hz, 333), "{to_hz}");
            assert_eq!(whole, tone(16_000, to_hz, 1), "{to_hz}");
        }
    }

    #[test]
    fn the_loudest_samples_stay_within_their_bounds_and_a_byte_too_many_stays() {
        let frame = [bytes([i16::MIN, i16::MAX, i16::MIN, i16::MIN]), vec![7]].concat();
        for to_hz in [8_000, 48_000] {
            let changed = Rate::new(16_000, to_hz).change(&frame);
            assert_eq!((changed.len(), changed.last()), (8 * to_hz as usize / 16_000 + 1, Some(&7)));
            assert!(samples(&changed).contains(&i16::MIN), "{to_hz}");
        }
        assert_eq!(Rate::new(16_000, 8_000).change(&[1]), [1]);
        assert!(Rate::new(16_000, 8_000).change(&[]).is_empty());
    }
}
