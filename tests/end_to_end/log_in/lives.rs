//! How long a client's session holds, with the shipped mappings and shorter lives; and that its end is one.

use std::time::Duration;

use latimer::sim::Vendor;
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Desk, SHA512, cookie, start};
use crate::edited::Edited;
use crate::harness::{Answer, KEY};

const LIFE: Duration = Duration::from_secs(3);

/// Clients whose sessions live for three seconds.
async fn open() -> (Desk, Edited) {
    let mappings = Edited::new(&[
        ("arena", "lives: 90m sliding", "lives: 3s sliding"),
        ("zstack", "lives: 2h fixed", "lives: 3s fixed"),
        ("akana", "lives: 30m fixed", "lives: 3s fixed"),
        ("thalamus", "lives: 30m sliding", "lives: 3s sliding"),
    ]);
    let desk = Desk::open_with(mappings.path(), "").await;
    (desk, mappings)
}

impl Desk {
    /// The same desk, whose gateway has been stopped and started.
    async fn restarted(self) -> Self {
        let Self { home, gateway, system } = self;
        gateway.terminate().await;
        let gateway = start(&home).await;
        Self { home, gateway, system }
    }
}

/// What a session's use has added to it is there after an orderly stop, however little that is.
#[tokio::test]
async fn the_end_that_a_use_has_moved_outlives_a_restart() {
    let (desk, _mappings) = open().await;
    let token = arena_session(&desk).await;
    let began = Instant::now();
    sleep_until(began + LIFE * 3 / 4).await;
    let used = Instant::now();
    assert_eq!(desk.change(Vendor::Arena, &token, &[]).await.status, 201);
    let desk = desk.restarted().await;
    sleep_until(began + LIFE + Duration::from_millis(200)).await;
    // Whole seconds count, so that it may be a second less.
    let end = used + LIFE - Duration::from_secs(1);
    holds_until(end, 201, &desk.change(Vendor::Arena, &token, &[]).await);
    desk.stop().await;
}

/// FACTS §2, the body of the page with the text of the code's table.
fn is_over_for_arena(answer: &Answer) {
    let text =
        "There is no access token associated with this request or the access token is not valid.";
    let body = json!({"status": 401, "errors": [{"code": 401, "message": text}]});
    assert_eq!((answer.status, answer.json()), (401, body), "{answer:?}");
    is_refused(answer);
}

/// FACTS §1.2: a 503, since ZStack has no 401.
fn is_over_for_zstack(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.json()["error"]["code"], "ID.1001", "{answer:?}");
    is_refused(answer);
}

/// FACTS §4: 401 for a missing, an invalid and an expired cookie alike.
fn is_over_for_akana(answer: &Answer) {
    assert_eq!(answer.status, 401, "{answer:?}");
    assert!(answer.json()["faultcode"].is_string(), "{answer:?}");
    is_refused(answer);
}

fn is_refused(answer: &Answer) {
    assert_eq!(answer.header("x-latimer-fault"), Some("unauthenticated"), "{answer:?}");
    assert_eq!(answer.header("x-latimer-outcome"), Some("no"), "{answer:?}");
}

/// An answer that came before a session's end is a yes. One that took longer may be one to a call that came too late.
fn holds_until(end: Instant, status: u16, answer: &Answer) {
    if Instant::now() < end {
        assert_eq!(answer.status, status, "{answer:?}");
    }
}

