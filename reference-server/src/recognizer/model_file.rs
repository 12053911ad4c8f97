//! Whether a file is a whole whisper.cpp model. Owns: reading the file's header, counts and tensor list, its hash, and the
//! hashes of the models that are known. Must not know: whisper.cpp itself, how a model is run.
//!
//! whisper.cpp trusts the file: a wrong count aborts the process, a file cut off before its first tensor loads and transcribes
//! nothing for ever, one byte too many is a crash. So nothing reaches it that this page has not walked to the last byte.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

mod tensors;

use tensors::{Shape, expected_tensors};

/// A model whose file is known byte for byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownModel {
    /// SHA-256 of the file, in lower-case hex.
    pub sha256: &'static str,
    /// What it says to the bundled recording.
    pub probe_text: &'static str,
}

/// The models known byte for byte: the fixture model.
pub const KNOWN_MODELS: &[KnownModel] = &[KnownModel {
    sha256: "aebdcad57b3d22ea71b5ac7ae9d8b8bb50c5c87d321c2bae8c97b1dd1b762816",
    probe_text: "please turn on the garage heater",
}];

/// The header of a whisper.cpp model file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelHeader {
    /// Tokens; 51864 is English only, more is multilingual.
    pub n_vocab: u32,
    /// Encoder positions of 20 ms each.
    pub n_audio_ctx: u32,
    /// Width of the model.
    pub n_state: u32,
    /// Encoder heads.
    pub n_audio_head: u32,
    /// Encoder layers.
    pub n_audio_layer: u32,
    /// Decoder positions.
    pub n_text_ctx: u32,
    /// Decoder heads.
    pub n_text_head: u32,
    /// Decoder layers.
    pub n_text_layer: u32,
    /// Mel bands.
    pub n_mels: u32,
    /// The type of its matrices, without the quantisation version.
    pub ftype: u32,
}

/// A model file that was read to its last byte and found whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedModel {
    /// Its header.
    pub header: ModelHeader,
    /// SHA-256 of the file, in lower-case hex.
    pub sha256: String,
    /// The entry of [`KNOWN_MODELS`], if it is one of them.
    pub known: Option<KnownModel>,
}

impl CheckedModel {
    /// Whether the model knows more languages than English.
    #[must_use]
    pub const fn is_multilingual(&self) -> bool {
        self.header.n_vocab > ENGLISH_VOCAB
    }
}

/// What is wrong with a model file: the fault of who chose it, and how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum ModelFileError {
    /// The file cannot be read.
    #[error("cannot read the model file: {0}; give the path of a whisper.cpp model (ggml-*.bin)")]
    Io(#[from] std::io::Error),
    /// The path is a directory, a device or a pipe.
    #[error("the model path is not a regular file; give the path of a whisper.cpp model (ggml-*.bin)")]
    NotAFile,
    /// The file begins like something else.
    #[error("not a whisper.cpp model: the file {found}; download or convert one in whisper.cpp's ggml format")]
    NotAModel {
        /// What it looks like.
        found: String,
    },
    /// The file ends before its content does.
    #[error("the model file is truncated: it ends at byte {length_bytes} within {within}; download it again")]
    Truncated {
        /// Its length.
        length_bytes: u64,
        /// The part that is not whole.
        within: String,
    },
    /// There is more than a model.
    #[error(
        "the model file has {extra_bytes} byte(s) too many after its last tensor, from byte {at_byte}; download it again"
    )]
    TrailingBytes {
        /// Where the model ends.
        at_byte: u64,
        /// How much follows.
        extra_bytes: u64,
    },
    /// A part is impossible or of a kind that is not served.
    #[error(
        "the model file is damaged or of an unsupported kind: at byte {at_byte}, {what}; download it again or choose another model"
    )]
    Invalid {
        /// Where.
        at_byte: u64,
        /// What was found and what was expected.
        what: String,
    },
    /// Tensors that the header promises are not there.
    #[error("the model file lacks {missing} of its {expected} tensors, the first is {first:?}; download it again")]
    MissingTensors {
        /// How many.
        missing: usize,
        /// Of how many.
        expected: usize,
        /// One of them.
        first: String,
    },
}

const MAGIC: u32 = 0x6767_6d6c;
const ENGLISH_VOCAB: u32 = 51_864;
/// Token IDs up to this are compiled into whisper.cpp; a vocabulary much larger is no Whisper.
const VOCAB_RANGE: std::ops::RangeInclusive<u32> = ENGLISH_VOCAB..=60_000;
const MEL_FFT_BINS: u32 = 201;
const LONGEST_TOKEN_BYTES: u32 = 1_024;
const QUANTISATION_VERSION: u32 = 2_000;

