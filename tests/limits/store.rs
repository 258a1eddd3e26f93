//! What Redis has of its own: scripts that it forgets, expiries, log-ins, TLS, and gateways that count together.

use std::collections::HashMap;
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use latimer::config::{OnStoreFailure, RedisConfig};
use latimer::limit::memory::Memory;
use latimer::limit::redis::Reason;
use latimer::limit::shared::Clock;
use latimer::limit::{Redis, Rule, Shared, Unavailable};
use latimer::secret::Secret;
use tokio::time::{MissedTickBehavior, interval};

use crate::server::{self, Server, nowhere};
use crate::{DAY, HOUR, SECOND, THEN, charge, daily, now, open, rate, runtime, sliding};

const PASSWORD: &str = "open-sesame-1";

fn three() -> Vec<Rule> {
    vec![rate("rate", 25, 1, 25), daily("day", 1_000, "UTC"), sliding("any", 1_000, HOUR)]
}

/// The error and what caused it, as a log has them.
fn chain(error: &Unavailable) -> String {
    let mut text = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(" {error} {error:?}");
        cause = error.source();
    }
    text
}

fn refused(settings: &RedisConfig) -> Unavailable {
    let redis = open(settings, three());
    runtime().block_on(redis.charge(&[charge(0, 1)], None)).expect_err("it is not let in")
}

#[test]
fn a_server_that_forgets_its_scripts_is_told_them_again() {
    let server = Server::start_own();
    let redis = open(&server.settings(), three());
    let mut beside = server.beside();
    runtime().block_on(async {
        for left in (0..25).rev() {
            redis::cmd("SCRIPT").arg("FLUSH").exec(&mut beside).unwrap();
            let verdict = redis.charge(&[charge(0, 1)], Some(THEN)).await.unwrap();
            assert_eq!(verdict.standings[0].room.calls, left);
        }
    });
}

/// So what Redis holds is bounded by who calls within the time of a limit.
#[test]
fn each_key_expires_when_nothing_of_it_counts_and_not_before() {
    let server = Server::start();
    let settings = server.settings();
    let rules =
        vec![rate("slow", 1, 3_600, 3), daily("day", 9, "UTC"), sliding("any", 9, 2 * HOUR)];
    let redis = open(&settings, rules);
    let all = [charge(0, 0xab), charge(1, 0xab), charge(2, 0xab)];
    let mut beside = server.beside();
    let mut kept = |rule: &str| -> u64 {
        let key = format!("{{{}}}:{rule}:00000000000000ab", settings.prefix);
        let left: i64 = redis::cmd("PTTL").arg(&key).query(&mut beside).unwrap();
        u64::try_from(left).unwrap_or_else(|_| panic!("{key}: {left}")) * 1_000
    };
    runtime().block_on(async {
        let minute = 60 * SECOND;
        for calls in 1..=3 {
            redis.charge(&all, None).await.unwrap();
            let left = kept("slow");
            assert!(left > calls * HOUR && left <= calls * HOUR + minute, "{left}");
        }
        let verdict = redis.charge(&all, None).await.unwrap();
        let rooms: Vec<_> = verdict.standings.iter().map(|one| one.room).collect();
        assert_eq!(verdict.refused, Some(0));
        let (day, any) = (kept("day"), kept("any"));
        assert!(day > rooms[1].whole_after && day <= rooms[1].whole_after + 2 * HOUR + minute);
        assert!(any > rooms[2].whole_after && any <= 2 * HOUR + HOUR / 12 + minute, "{any}");
    });
    let pattern = format!("{{{}}}:*", settings.prefix);
    let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query(&mut beside).unwrap();
    assert_eq!(keys.len(), 3, "{keys:?}");
}

