//! What is asked of a worker.

use super::{MessageError, Node};
use crate::communicator::Refusal;
use crate::process::ProcessId;

/// A task as it travels: what is to be done, and whether a reply is wanted (wire.md 8).
#[derive(Debug, Clone, PartialEq)]
pub struct TaskEnvelope {
    /// What is to be done.
    pub payload: Node,
    /// Whether no reply is wanted.
    pub no_reply: bool,
}

/// What is asked of a worker by a task (wire.md 8).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum TaskBody {
    /// Create a process and run it.
    Launch {
        /// The process and its inputs.
        create: Create,
        /// Whether the reply is the process's id, at once, instead of its outputs at the end.
        nowait: bool,
    },
    /// Create a process and store it.
    Create(Create),
    /// Run a process that is stored.
    Continue {
        /// The process.
        pid: ProcessId,
        /// Whether the reply is the process's id, at once.
        nowait: bool,
        /// Go on from this snapshot.
        tag: Option<String>,
    },
}

/// A process to create.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Create {
    /// Its registered name.
    pub process: String,
    /// Whether it is stored.
    pub persist: bool,
    /// Arguments of the constructor by place: the inputs first, then the pid.
    pub init_args: Vec<Node>,
    /// Arguments of the constructor by name: `inputs`, `pid`.
    pub init_kwargs: Vec<(Node, Node)>,
}

impl From<TaskEnvelope> for Node {
    fn from(envelope: TaskEnvelope) -> Self {
        Self::Sequence(vec![envelope.payload, Self::Bool(envelope.no_reply)])
    }
}

impl TryFrom<Node> for TaskEnvelope {
    type Error = MessageError;

    fn try_from(node: Node) -> Result<Self, MessageError> {
        let form = || {
            MessageError::Form("a task must be a sequence of its payload and of whether it wants no reply".to_owned())
        };
        let mut nodes = node.into_sequence().ok_or_else(form)?.into_iter();
        match (nodes.next(), nodes.next(), nodes.next()) {
            (Some(payload), Some(no_reply), None) => Ok(Self { payload, no_reply: no_reply.is_true() }),
            _ => Err(form()),
        }
    }
}

impl Create {
    /// A process under its registered name, without inputs and not stored.
    pub fn new(process: impl Into<String>) -> Self {
        Self { process: process.into(), ..Self::default() }
    }

    fn arguments(&self) -> Vec<(&'static str, Node)> {
        let (args, kwargs) = (&self.init_args, &self.init_kwargs);
        let args = if args.is_empty() { Node::Null } else { Node::Sequence(args.clone()) };
        let kwargs = if kwargs.is_empty() { Node::Null } else { Node::Mapping(kwargs.clone()) };
        vec![
            ("process_class", Node::text(&*self.process)),
            ("persist", self.persist.into()),
            ("init_args", args),
            ("init_kwargs", kwargs),
        ]
    }
}

impl From<&TaskBody> for Node {
    fn from(body: &TaskBody) -> Self {
        let (task, arguments) = match body {
            TaskBody::Launch { create, nowait } => {
                let mut arguments = create.arguments();
                arguments.push(("nowait", (*nowait).into()));
                ("launch", arguments)
            }
            TaskBody::Create(create) => ("create", create.arguments()),
            TaskBody::Continue { pid, nowait, tag } => {
                ("continue", vec![("pid", pid.into()), ("nowait", (*nowait).into()), ("tag", tag.clone().into())])
            }
        };
        Self::mapping([("task", Self::text(task)), ("args", Self::mapping(arguments))])
    }
}

impl TryFrom<&Node> for TaskBody {
    type Error = Refusal;

