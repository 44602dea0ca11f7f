//! Reads the body of a task (wire.md 8).

use crate::communicator::Refusal;
use crate::message::{Create, Node, TaskBody};
use crate::process::ProcessId;

/// Reads a task. One that is none of ours is rejected, since another subscriber may know it; one of ours whose arguments
/// do not fit has failed.
pub(super) fn read(body: &Node) -> Result<TaskBody, Refusal> {
    if body.as_mapping().is_none() {
        return Err(Refusal::failed("a task is a mapping with `task` and `args`"));
    }
    let task = match body.get("task") {
        // As Python shows the key that is not there.
        None => return Err(Refusal::failed("'task'")),
        Some(node) => node.as_text().unwrap_or_default(),
    };
    let args = || body.get("args").unwrap_or(&Node::Null);
    match task {
        "launch" => {
            let mut args = Args::of("launch", args(), &["process_class", "persist", "nowait"])?;
            let nowait = args.truth("nowait")?;
            Ok(TaskBody::Launch { create: args.create()?, nowait })
        }
        "create" => Args::of("create", args(), &["process_class", "persist"])?.create().map(TaskBody::Create),
        "continue" => {
            let mut args = Args::of("continue", args(), &["pid", "nowait"])?;
            let (nowait, tag) = (args.truth("nowait")?, args.text("tag")?);
            let pid = args.take("pid");
            let pid = pid_of(&pid).ok_or_else(|| args.wrong("pid", "an id"))?;
            args.end()?;
            Ok(TaskBody::Continue { pid, nowait, tag })
        }
        other => Err(Refusal::Rejected(format!("no task is named `{other}`"))),
    }
}

/// The id that a value stands for: a UUID under its tag, an integer or a text.
pub(super) fn pid_of(node: &Node) -> Option<ProcessId> {
    match node {
        Node::Text(text) => Some(ProcessId::from(text.as_str())),
        Node::Tagged(tagged) => tagged.node.as_text().map(ProcessId::from),
        Node::Integer(integer) => i64::try_from(*integer).ok().map(ProcessId::from),
        _ => None,
    }
}

/// The arguments of a task, by name.
struct Args {
    task: &'static str,
    entries: Vec<(Node, Node)>,
}

impl Args {
    fn of(task: &'static str, args: &Node, required: &[&str]) -> Result<Self, Refusal> {
        let Some(entries) = args.as_mapping().or_else(|| args.is_null().then_some(&[])) else {
            return Err(Refusal::failed(format_args!("the arguments of {task} are not a mapping")));
        };
        let args = Self { task, entries: entries.to_vec() };
        let missing: Vec<_> = required.iter().filter(|name| !args.has(name)).map(|name| format!("`{name}`")).collect();
        if missing.is_empty() {
            return Ok(args);
        }
        Err(Refusal::failed(format_args!("{task} is missing {}", missing.join(", "))))
    }

    fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(key, _)| key.as_text() == Some(name))
    }

    fn take(&mut self, name: &str) -> Node {
        let place = self.entries.iter().position(|(key, _)| key.as_text() == Some(name));
        place.map(|place| self.entries.swap_remove(place).1).unwrap_or_default()
    }

    fn wrong(&self, name: &str, what: &str) -> Refusal {
        Refusal::failed(format_args!("`{name}` of {} is not {what}", self.task))
    }

    fn truth(&mut self, name: &str) -> Result<bool, Refusal> {
        self.take(name).as_bool().ok_or_else(|| self.wrong(name, "true or false"))
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        match self.take(name) {
            Node::Null => Ok(None),
            Node::Text(text) => Ok(Some(text)),
            _ => Err(self.wrong(name, "a text")),
        }
    }

    fn create(&mut self) -> Result<Create, Refusal> {
        let process = self.text("process_class")?.ok_or_else(|| self.wrong("process_class", "a text"))?;
        let persist = self.truth("persist")?;
        let init_args = match self.take("init_args") {
            Node::Null => Vec::new(),
            node => node.as_sequence().ok_or_else(|| self.wrong("init_args", "a sequence"))?.to_vec(),
        };
        let init_kwargs = match self.take("init_kwargs") {
            Node::Null => Vec::new(),
            node => node.as_mapping().ok_or_else(|| self.wrong("init_kwargs", "a mapping"))?.to_vec(),
        };
        self.end()?;
        Ok(Create { process, persist, init_args, init_kwargs })
    }

    /// Nothing may be left.
    fn end(&self) -> Result<(), Refusal> {
        match self.entries.first() {
            None => Ok(()),
            Some((name, _)) => Err(Refusal::failed(format_args!("{} has no argument {name}", self.task))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(name: &str, args: Vec<(&str, Node)>) -> Node {
        Node::mapping([("task", name.into()), ("args", Node::mapping(args))])
    }

    #[test]
    fn the_three_tasks_are_read() {
        let inputs = || Node::mapping([("inputs", Node::mapping([("a", Node::Integer(1))]))]);
        let launch = task(
            "launch",
            vec![
                ("process_class", "Sum".into()),
                ("persist", false.into()),
                ("nowait", true.into()),
                ("init_args", Node::Null),
                ("init_kwargs", inputs()),
            ],
        );
        let create = Create {
            process: "Sum".to_owned(),
            persist: false,
            init_args: Vec::new(),
            init_kwargs: inputs().as_mapping().unwrap().to_vec(),
        };
        assert_eq!(read(&launch), Ok(TaskBody::Launch { create, nowait: true }));
        let args = vec![("process_class", "Sum".into()), ("persist", true.into())];
        let create = Create { process: "Sum".to_owned(), persist: true, ..Create::default() };
        assert_eq!(read(&task("create", args)), Ok(TaskBody::Create(create)));
        let pid = ProcessId::new();
        let args = vec![("pid", Node::from(&pid)), ("nowait", false.into()), ("tag", "t".into())];
        let tag = Some("t".to_owned());
        assert_eq!(read(&task("continue", args)), Ok(TaskBody::Continue { pid, nowait: false, tag }));
    }

    #[test]
    fn what_does_not_fit_fails_and_what_is_unknown_is_rejected() {
        let sum = || ("process_class", Node::from("Sum"));
        let cases = [
            (task("launch", vec![sum()]), "launch is missing `persist`, `nowait`"),
            (task("create", vec![sum()]), "create is missing `persist`"),
            (task("continue", vec![]), "continue is missing `pid`, `nowait`"),
            (
                task("create", vec![sum(), ("persist", true.into()), ("pid", 1.into())]),
                "create has no argument \"pid\"",
            ),
            (task("create", vec![sum(), ("persist", "yes".into())]), "`persist` of create is not true or false"),
            (
                task("create", vec![sum(), ("persist", true.into()), ("init_args", 1.into())]),
                "`init_args` of create is not a sequence",
            ),
            (task("continue", vec![("pid", Node::Null), ("nowait", true.into())]), "`pid` of continue is not an id"),
            (Node::mapping([("args", Node::Null)]), "'task'"),
            (Node::mapping([("task", Node::from("launch"))]), "launch is missing `process_class`, `persist`, `nowait`"),
            (Node::Null, "a task is a mapping with `task` and `args`"),
        ];
        for (body, expected) in cases {
            assert_eq!(read(&body), Err(Refusal::failed(expected)));
        }
        assert_eq!(read(&task("dance", vec![])), Err(Refusal::Rejected("no task is named `dance`".to_owned())));
    }
}
