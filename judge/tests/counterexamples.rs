//! The counterexamples that the checker found: shortest courses in which a mutant of the protocol breaks it. The judge reads each and
//! finds what its header says. It has never seen the machines that the courses were found with.

use std::collections::BTreeSet;
use std::path::Path;

use lastword_judge::{Options, judge, render};
use lastword_spec::trace;

#[test]
fn the_judge_finds_in_each_counterexample_what_its_header_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../check/traces");
    let mut wrong = String::new();
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).expect("the folder of counterexamples") {
        let path = entry.expect("an entry of the folder").path();
        let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("a trace is text");
        let trace = trace::read(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let expected: BTreeSet<String> = trace.header.expect.iter().flatten().cloned().collect();
        let judgement = judge(&trace, &Options::default());
        let found = judgement.findings.iter().map(|finding| finding.requirement.as_str().to_owned()).collect();
        if expected != found {
            let told: String = judgement.findings.iter().map(|finding| format!("\n    {}", render(finding))).collect();
            wrong.push_str(&format!(
                "\n  {name} ({}): expected {expected:?}{told} {:?}",
                trace.header.subject.as_str(),
                judgement.undecided
            ));
        }
        count += usize::from(!expected.is_empty());
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count >= 25, "only {count} counterexamples that show something");
}
