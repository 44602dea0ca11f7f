//! An outline with everything that its steps and predicates do: what is written in both languages.

use serde_json::Value;

/// One process.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Case {
    /// Its name in both languages.
    pub(crate) name: String,
    /// What gives it again.
    pub(crate) seed: u64,
    pub(crate) outputs: Vec<Output>,
    pub(crate) body: Vec<Node>,
    pub(crate) steps: Vec<Step>,
    pub(crate) predicates: Vec<Predicate>,
}

/// Steps or predicates with their places in the list.
pub(crate) type Placed<'a, T> = Vec<(usize, &'a T)>;

/// An instruction of the outline; steps and predicates by their place in the lists.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Step(usize),
    If {
        branches: Vec<(usize, Vec<Node>)>,
        otherwise: Option<Vec<Node>>,
    },
    While(usize, Vec<Node>),
    /// With an exit code, or normally.
    Return(Option<i64>),
}

/// The type of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Integer,
    Text,
    Float,
    Boolean,
    List,
    /// Anything; for dynamic namespaces.
    Any,
}

/// An output port or a namespace of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Output {
    Port {
        name: String,
        of: Type,
        required: bool,
    },
    /// May be left out as a whole; `true` marks those of its ports that it must have if it is there. A port may stand
    /// in a namespace of its own below: `deep.q`.
    Namespace {
        name: String,
        ports: Vec<(String, Type, bool)>,
    },
    Dynamic {
        name: String,
        of: Type,
    },
}

/// Bit `n` is the answer after `n` steps; the last bit is that for all later ones.
pub(crate) type Table = u64;

/// Always.
pub(crate) const ALWAYS: Table = u64::MAX;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Predicate {
    pub(crate) table: Table,
    /// When it fails.
    pub(crate) fails: Table,
    /// By a panic, in Rust.
    pub(crate) panics: bool,
}

