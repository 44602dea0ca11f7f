//! Processes from one store to another: a line of JSON for each, whole, below a line that says what the file is.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use clap::Args;
use procession_runtime::message::Host;
use procession_runtime::store::{Bundle, Creation, Epoch, Record, StoreErrorKind, Worker};
use procession_runtime::{ProcessId, limits};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::config::Opened;
use super::control::agree;
use super::fault::{Fault, Status};
use super::print::{Printer, counted, note, unwritable};
use super::select::{self, Selected};

/// The version of the form of the file.
const FORMAT: u32 = 1;

/// Bytes of a line: more than a process has that anyone would move by hand.
const LINE: u64 = 64 << 20;

/// Bytes of a file: all of it is looked at before any of it is written, and it is kept in memory meanwhile.
const WHOLE: usize = 1 << 30;

/// So many faults are told.
const TOLD: usize = 100;

/// How long others wait for the end of an import that was cut off.
const LEASE: Duration = Duration::from_secs(60);

/// What is written.
#[derive(Debug, Clone, Args)]
pub(super) struct Export {
    #[command(flatten)]
    selected: Selected,
}

/// What is read.
#[derive(Debug, Clone, Args)]
pub(super) struct Import {
    /// What `export` wrote; `-` is the standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Says what it would read, and does nothing
    #[arg(long)]
    dry_run: bool,
    /// Does not ask before it adds more than one
    #[arg(long, short)]
    yes: bool,
}

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    /// Tells the file from others.
    procession: String,
    format: u32,
    /// Of the library that wrote it.
    version: String,
}

const EXPORT: &str = "export";

/// Writes parents before their children, as they are wanted.
pub(super) async fn export(opened: &Opened, printer: Printer, export: &Export) -> Result<(), Fault> {
    let chosen = select::chosen(opened, &export.selected, false).await?;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    line(printer, &Header { procession: EXPORT.to_owned(), format: FORMAT, version })?;
    let mut unfinished = 0;
    for summary in &chosen {
        match opened.store.export(&summary.pid).await? {
            Some(bundle) => {
                unfinished += usize::from(!bundle.record.state.is_terminal());
                line(printer, &bundle)?;
            }
            None => note(&format!("process `{}` was deleted meanwhile", summary.pid)),
        }
    }
    if unfinished > 0 {
        let all = chosen.len();
        note(&if unfinished == 1 {
            format!("1 of {all} has not ended: it goes on here, and where it is imported")
        } else {
            format!("{unfinished} of {all} have not ended: they go on here, and where they are imported")
        });
    }
    Ok(())
}

fn line(printer: Printer, document: &impl Serialize) -> Result<(), Fault> {
    printer.text(&(serde_json::to_string(document).map_err(|error| unwritable(&error))? + "\n"))
}

/// Reads all, tells every fault, and writes only where there is none: each process with all below it, or not at all.
pub(super) async fn import(opened: &Opened, printer: Printer, import: &Import) -> Result<(), Fault> {
    let mut faults = Faults::default();
    let mut bundles = read(&import.file, &mut faults)?;
    check(opened, &bundles, &mut faults).await?;
    faults.none(&import.file)?;
    let ids: Vec<ProcessId> = bundles.iter().map(|(_, bundle)| bundle.record.pid.clone()).collect();
    if !import.dry_run {
        agree("import", "processes", ids.len(), import.yes)?;
        write(opened, families(&mut bundles)).await?;
    }
    if printer.json {
        return printer.json(&json!({"ids": ids, "dry_run": import.dry_run, "done": !import.dry_run}));
    }
    let told = if import.dry_run { "would be imported" } else { "imported" };
    ids.iter().try_for_each(|pid| printer.line(&format!("{pid}: {told}")))?;
    printer.line(&format!("{} in all", ids.len()))
}

/// What is wrong, by line.
#[derive(Default)]
struct Faults {
    told: Vec<(usize, String)>,
    /// Whether any is of the file itself.
    malformed: bool,
}

impl Faults {
    fn add(&mut self, line: usize, what: impl Into<String>) {
        self.malformed = true;
        self.told.push((line, what.into()));
    }

    /// That it cannot be done there, though nothing is wrong with the line.
    fn refuse(&mut self, line: usize, what: impl Into<String>) {
        self.told.push((line, what.into()));
    }

