//! What is told of one process, told of all that are meant.

use procession_runtime::store::Record;
use serde_json::{Value, json};

use super::config::Opened;
use super::fault::Fault;
use super::print::{Array, Printer, clean, note, plain};
use super::select::{self, Selected};

/// What is told of a process.
pub(super) enum Told {
    /// To a program.
    Document(Value),
    /// To people: whole lines.
    Words(String),
}

/// Tells of the processes that are meant, one after the other: no more than one of them is kept.
///
/// Of one that is named by its id nothing else is told. Of others a program reads an array, in which what is told has `id` and
/// `process`, or stands beside these under a name; people read below a line that names each.
pub(super) async fn each(
    opened: &Opened,
    printer: Printer,
    selected: &Selected,
    name: Option<&str>,
    tell: impl AsyncFn(&Record) -> Result<Told, Fault>,
) -> Result<(), Fault> {
    if let Some(id) = selected.id() {
        return match tell(&select::record(opened, id).await?).await? {
            Told::Document(document) => printer.json(&document),
            Told::Words(words) => printer.text(&plain(&words)),
        };
    }
    let mut array = Array::new(printer);
    let mut between = "";
    for pid in select::pids(opened, printer, selected).await? {
        let Some(record) = opened.store.load(&pid).await? else {
            note(&format!("process `{pid}` was deleted meanwhile"));
            continue;
        };
        let process = &record.envelope.process;
        match tell(&record).await? {
            Told::Document(document) => array.add(&match name {
                Some(name) => json!({"id": pid, "process": process, name: document}),
                None => document,
            })?,
            Told::Words(words) => {
                let head = clean(&format!("{process} {pid}:"));
                printer.text(&format!("{between}{head}\n{}", plain(&words)))?;
                between = "\n";
            }
        }
    }
    if printer.json { array.end() } else { Ok(()) }
}
