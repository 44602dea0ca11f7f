//! What stands in the shapes of an SVG, line by line, and how much room it takes.

use super::words::{columns_of, lines};

/// A part of a line, in one font.
pub(super) struct Span {
    pub(super) class: Class,
    pub(super) text: String,
}

/// What a text is, and with that its font.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Title,
    State,
    Note,
    /// The name of a step or a predicate, or of an exit code.
    Name,
    /// `while`, and the like. What stands in one line has one family of fonts: some programs join letters of a font
    /// with ligatures, and then lose them in the other.
    Word,
    Tag,
    Out,
    Doc,
    Told,
}

pub(super) struct Line {
    pub(super) spans: Vec<Span>,
    pub(super) height: i32,
}

/// Some lines, one below the other.
#[derive(Default)]
pub(super) struct Text {
    pub(super) lines: Vec<Line>,
}

impl Class {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::State => "state",
            Self::Note => "note",
            Self::Name => "name",
            Self::Word => "word",
            Self::Tag => "tag",
            Self::Out => "out",
            Self::Doc => "doc",
            Self::Told => "told",
        }
    }

    fn height(self) -> i32 {
        match self {
            Self::Title => 26,
            Self::Name => 18,
            _ => 16,
        }
    }

    /// How many thousandths of a pixel a text takes, a little more rather than less: which font there will be is not
    /// known. The numbers are those of the widest of the fonts that are asked for.
    fn thousandths(self, text: &str) -> usize {
        let size = match self {
            Self::Title => 19,
            Self::Name => 13,
            Self::Told | Self::Tag => 11,
            _ => 12,
        };
        let of = |c: char| match (self, columns_of(c)) {
            (_, 0) => 0,
            (Self::Name | Self::Out | Self::Word | Self::Tag, columns) => 605 * columns,
            (_, 2) => 1_050,
            _ => match c {
                'i' | 'j' | 'l' | '\'' | '|' | '!' | '.' | ',' | ':' | ';' | ' ' => 330,
                't' | 'f' | 'r' | '(' | ')' | '[' | ']' | '/' | '-' => 410,
                'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' | '×' => 980,
                c if c.is_uppercase() => 720,
                _ => 630,
            },
        };
        // What is bold is wider.
        let bold = if matches!(self, Self::Title | Self::State) { 108 } else { 100 };
        text.chars().map(of).sum::<usize>() * size * bold / 100
    }

    /// How many pixels a text takes.
    fn pixels(self, text: &str) -> i32 {
        i32::try_from(self.thousandths(text).div_ceil(1_000)).unwrap_or(i32::MAX)
    }
}

impl Text {
    /// With a text below what is there, in at most so many lines of at most so many pixels.
    pub(super) fn with(mut self, class: Class, text: &str, most: i32, count: usize) -> Self {
        let most = usize::try_from(most).unwrap_or_default() * 1_000;
        for text in lines(text, most, count, |text| class.thousandths(text)) {
            self.lines.push(Line { spans: vec![Span { class, text }], height: class.height() });
        }
        self
    }

    /// With a word before the first line.
    pub(super) fn after(mut self, class: Class, word: &str) -> Self {
        if let Some(line) = self.lines.first_mut() {
            line.spans.insert(0, Span { class, text: format!("{word}\u{a0}") });
        }
        self
    }

    /// With a word behind the last line.
    pub(super) fn before(mut self, class: Class, word: &str) -> Self {
        if let Some(line) = self.lines.last_mut() {
            line.spans.push(Span { class, text: format!("\u{a0}\u{a0}{word}") });
        }
        self
    }

    pub(super) fn width(&self) -> i32 {
        let line = |line: &Line| line.spans.iter().map(|span| span.class.pixels(&span.text)).sum();
        self.lines.iter().map(line).max().unwrap_or_default()
    }

    pub(super) fn height(&self) -> i32 {
        self.lines.iter().map(|line| line.height).sum()
    }
}
