//! Owns the speech that is sent to a subject: a small built-in set, or a folder of WAVs. Knows nothing of what a subject
//! makes of it.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

/// What every subject must take: 16,000 samples a second.
pub const SAMPLE_RATE_HZ: u64 = 16_000;
const BYTES_PER_MS: u64 = SAMPLE_RATE_HZ * 2 / 1000;

/// One stretch of speech, 16 kHz mono, signed 16-bit little-endian.
#[derive(Clone, Debug)]
pub struct Clip {
    /// The name of its file, or of the way it was put together.
    pub name: String,
    /// Its samples as they go over the wire.
    pub pcm: Arc<[u8]>,
    /// What is said in it, where that is known.
    pub text: Option<String>,
}

impl Clip {
    /// Its length.
    #[must_use]
    pub fn duration_ms(&self) -> u64 {
        self.pcm.len() as u64 / BYTES_PER_MS
    }
}

/// The speech of a run.
#[derive(Clone, Debug)]
pub struct Speech {
    word: Clip,
    sentence: Clip,
    pause: Clip,
    long: Clip,
    recordings: Vec<Clip>,
    has_texts: bool,
}

/// Why a folder of WAVs cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpeechError {
    /// The folder, or a file in it, cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// A file is not what the protocol's core format is.
    #[error("{}: {detail}; every server must take 16 kHz mono s16le, so that is what is needed here", path.display())]
    WrongFormat {
        /// Which.
        path: PathBuf,
        /// What it is instead.
        detail: String,
    },
    /// There is nothing to say.
    #[error("{} holds no WAV with speech in it", path.display())]
    Empty {
        /// Which folder.
        path: PathBuf,
    },
}

impl Speech {
    /// The set that is part of the program: a word and two short sentences, synthesised.
    ///
    /// # Panics
    /// Never: a test reads the same bytes.
    #[must_use]
    pub fn built_in() -> Self {
        static BUILT_IN: LazyLock<Speech> = LazyLock::new(Speech::read_built_in);
        BUILT_IN.clone()
    }

    fn read_built_in() -> Self {
        let files: [(&str, &[u8]); 3] = [
            ("word.wav", include_bytes!("../audio/word.wav")),
            ("lamp.wav", include_bytes!("../audio/lamp.wav")),
            ("camera.wav", include_bytes!("../audio/camera.wav")),
        ];
        let texts = parse_texts(include_str!("../audio/refs.tsv"));
        let clips = files
            .iter()
            .map(|(name, bytes)| {
                let pcm = read_wav(Path::new(name), bytes).expect("the embedded WAVs are 16 kHz mono");
                Clip { name: (*name).to_owned(), pcm, text: text_of(&texts, name) }
            })
            .collect();
        Self::from_clips(clips, true).expect("the embedded set holds speech")
    }

    /// All WAVs of a folder. `refs.tsv` beside them, if it is there, holds `FILE<TAB>TEXT`; a file with an empty text holds no speech.
    ///
    /// # Errors
    /// The folder or a file cannot be read, a WAV is not 16 kHz mono s16le, or there is no speech. The caller's fault.
    pub fn from_folder(folder: &Path) -> Result<Self, SpeechError> {
        let unreadable = |path: &Path, cause: &dyn std::fmt::Display| SpeechError::Unreadable {
            path: path.to_owned(),
            cause: cause.to_string(),
        };
        let mut files: Vec<PathBuf> = fs::read_dir(folder)
            .map_err(|error| unreadable(folder, &error))?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("wav")))
            .collect();
        files.sort();
        let refs = folder.join("refs.tsv");
        let texts = match fs::read_to_string(&refs) {
            Ok(text) => parse_texts(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(unreadable(&refs, &error)),
        };
        let mut clips = Vec::new();
        for path in files {
            let bytes = fs::read(&path).map_err(|error| unreadable(&path, &error))?;
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            clips.push(Clip { pcm: read_wav(&path, &bytes)?, text: text_of(&texts, &name), name });
        }
        Self::from_clips(clips, !texts.is_empty()).ok_or_else(|| SpeechError::Empty { path: folder.to_owned() })
    }

    /// A clip by the name that cases use: `word`, `sentence`, `pause` (two utterances with a silence between) or `long`.
    #[must_use]
    pub fn clip(&self, name: &str) -> &Clip {
        match name {
            "word" => &self.word,
            "pause" => &self.pause,
            "long" => &self.long,
            _ => &self.sentence,
        }
    }

    /// Every file of the set.
    #[must_use]
    pub fn recordings(&self) -> &[Clip] {
        &self.recordings
    }

    /// Whether it is known what is said.
    #[must_use]
    pub fn has_texts(&self) -> bool {
        self.has_texts
    }

    /// Chooses the clips: the shortest as the word, the middle one as the sentence, the rest put together.
    fn from_clips(recordings: Vec<Clip>, has_texts: bool) -> Option<Self> {
        let mut speech: Vec<&Clip> =
            recordings.iter().filter(|clip| clip.duration_ms() >= 200 && clip.text.as_deref() != Some("")).collect();
        speech.sort_by_key(|clip| clip.pcm.len());
        let word = (*speech.first()?).clone();
        let middle = speech.len() / 2;
        let sentence = (*speech.get(middle)?).clone();
        let other = (*speech.get(middle + 1).or_else(|| speech.get(middle.saturating_sub(1)))?).clone();
        let pause = join("pause", &[&sentence, &other], PAUSE_MS);
        let mut parts = vec![&sentence, &other];
        while parts.iter().map(|clip| clip.duration_ms()).sum::<u64>() < LONG_MS {
            parts.extend([&sentence, &other]);
        }
        let long = join("long", &parts, BREATH_MS);
        Some(Self { word, sentence, pause, long, recordings, has_texts })
    }
}

