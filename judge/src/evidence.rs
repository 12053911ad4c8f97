//! Gathers what a trace holds about a suspicion: the control sessions, the transport, the Ping, the CPU, the release probes, and
//! from all of it the wait-for graph. Decides what it comes to; convicting is the business of `stall`.

use lastword_spec::requirements as req;
use lastword_spec::table::State;
use lastword_spec::trace::{ControlOutcome, EventKind, Side, Stimulus};

use crate::bounds::Scale;
use crate::conn::{At, Conn, Control};
use crate::ledger::Obligation;
use crate::rules::release;
use crate::stall::GivenUp;
use crate::suspicion::{Conclusion, Controls, Cpu, Node, Outcome, Ping, ProbeRow, Suspicion, Transport, WaitsFor};

/// How many control sessions a suspect must outlive before silence alone, with nothing that releases it, is a deadlock.
pub(crate) const CONTROLS: usize = 3;

/// What was noted about a connection beside its messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Noted {
    transport: Option<Transport>,
    pinged_us: Option<u64>,
    ponged_us: Option<u64>,
    cpu: Option<Cpu>,
}

/// An event that is evidence and no message.
pub(crate) fn observe(conn: &mut Conn, at: At, kind: &EventKind) {
    let noted = &mut conn.noted;
    match kind {
        EventKind::Transport { unacknowledged_bytes, unread_bytes, retransmits, .. } => {
            noted.transport = Some(Transport {
                unacknowledged_bytes: *unacknowledged_bytes,
                unread_bytes: *unread_bytes,
                retransmits: *retransmits,
            });
        }
        EventKind::Cpu { busy_ms, over_ms, alone } => {
            noted.cpu = Some(Cpu { busy_ms: *busy_ms, over_ms: *over_ms, alone: *alone });
        }
        EventKind::Ping { from: Side::Client } => {
            noted.pinged_us = Some(at.t_us);
            noted.ponged_us = None;
        }
        EventKind::Pong { from: Side::Server } => {
            noted.ponged_us.get_or_insert(at.t_us);
        }
        _ => {}
    }
}

/// The suspicion on a connection, if there is one: the harness gave up on it, or release probes repeat it.
pub(crate) fn suspicion(conn: &Conn, probes: &[&Conn], controls: &[Control]) -> Option<Suspicion> {
    let given_up =
        conn.given_up.as_ref().filter(|given_up| !given_up.answered || freed_by_our_end(conn, given_up, probes));
    let debt = match given_up {
        Some(given_up) => given_up.debt.clone()?,
        None => release::probed_debt(probes)?,
    };
    let (since_us, event, paid_us) = match given_up {
        Some(_) => (debt.since_us, debt.event, None),
        None => {
            let (asked, paid) = paid(conn, &debt.what)?;
            (asked.t_us, asked.event, Some(paid.t_us))
        }
    };
    let until_us = paid_us.or(given_up.map(|given_up| given_up.at.t_us)).unwrap_or(conn.last.t_us);
    let from_us = given_up.map_or(since_us, GivenUp::still_from_us);
    let counted = |during: bool| {
        let wanted = |control: &&Control| control.t_us > from_us && (control.t_us <= until_us) == during;
        count(controls.iter().filter(wanted))
    };
    let rows = release::rows(probes, &debt.what);
    let mut suspicion = Suspicion {
        conn: conn.id,
        state: debt.state,
        what: debt.what.clone(),
        requirement: debt.requirement,
        since_us,
        event,
        silent_us: given_up
            .map_or(until_us.saturating_sub(since_us), |given_up| until_us.saturating_sub(given_up.silent_from_us)),
        paid_us,
        during: counted(true),
        afterwards: counted(false),
        transport: conn.noted.transport,
        ping: match (conn.noted.pinged_us, conn.noted.ponged_us) {
            (None, _) => Ping::NotSent,
            (Some(sent_us), Some(answered_us)) => Ping::Answered(answered_us.saturating_sub(sent_us)),
            (Some(_), None) => Ping::Unanswered,
        },
        cpu: conn.noted.cpu,
        waits: Vec::new(),
        probes: rows,
        conclusion: Conclusion::Open(String::new()),
    };
    let context = release::Context::of(probes, &debt.what);
    let probed = release::conclude(&suspicion.probes, &debt, &conn.limits, conn.scale, context);
    suspicion.conclusion = conclusion(conn, given_up, &debt, &suspicion, probed, controls);
    if let Conclusion::Masked { .. } = suspicion.conclusion
        && suspicion.what == "session_ended"
    {
        suspicion.requirement = req::END_S7;
    }
    suspicion.waits = waits(&suspicion);
    Some(suspicion)
}

