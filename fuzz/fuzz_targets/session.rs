//! Hands bytes to [`lastword_fuzz::session`].
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| lastword_fuzz::session(bytes));
