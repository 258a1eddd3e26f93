//! `GET /limits` and `POST /limits/reset`: how limits stand, and giving calls back.
//!
//! What changes something wants the token, and comes from no page in a browser: one of those cannot send JSON to
//! another origin without asking first, and says where it comes from.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, ORIGIN, WWW_AUTHENTICATE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use crate::admin::{Operator, typed};
use crate::limit::{Counted, Form, Rule, Scope, Subject};
use crate::{bounds, diag};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What a browser says of a request that a page makes it send.
const SITE: &str = "sec-fetch-site";

/// Why something was not done, in words for the operator.
struct Refused(StatusCode, String);

/// Whose counts are reset.
enum Target {
    All,
    One(Subject, String),
}

/// How limits stand, as `limit=NAME` and `consumer=NAME` in the query want it.
pub(super) async fn show(operator: &Operator, query: &str) -> Response<Full<Bytes>> {
    answer(shown(operator, query).await)
}

/// Gives calls back.
pub(super) async fn reset(
    operator: &Operator,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    answer(done(operator, request).await)
}

fn answer(told: Result<Value, Refused>) -> Response<Full<Bytes>> {
    let (status, value) = match told {
        Ok(value) => (StatusCode::OK, value),
        Err(Refused(status, why)) => (status, json!({"error": why})),
    };
    let mut response = typed(status, JSON, Bytes::from(format!("{value}\n")));
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

async fn shown(operator: &Operator, query: &str) -> Result<Value, Refused> {
    let (mut limit, mut consumer) = (None, None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "limit" => limit = Some(named(operator, &value)?),
            "consumer" => consumer = Some(known_consumer(operator, &value)?),
            _ => return Err(malformed(format!("no `{name}`: there are `limit` and `consumer`"))),
        }
    }
    let limits = &operator.limits;
    let wanted = limits.all().enumerate().filter(|(index, rule)| {
        limit.is_none_or(|limit| limit == *index)
            && (consumer.is_none() || rule.scope == Scope::Consumer)
    });
    let mut told = Vec::new();
    for (index, rule) in wanted {
        told.push(one(operator, index, rule, consumer).await?);
    }
    let routes = operator.plan.routes.iter().enumerate();
    let unseen: Vec<&str> = routes
        .filter(|(index, _)| limit.is_none() && limits.is_alone(*index))
        .map(|(_, route)| route.name.as_str())
        .collect();
    Ok(json!({"limits": told, "routes_unseen": unseen}))
}

