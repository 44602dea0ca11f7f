//! Makes a random case from a seed and a number.

use serde_json::{Value, json};

use super::case::{
    ALWAYS, Action, Case, End, Form, KINDS, Launch, Node, Output, Predicate, Step, Table, Type, block_returns,
};
use super::random::Random;

/// Instructions of an outline.
const INSTRUCTIONS: usize = 20;
/// Blocks within blocks.
const DEPTH: usize = 4;
/// After so many steps no loop goes on.
const STEPS_IN_LOOPS: usize = 12;
const TYPES: [Type; 5] = [Type::Integer, Type::Text, Type::Float, Type::Boolean, Type::List];
/// The namespace within a namespace, and its dot.
pub(crate) const DEEP: &str = "deep.";
/// Names in a dynamic namespace. No name is the beginning of another: plumpy refuses that when it is emitted, and we
/// when the step has ended.
const FREE: [&str; 5] = ["a", "b", "c", "n.a", "m.b.c"];
/// Exit codes of every process.
pub(crate) const EXITS: [i64; 2] = [410, 420];

/// The case with this number.
pub(crate) fn case(seed: u64, number: u64) -> Case {
    let mut random = Random::new(seed, number);
    loop {
        let case = Make::new(random.clone(), seed, number).case();
        // Blocks are never empty, so the last of them may have gone beyond.
        if case.nodes().len() <= INSTRUCTIONS {
            return case;
        }
        random.next();
    }
}

struct Make {
    random: Random,
    case: Case,
    /// Instructions that may still be made.
    left: usize,
    /// Predicates that end a loop.
    bounded: Vec<usize>,
}

impl Make {
    fn new(random: Random, seed: u64, number: u64) -> Self {
        let (outputs, body, steps, predicates) = Default::default();
        let case = Case { name: format!("C{number}"), seed, outputs, body, steps, predicates };
        Self { random, case, left: 0, bounded: Vec::new() }
    }

    fn case(mut self) -> Case {
        self.left = self.random.from(1, INSTRUCTIONS);
        self.outputs();
        let mut body = self.block(0, false);
        while self.left > 0 && !block_returns(&body) {
            let more = self.block(0, false);
            body.extend(more);
        }
        self.case.body = body;
        self.require();
        self.keep_waits_from_the_end();
        self.case
    }

    fn outputs(&mut self) {
        for number in 0..self.random.from(1, 3) {
            let of = self.random.one(&TYPES);
            self.case.outputs.push(Output::Port { name: format!("o{number}"), of, required: false });
        }
        for number in 0..self.random.below(3) {
            let mut ports = Vec::new();
            for port in 0..self.random.from(1, 4) {
                let deep = if port > 0 && self.random.chance(35) { DEEP } else { "" };
                ports.push((format!("{deep}p{port}"), self.random.one(&TYPES), self.random.chance(40)));
            }
            self.case.outputs.push(Output::Namespace { name: format!("ns{number}"), ports });
        }
        if self.random.chance(40) {
            let of = if self.random.chance(50) { Type::Any } else { self.random.one(&TYPES) };
            self.case.outputs.push(Output::Dynamic { name: "free".to_owned(), of });
        }
    }

    /// A block; in a loop each round of it takes a step.
    fn block(&mut self, depth: usize, round: bool) -> Vec<Node> {
        let mut nodes = Vec::new();
        let wanted = self.random.from(1, 4);
        let step_at = self.random.below(wanted);
        for place in 0..wanted {
            if nodes.last().is_some_and(Node::always_returns) {
                break;
            }
            if (round && place == step_at) || (nodes.is_empty() && self.left == 0) {
                nodes.push(self.step_node());
                continue;
            }
            if self.left == 0 {
                break;
            }
            let node = self.node(depth, place + 1 == wanted);
            nodes.push(node);
        }
        if round && !nodes.iter().any(|node| matches!(node, Node::Step(_))) {
            let step = self.step_node();
            nodes.insert(0, step);
        }
        nodes
    }

    fn node(&mut self, depth: usize, last: bool) -> Node {
        let kind = self.random.below(100);
        // A block needs an instruction for itself and one in it.
        let nests = depth < DEPTH && self.left >= 2;
        match kind {
            0..25 if nests => self.branch(depth),
            25..45 if nests => {
                self.left -= 1;
                let predicate = self.predicate(true);
                let body = self.block(depth + 1, true);
                Node::While(predicate, body)
            }
            45..60 if last && (depth > 0 || self.random.chance(25)) => {
                self.left -= 1;
                let exit = self.random.one(&EXITS);
                Node::Return(self.random.chance(50).then_some(exit))
            }
            _ => self.step_node(),
        }
    }