/// The clock went back over midnight: what counts for the day that had begun is kept until that is over.
#[test]
fn a_day_that_is_ahead_is_kept_until_it_is_over() {
    let server = Server::start();
    let settings = server.settings();
    let redis = open(&settings, vec![daily("day", 9, "UTC")]);
    let midnight = THEN - THEN % DAY;
    runtime().block_on(async {
        redis.charge(&[charge(0, 1)], Some(midnight)).await.unwrap();
        redis.charge(&[charge(0, 1)], Some(midnight - HOUR)).await.unwrap();
    });
    let key = format!("{{{}}}:day:0000000000000001", settings.prefix);
    let left: u64 = redis::cmd("PTTL").arg(&key).query(&mut server.beside()).unwrap();
    assert!(left * 1_000 > DAY + HOUR, "{left}");
}

/// A rate, or a length, that was changed while calls are counted: what was counted is taken over.
#[test]
fn a_limit_that_is_changed_goes_on_and_locks_nobody_out() {
    let server = Server::start();
    let settings = server.settings();
    let one = [charge(0, 1), charge(1, 1)];
    let before = vec![rate("rate", 999_983, 1_000, 9_000_000), sliding("any", 9, DAY)];
    let after = vec![rate("rate", 1, 1, 9), sliding("any", 5, HOUR)];
    let other = vec![sliding("rate", 5, HOUR), rate("any", 5, 1, 5)];
    runtime().block_on(async {
        let first = open(&settings, before);
        for _ in 0..4 {
            first.charge(&one, Some(THEN)).await.unwrap();
        }
        let verdict = open(&settings, after).charge(&one, Some(THEN)).await.unwrap();
        let rooms: Vec<_> = verdict.standings.iter().map(|one| one.room).collect();
        assert_eq!((rooms[0].calls, rooms[0].whole_after), (4, 5 * SECOND), "five of nine");
        assert_eq!(rooms[1].calls, 0, "five of five");
        assert!(rooms[1].whole_after <= HOUR + HOUR / 24);
        // What was counted in another way says nothing.
        let verdict = open(&settings, other).charge(&one, Some(THEN)).await.unwrap();
        let calls: Vec<u64> = verdict.standings.iter().map(|one| one.room.calls).collect();
        assert_eq!(calls, [4, 4]);
    });
}

#[test]
fn a_wrong_password_is_told_and_never_shown() {
    let server = Server::start_with_password(PASSWORD);
    let right = server.settings();
    let redis = open(&right, three());
    assert!(runtime().block_on(redis.charge(&[charge(0, 1)], None)).is_ok());
    assert!(!format!("{right:?} {redis:?}").contains(PASSWORD));

    let wrong = "wrong-sesame-2";
    for (password, database) in [(Some(wrong), 0), (None, 0), (Some(wrong), 3)] {
        let password = password.map(Secret::new);
        let error = refused(&RedisConfig { password, database, ..right.clone() });
        assert_eq!(error.reason(), Reason::Refused, "{}", chain(&error));
        let place =
            format!("the limits in Redis at 127.0.0.1:{}: it does not let us in", right.port);
        assert_eq!(error.to_string(), place);
        assert!(!chain(&error).contains(wrong), "{}", chain(&error));
    }
    let user = Some("nobody".to_owned());
    assert_eq!(refused(&RedisConfig { user, ..right.clone() }).reason(), Reason::Refused);
    let error = refused(&RedisConfig { database: 99, ..right });
    assert_eq!(error.reason(), Reason::Unfit, "{}", chain(&error));
}

/// What does not know the command repeats what it was sent.
#[test]
fn what_a_server_says_of_a_log_in_is_not_repeated() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let mut stream = stream;
            while let Some(Ok(line)) = lines.next() {
                // One answer for each command.
                if line.starts_with('*') {
                    let said =
                        format!("-ERR unknown command 'AUTH', beginning with: '{PASSWORD}'\r\n");
                    let _ = stream.write_all(said.as_bytes());
                }
            }
        }
    });
    for password in [Some(Secret::new(PASSWORD)), None] {
        let error = refused(&RedisConfig { port, password, ..nowhere() });
        assert!(!chain(&error).contains(PASSWORD), "{}", chain(&error));
    }
}

