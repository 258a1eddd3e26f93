//! The file: who may have it, whose it is, and its form.
//!
//! One gateway has the file at a time, though SQLite would let several: what one of them keeps of it in
//! memory would not be so any more when another writes. A lock on a file beside it says who. It is not on the
//! file itself, where SQLite has locks of its own that opening it once more would lose. Beside the gateway others
//! look, and change what it follows; between them SQLite's own locks decide.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::OpenFlags;

use super::connection::{SqliteConnection, fault};
use crate::bounds;
use crate::store::error::{Fault, Reason};
use crate::store::migrations::{MIGRATIONS, known};

/// "Latm", which says that a file is ours.
const APPLICATION_ID: i64 = 0x4c61_746d;
/// Time between two looks at a lock that somebody else has.
const LOCK_INTERVAL: Duration = Duration::from_millis(50);

/// A file that is ours alone.
pub(super) struct Opened {
    pub(super) writer: SqliteConnection,
    pub(super) reader: SqliteConnection,
    pub(super) lock: Lock,
}

/// Held for as long as it is there; the system lets go of it when a process dies.
pub(super) struct Lock {
    _file: File,
}

/// Opens a file, or makes it.
pub(super) fn open(path: &Path, lock_wait: Duration) -> Result<Opened, Fault> {
    create(path)?;
    // By whatever way it is reached, it is one file with one lock.
    let path = path.canonicalize().map_err(not_permitted)?;
    let lock = Lock::take(&path, lock_wait)?;
    let writer = connect(&path)?;
    identify(&writer)?;
    // Every commit is on the disk before anybody is told of it.
    writer.batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")?;
    migrate(&writer)?;
    let reader = connect(&path)?;
    reader.batch("PRAGMA query_only = ON")?;
    Ok(Opened { writer: SqliteConnection::new(writer.0), reader, lock })
}

/// Two connections, whoever has the file: the first one only looks, and so does the other one if it does not change
/// anything. None if the file's form is not today's.
pub(super) fn open_beside(
    path: &Path,
    changes: bool,
) -> Result<Option<[SqliteConnection; 2]>, Fault> {
    let connection = connect(path)?;
    identify(&connection)?;
    if number(&connection, "PRAGMA user_version")? < known() {
        return Ok(None);
    }
    let connections = [connection, connect(path)?];
    let [reader, writer] = &connections;
    reader.batch("PRAGMA query_only = ON")?;
    writer.batch(if changes { "PRAGMA synchronous = FULL" } else { "PRAGMA query_only = ON" })?;
    Ok(Some(connections))
}

/// A database of nobody else's that goes with its connection.
pub(super) fn in_memory() -> Result<SqliteConnection, Fault> {
    alone(rusqlite::Connection::open_in_memory())
}

/// The same on the disk, in a file without a name.
pub(super) fn temporary() -> Result<SqliteConnection, Fault> {
    alone(rusqlite::Connection::open(""))
}

fn alone(opened: rusqlite::Result<rusqlite::Connection>) -> Result<SqliteConnection, Fault> {
    let connection = SqliteConnection::new(opened.map_err(fault)?);
    connection.batch("PRAGMA foreign_keys = ON")?;
    migrate(&connection)?;
    Ok(connection)
}

/// Makes the file for its owner alone, if it is not there. SQLite gives its log the same rights.
fn create(path: &Path) -> Result<(), Fault> {
    match private().create_new(true).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(not_permitted(error)),
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn not_permitted(error: io::Error) -> Fault {
    let reason = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Reason::DiskFull,
        _ => Reason::NotPermitted,
    };
    Fault::caused(reason, error)
}

fn connect(path: &Path) -> Result<SqliteConnection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = rusqlite::Connection::open_with_flags(path, flags).map_err(fault)?;
    connection.busy_timeout(bounds::STATE_TIMEOUT).map_err(fault)?;
    let connection = SqliteConnection::new(connection);
    connection.batch("PRAGMA foreign_keys = ON")?;
    Ok(connection)
}

fn number(connection: &SqliteConnection, sql: &str) -> Result<i64, Fault> {
    connection.0.query_row(sql, [], |row| row.get(0)).map_err(fault)
}

/// Refuses what is not ours, before anything is changed.
fn identify(connection: &SqliteConnection) -> Result<(), Fault> {
    let application = number(connection, "PRAGMA application_id")?;
    let tables = number(connection, "SELECT count(*) FROM sqlite_schema")?;
    match (application, tables) {
        (APPLICATION_ID, _) | (0, 0) => Ok(()),
        _ => Err(Fault::new(Reason::Foreign)),
    }?;
    let found = number(connection, "PRAGMA user_version")?;
    if found > known() { Err(Fault::new(Reason::Newer { found, known: known() })) } else { Ok(()) }
}

/// Takes the steps that are missing, each with its number in one transaction.
fn migrate(connection: &SqliteConnection) -> Result<(), Fault> {
    let found = number(connection, "PRAGMA user_version")?;
    let taken = usize::try_from(found).map_err(|_| Fault::corrupt())?;
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(taken) {
        let step = format!(
            "BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION_ID}; {} PRAGMA user_version = {}; COMMIT",
            migration.sqlite,
            index + 1,
        );
        if let Err(fault) = connection.batch(&step) {
            if !connection.0.is_autocommit() {
                connection.batch("ROLLBACK")?;
            }
            return Err(fault);
        }
    }
    Ok(())
}

impl Lock {
    /// Takes the lock of a file: at once, or when the gateway that has it ends in time.
    fn take(path: &Path, wait: Duration) -> Result<Self, Fault> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".lock");
        let beside = PathBuf::from(beside);
        let mut file =
            private().create(true).truncate(false).open(&beside).map_err(not_permitted)?;
        let end = Instant::now() + wait;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(not_permitted(error)),
                Err(TryLockError::WouldBlock) => {
                    let process = process(&mut file);
                    if Instant::now() >= end {
                        return Err(Fault::new(Reason::InUse { process }));
                    }
                    if !told {
                        tracing::warn!(file = %path.display(), process, "another gateway uses the state: waiting for it to end");
                        told = true;
                    }
                    std::thread::park_timeout(LOCK_INTERVAL);
                }
            }
        }
        // Only for the message above: without it the lock holds all the same.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}

/// Who has the lock, as it has said itself.
fn process(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    // More digits than any process has are not read.
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
