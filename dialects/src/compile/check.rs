//! Whether a dialect is whole: what it carries and what it declares lacking are all there is, and do not contradict each other.

use std::ops::RangeInclusive;

use super::Compiler;
use crate::capability::{Capability, Told};
use crate::dialect::Dialect;
use crate::error::Path;
use crate::field::Kind;
use crate::file::{ClosedBy, DialectFile, EndedBy, Finals};

/// Far more than a harness or a server would resample for, and nothing that divides by zero.
const RATES_HZ: RangeInclusive<u32> = 4_000..=192_000;

impl Compiler<'_> {
    pub(super) fn check(&mut self, file: &DialectFile, dialect: &Dialect) {
        let root = Path::default();
        if file.native {
            if !(file.client.is_empty() && file.server.is_empty() && file.unsupported.is_empty()) {
                self.fault(
                    &root.key("native"),
                    "a native dialect passes frames unchanged: take its rules and `unsupported` away",
                );
            }
            return;
        }
        self.check_capabilities(file, dialect, &root.key("unsupported"));
        self.check_end(file, dialect, &root);
        if file.audio.sample_rate_hz.is_some_and(|hz| !RATES_HZ.contains(&hz)) {
            let (least, most) = (RATES_HZ.start(), RATES_HZ.end());
            let why = format!("no rate at which anyone sends speech: write one from {least} to {most}, in Hz");
            self.fault(&root.key("audio").key("sample_rate_hz"), why);
        }
        if file.finals == Finals::Snapshot && !dialect.server.iter().any(|rule| rule.kind == Kind::Window) {
            self.fault(&root.key("finals"), "`snapshot` needs a `window` rule, which says where the segments are");
        }
    }

    fn check_capabilities(&mut self, file: &DialectFile, dialect: &Dialect, path: &Path) {
        for (index, listed) in file.unsupported.iter().enumerate() {
            let evidence = Capability::find(listed).and_then(|one| dialect.evidence(one).0);
            if let Some(line) = evidence {
                let why = format!("`{listed}` is listed as lacking, but line {line} carries it: strike one of them");
                self.fault(&path.index(index), why);
            }
        }
        let missing: Vec<Capability> = Capability::ALL
            .iter()
            .copied()
            .filter(|one| one.told() == Told::Declared && !dialect.unsupported.contains(one))
            .filter(|one| matches!(dialect.evidence(*one), (None, true)))
            .collect();
        if !missing.is_empty() {
            let names: Vec<String> = missing.iter().map(|one| format!("\"{}\"", one.as_str())).collect();
            let detail = format!(
                "nothing in this file carries {}: add what does, or add {} here",
                names.join(", ").replace('"', "`"),
                names.join(", ")
            );
            self.fault(path, detail);
        }
    }

    fn check_end(&mut self, file: &DialectFile, dialect: &Dialect, root: &Path) {
        let at = root.key("end").key("by");
        let told = dialect.evidence(Capability::SessionEnded).0.is_some();
        match file.end.by {
            EndedBy::Message if !told => {
                self.fault(&at, "no `session_ended` rule: add one, or say `by = \"close\"`, \"echo\" or \"none\"");
            }
            EndedBy::Close | EndedBy::None if told => {
                self.fault(&at, "there is a `session_ended` rule: say `by = \"message\"`, or take the rule away");
            }
            EndedBy::Close if file.end.closed_by != ClosedBy::Server => {
                self.fault(
                    &at,
                    "who closes? `by = \"close\"` means that the server does: say `closed_by = \"server\"`",
                );
            }
            _ => {}
        }
    }
}