/// Reads the file to its last byte: header, mel filters, vocabulary, and every tensor's name, shape, type and length.
///
/// What it cannot see: weights of the right length that are wrong. For those the model is made to transcribe a recording.
///
/// # Errors
/// [`ModelFileError`], one for each kind of damage; it names the byte and holds no path.
pub fn check(path: &Path) -> Result<CheckedModel, ModelFileError> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(ModelFileError::NotAFile);
    }
    let file = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut reader = ModelReader { file, hash: Sha256::new(), at: 0, length: metadata.len() };
    let header = read_header(&mut reader)?;
    read_mel_filters(&mut reader, &header)?;
    read_vocabulary(&mut reader, &header)?;
    read_tensors(&mut reader, &header)?;
    let sha256 = reader.finish()?;
    let known = KNOWN_MODELS.iter().find(|known| known.sha256 == sha256).copied();
    Ok(CheckedModel { header, sha256, known })
}

/// Reads and hashes, and never past the length that the file had at first.
struct ModelReader {
    file: BufReader<File>,
    hash: Sha256,
    at: u64,
    length: u64,
}

impl ModelReader {
    /// The next `length` bytes, which are a part of `within`. Asks for no memory that the file could not fill.
    fn bytes(&mut self, length: u64, within: &str) -> Result<Vec<u8>, ModelFileError> {
        let mut bytes = Vec::new();
        self.each(length, within, |part| bytes.extend_from_slice(part))?;
        Ok(bytes)
    }

    fn each(&mut self, length: u64, within: &str, mut take: impl FnMut(&[u8])) -> Result<(), ModelFileError> {
        if length > self.length - self.at {
            return Err(ModelFileError::Truncated { length_bytes: self.length, within: within.to_owned() });
        }
        let mut left = length;
        let mut part = [0; 64 * 1024];
        while left > 0 {
            let size = left.min(part.len() as u64) as usize;
            self.file.read_exact(&mut part[..size])?;
            self.hash.update(&part[..size]);
            take(&part[..size]);
            left -= size as u64;
            self.at += size as u64;
        }
        Ok(())
    }

