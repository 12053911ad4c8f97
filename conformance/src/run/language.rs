//! Owns which language a case asks for: the one it names where the subject knows it, or else the first that the subject says it knows.
//! What a subject makes of a language that it does not know is no matter of the cases that name one. It knows no session.

use serde_json::{Map, Value};

/// The members of a `config`, with a language out of `known`, if any are known.
pub(super) fn in_a_known_one(members: &Map<String, Value>, known: Option<&[String]>) -> Map<String, Value> {
    let mut members = members.clone();
    if let Some(Value::String(language)) = members.get_mut("language")
        && let Some([first, rest @ ..]) = known
        && ![first].into_iter().chain(rest).any(|one| primary(one) == primary(language))
    {
        language.clone_from(first);
    }
    members
}

/// `en` of `en-GB`.
fn primary(tag: &str) -> String {
    tag.split('-').next().unwrap_or_default().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_asked_for_a_language_that_it_says_it_knows() {
        let asked = |known: Option<&[&str]>| {
            let known: Option<Vec<String>> = known.map(|tags| tags.iter().map(|&tag| tag.to_owned()).collect());
            let members = Map::from_iter([("language".to_owned(), Value::from("en"))]);
            in_a_known_one(&members, known.as_deref())["language"].clone()
        };
        assert_eq!(asked(None), "en");
        assert_eq!(asked(Some(&[])), "en");
        assert_eq!(asked(Some(&["de", "EN-gb"])), "en");
        assert_eq!(asked(Some(&["de", "fr"])), "de");
        assert_eq!(in_a_known_one(&Map::new(), Some(&["de".to_owned()])), Map::new());
    }
}
