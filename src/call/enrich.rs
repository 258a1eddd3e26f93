//! Reading the ticket after a write.
//!
//! After a yes, on routes with `enrich: on`, for what the client's answer has a place for and the upstream's answer
//! did not say. What the write's own answer said stays as it is, and the yes stays a yes whatever becomes of the
//! read.
//!
//! After a write of which nobody knows, unless the route says `read_back: off`, for the status alone. It settles the
//! outcome: yes if the ticket is as it was asked for, no if it is not. It stays unknown where the status does not
//! tell that: what else the write was to do no read may tell, and a write that is still under way may yet arrive.

use tokio::time::Instant;

use crate::bounds;
use crate::call::exchange::Exchange;
use crate::call::judge::Verdict;
use crate::call::respond::{Learned, ReadAfter, Responder};
use crate::call::send::Visit;
use crate::call::{Outcome, ReadBack, Stop, path};
use crate::ident::CallId;
use crate::mapping::model::{Content, Operation, OperationDef, Slot};
use crate::mapping::run::{Gateway, render_content};
use crate::plan::{self, Credential, Pair, Settles};
use crate::upstream::Departure;
use crate::upstream::turns::Rank;
use crate::value::{Fault, Record, Value};

/// A write whose ticket may be read afterwards.
pub(super) struct Reading<'r> {
    pub(super) responder: &'r Responder<'r>,
    /// The operation, on both sides.
    pub(super) sides: (&'r Operation, &'r Pair),
    pub(super) read_back: &'r plan::ReadBack,
    /// The write, in the client's terms.
    pub(super) said: &'r Record<'r>,
    /// By what the write was known to the upstream.
    pub(super) credential: &'r Credential,
}

/// False if the verdict leaves nothing to be read, as that of most calls.
pub(super) fn may_read(read_back: &plan::ReadBack, verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Yes { .. } => read_back.enriches,
        Verdict::Stopped(stop) => stop.fault == Fault::OutcomeUnknown,
        Verdict::Expired(_) => false,
    }
}

