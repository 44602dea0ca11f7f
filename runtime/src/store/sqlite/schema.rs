//! The file: how it is opened, recognised, made and brought up to date.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::error::engine;
use super::{Durability, SqliteOptions};
use crate::store::{StoreError, StoreErrorKind, StoreResult};

/// In the header of every file of ours, for `file` and for the check that a database is no one else's: "Prcs".
const APPLICATION_ID: i32 = 0x5072_6373;

/// One script per version of the file, the first from nothing. Only ever append: a released one is fixed.
const MIGRATIONS: &[&str] = &[
    include_str!("v1.sql"),
    include_str!("v2.sql"),
    include_str!("v3.sql"),
    include_str!("v4.sql"),
    include_str!("v5.sql"),
    include_str!("v6.sql"),
    include_str!("v7.sql"),
    include_str!("v8.sql"),
];

/// Opens the file for writing, or for reading where it cannot be written.
pub(super) fn open(path: &Path, options: &SqliteOptions) -> StoreResult<(Connection, bool)> {
    let failed = |error| engine("open", path.display(), error);
    let mut flags = OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags |= if options.read_only {
        OpenFlags::SQLITE_OPEN_READ_ONLY
    } else {
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
    };
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(options.busy).map_err(failed)?;
    let version = recognise(&connection, path)?;
    // SQLite itself falls back to reading where the system refuses to write.
    let read_only = connection.is_readonly("main").map_err(failed)?;
    if read_only {
        if version < MIGRATIONS.len() {
            return Err(StoreError::new(StoreErrorKind::ReadOnly, "bring up to date", path.display()));
        }
        return Ok((connection, true));
    }
    use_wal(&connection, options.busy).map_err(failed)?;
    let synchronous = match options.durability {
        Durability::Full => "FULL",
        Durability::Normal => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous).map_err(failed)?;
    connection.pragma_update(None, "cache_size", -32_768).map_err(failed)?;
    if version < MIGRATIONS.len() {
        migrate(&mut connection).map_err(failed)?;
    }
    if let Some(most) = options.size_max {
        let page: u32 = connection.pragma_query_value(None, "page_size", |row| row.get(0)).map_err(failed)?;
        let pages = i64::try_from(most / u64::from(page.max(1))).unwrap_or(i64::MAX);
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).map_err(failed)?;
    }
    Ok((connection, false))
}

/// Opens a file that is known to be a store, to read it while others write.
pub(super) fn open_reader(path: &Path, options: &SqliteOptions, read_only: bool) -> rusqlite::Result<Connection> {
    let access = if read_only { OpenFlags::SQLITE_OPEN_READ_ONLY } else { OpenFlags::SQLITE_OPEN_READ_WRITE };
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(options.busy)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// The version of a store's file; 0 for a file without anything. Anyone else's file is refused, and left as it is.
fn recognise(connection: &Connection, path: &Path) -> StoreResult<usize> {
    let read = |connection: &Connection| -> rusqlite::Result<(i32, i64, i64)> {
        // All of one moment: another OS process may be making the file.
        let connection = connection.unchecked_transaction()?;
        let application = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((application, version, tables))
    };
    let refuse = |kind| Err(StoreError::new(kind, "open", path.display()));
    match read(connection).map_err(|error| engine("open", path.display(), error))? {
        (0, 0, 0) => Ok(0),
        (APPLICATION_ID, version, _) => match usize::try_from(version) {
            Ok(version) if (1..=MIGRATIONS.len()).contains(&version) => Ok(version),
            Ok(0) | Err(_) => refuse(StoreErrorKind::Corrupt),
            Ok(_) => refuse(StoreErrorKind::NewerFormat),
        },
        _ => refuse(StoreErrorKind::Corrupt),
    }
}

/// SQLite does not wait by itself for the lock that the change of the journal takes, so two that make a file at the
/// same time would meet here.
fn use_wal(connection: &Connection, busy: Duration) -> rusqlite::Result<()> {
    let start = Instant::now();
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())) {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && start.elapsed() < busy => {
                std::thread::sleep(Duration::from_millis(5));
            }
            result => return result,
        }
    }
}

/// Brings a file up to date, each version in one transaction.
fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    for (index, script) in MIGRATIONS.iter().enumerate() {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Looked at under the lock: another OS process may have been faster.
        let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if usize::try_from(version).unwrap_or(usize::MAX) > index {
            continue;
        }
        transaction.execute_batch(script)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", i64::try_from(index + 1).unwrap_or(i64::MAX))?;
        transaction.commit()?;
    }
    Ok(())
}