#[test]
fn a_server_is_believed_by_its_certificate_alone() {
    let server = Server::start_secured();
    let settings = server::secured(server.settings(), &server.root());
    let redis = open(&settings, three());
    runtime().block_on(async {
        assert!(redis.charge(&[charge(0, 1)], None).await.is_ok());
    });
    let other = Server::start_secured();
    let error = refused(&server::secured(server.settings(), &other.root()));
    assert_eq!(error.reason(), Reason::Tls, "{}", chain(&error));
    let plain = RedisConfig { tls: None, ..server.settings() };
    assert_eq!(refused(&plain).reason(), Reason::Unreachable);
}

fn gateways(settings: &RedisConfig, rules: &[Rule], clock: Clock) -> Vec<Shared> {
    let gateway = || {
        let redis = Redis::new(settings, rules.into()).unwrap();
        Shared::new(redis, OnStoreFailure::Closed, 2).with_clock(clock)
    };
    vec![gateway(), gateway()]
}

/// By a clock that is turned by hand, exactly.
#[test]
fn gateways_admit_together_what_one_would() {
    let server = Server::start();
    let rules = [rate("rate", 25, 1, 25), sliding("any", 300, HOUR), daily("day", 250, "UTC")];
    let gateways = gateways(&server.settings(), &rules, Clock::Caller);
    let one = Memory::new(rules.as_slice().into());
    runtime().block_on(async {
        let mut admitted = 0;
        for call in 0..2_000u64 {
            let (at, subject) = (now(THEN + call * 7_000), call % 3 / 2);
            let all = [charge(0, subject), charge(1, subject), charge(2, subject)];
            let gateway = &gateways[usize::try_from(call / 5 % 2).unwrap()];
            let verdict = gateway.charge(&all, at).await.unwrap();
            assert_eq!(verdict, one.charge(&all, at), "call {call}");
            admitted += u64::from(verdict.refused.is_none());
        }
        assert_eq!(admitted, 2 * 250, "the day's, of both callers");
    });
}

/// By the server's clock, at twice the rate.
#[test]
fn gateways_admit_together_what_one_would_in_real_time() {
    const RATE: u32 = 200;
    let server = Server::start();
    let settings = RedisConfig { timeout: Duration::from_secs(5), ..server.settings() };
    let gateways = gateways(&settings, &[rate("rate", RATE, 1, RATE)], Clock::Store);
    let (admitted, passed) = runtime().block_on(async {
        let mut admitted = 0u32;
        let mut ticks = interval(Duration::from_secs(1) / RATE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(5) {
            ticks.tick().await;
            for gateway in &gateways {
                let verdict = gateway.charge(&[charge(0, 1)], now(0)).await.unwrap();
                admitted += u32::from(verdict.refused.is_none());
            }
        }
        (f64::from(admitted), begun.elapsed().as_secs_f64())
    });
    let most = f64::from(RATE) * (1.0 + passed);
    assert!((admitted - most).abs() <= most / 100.0, "{admitted} of {most}");
}

/// By several connections at once, and by callers that go away.
#[test]
fn calls_at_once_are_charged_once_each() {
    let server = Server::start();
    let redis = std::sync::Arc::new(open(&server.settings(), vec![sliding("any", 500, DAY)]));
    let admitted = runtime().block_on(async {
        let mut calls = tokio::task::JoinSet::new();
        for call in 0..2_000u64 {
            let redis = std::sync::Arc::clone(&redis);
            calls.spawn(async move {
                redis.charge(&[charge(0, call % 2)], Some(THEN)).await.unwrap().refused.is_none()
            });
        }
        let verdicts = calls.join_all().await;
        verdicts.into_iter().fold(HashMap::new(), |mut counted, admitted| {
            *counted.entry(admitted).or_insert(0) += 1;
            counted
        })
    });
    assert_eq!(admitted, HashMap::from([(true, 1_000), (false, 1_000)]));
}
