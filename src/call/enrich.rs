//! Reading the ticket after a write, on routes with `enrich: on`.
//!
//! After a yes, for what the client's answer has a place for and the upstream's answer did not say. What the
//! write's own answer said stays as it is, and the yes stays a yes whatever becomes of the read.
//!
//! After a write of which nobody knows, for the status alone, which is told beside the fault. It never turns
//! an unknown into a yes or a no: that the ticket has the status that was asked for does not say that this call
//! gave it (it may have had it before, or from somebody else, and a comment may be lost), and that it has
//! another one does not say that the write will not arrive yet.

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
use crate::plan::{self, Credential, Pair};
use crate::upstream::Departure;
use crate::value::{Fault, Record};

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
            Verdict::Yes { mut record, mut unreadable } => {
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
                let after = ReadAfter { read_back, partial, status: None };
                learned.read_after = Some(Box::new(after));
                Verdict::Yes { record, unreadable }
            }
            Verdict::Stopped(stop)
                if stop.fault == Fault::OutcomeUnknown && Instant::now() < visit.deadline =>
            {
                let (read_back, status) = match self.read(visit, written).await {
                    Ok((read, _)) => (ReadBack::Read, self.own_status(&read, learned)),
                    Err(stop) => (failed(stop), None),
                };
                let after = ReadAfter { read_back, partial: Vec::new(), status };
                learned.read_after = Some(Box::new(after));
                Verdict::Stopped(stop)
            }
            verdict @ (Verdict::Stopped(_) | Verdict::Expired(_)) => verdict,
        }
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
    async fn read(
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
        let mut visit = Visit { departure, deadline, spent: &mut *visit.spent, ..*visit };
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