    fn none(mut self, path: &Path) -> Result<(), Fault> {
        if self.told.is_empty() {
            return Ok(());
        }
        self.told.sort();
        let more = self.told.len().saturating_sub(TOLD);
        let mut lines = vec![format!("nothing was imported from `{}`:", path.display())];
        lines.extend(self.told.iter().take(TOLD).map(|(line, what)| format!("  line {line}: {what}")));
        lines.extend((more > 0).then(|| format!("  and {more} more")));
        let (status, next) = if self.malformed {
            (Status::Usage, "export them again, or mend these lines")
        } else {
            (Status::Refused, "leave these lines out, or import them into another store")
        };
        Err(Fault::new(status, lines.join("\n")).next(next))
    }
}

/// The processes of a file, with their lines.
fn read(path: &Path, faults: &mut Faults) -> Result<Vec<(usize, Bundle)>, Fault> {
    let is_standard = path.as_os_str() == "-";
    let name = if is_standard { "the standard input".to_owned() } else { format!("`{}`", path.display()) };
    let unreadable = |error| Fault::io(&format!("{name} cannot be read"), &error).usage();
    let mut input: Box<dyn BufRead> = if is_standard {
        Box::new(BufReader::new(io::stdin()))
    } else {
        Box::new(BufReader::new(File::open(path).map_err(unreadable)?))
    };
    let (mut bundles, mut whole) = (Vec::new(), 0_usize);
    for number in 1.. {
        let mut text = Vec::new();
        // One more, to know whether there is more.
        (&mut input).take(LINE + 1).read_until(b'\n', &mut text).map_err(unreadable)?;
        whole = whole.saturating_add(text.len());
        if text.is_empty() {
            if number == 1 {
                faults.add(1, "it is empty; `procession export` writes a line that says what the file is");
            }
            break;
        }
        if text.len() as u64 > LINE || whole > WHOLE {
            faults.add(number, format!("a line has {LINE} bytes at most, and a file {WHOLE}: export fewer at a time"));
            break;
        }
        if number == 1 {
            if let Err(fault) = header(&text) {
                faults.add(1, fault);
                break;
            }
        } else if !text.trim_ascii().is_empty() {
            match bundle(&text) {
                Ok(bundle) => bundles.push((number, bundle)),
                Err(fault) => faults.add(number, fault),
            }
        }
    }
    Ok(bundles)
}

fn header(text: &[u8]) -> Result<(), String> {
    match serde_json::from_slice::<Header>(text) {
        Ok(Header { procession, .. }) if procession != EXPORT => Err(format!("it is no `{EXPORT}`")),
        Ok(Header { format: FORMAT, .. }) => Ok(()),
        Ok(Header { format, version, .. }) => {
            Err(format!("its format is {format}, written by version {version}; this program reads {FORMAT}"))
        }
        Err(error) => Err(format!("it does not begin as a file of `procession export`: {error}")),
    }
}

fn bundle(text: &[u8]) -> Result<Bundle, String> {
    let bundle: Bundle = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    bundle.check().map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("process `{}`: {}{cause}", bundle.record.pid, error.kind())
    })?;
    Ok(bundle)
}

/// Whether each can be added: it is not there, and those are that it belongs with, or they come, too.
async fn check(opened: &Opened, bundles: &[(usize, Bundle)], faults: &mut Faults) -> Result<(), Fault> {
    let store = &opened.store;
    let all: HashSet<&ProcessId> = bundles.iter().map(|(_, bundle)| &bundle.record.pid).collect();
    let there = there(opened, bundles).await?;
    // Those that cannot be read may be the ones that are missing.
    let readable = !faults.malformed;
    let (mut given, mut keys) = (HashSet::new(), HashSet::new());
    for (line, Bundle { record, .. }) in bundles {
        let pid = &record.pid;
        if there.contains(pid) {
            faults.refuse(*line, format!("process `{pid}` is there already"));
        } else if let Some(key) = &record.key
            && let Some(holder) = store.find(key).await?
        {
            faults.refuse(*line, format!("process `{pid}`: its key `{key}` is that of `{holder}`"));
        }
        if let Some(parent) = record.parent.as_ref().filter(|_| readable)
            && !given.contains(parent)
            && !there.contains(parent)
        {
            faults.refuse(*line, format!("process `{pid}`: its parent `{parent}` is not there, nor in a line before"));
        }
        if readable && !record.state.is_terminal() {
            for child in &record.awaiting.children {
                if !all.contains(&child.pid) && !there.contains(&child.pid) {
                    let what = "is not there, nor in the file: export the tree";
                    faults.refuse(*line, format!("process `{pid}`: its child `{}` {what}", child.pid));
                }
            }
        }
        if !given.insert(pid) || record.key.as_ref().is_some_and(|key| !keys.insert(key)) {
            faults.add(*line, format!("process `{pid}`: its id, or its key, is in a line before"));
        }
    }
    Ok(())
}

