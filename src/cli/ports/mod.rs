//! The inputs of a process from the command line, by its spec: `port=value`, and a file of JSON.

mod example;
mod file;
mod help;
mod place;
mod read;

pub(super) use example::example;
pub(super) use file::read as read_file;
pub(super) use help::print as print_help;

use procession_runtime::__private::suggest;
use procession_runtime::Runtime;
use procession_runtime::spec::{Fault as PortFault, ProcessSpec};
use serde_json::{Map, Value};

use super::fault::{Fault, Status};

/// The name of a process of this binary, which may be given without what stands before its last `::`, `:`, `.` or `/`.
pub(super) fn named(runtime: &Runtime, name: &str) -> Result<String, Fault> {
    let Err(unknown) = runtime.spec(name) else { return Ok(name.to_owned()) };
    let known = runtime.processes();
    if known.is_empty() {
        let next = "a program that calls `procession::cli::main` has its own";
        return Err(Fault::new(Status::NotFound, "this binary has no processes").next(next));
    }
    let ends_so = |known: &&&str| known.strip_suffix(name).is_some_and(|before| before.ends_with([':', '.', '/']));
    let mut found = known.iter().filter(ends_so);
    match (found.next(), found.next()) {
        (Some(only), None) if !name.is_empty() => Ok((*only).to_owned()),
        (Some(one), Some(other)) if !name.is_empty() => {
            let what = format!("more than one process is named `{name}`: `{one}`, `{other}`");
            Err(Fault::new(Status::Usage, what).next("give the whole name"))
        }
        _ => {
            let near = suggest(name, known.iter().map(|known| last(known)));
            let near = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
            Err(Fault::from(unknown).next(format!("{near}`spec` alone lists the processes of this binary")))
        }
    }
}

/// The name without what stands before it.
fn last(name: &str) -> &str {
    name.rsplit([':', '.', '/']).next().unwrap_or(name)
}

/// The inputs that were given: what a file says, and over it the single values. All faults are told at once.
pub(super) fn inputs(
    spec: &ProcessSpec,
    given: &[String],
    file: Map<String, Value>,
) -> Result<Map<String, Value>, Vec<PortFault>> {
    let schema = spec.input_schema();
    let (mut values, mut faults) = (file, Vec::new());
    let mut seen: Vec<&str> = Vec::new();
    for argument in given {
        let Some((path, text)) = argument.split_once('=') else {
            faults.push(PortFault::new("", format!("`{}` is no `port=value`", read::shown(argument))));
            continue;
        };
        // As `port:=value`, it is JSON whatever the type.
        let (path, is_json) = path.strip_suffix(':').map_or((path, false), |path| (path, true));
        if let Some(other) = seen.iter().find(|other| is_within(other, path) || is_within(path, other)) {
            let twice = if *other == path { "given twice".to_owned() } else { format!("given, and `{other}` too") };
            faults.push(PortFault::new(path, twice));
            continue;
        }
        seen.push(path);
        let value = place::find(spec, &schema, path)
            .and_then(|place| if is_json { read::json(text) } else { read::value(text, &place, spec, path) });
        match value {
            Ok(value) => place::put(&mut values, path, value),
            Err(message) => faults.push(PortFault::new(path, message)),
        }
    }
    if let Err(refused) = spec.check_inputs(&values) {
        // What is at fault already is not told again as missing.
        let is_new = |fault: &&PortFault| {
            let known =
                |known: &PortFault| is_within(known.path(), fault.path()) || is_within(fault.path(), known.path());
            fault.path().is_empty() || !faults.iter().filter(|known| !known.path().is_empty()).any(known)
        };
        let new: Vec<_> = refused.faults().iter().filter(is_new).cloned().collect();
        faults.extend(new);
    }
    if faults.is_empty() { Ok(values) } else { Err(faults) }
}

/// Whether a path is that of a namespace or a port, or of something in it.
fn is_within(outer: &str, path: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// All of them, each with its port.
pub(super) fn refused(process: &str, faults: &[PortFault]) -> Fault {
    let what = faults
        .iter()
        .fold(format!("the inputs of `{process}` are not valid"), |told, fault| told + &format!("\n  {fault}"));
    Fault::new(Status::Usage, what)
}

#[cfg(test)]
mod tests;
