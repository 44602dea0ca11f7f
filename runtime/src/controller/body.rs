//! The bodies of tasks, calls and broadcasts as values.

use crate::message::{Create, Intent, Node, TaskBody};

pub(super) fn of_intent(intent: &Intent) -> Node {
    let (message, force) = match intent {
        Intent::Play | Intent::Status => (None, None),
        Intent::Pause(message) => (message.clone(), None),
        Intent::Kill { message, force } => (message.clone(), Some(*force)),
    };
    let mut entries = vec![("intent", Node::text(intent.to_string())), ("message", message.into())];
    entries.extend(force.map(|force| ("force_kill", force.into())));
    Node::mapping(entries)
}

pub(super) fn of_task(task: &TaskBody) -> Node {
    let (name, arguments) = match task {
        TaskBody::Launch { create, nowait } => {
            let mut arguments = of_create(create);
            arguments.push(("nowait", (*nowait).into()));
            ("launch", arguments)
        }
        TaskBody::Create(create) => ("create", of_create(create)),
        TaskBody::Continue { pid, nowait, tag } => {
            ("continue", vec![("pid", pid.into()), ("nowait", (*nowait).into()), ("tag", tag.clone().into())])
        }
    };
    Node::mapping([("task", Node::text(name)), ("args", Node::mapping(arguments))])
}

fn of_create(create: &Create) -> Vec<(&'static str, Node)> {
    let args = Some(Node::Sequence(create.init_args.clone())).filter(|_| !create.init_args.is_empty());
    let kwargs = Some(Node::Mapping(create.init_kwargs.clone())).filter(|_| !create.init_kwargs.is_empty());
    vec![
        ("process_class", Node::text(create.process.clone())),
        ("persist", create.persist.into()),
        ("init_args", args.into()),
        ("init_kwargs", kwargs.into()),
    ]
}
