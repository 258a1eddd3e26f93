//! A change that is written down before it is sent, and what is said of it afterwards.
//!
//! Nothing of a call leaves before its intent is kept; a call whose intent cannot be kept is refused. What came of it
//! is said when the upstream has answered, or once the ticket was read after that; of a call that ends before, what
//! can be told is whether a byte of it may have left.

use tokio::time::Instant;

use crate::call::enrich::Reading;
use crate::call::exchange::Exchange;
use crate::call::judge::Verdict;
use crate::call::respond::{Learned, Responder, outcome_of};
use crate::call::send::Visit;
use crate::call::{Outcome, ReadBack, Services, Stop};
use crate::ident::CallId;
use crate::journal::Journal;
use crate::mapping::model::{Operation, OperationDef, OperationKind, Type, Vocabulary};
use crate::plan::{Credential, Pair, Route};
use crate::store::journal::{self, By, Intent, Settlement, fitted};
use crate::upstream::Departure;
use crate::value::{Fault, FieldId, Record, WordId};
use crate::{bounds, clock};

/// A change that is written down. It is settled when it is dropped, if not before.
#[derive(Debug)]
pub(super) struct Change {
    journal: Journal,
    call: CallId,
    departure: Departure,
    is_settled: bool,
}

/// What came of a change, but for when.
struct Said {
    outcome: Outcome,
    fault: Option<Fault>,
    by: By,
    read: Option<String>,
}

/// The journal, if the change of this call is to be written down.
pub(super) fn wanted<'s>(
    services: &'s Services,
    route: &Route,
    operation: &Operation,
    call: CallId,
) -> Option<(&'s Journal, bool)> {
    let journaled = route.journal?;
    let journal = services.journal.as_ref()?;
    let is_wanted = operation.kind == OperationKind::Write && journaled.takes(call);
    is_wanted.then_some((journal, journaled.reads_before))
}

/// Writes down what a call is about to change, in the client's terms and in the upstream's.
///
/// # Errors
/// If it may not be kept. Nothing may be sent then.
pub(super) async fn begin(
    (journal, reads_before): (&Journal, bool),
    exchange: &Exchange<'_>,
    said: &Record<'_>,
    credential: &Credential,
    visit: &mut Visit<'_, '_>,
) -> Result<Box<Change>, Stop> {
    let Responder { call, departure, .. } = exchange.responder;
    let from = match reads_before {
        true => read_before(exchange, said, credential, visit).await,
        false => None,
    };
    let intent = intent(exchange, said, from, visit);
    let change = Change {
        journal: journal.clone(),
        call: *call,
        departure: departure.clone(),
        is_settled: false,
    };
    // On the heap from here on: should this be given up while it waits, it settles itself.
    let mut change = Box::new(change);
    match journal.add(intent, visit.deadline).await {
        Ok(()) => Ok(change),
        Err(why) => {
            change.is_settled = !why.may_be_kept();
            let stop = Stop::new(Fault::Overloaded).caused(why.to_string());
            Err(Stop { retry_after: Some(1), ..stop })
        }
    }
}

/// The word that the ticket's status is. A call does not fail because that cannot be told.
async fn read_before(
    exchange: &Exchange<'_>,
    said: &Record<'_>,
    credential: &Credential,
    visit: &mut Visit<'_, '_>,
) -> Option<String> {
    let Exchange { responder, operation, pair, record, .. } = *exchange;
    let read_back = pair.read_back.as_ref()?;
    let (own, theirs) = read_back.status?;
    let reading = Reading { responder, sides: (operation, pair), read_back, said, credential };
    let (read, _) = reading.read(visit, record).await.ok()?;
    let vocabulary = &responder.services.plan.vocabulary;
    let word =
        status_word(vocabulary, &vocabulary.operations[operation.id], own, read.word(theirs)?);
    word.map(str::to_owned)
}

fn intent(
    exchange: &Exchange<'_>,
    said: &Record<'_>,
    from: Option<String>,
    visit: &Visit<'_, '_>,
) -> Intent {
    let Exchange { responder, operation, pair, record, .. } = *exchange;
    let Responder { services, route, call, .. } = *responder;
    let plan = &services.plan;
    let def = &plan.vocabulary.operations[operation.id];
    let ticket = |record: &Record<'_>| pair.ticket.and_then(|field| record.text(field)).map(fitted);
    let began = clock::now();
    let left = visit.deadline.saturating_duration_since(Instant::now());
    Intent {
        call: call.bytes(),
        began,
        due: began.saturating_add(clock::milliseconds(left + bounds::JOURNAL_GRACE)),
        route: fitted(&route.name),
        consumer: visit.consumer.map(|index| fitted(&plan.consumers[index])),
        upstream: fitted(&visit.upstream.1.name),
        operation: fitted(&def.name),
        client_ticket: ticket(said),
        upstream_ticket: ticket(record),
        from,
        to: wanted_word(&plan.vocabulary, def, record),
        tells: tells(pair, record),
    }
}

