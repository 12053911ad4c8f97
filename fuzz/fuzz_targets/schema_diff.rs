//! Hands bytes to [`lastword_fuzz::schema_diff`].
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|bytes: &[u8]| lastword_fuzz::schema_diff(bytes));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    // Every other time the bytes' own mutator, which finds what knowledge of JSON would not.
    let mutated = if seed.is_multiple_of(2) { lastword_fuzz::mutate_json(&data[..size], max_size, seed) } else { None };
    match mutated {
        Some(mutated) => {
            data[..mutated.len()].copy_from_slice(&mutated);
            mutated.len()
        }
        None => fuzzer_mutate(data, size, max_size),
    }
});
