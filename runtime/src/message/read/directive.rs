//! Tokens that are no values: directives, anchors, tags.

use std::borrow::Cow;

use super::Fault;
use super::scan::{Scanner, Token};

impl<'a> Scanner<'a> {
    /// A directive: what a `%TAG` says.
    pub(super) fn directive(&mut self) -> Result<Option<(&'a str, String)>, Fault> {
        let start = self.at;
        self.at += 1;
        let name = self.word();
        if name.is_empty() || !self.is_space_or_end() {
            return Err(Fault::new(start, "this is no directive"));
        }
        let said = match name {
            "YAML" => {
                self.version(start)?;
                None
            }
            "TAG" => {
                self.spaces();
                let handle = self.handle()?;
                if self.byte() != b' ' {
                    return Err(Fault::new(self.at, "a space must follow the handle"));
                }
                self.spaces();
                let prefix = self.uri()?.into_owned();
                if !self.is_space_or_end() {
                    return Err(Fault::new(self.at, "a space or the end of the line must follow the tag"));
                }
                Some((handle, prefix))
            }
            _ => {
                self.skip_line();
                None
            }
        };
        self.ignored_line()?;
        Ok(said)
    }

    fn version(&mut self, start: usize) -> Result<(), Fault> {
        self.spaces();
        let major = self.digits();
        let point = self.byte() == b'.';
        self.at += usize::from(point);
        let minor = self.digits();
        if !point || major != "1" || minor.is_empty() || !self.is_space_or_end() {
            return Err(Fault::new(start, "the version of YAML must be 1.1, or another that begins with 1"));
        }
        Ok(())
    }

    /// What remains of a line on which nothing but a comment may stand.
    pub(super) fn ignored_line(&mut self) -> Result<(), Fault> {
        self.spaces();
        if self.byte() == b'#' {
            self.skip_line();
        }
        if self.byte() != 0 && self.line_break().is_none() {
            return Err(Fault::new(self.at, "the line must end here"));
        }
        Ok(())
    }

    /// The name of an anchor or alias.
    pub(super) fn anchor(&mut self) -> Result<&'a str, Fault> {
        let start = self.at;
        self.at += 1;
        let name = self.word();
        let ends = matches!(self.byte(), b'?' | b':' | b',' | b']' | b'}' | b'%' | b'@' | b'`');
        if name.is_empty() || !(ends || self.is_blank_or_end(self.at)) {
            return Err(Fault::new(start, "the name of an anchor has letters, digits, `-` and `_`"));
        }
        Ok(name)
    }

    pub(super) fn tag(&mut self) -> Result<Token<'a>, Fault> {
        let token = if self.byte_at(self.at + 1) == b'<' {
            self.at += 2;
            let suffix = self.uri()?;
            if self.byte() != b'>' {
                return Err(Fault::new(self.at, "a `>` is missing after the tag"));
            }
            self.at += 1;
            Token::Tag(None, suffix)
        } else if self.is_blank_or_end(self.at + 1) {
            self.at += 1;
            Token::Tag(None, Cow::Borrowed("!"))
        } else {
            let handle = if self.has_handle() {
                self.handle()?
            } else {
                self.at += 1;
                "!"
            };
            Token::Tag(Some(handle), self.uri()?)
        };
        if !self.is_space_or_end() {
            return Err(Fault::new(self.at, "a space must follow the tag"));
        }
        Ok(token)
    }

    /// Whether a second `!` follows before the tag ends.
    fn has_handle(&self) -> bool {
        let mut at = self.at + 1;
        loop {
            match self.byte_at(at) {
                b'!' => return true,
                0 | b' ' => return false,
                _ if self.break_at(at) > 0 => return false,
                _ => at += 1,
            }
        }
    }

    fn handle(&mut self) -> Result<&'a str, Fault> {
        let start = self.at;
        if self.byte() != b'!' {
            return Err(Fault::new(start, "a handle of tags begins with `!`"));
        }
        self.at += 1;
        if self.byte() != b' ' {
            self.word();
            if self.byte() != b'!' {
                return Err(Fault::new(start, "a handle of tags ends with `!`"));
            }
            self.at += 1;
        }
        Ok(&self.text[start..self.at])
    }

    fn uri(&mut self) -> Result<Cow<'a, str>, Fault> {
        let start = self.at;
        let mut read: Vec<u8> = Vec::new();
        let mut escaped = false;
        loop {
            let byte = self.byte();
            if byte == b'%' {
                let digits = self.text.get(self.at + 1..self.at + 3).filter(|digits| !digits.starts_with('+'));
                let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) else {
                    return Err(Fault::new(self.at, "two hexadecimal digits must follow `%`"));
                };
                if !escaped {
                    read.extend_from_slice(&self.text.as_bytes()[start..self.at]);
                    escaped = true;
                }
                read.push(byte);
                self.at += 3;
            } else if byte.is_ascii_alphanumeric() || b"-;/?:@&=+$,_.!~*'()[]".contains(&byte) {
                if escaped {
                    read.push(byte);
                }
                self.at += 1;
            } else {
                break;
            }
        }
        if self.at == start {
            return Err(Fault::new(start, "a tag is missing"));
        }
        if escaped {
            let read = String::from_utf8(read).map_err(|_| Fault::new(start, "the tag is not UTF-8"))?;
            return Ok(Cow::Owned(read));
        }
        Ok(Cow::Borrowed(&self.text[start..self.at]))
    }

    fn spaces(&mut self) {
        while self.byte() == b' ' {
            self.at += 1;
        }
    }

    fn word(&mut self) -> &'a str {
        self.run(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    }

    fn digits(&mut self) -> &'a str {
        self.run(|byte| byte.is_ascii_digit())
    }

    fn run(&mut self, takes: fn(u8) -> bool) -> &'a str {
        let start = self.at;
        while takes(self.byte()) {
            self.at += 1;
        }
        &self.text[start..self.at]
    }
}
