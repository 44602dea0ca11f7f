//! Commands that look at the processes of this binary, and at all of a store.

use std::sync::Arc;

use procession_runtime::Runtime;
use procession_runtime::doctor::{Diagnosis, Doctor, Trouble};
use procession_runtime::spec::{Description, EntryDescription, NamespaceDescription, StreamPort};
use serde_json::json;

use super::Register;
use super::config::Opened;
use super::fault::{Fault, Status};
use super::ports;
use super::print::{Printer, counted};

/// The processes of this binary, without a store.
pub(super) async fn registered(register: &Register) -> Result<Runtime, Fault> {
    Ok(register(Runtime::volatile()).build().await?)
}

/// What is shown of a process beside its ports.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    pub(super) schema: bool,
    pub(super) example: bool,
}

pub(super) async fn spec(
    register: &Register,
    printer: Printer,
    process: Option<&str>,
    shown: Shown,
) -> Result<(), Fault> {
    let runtime = registered(register).await?;
    let Some(process) = process else {
        let specs = runtime.processes().into_iter().map(|name| Ok((name, runtime.spec(name)?.help())));
        let specs = specs.collect::<Result<Vec<_>, Fault>>()?;
        if printer.json {
            let specs = specs.iter().map(|(name, help)| json!({"process": name, "help": help}));
            return printer.json(&specs.collect::<Vec<_>>());
        }
        return printer
            .table(&["process", "help"], specs.into_iter().map(|(name, help)| vec![name.into(), help.into()]));
    };
    let process = ports::named(&runtime, process)?;
    let spec = runtime.spec(&process)?;
    if shown.schema {
        return printer.json(&spec.input_schema());
    }
    if shown.example {
        let inputs = ports::example(spec);
        printer.json(&inputs)?;
        // Types and validators of one's own may want what nobody can guess.
        return spec.check_inputs(&inputs).map_err(|refused| ports::refused(&process, refused.faults()));
    }
    let description = spec.description();
    if printer.json { printer.json(&description) } else { printer.text(&words(&description)) }
}

/// The ports of a process, in words.
fn words(description: &Description) -> String {
    let Description { process, help, inputs, outputs, exits, streams, .. } = description;
    let mut text = vec![process.clone()];
    text.extend(help.lines().map(|line| format!("  {line}")));
    for (name, namespace) in [("inputs", inputs), ("outputs", outputs)] {
        if !namespace.entries.is_empty() || namespace.dynamic.is_some() {
            text.push(format!("{name}:"));
            entries(namespace, 1, &mut text);
        }
    }
    if !streams.is_empty() {
        text.push("streams:".to_owned());
        text.extend(streams.iter().map(|port| match port {
            StreamPort::In(name) => format!("  in {name}"),
            StreamPort::Out(name) => format!("  out {name}"),
        }));
    }
    if !exits.is_empty() {
        text.push("exit codes:".to_owned());
        text.extend(exits.iter().map(|exit| format!("  {exit}")));
    }
    text.join("\n") + "\n"
}

fn entries(namespace: &NamespaceDescription, depth: usize, text: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    for entry in &namespace.entries {
        match entry {
            EntryDescription::Port(port) => {
                let mut line = format!("{indent}{}: {}", port.name, port.type_name);
                line.extend(port.default.as_ref().map(|default| format!(" = {default}")));
                if port.required {
                    line.push_str(", required");
                }
                line.extend(port.help.lines().next().map(|help| format!(" — {help}")));
                text.push(line);
            }
            EntryDescription::Namespace(below) => {
                let help = below.help.lines().next().map(|help| format!(" — {help}")).unwrap_or_default();
                text.push(format!("{indent}{}:{help}", below.name));
                entries(below, depth + 1, text);
            }
            _ => {}
        }
    }
    text.extend(namespace.dynamic.as_ref().map(|dynamic| format!("{indent}*: {dynamic}")));
}

fn word(trouble: Trouble) -> String {
    let word = serde_json::to_value(trouble).ok().and_then(|word| word.as_str().map(|word| word.replace('_', " ")));
    word.unwrap_or_default()
}

fn print(printer: Printer, diagnosis: &Diagnosis) -> Result<(), Fault> {
    let processes = counted(diagnosis.processes, "process that has not ended", "processes that have not ended");
    let workers = diagnosis.workers.map(|workers| format!(", {}", counted(workers, "worker", "workers")));
    printer.line(&format!("{processes}{}", workers.unwrap_or_default()))?;
    for (trouble, count) in &diagnosis.counts {
        printer.line(&format!("{}: {count}", word(*trouble)))?;
    }
    diagnosis.findings.iter().try_for_each(|finding| {
        let process = finding.process.as_deref().unwrap_or("?");
        printer.line(&format!("{process} {}: {}\n  next: {}", finding.pid, finding.what, finding.next))
    })
}

/// Fails where something is the matter, so that a script sees it.
pub(super) async fn doctor(opened: &Opened, printer: Printer, repair: bool, dry_run: bool) -> Result<(), Fault> {
    let doctor = Doctor::new(Arc::clone(&opened.store));
    let diagnosis = doctor.examine().await?;
    let safe = diagnosis.findings.iter().filter(|finding| finding.action.is_safe()).count();
    let repaired = if repair && !dry_run { Some(doctor.repair().await?) } else { None };
    if printer.json {
        let healthy = diagnosis.is_healthy();
        printer.json(&json!({"healthy": healthy, "diagnosis": diagnosis, "safe": safe, "repaired": repaired}))?;
    } else {
        print(printer, &diagnosis)?;
        if dry_run {
            printer.line(&format!("a repair would deal with {safe} of them"))?;
        }
        if let Some(repaired) = &repaired {
            printer.line(&format!("unparked {}, mended {}", repaired.unparked, repaired.mended))?;
        }
    }
    // What is not safe to do is left to people.
    let is_left = diagnosis.findings.iter().any(|finding| !finding.action.is_safe());
    if diagnosis.is_healthy() || repaired.is_some() && !is_left {
        return Ok(());
    }
    let fault = Fault::new(Status::Failed, format!("something is the matter in {}", opened.address));
    let next = if repair || safe == 0 { "what to do is told of each" } else { "procession doctor --repair" };
    Err(fault.next(next))
}
