//! What PostgreSQL has of its own: a server that goes away and comes back, several gateways on one database.

use std::time::{Duration, Instant};

use latimer::config::PostgresConfig;
use latimer::secret::Secret;
use latimer::store::{self, Reason, Store};
use latimer::tls::{ClientSettings, Roots};

use crate::server::{Beside, Server, state};
use crate::{
    Fresh, all, behaviours, crosswalk, hash, id, journal, model, open, runtime, session,
    session_with,
};

/// One store, emptied each time: logging in costs more than most of what is tried here.
struct Emptied {
    store: Store,
    beside: Beside,
}

impl Fresh for Emptied {
    fn store(&mut self) -> Store {
        let tables = "latimer.sessions, latimer.jobs, latimer.upstream_sessions, \
             latimer.limit_uses, latimer.limit_writers, latimer.journal, latimer.journal_owners, \
             latimer.crosswalk_ids, latimer.crosswalk_past, latimer.crosswalk_conflicts";
        self.beside.execute(&format!("TRUNCATE {tables}"));
        self.store.clone()
    }
}

fn refused(at: &PostgresConfig) -> store::StoreError {
    store::open(&state(at)).expect_err("it is not opened")
}

#[test]
fn postgres_keeps_what_it_is_given() {
    let server = Server::start();
    let at = server.database();
    let mut emptied = Emptied { store: open(&state(&at)), beside: Beside::connect(&at) };
    model::hold(&mut emptied, 64);
    crosswalk::hold(&mut emptied, 64);
    journal::hold(&mut emptied, 64);
    behaviours::hold(&mut emptied);
    two_gateways_share_a_database(&server);
    what_is_not_ours_is_refused(&server);
    tables_that_are_gone_are_found(&server);
}

fn two_gateways_share_a_database(server: &Server) {
    let at = server.database();
    // All at once make the tables that are not there yet.
    let opening: Vec<_> = (0..6)
        .map(|_| {
            let config = state(&at);
            std::thread::spawn(move || open(&config))
        })
        .collect();
    let stores: Vec<Store> = opening.into_iter().map(|one| one.join().unwrap()).collect();
    runtime().block_on(async {
        for round in 0..20 {
            let tries = stores.iter().zip(0..).map(|(store, holder)| {
                store.lease_upstream_session(hash(round), id(holder), 1000, 2000)
            });
            let got = all(tries.collect()).await;
            assert_eq!(got.iter().filter(|one| *one.as_ref().unwrap()).count(), 1);
        }
        stores[0].add_session(&session(1)).await.unwrap();
        assert!(stores[1].session(hash(1), 1500).await.unwrap().is_some());
        // The same rows, in other orders, from all of them.
        let numbers: Vec<u32> = (100..160).collect();
        for number in &numbers {
            stores[0].add_session(&session(*number)).await.unwrap();
        }
        let batches: Vec<Vec<([u8; 32], i64)>> = (0..6)
            .map(|turn| {
                let mut ends: Vec<_> =
                    numbers.iter().map(|number| (hash(*number), 2000 + turn)).collect();
                ends.rotate_left(usize::try_from(turn).unwrap() * 10);
                ends
            })
            .collect();
        for _ in 0..10 {
            let extending =
                stores.iter().zip(&batches).map(|(store, ends)| store.extend_sessions(ends));
            assert!(all(extending.collect()).await.iter().all(Result::is_ok));
            assert!(
                all(stores.iter().map(|one| one.sweep(1)).collect())
                    .await
                    .iter()
                    .all(Result::is_ok)
            );
        }
        assert_eq!(stores[3].session(hash(100), 1500).await.unwrap().unwrap().expires, 2005);
        // The bound of a user's sessions holds however many add at a time.
        let most = u32::try_from(latimer::bounds::SESSIONS_PER_USER_MAX).unwrap();
        let sessions: Vec<_> = (1000..1100 + most).map(session).collect();
        let adding = sessions.iter().zip(stores.iter().cycle());
        all(adding.map(|(one, store)| store.add_session(one)).collect()).await;
        let found =
            all((0..1100 + most).map(|one| stores[2].session(hash(one), 1500)).collect()).await;
        let live = found.iter().filter(|one| one.as_ref().unwrap().is_some()).count();
        assert_eq!(live, latimer::bounds::SESSIONS_PER_USER_MAX);
    });
}

fn what_is_not_ours_is_refused(server: &Server) {
    let at = server.database();
    drop(open(&state(&at)));
    Beside::connect(&at).execute("INSERT INTO latimer.migrations VALUES (99)");
    let error = refused(&at);
    assert!(matches!(error.reason(), Reason::Newer { found: 99, .. }), "{error:?}");

    let at = server.database();
    Beside::connect(&at).execute("CREATE SCHEMA latimer; CREATE TABLE latimer.theirs (a INT)");
    assert_eq!(refused(&at).reason(), Reason::Foreign);

    let wrong = PostgresConfig { password: Some(Secret::new("wr0ng")), ..server.database() };
    let error = refused(&wrong);
    assert_eq!(error.reason(), Reason::Refused);
    let (text, all) = (error.to_string(), format!("{error:?} {:?}", state(&wrong)));
    assert!(text.contains("postgres://") && text.contains("latimer_test"), "{text}");
    assert!(!text.contains("wr0ng") && !all.contains("wr0ng"), "{text} {all}");

    let nobody = PostgresConfig { database: "not_there".to_owned(), ..server.database() };
    assert_eq!(refused(&nobody).reason(), Reason::Refused);
}

