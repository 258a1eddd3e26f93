//! What cannot be seen from outside: groups, savepoints, queues, a disk that is full.

use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::connection::{Access, Connection, Param};
use super::*;

/// Keeps the writer at it until it is let go.
struct Hold {
    begun: SyncSender<()>,
    end: Mutex<Receiver<()>>,
}

impl Operation for Hold {
    type Answer = ();
    const ACCESS: Access = Access::Transaction;

    async fn run(&self, _: &mut impl Connection) -> Result<(), Fault> {
        self.begun.send(()).expect("the test waits");
        let _ = self.end.lock().expect("nobody else").recv();
        Ok(())
    }
}

/// A change of two statements, the second of which cannot be.
struct Fails(NewSession);

impl Operation for Fails {
    type Answer = ();
    const ACCESS: Access = Access::Transaction;

    async fn run(&self, connection: &mut impl Connection) -> Result<(), Fault> {
        sessions::Add(self.0.clone()).run(connection).await?;
        let null = "UPDATE sessions SET consumer = NULL WHERE token = $1";
        connection.execute(null, &[Param::Bytes(&self.0.token)]).await.map(drop)
    }
}

/// A change whose statements all go well, and which the commit refuses.
struct Uncommittable;

impl Operation for Uncommittable {
    type Answer = ();
    const ACCESS: Access = Access::Transaction;

    async fn run(&self, connection: &mut impl Connection) -> Result<(), Fault> {
        connection.execute("CREATE TABLE parents (id INTEGER PRIMARY KEY)", &[]).await?;
        let children = "CREATE TABLE children \
            (parent INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)";
        connection.execute(children, &[]).await?;
        connection.execute("INSERT INTO children VALUES (1)", &[]).await.map(drop)
    }
}

/// Lets the file grow by so many pages and no more.
struct Room(i64);

impl Operation for Room {
    type Answer = ();
    const ACCESS: Access = Access::Statement;

    async fn run(&self, connection: &mut impl Connection) -> Result<(), Fault> {
        let pages = match connection.query("PRAGMA page_count", &[]).await?.pop() {
            Some(mut row) => row.integer()?,
            None => 0,
        };
        let sql: &'static str =
            Box::leak(format!("PRAGMA max_page_count = {}", pages + self.0).into_boxed_str());
        connection.query(sql, &[]).await.map(drop)
    }
}

fn new(number: u32) -> NewSession {
    let mut token = [0; 32];
    token[..4].copy_from_slice(&number.to_be_bytes());
    NewSession {
        token,
        session: Session {
            consumer: "acme".to_owned(),
            realm: "zstack".to_owned(),
            user: format!("user-{number}"),
            csrf: None,
            created: 1,
            expires: 1_000,
            slides_ms: None,
        },
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn opened(path: &Path) -> Store {
    open_within(&StateConfig::Sqlite(path.to_owned()), Duration::from_secs(10)).expect("opens")
}

/// The writer stands still until what is given back is dropped.
fn held(store: &Store) -> (SyncSender<()>, impl Future<Output = Result<(), StoreError>>) {
    let (begun, begins) = sync_channel(1);
    let (end, ends) = sync_channel(1);
    let store = store.clone();
    let mut holding =
        Box::pin(async move { store.run(Hold { begun, end: Mutex::new(ends) }).await });
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(holding.as_mut().poll(&mut context).is_pending(), "it is queued");
    begins.recv().expect("the writer takes it");
    (end, holding)
}

/// How often a log says that something was committed: SQLite's file format, section 4.1, the size of the
/// database after a commit in the header of its last frame.
fn commits(database: &Path) -> usize {
    let log = std::fs::read(database.with_extension("sqlite-wal")).expect("the log is there");
    let word = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().expect("four bytes"));
    let page = usize::try_from(word(8)).expect("a size");
    (32..log.len()).step_by(24 + page).filter(|frame| word(frame + 4) > 0).count()
}

async fn all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = futures.into_iter().map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, done) in waiting.iter_mut().filter(|(_, done)| done.is_none()) {
            match future.as_mut().poll(context) {
                std::task::Poll::Ready(output) => *done = Some(output),
                std::task::Poll::Pending => pending = true,
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    waiting.into_iter().filter_map(|(_, done)| done).collect()
}

#[test]
fn what_waits_is_committed_together() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.sqlite");
    runtime().block_on(async {
        let store = opened(&path);
        let before = commits(&path);
        let (end, held) = held(&store);
        let sessions: Vec<NewSession> = (0..100).map(new).collect();
        let mut adding = Box::pin(all(sessions.iter().map(|one| store.add_session(one)).collect()));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(adding.as_mut().poll(&mut context).is_pending(), "all of them are queued");
        drop(end);
        let (added, _) = tokio::join!(adding, held);
        assert!(added.iter().all(Result::is_ok));
        assert_eq!(commits(&path) - before, 1);
        store.add_session(&new(100)).await.expect("added");
        assert_eq!(commits(&path) - before, 2, "one alone is one more");
    });
}

