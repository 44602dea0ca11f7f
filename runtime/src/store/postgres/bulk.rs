//! The rows of processes that are added whole: many of a table in one statement, which has an array for each column.

use std::fmt::Write as _;

use tokio_postgres::types::ToSql;

use super::batch::wakes;
use super::error::Fault;
use super::read::text_of;
use super::server::Session;
use super::write::{Parameter, bytes};
use crate::limits;
use crate::store::search::exit_code;
use crate::store::{Awaiting, Bundle, HistoryEntry, Memo, Record, ReportLine, SavedSnapshot, StatusText};

/// What is added, by tables. The texts stay where they are.
#[derive(Debug, Default)]
pub(super) struct Rows<'b> {
    processes: Vec<Process<'b>>,
    /// Parents, with children that they wait for and that have not ended.
    open: Vec<(i64, i64)>,
    history: Vec<(i64, i64, &'b HistoryEntry)>,
    reports: Vec<(i64, i64, &'b ReportLine)>,
    memos: Vec<(i64, &'b Memo)>,
    snapshots: Vec<(i64, &'b SavedSnapshot)>,
}

#[derive(Debug)]
struct Process<'b> {
    id: i64,
    parent: Option<i64>,
    has_open: bool,
    /// Rows that its history and its report have.
    transitions: usize,
    reports: usize,
    bundle: &'b Bundle,
}

/// How much is kept of the history and the report of a process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    pub(super) history: u64,
    pub(super) reports: u64,
}

impl<'b> Rows<'b> {
    /// A process under its id in the tables, with those of its parent and of its open children.
    pub(super) fn add(&mut self, id: i64, parent: Option<i64>, open: &[i64], bundle: &'b Bundle, kept: Kept) {
        let Bundle { history, report, memos, snapshots, .. } = bundle;
        let history = last(history, kept.history);
        let report = last(report, kept.reports);
        let (transitions, reports) = (history.len(), report.len());
        self.processes.push(Process { id, parent, has_open: !open.is_empty(), transitions, reports, bundle });
        self.open.extend(open.iter().map(|child| (id, *child)));
        self.history.extend((1..).zip(history).map(|(ordinal, entry)| (id, ordinal, entry)));
        self.reports.extend((1..).zip(report).map(|(ordinal, line)| (id, ordinal, line)));
        self.memos.extend(memos.iter().map(|memo| (id, memo)));
        self.snapshots.extend(snapshots.iter().map(|snapshot| (id, snapshot)));
    }

    /// Within a transaction.
    pub(super) async fn insert(&self, session: &Session) -> Result<(), Fault> {
        for some in chunks(&self.processes, |process| size(&process.bundle.record)) {
            insert_processes(session, some).await?;
            insert_checkpoints(session, some).await?;
        }
        for some in chunks(&self.open, |_| 0) {
            Insert::of(some)
                .column("parent", "bigint", |open| open.0)
                .column("child", "bigint", |open| open.1)
                .into(session, "open_child", " ON CONFLICT DO NOTHING")
                .await?;
        }
        for some in chunks(&self.history, |(.., entry)| entry.point.len()) {
            Insert::of(some)
                .column("process", "bigint", |(id, ..)| *id)
                .column("ordinal", "bigint", |(_, ordinal, _)| *ordinal)
                .column("at", "bigint", |(.., entry)| entry.at.as_millis())
                .column("steps", "bigint", |(.., entry)| entry.steps.cast_signed())
                .column("left_state", "text", |(.., entry)| entry.from.as_str())
                .column("entered_state", "text", |(.., entry)| entry.to.as_str())
                .column("point", "bytea", |(.., entry)| entry.point.as_bytes())
                .into(session, "history", "")
                .await?;
        }
        for some in chunks(&self.reports, |(.., line)| line.text.len()) {
            Insert::of(some)
                .column("process", "bigint", |(id, ..)| *id)
                .column("ordinal", "bigint", |(_, ordinal, _)| *ordinal)
                .column("at", "bigint", |(.., line)| line.at.as_millis())
                .column("text", "bytea", |(.., line)| line.text.as_bytes())
                .into(session, "report", "")
                .await?;
        }
        for some in chunks(&self.memos, |(_, memo)| memo.name.len().saturating_add(memo.value.len())) {
            Insert::of(some)
                .column("process", "bigint", |(id, _)| *id)
                .column("step", "bigint", |(_, memo)| memo.step.cast_signed())
                .column("name", "bytea", |(_, memo)| memo.name.as_bytes())
                .column("value", "bytea", |(_, memo)| memo.value.as_bytes())
                .into(session, "memo", "")
                .await?;
        }
        for some in chunks(&self.snapshots, |(_, saved)| size(&saved.record)) {
            Insert::of(some)
                .column("process_id", "bigint", |(id, _)| *id)
                .column("pid", "bytea", |(_, saved)| text_of(&saved.record.pid))
                .column("tag", "bytea", |(_, saved)| saved.tag.as_bytes())
                .column("at", "bigint", |(_, saved)| saved.at.as_millis())
                .column("open_children", "bigint", |(_, saved)| saved.record.open_children.cast_signed())
                .state(|(_, saved)| &saved.record)?
                .into(session, "snapshot", "")
                .await?;
        }
        Ok(())
    }
}

async fn insert_processes(session: &Session, processes: &[Process<'_>]) -> Result<(), Fault> {
    Insert::of(processes)
        .column("id", "bigint", |process| process.id)
        .column("pid", "bytea", |process| text_of(&process.bundle.record.pid))
        .column("key", "bytea", |process| bytes(process.bundle.record.key.as_ref()))
        .column("parent", "bigint", |process| process.parent)
        .column("follows", "boolean", |process| process.bundle.record.follows)
        .column("created_at", "bigint", |process| process.bundle.record.created_at.as_millis())
        .column("inputs", "bytea", |process| process.bundle.record.inputs.as_bytes())
        .column("defaulted", "bytea", |process| bytes(process.bundle.record.defaulted.as_ref()))
        .into(session, "process", "")
        .await
}

/// They are nobody's, as a row is where nothing is said of that.
async fn insert_checkpoints(session: &Session, processes: &[Process<'_>]) -> Result<(), Fault> {
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let exit_code = |record: &Record| exit_code(record.state, record.ended.as_deref());
    Insert::of(processes)
        .column("id", "bigint", |process| process.id)
        .column("transitions", "bigint", |process| count(process.transitions))
        .column("reports", "bigint", |process| count(process.reports))
        .column("parked", "bytea", |process| bytes(process.bundle.record.parked.as_ref()))
        .column("queue", "bytea", |process| process.bundle.placement.queue.as_bytes())
        .column("priority", "integer", |process| process.bundle.placement.priority)
        .column("wakes", "bigint", |process| wakes(&process.bundle.record.awaiting))
        .column("has_open", "boolean", |process| process.has_open)
        .column("exit_code", "integer", |process| exit_code(&process.bundle.record))
        .state(|process| &process.bundle.record)?
        .into(session, "checkpoint", "")
        .await
}

/// A statement that adds some rows to a table.
struct Insert<'r, R> {
    rows: &'r [R],
    names: String,
    arrays: String,
    columns: Vec<Box<dyn ToSql + Sync + Send + 'r>>,
}

impl<'r, R> Insert<'r, R> {
    fn of(rows: &'r [R]) -> Self {
        Self { rows, names: String::new(), arrays: String::new(), columns: Vec::new() }
    }

    fn column<T: ToSql + Sync + Send + 'r>(self, name: &str, kind: &str, of: impl Fn(&'r R) -> T) -> Self {
        let values = self.rows.iter().map(of).collect();
        self.values(name, kind, values)
    }

    fn values<T: ToSql + Sync + Send + 'r>(mut self, name: &str, kind: &str, values: Vec<T>) -> Self {
        let comma = if self.columns.is_empty() { "" } else { ", " };
        self.columns.push(Box::new(values));
        // Writing to a text does not fail.
        let _ = write!(self.names, "{comma}{name}");
        let _ = write!(self.arrays, "{comma}${}::{kind}[]", self.columns.len());
        self
    }

    /// What of a process changes at a boundary: the columns that a checkpoint and a snapshot have alike.
    fn state(self, of: impl Fn(&'r R) -> &'r Record) -> Result<Self, Fault> {
        let records: Vec<&'r Record> = self.rows.iter().map(of).collect();
        let status = records.iter().map(|record| json(&record.status, record.status == StatusText::default()));
        let status = status.collect::<Result<Vec<_>, Fault>>()?;
        let awaiting = records.iter().map(|record| json(&record.awaiting, Awaiting::is_empty(&record.awaiting)));
        let awaiting = awaiting.collect::<Result<Vec<_>, Fault>>()?;
        let listeners = |record: &'r Record| record.listeners.as_deref().unwrap_or_default().as_bytes();
        Ok(self
            .values("state", "text", each(&records, |record| record.state.as_str()))
            .values("paused", "boolean", each(&records, |record| record.paused))
            .values("steps", "bigint", each(&records, |record| record.steps.cast_signed()))
            .values("updated_at", "bigint", each(&records, |record| record.updated_at.as_millis()))
            .values("version", "bigint", each(&records, |record| i64::from(record.envelope.version)))
            .values("format", "bigint", each(&records, |record| i64::from(record.envelope.format)))
            .values("process", "bytea", each(&records, |record| record.envelope.process.as_bytes()))
            .values("fingerprint", "bytea", each(&records, |record| record.envelope.fingerprint.as_bytes()))
            .values("status", "bytea", status)
            .values("awaiting", "bytea", awaiting)
            .values("listeners", "bytea", each(&records, listeners))
            .values("position", "bytea", each(&records, |record| record.position.as_bytes()))
            .values("context", "bytea", each(&records, |record| record.context.as_bytes()))
            .values("outputs", "bytea", each(&records, |record| record.outputs.as_bytes()))
            .values("ended", "bytea", each(&records, |record| bytes(record.ended.as_ref()))))
    }

    async fn into(self, session: &Session, table: &str, known: &str) -> Result<(), Fault> {
        let Self { names, arrays, columns, .. } = &self;
        let sql = format!("INSERT INTO {table} ({names}) SELECT * FROM unnest({arrays}){known}");
        let parameters: Vec<Parameter<'_>> = columns.iter().map(|column| &**column as Parameter<'_>).collect();
        session.query(&sql, &parameters).await.map(drop)
    }
}