async fn arena_session(desk: &Desk) -> String {
    let answer = desk.log_in(Vendor::Arena, "jo@example.com", "password").await;
    answer.json()["arenaSessionId"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

/// FACTS §2: so long after the last action.
#[tokio::test]
async fn an_arena_session_lives_as_long_as_it_is_used() {
    let (desk, _mappings) = open().await;
    let arena = Vendor::Arena;
    let token = arena_session(&desk).await;
    let began = Instant::now();
    while began.elapsed() < LIFE + Duration::from_secs(1) {
        let changed = desk.change(arena, &token, &[]).await;
        assert_eq!(changed.status, 201, "after {:?}: {changed:?}", began.elapsed());
        sleep(Duration::from_millis(400)).await;
    }
    sleep(LIFE).await;
    is_over_for_arena(&desk.change(arena, &token, &[]).await);
    is_over_for_arena(&desk.change(arena, &token, &[]).await);
    // A session that holds outlives a restart; one that is over is no session after it either.
    // Whole seconds count, so that it may be a second less.
    let end = Instant::now() + LIFE - Duration::from_secs(1);
    let other = arena_session(&desk).await;
    let desk = desk.restarted().await;
    holds_until(end, 201, &desk.change(arena, &other, &[]).await);
    is_over_for_arena(&desk.change(arena, &token, &[]).await);
    desk.stop().await;
}

/// Its token, and when it ends, as its client is told.
async fn zstack_session(desk: &Desk) -> (String, Instant) {
    let answer = desk.log_in(Vendor::Zstack, "admin", SHA512).await;
    let inventory = &answer.json()["inventory"];
    let date = jiff::fmt::strtime::parse(
        "%b %d, %Y %I:%M:%S %p",
        inventory["expiredDate"].as_str().unwrap_or_else(|| panic!("{answer:?}")),
    );
    let end = date.unwrap().to_datetime().unwrap().to_zoned(jiff::tz::TimeZone::UTC).unwrap();
    let end = end.timestamp().as_millisecond();
    (inventory["uuid"].as_str().unwrap().to_owned(), at(end))
}

/// A time of the calendar, in Unix milliseconds.
fn at(milliseconds: i64) -> Instant {
    let left = milliseconds - jiff::Timestamp::now().as_millisecond();
    Instant::now() + Duration::from_millis(left.try_into().expect("it is to come"))
}

/// So much later than its end a session is tried, since two clocks are not one.
const AFTER: Duration = Duration::from_millis(50);

/// FACTS §1.2: fixed from the log-in.
#[tokio::test]
async fn a_zstack_session_ends_at_its_time_however_it_is_used() {
    let (desk, _mappings) = open().await;
    let zstack = Vendor::Zstack;
    let (token, end) = zstack_session(&desk).await;
    let mut used = 0;
    while Instant::now() + AFTER < end {
        let changed = desk.change(zstack, &token, &[]).await;
        used += usize::from(Instant::now() < end);
        holds_until(end, 200, &changed);
        sleep(Duration::from_millis(200)).await;
    }
    assert!(used > 0, "it is used until its end");
    sleep_until(end + AFTER).await;
    is_over_for_zstack(&desk.change(zstack, &token, &[]).await);
    let (other, end) = zstack_session(&desk).await;
    let desk = desk.restarted().await;
    holds_until(end, 200, &desk.change(zstack, &other, &[]).await);
    is_over_for_zstack(&desk.change(zstack, &token, &[]).await);
    desk.stop().await;
}

/// A session's two secrets, and when it ends, which its cookie tells (FACTS §4).
struct Akana {
    token: String,
    csrf: String,
    end: Instant,
}

impl Akana {
    fn of(answer: &Answer) -> Self {
        let (token, _) = cookie(answer, "AtmoAuthToken_acmepaymentscorp");
        let (csrf, _) = cookie(answer, "Csrf-Token_acmepaymentscorp");
        let (_, end) = token.split_once("expirationTime%3D").unwrap();
        let end = at(end.parse().unwrap());
        Self { token: token.to_owned(), csrf: csrf.to_owned(), end }
    }

    async fn change(&self, desk: &Desk) -> Answer {
        let csrf = ("X-Csrf-Token_acmepaymentscorp", self.csrf.as_str());
        desk.change(Vendor::Akana, &self.token, &[csrf]).await
    }

    /// As their page has it: no body, the type of a form.
    async fn renew(&self, desk: &Desk) -> Answer {
        let shown = format!("AtmoAuthToken_acmepaymentscorp={}", self.token);
        let form = ("Content-Type", "application/x-www-form-urlencoded");
        let line = "POST /api/login/renewToken";
        desk.call(Vendor::Akana, line, &[("Cookie", &shown), form], "").await
    }
}

/// FACTS §4: the end is told in the cookie; `renewToken` while it holds gives another one; who comes too late has to
/// log in.
#[tokio::test]
async fn an_akana_session_ends_at_its_time_unless_it_is_renewed() {
    let (desk, _mappings) = open().await;
    let first = Akana::of(&desk.log_in(Vendor::Akana, "jo@example.com", "password").await);
    // At least a second, as whole seconds are told: the new end is another one.
    sleep_until(first.end - Duration::from_secs(1)).await;
    let renewed = first.renew(&desk).await;
    assert_eq!(renewed.status, 200, "{renewed:?}");
    let second = Akana::of(&renewed);
    assert!(second.end > first.end + Duration::from_millis(500), "it has a life of its own");
    assert_eq!(first.change(&desk).await.status, 200, "it still holds");
    sleep_until(first.end + AFTER).await;
    is_over_for_akana(&first.change(&desk).await);
    is_over_for_akana(&first.renew(&desk).await);
    let changed = second.change(&desk).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    sleep_until(second.end + AFTER).await;
    is_over_for_akana(&second.change(&desk).await);
    is_over_for_akana(&second.renew(&desk).await);
    let third = Akana::of(&desk.log_in(Vendor::Akana, "jo@example.com", "password").await);
    let desk = desk.restarted().await;
    holds_until(third.end, 200, &third.change(&desk).await);
    for over in [first, second] {
        is_over_for_akana(&over.change(&desk).await);
    }
    desk.stop().await;
}

/// No page says how long an operator's session lives, nor how it ends; the refusal is that of a wrong token.
#[tokio::test]
async fn a_thalamus_operators_session_lives_as_long_as_it_is_used() {
    let (desk, _mappings) = open().await;
    let thalamus = Vendor::Thalamus;
    let answer = desk.log_in(thalamus, "jo@example.com", "password").await;
    let (session, _) = cookie(&answer, "JSESSIONID");
    let shown = format!("JSESSIONID={session}");
    let operator = [("Cookie", shown.as_str())];
    let began = Instant::now();
    while began.elapsed() < LIFE + Duration::from_secs(1) {
        let changed = desk.change(thalamus, KEY, &operator).await;
        assert_eq!(changed.status, 201, "after {:?}: {changed:?}", began.elapsed());
        sleep(Duration::from_millis(400)).await;
    }
    sleep(LIFE).await;
    let is_over = |answer: &Answer| {
        assert_eq!(answer.status, 400, "{answer:?}");
        assert_eq!(answer.json()["errors"]["token"], "InvalidToken", "{answer:?}");
        is_refused(answer);
    };
    is_over(&desk.change(thalamus, KEY, &operator).await);
    let desk = desk.restarted().await;
    is_over(&desk.change(thalamus, KEY, &operator).await);
    desk.stop().await;
}

/// Whoever has heard a token may show it once its owner has logged out, and in another of its places.
#[tokio::test]
async fn a_session_that_was_logged_out_of_is_over_for_good() {
    let desk = Desk::open("").await;
    let arena = arena_session(&desk).await;
    let (zstack, _) = zstack_session(&desk).await;
    let json = ("Content-Type", "application/json");
    let shown = [("arena_session_id", arena.as_str()), json];
    let out = desk.call(Vendor::Arena, "PUT /v1/logout", &shown, "").await;
    assert_eq!(out.status, 200, "{out:?}");
    let authorization = format!("OAuth {zstack}");
    let line = format!("DELETE /v1/accounts/sessions/{zstack}");
    let out = desk.call(Vendor::Zstack, &line, &[("Authorization", &authorization)], "").await;
    assert_eq!(out.status, 200, "{out:?}");
    let as_cookie = format!("arena_session_id={}", arena.replace('|', "%7C"));
    let body = format!(r#"{{"ticket":{{"guid":"{}"}},"status":"COMPLETE"}}"#, "A".repeat(20));
    let mut desk = desk;
    for _ in 0..2 {
        is_over_for_arena(&desk.change(Vendor::Arena, &arena, &[]).await);
        let line = "POST /v1/tickets/statuschanges";
        let by_cookie = [("Cookie", as_cookie.as_str()), json];
        is_over_for_arena(&desk.call(Vendor::Arena, line, &by_cookie, &body).await);
        is_over_for_zstack(&desk.change(Vendor::Zstack, &zstack, &[]).await);
        desk = desk.restarted().await;
    }
    assert_eq!(desk.system.log().len(), 0, "nothing was sent");
    desk.stop().await;
}