/// Whether what was owed came behind the harness's own end of the session alone, and the probes show that this is what the server
/// waits for: then it did not come by itself, and no timer brought it.
fn freed_by_our_end(conn: &Conn, given_up: &GivenUp, probes: &[&Conn]) -> bool {
    let Some(debt) = &given_up.debt else { return false };
    let ended_us = conn.client_close.map(|closing| closing.at.t_us);
    let behind = |(_, paid): (At, At)| ended_us.is_some_and(|ended_us| ended_us <= paid.t_us);
    let ends = |stimulus: &Stimulus| matches!(stimulus, Stimulus::Close | Stimulus::HalfClose);
    let rows = release::rows(probes, &debt.what);
    let context = release::Context::of(probes, &debt.what);
    paid(conn, &debt.what).is_some_and(behind)
        && matches!(release::conclude(&rows, debt, &conn.limits, conn.scale, context),
            Some(Conclusion::WaitsFor(stimuli)) if stimuli.iter().any(ends))
}

/// When a debt that was paid arose, and when it was paid.
fn paid(conn: &Conn, what: &str) -> Option<(At, At)> {
    match what {
        "session_ended" => {
            let ready_us = conn.ready.as_ref().map_or(0, |(at, _)| at.t_us);
            let sentinel = conn.end.sentinel?;
            let since = At { t_us: sentinel.t_us.max(ready_us), ..sentinel };
            Some((since, conn.session_ended.as_ref()?.0))
        }
        "flushed" => conn.flush.slowest,
        "Close" => Some((conn.session_ended.as_ref()?.0, conn.server_close?.at)),
        _ => Some((conn.config.at?, conn.ready.as_ref()?.0)),
    }
}

fn count<'a>(controls: impl Iterator<Item = &'a Control>) -> Controls {
    controls.fold(Controls::default(), |mut counted, control| {
        match control.outcome {
            ControlOutcome::Completed => counted.completed += 1,
            ControlOutcome::Answered => counted.answered += 1,
            ControlOutcome::Unanswered => counted.unanswered += 1,
        }
        counted.took_ms.push(control.took_ms);
        counted
    })
}

fn conclusion(
    conn: &Conn,
    given_up: Option<&GivenUp>,
    debt: &Obligation,
    suspicion: &Suspicion,
    probed: Option<Conclusion>,
    controls: &[Control],
) -> Conclusion {
    let probed = match probed {
        // One stall of the machine shows in all probes that are held side by side: only where no plain session ever goes through is
        // the silence the server's own. Elsewhere the control sessions say whether it could have spoken.
        Some(Conclusion::Slow { middle_us, too_silent }) => {
            let too_silent = too_silent && !controls.iter().any(Control::completed);
            Some(Conclusion::Slow { middle_us, too_silent })
        }
        other => other,
    };
    let Some(given_up) = given_up else {
        let own_us = suspicion.silent_us;
        return match probed {
            // The control was not watched for long enough to see it come, and on the suspect itself it did come.
            Some(Conclusion::WaitsFor(forward)) => Conclusion::Masked { timer_us: own_us, limit: None, forward },
            // A timer takes as long on the suspect as on the probes; a machine that stands still does not.
            Some(Conclusion::Masked { timer_us, .. }) if !agrees(own_us, timer_us, conn.scale) => {
                Conclusion::Open("the probes took another time than the suspect itself".to_owned())
            }
            Some(conclusion) => conclusion,
            None => Conclusion::Open("the release probes show nothing".to_owned()),
        };
    };
    if given_up.stood_still_us.is_some() || given_up.flows {
        return Conclusion::Livelock;
    }
    let last = controls.iter().rev().find(|control| control.t_us > given_up.still_from_us());
    if last.is_some_and(|control| !control.outcome.speaks()) {
        return Conclusion::Hung;
    }
    match probed {
        Some(Conclusion::Slow { .. }) => {
            Conclusion::Open("on fresh connections it came by itself, after a while".to_owned())
        }
        Some(conclusion) => conclusion,
        None => unreleasable(given_up, debt, suspicion),
    }
}

