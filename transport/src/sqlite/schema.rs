//! The file: how it is opened, recognised, made and brought up to date.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::SqliteTransportOptions;
use super::error::{code, engine, is_busy, refused};
use crate::TransportResult;

/// In the header of every file of ours, for `file` and for the check that a database is no one else's: `PrcC`.
const APPLICATION_ID: i32 = 0x5072_6343;

/// One script per version of the file, the first from nothing. Only ever append: a released one is fixed.
const MIGRATIONS: &[&str] = &[include_str!("v1.sql")];

const OPEN: &str = "opening a file of channels";

/// Opens a file for writing, and makes it where there is none.
pub(super) fn open(path: &Path, options: &SqliteTransportOptions) -> TransportResult<Connection> {
    let failed = |error: rusqlite::Error| match code(&error) {
        Some(ErrorCode::NotADatabase) => refused(OPEN, path, "it is no database"),
        _ => engine(OPEN, path, error),
    };
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(options.busy).map_err(failed)?;
    let (application, version, tables) = recognise(&connection).map_err(failed)?;
    let version = match (application, usize::try_from(version), tables) {
        (0, Ok(0), 0) => 0,
        (APPLICATION_ID, Ok(version), _) if (1..=MIGRATIONS.len()).contains(&version) => version,
        (APPLICATION_ID, Ok(version), _) if version > MIGRATIONS.len() => {
            let reason = format!("its version is {version}, and {} is understood", MIGRATIONS.len());
            return Err(refused(OPEN, path, &reason));
        }
        _ => return Err(refused(OPEN, path, "it is a database of something else")),
    };
    // SQLite itself falls back to reading where the system refuses to write.
    if connection.is_readonly("main").map_err(failed)? {
        return Err(refused(OPEN, path, "it cannot be written"));
    }
    use_wal(&connection, options.busy).map_err(failed)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    connection.pragma_update(None, "cache_size", -16_384).map_err(failed)?;
    if version < MIGRATIONS.len() {
        migrate(&mut connection).map_err(failed)?;
    }
    if let Some(most) = options.size_max {
        let page: u32 = connection.pragma_query_value(None, "page_size", |row| row.get(0)).map_err(failed)?;
        let pages = i64::try_from(most / u64::from(page.max(1))).unwrap_or(i64::MAX);
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).map_err(failed)?;
    }
    // The writer waits by itself.
    connection.busy_timeout(Duration::ZERO).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Whose it is, of which version, and with how many tables.
fn recognise(connection: &Connection) -> rusqlite::Result<(i32, i64, i64)> {
    // All of one moment: another OS process may be making the file.
    let connection = connection.unchecked_transaction()?;
    let application = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok((application, version, tables))
}

/// SQLite does not wait by itself for the lock that the change of the journal takes, so two that make a file at the
/// same time would meet here.
fn use_wal(connection: &Connection, busy: Duration) -> rusqlite::Result<()> {
    let start = Instant::now();
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())) {
            Err(error) if is_busy(&error) && start.elapsed() < busy => std::thread::sleep(Duration::from_millis(5)),
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
