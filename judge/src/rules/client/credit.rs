//! Which requirements a run of a client exercised: stimulus and answer both seen. Silence credits nothing, and neither does what the
//! harness brought about by ending the run.

use std::collections::BTreeSet;

use lastword_spec::registry::RequirementId;
use lastword_spec::requirements as req;
use lastword_spec::trace::{Call, ToldWhat};

use super::outcome::{expected, observed};
use super::wire::{Facts, Wire, Written};
use super::{Run, budget};
use crate::bounds::{Scale, us};

/// What a client may take, beyond its bounds, until it dials again: it backs off first. [REC-C1]
const BACKOFF_MS: u64 = 2_000;

pub(super) fn exercised(run: &Run, scale: Scale, has_secrets: bool) -> BTreeSet<RequirementId> {
    let mut seen = BTreeSet::new();
    let mut credit = |condition: bool, ids: &[RequirementId]| {
        if condition {
            seen.extend(ids.iter().copied());
        }
    };
    let Some(wire) = run.last() else { return seen };
    let facts = &wire.facts;
    let ended_itself = run.ended_itself();
    let judged = observed(run).is_some();
    credit(facts.config.is_some(), &[req::CFG_C1]);
    let waited = facts.ready.zip(facts.config).is_some_and(|(ready, config)| ready.event > config.event);
    credit(waited && !facts.audio.is_empty(), &[req::CFG_C2]);
    credit(
        !facts.audio.is_empty() && facts.audio_format.is_some(),
        &[req::AUD_1, req::AUD_C1, req::AUD_C2, req::LIM_C1],
    );
    credit(run.input_ended.is_some() && facts.sentinel.is_some(), &[req::END_C1, req::AUD_C3]);
    let early = run.input_ended.as_ref().zip(facts.ready).is_some_and(|((input, _), ready)| input.event < ready.event);
    credit(early && facts.sentinel.is_some(), &[req::STA_C1]);
    credit(has_secrets && facts.opened.is_some() && ended_itself.is_some(), &[req::SEC_C1]);
    let dialled = run.wires.len();
    credit(judged && dialled > 2 && dialled < 12, &[req::REC_C1]);
    credit(budget::is_restored(run, scale), &[req::REC_C5]);
    let with_audio = run.wires.values().filter(|wire| !wire.facts.audio.is_empty()).count();
    credit(judged && with_audio > 1, &[req::REC_C4]);
    credit(run.is_driven() && judged && with_audio > 1, &[req::TIM_C1]);
    if facts.opened.is_none() {
        credit(judged, &[req::CON_C1, req::END_C7]);
        return seen;
    }
    if facts.ready.is_none() {
        let by_close = facts.server_left().is_some();
        credit(judged && by_close, &[req::CON_C3, req::END_C7, req::CLO_C2]);
        credit(judged && !by_close && facts.fatal.is_none(), &[req::CON_C2, req::END_C7]);
    }
    if facts.fatal_and_read(scale).is_some() {
        credit(judged, &[req::ERR_C1, req::ERR_C2, req::END_C7]);
        let retryable = facts.fatal.as_ref().is_some_and(|(_, error)| error.retryable);
        credit(judged && !retryable, &[req::REC_C2]);
    }
    let sentinel = facts.sentinel;
    credit(sentinel.is_some() && (facts.ended.is_some() || facts.server_left().is_some()), &[req::END_C2, req::END_C6]);
    credit(sentinel.is_some() && run.call(Call::Close).is_some() && judged, &[req::END_C2]);
    if let Some((ended, _)) = &facts.ended {
        let through = ended_itself.or(facts.client_left()).is_some();
        credit(through, &[req::END_C3, req::CLO_C1]);
        credit(through && sentinel.is_some(), &[req::MSG_1, req::MSG_2]);
        credit(through && !facts.may_update, &[req::UPD_C1]);
        credit(judged && facts.written == Written::Oddly, &[req::MSG_3]);
        credit(judged && facts.written == Written::Extended, &[req::VER_3]);
        credit(ended_itself.is_some() && facts.is_deaf(), &[req::CLO_C4]);
        credit(judged && expected(run, scale).is_some(), &[req::END_C7]);
        let early = sentinel.is_none_or(|sentinel| ended.event < sentinel.event);
        credit(judged && early, &[req::END_C8]);
        if let Some(sentinel) = sentinel.filter(|_| !early) {
            let drained_us = ended.t_us.saturating_sub(sentinel.t_us);
            credit(drained_us > scale.us(1_000), &[req::END_C4]);
            credit(drained_us > us(wire.limits.drain_ms), &[req::PRG_C1]);
            credit(drained_us > us(wire.limits.keepalive_interval_ms).saturating_mul(2), &[req::KA_C3]);
        }
        credit(facts.finals.len() > 1 && run.told.iter().any(|(_, told)| told.what == ToldWhat::Final), &[req::FIN_C1]);
    } else if facts.ready.is_some() && facts.fatal.is_none() {
        let cut = facts.server_left().is_some();
        credit(judged && (cut || sentinel.is_some()), &[req::END_C5, req::END_C7]);
        credit(judged && cut, &[req::CLO_C2]);
        credit(judged && facts.server_eof.is_some(), &[req::ERR_C3]);
        credit(judged && run.owed_only_keepalives(), &[req::KA_C5]);
        credit(judged && facts.server_eof.is_some() && sentinel.is_some(), &[req::REC_C3]);
        let silent = sentinel.is_some() && !cut;
        credit(judged && silent, &[req::KA_C3]);
        credit(judged && sentinel.is_none() && !cut && run.call(Call::Close).is_none(), &[req::KA_C4]);
    }
    let went_on = |from: usize| sentinel.is_some_and(|sentinel| sentinel.event > from);
    credit(facts.odd.first().is_some_and(|odd| went_on(odd.event)), &[req::MSG_C1, req::SEC_C2]);
    let reported = facts.errors.first().is_some_and(|(error, _)| went_on(error.event));
    credit(reported && run.told.iter().any(|(_, told)| told.what == ToldWhat::Error), &[req::ERR_C2]);
    credit(facts.client_close.is_some(), &[req::CLO_C5]);
    credit(!facts.keepalives.is_empty(), &[req::KA_C1, req::KA_C2]);
    if run.is_driven() {
        let flushes = run.calls.iter().filter(|(_, called)| called.what == Call::Flush).count();
        credit(flushes > 1 && facts.flushes.len() >= flushes && sentinel.is_some(), &[req::FLU_C1, req::FLU_C2]);
        credit(run.told.iter().any(|(_, told)| told.what == ToldWhat::FlushFailed), &[req::FLU_C3]);
        let ends = run.calls.iter().filter(|(_, called)| called.what == Call::End).count();
        let closes = || run.calls.iter().filter(|(_, called)| called.what == Call::Close);
        let closed_when_over = || run.told_end().is_some_and(|(over, _)| closes().any(|(at, _)| at.event > over.event));
        credit(judged && (ends > 1 || closes().count() > 1 || closed_when_over()), &[req::CLO_C3]);
        credit(run.call(Call::Close).is_some() && judged, &[req::CLO_C2, req::END_C7]);
    }
    for (lost, next) in run.wires.values().zip(run.wires.values().skip(1)) {
        credit(judged, &by_redialling(run, &lost.facts, next, lost.limits.idle_timeout_ms, scale));
    }
    // What waits for `ready` fills the buffer.
    let waited_us = facts.ready.zip(facts.config).map_or(0, |(ready, config)| ready.t_us.saturating_sub(config.t_us));
    let is_all = run.input_ended.is_some() && sentinel.is_some() && facts.audio.len() > 1;
    credit(is_all && waited_us > scale.us(5_000), &[req::BP_C1]);
    seen
}

