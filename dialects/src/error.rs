//! Why a text is no dialect, and where. Owns the errors and how a place in the file is found; what is wrong is found in `compile/`.

use std::fmt;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One thing that is wrong in a dialect file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialectError {
    /// The file, by the name given for it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The member at fault as a dotted path, such as `server[2].take.text`; empty for the file itself.
    pub path: String,
    /// What is wrong, and what to do.
    pub detail: String,
}

impl fmt::Display for DialectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if !self.path.is_empty() {
            write!(f, "`{}`: ", self.path)?;
        }
        f.write_str(&self.detail)
    }
}

/// Everything that is wrong in a dialect file, in the order of its lines; at least one. Nothing of the file is used then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.lines())]
pub struct DialectErrors(pub Vec<DialectError>);

impl DialectErrors {
    fn lines(&self) -> String {
        self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }
}

/// A step of the way to a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

/// The way to a member of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Path(Vec<Step>);

impl Path {
    pub(crate) fn key(&self, key: &str) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Key(key.to_owned()));
        Self(steps)
    }

    pub(crate) fn index(&self, index: usize) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Index(index));
        Self(steps)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if key.starts_with('/') => write!(f, "[\"{key}\"]")?,
                Step::Key(key) => write!(f, "{}{key}", if index == 0 { "" } else { "." })?,
                Step::Index(at) => write!(f, "[{at}]")?,
            }
        }
        Ok(())
    }
}

/// The file as text with its tables, to find lines in.
pub(crate) struct Source<'a> {
    file: &'a str,
    text: &'a str,
    root: Option<Spanned<DeTable<'a>>>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, root: DeTable::parse(text).ok() }
    }

    /// An error of the TOML reader.
    pub(crate) fn unreadable(&self, error: &toml::de::Error) -> DialectError {
        let line = error.span().map_or(1, |span| self.line(span.start));
        DialectError { file: self.file.to_owned(), line, path: String::new(), detail: error.message().to_owned() }
    }

    /// An error at a member; where the member does not stand in the file, at the nearest one above it.
    pub(crate) fn fault(&self, path: &Path, detail: impl Into<String>) -> DialectError {
        DialectError {
            file: self.file.to_owned(),
            line: self.line_of(path),
            path: path.to_string(),
            detail: detail.into(),
        }
    }

    pub(crate) fn line_of(&self, path: &Path) -> usize {
        let Some(root) = &self.root else { return 1 };
        let mut start = None;
        let mut at: Option<&DeValue<'_>> = None;
        for step in &path.0 {
            let next = match (step, at) {
                (Step::Key(key), None) => root.get_ref().get_key_value(key.as_str()),
                (Step::Key(key), Some(value)) => value.as_table().and_then(|table| table.get_key_value(key.as_str())),
                (Step::Index(index), Some(value)) => {
                    let Some(item) = value.as_array().and_then(|items| items.get(*index)) else { break };
                    start = Some(item.span().start);
                    at = Some(item.get_ref());
                    continue;
                }
                (Step::Index(_), None) => None,
            };
            let Some((key, value)) = next else { break };
            start = Some(key.span().start);
            at = Some(value.get_ref());
        }
        start.map_or(1, |start| self.line(start))
    }

    fn line(&self, offset: usize) -> usize {
        self.text.as_bytes()[..offset.min(self.text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
    }
}
