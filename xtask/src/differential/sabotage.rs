//! Cases that are written differently in the two languages: a comparison that finds nothing there finds nothing at all.

use serde_json::json;

use super::batch::Recorded;
use super::case::{ALWAYS, Action, Case, End, Form, Node, Output, Predicate, Step, Type};
use super::compare::{Applied, compare};

/// What is done to our side, and the part of the comparison that must notice.
type Damage = (&'static str, &'static str, fn(&mut Case));

const DAMAGES: [Damage; 7] = [
    ("a predicate is flipped", "steps, predicates and outputs", |case| case.predicates[0].table = 0),
    ("two steps are swapped", "steps, predicates and outputs", |case| case.body.swap(0, 1)),
    ("a wait is left out", "states", |case| drop(case.steps[1].ends.pop())),
    ("another value is emitted", "outputs", |case| {
        case.steps[0].actions[0].1 = Action::Out { path: "o0".to_owned(), value: json!(2), tolerant: false };
    }),
    ("a step ends the process with another code", "end", |case| case.steps[2].ends = vec![(ALWAYS, End::Exit(410))]),
    ("a step fails that should not", "end", |case| case.steps[2].ends = vec![(ALWAYS, End::Fail)]),
    ("an output is missing", "outputs that listeners heard of", |case| drop(case.steps[0].actions.pop())),
];

/// The case of which the others differ.
fn original(name: String) -> Case {
    let step = |actions, ends| Step { form: Form::Plain, actions, ends, gives: Vec::new() };
    let out = Action::Out { path: "o0".to_owned(), value: json!(1), tolerant: false };
    Case {
        name,
        seed: 0,
        outputs: vec![Output::Port { name: "o0".to_owned(), of: Type::Integer, required: false }],
        body: vec![
            Node::Step(0),
            Node::Step(1),
            Node::If { branches: vec![(0, vec![Node::Step(3)])], otherwise: None },
            Node::Step(2),
        ],
        steps: vec![
            step(vec![(ALWAYS, out)], vec![]),
            step(vec![], vec![(ALWAYS, End::Wait)]),
            step(vec![], vec![(ALWAYS, End::Exit(420))]),
            step(vec![], vec![]),
        ],
        predicates: vec![Predicate { table: ALWAYS, fails: 0, panics: false }],
    }
}

/// The cases for plumpy, and the damaged ones for our side. The first of them is whole.
pub(crate) fn cases() -> (Vec<Case>, Vec<Case>) {
    let whole = original("Whole".to_owned());
    let plumpy: Vec<Case> = (0..DAMAGES.len()).map(|number| original(format!("Damaged{number}"))).collect();
    let mut ours = plumpy.clone();
    ours.iter_mut().zip(&DAMAGES).for_each(|(case, (_, _, damage))| damage(case));
    (std::iter::once(whole.clone()).chain(plumpy).collect(), std::iter::once(whole).chain(ours).collect())
}

/// What the comparison failed to notice.
pub(crate) fn unnoticed(recorded: impl Fn(&str) -> Recorded) -> Vec<String> {
    let mut unnoticed = Vec::new();
    if !compare(&recorded("Whole"), &mut Applied::new()).is_empty() {
        unnoticed.push("the comparison finds a difference where there is none".to_owned());
    }
    for (number, (what, part, _)) in DAMAGES.iter().enumerate() {
        let differences = compare(&recorded(&format!("Damaged{number}")), &mut Applied::new());
        // In every mode that looks at it: without an observer there are no states and nobody hears of outputs.
        let observed = *part == "states" || part.contains("listeners");
        let modes = if observed { "volatile, stored: " } else { "quiet, volatile, stored: " };
        let expected = |text: &String| text.starts_with(modes) && text.contains(&format!(": {part}"));
        if !differences.iter().any(expected) {
            unnoticed.push(format!("{what}, and the comparison does not notice: {differences:?}"));
        }
    }
    unnoticed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_blind_comparison_does_not_notice_is_told() {
        // Nothing was recorded: the case that is whole differs, and no damage is found where it was done.
        assert_eq!(unnoticed(|_| Recorded::default()).len(), 1 + DAMAGES.len());
    }

    #[test]
    fn every_damage_changes_the_case() {
        let (plumpy, ours) = cases();
        let same = plumpy.iter().zip(&ours).filter(|(a, b)| a == b).map(|(case, _)| case.name.as_str());
        assert_eq!(same.collect::<Vec<_>>(), ["Whole"]);
        assert!(plumpy.iter().chain(&ours).all(Case::is_sound));
    }
}