/// Those that the store has, of these and of those that they belong with: asked for many at a time.
async fn there(opened: &Opened, bundles: &[(usize, Bundle)]) -> Result<HashSet<ProcessId>, Fault> {
    let of = |record: &Record| {
        let children = record.awaiting.children.iter().map(|child| child.pid.clone());
        let own = std::iter::once(record.pid.clone()).chain(record.parent.clone());
        own.chain(children).collect::<Vec<_>>()
    };
    let wanted: HashSet<ProcessId> = bundles.iter().flat_map(|(_, bundle)| of(&bundle.record)).collect();
    let wanted: Vec<ProcessId> = wanted.into_iter().collect();
    let mut there = HashSet::new();
    for some in wanted.chunks(limits::LOOKED_AT) {
        let looks = opened.store.look(some.to_vec()).await?;
        there.extend(looks.processes.into_iter().map(|look| look.pid));
        // One that cannot be read is there, too.
        there.extend(looks.unreadable.into_iter().map(|(pid, _)| pid));
    }
    Ok(there)
}

/// Processes together with all below them.
fn families(bundles: &mut Vec<(usize, Bundle)>) -> Vec<Vec<Bundle>> {
    let (mut places, mut families) = (HashMap::new(), Vec::<Vec<Bundle>>::new());
    for (_, bundle) in bundles.drain(..) {
        let above = bundle.record.parent.as_ref().and_then(|parent| places.get(parent)).copied();
        let place = above.unwrap_or(families.len());
        places.insert(bundle.record.pid.clone(), place);
        match families.get_mut(place) {
            Some(family) => family.push(bundle),
            None => families.push(vec![bundle]),
        }
    }
    families
}

/// As one worker among others, that claims nothing; or as the owner of a store that has one.
async fn write(opened: &Opened, families: Vec<Vec<Bundle>>) -> Result<(), Fault> {
    let store = &opened.store;
    let worker = Worker {
        host: Host::this().hostname,
        os_process: std::process::id(),
        version: "import".to_owned(),
        queues: Vec::new(),
        slots: 0,
    };
    let (epoch, joined) = match store.join(worker, LEASE).await {
        Err(error) if error.kind() == StoreErrorKind::Unsupported => (store.acquire().await?, false),
        joined => (joined?, true),
    };
    let written = write_under(opened, families, epoch, joined).await;
    let released = store.release(epoch).await;
    written?;
    Ok(released?)
}

async fn write_under(opened: &Opened, families: Vec<Vec<Bundle>>, epoch: Epoch, joined: bool) -> Result<(), Fault> {
    let mut before = 0;
    for family in families {
        if joined {
            opened.store.renew(epoch, 0).await?;
        }
        let count = family.len();
        let refused = match kept(opened, epoch, joined, opened.store.import(epoch, family)).await {
            Ok(Creation::Created) => {
                before += count;
                continue;
            }
            Ok(Creation::Exists { pid, .. }) => {
                let what = format!("process `{pid}` was added meanwhile by someone else");
                Fault::new(Status::Refused, what)
            }
            Err(error) => error.into(),
        };
        // The same file again tells which these are.
        let before = counted(before as u64, "process", "processes");
        return Err(refused.next(format!("leave out {before} of the lines before, imported already")));
    }
    Ok(())
}

/// Renews the lease while something is done under it.
async fn kept<T>(opened: &Opened, epoch: Epoch, joined: bool, done: impl Future<Output = T>) -> T {
    let mut done = pin!(done);
    loop {
        tokio::select! {
            biased;
            done = &mut done => return done,
            () = tokio::time::sleep(LEASE / 4), if joined => {
                // What is done tells whether the lease was lost.
                let _ = opened.store.renew(epoch, 0).await;
            }
        }
    }
}
