//! Links between the documents of the repository: the file must exist, and so must the heading.
//!
//! Owns the resolution of relative links and the anchors that code hosts make of headings. It must not know the web:
//! links with a scheme are not followed.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// Checks every relative link in `documents` (path relative to the root, and text). `exists` answers for any other path.
pub(crate) fn check(documents: &BTreeMap<PathBuf, String>, exists: impl Fn(&Path) -> bool) -> Vec<String> {
    let anchors: BTreeMap<&Path, BTreeSet<String>> =
        documents.iter().map(|(path, text)| (path.as_path(), anchors(text))).collect();
    let mut violations = Vec::new();
    for (path, text) in documents {
        for (line, target) in links(text) {
            if let Some(why) = broken(path, &target, &anchors, &exists) {
                violations.push(format!("{}:{line}: link to `{target}`: {why}", path.display()));
            }
        }
    }
    violations
}

fn broken(
    from: &Path,
    target: &str,
    anchors: &BTreeMap<&Path, BTreeSet<String>>,
    exists: impl Fn(&Path) -> bool,
) -> Option<&'static str> {
    let has_scheme = target.split_once(':').is_some_and(|(scheme, _)| !scheme.contains(['/', '#', '.']));
    if has_scheme || target.starts_with("//") {
        return None;
    }
    let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    let to = if file.is_empty() {
        from.to_path_buf()
    } else {
        let base = from.parent().unwrap_or(Path::new(""));
        match normalised(&base.join(file)) {
            Some(to) => to,
            None => return Some("leads out of the repository"),
        }
    };
    match (anchors.get(to.as_path()), anchor) {
        (Some(known), Some(anchor)) if !known.contains(anchor) => Some("no such heading there"),
        (Some(_), _) => None,
        (None, _) if !exists(&to) => Some("no such file"),
        (None, Some(_)) if to.extension() == Some(OsStr::new("md")) => {
            Some("a document outside the repository's files")
        }
        (None, _) => None,
    }
}

/// `None` for an absolute path, and for one that climbs over the root.
fn normalised(path: &Path) -> Option<PathBuf> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part),
            Component::CurDir => {}
            Component::ParentDir => drop(parts.pop()?),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.into_iter().collect())
}

fn links(text: &str) -> Vec<(usize, String)> {
    Parser::new_ext(text, markdown())
        .into_offset_iter()
        .filter_map(|(event, range)| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                Some((text[..range.start].matches('\n').count() + 1, dest_url.into_string()))
            }
            _ => None,
        })
        .collect()
}

/// The anchors of a document: one for each heading, numbered when repeated, and those set by hand (`id=".."`).
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut heading: Option<String> = None;
    for event in Parser::new_ext(text, markdown()) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                let slug = slug(&heading.take().unwrap_or_default());
                let count = seen.entry(slug.clone()).or_default();
                anchors.insert(if *count == 0 { slug } else { format!("{slug}-{count}") });
                *count += 1;
            }
            Event::Text(part) | Event::Code(part) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&part);
                }
            }
            Event::Html(html) | Event::InlineHtml(html) => {
                let ids = ["id=\"", "name=\""].iter().flat_map(|mark| html.split(mark).skip(1));
                anchors.extend(ids.filter_map(|rest| rest.split_once('"')).map(|(id, _)| id.to_owned()));
            }
            _ => {}
        }
    }
    anchors
}

fn slug(heading: &str) -> String {
    heading
        .trim()
        .chars()
        .filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'))
        .flat_map(char::to_lowercase)
        .map(|letter| if letter == ' ' { '-' } else { letter })
        .collect()
}

fn markdown() -> Options {
    Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        let other = "# Who owes\n\n## Flush & end: `flush`\n\n## Same\n\n## Same\n\n<a id=\"by-hand\"></a>\n";
        let documents = BTreeMap::from([
            (PathBuf::from("doc/a.md"), text.to_owned()),
            (PathBuf::from("spec/b.md"), other.to_owned()),
        ]);
        check(&documents, |path| path == Path::new("src/main.rs") || path == Path::new("src"))
    }

    #[test]
    fn good_links_pass() {
        for link in [
            "../spec/b.md",
            "../spec/b.md#who-owes",
            "../spec/b.md#flush--end-flush",
            "../spec/b.md#same-1",
            "../spec/b.md#by-hand",
            "../src/main.rs#L10",
            "../src/",
            "#top",
            "https://example.org/x.md",
            "mailto:a@example.org",
        ] {
            assert_eq!(told(&format!("# Top\n\nsee [x]({link})\n")), Vec::<String>::new(), "{link}");
        }
        assert_eq!(told("`[x](gone.md)`\n\n```\n[x](gone.md)\n```\n"), Vec::<String>::new(), "code is not a link");
    }

    #[test]
    fn broken_links_are_told_with_line_and_reason() {
        for (link, wanted) in [
            ("gone.md", "doc/a.md:3: link to `gone.md`: no such file"),
            ("../spec/b.md#nobody", "no such heading"),
            ("#nobody", "no such heading"),
            ("../../outside.md", "leads out of the repository"),
            ("/etc/hosts", "leads out of the repository"),
        ] {
            let violations = told(&format!("# Top\n\nsee [x]({link})\n"));
            assert!(violations.len() == 1 && violations[0].contains(wanted), "{link}: {violations:?}");
        }
        assert_eq!(told("[x][ref]\n\n[ref]: gone.md\n").len(), 1, "reference links count too");
        assert_eq!(told("![x](gone.png)\n").len(), 1, "and so do pictures");
    }
}