/// How the Rust step is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Plain,
    Async,
    Blocking,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    pub(crate) form: Form,
    pub(crate) actions: Vec<(Table, Action)>,
    /// The first that holds ends the step; without one it goes on.
    pub(crate) ends: Vec<(Table, End)>,
    /// Outputs that it returns: `step => a, b`. Such a step can fail, but not end in another way.
    pub(crate) gives: Vec<(String, Value)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Emits an output; a tolerant step ignores that it cannot.
    Out {
        path: String,
        value: Value,
        tolerant: bool,
    },
    /// Launches a child of this kind.
    Launch {
        kind: &'static str,
        how: Launch,
    },
    Sleep,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Launch {
    /// By `to_context` in Python.
    Awaited,
    /// By returning a `ToContext` in Python, at the end of the step.
    Returned,
    Detached,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum End {
    Fail,
    Panic,
    Stop(Value),
    Exit(i64),
    Kill,
    Wait,
}

/// The kinds of child that `Leaf` knows, those that end well first.
pub(crate) const KINDS: [&str; 9] = ["well", "nest", "doze", "exit", "missing", "fail", "panic", "kill", "nest_fail"];

impl Node {
    /// The blocks in it.
    pub(crate) fn blocks(&self) -> Vec<&Vec<Node>> {
        match self {
            Self::Step(_) | Self::Return(_) => Vec::new(),
            Self::While(_, body) => vec![body],
            Self::If { branches, otherwise } => branches.iter().map(|(_, body)| body).chain(otherwise).collect(),
        }
    }

    /// The same, to be changed.
    pub(crate) fn blocks_mut(&mut self) -> Vec<&mut Vec<Node>> {
        match self {
            Self::Step(_) | Self::Return(_) => Vec::new(),
            Self::While(_, body) => vec![body],
            Self::If { branches, otherwise } => branches.iter_mut().map(|(_, body)| body).chain(otherwise).collect(),
        }
    }

    /// Instructions in it, itself included.
    pub(crate) fn count(&self) -> usize {
        1 + self.blocks().into_iter().flatten().map(Node::count).sum::<usize>()
    }

    /// How deep blocks are nested in it.
    pub(crate) fn depth(&self) -> usize {
        let below = |block: &Vec<Node>| block.iter().map(Node::depth).max().unwrap_or_default();
        self.blocks().into_iter().map(|block| 1 + below(block)).max().unwrap_or_default()
    }

    /// Whether nothing behind it is ever reached.
    pub(crate) fn always_returns(&self) -> bool {
        match self {
            Self::Return(_) => true,
            Self::If { branches, otherwise: Some(last) } => {
                branches.iter().map(|(_, body)| body).chain([last]).all(|block| block_returns(block))
            }
            _ => false,
        }
    }
}

/// Whether nothing behind the block is ever reached.
pub(crate) fn block_returns(block: &[Node]) -> bool {
    block.iter().any(Node::always_returns)
}

impl Case {
    /// Every instruction, outer ones first.
    pub(crate) fn nodes(&self) -> Vec<&Node> {
        let mut nodes: Vec<&Node> = self.body.iter().collect();
        let mut next = 0;
        while next < nodes.len() {
            nodes.extend(nodes[next].blocks().into_iter().flatten());
            next += 1;
        }
        nodes
    }

    /// The steps and predicates that the outline names, with their places in the lists.
    pub(crate) fn named(&self) -> (Placed<'_, Step>, Placed<'_, Predicate>) {
        let nodes = self.nodes();
        let has_step = |place: usize| nodes.iter().any(|node| matches!(node, Node::Step(step) if *step == place));
        let asks = |place: usize| {
            nodes.iter().any(|node| match node {
                Node::If { branches, .. } => branches.iter().any(|(predicate, _)| *predicate == place),
                Node::While(predicate, _) => *predicate == place,
                _ => false,
            })
        };
        let steps = self.steps.iter().enumerate().filter(|(place, _)| has_step(*place)).collect();
        (steps, self.predicates.iter().enumerate().filter(|(place, _)| asks(*place)).collect())
    }

    /// The steps that stand at an end of the outline, where nothing follows them.
    pub(crate) fn last_steps(&self) -> Vec<usize> {
        fn of(block: &[Node], steps: &mut Vec<usize>) {
            match block.last() {
                Some(Node::Step(step)) => steps.push(*step),
                Some(node @ Node::If { .. }) => node.blocks().into_iter().for_each(|block| of(block, steps)),
                _ => {}
            }
        }
        let mut steps = Vec::new();
        of(&self.body, &mut steps);
        steps
    }

    /// Whether it can be written in both languages and ends in both: what a reduced case may have lost.
    pub(crate) fn is_sound(&self) -> bool {
        let blocks_are_sound = |node: &Node| node.blocks().into_iter().all(|block| block_is_sound(block));
        let rounds_step = |node: &Node| match node {
            Node::While(_, body) => body.iter().any(|node| matches!(node, Node::Step(_))) || block_returns(body),
            _ => true,
        };
        block_is_sound(&self.body) && self.nodes().into_iter().all(|node| blocks_are_sound(node) && rounds_step(node))
    }

    /// The outputs that every way to a normal end has returned by `=>`: those may be required.
    pub(crate) fn certain_outputs(&self) -> Option<Vec<String>> {
        let mut ends = Vec::new();
        let at_end = self.certain(&self.body, Some(Vec::new()), &mut ends);
        ends.into_iter().chain(at_end).reduce(|a, b| both(&a, &b))
    }

    fn certain(&self, block: &[Node], set: Option<Vec<String>>, ends: &mut Vec<Vec<String>>) -> Option<Vec<String>> {
        let mut set = set?;
        for node in block {
            match node {
                Node::Step(step) => set.extend(self.steps[*step].gives.iter().map(|(name, _)| name.clone())),
                Node::While(_, body) => drop(self.certain(body, Some(set.clone()), ends)),
                Node::Return(exit) => {
                    if exit.is_none() {
                        ends.push(set);
                    }
                    return None;
                }
                Node::If { branches, otherwise } => {
                    let mut behind = Vec::new();
                    for (_, body) in branches {
                        behind.extend(self.certain(body, Some(set.clone()), ends));
                    }
                    behind.extend(match otherwise {
                        Some(body) => self.certain(body, Some(set), ends),
                        None => Some(set),
                    });
                    set = behind.into_iter().reduce(|a, b| both(&a, &b))?;
                }
            }
        }
        Some(set)
    }
}

/// What is in both.
fn both(a: &[String], b: &[String]) -> Vec<String> {
    a.iter().filter(|name| b.contains(name)).cloned().collect()
}

/// Not empty, and nothing behind an end.
fn block_is_sound(block: &[Node]) -> bool {
    let before_last = block.len().saturating_sub(1);
    !block.is_empty() && !block[..before_last].iter().any(Node::always_returns)
}
