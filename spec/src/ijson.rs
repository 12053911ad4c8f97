//! The I-JSON profile of a control message, checked in one pass over the bytes: one object, no duplicate keys, bounded
//! depth, no lone surrogates, integers within 2^53-1, finite numbers. Knows JSON only, and no message.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::Range;

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
    let mut scanner =
        Scanner { text, bytes: text.as_bytes(), at: 0, message_type: TypeMember::Missing, type_span: 0..0 };
    match scanner.message() {
        Ok(()) => Ok(TopLevel { message_type: scanner.message_type, type_span: scanner.type_span }),
        Err(fault) => Err(fault.into_error(text)),
    }
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
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
            if !keys.insert(self.text, key) {
                let fault = Fault::new(IjsonErrorKind::DuplicateKey, key.start);
                return Err(Box::new(fault.within(Segment::Key(key))));
            }
            self.white_space();
            self.expect(b':')?;
            self.white_space();
            let start = self.at;
            self.value(depth).map_err(|fault| Box::new(fault.within(Segment::Key(key))))?;
            if depth == 1 && key.is(self.text, "type") {
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
        let mut escaped = false;
        self.at = start;
        loop {
            while self.bytes.get(self.at).is_some_and(|byte| PLAIN[usize::from(*byte)]) {
                self.at += 1;
            }
            match self.peek() {
                Some(b'"') => {
                    let end = self.at;
                    self.at += 1;
                    return Ok(Key { start, end, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return self.fault(IjsonErrorKind::NotJson),
            }
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
        if matches!(self.peek(), Some(b'e' | b'E')) {
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
            self.text[start..self.at].parse::<f64>().is_ok_and(f64::is_finite)
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

/// Up to 16 digits can be within the bound, and 16 digits fit a `u64`.
fn integer_in_range(digits: &[u8]) -> bool {
    digits.len() <= 16 && digits.iter().fold(0_u64, |value, digit| value * 10 + u64::from(digit - b'0')) <= MAX_INTEGER
}

fn hex_code_unit(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |unit, digit| Some(unit * 16 + char::from(*digit).to_digit(16)?))
}

/// The bytes of a string that stand for themselves: no control, no quote, no backslash.
const PLAIN: [bool; 256] = {
    let mut plain = [true; 256];
    let mut byte = 0;
    while byte < 0x20 {
        plain[byte] = false;
        byte += 1;
    }
    plain[b'"' as usize] = false;
    plain[b'\\' as usize] = false;
    plain
};

/// Where the content of a string stands, without its quotes.
#[derive(Clone, Copy, Debug, Default)]
struct Key {
    start: usize,
    end: usize,
    escaped: bool,
}

impl Key {
    fn raw(self, text: &str) -> &str {
        &text[self.start..self.end]
    }

    fn unescaped(self, text: &str) -> Cow<'_, str> {
        if self.escaped { unescape(self.raw(text)) } else { Cow::Borrowed(self.raw(text)) }
    }

    fn is(self, text: &str, name: &str) -> bool {
        if self.escaped { self.unescaped(text) == name } else { self.raw(text) == name }
    }
}

/// So many keys of an object are kept without an allocation.
const FEW_KEYS: usize = 16;

/// The keys of one object: inline while they are few, a set beyond, so that a hostile object costs no quadratic time.
#[derive(Default)]
struct Keys<'a> {
    few: [Key; FEW_KEYS],
    count: usize,
    many: BTreeSet<Cow<'a, str>>,
}

impl<'a> Keys<'a> {
    /// False if the key is there already.
    fn insert(&mut self, text: &'a str, key: Key) -> bool {
        if self.count < FEW_KEYS {
            if self.few[..self.count].iter().any(|earlier| same_key(text, *earlier, key)) {
                return false;
            }
            self.few[self.count] = key;
            self.count += 1;
            return true;
        }
        if self.many.is_empty() {
            self.many.extend(self.few.iter().map(|earlier| earlier.unescaped(text)));
        }
        self.many.insert(key.unescaped(text))
    }
}

fn same_key(text: &str, one: Key, other: Key) -> bool {
    if one.escaped || other.escaped {
        one.unescaped(text) == other.unescaped(text)
    } else {
        one.raw(text) == other.raw(text)
    }
}

/// The text of a JSON string without its quotes. `raw` has been scanned: every escape in it is whole.
fn unescape(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let (character, length) = unescape_one(&rest.as_bytes()[at..]);
        text.push(character);
        rest = &rest[at + length..];
    }
    text.push_str(rest);
    Cow::Owned(text)
}

fn unescape_one(escape: &[u8]) -> (char, usize) {
    let unit = |at: usize| escape.get(at + 2..at + 6).and_then(hex_code_unit).unwrap_or(0);
    match escape[1] {
        b'u' => match unit(0) {
            high @ 0xD800..=0xDBFF => {
                let scalar = 0x1_0000 + ((high - 0xD800) << 10) + (unit(6).wrapping_sub(0xDC00) & 0x3FF);
                (char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
            }
            scalar => (char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER), 6),
        },
        b'b' => ('\u{8}', 2),
        b'f' => ('\u{c}', 2),
        b'n' => ('\n', 2),
        b'r' => ('\r', 2),
        b't' => ('\t', 2),
        itself => (char::from(itself), 2),
    }
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