impl Reading<'_> {
    /// Reads the ticket if the verdict leaves something to be read, and adds that to it. What was written is in
    /// the upstream's terms.
    pub(super) async fn after(
        &self,
        visit: &mut Visit<'_, '_>,
        (written, verdict): (&Record<'_>, Verdict),
        learned: &mut Learned,
        outcome: &mut Outcome,
    ) -> Verdict {
        match verdict {
            Verdict::Yes { mut record, mut unreadable } if self.read_back.enriches => {
                // That is settled, also if the call should be given up while the ticket is read.
                *outcome = Outcome::Yes;
                let missing = missing(self.read_back, &record);
                if missing.is_empty() {
                    return Verdict::Yes { record, unreadable };
                }
                let read = self.read(visit, written).await;
                let (read_back, partial) = match read.and_then(|(read, lost)| {
                    Ok((self.filled(&record, &read, &missing, learned)?, lost))
                }) {
                    Ok((whole, lost)) => {
                        record = whole;
                        unreadable += lost;
                        (ReadBack::Read, Vec::new())
                    }
                    Err(stop) => (failed(stop), names(self.write(), &missing)),
                };
                let after = ReadAfter { read_back, partial, ..ReadAfter::default() };
                learned.read_after = Some(Box::new(after));
                Verdict::Yes { record, unreadable }
            }
            Verdict::Stopped(stop)
                if stop.fault == Fault::OutcomeUnknown && Instant::now() < visit.deadline =>
            {
                let Some(settles) = &self.read_back.settles else { return Verdict::Stopped(stop) };
                self.settle(visit, (written, settles), stop, learned, outcome).await
            }
            verdict => verdict,
        }
    }

    /// Reads the ticket once, and goes by what it says; what was not known stays so if it says nothing.
    async fn settle(
        &self,
        visit: &mut Visit<'_, '_>,
        (written, settles): (&Record<'_>, &Settles),
        mut stop: Box<Stop>,
        learned: &mut Learned,
        outcome: &mut Outcome,
    ) -> Verdict {
        let (read, unreadable) = match self.read(visit, written).await {
            Ok(read) => read,
            Err(why) => {
                let after = ReadAfter { read_back: failed(why), ..ReadAfter::default() };
                learned.read_after = Some(Box::new(after));
                return Verdict::Stopped(stop);
            }
        };
        let status = self.own_status(&read, learned);
        let word = self.read_back.status.and_then(|(_, theirs)| read.word(theirs));
        learned.read_after = Some(Box::new(ReadAfter { status, word, ..ReadAfter::default() }));
        match self.took_effect(written, settles, &read, &stop) {
            Some(true) => match self.filled(&Record::new(), &read, &self.read_back.told(), learned)
            {
                Ok(record) => {
                    *outcome = Outcome::Yes;
                    Verdict::Yes { record, unreadable }
                }
                // It cannot be said in the client's terms.
                Err(_) => Verdict::Stopped(stop),
            },
            Some(false) => {
                stop.fault = Fault::UpstreamFailed;
                let cause = stop.cause.take().unwrap_or_default();
                Verdict::Stopped(Box::new(
                    stop.caused(format!("{cause}; the ticket was read, and has another status")),
                ))
            }
            None => Verdict::Stopped(stop),
        }
    }

    /// What the status that was read says of the write; `None` if it does not tell.
    fn took_effect(
        &self,
        written: &Record<'_>,
        settles: &Settles,
        read: &Record<'_>,
        stop: &Stop,
    ) -> Option<bool> {
        let (_, status) = self.read_back.status?;
        let (Some(Value::Word(is)), Some(Value::Word(wanted))) =
            (read.get(status), written.get(settles.wanted))
        else {
            return None;
        };
        if settles.is_reached(*is, *wanted) {
            return settles.tells(written).then_some(true);
        }
        let is_over = !stop.under_way && !settles.is_deferred;
        (settles.becomes(*wanted).is_some() && is_over).then_some(false)
    }

    fn write(&self) -> &OperationDef {
        &self.responder.services.plan.vocabulary.operations[self.sides.0.id]
    }

    /// The answer with what was read, if the client can be told it: what it cannot must not cost it the yes.
    fn filled(
        &self,
        answer: &Record<'static>,
        read: &Record<'static>,
        missing: &[(u8, u8)],
        learned: &Learned,
    ) -> Result<Record<'static>, Stop> {
        let mut whole = answer.clone();
        for (own, theirs) in missing {
            whole.set(*own, read.get(*theirs).cloned());
        }
        path::write(self.responder, self.sides, self.said, whole.clone(), learned)?;
        Ok(whole)
    }

    /// Reads the ticket; gives what it says, and how many of its fields could not be read.
    pub(super) async fn read(
        &self,
        visit: &mut Visit<'_, '_>,
        written: &Record<'_>,
    ) -> Result<(Record<'static>, u32), Stop> {
        match self.ask(visit, written).await? {
            Verdict::Yes { record, unreadable } => Ok((record, unreadable)),
            Verdict::Stopped(stop) | Verdict::Expired(stop) => Err(*stop),
        }
    }

    async fn ask(&self, visit: &mut Visit<'_, '_>, written: &Record<'_>) -> Result<Verdict, Stop> {
        let (read_back, record) = (self.read_back, asked(self.read_back, written));
        // The answer to the write waits. What has left of a read is nothing to wait for.
        let deadline = visit.deadline.min(Instant::now() + bounds::READ_BACK_TIMEOUT);
        let departure = &Departure::default();
        let (rank, spent) = (Rank::After, &mut *visit.spent);
        let mut visit = Visit { departure, deadline, rank, spent, ..*visit };
        let (responder, operation) = (self.responder, self.sides.0);
        let reading =
            Exchange { responder, operation, pair: &read_back.pair, record: &record, bytes: &[] };
        // A write told its vendor the call's id; a read is another call.
        reading.run(&mut visit, self.credential, &CallId::random().digits()).await
    }

    /// The status that was read, as the client's own answers say it.
    fn own_status(&self, read: &Record<'_>, learned: &Learned) -> Option<String> {
        let (own, theirs) = self.read_back.status?;
        let mut record = Record::new();
        record.set(own, Some(read.get(theirs)?.clone()));
        let mut holes = self.sides.0.success.places().flat_map(|place| place.content.holes());
        let hole = holes.find(|hole| hole.slot == Slot::Field(own))?.clone();
        let gateway = Gateway::default();
        let sources = self.responder.sources(&record, &gateway, learned);
        let content = Content::Hole(hole);
        let rendered = render_content(sources, &content).ok()??;
        Some(rendered.text.into_owned())
    }
}

/// The request for the ticket of a write.
pub(super) fn asked<'a>(read_back: &plan::ReadBack, write: &Record<'a>) -> Record<'a> {
    let mut record = Record::new();
    for (own, theirs) in &read_back.asks {
        record.set(*theirs, write.get(*own).cloned());
    }
    record
}

/// What the client's answer has a place for and the upstream's answer does not say: the fields of the write,
/// each with that of the read.
pub(super) fn missing(read_back: &plan::ReadBack, answer: &Record<'_>) -> Vec<(u8, u8)> {
    let is_missing = |(own, _): &&(u8, u8)| answer.get(*own).is_none();
    read_back.fills.iter().filter(is_missing).copied().collect()
}

/// The names of the fields.
pub(super) fn names(write: &OperationDef, missing: &[(u8, u8)]) -> Vec<String> {
    missing.iter().map(|(own, _)| write.answer[usize::from(*own)].name.clone()).collect()
}

fn failed(stop: Stop) -> ReadBack {
    let cause = stop.cause.unwrap_or(stop.reason);
    ReadBack::Failed { cause, credential_refused: stop.credential_refused }
}
