//! Where everything stands in an SVG. The flow of a block goes down one axis, from which its shapes are measured.
//!
//! Down, where a predicate holds; to the right, where it does not; back on the left. So no two lines ever cross.

use super::node::{Node, card, hexagon, pill};
use super::run::Mark;
use super::tree::{Item, Kind, Tree};

/// Between two instructions: an arrow, and a word beside it.
const GAP: i32 = 30;
/// From what is gone round to the line that goes round.
const LANE: i32 = 24;
/// From that line to the edge of the zone.
const MARGIN: i32 = 14;
/// Between two branches: an arrow, and a word above it.
const BETWEEN: i32 = 44;
/// From the end of a block to the line that goes back, or joins others.
const JOIN: i32 = 18;
/// Where a line that has joined others ends, so that its corner is round.
const CORNER: i32 = 8;
pub(super) enum Shape {
    /// The ground of a loop.
    Zone {
        left: i32,
        top: i32,
        width: i32,
        height: i32,
        odd: bool,
    },
    /// A line through these points, with round corners.
    Flow {
        points: Vec<(i32, i32)>,
        arrow: bool,
    },
    /// A word beside a line.
    Answer {
        x: i32,
        y: i32,
        word: &'static str,
    },
    Node(Node),
    Start {
        x: i32,
        y: i32,
    },
    End {
        x: i32,
        y: i32,
        mark: Mark,
    },
}

/// Shapes around an axis, and where the flow comes in and goes out.
#[derive(Default)]
pub(super) struct Block {
    pub(super) left: i32,
    pub(super) right: i32,
    pub(super) height: i32,
    entry: i32,
    exit: i32,
    through: bool,
    pub(super) shapes: Vec<Shape>,
}

/// The whole picture, but for its title.
pub(super) fn whole(tree: &Tree) -> Block {
    if !tree.ordered {
        return set(&tree.body);
    }
    let mut block = Block { height: 7, exit: 7, through: true, ..Block::default() };
    block.shapes.push(Shape::Start { x: 0, y: 0 });
    block.append(sequence(&tree.body, 0));
    if block.through {
        let y = block.height + GAP + 10;
        block.line(&[(0, block.exit), (0, y - 10)], true);
        block.shapes.push(Shape::End { x: 0, y, mark: tree.end });
        block.height = y + 11;
    }
    (block.left, block.right) = (block.left.max(11), block.right.max(11));
    block
}

/// The steps of a process without an outline, in rows.
fn set(items: &[Item]) -> Block {
    let mut cards = cards(items);
    let width = cards.iter().map(|node| node.width).max().unwrap_or_default();
    let count = (1..4).find(|count| count * count >= cards.len()).unwrap_or(4);
    let mut block = Block::default();
    for row in cards.chunks_mut(count) {
        let height = row.iter().map(|node| node.height).max().unwrap_or_default();
        let mut left = 0;
        for node in row {
            (node.left, node.top, node.width, node.height) = (left, block.height, width, height);
            left += width + GAP / 2;
        }
        block.right = block.right.max(left - GAP / 2);
        block.height += height + GAP / 2;
    }
    block.height -= GAP / 2;
    block.shapes.extend(cards.into_iter().map(Shape::Node));
    block
}

fn cards(items: &[Item]) -> Vec<Node> {
    let card = |item: &Item| match &item.kind {
        Kind::Step(step) => Some(card(step)),
        _ => None,
    };
    items.iter().filter_map(card).collect()
}

/// One instruction below the other; all cards have the same width.
fn sequence(items: &[Item], depth: usize) -> Block {
    let width = cards(items).iter().map(|node| node.width).max().unwrap_or_default();
    let mut whole = Block { through: true, ..Block::default() };
    for item in items {
        let block = match &item.kind {
            Kind::Step(step) => Block::of(Node { width, ..card(step) }),
            Kind::Return { exit, label, help, mark } => {
                let node = pill(exit.is_some(), label, help, *mark);
                Block { through: false, ..Block::of(node) }
            }
            Kind::While { predicate, rounds, body } => repeated(predicate, rounds, body, depth),
            Kind::If { branches, otherwise } => chosen(branches, otherwise.as_deref(), depth),
        };
        whole.append(block);
    }
    whole
}

/// A loop: its predicate, its body on a ground of its own, the way back on the left and the way out on the right.
fn repeated(predicate: &str, rounds: &str, body: &[Item], depth: usize) -> Block {
    let mut head = Block::of(hexagon("while", predicate, rounds));
    let (half, height) = (head.right, head.height);
    head.shift(0, MARGIN);
    let mut body = sequence(body, depth + 1);
    body.shift(0, MARGIN + height + GAP);
    let (back, out) = (-(half.max(body.left) + LANE), half.max(body.right) + LANE);
    let (top, middle) = (MARGIN + height, MARGIN + height / 2);
    let bottom = if body.through { body.exit + JOIN } else { body.height };
    let zone = Shape::Zone {
        left: back - MARGIN,
        top: 0,
        width: out - back + 2 * MARGIN,
        height: bottom + MARGIN,
        odd: depth % 2 == 1,
    };
    let join = bottom + MARGIN + JOIN;
    let mut block =
        Block { left: MARGIN - back, right: out + MARGIN, entry: MARGIN, through: true, ..Block::default() };
    block.shapes.push(zone);
    block.line(&[(0, top), (0, body.entry)], !body.shapes.is_empty());
    if body.through {
        block.line(&[(0, body.exit), (0, bottom), (back, bottom), (back, middle), (-half, middle)], true);
    }
    block.line(&[(half, middle), (out, middle), (out, join), (0, join), (0, join + CORNER)], false);
    block.answers(0, top, half, middle);
    block.shapes.extend(head.shapes);
    block.shapes.extend(body.shapes);
    (block.exit, block.height) = (join + CORNER, join + CORNER);
    block
}