/// Whether a wait that was seen once may have been ended by a timer of this length: beside it there may be some work. However slow
/// the machine is, what took less than half as long was not ended by it.
fn agrees(own_us: u64, timer_us: u64, scale: Scale) -> bool {
    let jitter_us = scale.in_flight_us().min(timer_us / 2).max(timer_us / 8);
    own_us.saturating_add(jitter_us) >= timer_us && own_us <= (timer_us / 3 * 4).saturating_add(jitter_us)
}

/// Nothing brought it: a deadlock if everything was tried and nothing else explains the silence.
fn unreleasable(given_up: &GivenUp, debt: &Obligation, suspicion: &Suspicion) -> Conclusion {
    let open = |missing: &str| Conclusion::Open(missing.to_owned());
    if suspicion.probes.is_empty() {
        return open("no release probes");
    }
    let row = |stimulus: &Stimulus| suspicion.probes.iter().find(|row| row.stimulus == *stimulus);
    let tried = |row: &ProbeRow| row.tried() >= release::ROUNDS;
    if let Some(untried) = Stimulus::ALL.iter().find(|stimulus| !row(stimulus).is_some_and(tried)) {
        return Conclusion::Open(format!("not enough release probes with the stimulus `{}`", untried.as_str()));
    }
    if let Some(row) = suspicion.probes.iter().find(|row| row.released() + row.by_itself() > 0) {
        let came = row.released() + row.by_itself();
        let (tried, name) = (row.tried(), row.stimulus.as_str());
        return Conclusion::Open(format!("it came in {came} of {tried} probes with the stimulus `{name}`"));
    }
    if given_up.at.t_us < debt.due_us {
        return open("the bound of the clause had not passed when the harness gave up");
    }
    if !given_up.quiescent && suspicion.during.spoke() + suspicion.afterwards.spoke() < CONTROLS {
        return Conclusion::Open(format!("fewer than {CONTROLS} control sessions"));
    }
    if suspicion.cpu.is_some_and(Cpu::is_working) {
        return open("the subject's processes work");
    }
    let unacknowledged = suspicion.transport.and_then(|transport| transport.unacknowledged_bytes).unwrap_or(0);
    let unread = suspicion.transport.and_then(|transport| transport.unread_bytes);
    if unacknowledged > 0 && unread.is_none() {
        return open("bytes of the harness are not acknowledged: the network may be at fault");
    }
    Conclusion::Unreleasable
}

/// The wait-for graph, as far as it is known.
fn waits(suspicion: &Suspicion) -> Vec<WaitsFor> {
    use Node::{ClientRecv, ClientSend, ServerRecv, ServerSend, ServerTimer, ServerWork};
    let edge = |who: Node, whom: Node, why: String| WaitsFor { who, whom, why };
    let what = short(&suspicion.what);
    let mut edges = vec![edge(ClientRecv, ServerSend, format!("the client waits for {what}"))];
    match &suspicion.conclusion {
        Conclusion::Hung => {
            edges.push(edge(ServerSend, ServerWork, "the subject as a whole does not answer".to_owned()));
            return edges;
        }
        Conclusion::Livelock => {
            edges.push(edge(ServerSend, ServerWork, format!("what is sent is not {what}, and no work moves")));
            return edges;
        }
        _ => edges.push(edge(
            ServerSend,
            ServerWork,
            format!("the server has nothing to send before its work yields {what}"),
        )),
    }
    let unread = suspicion.transport.and_then(|transport| transport.unread_bytes).unwrap_or(0);
    if unread > 0 {
        edges.push(edge(ServerRecv, ServerWork, format!("the server leaves {unread} bytes unread")));
    }
    match &suspicion.conclusion {
        Conclusion::WaitsFor(stimuli) | Conclusion::Masked { forward: stimuli, .. } if !stimuli.is_empty() => {
            let thing = thing(stimuli, suspicion.state);
            edges.push(edge(ServerWork, ServerRecv, format!("the work waits for {thing}, as the release probes show")));
            edges.push(edge(ServerRecv, ClientSend, format!("{thing} can only come from the client")));
            edges.push(edge(ClientSend, ClientRecv, may_send(suspicion.state, what)));
        }
        Conclusion::Unreleasable => {
            let why = "nothing that the client may send brings it, and nobody works on it".to_owned();
            edges.push(edge(ServerWork, ServerWork, why));
        }
        _ => {}
    }
    if let Conclusion::Masked { timer_us, limit, forward } = &suspicion.conclusion {
        let named = limit.map(|limit| format!(" (`{limit}`)")).unwrap_or_default();
        let seconds = *timer_us as f64 / 1e6;
        let why = if forward.is_empty() {
            format!("nothing but a timer of {seconds:.1} s{named} ends the wait")
        } else {
            format!("without it a timer of {seconds:.1} s{named} ends the wait, and hides the circle")
        };
        edges.push(edge(ServerWork, ServerTimer, why));
    }
    edges
}

