//! What is lost between all short texts of a few words: a table, for what a person would call lost has many corners.

use std::fmt::Write as _;

use super::super::comparison::found;

/// All sequences of these words up to a length.
fn sequences(words: &[&str], longest: usize) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut last = all.clone();
    for _ in 0..longest {
        last = last
            .iter()
            .flat_map(|one| words.iter().map(move |word| format!("{one} {word}").trim().to_owned()))
            .collect();
        all.extend(last.iter().cloned());
    }
    all
}

#[test]
fn what_is_lost_between_short_texts_is_as_it_was() {
    let mut table = String::new();
    for short in sequences(&["a", "b"], 3) {
        for long in sequences(&["a", "b", "c"], 4).iter().filter(|long| long.len() > short.len()) {
            let found = found(&[&short], &[long], &[long]);
            assert!(found.len() <= 1, "{found:?}");
            let words = found.first().map_or("nothing", |text| text.split_once(' ').map_or("", |(_, words)| words));
            let _ =
                writeln!(table, "{long} heard as {}: {words} lost", if short.is_empty() { "nothing" } else { &short });
        }
    }
    insta::assert_snapshot!(table);
}
