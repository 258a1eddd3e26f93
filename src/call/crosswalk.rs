//! Ids of a call by the crosswalk: the client's in the upstream's terms before anything is sent, and the upstream's
//! in the client's before anything is answered.
//!
//! What the worker remembers is taken at once; what has to be asked for goes on the heap, because it seldom has to.
//! An id that nobody has linked goes by the route's `missing`. Where the upstream is asked for it, that is a read of
//! its own: what it comes to decides whether the call is made at all, and never what became of it.
//!
//! The ticket of an answer is the one that the request named. Any other id of an answer that has no counterpart is
//! left out, unless the route lets it pass; and so is one that cannot be asked for, as the call itself is over then.

use std::borrow::Cow;

use tokio::time::{Instant, timeout_at};

use crate::call::exchange::Exchange;
use crate::call::identity::unavailable;
use crate::call::judge::Verdict;
use crate::call::respond::Responder;
use crate::call::send::Visit;
use crate::call::{Looked, Stop, outgoing};
use crate::config::Missing;
use crate::crosswalk::{Crosswalk, Known};
use crate::ident::CallId;
use crate::mapping::model::Operation;
use crate::mapping::run::Refusal;
use crate::plan::{Asking, CarriedId, Carrying, Credential, Pair};
use crate::upstream::Departure;
use crate::value::{Fault, IdKind, Record, Value, fit_id};

/// The ids of one call.
pub(super) struct Ids<'c> {
    responder: &'c Responder<'c>,
    /// The operation, on both sides.
    sides: (&'c Operation, &'c Pair),
    carrying: &'c Carrying,
    crosswalk: &'c Crosswalk,
}

impl<'c> Ids<'c> {
    /// Those of an operation; `None` where the crosswalk translates nothing.
    ///
    /// # Errors
    /// If there is no crosswalk to ask.
    pub(super) fn of(
        responder: &'c Responder<'c>,
        sides: (&'c Operation, &'c Pair),
    ) -> Result<Option<Self>, Stop> {
        let Some(carrying) = &sides.1.crosswalk else { return Ok(None) };
        let crosswalk = responder.services.crosswalk.as_ref();
        let crosswalk = crosswalk.ok_or_else(|| Stop::new(Fault::Overloaded))?;
        Ok(Some(Self { responder, sides, carrying, crosswalk }))
    }