/// What a client shows that lost a session in the middle, dialled again, and reported in the end that something is missing.
fn by_redialling(run: &Run, lost: &Facts, next: &Wire, idle_timeout_ms: u64, scale: Scale) -> Vec<RequirementId> {
    let mut seen = Vec::new();
    let was_cut = lost.ready.is_some() && lost.ended.is_none() && lost.fatal.is_none() && lost.sentinel.is_none();
    let tells_it = observed(run).is_some_and(|(_, observed)| !observed.is_complete());
    if lost.fatal_and_read(scale).is_some() && tells_it {
        seen.extend([req::ERR_C1, req::ERR_C2]);
    }
    let Some((again, _)) = next.facts.opened.as_ref().filter(|_| was_cut && tells_it && !lost.audio.is_empty()) else {
        return seen;
    };
    if let Some(left) = lost.server_left() {
        seen.push(req::END_C5);
        // Nothing was handed over meanwhile: only a keepalive, and the end of the transport itself, told the client.
        let is_quiet = !run.calls.iter().any(|(at, _)| at.event > left.event && at.event < again.event);
        if lost.server_eof.is_some() {
            seen.push(req::ERR_C3);
            seen.extend((run.is_driven() && is_quiet).then_some(req::KA_C5));
        }
    } else if let Some(heard) = lost.heard.filter(|_| lost.is_deaf()) {
        let half_open_ms = idle_timeout_ms.saturating_mul(2);
        let took_us = again.t_us.saturating_sub(heard.t_us);
        let in_time = took_us >= scale.us(idle_timeout_ms)
            && took_us.saturating_sub(scale.us(BACKOFF_MS)) <= scale.patience_us(half_open_ms.saturating_add(1_000));
        if in_time {
            seen.push(req::KA_C4);
        }
    }
    seen
}