fn each<'r, T>(records: &[&'r Record], of: impl Fn(&'r Record) -> T) -> Vec<T> {
    records.iter().copied().map(of).collect()
}

/// As it stands in a row: what is empty is an empty text.
fn json(value: &impl serde::Serialize, is_empty: bool) -> Result<Vec<u8>, Fault> {
    if is_empty { Ok(Vec::new()) } else { serde_json::to_vec(value).map_err(Fault::damaged) }
}

/// Rows that are sent together: a batch at most, and one at least, however large it is.
fn chunks<T>(rows: &[T], size: impl Fn(&T) -> usize) -> impl Iterator<Item = &[T]> {
    let mut left = rows;
    std::iter::from_fn(move || {
        let mut bytes = 0_usize;
        let fits = left.iter().take(limits::POSTGRES_BATCH).take_while(|row| {
            bytes = bytes.saturating_add(size(row));
            bytes <= limits::POSTGRES_BATCH_BYTES
        });
        let (some, rest) = left.split_at(fits.count().max(1).min(left.len()));
        left = rest;
        (!some.is_empty()).then_some(some)
    })
}

/// Bytes of the texts of a process that have no bound of their own.
fn size(record: &Record) -> usize {
    let Record { key, position, context, inputs, defaulted, outputs, listeners, ended, parked, .. } = record;
    let optional = [key, defaulted, listeners, ended, parked].into_iter().flatten();
    let awaited = record.awaiting.children.iter().map(|child| child.pid.to_string().len());
    let texts = [position, context, outputs].into_iter().chain(optional).map(String::len);
    texts.chain(awaited).fold(inputs.len(), usize::saturating_add)
}

/// As many as are kept: the last ones.
fn last<T>(rows: &[T], most: u64) -> &[T] {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    &rows[rows.len().saturating_sub(most)..]
}

#[cfg(test)]
mod tests {
    use super::chunks;
    use crate::limits::{POSTGRES_BATCH, POSTGRES_BATCH_BYTES};

    #[test]
    fn no_more_is_sent_at_once_than_fits() {
        let lengths = |sizes: &[usize]| chunks(sizes, |size| *size).map(<[usize]>::len).collect::<Vec<_>>();
        assert_eq!(lengths(&[]), [0; 0]);
        assert_eq!(lengths(&vec![0; 2 * POSTGRES_BATCH + 1]), [POSTGRES_BATCH, POSTGRES_BATCH, 1]);
        let most = POSTGRES_BATCH_BYTES;
        assert_eq!(lengths(&[1, most - 1, 1, most + 1, usize::MAX, 1, 1]), [2, 1, 1, 1, 2]);
    }
}