/// Branches side by side: the predicates in a row, in the order in which they are asked.
fn chosen(branches: &[(String, Vec<Item>)], otherwise: Option<&[Item]>, depth: usize) -> Block {
    let word = |index| if index == 0 { "if" } else { "elif" };
    let heads = branches.iter().enumerate().map(|(index, (predicate, _))| hexagon(word(index), predicate, ""));
    let heads: Vec<Node> = heads.collect();
    let row = heads.iter().map(|head| head.height).max().unwrap_or_default();
    let (middle, below) = (row / 2, row + GAP);
    let mut block = Block::default();
    let mut columns: Vec<(i32, Block)> = Vec::new();
    // The right ends of the predicate before, and of its column.
    let (mut from, mut edge) = (0, 0);
    for (head, (_, body)) in heads.into_iter().zip(branches) {
        let (mut head, mut body) = (Block::of(head), sequence(body, depth));
        let (half, height) = (head.right, head.height);
        let x = if columns.is_empty() { 0 } else { edge + BETWEEN + half.max(body.left) };
        if !columns.is_empty() {
            block.line(&[(from, middle), (x - half, middle)], true);
        }
        let top = (row - height) / 2;
        head.shift(x, top);
        body.shift(x, below);
        block.line(&[(x, top + height), (x, body.entry)], !body.shapes.is_empty());
        block.answers(x, top + height, x + half, middle);
        (from, edge) = (x + half, x + half.max(body.right));
        block.left = block.left.max(half.max(body.left) - x);
        block.shapes.append(&mut head.shapes);
        columns.push((x, body));
    }
    if let Some(body) = otherwise {
        let mut body = sequence(body, depth);
        let x = edge + LANE + body.left.max(LANE);
        body.shift(x, below);
        block.line(&[(from, middle), (x, middle), (x, body.entry)], !body.shapes.is_empty());
        edge = x + body.right.max(LANE);
        columns.push((x, body));
    }
    let bottom = columns.iter().map(|(_, body)| body.height).max().unwrap_or(below);
    let join = bottom + JOIN;
    let ends = |x: i32, exit: i32| match x {
        0 => vec![(0, exit), (0, join + CORNER)],
        x => vec![(x, exit), (x, join), (0, join), (0, join + CORNER)],
    };
    for (x, body) in &columns {
        if body.through {
            block.line(&ends(*x, body.exit), false);
            block.through = true;
        }
    }
    if otherwise.is_none() {
        edge += LANE;
        block.line(&[(from, middle), (edge, middle), (edge, join), (0, join), (0, join + CORNER)], false);
        block.through = true;
    }
    block.shapes.extend(columns.into_iter().flat_map(|(_, body)| body.shapes));
    block.right = edge;
    (block.exit, block.height) = if block.through { (join + CORNER, join + CORNER) } else { (bottom, bottom) };
    block
}

impl Shape {
    fn shift(&mut self, dx: i32, dy: i32) {
        match self {
            Self::Zone { left: x, top: y, .. }
            | Self::Answer { x, y, .. }
            | Self::Node(Node { left: x, top: y, .. })
            | Self::Start { x, y }
            | Self::End { x, y, .. } => (*x, *y) = (*x + dx, *y + dy),
            Self::Flow { points, .. } => points.iter_mut().for_each(|point| *point = (point.0 + dx, point.1 + dy)),
        }
    }
}

impl Block {
    /// One shape, on the axis.
    fn of(node: Node) -> Self {
        let (half, height) = (node.width / 2, node.height);
        let shapes = vec![Shape::Node(Node { left: -half, ..node })];
        Self { left: half, right: half, height, entry: 0, exit: height, through: true, shapes }
    }

    /// Sideways, what is measured from the axis stays as it is.
    pub(super) fn shift(&mut self, dx: i32, dy: i32) {
        self.shapes.iter_mut().for_each(|shape| shape.shift(dx, dy));
        (self.entry, self.exit, self.height) = (self.entry + dy, self.exit + dy, self.height + dy);
    }

    /// Another one below this, and the arrow to it.
    fn append(&mut self, mut block: Self) {
        if block.shapes.is_empty() {
            return;
        }
        if self.shapes.is_empty() {
            *self = block;
            return;
        }
        block.shift(0, self.height + GAP);
        if self.through {
            self.line(&[(0, self.exit), (0, block.entry)], true);
        }
        (self.left, self.right) = (self.left.max(block.left), self.right.max(block.right));
        (self.height, self.exit, self.through) = (block.height, block.exit, self.through && block.through);
        self.shapes.append(&mut block.shapes);
    }

    fn line(&mut self, points: &[(i32, i32)], arrow: bool) {
        self.shapes.push(Shape::Flow { points: points.to_vec(), arrow });
    }

    /// The words at the two ways on from a predicate: below it, and on its right.
    fn answers(&mut self, x: i32, bottom: i32, right: i32, middle: i32) {
        self.shapes.push(Shape::Answer { x: x + 7, y: bottom + 15, word: "yes" });
        self.shapes.push(Shape::Answer { x: right + 6, y: middle - 6, word: "no" });
    }
}
