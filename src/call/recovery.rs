//! What came of a change whose gateway did not live to say it: the ticket is read, as it is after a write of which
//! nobody knows.
//!
//! A ticket that is as it was asked for is a yes. Any other status says nothing for certain: the change may have been
//! made, and somebody may have made another one since. So there is no *no* here, and what is no yes is in doubt.

use http::Request;
use tokio::time::Instant;

use crate::bounds;
use crate::call::enrich::Reading;
use crate::call::journal::word_of;
use crate::call::respond::Responder;
use crate::call::send::Visit;
use crate::call::{Services, Stop};
use crate::ident::CallId;
use crate::mapping::model::{Operation, Type};
use crate::plan::{Pair, ReadBack, Route, Settles};
use crate::store::journal::{Entry, is_whole};
use crate::upstream::turns::Rank;
use crate::upstream::{Departure, Spent};
use crate::value::{Fault, FieldId, Record, Value, WordId};

/// What was found out of a change.
#[derive(Debug)]
pub enum Recovered {
    /// The ticket is as it was asked for; the word that its status is.
    Yes(Option<String>),
    /// Nobody can tell.
    InDoubt {
        /// Why, as a word of a closed set.
        why: &'static str,
        /// The word that the ticket's status is, if it was read.
        read: Option<String>,
    },
    /// The upstream did not say; it may if it is asked again.
    Away,
}

/// Why nobody can tell: the upstream did not say for as long as it is asked.
pub const UPSTREAM_AWAY: &str = "upstream_away";

/// A change as this gateway's plan has it.
struct Known<'p> {
    route: &'p Route,
    operation: &'p Operation,
    pair: &'p Pair,
    read_back: &'p ReadBack,
    settles: &'p Settles,
    /// The status in the read's answer.
    status: FieldId,
    kind: Type,
    wanted: WordId,
    ticket: (FieldId, &'p str),
}

/// Finds out what came of a change. It must not be under way any more.
pub async fn recover(services: &Services, entry: &Entry) -> Recovered {
    let known = match known(services, entry) {
        Ok(known) => known,
        Err(why) => return Recovered::InDoubt { why, read: None },
    };
    let read = match read(services, entry, &known).await {
        Ok(read) => read,
        Err(stop) if stop.credential_refused => return in_doubt("credential_refused", None),
        Err(stop) => return without_status(&stop),
    };
    let Some(is) = read.word(known.status) else { return in_doubt("not_readable", None) };
    let word = word_of(&services.plan.vocabulary, known.kind, is).map(str::to_owned);
    if !known.settles.is_reached(is, known.wanted) {
        return in_doubt("another_status", word);
    }
    match entry.intent.tells {
        true => Recovered::Yes(word),
        false => in_doubt("more_than_status", word),
    }
}

fn in_doubt(why: &'static str, read: Option<String>) -> Recovered {
    Recovered::InDoubt { why, read }
}

/// A change of a route, an upstream and an operation that are still there, with something to read; else why not.
fn known<'p>(services: &'p Services, entry: &'p Entry) -> Result<Known<'p>, &'static str> {
    let (plan, intent) = (&services.plan, &entry.intent);
    let route = plan.routes.iter().find(|route| route.name == intent.route).ok_or("route_gone")?;
    if plan.upstreams[route.upstream].name != intent.upstream {
        return Err("upstream_changed");
    }
    let id = plan.vocabulary.operation(&intent.operation).ok_or("operation_gone")?;
    let index = route.client.operations.iter().position(|known| known.id == id);
    let index = index.ok_or("operation_gone")?;
    let (operation, pair) = (&route.client.operations[index], route.pairs[index].as_ref());
    let pair = pair.ok_or("operation_gone")?;
    let read_back = pair.read_back.as_deref().ok_or("nothing_to_read")?;
    let settles = read_back.settles.as_ref().ok_or("nothing_to_read")?;
    let (own, status) = read_back.status.ok_or("nothing_to_read")?;
    let kind = plan.vocabulary.operations[id].answer[usize::from(own)].kind;
    let wanted = intent.to.as_deref().and_then(|to| {
        let Type::Word(index) = kind else { return None };
        let words = &plan.vocabulary.types.get(index)?.words;
        WordId::try_from(words.iter().position(|word| word == to)?).ok()
    });
    let wanted = wanted.ok_or("nothing_to_read")?;
    let ticket = intent.upstream_ticket.as_deref().filter(|ticket| is_whole(ticket));
    let ticket = pair.ticket.zip(ticket).ok_or("nothing_to_read")?;
    Ok(Known { route, operation, pair, read_back, settles, status, kind, wanted, ticket })
}

/// Reads the ticket, behind all else that the upstream is asked.
async fn read(
    services: &Services,
    entry: &Entry,
    known: &Known<'_>,
) -> Result<Record<'static>, Stop> {
    let Known { route, operation, pair, read_back, ticket: (field, ticket), .. } = *known;
    let plan = &services.plan;
    let consumer = entry.intent.consumer.as_ref();
    let consumer = consumer.and_then(|name| plan.consumers.iter().position(|known| known == name));
    let upstream = (route.upstream, &plan.upstreams[route.upstream]);
    let credential = route.credential_for(upstream.1, consumer);
    // Nobody asks for this: what a request of a client's would have is not there.
    let (head, ()) = Request::new(()).into_parts();
    let (call, departure) = (CallId::random(), Departure::default());
    let digits = call.digits();
    let responder = Responder {
        services,
        route,
        head: &head,
        call,
        digits,
        is_traced: false,
        departure: departure.clone(),
    };
    let mut written = Record::new();
    written.set(field, Some(Value::Text(ticket.into())));
    let sides = (operation, pair);
    let said = &written;
    let reading = Reading { responder: &responder, sides, read_back, said, credential };
    let mut spent = Spent::default();
    let mut visit = Visit {
        services,
        upstream,
        call,
        head: &head,
        departure: &departure,
        deadline: Instant::now() + bounds::READ_BACK_TIMEOUT,
        consumer,
        rank: Rank::After,
        spent: &mut spent,
    };
    reading.read(&mut visit, &written).await.map(|(read, _)| read)
}

/// What it means that the ticket could not be read.
fn without_status(stop: &Stop) -> Recovered {
    match stop.fault {
        Fault::NotFound => in_doubt("not_found", None),
        Fault::UpstreamUnreachable
        | Fault::UpstreamTimeout
        | Fault::UpstreamFailed
        | Fault::OutcomeUnknown
        | Fault::Overloaded
        | Fault::RateLimited => Recovered::Away,
        _ => in_doubt("not_readable", None),
    }
}