#[test]
fn what_cannot_be_fails_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.sqlite");
    let memory = open(&StateConfig::Memory).expect("opens");
    for store in [opened(&path), memory] {
        runtime().block_on(async {
            let (end, held) = held(&store);
            let (before, wrong, after) = (new(1), new(2), new(3));
            let adding = async {
                tokio::join!(
                    store.add_session(&before),
                    store.run(Fails(wrong.clone())),
                    store.add_session(&after)
                )
            };
            let mut adding = Box::pin(adding);
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(adding.as_mut().poll(&mut context).is_pending(), "all three are queued");
            drop(end);
            let (added, _) = tokio::join!(adding, held);
            assert!(added.0.is_ok() && added.2.is_ok());
            assert_eq!(added.1.map_err(|error| error.reason()), Err(Reason::Unexpected));
            assert!(store.session(before.token, 2).await.expect("read").is_some());
            assert_eq!(store.session(wrong.token, 2).await.expect("read"), None);
            assert!(store.session(after.token, 2).await.expect("read").is_some());
        });
    }
}

#[test]
fn what_cannot_be_committed_fails_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.sqlite");
    runtime().block_on(async {
        let store = opened(&path);
        let (end, held) = held(&store);
        let (before, after) = (new(1), new(3));
        let mut adding = Box::pin(async {
            tokio::join!(
                store.add_session(&before),
                store.run(Uncommittable),
                store.add_session(&after)
            )
        });
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(adding.as_mut().poll(&mut context).is_pending(), "all three are queued");
        drop(end);
        let (added, _) = tokio::join!(adding, held);
        assert!(added.0.is_ok() && added.2.is_ok());
        assert_eq!(added.1.map_err(|error| error.reason()), Err(Reason::Unexpected));
        assert!(store.session(before.token, 2).await.expect("read").is_some());
        assert!(store.session(after.token, 2).await.expect("read").is_some());
        let tables = tables_of_nobody(&path);
        assert_eq!(tables, 0, "nothing of it is left");
    });
}

/// How many tables there are that no step makes.
fn tables_of_nobody(path: &Path) -> i64 {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name IN ('parents', 'children')";
    rusqlite::Connection::open(path)
        .and_then(|connection| connection.query_row(sql, [], |row| row.get(0)))
        .expect("read")
}

#[test]
fn a_full_queue_is_said_at_once() {
    let store = open(&StateConfig::Memory).expect("opens");
    runtime().block_on(async {
        let (end, held) = held(&store);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let mut queued = Vec::new();
        for _ in 0..bounds::STATE_QUEUE_MAX {
            let mut one = Box::pin(store.remove_session([0; 32]));
            assert!(one.as_mut().poll(&mut context).is_pending());
            queued.push(one);
        }
        let refused = store.remove_session([0; 32]).await.expect_err("there is no room");
        assert_eq!(refused.reason(), Reason::Overloaded);
        drop(end);
        held.await.expect("held");
        for one in queued {
            assert_eq!(one.await.ok(), Some(false), "what was queued is done");
        }
    });
}

#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.sqlite");
    runtime().block_on(async {
        let store = opened(&path);
        store.run(Room(20)).await.expect("set");
        let (mut kept, mut refused) = (Vec::new(), Vec::new());
        // Groups of forty, so that some have members of both kinds.
        for group in 0..100 {
            let sessions: Vec<NewSession> = (0..40).map(|one| new(group * 40 + one)).collect();
            let answers = all(sessions.iter().map(|one| store.add_session(one)).collect()).await;
            for (session, answer) in sessions.into_iter().zip(answers) {
                match answer {
                    Ok(()) => kept.push(session.token),
                    Err(error) => {
                        assert_eq!(error.reason(), Reason::DiskFull, "{error}");
                        assert!(std::error::Error::source(&error).is_some());
                        refused.push(session.token);
                    }
                }
            }
        }
        assert!(kept.len() > 100 && refused.len() > 100, "{} {}", kept.len(), refused.len());
        // Reading, and making room, go on.
        assert!(store.remove_session(kept.remove(0)).await.expect("there is room for less"));
        drop(store);
        let store = opened(&path);
        store.check().await.expect("it is whole");
        for token in kept {
            assert!(store.session(token, 2).await.expect("read").is_some());
        }
        for token in refused {
            assert_eq!(store.session(token, 2).await.expect("read"), None);
        }
    });
}

