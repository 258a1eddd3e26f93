//! Translates, signs, sends, judges: one loop, and the only owner of a second try.

use std::borrow::Cow;

use tokio::time::Instant;

use crate::call::crosswalk::Ids;
use crate::call::enrich::{self, Reading};
use crate::call::job::Job;
use crate::call::judge::{Verdict, judge};
use crate::call::respond::{Learned, Responder};
use crate::call::send::Visit;
use crate::call::sign::{Signed, sign};
use crate::call::{Outcome, Stop, journal, outgoing, trace};
use crate::ident::CallId;
use crate::mapping::model::Operation;
use crate::mapping::run::Gateway;
use crate::plan::{Credential, Pair};
use crate::upstream::Spent;
use crate::upstream::turns::Rank;
use crate::value::Record;

/// One call, on both sides.
pub(super) struct Exchange<'e> {
    pub(super) responder: &'e Responder<'e>,
    pub(super) operation: &'e Operation,
    pub(super) pair: &'e Pair,
    /// The record in the upstream's terms.
    pub(super) record: &'e Record<'e>,
    /// The client's own bytes, where they may pass.
    pub(super) bytes: &'e [u8],
}

/// Asks the upstream, and gives what it said, with the number of fields that could not be read.
pub(super) async fn exchange(
    responder: &Responder<'_>,
    (operation, pair): (&Operation, &Pair),
    record: &Record<'_>,
    bytes: &[u8],
    deadline: Instant,
    (learned, spent, outcome): (&mut Learned, &mut Spent, &mut Outcome),
) -> Result<(Record<'static>, u32), Stop> {
    let Responder { services, route, head, call, .. } = *responder;
    let (sides, consumer) = ((operation, pair), learned.consumer);
    let upstream = (route.upstream, &services.plan.upstreams[route.upstream]);
    let credential = route.credential_for(upstream.1, learned.consumer);
    let departure = &responder.departure;
    let rank = Rank::Fresh;
    let mut visit =
        Visit { services, upstream, call, head, departure, deadline, consumer, rank, spent };
    let ids = Ids::of(responder, sides)?;
    let said = match &ids {
        None => Cow::Borrowed(record),
        Some(ids) => {
            let carried = ids.to_upstream(&mut visit, credential, record, &mut learned.looked);
            Cow::Owned(carried.await?)
        }
    };
    let translated = outgoing::translate(services, route, sides, said, consumer)?;
    learned.dropped = translated.dropped;
    let exchange = Exchange { responder, operation, pair, record: &translated.record, bytes };
    if let Some(wanted) = journal::wanted(services, route, operation, call) {
        // On the heap: the future of the usual call stays as small as it is.
        let begun = journal::begin(wanted, &exchange, record, credential, &mut visit);
        learned.change = Some(Box::pin(begun).await?);
    }
    let ran = exchange.run(&mut visit, credential, &responder.digits).await;
    journal::heard(learned, &ran);
    let verdict = match (ids, ran?) {
        (Some(ids), Verdict::Yes { record: answer, unreadable })
            if ids.has_any(record, &answer) =>
        {
            // That is settled, also if the call should be given up while its ids are asked for.
            *outcome = Outcome::Yes;
            let own = ids.to_client(record, answer, deadline, &mut learned.looked);
            Verdict::Yes { record: Box::pin(own).await, unreadable }
        }
        (_, verdict) => verdict,
    };
    let verdict = match &pair.read_back {
        None => verdict,
        // Few calls want it: the others need find no room for it.
        Some(read_back) if !enrich::may_read(read_back, &verdict) => verdict,
        Some(read_back) => {
            let reading = Reading { responder, sides, read_back, said: record, credential };
            let written = &translated.record;
            Box::pin(reading.after(&mut visit, (written, verdict), learned, outcome)).await
        }
    };
    journal::ended(&services.plan.vocabulary, (operation.id, pair), learned, &verdict);
    match verdict {
        Verdict::Yes { record, unreadable } => Ok((record, unreadable)),
        Verdict::Stopped(stop) | Verdict::Expired(stop) => Err(*stop),
    }
}

impl<'e> Exchange<'e> {
    /// Signs, sends and judges, and does so once more where the session turns out to be over.
    pub(super) async fn run(
        &self,
        visit: &mut Visit<'e, '_>,
        credential: &'e Credential,
        call: &str,
    ) -> Result<Verdict, Stop> {
        let (services, upstream) = (visit.services, visit.upstream.0);
        let signed = sign(visit, credential).await?;
        let sent = self.send(visit, &signed, call).await;
        // The upstream has taken nothing of a call whose session is over, or of one whose look-up was told so: it may
        // come again, once.
        let is_over = match &sent {
            Ok(verdict) => matches!(verdict, Verdict::Expired(_)),
            Err(stop) => stop.credential_refused,
        };
        if !is_over || !signed.has_expired(services, upstream) {
            return sent;
        }
        let again = async {
            let signed = sign(visit, credential).await?;
            // An id that names the call to the upstream has been used.
            let id = CallId::random().digits();
            self.send(visit, &signed, &id).await
        };
        Box::pin(again).await
    }

    /// Looks up what the call needs, sends it, and judges what comes back.
    async fn send(
        &self,
        visit: &mut Visit<'_, '_>,
        signed: &Signed<'_>,
        call: &str,
    ) -> Result<Verdict, Stop> {
        let Responder { services, route, head, .. } = *self.responder;
        let upstream = visit.upstream.1;
        let target = &upstream.mapping.operations[self.pair.upstream];
        let steps = match target.steps.is_empty() {
            true => Vec::new(),
            // On the heap: the future of the usual call stays as small as it is.
            false => Box::pin(visit.look_up(target, self.record, signed)).await?,
        };
        let gateway = Gateway { call, ..Gateway::default() };
        let (sides, known) = ((self.operation, self.pair), (upstream, signed));
        let mut request =
            outgoing::write(services, route, known, sides, self.record, &gateway, &steps)?;
        outgoing::keep_bytes(route, upstream, head, self.bytes, &mut request);
        if self.responder.is_traced {
            trace::pass(&head.headers, &mut request.headers);
        }
        let (record, credential) = (self.record, signed.credential);
        Ok(match &target.poll {
            None => {
                let sent = visit.send(request, visit.deadline).await;
                let vocabulary = &services.plan.vocabulary;
                judge(vocabulary, route, (upstream, credential), target, record, sent)
            }
            Some(poll) => {
                let sources = outgoing::sources(services, known, record, &gateway, &steps);
                let job = Job { route, operation: target, poll, credential, sources };
                // Most vendors have no jobs, and need no room for them.
                Box::pin(job.run(visit, request)).await
            }
        })
    }
}
