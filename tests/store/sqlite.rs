//! What SQLite has of its own: a file that others may have, damage, or read, and a process that is killed.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use latimer::config::StateConfig;
use latimer::store::{self, Reason, Store, StoreError};
use rusqlite::Connection;

use crate::{
    Fresh, answer, behaviours, crosswalk, hash, id, job, journal, model, open, runtime, session,
    session_with,
};

/// A file for each store.
struct Files(tempfile::TempDir, u32);

impl Fresh for Files {
    fn store(&mut self) -> Store {
        self.1 += 1;
        open(&file(&self.0.path().join(format!("{}.sqlite", self.1))))
    }
}

struct Memory;

impl Fresh for Memory {
    fn store(&mut self) -> Store {
        open(&StateConfig::Memory)
    }
}

fn file(path: &Path) -> StateConfig {
    StateConfig::Sqlite(path.to_owned())
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn refused(path: &Path) -> StoreError {
    store::open_within(&file(path), Duration::ZERO).expect_err("it is not opened")
}

#[test]
fn a_file_keeps_what_it_is_given() {
    let mut files = Files(folder(), 0);
    behaviours::hold(&mut files);
    model::hold(&mut files, 64);
    crosswalk::hold(&mut files, 64);
    journal::hold(&mut files, 64);
}

#[test]
fn memory_keeps_what_it_is_given() {
    behaviours::hold(&mut Memory);
    model::hold(&mut Memory, 256);
    crosswalk::hold(&mut Memory, 512);
    journal::hold(&mut Memory, 512);
}

#[test]
fn a_file_is_there_the_next_time() {
    let folder = folder();
    let path = folder.path().join("a.sqlite");
    let runtime = runtime();
    let store = open(&file(&path));
    runtime.block_on(async {
        store.add_session(&session(1)).await.unwrap();
        store.add_job(&job(1)).await.unwrap();
        store.finish_job("acme", id(1), &answer(200), 3000).await.unwrap();
        store.close().await;
    });
    let left: Vec<String> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".lock"))
        .collect();
    assert_eq!(left, ["a.sqlite"], "one file that can be copied");
    let store = open(&file(&path));
    runtime.block_on(async {
        assert!(store.session(hash(1), 1500).await.unwrap().is_some());
        let job = store.job("acme", id(1), 1500).await.unwrap().unwrap();
        assert_eq!(job.answer, Some(answer(200)));
    });
}

#[test]
fn nobody_else_may_read_it() {
    let folder = folder();
    let path = folder.path().join("a.sqlite");
    let store = open(&file(&path));
    runtime().block_on(store.add_session(&session(1))).unwrap();
    let entries: Vec<PathBuf> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(entries.len(), 4, "the file, its log, the log's index, the lock: {entries:?}");
    for path in entries {
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
    }
}

#[test]
fn one_gateway_has_a_file() {
    let folder = folder();
    let path = folder.path().join("a.sqlite");
    let first = open(&file(&path));
    let error = refused(&path);
    assert_eq!(error.reason(), Reason::InUse { process: Some(std::process::id()) });
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    // By another name it is the same file.
    let other = folder.path().join("other.sqlite");
    std::os::unix::fs::symlink(&path, &other).unwrap();
    assert!(matches!(refused(&other).reason(), Reason::InUse { .. }));
    // One that comes while the first one ends gets it.
    let waiting = std::thread::spawn({
        let config = file(&path);
        move || open(&config)
    });
    runtime().block_on(async {
        first.add_session(&session(1)).await.unwrap();
        first.close().await;
    });
    let second = waiting.join().unwrap();
    assert!(runtime().block_on(second.session(hash(1), 1500)).unwrap().is_some());
}

#[test]
fn what_is_not_ours_is_refused() {
    let folder = folder();
    let path = folder.path().join("newer.sqlite");
    runtime().block_on(open(&file(&path)).close());
    Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    let error = refused(&path);
    assert!(matches!(error.reason(), Reason::Newer { found: 99, .. }), "{error:?}");

    let path = folder.path().join("theirs.sqlite");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
    let before = fs::read(&path).unwrap();
    assert_eq!(refused(&path).reason(), Reason::Foreign);
    assert_eq!(fs::read(&path).unwrap(), before, "nothing is changed");

    let path = folder.path().join("marked.sqlite");
    Connection::open(&path).unwrap().execute_batch("PRAGMA application_id = 7").unwrap();
    assert_eq!(refused(&path).reason(), Reason::Foreign);
}

