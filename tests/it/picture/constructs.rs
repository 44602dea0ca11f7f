//! Every construct of outlines, in all forms.

use procession::outline::{Branch, Node, Outline, Step};
use procession::picture::Picture;
use procession::spec::ExitCode;

use super::check_all;

pub(super) const fn step(name: &'static str) -> Node {
    Node::Step(Step::new(name, name))
}

const fn exit(name: &'static str) -> Node {
    Node::Return { exit: Some(name), line: 1 }
}

const RETURN: Node = Node::Return { exit: None, line: 1 };

const DOC: &str = "Looks once more, and that with care: what is not seen now is not seen at all,
    and nobody will come back to it before the end of the whole process, which is far away.";

const ROUND: &[Node] = &[
    step("look"),
    Node::If {
        branches: &[
            Branch::new("first", &[step("rest"), step("sleep")], 1),
            Branch::new("second", &[RETURN], 1),
            Branch::new("third_and_longer", &[Node::While(Branch::new("hungry", &[step("eat")], 1))], 1),
        ],
        otherwise: &[exit("Bored")],
    },
    Node::Step(Step::new("while_(unconverged)/look", "look").doc(DOC).blocking().outputs(&["energy", "forces"])),
];

/// Branches in a loop, a loop in a branch, returns with and without an exit code.
pub(super) const NESTED: Outline = Outline {
    body: &[
        step("begin"),
        Node::While(Branch::new("unconverged", ROUND, 1)),
        Node::If { branches: &[Branch::new("settled", &[RETURN], 1)], otherwise: &[exit("Lost")] },
    ],
};

/// A way out before the work, as most loops have it.
const GUARDS: Outline = Outline {
    body: &[
        Node::While(Branch::new(
            "more",
            &[
                Node::If { branches: &[Branch::new("exhausted", &[exit("Bored")], 1)], otherwise: &[] },
                step("work"),
                Node::If { branches: &[Branch::new("noisy", &[step("tell")], 1)], otherwise: &[] },
            ],
            1,
        )),
        step("finish"),
    ],
};

/// Blocks that the macro refuses, but that can be written by hand.
const EMPTY: Outline = Outline {
    body: &[
        Node::While(Branch::new("p", &[], 1)),
        Node::If { branches: &[Branch::new("q", &[], 1), Branch::new("r", &[], 1)], otherwise: &[] },
        Node::If { branches: &[Branch::new("q", &[], 1)], otherwise: &[step("work")] },
        Node::If { branches: &[], otherwise: &[step("always")] },
    ],
};

/// What comes after an end is drawn without a way to it.
const UNREACHABLE: Outline = Outline {
    body: &[step("work"), RETURN, step("never"), Node::While(Branch::new("once", &[step("go"), RETURN], 1))],
};

const LONG: Outline = Outline {
    body: &[
        step(
            "a_step_whose_name_is_so_long_that_it_takes_more_than_one_line_and_more_than_three_of_them_if_it_only_could",
        ),
        Node::While(Branch::new(
            "a_predicate_with_a_name_that_tells_all_about_it",
            &[step("anamewithoutanyplacewhereitcouldbebrokenintolinesthatarenotthiswide")],
            1,
        )),
        exit("AnExitCodeThatHasANameInWhichAllIsSaidThatThereIsToSay"),
    ],
};

const UNICODE: Outline = Outline {
    body: &[
        Node::Step(Step::new("計算を実行する", "計算を実行する").doc("収束するまで続ける。").outputs(&["énergie"])),
        Node::While(Branch::new("ещё_не_всё", &[step("Bi₂Te₃")], 1)),
        step("e\u{301}tat"),
    ],
};

/// What lives as long as the program, as constants do.
pub(super) fn keep<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

pub(super) fn hundred() -> Outline {
    let nodes = (0..100).map(|index| step(keep(format!("step_{index}"))));
    Outline { body: keep(nodes.collect::<Vec<_>>()) }
}

/// So many blocks within one another.
pub(super) fn deep(levels: usize) -> Outline {
    let bottom = keep([step("bottom")]) as &'static [Node];
    let body = (0..levels).rev().fold(bottom, |body, level| {
        let branch = Branch::new(keep(format!("level_{level}")), body, 1);
        match level % 2 {
            0 => keep([Node::While(branch)]),
            _ => keep([Node::If { branches: keep([branch]), otherwise: &[] }]),
        }
    });
    Outline { body }
}

/// All of them, each under the name of its files.
pub(super) fn all() -> Vec<(&'static str, Picture)> {
    let outlines = [
        ("nested", NESTED),
        ("guards", GUARDS),
        ("empty", EMPTY),
        ("nothing", Outline { body: &[] }),
        ("unreachable", UNREACHABLE),
        ("long", LONG),
        ("unicode", UNICODE),
        ("hundred", hundred()),
        ("deep", deep(30)),
    ];
    let exits = [ExitCode::new(310, "Bored", "there was nothing to do"), ExitCode::new(320, "Lost", "")];
    let picture = |(name, outline): (&'static str, Outline)| (name, Picture::new(name, &outline).with_exits(&exits));
    let mut all: Vec<_> = outlines.into_iter().map(picture).collect();
    all.push(("set", Picture::of_steps("set", ["open", "count", "close"])));
    all
}

#[test]
fn each_construct_is_drawn_as_it_is_kept() {
    for (name, picture) in all() {
        check_all(name, &picture);
    }
}

#[test]
fn what_is_nested_too_deep_is_told_and_not_drawn() {
    let depth = procession::limits::PICTURE_DEPTH;
    let drawn = Picture::new("Deep", &deep(depth)).text(400, false);
    assert!(drawn.contains("bottom"), "{drawn}");
    for levels in [depth + 1, 300] {
        let picture = Picture::new("Deep", &deep(levels));
        assert!(picture.text(400, false).contains("1 step, nested too deep to be drawn"));
        assert!(!picture.svg().contains("bottom") && !picture.mermaid().contains("bottom"));
    }
}

#[test]
fn a_picture_is_the_same_each_time() {
    for ((name, first), (_, second)) in all().into_iter().zip(all()) {
        let forms = |picture: &Picture| (picture.text(80, true), picture.mermaid(), picture.svg());
        assert_eq!(forms(&first), forms(&second), "{name}");
    }
}

/// How many columns a text of these tests takes.
fn columns(line: &str) -> usize {
    line.chars().map(|c| if ('\u{3000}'..'\u{a000}').contains(&c) { 2 } else { usize::from(c != '\u{301}') }).sum()
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for (name, picture) in all() {
        for width in [20, 21, 40, 80, 200] {
            for line in picture.text(width, false).lines() {
                assert!(columns(line) <= width, "{name} in {width} columns: `{line}`");
            }
        }
        assert_eq!(picture.text(0, false), picture.text(20, false), "{name}");
    }
}

#[test]
fn colours_are_all_that_colours_change() {
    for (name, picture) in all() {
        let (plain, coloured) = (picture.text(60, false), picture.text(60, true));
        assert!(!plain.contains('\u{1b}'), "{name}");
        let mut parts = coloured.split("\u{1b}[");
        let first = parts.next().unwrap_or_default().to_owned();
        let stripped = parts.fold(first, |text, part| text + part.split_once('m').expect("a code ends").1);
        let trimmed = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
        assert_eq!(trimmed(&stripped), trimmed(&plain), "{name}");
    }
}
