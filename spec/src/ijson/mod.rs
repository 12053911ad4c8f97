//! The I-JSON profile of a control message, checked in one pass over the bytes: one object, no duplicate keys, bounded
//! depth, no lone surrogates, integers within 2^53-1, finite numbers. Knows JSON only, and no message.

mod keys;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;

use keys::{Key, Keys, unescape};

/// The largest absolute value of an integer: what a double holds exactly.
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// The deepest nesting of objects and arrays; the message itself is the first level.
pub const MAX_DEPTH: usize = 16;

/// What the scan found out about the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopLevel<'a> {
    /// The value of the top-level member `type`.
    pub message_type: TypeMember<'a>,
    /// Where that value stands in the text, quotes included; empty where there is none.
    pub type_span: Range<usize>,
}

/// The top-level member `type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeMember<'a> {
    /// There is none.
    Missing,
    /// It is not a string.
    NotString,
    /// Its text, unescaped.
    Text(Cow<'a, str>),
}

/// Why a text is not a message in the I-JSON profile, and where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IjsonError {
    /// What is wrong.
    pub kind: IjsonErrorKind,
    /// The byte of the text at which it shows.
    pub offset_bytes: usize,
    /// The JSON path of the value at fault, such as `words[3].text`; empty for the message itself.
    pub path: String,
}

/// The ways in which a text can miss the I-JSON profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IjsonErrorKind {
    /// It is not JSON (RFC 8259).
    NotJson,
    /// It is JSON, perhaps, but no object.
    NotObject,
    /// An object has the same key twice, compared after unescaping.
    DuplicateKey,
    /// Objects and arrays are nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// An integer beyond [`MAX_INTEGER`], or a number no double can hold.
    NumberRange,
    /// A `\u` escape of half a surrogate pair.
    LoneSurrogate,
}

/// Checks the whole text. Allocates nothing unless a key or the type holds an escape, an object has more than 16 keys,
/// or the text is refused.
///
/// # Errors
/// The first fault in the order of the bytes. It is the sender's.
pub fn scan(text: &str) -> Result<TopLevel<'_>, IjsonError> {
    let mut scanner = Scanner {
        text,
        bytes: text.as_bytes(),
        at: 0,
        escaped: false,
        message_type: TypeMember::Missing,
        type_span: 0..0,
    };
    match scanner.message() {
        Ok(()) => Ok(TopLevel { message_type: scanner.message_type, type_span: scanner.type_span }),
        Err(fault) => Err(fault.into_error(text)),
    }
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// Whether the last string held an escape.
    escaped: bool,
    message_type: TypeMember<'a>,
    type_span: Range<usize>,
}

impl<'a> Scanner<'a> {
    fn message(&mut self) -> Scanned {
        self.white_space();
        match self.peek() {
            Some(b'{') => self.object(1)?,
            Some(b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                return self.fault(IjsonErrorKind::NotObject);
            }
            _ => return self.fault(IjsonErrorKind::NotJson),
        }
        self.white_space();
        if self.at == self.bytes.len() { Ok(()) } else { self.fault(IjsonErrorKind::NotJson) }
    }