/// Why the client does not send what the server waits for.
fn may_send(state: State, what: &str) -> String {
    match state {
        State::AwaitConfig | State::Configuring => format!("the client may send nothing before {what}"),
        State::Streaming => format!("the client has nothing to send before it has {what}"),
        _ => format!("after end_of_stream the client owes nothing but to wait for {what}"),
    }
}

/// What the server waits for, in words.
#[must_use]
pub(crate) fn thing(stimuli: &[Stimulus], state: State) -> &'static str {
    let has = |stimulus: Stimulus| stimuli.contains(&stimulus);
    let ended = matches!(state, State::Draining | State::Failing | State::Ended);
    match (has(Stimulus::Audio), has(Stimulus::EndOfStream), has(Stimulus::Keepalive)) {
        (true, true, true) => "another message of the client",
        (true, true, false) if ended => "more audio or a second end_of_stream",
        (true, true, false) => "more audio or end_of_stream",
        (true, false, true) => "more audio or a keepalive",
        (true, false, false) if state == State::Configuring => "audio",
        (true, false, false) => "more audio",
        (false, true, true) if ended => "a second end_of_stream or a keepalive",
        (false, true, true) => "end_of_stream or a keepalive",
        (false, true, false) if ended => "a second end_of_stream",
        (false, true, false) => "end_of_stream",
        (false, false, true) => "a keepalive",
        (false, false, false) => match (has(Stimulus::HalfClose), has(Stimulus::Close)) {
            (true, true) => "the end of the connection",
            (true, false) => "the end of the client's half of the transport",
            (false, true) => "the client's Close",
            (false, false) => "nothing known",
        },
    }
}

/// The message that is owed, where more than its name is said.
pub(crate) fn short(what: &str) -> &str {
    what.split(' ').next().unwrap_or(what)
}

/// How soon the stimuli brought what was owed, the fastest and the slowest, in microseconds.
pub(crate) fn release_times(suspicion: &Suspicion, stimuli: &[Stimulus]) -> Option<(u64, u64)> {
    let rows = suspicion.probes.iter().filter(|row| stimuli.contains(&row.stimulus));
    let mut times: Vec<u64> = rows
        .flat_map(|row| &row.outcomes)
        .filter_map(|outcome| match outcome {
            Outcome::Released { after_us, .. } => Some(*after_us),
            _ => None,
        })
        .collect();
    times.sort_unstable();
    Some((*times.first()?, *times.last()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_waits_for_has_a_name_for_each_set_of_stimuli() {
        use Stimulus::{Audio, Close, EndOfStream, HalfClose, Keepalive};
        let (streaming, draining) = (State::Streaming, State::Draining);
        for (stimuli, before_the_end, after_it) in [
            (&[Audio, EndOfStream, Keepalive][..], "another message of the client", "another message of the client"),
            (&[Audio, EndOfStream], "more audio or end_of_stream", "more audio or a second end_of_stream"),
            (&[Audio, Keepalive], "more audio or a keepalive", "more audio or a keepalive"),
            (&[Audio], "more audio", "more audio"),
            (&[EndOfStream, Keepalive], "end_of_stream or a keepalive", "a second end_of_stream or a keepalive"),
            (&[EndOfStream], "end_of_stream", "a second end_of_stream"),
            (&[Keepalive, Close], "a keepalive", "a keepalive"),
            (&[HalfClose, Close], "the end of the connection", "the end of the connection"),
            (
                &[HalfClose],
                "the end of the client's half of the transport",
                "the end of the client's half of the transport",
            ),
            (&[Close], "the client's Close", "the client's Close"),
            (&[], "nothing known", "nothing known"),
        ] {
            assert_eq!((thing(stimuli, streaming), thing(stimuli, draining)), (before_the_end, after_it));
        }
        assert_eq!(thing(&[Audio], State::Configuring), "audio");
    }
}
