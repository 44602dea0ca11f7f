//! What was ordered, held against what the database and the effects say.

use procession::ProcessId;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;

use super::eye::Eye;
use super::load::Order;
use super::loss::Loss;

/// How many lines of each list are shown.
const SHOWN: usize = 10;

/// What an account comes to.
#[derive(Debug, Default)]
pub(crate) struct Balance {
    pub(crate) ordered: usize,
    pub(crate) processes: usize,
    /// Those that have ended.
    pub(crate) ended: Vec<ProcessId>,
    pub(crate) steps: u64,
    /// Lines of effects beyond one for each step: steps that were cut off by a loss.
    pub(crate) repeated: u64,
    /// Effects of steps that had been committed before, by workers that had begun them in time.
    pub(crate) late: Vec<String>,
    /// Processes that were ordered, or launched as children, and did not come to their end.
    pub(crate) lost: Vec<String>,
    /// Processes that are there, or have ended, or were told to have ended, more than once.
    pub(crate) doubled: Vec<String>,
    /// Ends that are others than they should be.
    pub(crate) wrong: Vec<String>,
    /// Callers who were not told.
    pub(crate) untold: Vec<String>,
    /// Steps that ran again although they were committed.
    pub(crate) rerun: Vec<String>,
}

/// A process as the tables have it.
#[derive(Debug)]
struct Row {
    pid: ProcessId,
    parent: Option<i64>,
    state: String,
    steps: u64,
    chain: Option<u64>,
    parked: Option<String>,
    ends: i64,
}

const ROWS: &str = "SELECT p.id, convert_from(p.pid, 'UTF8'), p.parent, c.state, c.steps, convert_from(c.outputs, 'UTF8'),
        convert_from(c.parked, 'UTF8'),
        (SELECT count(*) FROM history AS h WHERE h.process = p.id AND h.entered_state IN ('finished', 'excepted', 'killed')),
        convert_from(p.key, 'UTF8')
    FROM process AS p JOIN checkpoint AS c ON c.id = p.id ORDER BY p.id";

/// Reads all; nothing runs any more.
pub(crate) async fn balance(eye: &Eye, orders: &[Order], effects: &Path, losses: &[Loss]) -> Balance {
    let mut balance = Balance { ordered: orders.len(), ..Balance::default() };
    let (mut roots, mut children) = (HashMap::new(), HashMap::<i64, Vec<Row>>::new());
    for row in eye.rows(ROWS, &[]).await {
        let (id, pid, outputs): (i64, String, String) = (row.get(0), row.get(1), row.get(5));
        let outputs: serde_json::Value = serde_json::from_str(&outputs).expect("outputs are JSON");
        let read = Row {
            pid: pid.into(),
            parent: row.get(2),
            state: row.get(3),
            steps: row.get::<_, i64>(4).unsigned_abs(),
            chain: outputs["chain"].as_u64(),
            parked: row.get(6),
            ends: row.get(7),
        };
        balance.processes += 1;
        balance.ended.extend((read.ends > 0).then(|| read.pid.clone()));
        match (read.parent, row.get::<_, Option<String>>(8)) {
            (Some(parent), _) => children.entry(parent).or_default().push(read),
            (None, key) => drop(roots.insert(key.unwrap_or_default(), (id, read))),
        }
    }
    let mut expected = HashMap::new();
    for order in orders {
        let Some((id, root)) = roots.remove(&order.name) else {
            balance.lost.push(format!("{}: it is not there", order.name));
            continue;
        };
        balance.compare(&order.name, &root, order.steps, order.chain());
        expected.insert(root.pid.clone(), order.steps);
        if order.pid.as_ref().is_some_and(|pid| *pid != root.pid) {
            balance.doubled.push(format!("{}: who launched it has another", order.name));
        }
        match order.told[..] {
            [told] if told == order.chain() => {}
            [told] => balance.wrong.push(format!("{}: who waits was told {told}", order.name)),
            [] => balance.untold.push(format!("{} `{}`: who waits for it was not told", order.name, root.pid)),
            _ => balance.doubled.push(format!("{}: its end was told {} times", order.name, order.told.len())),
        }
        let children = children.remove(&id).unwrap_or_default();
        for (index, child) in (0..).zip(&children) {
            balance.compare(&format!("{}/{index}", order.name), child, order.steps, order.chain_of_child(index));
            expected.insert(child.pid.clone(), order.steps);
        }
        let (there, wanted) = (children.len() as u64, order.children);
        if there != wanted {
            let list = if there < wanted { &mut balance.lost } else { &mut balance.doubled };
            list.push(format!("{}: {there} children in place of {wanted}", order.name));
        }
    }
    for (key, (_, row)) in roots {
        balance.doubled.push(format!("`{key}` `{}`: nobody ordered it", row.pid));
    }
    let text = std::fs::read_to_string(effects).expect("effects are text");
    balance.read_effects(&text, &expected, losses);
    balance
}

