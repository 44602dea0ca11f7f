//! The picture of a process: of its outline, and of a run.

use std::io::{self, IsTerminal};
use std::time::SystemTime;

use procession_runtime::clock::Timestamp;
use procession_runtime::picture::{Picture, Run};
use procession_runtime::store::Record;
use serde_json::json;

use super::Register;
use super::arguments::{Format, Graph};
use super::config::Opened;
use super::fault::{Fault, Status};
use super::inspect::registered;
use super::live::unattended;
use super::ports;
use super::print::Printer;
use super::select::{Meant, not_found, record};

/// As wide where nobody says how wide the terminal is.
const WIDTH: usize = 100;

pub(super) fn draw(picture: &Picture, printer: Printer, format: Format) -> Result<(), Fault> {
    let terminal = io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
    let (name, picture) = match format {
        Format::Text => {
            let colour = terminal.is_some() && std::env::var_os("NO_COLOR").is_none();
            ("text", picture.text(terminal.map_or(WIDTH, |(width, _)| width.0.into()), colour && !printer.json))
        }
        Format::Mermaid => ("mermaid", picture.mermaid()),
        Format::Svg => ("svg", picture.svg()),
    };
    if printer.json { printer.json(&json!({"format": name, "picture": picture})) } else { printer.text(&picture) }
}

/// Of a process of this binary; none where none has the name.
pub(super) async fn of_process(register: &Register, name: &str) -> Result<Option<Picture>, Fault> {
    let runtime = registered(register).await?;
    Ok(ports::named(&runtime, name).ok().and_then(|name| runtime.picture(&name).ok()))
}

/// Of a run. A binary that does not have the process draws the steps that were run.
pub(super) async fn of_run(register: &Register, opened: &Opened, graph: &Graph) -> Result<Picture, Fault> {
    let record = match (&graph.subject, &graph.filter) {
        (_, Some(filter)) => {
            let pid = Meant::Like(filter).pid(opened).await?;
            opened.store.load(&pid).await?.ok_or_else(|| not_found(opened, &pid.to_string()))?
        }
        (subject, None) => named(opened, subject.as_deref().unwrap_or_default()).await?,
    };
    let history = opened.store.history(&record.pid).await?;
    let mut run = Run::new(&record, &history).as_of(Timestamp::from(SystemTime::now()));
    if let Some(why) = unattended(opened, &record.pid).await? {
        run = run.unattended(&why);
    }
    let name = &record.envelope.process;
    let known = of_process(register, name).await?;
    Ok(known.unwrap_or_else(|| Picture::of_steps(name, [])).with_run(&run))
}

async fn named(opened: &Opened, subject: &str) -> Result<Record, Fault> {
    record(opened, subject).await.map_err(|fault| match fault.status {
        Status::NotFound => {
            let what = format!("no process of this binary and of {} is `{subject}`", opened.address);
            Fault::new(Status::NotFound, what).next("`spec` lists those of the binary, `list` those of the store")
        }
        _ => fault,
    })
}
