//! Through a file of SQLite: the limit is the same rows through SQLite itself, in two transactions for each batch, as sender and receiver
//! are two.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use procession::transport::SqliteTransport;
use rusqlite::{Connection, params};

use super::{WARM_UP, rate, text, through};
use crate::measure::{Bench, Sample, tokio};
use crate::report::Row;

/// Items that a transaction of the limit writes, or reads and removes: about as many as wait at a time for ours.
const BATCH: usize = 100;

pub(super) fn rows(bench: &Bench) -> Vec<Row> {
    let items = bench.count(20_000, 1_000);
    let folder = tempfile::tempdir_in(bench.directory()).expect("a folder");
    let files = Cell::new(0);
    let path = || {
        files.set(files.get() + 1);
        folder.path().join(files.get().to_string())
    };
    let case = bench.case(|| tokio().block_on(ours(&path(), items)), || limit(&path(), items));
    vec![Row::new("W8", "SQLite", "items/s", "–", case)]
}

fn id(number: usize) -> i64 {
    i64::try_from(number).expect("small")
}

async fn ours(path: &Path, items: usize) -> Sample {
    let transport = Arc::new(SqliteTransport::open(path).expect("a file"));
    let (from, to) = (Arc::clone(&transport), transport);
    // As a task: the thread that blocks on it has no place in the runtime.
    tokio::spawn(through(from, to, items, true)).await.expect("it ran")
}

fn limit(path: &Path, items: usize) -> Sample {
    let connection = Connection::open(path).expect("a file");
    let set = || {
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", -16_384)?;
        connection.execute_batch("CREATE TABLE item (id INTEGER PRIMARY KEY, envelope BLOB NOT NULL)")
    };
    set().expect("a table");
    let run = |sql: &str| connection.prepare_cached(sql).and_then(|mut sql| sql.execute([])).expect("it is done");
    let mut start = Instant::now();
    for first in (0..WARM_UP + items).step_by(BATCH) {
        if first == WARM_UP {
            start = Instant::now();
        }
        run("BEGIN IMMEDIATE");
        for number in first..first + BATCH {
            let row = connection.prepare_cached("INSERT INTO item (id, envelope) VALUES (?1, ?2)");
            row.and_then(|mut row| row.execute(params![id(number), text(number).as_bytes()])).expect("a row");
        }
        run("COMMIT");
        run("BEGIN IMMEDIATE");
        for number in first..first + BATCH {
            let row = connection.prepare_cached("SELECT envelope FROM item WHERE id = ?1");
            let body: Vec<u8> = row.and_then(|mut row| row.query_row([id(number)], |row| row.get(0))).expect("the row");
            assert_eq!(body, text(number).as_bytes());
            let row = connection.prepare_cached("DELETE FROM item WHERE id = ?1");
            row.and_then(|mut row| row.execute([id(number)])).expect("removed");
        }
        run("COMMIT");
    }
    rate(items, start.elapsed())
}