    fn value(&mut self, depth: usize) -> Scanned {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            _ => self.fault(IjsonErrorKind::NotJson),
        }
    }

    fn object(&mut self, depth: usize) -> Scanned {
        if depth > MAX_DEPTH {
            return self.fault(IjsonErrorKind::TooDeep);
        }
        self.at += 1;
        self.white_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        let mut keys = Keys::default();
        loop {
            if self.peek() != Some(b'"') {
                return self.fault(IjsonErrorKind::NotJson);
            }
            let key = self.string()?;
            let is_type =
                depth == 1 && (key.raw(self.text) == "type" || self.escaped && key.unescaped(self.text) == "type");
            keys.any_escaped |= self.escaped;
            if !keys.insert(self.text, key) {
                let fault = Fault::new(IjsonErrorKind::DuplicateKey, key.start);
                return Err(Box::new(fault.within(Segment::Key(key))));
            }
            self.white_space();
            self.expect(b':')?;
            self.white_space();
            let start = self.at;
            self.value(depth).map_err(|fault| Box::new(fault.within(Segment::Key(key))))?;
            if is_type {
                self.note_type(start);
            }
            self.white_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return self.fault(IjsonErrorKind::NotJson),
            }
            self.white_space();
        }
    }

    /// Keeps the value of `type`, which stands from `start` to here and is well-formed.
    fn note_type(&mut self, start: usize) {
        self.type_span = start..self.at;
        self.message_type = if self.bytes[start] == b'"' {
            TypeMember::Text(unescape(&self.text[start + 1..self.at - 1]))
        } else {
            TypeMember::NotString
        };
    }

    fn array(&mut self, depth: usize) -> Scanned {
        if depth > MAX_DEPTH {
            return self.fault(IjsonErrorKind::TooDeep);
        }
        self.at += 1;
        self.white_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        for index in 0.. {
            self.value(depth).map_err(|fault| Box::new(fault.within(Segment::Index(index))))?;
            self.white_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    break;
                }
                _ => return self.fault(IjsonErrorKind::NotJson),
            }
            self.white_space();
        }
        Ok(())
    }

    fn string(&mut self) -> Result<Key, Box<Fault>> {
        let start = self.at + 1;
        self.at = start;
        self.escaped = false;
        loop {
            self.plain_run();
            match self.peek() {
                Some(b'"') => {
                    let end = self.at;
                    self.at += 1;
                    return Ok(Key { start, end });
                }
                Some(b'\\') => {
                    self.escaped = true;
                    self.escape()?;
                }
                _ => return self.fault(IjsonErrorKind::NotJson),
            }
        }
    }

    /// Stands on the next byte of a string that does not stand for itself, or at the end. Eight bytes at a time: strings are
    /// most of a message.
    fn plain_run(&mut self) {
        while let Some(chunk) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk) {
            let special = special_bytes(u64::from_le_bytes(*chunk));
            if special != 0 {
                self.at += special.trailing_zeros() as usize / 8;
                return;
            }
            self.at += 8;
        }
        while self.peek().is_some_and(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
            self.at += 1;
        }
    }

    fn escape(&mut self) -> Scanned {
        let start = self.at;
        match self.bytes.get(start + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => match self.code_unit(start)? {
                0xD800..=0xDBFF => match self.bytes.get(start + 6..start + 8) {
                    Some(b"\\u") => match self.code_unit(start + 6)? {
                        0xDC00..=0xDFFF => Ok(()),
                        _ => Err(Box::new(Fault::new(IjsonErrorKind::LoneSurrogate, start))),
                    },
                    _ => Err(Box::new(Fault::new(IjsonErrorKind::LoneSurrogate, start))),
                },
                0xDC00..=0xDFFF => Err(Box::new(Fault::new(IjsonErrorKind::LoneSurrogate, start))),
                _ => Ok(()),
            },
            _ => self.fault(IjsonErrorKind::NotJson),
        }
    }

    /// Reads the `\uXXXX` at `start` and stands behind it.
    fn code_unit(&mut self, start: usize) -> Result<u32, Box<Fault>> {
        self.at = start;
        match self.bytes.get(start + 2..start + 6).and_then(hex_code_unit) {
            Some(unit) => {
                self.at = start + 6;
                Ok(unit)
            }
            None => self.fault(IjsonErrorKind::NotJson),
        }
    }

    fn number(&mut self) -> Scanned {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let integer_start = self.at;
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return self.fault(IjsonErrorKind::NotJson),
        }
        let integer = integer_start..self.at;
        let mut is_integer = true;
        if self.peek() == Some(b'.') {
            is_integer = false;
            self.at += 1;
            self.some_digits()?;
        }
        let has_exponent = matches!(self.peek(), Some(b'e' | b'E'));
        if has_exponent {
            is_integer = false;
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits()?;
        }
        let in_range = if is_integer {
            integer_in_range(&self.bytes[integer])
        } else {
            // Without an exponent, only more digits than a double's range has can be beyond it.
            !has_exponent && integer.len() < 300 || self.text[start..self.at].parse::<f64>().is_ok_and(f64::is_finite)
        };
        if in_range { Ok(()) } else { Err(Box::new(Fault::new(IjsonErrorKind::NumberRange, start))) }
    }

    fn some_digits(&mut self) -> Scanned {
        let start = self.at;
        self.digits();
        if self.at == start { self.fault(IjsonErrorKind::NotJson) } else { Ok(()) }
    }

    fn digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    fn literal(&mut self, literal: &[u8]) -> Scanned {
        if self.bytes[self.at..].starts_with(literal) {
            self.at += literal.len();
            Ok(())
        } else {
            self.fault(IjsonErrorKind::NotJson)
        }
    }

    fn expect(&mut self, byte: u8) -> Scanned {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            self.fault(IjsonErrorKind::NotJson)
        }
    }

    fn white_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn fault<T>(&self, kind: IjsonErrorKind) -> Result<T, Box<Fault>> {
        Err(Box::new(Fault::new(kind, self.at)))
    }
}

