//! Word error rate. Owns: the edit distance over words. Must not know: engines, files.

/// Insertions, deletions and substitutions that turn `reference` into `hypothesis`, and the number of reference words.
/// Words are compared as written.
#[must_use]
pub fn word_errors(reference: &str, hypothesis: &str) -> (usize, usize) {
    let reference: Vec<&str> = reference.split_whitespace().collect();
    let hypothesis: Vec<&str> = hypothesis.split_whitespace().collect();
    let mut row: Vec<usize> = (0..=hypothesis.len()).collect();
    for (i, wanted) in reference.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, heard) in hypothesis.iter().enumerate() {
            let substituted = diagonal + usize::from(wanted != heard);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    (row[hypothesis.len()], reference.len())
}

#[cfg(test)]
mod tests {
    use super::word_errors;

    #[test]
    fn each_kind_of_error_counts_once() {
        assert_eq!(word_errors("a b c", "a b c"), (0, 3));
        assert_eq!(word_errors("a b c", "a c"), (1, 3));
        assert_eq!(word_errors("a b c", "a b x c"), (1, 3));
        assert_eq!(word_errors("a b c", "a x c"), (1, 3));
        assert_eq!(word_errors("", "six"), (1, 0));
        assert_eq!(word_errors("a b", ""), (2, 2));
        assert_eq!(word_errors("a b c d", "b c d e"), (2, 4));
    }
}
