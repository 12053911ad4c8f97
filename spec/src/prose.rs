//! Owns the reading of requirement lines out of the Markdown prose, for the generator and its checks.
//! Does no I/O: the caller hands over file names and contents.

use crate::registry::{Level, Role};

/// A requirement as it stands in the prose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProseRequirement {
    /// `END-S4`.
    pub id: String,
    /// Who is bound.
    pub role: Role,
    /// How strongly.
    pub level: Level,
    /// Why no peer can observe a breach, if none can.
    pub untestable: Option<String>,
    /// The sentence.
    pub text: String,
    /// `08-end-of-stream.md: 8.1 The server`.
    pub section: String,
}

/// Reads every requirement line of one file. `Err` names the file, the line and what is wrong with it.
pub fn read(file: &str, content: &str) -> Result<Vec<ProseRequirement>, String> {
    let mut heading = "";
    let mut found = Vec::new();
    for (index, line) in content.lines().enumerate() {
        if line.starts_with('#') {
            heading = line.trim_start_matches('#').trim();
        } else if let Some(rest) = line.strip_prefix("**[") {
            let section = format!("{file}: {heading}");
            let one = requirement(rest, section).map_err(|why| format!("{file}:{}: {why}", index + 1))?;
            found.push(one);
        } else if line.contains("**[") {
            return Err(format!("{file}:{}: a requirement starts its own line", index + 1));
        }
    }
    Ok(found)
}

fn requirement(rest: &str, section: String) -> Result<ProseRequirement, String> {
    let (id, rest) = rest.split_once("]** (").ok_or("expected `**[ID]** (role, level) sentence`")?;
    if !is_id(id) {
        return Err(format!("`{id}` is not an identifier like END-S4 (area, -, optional S or C, number)"));
    }
    let (role, rest) = rest.split_once(", ").ok_or("expected `(role, level)`")?;
    let role = match role {
        "server" => Role::Server,
        "client" => Role::Client,
        "both" => Role::Both,
        other => return Err(format!("`{other}` is no role; use server, client or both")),
    };
    let end = closing(rest).ok_or("the bracket after the role is not closed")?;
    let (level, text) = (&rest[..end], rest[end + 1..].trim());
    let (level, untestable) = match level.split_once("; untestable: ") {
        Some((level, why)) => (level, Some(why.to_owned())),
        None => (level, None),
    };
    let level = match level {
        "MUST" => Level::Must,
        "MUST NOT" => Level::MustNot,
        "SHOULD" => Level::Should,
        "SHOULD NOT" => Level::ShouldNot,
        "MAY" => Level::May,
        other => return Err(format!("`{other}` is no level")),
    };
    if text.is_empty() {
        return Err(format!("{id} has no sentence"));
    }
    Ok(ProseRequirement { id: id.to_owned(), role, level, untestable, text: text.to_owned(), section })
}

/// The index of the bracket that closes the one already open, reasons may hold brackets of their own.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 1;
    text.char_indices().find_map(|(at, c)| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(at)
    })
}

fn is_id(id: &str) -> bool {
    let Some((area, number)) = id.split_once('-') else { return false };
    let number = number.strip_prefix(['S', 'C']).unwrap_or(number);
    (2..=3).contains(&area.len())
        && area.bytes().all(|b| b.is_ascii_uppercase())
        && !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_yields_id_role_level_and_sentence() {
        let read = read("x.md", "# 1. Head\n\n**[END-S4]** (server, MUST) Refuse it.\n").unwrap();
        assert_eq!(read[0].id, "END-S4");
        assert_eq!((read[0].role, read[0].level), (Role::Server, Level::Must));
        assert_eq!(read[0].section, "x.md: 1. Head");
        assert_eq!(read[0].text, "Refuse it.");
    }

    #[test]
    fn a_reason_may_hold_brackets() {
        let read = read("x.md", "**[BP-S3]** (server, MUST; untestable: hidden (mostly)) Read on.\n").unwrap();
        assert_eq!(read[0].untestable.as_deref(), Some("hidden (mostly)"));
        assert_eq!(read[0].text, "Read on.");
    }

    #[test]
    fn faults_name_file_and_line() {
        for (line, want) in [
            ("**[END-S4]** (somebody, MUST) x", "`somebody` is no role"),
            ("**[end-4]** (server, MUST) x", "not an identifier"),
            ("**[END-S4]** (server, WILL) x", "`WILL` is no level"),
            ("see **[END-S4]** (server, MUST) x", "starts its own line"),
            ("**[END-S4]** (server, MUST)", "has no sentence"),
        ] {
            let error = read("x.md", &format!("\n{line}\n")).unwrap_err();
            assert!(error.starts_with("x.md:2: ") && error.contains(want), "{error}");
        }
    }
}
