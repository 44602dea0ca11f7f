//! The type of a plain scalar, by how it looks: the rules of YAML 1.1, as PyYAML has them.

use super::super::Node;
use super::super::node::STANDARD;

/// Digits of an integer: Python reads no longer one.
pub(in super::super) const DIGITS: usize = 4_300;
/// Digits of an integer to another base than ten, which are worth more work each.
const FOREIGN_DIGITS: usize = 1_000;

const NO_INTEGER: &str = "this is no integer";
const NO_FLOAT: &str = "this is no number";

/// The value of a scalar that has neither quotes nor a tag.
pub(super) fn plain(text: &str) -> Result<Node, &'static str> {
    match text.as_bytes().first() {
        None | Some(b'~' | b'n' | b'N') if matches!(text, "" | "~" | "null" | "Null" | "NULL") => Ok(Node::Null),
        Some(b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O') => {
            Ok(as_written(text).map_or_else(|| Node::text(text), Node::Bool))
        }
        Some(b'-' | b'+' | b'.' | b'0'..=b'9') => number(text),
        Some(b'<') if text == "<<" => Err("`<<` can only be a key"),
        Some(b'=') if text == "=" => Err("`=` can only be a key"),
        _ => Ok(Node::text(text)),
    }
}

fn number(text: &str) -> Result<Node, &'static str> {
    let bytes = text.as_bytes();
    // Most numbers are these.
    if bytes.len() <= 18 && (bytes == b"0" || bytes[0] != b'0') && bytes.iter().all(u8::is_ascii_digit) {
        return text.parse::<i64>().map(Node::from).map_err(|_| NO_INTEGER);
    }
    if looks_like_float(bytes) {
        float(text)
    } else if looks_like_integer(bytes) {
        integer(text)
    } else if looks_like_timestamp(bytes) {
        Ok(Node::tagged(format!("{STANDARD}timestamp"), Node::text(text)))
    } else {
        Ok(Node::text(text))
    }
}

/// `yes` and its like, as they are written without a tag.
fn as_written(text: &str) -> Option<bool> {
    match text {
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

/// What stands under the tag of truths.
pub(super) fn truth(text: &str) -> Result<Node, &'static str> {
    as_written(&text.to_lowercase()).map(Node::Bool).ok_or("this is neither true nor false")
}

/// What stands under the tag of integers.
pub(super) fn integer(text: &str) -> Result<Node, &'static str> {
    let digits: String = text.chars().filter(|character| *character != '_').collect();
    let (negative, digits) = signed(&digits);
    if digits.len() > DIGITS {
        return Err("an integer has more than 4300 digits");
    }
    if let Some(digits) = digits.strip_prefix("0b") {
        based(negative, digits, 2)
    } else if let Some(digits) = digits.strip_prefix("0x") {
        based(negative, digits, 16)
    } else if digits.starts_with('0') && digits != "0" {
        based(negative, digits, 8)
    } else if digits.contains(':') {
        sexagesimal(negative, digits)
    } else {
        based(negative, digits, 10)
    }
}

fn based(negative: bool, digits: &str, base: u32) -> Result<Node, &'static str> {
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(base)) {
        return Err(NO_INTEGER);
    }
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Ok(Node::Integer(0));
    }
    if let Ok(integer) = i128::from_str_radix(digits, base) {
        return Ok(Node::Integer(if negative { -integer } else { integer }));
    }
    if base == 10 {
        return Ok(huge(negative, digits.to_owned()));
    }
    if digits.len() > FOREIGN_DIGITS {
        return Err("an integer to another base than ten has more than 1000 digits");
    }
    let mut decimal = Decimal::default();
    for digit in digits.chars() {
        decimal.take(base, digit.to_digit(base).unwrap_or_default());
    }
    Ok(huge(negative, decimal.digits()))
}

fn sexagesimal(negative: bool, digits: &str) -> Result<Node, &'static str> {
    if digits.len() > FOREIGN_DIGITS {
        return Err("an integer to another base than ten has more than 1000 digits");
    }
    let mut decimal = Decimal::default();
    for (place, part) in digits.split(':').enumerate() {
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NO_INTEGER);
        }
        if place == 0 {
            part.bytes().for_each(|digit| decimal.take(10, u32::from(digit - b'0')));
        } else {
            decimal.take(60, part.parse().map_err(|_| NO_INTEGER)?);
        }
    }
    Ok(huge(negative, decimal.digits()))
}

/// An integer of decimal digits without leading zeros.
fn huge(negative: bool, digits: String) -> Node {
    let digits = if negative && digits != "0" { format!("-{digits}") } else { digits };
    digits.parse().map_or_else(|_| Node::Huge(digits.into()), Node::Integer)
}

/// An integer that grows by digits, nine decimal digits in each place, the lowest first.
#[derive(Default)]
struct Decimal(Vec<u32>);

impl Decimal {
    const PLACE: u64 = 1_000_000_000;

    fn take(&mut self, base: u32, digit: u32) {
        let mut carry = u64::from(digit);
        for place in &mut self.0 {
            let value = u64::from(*place) * u64::from(base) + carry;
            *place = u32::try_from(value % Self::PLACE).unwrap_or_default();
            carry = value / Self::PLACE;
        }
        while carry > 0 {
            self.0.push(u32::try_from(carry % Self::PLACE).unwrap_or_default());
            carry /= Self::PLACE;
        }
    }

    fn digits(&self) -> String {
        let mut places = self.0.iter().rev();
        let mut digits = places.next().map_or_else(|| "0".to_owned(), u32::to_string);
        digits.extend(places.map(|place| format!("{place:09}")));
        digits
    }
}

