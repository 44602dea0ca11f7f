//! The machine that reads.

use std::collections::HashMap;

use super::PickleError;
use super::opcodes::{self, Op};
use crate::limits;
use crate::plugboard::Plain;

/// Bytes that a value takes at least: what bounds how many there are.
const EACH: usize = 32;

/// Reads a pickle of protocol 2 to 5.
///
/// # Errors
///
/// It is no pickle of plain data, or too deep or too large; nothing of it is executed.
pub fn read(pickle: &[u8]) -> Result<Plain, PickleError> {
    if pickle.len() > limits::PICKLE_BYTES {
        return Err(PickleError::Size { limit: limits::PICKLE_BYTES });
    }
    match pickle {
        [0x80, 2..=5, ..] => {}
        [0x80, version, ..] => return Err(PickleError::Protocol { found: format!("protocol {version}") }),
        [first, ..] => return Err(PickleError::Protocol { found: format!("{first:#04x}") }),
        [] => return Err(PickleError::Protocol { found: "nothing".to_owned() }),
    }
    let mut machine = Machine::new(pickle);
    loop {
        let (op, name) = machine.next()?;
        machine.opcode = name;
        if op == Op::Stop {
            return machine.stop();
        }
        machine.step(op)?;
    }
}

/// What is made, and may be part of several others.
enum Node {
    Leaf(Plain),
    List(Vec<usize>),
    Tuple(Vec<usize>),
    Dict(Vec<(usize, usize)>),
}

struct Machine<'a> {
    pickle: &'a [u8],
    at: usize,
    /// The instruction that is dealt with, and where it is.
    opcode: &'static str,
    offset: usize,
    nodes: Vec<Node>,
    stack: Vec<usize>,
    /// How high the stack was at each mark.
    marks: Vec<usize>,
    memo: HashMap<u64, usize>,
}

type Read<T> = Result<T, PickleError>;

impl<'a> Machine<'a> {
    fn new(pickle: &'a [u8]) -> Self {
        Self {
            pickle,
            at: 0,
            opcode: "PROTO",
            offset: 0,
            nodes: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        }
    }

    fn next(&mut self) -> Read<(Op, &'static str)> {
        self.offset = self.at;
        let Some(code) = self.pickle.get(self.at).copied() else {
            return Err(PickleError::Truncated { opcode: "STOP", offset: self.at, needs: 1, has: 0 });
        };
        self.at += 1;
        match opcodes::of(code) {
            Some((name, Some(op))) => Ok((op, name)),
            Some((opcode, None)) => Err(PickleError::Refused { opcode, offset: self.offset }),
            None => Err(PickleError::Unknown { code, offset: self.offset }),
        }
    }

    fn misplaced<T>(&self, reason: &'static str) -> Read<T> {
        Err(PickleError::Misplaced { opcode: self.opcode, offset: self.offset, reason })
    }

