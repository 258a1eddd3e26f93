//! What an upstream's answers say of our session there.

use http::HeaderMap;
use http::header::SET_COOKIE;

use crate::bounds;
use crate::mapping::model::{Expired, JsonPath, LogIn, Mapping, Operation, Source, Vocabulary};
use crate::mapping::run::answer::Answers;
use crate::mapping::run::render::Renderer;
use crate::mapping::run::{AnswerHead, Settings, Sources};
use crate::secret::Secret;
use crate::value::SecretId;

/// The secrets that the answer to a log-in gives, the first of which has to be there; `None` if it is not, or if the
/// answer says that the log-in is not over.
///
/// A vendor may answer 200 and have its user do something else first.
pub fn read_taken(
    log_in: &LogIn,
    headers: &HeaderMap,
    body: &[u8],
    sources: Sources<'_>,
) -> Option<Vec<(SecretId, Secret)>> {
    let small = body.len() <= bounds::JSONPATH_BYTES_MAX;
    let tree = small.then(|| serde_json::from_slice(body).ok()).flatten();
    let selects = |path: &JsonPath| {
        tree.as_ref().is_some_and(|tree| path.select(tree).iter().any(|value| !value.is_null()))
    };
    // What is too large to be looked into might say so.
    if log_in.unless.as_ref().is_some_and(|unless| !small || selects(unless)) {
        return None;
    }
    let renderer = Renderer::new(sources);
    let mut taken = Vec::new();
    let read = |source: &Source| match source {
        Source::Json(path) => match path.select(tree.as_ref()?)[..] {
            [serde_json::Value::String(text)] => Some(text.clone()),
            _ => None,
        },
        Source::Cookie(name) => set_cookie(headers, &renderer.pattern(name).ok()??),
        Source::Header(name) => Some(headers.get(name)?.to_str().ok()?.to_owned()),
    };
    for (index, (secret, sources)) in log_in.takes.iter().enumerate() {
        match sources.iter().filter_map(read).find(|text| !text.is_empty()) {
            Some(text) => taken.push((*secret, Secret::new(text))),
            None if index == 0 => return None,
            None => {}
        }
    }
    Some(taken)
}

/// The value of a cookie that an answer sets (RFC 6265 section 5.2).
fn set_cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get_all(SET_COOKIE).iter().find_map(|line| {
        let pair = line.to_str().ok()?.split(';').next()?;
        let (known, value) = pair.split_once('=')?;
        (known.trim() == name).then(|| value.trim().to_owned())
    })
}

/// True if an answer says that the session is over. What is said where the outcome is asked for is looked for
/// there, and the rest in the answer to the call itself.
pub fn has_expired(
    vocabulary: &Vocabulary,
    mapping: &Mapping,
    operation: &Operation,
    (head, body): (AnswerHead<'_>, &[u8]),
    settings: &Settings,
    on_poll: bool,
) -> bool {
    let Some(log_in) = mapping.session.as_ref().and_then(|session| session.upstream.as_ref())
    else {
        return false;
    };
    let mut looked_for =
        log_in.expired.iter().filter(|expired| expired.on_poll == on_poll).peekable();
    // A yes is none of these, and most answers are one.
    let said_yes = operation.success.codes.contains(&head.status);
    if looked_for.peek().is_none() || said_yes && !looks_into(looked_for.clone()) {
        return false;
    }
    let answers = Answers::new(vocabulary, mapping, settings, head, body);
    let said = answers.code_and_message(&operation.faults);
    let is_code = |code: &str, said: &str| match operation.faults.ignore_case {
        true => code.to_lowercase() == said.to_lowercase(),
        false => code == said,
    };
    looked_for.any(|expired| {
        let (natives, message) = match &said {
            Some((natives, message)) => (&natives[..], message.as_deref()),
            None => (&[][..], None),
        };
        expired.http.is_none_or(|status| status == head.status)
            && expired
                .native
                .as_ref()
                .is_none_or(|code| natives.iter().any(|one| is_code(code, one)))
            && expired.text.as_ref().is_none_or(|text| {
                message.is_some_and(|message| message.starts_with(text.as_str()))
            })
            && expired.when.as_ref().is_none_or(|path| answers.has(path))
    })
}

/// True if one of them is not told by the status alone.
fn looks_into<'e>(mut looked_for: impl Iterator<Item = &'e Expired>) -> bool {
    looked_for.any(|expired| expired.http.is_none())
}