impl Balance {
    /// Whether everyone has what he was promised, once.
    pub(crate) fn is_even(&self) -> bool {
        [&self.lost, &self.doubled, &self.wrong, &self.untold, &self.rerun].iter().all(|list| list.is_empty())
    }

    fn compare(&mut self, name: &str, row: &Row, steps: u64, chain: u64) {
        let pid = &row.pid;
        if let Some(reason) = &row.parked {
            self.lost.push(format!("{name} `{pid}`: parked: {reason}"));
        } else if row.ends == 0 {
            self.lost.push(format!("{name} `{pid}`: it never ended, and is {} after {} steps", row.state, row.steps));
        } else if row.ends > 1 {
            self.doubled.push(format!("{name} `{pid}`: it ended {} times", row.ends));
        } else if (row.state.as_str(), row.steps, row.chain) != ("finished", steps, Some(chain)) {
            let (state, took, chain) = (&row.state, row.steps, row.chain);
            self.wrong.push(format!("{name} `{pid}`: {state} after {took} of {steps} steps with {chain:?}"));
        }
    }

    /// Each line is a step that ran to its end, in the order in which they did.
    fn read_effects(&mut self, text: &str, expected: &HashMap<ProcessId, u64>, losses: &[Loss]) {
        let (mut last, mut seen, mut offset) = (HashMap::<ProcessId, u64>::new(), HashSet::new(), 0);
        for line in text.split_inclusive('\n') {
            offset += line.len() as u64;
            let mut fields = line.split_whitespace();
            let (Some(pid), Some(step)) = (fields.next(), fields.next().and_then(|step| step.parse::<u64>().ok()))
            else {
                self.wrong.push(format!("a line of effects: `{line}`"));
                continue;
            };
            let pid = ProcessId::from(pid.to_owned());
            if !seen.insert((pid.clone(), step)) {
                self.repeated += 1;
            }
            let before = last.entry(pid.clone()).or_default();
            // A later one that has begun shows that this one was committed.
            if step < *before {
                self.late.push(format!("`{pid}`: step {step} after step {before}"));
            } else if step > *before + 1 {
                self.wrong.push(format!("`{pid}`: step {step} after step {before}"));
            }
            *before = step.max(*before);
            for loss in losses.iter().filter(|loss| loss.effects < offset) {
                if loss.steps.get(&pid).is_some_and(|committed| step <= *committed) {
                    self.rerun.push(format!("`{pid}`: step {step}, which was committed when its worker was lost"));
                }
            }
        }
        self.steps = seen.len() as u64;
        for (pid, steps) in expected {
            let left = last.get(pid).copied().unwrap_or_default();
            if left != *steps {
                self.lost.push(format!("`{pid}`: effects of {left} steps in place of {steps}"));
            }
        }
        for pid in last.keys().filter(|pid| !expected.contains_key(*pid)) {
            self.doubled.push(format!("`{pid}`: effects of what nobody ordered"));
        }
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ordered, processes, steps, repeated, late, lost, doubled, wrong, untold, rerun, ended: _ } = self;
        write!(f, "{ordered} ordered, {processes} processes, {steps} steps, {repeated} cut off and run again")?;
        let lists = [
            ("lost", lost),
            ("doubled", doubled),
            ("wrong", wrong),
            ("untold", untold),
            ("rerun", rerun),
            ("late", late),
        ];
        for (name, list) in lists {
            write!(f, ", {} {name}", list.len())?;
        }
        for (name, list) in lists {
            for line in list.iter().take(SHOWN) {
                write!(f, "\n  {name}: {line}")?;
            }
        }
        Ok(())
    }
}