    fn bytes(&mut self, length: u64) -> Read<&'a [u8]> {
        let rest = self.pickle.get(self.at..).unwrap_or_default();
        let taken = usize::try_from(length).ok().and_then(|length| rest.get(..length));
        let Some(taken) = taken else {
            let (opcode, offset, has) = (self.opcode, self.offset, rest.len());
            return Err(PickleError::Truncated { opcode, offset, needs: length, has });
        };
        self.at += taken.len();
        Ok(taken)
    }

    /// An unsigned number of so many bytes.
    fn number(&mut self, length: u64) -> Read<u64> {
        let bytes = self.bytes(length)?;
        Ok(bytes.iter().rev().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
    }

    /// Bytes after a number of so many bytes that counts them.
    fn counted(&mut self, length: u64) -> Read<&'a [u8]> {
        let length = self.number(length)?;
        self.bytes(length)
    }

    fn text(&mut self, length: u64) -> Read<Plain> {
        let bytes = self.counted(length)?;
        let text = std::str::from_utf8(bytes);
        let text = text.map_err(|_| PickleError::Text { opcode: self.opcode, offset: self.offset })?;
        Ok(Plain::Text(text.to_owned()))
    }

    /// An integer in two's complement, as short as can be.
    fn long(&mut self, length: u64) -> Read<Plain> {
        let bytes = self.counted(length)?;
        let is_negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
        let mut wide = [if is_negative { 0xff } else { 0 }; 16];
        if bytes.len() <= 9 {
            wide[..bytes.len()].copy_from_slice(bytes);
            let wide = i128::from_le_bytes(wide);
            if let Ok(int) = i64::try_from(wide) {
                return Ok(Plain::Int(int));
            }
            if let Ok(large) = u64::try_from(wide) {
                return Ok(Plain::Large(large));
            }
        }
        let bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Err(PickleError::Integer { opcode: self.opcode, offset: self.offset, bytes })
    }

    fn push(&mut self, node: Node) {
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
    }

    /// What is on top, above the last mark.
    fn pop(&mut self) -> Read<usize> {
        let floor = self.marks.last().copied().unwrap_or_default();
        if self.stack.len() <= floor {
            return self.misplaced("the stack is empty");
        }
        self.stack.pop().map_or_else(|| self.misplaced("the stack is empty"), Ok)
    }

    /// So many from the top, in the order in which they came.
    fn pops<const N: usize>(&mut self) -> Read<[usize; N]> {
        let mut popped = [0; N];
        for place in popped.iter_mut().rev() {
            *place = self.pop()?;
        }
        Ok(popped)
    }

    fn top(&self) -> Read<usize> {
        let floor = self.marks.last().copied().unwrap_or_default();
        self.stack.get(floor..).and_then(<[_]>::last).copied().map_or_else(|| self.misplaced("the stack is empty"), Ok)
    }

    /// All above the last mark, which goes, too.
    fn pop_mark(&mut self) -> Read<Vec<usize>> {
        match self.marks.pop() {
            Some(mark) => Ok(self.stack.split_off(mark.min(self.stack.len()))),
            None => self.misplaced("there is no mark"),
        }
    }

    fn pairs(&self, items: &[usize]) -> Read<Vec<(usize, usize)>> {
        let (pairs, rest) = items.as_chunks();
        if !rest.is_empty() {
            return self.misplaced("a key has no value");
        }
        Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
    }

    fn append(&mut self, items: Vec<usize>) -> Read<()> {
        let top = self.top()?;
        match self.nodes.get_mut(top) {
            Some(Node::List(list)) => list.extend(items),
            _ => return self.misplaced("what is there is no list"),
        }
        Ok(())
    }

    fn set(&mut self, items: &[usize]) -> Read<()> {
        let (pairs, top) = (self.pairs(items)?, self.top()?);
        match self.nodes.get_mut(top) {
            Some(Node::Dict(dict)) => dict.extend(pairs),
            _ => return self.misplaced("what is there is no dictionary"),
        }
        Ok(())
    }

    fn put(&mut self, index: u64) -> Read<()> {
        let top = self.top()?;
        self.memo.insert(index, top);
        Ok(())
    }

    fn get(&mut self, index: u64) -> Read<()> {
        match self.memo.get(&index) {
            Some(node) => self.stack.push(*node),
            None => return self.misplaced("nothing is kept under its number"),
        }
        Ok(())
    }

    fn step(&mut self, op: Op) -> Read<()> {
        match op {
            Op::Proto => self.proto()?,
            Op::Frame => self.frame()?,
            Op::Mark => self.marks.push(self.stack.len()),
            Op::Pop => self.pop().map(drop)?,
            Op::PopMark => self.pop_mark().map(drop)?,
            Op::EmptyList => self.push(Node::List(Vec::new())),
            Op::EmptyTuple => self.push(Node::Tuple(Vec::new())),
            Op::EmptyDict => self.push(Node::Dict(Vec::new())),
            Op::List => {
                let items = self.pop_mark()?;
                self.push(Node::List(items));
            }
            Op::Tuple => {
                let items = self.pop_mark()?;
                self.push(Node::Tuple(items));
            }
            Op::Dict => {
                let items = self.pop_mark()?;
                let pairs = self.pairs(&items)?;
                self.push(Node::Dict(pairs));
            }
            Op::Tuple1 => self.tuple::<1>()?,
            Op::Tuple2 => self.tuple::<2>()?,
            Op::Tuple3 => self.tuple::<3>()?,
            Op::Append => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            Op::Appends => {
                let items = self.pop_mark()?;
                self.append(items)?;
            }
            Op::Setitem => {
                let pair = self.pops::<2>()?;
                self.set(&pair)?;
            }
            Op::Setitems => {
                let items = self.pop_mark()?;
                self.set(&items)?;
            }
            Op::Binput => self.number(1).and_then(|index| self.put(index))?,
            Op::LongBinput => self.number(4).and_then(|index| self.put(index))?,
            Op::Memoize => self.put(u64::try_from(self.memo.len()).unwrap_or(u64::MAX))?,
            Op::Binget => self.number(1).and_then(|index| self.get(index))?,
            Op::LongBinget => self.number(4).and_then(|index| self.get(index))?,
            leaf => {
                let leaf = self.leaf(leaf)?;
                self.push(Node::Leaf(leaf));
            }
        }
        // What is kept is bounded, too, whether or not the value has it.
        let kept = self.nodes.len() + self.stack.len() + self.marks.len() + self.memo.len();
        if kept > limits::PICKLE_BYTES / EACH { Err(PickleError::Size { limit: limits::PICKLE_BYTES }) } else { Ok(()) }
    }

    fn tuple<const N: usize>(&mut self) -> Read<()> {
        let items = self.pops::<N>()?;
        self.push(Node::Tuple(items.to_vec()));
        Ok(())
    }

    fn proto(&mut self) -> Read<()> {
        match (self.offset, self.number(1)?) {
            (0, _) => Ok(()),
            _ => self.misplaced("it is not at the beginning"),
        }
    }

    /// Frames only say how much to read at once, and all is there.
    fn frame(&mut self) -> Read<()> {
        let (needs, has) = (self.number(8)?, self.pickle.len() - self.at);
        if u64::try_from(has).is_ok_and(|has| needs <= has) {
            return Ok(());
        }
        Err(PickleError::Truncated { opcode: self.opcode, offset: self.offset, needs, has })
    }

    fn leaf(&mut self, op: Op) -> Read<Plain> {
        Ok(match op {
            Op::None => Plain::None,
            Op::Newtrue => Plain::Bool(true),
            Op::Newfalse => Plain::Bool(false),
            Op::Binint => {
                let bits = u32::try_from(self.number(4)?).unwrap_or_default();
                Plain::Int(bits.cast_signed().into())
            }
            Op::Binint1 => Plain::Int(i64::try_from(self.number(1)?).unwrap_or_default()),
            Op::Binint2 => Plain::Int(i64::try_from(self.number(2)?).unwrap_or_default()),
            Op::Long1 => self.long(1)?,
            Op::Long4 => self.long(4)?,
            // The only number with its first byte first.
            Op::Binfloat => Plain::Float(f64::from_bits(self.number(8)?.swap_bytes())),
            Op::ShortBinunicode => self.text(1)?,
            Op::Binunicode => self.text(4)?,
            Op::Binunicode8 => self.text(8)?,
            Op::ShortBinbytes => Plain::Bytes(self.counted(1)?.to_vec()),
            Op::Binbytes => Plain::Bytes(self.counted(4)?.to_vec()),
            Op::Binbytes8 => Plain::Bytes(self.counted(8)?.to_vec()),
            _ => return self.misplaced("it makes nothing"),
        })
    }

    fn stop(mut self) -> Read<Plain> {
        if self.at < self.pickle.len() {
            return Err(PickleError::Trailing { offset: self.at, bytes: self.pickle.len() - self.at });
        }
        if !self.marks.is_empty() {
            return self.misplaced("a mark is left");
        }
        let value = self.pop()?;
        if !self.stack.is_empty() {
            return self.misplaced("more than one value is left");
        }
        Expansion { nodes: &self.nodes, left: limits::PICKLE_BYTES }.of(value, limits::PICKLE_DEPTH)
    }
}