type Scanned = Result<(), Box<Fault>>;

/// Fewer than 16 digits are within the bound, more are beyond it, and 16 fit a `u64`.
fn integer_in_range(digits: &[u8]) -> bool {
    let value = || digits.iter().fold(0_u64, |value, digit| value * 10 + u64::from(digit - b'0'));
    digits.len() < 16 || digits.len() == 16 && value() <= MAX_INTEGER
}

fn hex_code_unit(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |unit, digit| Some(unit * 16 + char::from(*digit).to_digit(16)?))
}

/// The high bit of the first byte of `chunk` (little-endian) that is a control, a quote or a backslash; 0 for none. Bits above
/// that one may be set, too: a borrow runs on from the byte that was found.
fn special_bytes(chunk: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
    let below = |value: u64, bound: u8| value.wrapping_sub(ONES * u64::from(bound)) & !value;
    let quote = below(chunk ^ (ONES * u64::from(b'"')), 1);
    let backslash = below(chunk ^ (ONES * u64::from(b'\\')), 1);
    (below(chunk, 0x20) | quote | backslash) & HIGH_BITS
}

/// A fault on its way up; the path grows as the scanner unwinds, so that a good message pays nothing for it.
struct Fault {
    kind: IjsonErrorKind,
    offset_bytes: usize,
    innermost_first: Vec<Segment>,
}

enum Segment {
    Key(Key),
    Index(usize),
}

impl Fault {
    fn new(kind: IjsonErrorKind, offset_bytes: usize) -> Self {
        Self { kind, offset_bytes, innermost_first: Vec::new() }
    }

    fn within(mut self, segment: Segment) -> Self {
        self.innermost_first.push(segment);
        self
    }

    fn into_error(self, text: &str) -> IjsonError {
        let mut path = String::new();
        for segment in self.innermost_first.iter().rev() {
            match segment {
                Segment::Key(key) => {
                    let separator = if path.is_empty() { "" } else { "." };
                    let name = key.unescaped(text);
                    let shown: String = name.chars().take(MAX_SHOWN_KEY_CHARS).collect();
                    let _ = write!(path, "{separator}{shown}");
                }
                Segment::Index(index) => {
                    let _ = write!(path, "[{index}]");
                }
            }
        }
        IjsonError { kind: self.kind, offset_bytes: self.offset_bytes, path }
    }
}

/// A path is shown to people: a hostile key is cut.
const MAX_SHOWN_KEY_CHARS: usize = 64;
