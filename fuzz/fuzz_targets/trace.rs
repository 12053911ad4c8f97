//! Hands bytes to [`lastword_fuzz::read_trace`].
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| lastword_fuzz::read_trace(bytes));
