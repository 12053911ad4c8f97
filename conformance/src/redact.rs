//! Owns the hiding of secrets: every text that leaves the harness goes through here. Knows nothing of what the text is.

/// Hides a set of secrets in texts.
#[derive(Clone, Default)]
pub struct Redactor {
    needles: Vec<String>,
}

/// What stands in the place of a secret.
pub const HIDDEN: &str = "[hidden]";

impl Redactor {
    /// Hides these, also where JSON has escaped them, once or twice.
    #[must_use]
    pub fn new(secrets: &[String]) -> Self {
        let mut needles: Vec<String> = secrets
            .iter()
            .filter(|secret| !secret.is_empty())
            .flat_map(|secret| {
                let once = escaped(secret);
                let twice = escaped(&once);
                [secret.clone(), once, twice]
            })
            .collect();
        // A secret within another is hidden with it, so the longest go first.
        needles.sort_by(|left, right| right.len().cmp(&left.len()).then_with(|| left.cmp(right)));
        needles.dedup();
        Self { needles }
    }

    /// The text without secrets.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for needle in &self.needles {
            if text.contains(needle.as_str()) {
                text = text.replace(needle.as_str(), HIDDEN);
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
}