const PAUSE_MS: u64 = 1_400;
const BREATH_MS: u64 = 200;
const LONG_MS: u64 = 7_000;

/// Silence of this length, as it goes over the wire.
#[must_use]
pub fn silence(duration_ms: u64) -> Vec<u8> {
    vec![0; usize::try_from(duration_ms * BYTES_PER_MS).unwrap_or(0)]
}

fn join(name: &str, clips: &[&Clip], gap_ms: u64) -> Clip {
    let mut pcm = Vec::new();
    for (index, clip) in clips.iter().enumerate() {
        if index > 0 {
            pcm.extend(silence(gap_ms));
        }
        pcm.extend_from_slice(&clip.pcm);
    }
    let texts: Option<Vec<&str>> = clips.iter().map(|clip| clip.text.as_deref()).collect();
    Clip { name: name.to_owned(), pcm: pcm.into(), text: texts.map(|texts| texts.join(" ")) }
}

fn read_wav(path: &Path, bytes: &[u8]) -> Result<Arc<[u8]>, SpeechError> {
    let wrong = |detail: String| SpeechError::WrongFormat { path: path.to_owned(), detail };
    let mut reader = hound::WavReader::new(Cursor::new(bytes)).map_err(|error| wrong(error.to_string()))?;
    let spec = reader.spec();
    if spec.channels != 1
        || u64::from(spec.sample_rate) != SAMPLE_RATE_HZ
        || spec.bits_per_sample != 16
        || spec.sample_format != hound::SampleFormat::Int
    {
        let kind = if spec.sample_format == hound::SampleFormat::Int { "integers" } else { "floats" };
        return Err(wrong(format!(
            "{} Hz, {} channels, {}-bit {kind}",
            spec.sample_rate, spec.channels, spec.bits_per_sample
        )));
    }
    let mut pcm = Vec::with_capacity(bytes.len());
    for sample in reader.samples::<i16>() {
        pcm.extend(sample.map_err(|error| wrong(error.to_string()))?.to_le_bytes());
    }
    Ok(pcm.into())
}

/// The first two columns of a table of texts. Lines without a tab are skipped.
#[must_use]
pub fn parse_texts(table: &str) -> Vec<(String, String)> {
    table
        .lines()
        .filter_map(|line| {
            let mut columns = line.split('\t');
            let file = columns.next()?.trim();
            Some((file.to_owned(), columns.next()?.trim().to_owned()))
        })
        .collect()
}

fn text_of(texts: &[(String, String)], name: &str) -> Option<String> {
    texts.iter().find(|(file, _)| file == name).map(|(_, text)| text.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_set_has_a_word_a_sentence_a_pause_and_something_long() {
        let speech = Speech::built_in();
        assert_eq!(speech.clip("word").text.as_deref(), Some("two"));
        assert!(speech.clip("word").duration_ms() < speech.clip("sentence").duration_ms());
        assert!(speech.clip("pause").duration_ms() > speech.clip("sentence").duration_ms() + PAUSE_MS);
        assert!(speech.clip("long").duration_ms() >= LONG_MS);
        assert!(speech.clip("long").pcm.len().is_multiple_of(2));
    }

    #[test]
    fn a_folder_with_a_file_of_another_format_is_refused_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: 44_100,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(folder.path().join("stereo.wav"), spec).expect("a file");
        writer.write_sample(0_i16).expect("a sample");
        writer.write_sample(0_i16).expect("a sample");
        writer.finalize().expect("the end");
        let error = Speech::from_folder(folder.path()).expect_err("stereo").to_string();
        assert!(error.contains("stereo.wav") && error.contains("44100 Hz, 2 channels"), "{error}");
    }

    #[test]
    fn an_empty_folder_and_a_missing_one_are_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(matches!(Speech::from_folder(folder.path()), Err(SpeechError::Empty { .. })));
        let missing = folder.path().join("nothing");
        assert!(matches!(Speech::from_folder(&missing), Err(SpeechError::Unreadable { .. })));
    }

    #[test]
    fn a_recording_with_an_empty_text_is_kept_but_never_taken_for_speech() {
        let clip = |name: &str, ms: u64, text: &str| Clip {
            name: name.to_owned(),
            pcm: silence(ms).into(),
            text: Some(text.to_owned()),
        };
        let set = vec![clip("quiet.wav", 300, ""), clip("a.wav", 400, "a"), clip("b.wav", 500, "b")];
        let speech = Speech::from_clips(set, true).expect("speech");
        assert_eq!(speech.clip("word").name, "a.wav");
        assert_eq!(speech.recordings().len(), 3);
    }
}