#[test]
fn damage_is_found() {
    let folder = folder();
    let path = folder.path().join("text.sqlite");
    fs::write(&path, "This is a text and no database. ".repeat(200)).unwrap();
    assert_eq!(refused(&path).reason(), Reason::Corrupt);

    // A page in the middle that is overwritten is found by who looks.
    let path = folder.path().join("a.sqlite");
    let runtime = runtime();
    let store = open(&file(&path));
    runtime.block_on(async {
        let sessions: Vec<_> = (0..2000)
            .map(|number| session_with(number, |one| one.user = format!("user-{number}")))
            .collect();
        crate::all(sessions.iter().map(|one| store.add_session(one)).collect()).await;
        store.check().await.unwrap();
        store.close().await;
    });
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0x55);
    fs::write(&path, bytes).unwrap();
    let store = open(&file(&path));
    let error = runtime.block_on(store.check()).expect_err("it is damaged");
    assert_eq!(error.reason(), Reason::Corrupt);
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn a_place_that_may_not_be_written_is_said() {
    let folder = folder();
    assert_eq!(refused(&folder.path().join("no/such/a.sqlite")).reason(), Reason::NotPermitted);
    assert_eq!(refused(folder.path()).reason(), Reason::NotPermitted, "it is a folder");
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
    // Root may write anywhere but in what the system makes up.
    let is_root = fs::File::create(closed.join("probe")).is_ok();
    let closed = if is_root { PathBuf::from("/sys") } else { closed };
    let error = refused(&closed.join("latimer.sqlite"));
    assert_eq!(error.reason(), Reason::NotPermitted, "{error:?}");
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn another_programs_lock_is_waited_for_and_then_said() {
    let folder = folder();
    let path = folder.path().join("a.sqlite");
    let store = open(&file(&path));
    let runtime = runtime();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begun = Instant::now();
    let error = runtime.block_on(store.add_session(&session(1))).expect_err("it is locked");
    assert_eq!(error.reason(), Reason::Locked, "{error:?}");
    let waited = begun.elapsed();
    assert!(waited >= latimer::bounds::STATE_TIMEOUT / 2 && waited < Duration::from_secs(30));
    // Reading goes on, and so does writing after that.
    assert_eq!(runtime.block_on(store.session(hash(1), 1500)).unwrap(), None);
    other.execute_batch("ROLLBACK").unwrap();
    runtime.block_on(store.add_session(&session(1))).unwrap();
}

/// The test that has a child write, by its own name.
const NAME: &str = "sqlite::a_process_that_is_killed_loses_nothing_that_was_acknowledged";
/// Where the writing child finds its file.
const FILE: &str = "LATIMER_TEST_STATE_FILE";

/// What the test below starts of itself, and kills.
fn write_until_killed(path: &Path) {
    let store = open(&file(path));
    runtime().block_on(async {
        for round in 0.. {
            let sessions: Vec<_> = (0..20)
                .map(|one| {
                    let number = round * 20 + one;
                    session_with(number, |one| one.user = format!("user-{number}"))
                })
                .collect();
            let answers = crate::all(sessions.iter().map(|one| store.add_session(one)).collect());
            for (number, answer) in (round * 20..).zip(answers.await) {
                answer.unwrap();
                // To whoever has it killed; one line at a time, so that none is half.
                std::io::stderr().write_all(format!("kept {number}\n").as_bytes()).unwrap();
            }
        }
    });
}

#[test]
fn a_process_that_is_killed_loses_nothing_that_was_acknowledged() {
    if let Some(path) = std::env::var_os(FILE) {
        return write_until_killed(Path::new(&path));
    }
    let folder = folder();
    let path = folder.path().join("a.sqlite");
    let mut last = 0;
    for lines in [1, 37, 200, 555] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env(FILE, &path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let told = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let mut told = told.filter_map(|line| line.strip_prefix("kept ")?.parse::<u32>().ok());
        let mut kept: Vec<u32> = told.by_ref().take(lines).collect();
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had told before it was dead counts too.
        kept.extend(told);
        assert!(kept.len() >= lines, "{kept:?}");
        last = last.max(kept.len());
        let store = open(&file(&path));
        runtime().block_on(async {
            store.check().await.unwrap();
            for number in kept {
                assert!(store.session(hash(number), 1500).await.unwrap().is_some(), "{number}");
            }
            store.close().await;
        });
    }
    assert!(last >= 555);
}