    /// The payload of a task, by the rules of calls in Python, whose texts the errors have.
    ///
    /// # Errors
    /// [`Refusal::Rejected`] for another task than these; [`Refusal::Failed`] for a task without a name, an argument that
    /// is missing, unknown or of another type.
    fn try_from(payload: &Node) -> Result<Self, Refusal> {
        const CREATE: [&str; 4] = ["process_class", "persist", "init_args", "init_kwargs"];
        const LAUNCH: [&str; 5] = ["process_class", "persist", "nowait", "init_args", "init_kwargs"];
        match payload.item("task")?.as_text() {
            Some("launch") => {
                let call = Call::new("_launch", payload, &LAUNCH, 3)?;
                Ok(Self::Launch { create: call.create()?, nowait: call.is_true("nowait") })
            }
            Some("create") => Ok(Self::Create(Call::new("_create", payload, &CREATE, 2)?.create()?)),
            Some("continue") => {
                let call = Call::new("_continue", payload, &["pid", "nowait", "tag"], 2)?;
                let pid = call.get("pid");
                let pid =
                    pid.as_pid().ok_or_else(|| Refusal::Failed(format!("`{pid}` cannot be the id of a process")))?;
                Ok(Self::Continue { pid, nowait: call.is_true("nowait"), tag: call.tag()? })
            }
            _ => {
                Err(Refusal::Rejected("this worker knows only the tasks `launch`, `create` and `continue`".to_owned()))
            }
        }
    }
}

/// The arguments of a task, as Python passes them to a method.
struct Call<'a>(Option<&'a Node>);

impl<'a> Call<'a> {
    /// Checks the arguments against the parameters, of which so many must be given.
    fn new(method: &str, payload: &'a Node, parameters: &[&str], needed: usize) -> Result<Self, Refusal> {
        let failed = |text: String| Err(Refusal::Failed(text));
        let arguments = payload.get("args");
        let entries = match arguments.map(|arguments| (arguments, arguments.as_mapping())) {
            None => &[],
            Some((_, Some(entries))) => entries,
            Some((other, None)) => {
                let (method, kind) = (format!("plumpy.process_comms.ProcessLauncher.{method}"), other.python_type());
                return failed(format!("{method}() argument after ** must be a mapping, not {kind}"));
            }
        };
        for (key, _) in entries {
            match key.as_text() {
                None => return failed("keywords must be strings".to_owned()),
                Some(key) if !parameters.contains(&key) => {
                    return failed(format!("ProcessLauncher.{method}() got an unexpected keyword argument '{key}'"));
                }
                Some(_) => {}
            }
        }
        let given = |parameter: &str| entries.iter().any(|(key, _)| key.as_text() == Some(parameter));
        let missing: Vec<String> =
            parameters[..needed].iter().filter(|name| !given(name)).map(|name| format!("'{name}'")).collect();
        let listed = match &missing[..] {
            [] => return Ok(Self(arguments)),
            [one] => one.clone(),
            [one, two] => format!("{one} and {two}"),
            [more @ .., last] => format!("{}, and {last}", more.join(", ")),
        };
        let (count, plural) = (missing.len(), if missing.len() == 1 { "" } else { "s" });
        failed(format!("ProcessLauncher.{method}() missing {count} required positional argument{plural}: {listed}"))
    }

    fn get(&self, name: &str) -> &'a Node {
        self.0.and_then(|arguments| arguments.get(name)).unwrap_or(&Node::Null)
    }

    fn is_true(&self, name: &str) -> bool {
        self.get(name).is_true()
    }

    /// The tag of a snapshot. One that is no text is no wish to go on from where the process stands.
    fn tag(&self) -> Result<Option<String>, Refusal> {
        match self.get("tag") {
            Node::Null => Ok(None),
            tag => match tag.as_text() {
                Some(text) => Ok(Some(text.to_owned())),
                None => Err(Refusal::Failed(format!("`{tag}` cannot be the tag of a snapshot"))),
            },
        }
    }

    fn create(&self) -> Result<Create, Refusal> {
        let process = self.get("process_class");
        let Some(process) = process.as_text() else {
            return Err(Refusal::Failed(format!("`{process}` cannot be the name of a process")));
        };
        let (args, kwargs) = (self.get("init_args"), self.get("init_kwargs"));
        let init_args = match args.as_sequence() {
            Some(nodes) => nodes.to_vec(),
            None if args.is_null() => Vec::new(),
            None => {
                let kind = args.python_type();
                return Err(Refusal::Failed(format!("{process}() argument after * must be an iterable, not {kind}")));
            }
        };
        let init_kwargs = match kwargs.as_mapping() {
            Some(entries) => entries.to_vec(),
            None if kwargs.is_null() => Vec::new(),
            None => {
                let kind = kwargs.python_type();
                return Err(Refusal::Failed(format!("{process}() argument after ** must be a mapping, not {kind}")));
            }
        };
        Ok(Create { process: process.to_owned(), persist: self.is_true("persist"), init_args, init_kwargs })
    }
}
