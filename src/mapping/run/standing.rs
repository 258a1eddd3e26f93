//! What every call to a vendor has, whichever operation it is: the credential, and what settings fill in.
//!
//! A request that no operation describes still has these. They are found and written where the
//! operations have them.

use http::HeaderMap;

use crate::codec::form::FormPairs;
use crate::mapping::model::{Content, Mapping, Named, Operation, OrElse, Slot, Vocabulary};
use crate::mapping::run::headers::answer_headers;
use crate::mapping::run::reader::Reader;
use crate::mapping::run::render::Renderer;
use crate::mapping::run::write::write_some;
use crate::mapping::run::{Refusal, RequestHead, Settings, Sources};
use crate::value::Record;

/// A query, parted by whether its pairs are the mapping's business.
#[derive(Debug, PartialEq, Eq)]
pub struct StandingQuery {
    /// The pairs with a place of their own in some operation, undecoded.
    pub known: String,
    /// All pairs but those that hold a secret, as they came; none if nothing else was there.
    pub passing: Option<String>,
}

/// Parts a query. A pair whose name cannot be decoded is nobody's.
pub fn split_query(
    vocabulary: &Vocabulary,
    mapping: &Mapping,
    settings: &Settings,
    query: &str,
) -> StandingQuery {
    let reader = Reader::new(vocabulary, mapping, settings);
    let place = |name: &str| {
        let named = mapping.operations.iter().flat_map(|operation| &operation.request.query);
        let mut named = named.filter(|named| {
            is_standing(named) && reader.name(&named.name).is_some_and(|known| known == name)
        });
        // What is a secret in one operation is one in all.
        let first = named.next()?;
        Some(first.place.secret || named.any(|named| named.place.secret))
    };
    let (mut known, mut passing): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for pair in query.split('&') {
        // The name alone: with a value that cannot be decoded it is still that name.
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        let name = FormPairs::new(name.as_bytes()).next().and_then(Result::ok);
        let secret = name.and_then(|(name, _)| place(&name));
        if secret.is_some() {
            known.push(pair);
        }
        if secret != Some(true) {
            passing.push(pair);
        }
    }
    let passing = (!passing.is_empty()).then(|| passing.join("&"));
    StandingQuery { known: known.join("&"), passing }
}

/// Reads what a client says in place of a setting.
///
/// # Errors
/// As [`read_request`](super::read_request).
pub fn read_standing<'a>(
    vocabulary: &Vocabulary,
    mapping: &Mapping,
    operation: &Operation,
    head: &RequestHead<'a>,
    settings: &Settings,
) -> Result<Record<'a>, Refusal> {
    let mut reader = Reader::new(vocabulary, mapping, settings);
    let wanted =
        |named: &&Named| is_standing(named) && !named.place.secret && named.place.arrow.reads();
    reader.head(&operation.request, head, wanted)?;
    Ok(reader.record)
}

/// Writes the pairs of the query, without a question mark, and the header fields.
///
/// # Errors
/// As [`write_request`](super::write_request).
pub fn write_standing(
    operation: &Operation,
    sources: Sources<'_>,
) -> Result<(String, HeaderMap), Refusal> {
    let renderer = Renderer::new(sources);
    let (mut query, mut headers) = (String::new(), HeaderMap::new());
    write_some(&renderer, &operation.request, &mut query, &mut headers, is_standing)?;
    Ok((query.trim_start_matches('?').to_owned(), headers))
}

/// The header fields that say the same on every answer.
pub fn standing_headers(named: &[Named], sources: Sources<'_>) -> HeaderMap {
    let fixed = |named: &&Named| matches!(named.place.content, Content::Literal(_));
    let fixed: Vec<Named> = named.iter().filter(fixed).cloned().collect();
    // A literal that no header can hold is found before start.
    answer_headers(&Renderer::new(sources), &fixed).unwrap_or_default()
}

/// True for a place that speaks of the caller and not of what is asked.
fn is_standing(named: &Named) -> bool {
    let mut holes = named.place.content.holes().peekable();
    holes.peek().is_some()
        && holes.all(|hole| {
            matches!(hole.slot, Slot::Secret(_) | Slot::Setting(_))
                || matches!(hole.or, OrElse::Setting(_))
        })
}