    fn branch(&mut self, depth: usize) -> Node {
        self.left -= 1;
        let mut branches = Vec::new();
        for branch in 0..3 {
            if branch == 0 || (self.left > 0 && self.random.chance(35)) {
                let predicate = self.predicate(false);
                branches.push((predicate, self.block(depth + 1, false)));
            }
        }
        let otherwise = (self.left > 0 && self.random.chance(40)).then(|| self.block(depth + 1, false));
        Node::If { branches, otherwise }
    }

    fn step_node(&mut self) -> Node {
        self.left = self.left.saturating_sub(1);
        let known = self.case.steps.len();
        if known > 0 && self.random.chance(15) {
            return Node::Step(self.random.below(known));
        }
        let step = self.step();
        self.case.steps.push(step);
        Node::Step(known)
    }

    fn predicate(&mut self, bounded: bool) -> usize {
        if bounded && !self.bounded.is_empty() && self.random.chance(15) {
            return self.random.one(&self.bounded.clone());
        }
        let known = self.case.predicates.len();
        if !bounded && known > 0 && self.random.chance(15) {
            return self.random.below(known);
        }
        let mut table = self.random.next() | self.random.next() & if bounded { ALWAYS } else { 0 };
        if bounded {
            table &= (1 << STEPS_IN_LOOPS) - 1;
            self.bounded.push(known);
        }
        let fails = if self.random.chance(4) { self.once() } else { 0 };
        let panics = self.random.chance(30);
        self.case.predicates.push(Predicate { table, fails, panics });
        known
    }

    /// A table that holds at one number of steps.
    fn once(&mut self) -> Table {
        1 << self.random.from(1, STEPS_IN_LOOPS)
    }

    fn table(&mut self) -> Table {
        if self.random.chance(50) { ALWAYS } else { self.random.next() }
    }

    fn step(&mut self) -> Step {
        let form = match self.random.below(10) {
            0..6 => Form::Plain,
            6..9 => Form::Async,
            _ => Form::Blocking,
        };
        let mut step = Step { form, actions: Vec::new(), ends: Vec::new(), gives: Vec::new() };
        for _ in 0..self.random.below(3) {
            let action = self.output_action();
            step.actions.push((self.table(), action));
        }
        if self.random.chance(30) {
            self.gives(&mut step);
        }
        if step.gives.is_empty() && self.random.chance(10) {
            step.ends.push((self.table(), End::Wait));
        } else {
            self.awaited(&mut step);
        }
        if self.random.chance(16) {
            let (when, end) = (if self.random.chance(30) { self.table() } else { self.once() }, self.end());
            // A step that gives outputs cannot end in another way than failing.
            let end = if step.gives.is_empty() || matches!(end, End::Panic) { end } else { End::Fail };
            step.ends.insert(0, (when, end));
        }
        step
    }

    fn gives(&mut self, step: &mut Step) {
        for output in self.case.outputs.clone() {
            if let Output::Port { name, of, .. } = output
                && self.random.chance(60)
            {
                let value = self.value(of);
                step.gives.push((name, value));
            }
        }
    }

    fn awaited(&mut self, step: &mut Step) {
        if self.random.chance(6) {
            step.actions.push((self.table(), Action::Sleep));
        }
        if !self.random.chance(18) {
            return;
        }
        for place in 0..self.random.from(1, 3) {
            // Most children end well, or few processes would get beyond them.
            let kind = if self.random.chance(88) { self.random.one(&KINDS[..5]) } else { self.random.one(&KINDS) };
            let how = match self.random.below(10) {
                0..6 => Launch::Awaited,
                6 if place == 0 && step.gives.is_empty() && step.ends.is_empty() => Launch::Returned,
                _ => Launch::Detached,
            };
            let when = if how == Launch::Returned { ALWAYS } else { self.table() };
            step.actions.push((when, Action::Launch { kind, how }));
        }
    }

    fn end(&mut self) -> End {
        match self.random.below(12) {
            0..3 => End::Fail,
            3 => End::Panic,
            4..6 => {
                let of = self.random.one(&TYPES);
                End::Stop(if self.random.chance(30) { json!(0) } else { self.value(of) })
            }
            6..9 => End::Exit(self.random.one(&EXITS)),
            _ => End::Kill,
        }
    }