/// The word that the status is to be.
fn wanted_word(vocabulary: &Vocabulary, def: &OperationDef, record: &Record<'_>) -> Option<String> {
    let field = def.request_field("status")?;
    let kind = def.request[usize::from(field)].kind;
    word_of(vocabulary, kind, record.word(field)?).map(str::to_owned)
}

/// True if the ticket's status tells whether all of a change was done.
fn tells(pair: &Pair, record: &Record<'_>) -> bool {
    let settles = pair.read_back.as_ref().and_then(|read_back| read_back.settles.as_ref());
    settles.is_some_and(|settles| settles.tells(record))
}

/// A word of the status in the answer of an operation.
fn status_word<'v>(
    vocabulary: &'v Vocabulary,
    def: &OperationDef,
    field: FieldId,
    word: WordId,
) -> Option<&'v str> {
    word_of(vocabulary, def.answer[usize::from(field)].kind, word)
}

/// A word of a type.
pub(super) fn word_of(vocabulary: &Vocabulary, kind: Type, word: WordId) -> Option<&str> {
    let Type::Word(index) = kind else { return None };
    vocabulary.types.get(index)?.words.get(usize::from(word)).map(String::as_str)
}

/// Says what the upstream has said, unless nobody knows: then the ticket may be read yet.
pub(super) fn heard(learned: &mut Learned, ran: &Result<Verdict, Stop>) {
    if learned.change.is_none() {
        return;
    }
    let (outcome, fault) = match ran {
        Ok(verdict) => of_verdict(verdict),
        Err(stop) => (outcome_of(stop.fault), Some(stop.fault)),
    };
    if outcome != Outcome::Unknown {
        say(learned, Said { outcome, fault, by: By::Answered, read: None });
    }
}

/// Says what is known once the ticket was read, or was not.
pub(super) fn ended(
    vocabulary: &Vocabulary,
    (operation, pair): (usize, &Pair),
    learned: &mut Learned,
    verdict: &Verdict,
) {
    if learned.change.is_none() {
        return;
    }
    let (outcome, fault) = of_verdict(verdict);
    let read = learned.read_after.as_ref();
    let is_read = read.is_some_and(|after| matches!(after.read_back, ReadBack::Read));
    let by = if is_read { By::ReadBack } else { By::Answered };
    let status = pair.read_back.as_ref().and_then(|read_back| read_back.status);
    let read = read.and_then(|after| after.word).zip(status).and_then(|(word, (own, _))| {
        status_word(vocabulary, &vocabulary.operations[operation], own, word)
    });
    let read = read.map(str::to_owned);
    say(learned, Said { outcome, fault, by, read });
}

fn of_verdict(verdict: &Verdict) -> (Outcome, Option<Fault>) {
    match verdict {
        Verdict::Yes { .. } => (Outcome::Yes, None),
        Verdict::Stopped(stop) | Verdict::Expired(stop) => {
            (outcome_of(stop.fault), Some(stop.fault))
        }
    }
}

fn say(learned: &mut Learned, said: Said) {
    if let Some(mut change) = learned.change.take() {
        change.settle(said);
    }
}

impl Change {
    fn settle(&mut self, Said { outcome, fault, by, read }: Said) {
        self.is_settled = true;
        self.journal.settle(Settlement {
            call: self.call.bytes(),
            outcome: match outcome {
                Outcome::Yes => journal::Outcome::Yes,
                Outcome::No => journal::Outcome::No,
                Outcome::Unknown => journal::Outcome::Unknown,
            },
            fault: fault.map(Fault::name),
            settled: clock::now(),
            by,
            read,
            why: None,
        });
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        if self.is_settled {
            return;
        }
        let has_left = self.departure.has_left() != Some(false);
        let outcome = if has_left { Outcome::Unknown } else { Outcome::No };
        self.settle(Said { outcome, fault: None, by: By::GivenUp, read: None });
    }
}