fn tables_that_are_gone_are_found(server: &Server) {
    let at = server.database();
    let store = open(&state(&at));
    Beside::connect(&at).execute("DROP TABLE latimer.jobs");
    let error = runtime().block_on(store.check()).expect_err("it is not whole");
    assert_eq!(error.reason(), Reason::Corrupt);
}

/// What a store answers once the server is as it should be: asked again until then.
async fn settled<T>(what: impl AsyncFn() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(answer) = what().await {
            return answer;
        }
        assert!(Instant::now() < end, "it does not come back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn a_server_may_stop_and_start() {
    let mut server = Server::start_own();
    let at = server.database();
    let store = open(&state(&at));
    let runtime = runtime();
    runtime.block_on(store.add_session(&session(1))).unwrap();

    server.stop();
    runtime.block_on(async {
        let begun = Instant::now();
        // Every connection of the store has broken, and each says so at once.
        for _ in 0..50 {
            let error = store.session(hash(1), 1500).await.expect_err("nobody is there");
            assert_eq!(error.reason(), Reason::Unavailable, "{error:?}");
            let error = store.add_session(&session(2)).await.expect_err("nobody is there");
            assert_eq!(error.reason(), Reason::Unavailable, "{error:?}");
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    });
    assert_eq!(refused(&at).reason(), Reason::Unavailable);

    server.start_again();
    runtime.block_on(async {
        let found = settled(async || store.session(hash(1), 1500).await.ok()).await;
        assert!(found.is_some(), "what was kept is kept");
        assert_eq!(store.session(hash(2), 1500).await.unwrap(), None, "what was refused is not");
        settled(async || store.add_session(&session(3)).await.ok()).await;
        assert!(store.session(hash(3), 1500).await.unwrap().is_some());
    });
    cut_off_in_the_middle(&at, &store);
    a_server_that_takes_too_long(&at, &store);
    over_tls(&server, &at);
}

/// Connections that are cut off while much is asked: what is acknowledged is kept, and nothing hangs.
fn cut_off_in_the_middle(at: &PostgresConfig, store: &Store) {
    let cut =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'latimer'";
    let runtime = runtime();
    let mut acknowledged = Vec::new();
    for round in 1..=5_u32 {
        let of_user = |number| session_with(number, |one| one.user = format!("user-{round}"));
        let sessions: Vec<_> = (0..200).map(|one| of_user(round * 1000 + one)).collect();
        let at = at.clone();
        let answers = std::thread::scope(|scope| {
            scope.spawn(move || Beside::connect(&at).execute(cut));
            runtime.block_on(all(sessions.iter().map(|one| store.add_session(one)).collect()))
        });
        for (session, answer) in sessions.iter().zip(answers) {
            match answer {
                Ok(()) => acknowledged.push(session.token),
                Err(error) => assert!(
                    matches!(error.reason(), Reason::Unavailable | Reason::OutcomeUnknown),
                    "{error:?}"
                ),
            }
        }
    }
    assert!(!acknowledged.is_empty());
    runtime.block_on(async {
        for token in acknowledged {
            assert!(settled(async || store.session(token, 1500).await.ok()).await.is_some());
        }
    });
}

/// What is not answered in time is told by what is known of it.
fn a_server_that_takes_too_long(at: &PostgresConfig, store: &Store) {
    let beside = Beside::connect(at);
    beside.execute("BEGIN; SELECT * FROM latimer.sessions FOR UPDATE");
    let longer = session_with(1, |one| one.expires = 9000);
    let begun = Instant::now();
    let (added, removed, found) = runtime().block_on(async {
        tokio::join!(
            store.add_session(&longer),
            store.remove_session(hash(1)),
            store.session(hash(1), 1500)
        )
    });
    assert!(begun.elapsed() < latimer::bounds::STATE_TIMEOUT * 3, "{:?}", begun.elapsed());
    assert!(found.expect("who reads does not wait").is_some());
    let error = added.expect_err("the row is locked");
    assert_eq!(error.reason(), Reason::Unavailable, "it was not committed: {error:?}");
    let error = removed.expect_err("the row is locked");
    assert_eq!(error.reason(), Reason::OutcomeUnknown, "it was sent: {error:?}");
    beside.execute("ROLLBACK");
    runtime().block_on(async {
        let found = settled(async || store.session(hash(1), 8000).await.ok()).await;
        assert_eq!(found, None);
        settled(async || store.add_session(&session(2)).await.ok()).await;
    });
}

fn over_tls(server: &Server, at: &PostgresConfig) {
    let secured = |host: &str, roots: Roots| PostgresConfig {
        host: host.to_owned(),
        tls: Some(ClientSettings { roots, identity: None }),
        ..at.clone()
    };
    let root = Roots::read(&server.root()).unwrap();
    let store = open(&state(&secured("localhost", root.clone())));
    runtime().block_on(async {
        assert!(store.session(hash(2), 1500).await.unwrap().is_some());
    });
    // The certificate is for another name, or comes from somebody else.
    assert_eq!(refused(&secured("127.0.0.1", root)).reason(), Reason::Tls);
    let other = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(other.path(), crate::server::other_root()).unwrap();
    let other = Roots::read(other.path()).unwrap();
    assert_eq!(refused(&secured("localhost", other)).reason(), Reason::Tls);
}
