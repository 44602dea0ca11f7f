//! Texts: plain, quoted, and in blocks.

use std::borrow::Cow;

use super::Fault;
use super::scan::Scanner;

/// What ends a message, instead of being a part of a text.
const SEPARATOR: &str = "`---` and `...` cannot begin a line of a quoted text";

impl<'a> Scanner<'a> {
    pub(super) fn plain(&mut self) -> Cow<'a, str> {
        let (start, mut end) = (self.at, self.at);
        let indent = self.indent + 1;
        // Only a text of several lines must be put together.
        let mut folded: Option<String> = None;
        let mut gap: Cow<'a, str> = Cow::Borrowed("");
        while self.byte() != b'#' {
            let from = self.at;
            self.skip_plain();
            if self.at == from {
                break;
            }
            self.simple_key_allowed = false;
            if let Cow::Owned(_) = gap {
                folded.get_or_insert_with(|| self.text[start..end].to_owned());
            }
            if let Some(folded) = &mut folded {
                folded.push_str(&gap);
                folded.push_str(&self.text[from..self.at]);
            }
            end = self.at;
            let Some(next) = self.plain_gap() else { break };
            gap = next;
            if !self.in_flow() && self.column() < indent {
                break;
            }
        }
        folded.map_or_else(|| Cow::Borrowed(&self.text[start..end]), Cow::Owned)
    }

    fn skip_plain(&mut self) {
        loop {
            match self.byte() {
                0 | b' ' | b'\t' | b'\n' | b'\r' => return,
                b':' => {
                    let next = self.byte_at(self.at + 1);
                    let ends = self.in_flow() && matches!(next, b',' | b'[' | b']' | b'{' | b'}');
                    if ends || self.is_blank_or_end(self.at + 1) {
                        return;
                    }
                }
                b',' | b'?' | b'[' | b']' | b'{' | b'}' if self.in_flow() => return,
                0x80.. if self.break_at(self.at) > 0 => return,
                _ => {}
            }
            self.at += 1;
        }
    }

    /// What stands between two parts of a plain text: spaces as they are, line breaks folded (owned). None where it ends.
    fn plain_gap(&mut self) -> Option<Cow<'a, str>> {
        let from = self.at;
        while self.byte() == b' ' {
            self.at += 1;
        }
        let spaces = &self.text[from..self.at];
        let Some(first) = self.line_break() else {
            return (!spaces.is_empty()).then_some(Cow::Borrowed(spaces));
        };
        self.simple_key_allowed = true;
        let mut breaks = String::new();
        while !self.is_document_mark() {
            while self.byte() == b' ' {
                self.at += 1;
            }
            match self.line_break() {
                Some(read) => breaks.push_str(read),
                None => return Some(Cow::Owned(fold(first, &breaks))),
            }
        }
        None
    }

    pub(super) fn quoted(&mut self, quote: u8) -> Result<Cow<'a, str>, Fault> {
        self.at += 1;
        let start = self.at;
        // Most stand on one line, without escapes.
        loop {
            let byte = self.byte();
            if byte == quote {
                if quote == b'\'' && self.byte_at(self.at + 1) == quote {
                    break;
                }
                self.at += 1;
                return Ok(Cow::Borrowed(&self.text[start..self.at - 1]));
            }
            let special = matches!(byte, 0 | b'\n' | b'\r') || (byte == b'\\' && quote == b'"');
            if special || (byte >= 0x80 && self.break_at(self.at) > 0) {
                break;
            }
            self.at += 1;
        }
        // White space before a line break is no part of the text: back to where it may begin.
        let plain = self.text[start..self.at].trim_end_matches([' ', '\t']);
        let mut read = String::with_capacity(plain.len() * 2);
        read.push_str(plain);
        self.at = start + plain.len();
        self.quoted_parts(quote, &mut read)?;
        while self.byte() != quote {
            self.quoted_gap(&mut read)?;
            self.quoted_parts(quote, &mut read)?;
        }
        self.at += 1;
        Ok(Cow::Owned(read))
    }

    /// What stands in quotes up to white space or the closing quote.
    fn quoted_parts(&mut self, quote: u8, read: &mut String) -> Result<(), Fault> {
        let double = quote == b'"';
        loop {
            let from = self.at;
            while !matches!(self.byte(), b'\'' | b'"' | b'\\' | 0 | b' ' | b'\t' | b'\n' | b'\r')
                && (self.byte() < 0x80 || self.break_at(self.at) == 0)
            {
                self.at += 1;
            }
            read.push_str(&self.text[from..self.at]);
            match self.byte() {
                b'\'' if !double && self.byte_at(self.at + 1) == b'\'' => {
                    read.push('\'');
                    self.at += 2;
                }
                b'\\' if double => self.escape(read)?,
                byte @ (b'\'' | b'"' | b'\\') if byte != quote => {
                    read.push(char::from(byte));
                    self.at += 1;
                }
                _ => return Ok(()),
            }
        }
    }

    /// White space in quotes: as it is, unless a line ends there.
    fn quoted_gap(&mut self, read: &mut String) -> Result<(), Fault> {
        let from = self.at;
        while matches!(self.byte(), b' ' | b'\t') {
            self.at += 1;
        }
        let spaces = &self.text[from..self.at];
        if self.byte() == 0 {
            return Err(Fault::new(self.at, "the message ends within a quoted text"));
        }
        match self.line_break() {
            Some(first) => {
                let breaks = self.quoted_breaks()?;
                read.push_str(&fold(first, &breaks));
            }
            None => read.push_str(spaces),
        }
        Ok(())
    }

    fn quoted_breaks(&mut self) -> Result<String, Fault> {
        let mut breaks = String::new();
        loop {
            if self.is_document_mark() {
                return Err(Fault::new(self.at, SEPARATOR));
            }
            while matches!(self.byte(), b' ' | b'\t') {
                self.at += 1;
            }
            match self.line_break() {
                Some(read) => breaks.push_str(read),
                None => return Ok(breaks),
            }
        }
    }

    fn escape(&mut self, read: &mut String) -> Result<(), Fault> {
        let start = self.at;
        self.at += 1;
        let character = match self.byte() {
            b'0' => '\0',
            b'a' => '\x07',
            b'b' => '\x08',
            b't' | b'\t' => '\t',
            b'n' => '\n',
            b'v' => '\x0b',
            b'f' => '\x0c',
            b'r' => '\r',
            b'e' => '\x1b',
            byte @ (b' ' | b'"' | b'\\' | b'/') => char::from(byte),
            b'N' => '\u{85}',
            b'_' => '\u{a0}',
            b'L' => '\u{2028}',
            b'P' => '\u{2029}',
            b'x' => return self.code(start, 2, read),
            b'u' => return self.code(start, 4, read),
            b'U' => return self.code(start, 8, read),
            _ => {
                if self.line_break().is_none() {
                    return Err(Fault::new(start, "there is no such escape"));
                }
                read.push_str(&self.quoted_breaks()?);
                return Ok(());
            }
        };
        read.push(character);
        self.at += 1;
        Ok(())
    }

    /// A character by its number.
    fn code(&mut self, start: usize, digits: usize, read: &mut String) -> Result<(), Fault> {
        let Some(mut code) = self.hexadecimal(self.at + 1, digits) else {
            return Err(Fault::new(start, format!("{digits} hexadecimal digits must follow")));
        };
        self.at += 1 + digits;
        if (0xd800..0xdc00).contains(&code)
            && self.byte() == b'\\'
            && self.byte_at(self.at + 1) == b'u'
            && let Some(low @ 0xdc00..0xe000) = self.hexadecimal(self.at + 2, 4)
        {
            // A pair, as JSON writes characters beyond U+FFFF.
            code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            self.at += 6;
        }
        match code {
            // Half a pair, which is a character to Python only.
            0xd800..0xe000 => read.push(char::REPLACEMENT_CHARACTER),
            code => match char::from_u32(code) {
                Some(character) => read.push(character),
                None => return Err(Fault::new(start, "there is no such character")),
            },
        }
        Ok(())
    }

    fn hexadecimal(&self, at: usize, digits: usize) -> Option<u32> {
        let digits = self.text.get(at..at + digits)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        u32::from_str_radix(digits, 16).ok()
    }

    /// A text after `|`, or after `>`, which folds its lines.
    pub(super) fn block_scalar(&mut self, folds: bool) -> Result<String, Fault> {
        self.at += 1;
        let (keeps, increment) = self.block_header()?;
        self.ignored_line()?;
        let least = (self.indent + 1).max(1);
        let mut breaks = String::new();
        let indent = match increment {
            Some(increment) => {
                let indent = least + increment - 1;
                self.block_breaks(indent, &mut breaks);
                indent
            }
            None => self.block_indent(&mut breaks).max(least),
        };
        let mut read = String::new();
        let mut ending = "";
        while self.column() == indent && self.byte() != 0 {
            read.push_str(&breaks);
            breaks.clear();
            let leading = matches!(self.byte(), b' ' | b'\t');
            let from = self.at;
            self.skip_line();
            read.push_str(&self.text[from..self.at]);
            ending = self.line_break().unwrap_or_default();
            self.block_breaks(indent, &mut breaks);
            if self.column() != indent || self.byte() == 0 {
                break;
            }
            if folds && ending == "\n" && !leading && !matches!(self.byte(), b' ' | b'\t') {
                if breaks.is_empty() {
                    read.push(' ');
                }
            } else {
                read.push_str(ending);
            }
        }
        if keeps != Some(false) {
            read.push_str(ending);
        }
        if keeps == Some(true) {
            read.push_str(&breaks);
        }
        Ok(read)
    }

    /// Whether line breaks at the end are kept or removed, and how far the text is indented, if that is said.
    fn block_header(&mut self) -> Result<(Option<bool>, Option<isize>), Fault> {
        let (mut keeps, mut increment) = (None, None);
        for _ in 0..2 {
            match self.byte() {
                byte @ (b'+' | b'-') if keeps.is_none() => keeps = Some(byte == b'+'),
                byte @ b'1'..=b'9' if increment.is_none() => increment = Some(isize::from(byte.cast_signed()) - 48),
                _ => break,
            }
            self.at += 1;
        }
        if !self.is_space_or_end() {
            return Err(Fault::new(self.at, "only `+`, `-` and a digit from 1 can follow `|` and `>`"));
        }
        Ok((keeps, increment))
    }

    fn block_indent(&mut self, breaks: &mut String) -> isize {
        let mut indent = 0;
        loop {
            if self.byte() == b' ' {
                self.at += 1;
                indent = indent.max(self.column());
            } else if let Some(read) = self.line_break() {
                breaks.push_str(read);
            } else {
                return indent;
            }
        }
    }

    fn block_breaks(&mut self, indent: isize, breaks: &mut String) {
        loop {
            while self.column() < indent && self.byte() == b' ' {
                self.at += 1;
            }
            match self.line_break() {
                Some(read) => breaks.push_str(read),
                None => return,
            }
        }
    }
}

/// Line breaks as they are read where lines are folded: a single one is a space.
fn fold(first: &str, more: &str) -> String {
    let mut folded = String::with_capacity(more.len() + 1);
    if first != "\n" {
        folded.push_str(first);
    } else if more.is_empty() {
        folded.push(' ');
    }
    folded.push_str(more);
    folded
}