/// A batch of the crosswalk for which there is no room leaves nothing of itself.
#[test]
fn a_batch_that_a_full_disk_refuses_is_not_there_in_part() {
    use crosswalk::{Kind, Pair, SystemId};

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.sqlite");
    let batch = |batch: u32| -> Vec<Pair> {
        let id = |one: u32| format!("{batch}-{one}");
        let ids = |one| ["arena", "series"].map(|system| SystemId::new(system, id(one)));
        (0..50).map(|one| Pair { kind: Kind::Ticket, ids: ids(one), note: None }).collect()
    };
    runtime().block_on(async {
        let store = opened(&path);
        store.run(Room(40)).await.expect("set");
        let mut kept = 0;
        let mut refused = 0;
        for number in 0..60 {
            match store.link_crosswalk(&batch(number), "test", 1).await {
                Ok(_) => kept += 50,
                Err(error) => {
                    assert_eq!(error.reason(), Reason::DiskFull, "{error}");
                    refused += 1;
                }
            }
        }
        assert!(kept > 0 && refused > 0, "{kept} {refused}");
        drop(store);
        let store = opened(&path);
        store.check().await.expect("it is whole");
        let ids = store.crosswalk_counts().await.expect("read").ids;
        let counts: Vec<u64> = ids.into_iter().map(|(.., count)| count).collect();
        assert_eq!(counts, [kept, kept]);
        store.link_crosswalk(&batch(59), "test", 1).await.expect("there is room again");
    });
}

/// A database that is empty and of today's form.
fn migrated() -> rusqlite::Connection {
    let connection = rusqlite::Connection::open_in_memory().expect("opens");
    for migration in migrations::MIGRATIONS {
        connection.execute_batch(migration.sqlite).expect("runs");
    }
    connection
}

/// What looks for rows. A sweep of sessions at upstreams may read all of them: they are as many as the upstreams.
const SEARCHES: [&str; 17] = [
    sessions::TRIM,
    sessions::FIND,
    sessions::EXTEND,
    sessions::REMOVE,
    sessions::SWEEP,
    jobs::FORGET,
    jobs::EXISTS,
    jobs::COUNT,
    jobs::FINISH,
    jobs::FIND,
    jobs::SWEEP,
    upstreams::FIND,
    upstreams::PUT,
    upstreams::RELEASE,
    limits::FIND,
    limits::FORGET,
    limits::SWEEP,
];

/// SQLite numbers parameters as they come; each connection asserts it for what it prepares.
#[test]
fn every_statement_is_one_of_sqlite() {
    let connection = migrated();
    let others = [
        sessions::ADD,
        jobs::ADD,
        upstreams::LEASE,
        upstreams::SWEEP,
        limits::TAKE_BATCH,
        limits::ADD,
        limits::SWEEP_WRITERS,
    ];
    let crosswalk = crosswalk::searches().into_iter().chain(crosswalk::OTHERS);
    let journal = journal::searches().chain(journal::OTHERS);
    for sql in SEARCHES.into_iter().chain(others).chain(crosswalk).chain(journal) {
        let statement = connection.prepare(sql).expect("is SQL");
        for index in 1..=statement.parameter_count() {
            assert_eq!(
                statement.parameter_name(index),
                Some(format!("${index}").as_str()),
                "{sql}"
            );
        }
    }
}

/// A search that reads a whole table would be slow where there is much in it.
#[test]
fn no_search_reads_a_whole_table() {
    let connection = migrated();
    for sql in SEARCHES.into_iter().chain(crosswalk::searches()).chain(journal::searches()) {
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("is SQL");
        let none = vec![rusqlite::types::Null; plan.parameter_count()];
        let steps: Vec<String> = plan
            .query_map(rusqlite::params_from_iter(none), |row| row.get(3))
            .and_then(Iterator::collect)
            .expect("a plan");
        assert!(!steps.is_empty());
        let whole = steps.iter().find(|step| {
            [
                "SCAN sessions",
                "SCAN jobs",
                "SCAN upstream_sessions",
                "SCAN limit_uses",
                "SCAN own",
                "SCAN theirs",
                "SCAN crosswalk_",
                "SCAN journal USING",
            ]
            .iter()
            .any(|scan| step.starts_with(scan) || **step == "SCAN journal")
        });
        assert_eq!(whole, None, "{sql}\n{steps:#?}");
    }
}
