//! Lines on a terminal that are drawn anew in their place.
//!
//! Nothing of the terminal is changed for that: no mode, no colour that lasts, the cursor stays to be seen. So there is nothing to
//! put right, however the command ends.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use terminal_size::{Height, Width, terminal_size_of};
use unicode_width::UnicodeWidthStr;

use super::line::{Mark, Telling, line, shortened};
use super::tree::{Node, Trees};
use crate::cli::fault::Fault;

/// Where there is no terminal that tells its size.
const SIZE: Size = Size { width: 80, height: 24 };
/// Below, there is no room for names.
const LEAST: usize = 10;

/// Where it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum To {
    /// The standard output.
    Output,
    /// The standard error: the output is for the result.
    Error,
}

impl To {
    pub(in crate::cli) fn is_terminal(self) -> bool {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        !is_dumb
            && match self {
                Self::Output => io::stdout().is_terminal(),
                Self::Error => io::stderr().is_terminal(),
            }
    }

    pub(in crate::cli) fn size(self) -> Size {
        let size = match self {
            Self::Output => terminal_size_of(io::stdout()),
            Self::Error => terminal_size_of(io::stderr()),
        };
        size.filter(|(width, height)| width.0 > 0 && height.0 > 0)
            .map_or(SIZE, |(Width(width), Height(height))| Size { width: width.into(), height: height.into() })
    }

    pub(in crate::cli) fn write(self, text: &str) -> Result<(), Fault> {
        fn all(mut out: impl Write, text: &str) -> io::Result<()> {
            out.write_all(text.as_bytes()).and_then(|()| out.flush())
        }
        let (written, what) = match self {
            Self::Output => (all(io::stdout().lock(), text), "the standard output cannot be written"),
            Self::Error => (all(io::stderr().lock(), text), "the standard error cannot be written"),
        };
        written.map_err(|error| Fault::io(what, &error))
    }
}

/// Leaves the line in which the terminal shows the keys of an interrupt.
pub(in crate::cli) fn leave(to: To) {
    if to.is_terminal() {
        // Who does not read any more misses nothing.
        let _ = to.write("\r\u{1b}[K");
    }
}

/// That of a terminal, in columns and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct Size {
    pub(in crate::cli) width: usize,
    pub(in crate::cli) height: usize,
}

/// Whether colours are wanted.
pub(in crate::cli) fn coloured() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty())
}

/// What is drawn at present.
#[derive(Debug, Default)]
pub(in crate::cli) struct Screen {
    /// How wide each line is.
    drawn: Vec<usize>,
}

impl Screen {
    /// What to write so that these lines stand in the place of those that were drawn last, on a terminal that may have
    /// another width by now.
    pub(in crate::cli) fn draw(&mut self, lines: &[Drawn], size: Size) -> String {
        // A terminal that became narrower has broken the lines.
        let rows: usize = self.drawn.iter().map(|width| width.div_ceil(size.width.max(1)).max(1)).sum();
        let mut text = String::from("\r");
        match rows.min(size.height.saturating_sub(1)) {
            0 => {}
            rows => drop(write!(text, "\u{1b}[{rows}A")),
        }
        for line in lines {
            text.push_str(&line.text);
            text.push_str("\u{1b}[K\r\n");
        }
        text.push_str("\u{1b}[J");
        self.drawn = lines.iter().map(|line| line.width).collect();
        text
    }
}

/// A line with its colours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Drawn {
    pub(in crate::cli) text: String,
    /// In columns.
    pub(in crate::cli) width: usize,
}

impl Drawn {
    pub(in crate::cli) fn plain(text: &str, width: usize) -> Self {
        let text = shortened(text, width);
        Self { width: text.width(), text }
    }
}

/// The lines of processes that a terminal has room for: where there are too many, those that have ended give way first.
pub(in crate::cli) fn lines(trees: &Trees, size: Size, colour: bool) -> Vec<Drawn> {
    let width = size.width.max(LEAST);
    // The cursor stands in the line below.
    let room = size.height.saturating_sub(1).max(1);
    let all = trees.nodes.len();
    let fits = all <= room && !trees.more;
    let shown = if fits { (0..all).collect() } else { chosen(&trees.nodes, room.saturating_sub(1)) };
    let mut lines: Vec<Drawn> = shown.iter().map(|index| drawn(&trees.nodes[*index], trees, width, colour)).collect();
    if !fits {
        let (hidden, at_least) = (all - shown.len(), if trees.more { "at least " } else { "" });
        lines.push(Drawn::plain(&format!("… and {at_least}{hidden} more"), width));
    }
    lines
}

/// Which of them, by their places: the roots first, then what is not as it should be, what has not ended, and what has.
fn chosen(nodes: &[Node], room: usize) -> Vec<usize> {
    let rank = |node: &Node| (node.depth > 0, Mark::of(node) != Mark::Lost, node.has_ended());
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    order.sort_by_key(|index| rank(&nodes[*index]));
    order.truncate(room);
    order.sort_unstable();
    order
}

fn drawn(node: &Node, trees: &Trees, width: usize, colour: bool) -> Drawn {
    let mark = Mark::of(node);
    // Deep ones keep room for what they say.
    let indent = " ".repeat((2 * node.depth).min(width / 4));
    let told = Telling { now: trees.at, width: Some(width - indent.len() - 2), times: true };
    let line = line(node, told);
    let width = indent.len() + 2 + line.width();
    let sign = mark.sign();
    let text = if colour {
        format!("{indent}\u{1b}[{}m{sign}\u{1b}[0m {line}", mark.colour())
    } else {
        format!("{indent}{sign} {line}")
    };
    Drawn { text, width }
}
