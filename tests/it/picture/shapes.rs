//! Where things stand in an SVG: nothing lies on anything else.

use roxmltree::{Document, Node};

use super::constructs::{all, keep, step};

type Point = (i32, i32);

/// A shape with a text in it.
#[derive(Debug, Clone, Copy)]
struct Area {
    from: Point,
    to: Point,
}

impl Area {
    fn of(points: &[Point]) -> Self {
        let all = |pick: fn(&Point) -> i32| points.iter().map(pick);
        let (x, y) = (|point: &Point| point.0, |point: &Point| point.1);
        Self {
            from: (all(x).min().expect("a shape"), all(y).min().expect("a shape")),
            to: (all(x).max().expect("a shape"), all(y).max().expect("a shape")),
        }
    }

    /// Whether both have a point inside of them.
    fn meets(&self, other: &Self) -> bool {
        self.from.0 < other.to.0 && other.from.0 < self.to.0 && self.from.1 < other.to.1 && other.from.1 < self.to.1
    }

    /// Whether the other one is in it.
    fn holds(&self, other: &Self) -> bool {
        self.from.0 <= other.from.0 && self.from.1 <= other.from.1 && self.to.0 >= other.to.0 && self.to.1 >= other.to.1
    }
}

fn number(node: &Node<'_, '_>, name: &str) -> i32 {
    node.attribute(name).and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} of {node:?}"))
}

/// The corners of a path: where it would turn if its corners were not round.
fn corners(path: &str) -> Vec<Point> {
    let mut corners = Vec::new();
    let mut rest = path.trim_end_matches('Z');
    while let Some(command) = rest.chars().next() {
        let end = rest[1..].find(['M', 'L', 'Q']).map_or(rest.len(), |end| end + 1);
        let numbers: Vec<i32> = rest[1..end].split(' ').map(|number| number.parse().expect("a number")).collect();
        // Before and behind a round corner, a path has a point on its way.
        if command == 'Q' {
            corners.pop();
        }
        corners.push((numbers[0], numbers[1]));
        rest = &rest[end..];
    }
    corners
}

fn area(node: &Node<'_, '_>) -> Area {
    match node.tag_name().name() {
        "rect" => {
            let (x, y) = (number(node, "x"), number(node, "y"));
            Area::of(&[(x, y), (x + number(node, "width"), y + number(node, "height"))])
        }
        "circle" => {
            let (x, y, r) = (number(node, "cx"), number(node, "cy"), number(node, "r"));
            Area::of(&[(x - r, y - r), (x + r, y + r)])
        }
        _ => Area::of(&corners(node.attribute("d").expect("a path"))),
    }
}

/// The straight parts of the lines between shapes.
fn ways(document: &Document<'_>) -> Vec<Area> {
    let flow =
        document.descendants().filter(|node| node.attribute("class") == Some("flow") && node.has_tag_name("path"));
    let parts = flow.flat_map(|node| {
        let corners = corners(node.attribute("d").expect("a path"));
        corners.windows(2).map(Area::of).collect::<Vec<_>>()
    });
    parts.collect()
}

#[test]
fn no_shape_lies_on_another_and_no_line_goes_through_one() {
    for (name, picture) in all() {
        let svg = picture.svg();
        let document = Document::parse(&svg).unwrap();
        let root = document.root_element();
        let whole = Area { from: (0, 0), to: (number(&root, "width"), number(&root, "height")) };
        let boxes: Vec<_> = document
            .descendants()
            .filter(|node| node.attribute("class") == Some("box"))
            .map(|node| area(&node))
            .collect();
        for (index, one) in boxes.iter().enumerate() {
            assert!(whole.holds(one), "{name}: {one:?} in {whole:?}");
            assert!(boxes[..index].iter().all(|other| !one.meets(other)), "{name}: {one:?} lies on another");
        }
        for way in ways(&document) {
            assert!(whole.holds(&way), "{name}: {way:?} in {whole:?}");
            assert!(way.from.0 == way.to.0 || way.from.1 == way.to.1, "{name}: {way:?} is neither down nor across");
            // A line has no inside, so it is made one pixel wide.
            let wide = Area { from: way.from, to: (way.to.0.max(way.from.0 + 1), way.to.1.max(way.from.1 + 1)) };
            let through = boxes.iter().find(|shape| shape.meets(&wide));
            assert!(through.is_none(), "{name}: {way:?} goes through {through:?}");
        }
    }
}

#[test]
fn no_two_lines_cross() {
    for (name, picture) in all() {
        let svg = picture.svg();
        let ways = ways(&Document::parse(&svg).unwrap());
        let (down, across): (Vec<&Area>, Vec<&Area>) = ways.iter().partition(|way| way.from.0 == way.to.0);
        for across in across {
            let inside = |x: i32, from: i32, to: i32| from < x && x < to;
            let crossed = down.iter().find(|down| {
                inside(down.from.0, across.from.0, across.to.0) && inside(across.from.1, down.from.1, down.to.1)
            });
            assert!(crossed.is_none(), "{name}: {across:?} and {crossed:?}");
        }
    }
}

/// How wide a text would be at the least: half of what a letter takes.
fn least(node: &Node<'_, '_>) -> i32 {
    let text: String = node.descendants().filter_map(|node| node.text().filter(|_| node.is_text())).collect();
    i32::try_from(text.chars().count()).unwrap() * 4
}

#[test]
fn texts_are_within_their_shapes() {
    for (name, picture) in all() {
        let svg = picture.svg();
        let document = Document::parse(&svg).unwrap();
        for shape in document.descendants().filter(|node| node.attribute("class") == Some("box")) {
            let around = area(&shape);
            for text in shape.next_siblings().filter(|node| node.has_tag_name("text")) {
                let (x, y, width) = (number(&text, "x"), number(&text, "y"), least(&text));
                let middle = text.attribute("class").is_some_and(|class| class.ends_with("middle"));
                let from = if middle { x - width / 2 } else { x };
                let of = Area { from: (from, y - 8), to: (from + width, y + 3) };
                assert!(around.holds(&of), "{name}: {text:?} at {of:?} in {around:?}");
            }
        }
    }
}

#[test]
fn a_picture_grows_with_its_outline_and_not_faster() {
    let size = |steps: usize| {
        let nodes: Vec<_> = (0..steps).map(|_| step("step")).collect();
        let outline = procession::outline::Outline { body: keep(nodes) };
        procession::picture::Picture::new("x", &outline).svg().len()
    };
    let (small, large) = (size(1_000), size(10_000));
    assert!(large < small * 11, "{small} and {large} bytes");
}