/// Makes the value out of its parts, as often as they are in it.
struct Expansion<'a> {
    nodes: &'a [Node],
    /// Bytes that it may still take.
    left: usize,
}

impl Expansion<'_> {
    fn spend(&mut self, bytes: usize) -> Read<()> {
        let left = self.left.checked_sub(bytes.saturating_add(EACH));
        self.left = left.ok_or(PickleError::Size { limit: limits::PICKLE_BYTES })?;
        Ok(())
    }

    fn of(&mut self, node: usize, depth: usize) -> Read<Plain> {
        let Some(depth) = depth.checked_sub(1) else { return Err(PickleError::Depth { limit: limits::PICKLE_DEPTH }) };
        let Some(node) = self.nodes.get(node) else { return Ok(Plain::None) };
        Ok(match node {
            Node::Leaf(leaf) => {
                self.spend(match leaf {
                    Plain::Text(text) => text.len(),
                    Plain::Bytes(bytes) => bytes.len(),
                    _ => 0,
                })?;
                leaf.clone()
            }
            Node::List(items) => Plain::List(self.all(items, depth)?),
            Node::Tuple(items) => Plain::Tuple(self.all(items, depth)?),
            Node::Dict(pairs) => {
                self.spend(0)?;
                let mut all = Vec::new();
                for (key, value) in pairs {
                    let (key, value) = (self.of(*key, depth)?, self.of(*value, depth)?);
                    if !key.is_key() {
                        return Err(PickleError::Key);
                    }
                    all.push((key, value));
                }
                Plain::Dict(all)
            }
        })
    }

    fn all(&mut self, items: &[usize], depth: usize) -> Read<Vec<Plain>> {
        self.spend(0)?;
        items.iter().map(|item| self.of(*item, depth)).collect()
    }
}
