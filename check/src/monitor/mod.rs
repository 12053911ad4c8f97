//! Two independent opinions on what each side may send, made of the specification's state tables alone. Owns what the tables leave to
//! a reader: that an answer is due once, in order, and before the end. It must not know the session machines.

mod client;
mod server;

pub(crate) use client::ClientMonitor;
pub(crate) use server::{Condition, ServerMonitor};

use crate::explore::Property;

/// A property that one step violates, and how.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Breach {
    /// What is violated.
    pub property: Property,
    /// What happened, for a person.
    pub note: String,
}

impl Breach {
    pub(crate) fn new(property: Property, note: impl Into<String>) -> Self {
        Self { property, note: note.into() }
    }
}
