//! What the arguments of a task say of a process that is to be created (wire.md 8).

use serde_json::{Map, Value};

use crate::communicator::Refusal;
use crate::message::{Create, Node};
use crate::process::ProcessId;

/// What plumpy's constructors take, in their order.
const PARAMETERS: [&str; 5] = ["inputs", "pid", "logger", "loop", "communicator"];

/// The constructor's arguments of a process that is to be created.
#[derive(Debug, PartialEq)]
pub(super) struct Arguments {
    pub(super) inputs: Map<String, Value>,
    pub(super) pid: Option<ProcessId>,
}

/// Reads arguments by place and by name; `logger`, `loop` and `communicator` must be null: here they belong to the runtime.
pub(super) fn arguments(create: Create) -> Result<Arguments, Refusal> {
    let process = create.process;
    let refuse = |what: std::fmt::Arguments<'_>| Refusal::failed(format_args!("`{process}` {what}"));
    let mut given: Vec<(&str, Node)> = Vec::new();
    if create.init_args.len() > PARAMETERS.len() {
        return Err(refuse(format_args!("takes at most {} arguments by place", PARAMETERS.len())));
    }
    given.extend(PARAMETERS.into_iter().zip(create.init_args));
    for (name, node) in create.init_kwargs {
        let known = name.as_text().and_then(|name| PARAMETERS.into_iter().find(|known| *known == name));
        let Some(known) = known else { return Err(refuse(format_args!("has no argument `{name}`"))) };
        if given.iter().any(|(name, _)| *name == known) {
            return Err(refuse(format_args!("is given the argument `{known}` twice")));
        }
        given.push((known, node));
    }
    let mut arguments = Arguments { inputs: Map::new(), pid: None };
    for (name, node) in given.into_iter().filter(|(_, node)| !node.is_null()) {
        match name {
            "inputs" => match Value::from(node) {
                Value::Object(inputs) => arguments.inputs = inputs,
                _ => return Err(refuse(format_args!("takes a mapping as `inputs`"))),
            },
            "pid" => match node.as_pid() {
                Some(pid) => arguments.pid = Some(pid),
                None => return Err(refuse(format_args!("cannot have the id {node}"))),
            },
            other => return Err(refuse(format_args!("has its `{other}` from the runtime: none can be sent"))),
        }
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(args: Vec<Node>, kwargs: Vec<(&str, Node)>) -> Create {
        Create {
            process: "Sum".to_owned(),
            persist: false,
            init_args: args,
            init_kwargs: kwargs.into_iter().map(|(name, node)| (name.into(), node)).collect(),
        }
    }

    #[test]
    fn inputs_and_pid_come_by_place_or_by_name() {
        let inputs = || Node::mapping([("a", Node::Integer(1))]);
        let id = ProcessId::new();
        let cases = [
            (vec![inputs()], vec![], None),
            (vec![], vec![("inputs", inputs())], None),
            (vec![inputs(), 7.into()], vec![], Some(ProcessId::from(7))),
            (vec![inputs()], vec![("pid", "job".into()), ("logger", Node::Null)], Some("job".into())),
            (vec![], vec![("pid", Node::from(&id)), ("inputs", inputs())], Some(id)),
        ];
        for (args, kwargs, pid) in cases {
            let mut expected = Arguments { inputs: Map::new(), pid };
            expected.inputs.insert("a".to_owned(), 1.into());
            assert_eq!(arguments(create(args, kwargs)), Ok(expected));
        }
        let none = Arguments { inputs: Map::new(), pid: None };
        assert_eq!(arguments(create(vec![], vec![])), Ok(none));
    }

    #[test]
    fn what_no_constructor_takes_is_refused_with_the_name_of_the_process() {
        let cases = [
            (vec!["text".into()], vec![], "`Sum` takes a mapping as `inputs`"),
            (vec![], vec![("input", Node::Null)], "`Sum` has no argument `\"input\"`"),
            (vec![Node::Null], vec![("inputs", Node::Null)], "`Sum` is given the argument `inputs` twice"),
            (vec![Node::Null; 6], vec![], "`Sum` takes at most 5 arguments by place"),
            (vec![], vec![("pid", 1.5.into())], "`Sum` cannot have the id 1.5"),
            (vec![], vec![("loop", 1.into())], "`Sum` has its `loop` from the runtime: none can be sent"),
        ];
        for (args, kwargs, expected) in cases {
            let refusal = arguments(create(args, kwargs)).unwrap_err();
            assert_eq!(refusal, Refusal::failed(expected));
        }
    }
}
