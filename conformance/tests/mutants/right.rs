//! The server without a fault, in several shapes: nothing may be found.

use lastword_mutants::{Engine, Options};

use crate::crowd::{self, Outcome};

fn undecided(outcome: &Outcome) -> Vec<(&str, &str)> {
    let fine = |verdict: &str| matches!(verdict, "PASS" | "NON_STRICT" | "NOT_APPLICABLE");
    let cases = outcome.cases.iter().map(|(case, (verdict, _))| (case.as_str(), verdict.as_str()));
    cases.filter(|(_, verdict)| !fine(verdict)).collect()
}

#[test]
fn the_server_without_a_fault_passes_everything_with_and_without_a_credential() {
    for token in [None, Some("sesame-open".to_owned())] {
        let outcome = crowd::server(Options { token, ..Options::default() });
        assert_eq!(undecided(&outcome), []);
        assert_eq!(outcome.exit_code, lastword::exit::PASS);
    }
}

#[test]
fn a_slow_recogniser_is_no_fault() {
    let usual = Engine::default();
    let shapes = [
        ("a fixed cost for each final", Engine { cost_ms_per_segment: 3_000, ..usual }),
        ("a hangover in every drain", Engine { hangover_ms: 800, ..usual }),
        ("an encoder with a constant window", Engine { window_ms: 400, ..usual }),
        ("a decoder as slow as speech", Engine { decode_ms_per_audio_s: 1_000, ..usual }),
        ("inference that takes most of a minute", Engine { cost_ms_per_audio_s: 4_000, ..usual }),
        ("a model that loads for five seconds", Engine { load_ms: 5_000, ..usual }),
    ];
    let outcomes = crowd::each(&shapes, |(_, engine)| crowd::server(Options { engine: *engine, ..Options::default() }));
    for ((shape, _), outcome) in shapes.iter().zip(&outcomes) {
        assert_eq!(undecided(outcome), [], "{shape}");
        assert_eq!(outcome.exit_code, lastword::exit::PASS, "{shape}");
    }
}