    fn u32(&mut self, within: &str) -> Result<u32, ModelFileError> {
        let bytes = self.bytes(4, within)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// A count that must be in `range`, else the file is not what it says it is.
    fn count(&mut self, name: &str, range: std::ops::RangeInclusive<u32>) -> Result<u32, ModelFileError> {
        let at_byte = self.at;
        let value = self.u32(name)?;
        if range.contains(&value) {
            return Ok(value);
        }
        let (least, most) = (range.start(), range.end());
        let expected = if least == most { format!("{least}") } else { format!("{least} to {most}") };
        let what = format!("{name} is {}, expected {expected}", value as i32);
        Err(ModelFileError::Invalid { at_byte, what })
    }

    fn invalid<T>(&self, what: String) -> Result<T, ModelFileError> {
        Err(ModelFileError::Invalid { at_byte: self.at, what })
    }

    fn at_end(&self) -> bool {
        self.at == self.length
    }

    fn finish(self) -> Result<String, ModelFileError> {
        use std::fmt::Write as _;
        let mut hex = String::new();
        for byte in self.hash.finalize() {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        Ok(hex)
    }
}

fn read_header(reader: &mut ModelReader) -> Result<ModelHeader, ModelFileError> {
    read_magic(reader)?;
    let n_vocab = reader.count("n_vocab", VOCAB_RANGE)?;
    let n_audio_ctx = reader.count("n_audio_ctx", 64..=1_500)?;
    let n_state = reader.count("n_audio_state", 32..=4_096)?;
    let n_audio_head = reader.count("n_audio_head", 1..=64)?;
    let n_audio_layer = reader.count("n_audio_layer", 1..=64)?;
    let n_text_ctx = reader.count("n_text_ctx", 32..=4_096)?;
    // The decoder attends to what the encoder gives: one width.
    reader.count("n_text_state", n_state..=n_state)?;
    let n_text_head = reader.count("n_text_head", 1..=64)?;
    let n_text_layer = reader.count("n_text_layer", 1..=64)?;
    let n_mels = reader.count("n_mels", 80..=128)?;
    let ftype_at = reader.at;
    let written = reader.u32("ftype")?;
    let ftype = written.checked_sub(QUANTISATION_VERSION).unwrap_or(written);
    let header = ModelHeader {
        n_vocab,
        n_audio_ctx,
        n_state,
        n_audio_head,
        n_audio_layer,
        n_text_ctx,
        n_text_head,
        n_text_layer,
        n_mels,
        ftype,
    };
    if tensors::matrix_type(ftype).is_none() {
        let why = if written == 0 { " (f32: whisper.cpp loads it and aborts at the first use)" } else { "" };
        let what = format!("ftype is {}{why}, served are f16, q4_0, q4_1, q5_0, q5_1 and q8_0", written as i32);
        return Err(ModelFileError::Invalid { at_byte: ftype_at, what });
    }
    if n_state % 32 != 0 || n_state % n_audio_head != 0 || n_state % n_text_head != 0 {
        let what = format!(
            "a width of {n_state} is not divisible by 32, by {n_audio_head} encoder heads and by {n_text_head} decoder heads"
        );
        return Err(ModelFileError::Invalid { at_byte: 12, what });
    }
    Ok(header)
}

fn read_magic(reader: &mut ModelReader) -> Result<(), ModelFileError> {
    if reader.length == 0 {
        return Err(ModelFileError::NotAModel { found: "is empty".to_owned() });
    }
    let start = reader.bytes(reader.length.min(4), "its magic number")?;
    if start == MAGIC.to_le_bytes() {
        return Ok(());
    }
    let found = match start.as_slice() {
        b"GGUF" => "is in GGUF format".to_owned(),
        [b'<', ..] => "begins like an HTML or XML page".to_owned(),
        b"vers" => "is a Git LFS pointer; fetch the file that it stands for".to_owned(),
        [b'P', b'K', ..] => "begins like a zip or PyTorch archive".to_owned(),
        [_, _, _, _] => format!("begins with the bytes {start:02x?}"),
        _ => format!("has only {} byte(s)", start.len()),
    };
    Err(ModelFileError::NotAModel { found })
}

fn read_mel_filters(reader: &mut ModelReader, header: &ModelHeader) -> Result<(), ModelFileError> {
    let n_mel = reader.count("the number of mel filters", header.n_mels..=header.n_mels)?;
    let n_fft = reader.count("the width of the mel filters", MEL_FFT_BINS..=MEL_FFT_BINS)?;
    let bytes = reader.bytes(u64::from(n_mel) * u64::from(n_fft) * 4, "the mel filters")?;
    let values = bytes.chunks_exact(4).map(|value| f32::from_le_bytes([value[0], value[1], value[2], value[3]]));
    let mut any = false;
    for value in values {
        if !value.is_finite() || !(0.0..=10.0).contains(&value) {
            return reader.invalid(format!("before it a mel filter holds {value}"));
        }
        any |= value > 0.0;
    }
    if any { Ok(()) } else { reader.invalid("the mel filters before it are all zero".to_owned()) }
}

fn read_vocabulary(reader: &mut ModelReader, header: &ModelHeader) -> Result<(), ModelFileError> {
    let count = reader.count("the number of vocabulary entries", 50_000..=header.n_vocab)?;
    let mut has_space = false;
    for index in 0..count {
        let within = format!("vocabulary entry {index} of {count}");
        let length = reader.count(&format!("the length of {within}"), 0..=LONGEST_TOKEN_BYTES)?;
        has_space |= reader.bytes(u64::from(length), &within)? == b" ";
    }
    if has_space { Ok(()) } else { reader.invalid("the vocabulary before it has no entry \" \"".to_owned()) }
}

fn read_tensors(reader: &mut ModelReader, header: &ModelHeader) -> Result<(), ModelFileError> {
    let mut expected = expected_tensors(header);
    let total = expected.len();
    // Once every tensor has come, whatever follows is no model.
    while !expected.is_empty() {
        if reader.at_end() {
            let mut names: Vec<&String> = expected.keys().collect();
            names.sort_unstable();
            let first = names[0].clone();
            return Err(ModelFileError::MissingTensors { missing: expected.len(), expected: total, first });
        }
        read_tensor(reader, &mut expected, total)?;
    }
    let extra_bytes = reader.length - reader.at;
    if extra_bytes > 0 {
        return Err(ModelFileError::TrailingBytes { at_byte: reader.at, extra_bytes });
    }
    Ok(())
}

fn read_tensor(
    reader: &mut ModelReader,
    expected: &mut HashMap<String, Shape>,
    total: usize,
) -> Result<(), ModelFileError> {
    let at_byte = reader.at;
    let within = format!("the header of tensor {} of {total}", total - expected.len() + 1);
    let n_dims = reader.count(&format!("the number of dimensions in {within}"), 1..=4)?;
    let name_length = reader.count(&format!("the length of the name in {within}"), 1..=128)?;
    let kind = reader.u32(&within)?;
    let mut dims = Vec::with_capacity(n_dims as usize);
    for _ in 0..n_dims {
        dims.push(reader.u32(&within)?);
    }
    let name = String::from_utf8_lossy(&reader.bytes(u64::from(name_length), &within)?).into_owned();
    let Some(shape) = expected.remove(&name) else {
        let what = format!("there is a tensor named {name:?}, which is unknown or came before");
        return Err(ModelFileError::Invalid { at_byte, what });
    };
    if dims != shape.dims || kind != shape.kind.code {
        let what = format!(
            "the tensor {name:?} is of type {} and shape {dims:?}, expected {} and {:?}",
            kind as i32, shape.kind.code, shape.dims
        );
        return Err(ModelFileError::Invalid { at_byte, what });
    }
    let data_at = reader.at;
    let mut finite = true;
    // 64 KiB parts are whole blocks only for the plain kinds; the scales of quantised blocks are left to the trial.
    reader.each(shape.length_bytes(), &format!("the data of the tensor {name:?}"), |part| {
        finite &= shape.kind.is_finite(part);
    })?;
    if finite {
        return Ok(());
    }
    let what = format!("the tensor {name:?} holds a weight that is not a finite number");
    Err(ModelFileError::Invalid { at_byte: data_at, what })
}
