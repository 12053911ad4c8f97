//! Owns the catalogue: every mutant by name, with the requirement it breaks and the case that is meant to find it.

mod audio;
mod config;
mod connection;
mod end;
mod flush;
mod keepalive;
mod limits;
mod messages;
mod progress;
mod results;

use std::sync::LazyLock;

use crate::fault::Fault;
use crate::options::{Engine, Limits, Options};

/// The server with one fault.
#[derive(Debug)]
pub struct Mutant {
    /// What it is called on the command line.
    pub name: &'static str,
    /// The requirement that the fault is meant to break.
    pub breaks: &'static str,
    /// The case that is meant to find it.
    pub case: &'static str,
    /// Further requirements that the fault cannot but break; why, stands beside it.
    pub also: &'static [&'static str],
    /// What it takes for the fault to show.
    pub needs: Needs,
    /// What it does wrong, in one line.
    pub what: &'static str,
    pub(crate) fault: Fault,
}

/// What it takes for a fault to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The server demands a credential, and the harness has it.
    pub token: bool,
    /// The recogniser costs other than it usually does.
    pub engine: Option<Engine>,
    /// The idle timeout is other than it usually is.
    pub idle_timeout_ms: Option<u64>,
    /// It shows only over TCP, in a process of its own.
    pub real_process: bool,
}

/// The credential of servers that demand one.
const TOKEN: &str = "sesame-open";

impl Mutant {
    /// A server with this fault, set up so that it shows.
    #[must_use]
    pub fn options(&'static self) -> Options {
        let usual = Limits::default();
        Options {
            mutant: Some(self),
            limits: Limits { idle_timeout_ms: self.needs.idle_timeout_ms.unwrap_or(usual.idle_timeout_ms), ..usual },
            token: self.needs.token.then(|| TOKEN.to_owned()),
            engine: self.needs.engine.unwrap_or_default(),
            ..Options::default()
        }
    }

    const fn also(mut self, also: &'static [&'static str]) -> Self {
        self.also = also;
        self
    }

    const fn with_token(mut self) -> Self {
        self.needs.token = true;
        self
    }

    /// It takes a while from `config` to `ready`.
    const fn loading(self) -> Self {
        self.with_engine(Engine { load_ms: 300, ..Engine::USUAL })
    }

    const fn with_idle_timeout_ms(mut self, idle_timeout_ms: u64) -> Self {
        self.needs.idle_timeout_ms = Some(idle_timeout_ms);
        self
    }

    const fn with_engine(mut self, engine: Engine) -> Self {
        self.needs.engine = Some(engine);
        self
    }
}

const fn mutant(
    fault: Fault,
    name: &'static str,
    breaks: &'static str,
    case: &'static str,
    what: &'static str,
) -> Mutant {
    let needs = Needs { token: false, engine: None, idle_timeout_ms: None, real_process: false };
    Mutant { name, breaks, case, also: &[], needs, what, fault }
}

static MUTANTS: LazyLock<Vec<&'static Mutant>> = LazyLock::new(|| {
    let areas = [
        connection::MUTANTS,
        config::MUTANTS,
        audio::MUTANTS,
        results::MUTANTS,
        keepalive::MUTANTS,
        progress::MUTANTS,
        flush::MUTANTS,
        end::MUTANTS,
        messages::MUTANTS,
        limits::MUTANTS,
    ];
    areas.into_iter().flatten().collect()
});

/// Every mutant, in the order of the specification.
#[must_use]
pub fn mutants() -> &'static [&'static Mutant] {
    &MUTANTS
}

/// The mutant of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Mutant> {
    mutants().iter().find(|mutant| mutant.name == name).copied()
}
