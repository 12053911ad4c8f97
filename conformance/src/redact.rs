//! Owns the hiding of secrets: every text that leaves the harness goes through here. Knows nothing of what the text is.

/// Hides a set of secrets in texts.
#[derive(Clone, Default)]
pub struct Redactor {
    /// What is replaced, and by what, in this order.
    needles: Vec<(String, String)>,
}

/// What stands in the place of a secret.
pub const HIDDEN: &str = "[hidden]";

impl Redactor {
    /// Hides these, also where JSON has escaped them, once or twice.
    #[must_use]
    pub fn new(secrets: &[String]) -> Self {
        Self::marked(secrets.iter().map(|secret| (secret.clone(), HIDDEN.to_owned())))
    }

    /// Hides these, each behind a mark of its own, so that what was the same stays the same and what was different different:
    /// the token behind [`HIDDEN`], the others behind numbered marks. The mark of a secret that holds the token holds the
    /// token's mark.
    #[must_use]
    pub fn telling_apart(token: Option<&str>, others: &[String]) -> Self {
        let mut others: Vec<&String> = others.iter().filter(|secret| Some(secret.as_str()) != token).collect();
        others.sort_unstable();
        others.dedup();
        let marked = others.into_iter().enumerate().map(|(index, secret)| {
            let number = index + 2;
            let holds_token = token.is_some_and(|token| secret.contains(token));
            let mark =
                if holds_token { format!("[hidden {number} with {HIDDEN}]") } else { format!("[hidden {number}]") };
            (secret.clone(), mark)
        });
        Self::marked(marked.chain(token.map(|token| (token.to_owned(), HIDDEN.to_owned()))))
    }

    fn marked(secrets: impl Iterator<Item = (String, String)>) -> Self {
        let mut needles: Vec<(String, String)> = secrets
            .filter(|(secret, _)| !secret.is_empty())
            .flat_map(|(secret, mark)| {
                let once = escaped(&secret);
                let twice = escaped(&once);
                [(secret, mark.clone()), (once, mark.clone()), (twice, mark)]
            })
            .collect();
        // A secret within another is hidden with it, so the longest go first.
        needles.sort_by(|(left, _), (right, _)| right.len().cmp(&left.len()).then_with(|| left.cmp(right)));
        needles.dedup();
        Self { needles }
    }

    /// The text without secrets.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (needle, mark) in &self.needles {
            if text.contains(needle.as_str()) {
                text = text.replace(needle.as_str(), mark);
            }
        }
        text
    }
}

fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_also_within_json_within_json() {
        let redactor = Redactor::new(&["se\"same".to_owned(), "se\"same-long".to_owned()]);
        let once = serde_json::json!({"token": "se\"same"}).to_string();
        let twice = serde_json::json!({"text": once}).to_string();
        for text in ["x se\"same y", "se\"same-long", once.as_str(), twice.as_str()] {
            let hidden = redactor.redact(text);
            assert!(hidden.contains(HIDDEN) && !hidden.contains("same"), "{hidden}");
        }
        assert_eq!(redactor.redact("nothing here"), "nothing here");
    }

    #[test]
    fn marks_tell_secrets_apart_and_keep_the_token_within_another_recognisable() {
        let others = ["Bearer sesame".to_owned(), "sesame".to_owned(), "tenant".to_owned()];
        let redactor = Redactor::telling_apart(Some("sesame"), &others);
        assert_eq!(redactor.redact("sesame"), HIDDEN);
        assert_eq!(redactor.redact("Bearer sesame"), format!("[hidden 2 with {HIDDEN}]"));
        assert_eq!(redactor.redact("a tenant"), "a [hidden 3]");
    }
}
