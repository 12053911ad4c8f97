//! The strings of an object as places in the text: keys, told apart after unescaping, and what their escapes stand for. Knows
//! nothing of the grammar: the scanner has checked every string that comes here.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::hex_code_unit;

/// Where the content of a string stands, without its quotes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Key {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Key {
    pub(super) fn raw(self, text: &str) -> &str {
        &text[self.start..self.end]
    }

    pub(super) fn unescaped(self, text: &str) -> Cow<'_, str> {
        unescape(self.raw(text))
    }
}

/// So many keys of an object are kept without an allocation.
const FEW_KEYS: usize = 16;

/// The keys of one object: inline while they are few, a set beyond, so that a hostile object costs no quadratic time.
#[derive(Default)]
pub(super) struct Keys<'a> {
    few: [Key; FEW_KEYS],
    count: usize,
    /// Whether a key that is here, or is about to be, holds an escape: then texts are compared and not spellings.
    pub(super) any_escaped: bool,
    many: BTreeSet<Cow<'a, str>>,
}

impl<'a> Keys<'a> {
    /// False if the key is there already.
    pub(super) fn insert(&mut self, text: &'a str, key: Key) -> bool {
        if self.count < FEW_KEYS {
            if self.few[..self.count].iter().any(|earlier| self.same(text, *earlier, key)) {
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

    fn same(&self, text: &str, one: Key, other: Key) -> bool {
        if self.any_escaped {
            return one.unescaped(text) == other.unescaped(text);
        }
        // The length and the last byte tell most keys apart without a look at the rest.
        // (The byte before an empty key is its quote.)
        let (one, other, bytes) = (one.start..one.end, other.start..other.end, text.as_bytes());
        one.len() == other.len() && bytes[one.end - 1] == bytes[other.end - 1] && bytes[one] == bytes[other]
    }
}

/// The text of a JSON string without its quotes. `raw` has been scanned: every escape in it is whole.
pub(super) fn unescape(raw: &str) -> Cow<'_, str> {
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
