//! What the tests of the wire share.
#![expect(dead_code, reason = "every test binary takes the parts it needs")]

pub mod mutate;
pub mod oracle;
pub mod strategies;
