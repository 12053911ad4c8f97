//! Owns the comparison of what was said with what was heard: words, and how many of them are wrong. Pure.

/// How two texts differ, in words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WordErrors {
    /// Words replaced, left out or added, as few as explain the difference.
    pub errors: usize,
    /// Words that were said.
    pub words: usize,
}

impl WordErrors {
    /// Errors for each hundred words said; `None` where nothing was said.
    #[must_use]
    pub fn percent(self) -> Option<f64> {
        (self.words > 0).then(|| self.errors as f64 * 100.0 / self.words as f64)
    }
}

/// Compares by words, in lower case and without punctuation.
#[must_use]
pub fn compare(said: &str, heard: &str) -> WordErrors {
    let (said, heard) = (words(said), words(heard));
    let mut row: Vec<usize> = (0..=heard.len()).collect();
    for (i, word) in said.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in heard.iter().enumerate() {
            let replaced = diagonal + usize::from(word != other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    WordErrors { errors: row[heard.len()], words: said.len() }
}

/// The words of a text, in lower case and without punctuation.
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    text.split_whitespace()
        .map(|word| word.chars().filter(|c| c.is_alphanumeric() || *c == '\'').collect::<String>().to_lowercase())
        .filter(|word| !word.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaced_left_out_and_added_words_are_one_error_each() {
        let errors = |said, heard| compare(said, heard).errors;
        assert_eq!(errors("turn on the lamp", "Turn on, the LAMP."), 0);
        assert_eq!(errors("turn on the lamp", "turn off the lamp"), 1);
        assert_eq!(errors("turn on the lamp", "on the lamp"), 1);
        assert_eq!(errors("turn on the lamp", "turn on the the lamp"), 1);
        assert_eq!(errors("", "noise"), 1);
        assert_eq!(errors("all of it", ""), 3);
    }

    #[test]
    fn a_rate_needs_words() {
        assert_eq!(compare("", "").percent(), None);
        assert_eq!(compare("one two three four", "one two three").percent(), Some(25.0));
    }
}