async fn one(
    operator: &Operator,
    index: usize,
    rule: &Rule,
    only: Option<Subject>,
) -> Result<Value, Refused> {
    let form = match rule.form {
        Form::Rate { .. } => "rate",
        Form::Quota(_) => "quota",
    };
    let overview = operator.limits.overview(index, only, bounds::LIMIT_CALLERS_SHOWN_MAX).await;
    let seen =
        overview.map_err(|error| Refused(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    let wall = seen.now.wall;
    let callers = seen.callers.iter().map(|one| caller(operator, rule, one, wall));
    let callers: Vec<Value> = callers.collect();
    Ok(json!({
        "limit": &*rule.name, "per": rule.scope.name(), "form": form, "calls": rule.calls(),
        "seconds": rule.seconds(), "callers": callers, "more": seen.more,
        "listed": seen.is_listed,
    }))
}

fn caller(operator: &Operator, rule: &Rule, counted: &Counted, wall: u64) -> Value {
    let Counted { subject, room } = counted;
    let resets = wall.saturating_add(room.whole_after).div_ceil(1_000_000);
    let resets = i64::try_from(resets).ok().and_then(|at| Timestamp::from_second(at).ok());
    json!({
        "who": rule.scope.who(*subject, &operator.plan),
        "used": rule.calls().saturating_sub(room.calls),
        "left": room.calls,
        "resets": resets.map(|at| at.to_string()),
    })
}

async fn done(operator: &Operator, request: Request<Incoming>) -> Result<Value, Refused> {
    may_change(operator, &request)?;
    let body = Limited::new(request.into_body(), bounds::ADMIN_BODY_BYTES_MAX).collect();
    let body = match timeout(bounds::ADMIN_BODY_TIMEOUT, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) | Err(_) => return Err(malformed("the request did not come whole".to_owned())),
    };
    let wanted: Map<String, Value> = serde_json::from_slice(&body)
        .map_err(|error| malformed(format!("the request is no JSON object: {error}")))?;
    let text = |key: &str| wanted.get(key).and_then(Value::as_str);
    let name = text("limit").ok_or_else(|| malformed("say which `limit`".to_owned()))?;
    let index = named(operator, name)?;
    let target = target(operator, index, &wanted)?;
    let (subject, who) = match target {
        Target::All => (None, None),
        Target::One(subject, who) => (Some(subject), Some(who)),
    };
    let callers = operator.limits.reset(index, subject).await.map_err(|error| {
        Refused(StatusCode::SERVICE_UNAVAILABLE, format!("nothing was reset: {error}"))
    })?;
    tracing::info!(
        target: "latimer::admin", limit = name, who = who.as_deref().unwrap_or("all"), callers, "limit reset"
    );
    Ok(json!({"limit": name, "who": who, "callers": callers}))
}

/// Whose counts are meant: one of `consumer`, `address` and `all`, and one that the limit counts by.
fn target(
    operator: &Operator,
    index: usize,
    wanted: &Map<String, Value>,
) -> Result<Target, Refused> {
    let scope = operator.limits.all().nth(index).map_or(Scope::Consumer, |rule| rule.scope);
    let fits = |own: Scope| {
        let told = format!("the limit counts per {}: say `all`", scope.name());
        if own == scope { Ok(()) } else { Err(malformed(told)) }
    };
    let text = |key: &str| wanted.get(key).and_then(Value::as_str);
    match (text("consumer"), text("address"), wanted.get("all")) {
        (None, None, Some(Value::Bool(true))) => Ok(Target::All),
        (Some(name), None, None) => {
            fits(Scope::Consumer)?;
            Ok(Target::One(known_consumer(operator, name)?, name.to_owned()))
        }
        (None, Some(address), None) => {
            fits(Scope::Address)?;
            let wrong = |_| malformed(format!("`{address}` is no address"));
            let subject = Subject::address(address.parse().map_err(wrong)?);
            Ok(Target::One(subject, Scope::Address.who(subject, &operator.plan)))
        }
        _ => Err(malformed("say whose: one of `consumer`, `address` and `all`".to_owned())),
    }
}

/// Whoever changes something has the token, and is no page in somebody's browser.
fn may_change<B>(operator: &Operator, request: &Request<B>) -> Result<(), Refused> {
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let from_a_page = request.headers().contains_key(ORIGIN)
        || request.headers().get(SITE).is_some_and(|site| site != "none");
    if from_a_page {
        let why = "a page in a browser changes nothing here".to_owned();
        return Err(Refused(StatusCode::FORBIDDEN, why));
    }
    let Some(token) = &operator.token else {
        let why = "the gateway has no `admin.token`, without which nothing is changed".to_owned();
        return Err(Refused(StatusCode::FORBIDDEN, why));
    };
    let shown = text(AUTHORIZATION.as_str()).and_then(|shown| shown.strip_prefix("Bearer "));
    if !shown.is_some_and(|shown| token.is(shown)) {
        let why = "the token is not that of the gateway's `admin.token`".to_owned();
        return Err(Refused(StatusCode::UNAUTHORIZED, why));
    }
    let media_type = text(CONTENT_TYPE.as_str()).and_then(|whole| whole.split(';').next());
    if media_type != Some("application/json") {
        let why = "send JSON: Content-Type: application/json".to_owned();
        return Err(Refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
    }
    Ok(())
}

fn named(operator: &Operator, name: &str) -> Result<usize, Refused> {
    let known = || operator.limits.all().map(|rule| &*rule.name);
    let found = operator.limits.named(name).map(|(index, _)| index);
    found.ok_or_else(|| unknown("limit", name, known().collect()))
}

fn known_consumer(operator: &Operator, name: &str) -> Result<Subject, Refused> {
    let known = || operator.plan.consumers.iter().map(String::as_str);
    if known().any(|consumer| consumer == name) {
        return Ok(Subject::named(name));
    }
    Err(unknown("consumer", name, known().collect()))
}

fn unknown(what: &str, name: &str, known: Vec<&str>) -> Refused {
    let hint = match diag::nearest(name, &known) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => String::new(),
    };
    Refused(StatusCode::NOT_FOUND, format!("no {what} `{name}`{hint}"))
}

fn malformed(why: String) -> Refused {
    Refused(StatusCode::BAD_REQUEST, why)
}