/// What stands under the tag of floats.
pub(super) fn float(text: &str) -> Result<Node, &'static str> {
    let digits: String = text.chars().filter(|character| *character != '_').collect::<String>().to_lowercase();
    let (negative, digits) = signed(&digits);
    let float = match digits {
        ".inf" => f64::INFINITY,
        ".nan" => return Ok(Node::Float(f64::NAN)),
        _ => {
            let (mut value, mut base) = (0.0, 1.0);
            // From the last on, as PyYAML does: it makes a difference in the last digit.
            for part in digits.rsplit(':') {
                value += part.parse::<f64>().map_err(|_| NO_FLOAT)? * base;
                base *= 60.0;
            }
            value
        }
    };
    Ok(Node::Float(if negative { -float } else { float }))
}

fn signed(digits: &str) -> (bool, &str) {
    match digits.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, digits.strip_prefix('+').unwrap_or(digits)),
    }
}

/// What is read from the front of a scalar.
struct Look<'a>(&'a [u8]);

impl Look<'_> {
    fn sign(&mut self) -> bool {
        self.one(|byte| matches!(byte, b'-' | b'+'))
    }

    fn one(&mut self, is: impl Fn(u8) -> bool) -> bool {
        match self.0 {
            [first, rest @ ..] if is(*first) => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn many(&mut self, is: impl Fn(u8) -> bool) -> usize {
        let count = self.0.iter().take_while(|byte| is(**byte)).count();
        self.0 = &self.0[count..];
        count
    }

    /// As many as possible of these, and whether their number is within the bounds.
    fn digits(&mut self, least: usize, most: usize) -> bool {
        let count = self.0.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
        self.0 = &self.0[count..];
        count >= least
    }

    /// `:` and a number below 60, once or more often.
    fn sixties(&mut self) -> bool {
        let mut any = false;
        while let [b':', rest @ ..] = self.0 {
            let taken = match rest {
                [b'0'..=b'5', second, ..] if second.is_ascii_digit() => 2,
                [first, ..] if first.is_ascii_digit() => 1,
                _ => return false,
            };
            self.0 = &rest[taken..];
            any = true;
        }
        any
    }

    /// `e`, a sign, digits; or nothing.
    fn exponent(&mut self) -> bool {
        !self.one(|byte| matches!(byte, b'e' | b'E')) || (self.sign() && self.many(|byte| byte.is_ascii_digit()) > 0)
    }

    fn ended(&self) -> bool {
        self.0.is_empty()
    }
}

fn is_digit_or_low_line(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'_'
}

fn looks_like_float(bytes: &[u8]) -> bool {
    let mut look = Look(bytes);
    let signed = look.sign();
    if look.one(|byte| byte == b'.') {
        return match look.0 {
            b"inf" | b"Inf" | b"INF" => true,
            b"nan" | b"NaN" | b"NAN" => !signed,
            [first, ..] if first.is_ascii_digit() && !signed => {
                look.many(is_digit_or_low_line);
                look.exponent() && look.ended()
            }
            _ => false,
        };
    }
    if !look.one(|byte| byte.is_ascii_digit()) {
        return false;
    }
    look.many(is_digit_or_low_line);
    if look.0.first() == Some(&b':') {
        return look.sixties() && look.one(|byte| byte == b'.') && (look.many(is_digit_or_low_line), look.ended()).1;
    }
    if !look.one(|byte| byte == b'.') {
        return false;
    }
    look.many(is_digit_or_low_line);
    look.exponent() && look.ended()
}

fn looks_like_integer(bytes: &[u8]) -> bool {
    let mut look = Look(bytes);
    look.sign();
    match look.0 {
        [b'0'] => true,
        [b'0', b'b', ..] => {
            look.0 = &look.0[2..];
            look.many(|byte| matches!(byte, b'0' | b'1' | b'_')) > 0 && look.ended()
        }
        [b'0', b'x', ..] => {
            look.0 = &look.0[2..];
            look.many(|byte| byte.is_ascii_hexdigit() || byte == b'_') > 0 && look.ended()
        }
        [b'0', ..] => {
            look.0 = &look.0[1..];
            look.many(|byte| matches!(byte, b'0'..=b'7' | b'_')) > 0 && look.ended()
        }
        [b'1'..=b'9', ..] => {
            look.many(is_digit_or_low_line);
            look.ended() || (look.sixties() && look.ended())
        }
        _ => false,
    }
}

fn looks_like_timestamp(bytes: &[u8]) -> bool {
    let dash = |byte| byte == b'-';
    let colon = |byte| byte == b':';
    let blank = |byte| matches!(byte, b' ' | b'\t');
    if let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = bytes {
        return [y1, y2, y3, y4, m1, m2, d1, d2].iter().all(|byte| byte.is_ascii_digit());
    }
    let mut look = Look(bytes);
    let date = look.digits(4, 4) && look.one(dash) && look.digits(1, 2) && look.one(dash) && look.digits(1, 2);
    let apart = date && (look.one(|byte| matches!(byte, b'T' | b't')) || look.many(blank) > 0);
    if !(apart && look.digits(1, 2) && look.one(colon) && look.digits(2, 2) && look.one(colon) && look.digits(2, 2)) {
        return false;
    }
    if look.one(|byte| byte == b'.') {
        look.many(|byte| byte.is_ascii_digit());
    }
    if look.ended() {
        return true;
    }
    look.many(blank);
    if look.one(|byte| byte == b'Z') {
        return look.ended();
    }
    look.sign() && look.digits(1, 2) && (look.ended() || (look.one(colon) && look.digits(2, 2) && look.ended()))
}
