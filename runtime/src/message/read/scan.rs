//! From characters to tokens.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::Fault;
use crate::limits;

/// How many bytes a key may have that is not announced by `?`. PyYAML counts 1024 characters.
const SIMPLE_KEY: usize = 4 * 1024;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'a> {
    StreamEnd,
    /// A `%TAG`: a handle and what it stands for. None for all other directives.
    Directive(Option<(&'a str, String)>),
    DocumentStart,
    DocumentEnd,
    BlockSequence,
    BlockMapping,
    BlockEnd,
    FlowSequence,
    FlowSequenceEnd,
    FlowMapping,
    FlowMappingEnd,
    FlowEntry,
    BlockEntry,
    Key,
    Value,
    Alias(&'a str),
    Anchor(&'a str),
    /// A handle, if it has one, and the rest.
    Tag(Option<&'a str>, Cow<'a, str>),
    Plain(Cow<'a, str>),
    Quoted(Cow<'a, str>),
}

/// A place where a key may have begun: whether it is one is known only at the `:` behind it.
#[derive(Debug, Clone, Copy)]
struct SimpleKey {
    /// The number of the token that would be the first of the key.
    token: usize,
    required: bool,
    at: usize,
    line: usize,
    column: usize,
}

/// Makes tokens; by the rules, and nearly by the names, of PyYAML's scanner.
pub(super) struct Scanner<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    pub(super) line: usize,
    pub(super) line_start: usize,
    /// The column of the block that is open; -1 for none.
    pub(super) indent: isize,
    indents: Vec<isize>,
    pub(super) simple_key_allowed: bool,
    simple_keys: Vec<Option<SimpleKey>>,
    tokens: VecDeque<(usize, Token<'a>)>,
    taken: usize,
    done: bool,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Self {
            text,
            at: start,
            line: 0,
            line_start: start,
            indent: -1,
            indents: Vec::new(),
            simple_key_allowed: true,
            simple_keys: vec![None],
            tokens: VecDeque::new(),
            taken: 0,
            done: false,
        }
    }

    /// The next token, and where it begins.
    pub(super) fn peek(&mut self) -> Result<&(usize, Token<'a>), Fault> {
        while self.needs_more()? {
            self.fetch()?;
        }
        // The stream's end is never taken, so that there is always a token.
        self.tokens.front().ok_or_else(|| Fault::new(self.at, "the message ends here"))
    }

    /// Takes the next token.
    pub(super) fn take(&mut self) -> Result<(usize, Token<'a>), Fault> {
        if self.peek()?.1 == Token::StreamEnd {
            return Ok((self.at, Token::StreamEnd));
        }
        self.taken += 1;
        self.tokens.pop_front().ok_or_else(|| Fault::new(self.at, "the message ends here"))
    }

    fn needs_more(&mut self) -> Result<bool, Fault> {
        if self.done {
            return Ok(false);
        }
        if self.tokens.is_empty() {
            return Ok(true);
        }
        self.stale_simple_keys()?;
        // The first token may turn out to be a key.
        Ok(self.simple_keys.iter().flatten().any(|key| key.token == self.taken))
    }

    fn fetch(&mut self) -> Result<(), Fault> {
        self.skip_blanks();
        self.stale_simple_keys()?;
        self.unwind(self.column());
        let at = self.at;
        match self.byte() {
            0 => {
                self.unwind(-1);
                self.remove_simple_key()?;
                self.done = true;
                self.push(at, Token::StreamEnd);
            }
            b'%' if self.column() == 0 => {
                self.leave_block()?;
                let directive = self.directive()?;
                self.push(at, Token::Directive(directive));
            }
            byte @ (b'-' | b'.') if self.column() == 0 && self.is_document_mark() => {
                self.leave_block()?;
                self.at += 3;
                self.push(at, if byte == b'-' { Token::DocumentStart } else { Token::DocumentEnd });
            }
            b'[' => self.open(Token::FlowSequence)?,
            b'{' => self.open(Token::FlowMapping)?,
            b']' => self.close(Token::FlowSequenceEnd)?,
            b'}' => self.close(Token::FlowMappingEnd)?,
            b',' => {
                self.simple_key_allowed = true;
                self.remove_simple_key()?;
                self.at += 1;
                self.push(at, Token::FlowEntry);
            }
            b'-' if self.is_blank_or_end(at + 1) => self.block_entry()?,
            b'?' if self.in_flow() || self.is_blank_or_end(at + 1) => self.key()?,
            b':' if self.in_flow() || self.is_blank_or_end(at + 1) => self.value()?,
            byte => self.fetch_scalar(byte)?,
        }
        Ok(())
    }

    fn fetch_scalar(&mut self, byte: u8) -> Result<(), Fault> {
        let at = self.at;
        if matches!(byte, b'|' | b'>') && !self.in_flow() {
            self.simple_key_allowed = true;
            self.remove_simple_key()?;
            let text = self.block_scalar(byte == b'>')?;
            self.push(at, Token::Quoted(text.into()));
            return Ok(());
        }
        if !matches!(byte, b'*' | b'&' | b'!' | b'\'' | b'"') && !self.begins_plain(byte) {
            let found = self.text[at..].chars().next().unwrap_or_default();
            return Err(Fault::new(at, format!("nothing can begin with `{}`", found.escape_debug())));
        }
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let token = match byte {
            b'*' => Token::Alias(self.anchor()?),
            b'&' => Token::Anchor(self.anchor()?),
            b'!' => self.tag()?,
            b'\'' | b'"' => Token::Quoted(self.quoted(byte)?),
            _ => Token::Plain(self.plain()),
        };
        self.push(at, token);
        Ok(())
    }

    fn begins_plain(&self, byte: u8) -> bool {
        let indicator =
            matches!(byte, b'\t' | b'-' | b'?' | b':' | b',' | b'[' | b']' | b'{' | b'}' | b'#' | b'&' | b'*')
                || matches!(byte, b'!' | b'|' | b'>' | b'\'' | b'"' | b'%' | b'@' | b'`');
        let spared = byte == b'-' || (!self.in_flow() && matches!(byte, b'?' | b':'));
        !indicator || (spared && !self.is_blank_or_end(self.at + 1))
    }

    fn open(&mut self, token: Token<'a>) -> Result<(), Fault> {
        self.save_simple_key()?;
        if self.simple_keys.len() > limits::BODY_DEPTH {
            return Err(Fault::limit(self.at, super::compose::TOO_DEEP));
        }
        self.simple_keys.push(None);
        self.simple_key_allowed = true;
        self.push(self.at, token);
        self.at += 1;
        Ok(())
    }

    fn close(&mut self, token: Token<'a>) -> Result<(), Fault> {
        if !self.in_flow() {
            return Err(Fault::new(self.at, "there is nothing that this could close"));
        }
        self.remove_simple_key()?;
        self.simple_keys.pop();
        self.simple_key_allowed = false;
        self.push(self.at, token);
        self.at += 1;
        Ok(())
    }

    fn block_entry(&mut self) -> Result<(), Fault> {
        if !self.in_flow() {
            if !self.simple_key_allowed {
                return Err(Fault::new(self.at, "an entry of a sequence cannot stand here"));
            }
            self.begin_block(Token::BlockSequence);
        }
        self.simple_key_allowed = true;
        self.remove_simple_key()?;
        self.push(self.at, Token::BlockEntry);
        self.at += 1;
        Ok(())
    }

    fn key(&mut self) -> Result<(), Fault> {
        if !self.in_flow() {
            if !self.simple_key_allowed {
                return Err(Fault::new(self.at, "a key cannot stand here"));
            }
            self.begin_block(Token::BlockMapping);
        }
        self.simple_key_allowed = !self.in_flow();
        self.remove_simple_key()?;
        self.push(self.at, Token::Key);
        self.at += 1;
        Ok(())
    }

    fn value(&mut self) -> Result<(), Fault> {
        if let Some(key) = self.simple_keys.last_mut().and_then(Option::take) {
            let place = key.token - self.taken;
            self.tokens.insert(place, (key.at, Token::Key));
            if !self.in_flow() && self.indent_to(key.column) {
                self.tokens.insert(place, (key.at, Token::BlockMapping));
            }
            self.simple_key_allowed = false;
        } else {
            if !self.in_flow() {
                if !self.simple_key_allowed {
                    return Err(Fault::new(self.at, "a value of a mapping cannot stand here"));
                }
                self.begin_block(Token::BlockMapping);
            }
            self.simple_key_allowed = !self.in_flow();
            self.remove_simple_key()?;
        }
        self.push(self.at, Token::Value);
        self.at += 1;
        Ok(())
    }

    fn push(&mut self, at: usize, token: Token<'a>) {
        self.tokens.push_back((at, token));
    }

    fn begin_block(&mut self, token: Token<'a>) {
        if self.indent_to(self.at - self.line_start) {
            self.push(self.at, token);
        }
    }

    fn indent_to(&mut self, column: usize) -> bool {
        let column = column.cast_signed();
        if self.indent >= column {
            return false;
        }
        self.indents.push(self.indent);
        self.indent = column;
        true
    }

    fn unwind(&mut self, column: isize) {
        while !self.in_flow() && self.indent > column {
            self.indent = self.indents.pop().unwrap_or(-1);
            self.push(self.at, Token::BlockEnd);
        }
    }

    fn leave_block(&mut self) -> Result<(), Fault> {
        self.unwind(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        Ok(())
    }

    fn save_simple_key(&mut self) -> Result<(), Fault> {
        if self.simple_key_allowed {
            self.remove_simple_key()?;
            let key = SimpleKey {
                token: self.taken + self.tokens.len(),
                required: !self.in_flow() && self.indent == self.column(),
                at: self.at,
                line: self.line,
                column: self.at - self.line_start,
            };
            if let Some(level) = self.simple_keys.last_mut() {
                *level = Some(key);
            }
        }
        Ok(())
    }

    fn remove_simple_key(&mut self) -> Result<(), Fault> {
        match self.simple_keys.last_mut().and_then(Option::take) {
            Some(key) if key.required => Err(missing_colon(key)),
            _ => Ok(()),
        }
    }

    /// Forgets the places where a key may have begun that are too far away.
    fn stale_simple_keys(&mut self) -> Result<(), Fault> {
        for level in &mut self.simple_keys {
            if let Some(key) = level
                && (key.line != self.line || self.at - key.at > SIMPLE_KEY)
            {
                if key.required {
                    return Err(missing_colon(*key));
                }
                *level = None;
            }
        }
        Ok(())
    }

    fn skip_blanks(&mut self) {
        loop {
            while self.byte() == b' ' {
                self.at += 1;
            }
            if self.byte() == b'#' {
                self.skip_line();
            }
            if self.line_break().is_none() {
                return;
            }
            if !self.in_flow() {
                self.simple_key_allowed = true;
            }
        }
    }

    pub(super) fn in_flow(&self) -> bool {
        self.simple_keys.len() > 1
    }

    /// In bytes: what stands before anything whose column counts is ASCII.
    pub(super) fn column(&self) -> isize {
        (self.at - self.line_start).cast_signed()
    }

    /// The byte here; 0 at the end, since no message has that character.
    pub(super) fn byte(&self) -> u8 {
        self.byte_at(self.at)
    }

    pub(super) fn byte_at(&self, at: usize) -> u8 {
        self.text.as_bytes().get(at).copied().unwrap_or(0)
    }

    /// How many bytes the line break has that stands there; 0 if there is none.
    pub(super) fn break_at(&self, at: usize) -> usize {
        match self.byte_at(at) {
            b'\n' => 1,
            b'\r' => 1 + usize::from(self.byte_at(at + 1) == b'\n'),
            0xc2 if self.byte_at(at + 1) == 0x85 => 2,
            0xe2 if self.byte_at(at + 1) == 0x80 && matches!(self.byte_at(at + 2), 0xa8 | 0xa9) => 3,
            _ => 0,
        }
    }

    pub(super) fn is_blank_or_end(&self, at: usize) -> bool {
        matches!(self.byte_at(at), 0 | b' ' | b'\t') || self.break_at(at) > 0
    }

    pub(super) fn is_space_or_end(&self) -> bool {
        matches!(self.byte(), 0 | b' ') || self.break_at(self.at) > 0
    }

    /// Whether `---` or `...` stands here, alone.
    pub(super) fn is_document_mark(&self) -> bool {
        let rest = &self.text.as_bytes()[self.at..];
        (rest.starts_with(b"---") || rest.starts_with(b"...")) && self.is_blank_or_end(self.at + 3)
    }

    /// Goes past a line break, if there is one: gives what it is read as.
    pub(super) fn line_break(&mut self) -> Option<&'a str> {
        let length = self.break_at(self.at);
        if length == 0 {
            return None;
        }
        let from = self.at;
        self.at += length;
        self.line += 1;
        self.line_start = self.at;
        Some(if length == 3 { &self.text[from..self.at] } else { "\n" })
    }

    pub(super) fn skip_line(&mut self) {
        while self.byte() != 0 && self.break_at(self.at) == 0 {
            self.at += 1;
        }
    }
}

fn missing_colon(key: SimpleKey) -> Fault {
    Fault::new(key.at, "a `:` is missing after this key")
}