    /// The request in the upstream's terms.
    pub(super) async fn to_upstream<'a>(
        &self,
        visit: &mut Visit<'c, '_>,
        credential: &'c Credential,
        said: &Record<'a>,
        looked: &mut Looked,
    ) -> Result<Record<'a>, Stop> {
        let mut record = said.clone();
        for id in &self.carrying.request {
            let Some(own) = said.text(id.field) else { continue };
            let found = match self.at_once(id, own, looked) {
                Some(known) => known,
                None => Box::pin(self.asked(visit, credential, said, (id, own), looked)).await?,
            };
            self.put(&mut record, id, found, looked)?;
        }
        Ok(record)
    }

    /// What is known of an id without asking.
    fn at_once(&self, id: &CarriedId, text: &str, looked: &mut Looked) -> Option<Known> {
        let known = self.crosswalk.known(id.way, text)?;
        looked.cached += 1;
        Some(known)
    }

    /// What is known of an id of the request once the crosswalk was asked, and the upstream where that is next.
    async fn asked(
        &self,
        visit: &mut Visit<'c, '_>,
        credential: &'c Credential,
        said: &Record<'_>,
        (id, own): (&CarriedId, &str),
        looked: &mut Looked,
    ) -> Result<Known, Stop> {
        let found = self.find(id, own, visit.deadline, looked).await?;
        // What no crosswalk can hold is no system's id.
        let asks =
            found == Known::Missing && id.missing == Missing::AskUpstream && fit_id(own).is_ok();
        if let Some(asking) = self.carrying.asking.as_ref().filter(|_| asks)
            // Another call may have asked meanwhile.
            && self.crosswalk.known(id.way, own).is_none()
        {
            let has = self.upstream_has(visit, credential, (asking, said), own).await?;
            self.crosswalk.note_asked(id.way, own, has);
            return Ok(if has { Known::Upstreams } else { Known::Missing });
        }
        Ok(found)
    }

    /// What the crosswalk says of an id.
    async fn find(
        &self,
        id: &CarriedId,
        text: &str,
        deadline: Instant,
        looked: &mut Looked,
    ) -> Result<Known, Stop> {
        let stop = match timeout_at(deadline, self.crosswalk.find(id.way, text)).await {
            Ok(Ok(found)) => {
                looked.asked += 1;
                return Ok(found);
            }
            Ok(Err(error)) => unavailable(&error),
            Err(_) => {
                let cause = "the crosswalk did not answer before the deadline";
                Stop { retry_after: Some(1), ..Stop::new(Fault::Overloaded).caused(cause) }
            }
        };
        looked.failed += 1;
        Err(stop)
    }

    /// Puts an id in its place in the request, as far as it is known.
    fn put(
        &self,
        record: &mut Record<'_>,
        id: &CarriedId,
        found: Known,
        looked: &mut Looked,
    ) -> Result<(), Stop> {
        match (found, id.missing) {
            (Known::Linked(theirs), _) => {
                record.set(id.field, Some(Value::Text(Cow::Owned(theirs))));
                return Ok(());
            }
            (Known::Upstreams, _) => return Ok(()),
            (Known::Missing, Missing::Pass) => {
                looked.missing += 1;
                return Ok(());
            }
            (Known::Missing, Missing::Refuse | Missing::AskUpstream) => looked.missing += 1,
        }
        match id.kind {
            IdKind::Ticket => Err(outgoing::no_counterpart()),
            IdKind::User => {
                let (operation, _) = self.sides;
                let fields = &self.responder.services.plan.vocabulary.operations[operation.id];
                let name = &fields.request[usize::from(id.field)].name;
                let refusal = Refusal::member(Fault::InvalidRequest, name, String::new());
                let stop = outgoing::own_terms(operation, refusal);
                let reason = format!("{} has no counterpart in the upstream", stop.field);
                Err(Stop { reason: reason.into(), ..stop })
            }
        }
    }

    /// Whether the upstream has a ticket of that very id.
    async fn upstream_has(
        &self,
        visit: &mut Visit<'c, '_>,
        credential: &'c Credential,
        (asking, said): (&'c Asking, &Record<'_>),
        id: &str,
    ) -> Result<bool, Stop> {
        let mut record = Record::new();
        for (own, theirs) in &asking.with {
            record.set(*theirs, said.get(*own).cloned());
        }
        record.set(asking.ticket, Some(Value::Text(Cow::Borrowed(id))));
        // What has left of a read is nothing to wait for.
        let departure = &Departure::default();
        let spent = &mut *visit.spent;
        let mut reading = Visit { departure, spent, ..*visit };
        let (responder, operation) = (self.responder, self.sides.0);
        let exchange =
            Exchange { responder, operation, pair: &asking.pair, record: &record, bytes: &[] };
        // A write tells its vendor the call's id; a read is another call.
        let call = CallId::random().digits();
        let verdict = exchange.run(&mut reading, credential, &call).await;
        visit.rank = reading.rank;
        match verdict {
            Ok(Verdict::Yes { .. }) => Ok(true),
            Ok(Verdict::Stopped(stop) | Verdict::Expired(stop))
                if stop.fault == Fault::NotFound =>
            {
                Ok(false)
            }
            Err(stop) if stop.fault == Fault::NotFound => Ok(false),
            Ok(Verdict::Stopped(stop) | Verdict::Expired(stop)) => Err(*stop),
            Err(stop) => Err(stop),
        }
    }

    /// True if the answer has an id that is to be translated.
    pub(super) fn has_any(&self, said: &Record<'_>, answer: &Record<'_>) -> bool {
        self.of_answer(said).any(|id| answer.get(id.field).is_some())
    }

    /// The ids of an answer: not the one of the ticket that the request has named.
    fn of_answer(&self, said: &Record<'_>) -> impl Iterator<Item = &CarriedId> {
        let (operation, pair) = self.sides;
        let fields = &self.responder.services.plan.vocabulary.operations[operation.id].answer;
        let is_named = pair.ticket.is_some_and(|ticket| said.text(ticket).is_some());
        let is_own =
            move |id: &&CarriedId| is_named && fields[usize::from(id.field)].name == "ticket";
        self.carrying.answer.iter().filter(move |id| !is_own(id))
    }

    /// The answer in the client's terms.
    pub(super) async fn to_client(
        &self,
        said: &Record<'_>,
        mut answer: Record<'static>,
        deadline: Instant,
        looked: &mut Looked,
    ) -> Record<'static> {
        for id in self.of_answer(said) {
            let Some(theirs) = answer.text(id.field) else { continue };
            let found = match self.at_once(id, theirs, looked) {
                Some(known) => Ok(known),
                None => self.find(id, theirs, deadline, looked).await,
            };
            let own = match found {
                Ok(Known::Linked(own)) => Some(own),
                Ok(Known::Upstreams | Known::Missing) => {
                    looked.missing += 1;
                    if id.missing == Missing::Pass {
                        continue;
                    }
                    None
                }
                Err(_) => None,
            };
            answer.set(id.field, own.map(|own| Value::Text(Cow::Owned(own))));
        }
        answer
    }
}
