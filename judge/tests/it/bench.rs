//! A suspect and its release probes, each connection by what it does after the sentinel, in milliseconds.

use lastword_judge::{Conclusion, Options, Outcome, judge};
use lastword_spec::trace::{Event, EventKind, Open, Probe, Side, Stimulus, Trace};

use super::scene::{CONFIG, END, READY, ended, scene};

/// What one connection does after the sentinel, in milliseconds after it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Course {
    /// How long `ready` takes; the other times count from it.
    pub(crate) ready_ms: u64,
    pub(crate) stimulus_ms: u64,
    /// What progress is told: when, and how much is processed.
    pub(crate) progress: &'static [(u64, u64)],
    /// What else happens, as a line of a scene.
    pub(crate) more: &'static [(u64, &'static str)],
    pub(crate) ends_ms: Option<u64>,
    pub(crate) watched_ms: u64,
}

pub(crate) fn ends(ms: u64) -> Course {
    Course { ends_ms: Some(ms), watched_ms: ms + 10, ..Course::default() }
}

pub(crate) fn stuck(watched_ms: u64) -> Course {
    Course { watched_ms, ..Course::default() }
}

/// It ends so long after the stimulus.
pub(crate) fn released(stimulus_ms: u64, after_ms: u64) -> Course {
    Course { stimulus_ms, ..ends(stimulus_ms + after_ms) }
}

/// A trace of a suspect and of its probes.
pub(crate) struct Bench {
    pub(crate) trace: Trace,
    pub(crate) next_ms: u64,
}

impl Bench {
    pub(crate) fn of(suspect: Course) -> Self {
        let mut bench = Self { trace: scene(&[]), next_ms: 0 };
        bench.play(0, None, suspect);
        bench
    }

    pub(crate) fn probes(mut self, stimulus: Stimulus, courses: &[Course]) -> Self {
        for (index, course) in courses.iter().enumerate() {
            let round = u32::try_from(index + 1).expect("few rounds");
            let conn = self.trace.events.iter().map(|event| event.conn).max().unwrap_or(0).max(1_999) + 1;
            self.play(conn, Some(Probe { of: 0, stimulus, round }), *course);
        }
        self
    }

    /// Probes side by side, each so many milliseconds after the first.
    pub(crate) fn beside(mut self, stimulus: Stimulus, courses: &[(u64, Course)]) -> Self {
        let (first_ms, mut last_ms) = (self.next_ms, self.next_ms);
        for (after_ms, course) in courses {
            self.next_ms = first_ms + after_ms;
            self = self.probes(stimulus, &[*course]);
            last_ms = last_ms.max(self.next_ms);
        }
        self.trace.events.sort_by_key(|event| event.t_us);
        self.next_ms = last_ms;
        self
    }

    pub(crate) fn play(&mut self, conn: u32, probe: Option<Probe>, course: Course) {
        let last = ended(1_000, 0, 0);
        let told: Vec<(u64, String)> = (1..)
            .zip(course.progress)
            .map(|(seq, (ms, processed_ms))| {
                (10 + ms, format!(r#"<{{"type":"progress","seq":{seq},"audio_processed_ms":{processed_ms}}}"#))
            })
            .collect();
        let mut plan = vec![(0, "open"), (0, CONFIG), (0, READY), (0, "audio 32000"), (10, END)];
        plan.extend(told.iter().map(|(ms, progress)| (*ms, progress.as_str())));
        plan.extend(course.more.iter().map(|(ms, what)| (10 + ms, *what)));
        if let Some(ms) = course.ends_ms {
            plan.push((10 + ms, &last));
        }
        match probe {
            None if course.ends_ms.is_some() => plan.push((11 + course.watched_ms, "closed 1000")),
            _ => plan.push((10 + course.watched_ms, "gave_up 1")),
        }
        plan.sort_by_key(|(ms, _)| *ms);
        let mut events = scene(&plan).events;
        if let Some(probe) = probe {
            events[0].kind = EventKind::Open(Open { probe: Some(probe), ..Open::default() });
            let stimulus = Event::new((10 + course.stimulus_ms) * 1_000, conn, EventKind::Stimulus(probe.stimulus));
            let index = events.iter().position(|event| event.t_us > stimulus.t_us).unwrap_or(events.len());
            events.insert(index, stimulus);
        }
        let ready = events.iter().position(|event| matches!(event.kind, EventKind::Text { from: Side::Server, .. }));
        for (index, event) in events.iter_mut().enumerate() {
            let after_ms = if Some(index) < ready { 0 } else { course.ready_ms };
            event.conn = conn;
            event.t_us += (self.next_ms + after_ms) * 1_000;
        }
        self.trace.events.append(&mut events);
        self.next_ms += course.ready_ms + course.watched_ms + 20;
    }

    pub(crate) fn finds(self) -> Vec<String> {
        let judgement = judge(&self.trace, &Options::default());
        judgement.findings.iter().map(|finding| finding.requirement.as_str().to_owned()).collect()
    }

    pub(crate) fn says(self) -> String {
        assert_eq!(self.trace.header.subject, Side::Server);
        let judgement = judge(&self.trace, &Options::default());
        match judgement.suspicions.first().map(|one| &one.conclusion) {
            Some(Conclusion::WaitsFor(stimuli)) => format!("waits for {stimuli:?}"),
            Some(Conclusion::Masked { limit, forward, .. }) => format!("masked {limit:?} {forward:?}"),
            Some(Conclusion::Slow { .. }) => "slow".to_owned(),
            other => format!("{other:?}"),
        }
    }

    /// What each probe with this stimulus showed.
    pub(crate) fn shows(self, stimulus: Stimulus) -> Vec<Outcome> {
        let judgement = judge(&self.trace, &Options::default());
        let rows = judgement.suspicions.into_iter().flat_map(|one| one.probes);
        rows.filter(|row| row.stimulus == stimulus).flat_map(|row| row.outcomes).collect()
    }
}