    fn output_action(&mut self) -> Action {
        let wrong = self.random.chance(5);
        let output = self.random.below(self.case.outputs.len());
        let (path, value) = match self.case.outputs[output].clone() {
            _ if wrong && self.random.chance(30) => {
                (self.random.one(&["nope", "o0.inner", "ns0.nope"]).to_owned(), json!(1))
            }
            Output::Port { name, of, .. } => (name, self.value_or_wrong(of, wrong)),
            Output::Dynamic { name, of } => {
                // Values in values are for namespaces that take anything: a map of integers holds none (S79).
                let names = if of == Type::Any { &FREE[..] } else { &FREE[..3] };
                (format!("{name}.{}", self.random.one(names)), self.value_or_wrong(of, wrong))
            }
            Output::Namespace { name, ports } if self.random.chance(25) => (name, self.mapping(&ports, wrong)),
            Output::Namespace { name, ports } => {
                let (port, of, _) = &ports[self.random.below(ports.len())];
                (format!("{name}.{port}"), self.value_or_wrong(*of, wrong))
            }
        };
        Action::Out { path, value, tolerant: self.random.chance(30) }
    }

    /// A value for a whole namespace. An empty one is as good as none (S79).
    fn mapping(&mut self, ports: &[(String, Type, bool)], wrong: bool) -> Value {
        let mut values = json!({});
        if self.random.chance(12) {
            return values;
        }
        for (port, of, required) in ports {
            if *required || self.random.chance(50) {
                let value = self.value_or_wrong(*of, wrong);
                match port.strip_prefix(DEEP) {
                    Some(port) => values["deep"][port] = value,
                    None => values[port] = value,
                }
            }
        }
        values
    }

    fn value_or_wrong(&mut self, of: Type, wrong: bool) -> Value {
        if !wrong {
            return self.value(of);
        }
        // Not generated: booleans for integers and integers for floats, where Python's types differ (S69).
        match of {
            Type::Text => json!(3),
            Type::Any => json!({ "x": [null, { "y": 1 }] }),
            Type::List => json!("text"),
            _ => json!([1]),
        }
    }

    fn value(&mut self, of: Type) -> Value {
        let n = self.random.from(1, 9);
        match of {
            Type::Integer => json!(n),
            Type::Text => json!(format!("text {n}")),
            Type::Float => json!(f64::from(u8::try_from(n).unwrap_or_default()) + 0.5),
            Type::Boolean => json!(n > 4),
            Type::List => json!([n, n + 1]),
            Type::Any => {
                let of = self.random.one(&TYPES);
                self.value(of)
            }
        }
    }

    /// Makes some of the outputs required that are set on all ways to a normal end; others could not be compiled.
    fn require(&mut self) {
        let certain = self.case.certain_outputs();
        for output in &mut self.case.outputs {
            if let Output::Port { name, required, .. } = output {
                let possible = certain.as_ref().is_none_or(|certain| certain.contains(name));
                *required = possible && self.random.chance(80);
            }
        }
    }

    /// A wait in the last step has no counterpart: plumpy asks its outline for a step behind the end, and excepts.
    fn keep_waits_from_the_end(&mut self) {
        for step in self.case.last_steps() {
            self.case.steps[step].ends.retain(|(_, end)| *end != End::Wait);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_number_gives_the_same_case_and_another_another() {
        assert_eq!(case(3, 4), case(3, 4));
        assert_ne!(case(3, 4).steps, case(3, 5).steps);
        assert_ne!(case(3, 4).steps, case(4, 4).steps);
    }

    #[test]
    fn every_case_can_be_written_and_ends() {
        let (mut deepest, mut longest) = (0, 0);
        for number in 0..2_000 {
            let case = case(5, number);
            assert!(case.is_sound(), "{case:?}");
            deepest = deepest.max(case.body.iter().map(Node::depth).max().unwrap_or_default());
            longest = longest.max(case.nodes().len());
            for node in case.nodes() {
                if let Node::While(predicate, _) = node {
                    assert!(case.predicates[*predicate].table < 1 << STEPS_IN_LOOPS, "a loop that never ends");
                }
            }
        }
        assert_eq!((deepest, longest), (DEPTH, INSTRUCTIONS));
    }

    #[test]
    fn required_outputs_are_set_on_every_way_to_a_normal_end() {
        let case = Case {
            name: "C".into(),
            seed: 0,
            outputs: Vec::new(),
            body: vec![
                Node::Step(0),
                Node::If {
                    branches: vec![(0, vec![Node::Step(1)]), (0, vec![Node::Return(Some(410))])],
                    otherwise: None,
                },
                Node::While(0, vec![Node::Step(2)]),
            ],
            steps: ["a", "b", "c"]
                .map(|name| Step {
                    form: Form::Plain,
                    actions: Vec::new(),
                    ends: Vec::new(),
                    gives: vec![(name.to_owned(), json!(1))],
                })
                .to_vec(),
            predicates: vec![Predicate { table: 0, fails: 0, panics: false }],
        };
        assert_eq!(case.certain_outputs(), Some(vec!["a".to_owned()]));
        let always = Case { body: vec![Node::Return(Some(410))], ..case };
        assert_eq!(always.certain_outputs(), None);
    }
}
