//! From tokens to values.

use std::borrow::Cow;
use std::collections::HashMap;

use super::super::Node;
use super::super::node::{STANDARD, Tagged, UUID};
use super::key::{is_hashable, last_wins};
use super::scan::{Scanner, Token};
use super::{Fault, resolve};
use crate::limits;

pub(super) const TOO_DEEP: &str = "the message is nested deeper than a message may be";
const TOO_MANY: &str = "the message has more values than a message may have";
const TOO_LARGE: &str = "the message is larger than a message may be, its aliases expanded";

/// The value of the one document that a text is; null if it has none.
pub(super) fn document(text: &str) -> Result<Node, Fault> {
    let mut composer = Composer {
        scanner: Scanner::new(text),
        handles: Vec::new(),
        anchors: HashMap::new(),
        nodes: limits::BODY_NODES,
        bytes: limits::BODY_BYTES,
    };
    composer.document()
}

struct Composer<'a> {
    scanner: Scanner<'a>,
    /// Handles of tags that `%TAG` has defined.
    handles: Vec<(&'a str, String)>,
    anchors: HashMap<&'a str, Kept>,
    /// How many values, and bytes of repeated texts, there may still be.
    nodes: usize,
    bytes: usize,
}

/// A value to which an alias can refer.
struct Kept {
    node: Node,
    size: Size,
}

#[derive(Debug, Clone, Copy, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
    depth: usize,
}

/// Where a value stands: what may stand there differs.
#[derive(Debug, Clone, Copy)]
enum Place {
    Flow,
    Block,
    /// In a block mapping, where the entries of a sequence need not be indented.
    Entry,
}

type Entries = Vec<(Node, Node)>;

impl<'a> Composer<'a> {
    fn document(&mut self) -> Result<Node, Fault> {
        let node = match self.next()? {
            Token::Directive(_) | Token::DocumentStart => {
                self.directives()?;
                match self.next()? {
                    Token::Directive(_) | Token::DocumentStart | Token::DocumentEnd | Token::StreamEnd => Node::Null,
                    _ => self.node(Place::Block, 0)?,
                }
            }
            Token::StreamEnd => Node::Null,
            _ => self.node(Place::Block, 0)?,
        };
        while self.takes(&Token::DocumentEnd)? {}
        match self.scanner.take()? {
            (_, Token::StreamEnd) => Ok(node),
            (at, _) => Err(Fault::new(at, "a message is one document, and here a second one begins")),
        }
    }

    fn directives(&mut self) -> Result<(), Fault> {
        loop {
            match self.scanner.take()? {
                (_, Token::DocumentStart) => return Ok(()),
                (_, Token::Directive(None)) => {}
                (at, Token::Directive(Some((handle, prefix)))) => {
                    if self.handles.iter().any(|(known, _)| *known == handle) {
                        return Err(Fault::new(at, format!("the handle `{handle}` is defined twice")));
                    }
                    self.handles.push((handle, prefix));
                }
                (at, _) => return Err(Fault::new(at, "`---` must follow the directives")),
            }
        }
    }

    fn node(&mut self, place: Place, depth: usize) -> Result<Node, Fault> {
        let at = self.scanner.peek()?.0;
        self.nodes = self.nodes.checked_sub(1).ok_or_else(|| Fault::limit(at, TOO_MANY))?;
        if let Token::Alias(name) = *self.next()? {
            self.scanner.take()?;
            return self.alias(at, name, depth);
        }
        let (mut anchor, mut tag) = (None, None);
        loop {
            match self.next()? {
                Token::Anchor(name) if anchor.is_none() => anchor = Some(*name),
                Token::Tag(handle, suffix) if tag.is_none() => {
                    let (handle, suffix) = (*handle, suffix.clone());
                    tag = Some(self.tag(at, handle, suffix)?);
                }
                _ => break,
            }
            self.scanner.take()?;
        }
        let bare = anchor.is_none() && tag.is_none();
        let node = self.content(place, depth, at, tag, bare)?;
        if let Some(name) = anchor {
            let size = measure(&node);
            self.spend(at, size)?;
            self.anchors.insert(name, Kept { node: node.clone(), size });
        }
        Ok(node)
    }

    fn content(
        &mut self,
        place: Place,
        depth: usize,
        at: usize,
        tag: Option<Cow<'a, str>>,
        bare: bool,
    ) -> Result<Node, Fault> {
        let flow = matches!(place, Place::Flow);
        let opens = match self.next()? {
            Token::Plain(_) | Token::Quoted(_) => return self.scalar(tag.as_deref()),
            Token::FlowSequence | Token::FlowMapping | Token::BlockSequence | Token::BlockMapping => true,
            token => *token == Token::BlockEntry,
        };
        if opens && depth >= limits::BODY_DEPTH {
            return Err(Fault::limit(at, TOO_DEEP));
        }
        let depth = depth + 1;
        let sequence = match self.next()? {
            Token::BlockEntry if matches!(place, Place::Entry) => self.indentless_sequence(depth)?,
            Token::FlowSequence => self.flow_sequence(depth)?,
            Token::BlockSequence if !flow => self.block_sequence(depth)?,
            Token::FlowMapping => {
                let entries = self.flow_mapping(depth)?;
                return mapping(at, tag, entries);
            }
            Token::BlockMapping if !flow => {
                let entries = self.block_mapping(depth)?;
                return mapping(at, tag, entries);
            }
            _ if bare => {
                let (at, _) = self.scanner.take()?;
                return Err(Fault::new(at, "a value is missing"));
            }
            _ => return scalar(at, tag.as_deref(), Cow::Borrowed(""), true),
        };
        collection(at, tag, Node::Sequence(sequence), "seq", "python/list")
    }

    fn scalar(&mut self, tag: Option<&str>) -> Result<Node, Fault> {
        match self.scanner.take()? {
            (at, Token::Plain(text)) => scalar(at, tag, text, true),
            (at, Token::Quoted(text)) => scalar(at, tag, text, false),
            (at, _) => Err(Fault::new(at, "a value is missing")),
        }
    }

    fn alias(&mut self, at: usize, name: &str, depth: usize) -> Result<Node, Fault> {
        let Some(kept) = self.anchors.get(name) else {
            return Err(Fault::new(at, format!("no value before this has the anchor `{name}`")));
        };
        let size = kept.size;
        if depth + size.depth > limits::BODY_DEPTH {
            return Err(Fault::limit(at, TOO_DEEP));
        }
        self.spend(at, size)?;
        Ok(self.anchors.get(name).map(|kept| kept.node.clone()).unwrap_or_default())
    }

    fn spend(&mut self, at: usize, size: Size) -> Result<(), Fault> {
        self.nodes = self.nodes.checked_sub(size.nodes).ok_or_else(|| Fault::limit(at, TOO_MANY))?;
        self.bytes = self.bytes.checked_sub(size.bytes).ok_or_else(|| Fault::limit(at, TOO_LARGE))?;
        Ok(())
    }

    fn tag(&self, at: usize, handle: Option<&str>, suffix: Cow<'a, str>) -> Result<Cow<'a, str>, Fault> {
        let Some(handle) = handle else { return Ok(suffix) };
        let defined = self.handles.iter().find(|(known, _)| *known == handle).map(|(_, prefix)| prefix.as_str());
        match (defined, handle) {
            (Some(prefix), _) => Ok(format!("{prefix}{suffix}").into()),
            (None, "!") => Ok(format!("!{suffix}").into()),
            (None, "!!") => Ok(format!("{STANDARD}{suffix}").into()),
            _ => Err(Fault::new(at, format!("the handle `{handle}` of a tag is not defined"))),
        }
    }

    fn block_sequence(&mut self, depth: usize) -> Result<Vec<Node>, Fault> {
        self.scanner.take()?;
        let mut nodes = Vec::new();
        while self.takes(&Token::BlockEntry)? {
            nodes.push(match self.next()? {
                Token::BlockEntry | Token::BlockEnd => self.empty()?,
                _ => self.node(Place::Block, depth)?,
            });
        }
        self.expect(&Token::BlockEnd, "here the sequence should go on with `-`, or end")?;
        Ok(nodes)
    }

    fn indentless_sequence(&mut self, depth: usize) -> Result<Vec<Node>, Fault> {
        let mut nodes = Vec::new();
        while self.takes(&Token::BlockEntry)? {
            nodes.push(match self.next()? {
                Token::BlockEntry | Token::Key | Token::Value | Token::BlockEnd => self.empty()?,
                _ => self.node(Place::Block, depth)?,
            });
        }
        Ok(nodes)
    }

    fn block_mapping(&mut self, depth: usize) -> Result<Entries, Fault> {
        self.scanner.take()?;
        let mut building = Building::default();
        while self.takes(&Token::Key)? {
            let key = match self.next()? {
                Token::Key | Token::Value | Token::BlockEnd => Key::Node(self.empty()?),
                _ => self.key(Place::Entry, depth)?,
            };
            let at = self.scanner.peek()?.0;
            let value = if self.takes(&Token::Value)? {
                match self.next()? {
                    Token::Key | Token::Value | Token::BlockEnd => self.empty()?,
                    _ => self.node(Place::Entry, depth)?,
                }
            } else {
                self.empty()?
            };
            building.add(at, key, value)?;
        }
        self.expect(&Token::BlockEnd, "here the mapping should go on with a key, or end")?;
        Ok(building.finish())
    }

    fn flow_sequence(&mut self, depth: usize) -> Result<Vec<Node>, Fault> {
        self.scanner.take()?;
        let mut nodes = Vec::new();
        while *self.next()? != Token::FlowSequenceEnd {
            if !nodes.is_empty() {
                self.expect(&Token::FlowEntry, "a `,` or `]` is missing")?;
            }
            match self.next()? {
                Token::FlowSequenceEnd => break,
                Token::Key => nodes.push(self.pair(depth)?),
                _ => nodes.push(self.node(Place::Flow, depth)?),
            }
        }
        self.scanner.take()?;
        Ok(nodes)
    }

    /// A mapping of one key that stands in a sequence without braces.
    fn pair(&mut self, depth: usize) -> Result<Node, Fault> {
        let (at, _) = self.scanner.take()?;
        if depth >= limits::BODY_DEPTH {
            return Err(Fault::limit(at, TOO_DEEP));
        }
        let key = match self.next()? {
            Token::Value | Token::FlowEntry | Token::FlowSequenceEnd => Key::Node(self.empty()?),
            _ => self.key(Place::Flow, depth + 1)?,
        };
        let value = if self.takes(&Token::Value)? && !matches!(self.next()?, Token::FlowEntry | Token::FlowSequenceEnd)
        {
            self.node(Place::Flow, depth + 1)?
        } else {
            self.empty()?
        };
        self.nodes = self.nodes.checked_sub(1).ok_or_else(|| Fault::limit(at, TOO_MANY))?;
        let mut building = Building::default();
        building.add(at, key, value)?;
        Ok(Node::Mapping(building.finish()))
    }

    fn flow_mapping(&mut self, depth: usize) -> Result<Entries, Fault> {
        self.scanner.take()?;
        let mut building = Building::default();
        let mut first = true;
        while *self.next()? != Token::FlowMappingEnd {
            if !first {
                self.expect(&Token::FlowEntry, "a `,` or `}` is missing")?;
            }
            first = false;
            if *self.next()? == Token::FlowMappingEnd {
                break;
            }
            let at = self.scanner.peek()?.0;
            if !self.takes(&Token::Key)? {
                let key = self.key(Place::Flow, depth)?;
                let value = self.empty()?;
                building.add(at, key, value)?;
                continue;
            }
            let key = match self.next()? {
                Token::Value | Token::FlowEntry | Token::FlowMappingEnd => Key::Node(self.empty()?),
                _ => self.key(Place::Flow, depth)?,
            };
            let value =
                if self.takes(&Token::Value)? && !matches!(self.next()?, Token::FlowEntry | Token::FlowMappingEnd) {
                    self.node(Place::Flow, depth)?
                } else {
                    self.empty()?
                };
            building.add(at, key, value)?;
        }
        self.scanner.take()?;
        Ok(building.finish())
    }

    fn key(&mut self, place: Place, depth: usize) -> Result<Key, Fault> {
        let text = match self.next()? {
            Token::Plain(text) if text == "<<" || text == "=" => text.clone().into_owned(),
            _ => return Ok(Key::Node(self.node(place, depth)?)),
        };
        self.empty()?;
        self.scanner.take()?;
        Ok(if text == "<<" { Key::Merge } else { Key::Node(Node::Text(text)) })
    }

    /// Nothing, where a value could stand.
    fn empty(&mut self) -> Result<Node, Fault> {
        self.nodes = self.nodes.checked_sub(1).ok_or_else(|| Fault::limit(self.scanner.at, TOO_MANY))?;
        Ok(Node::Null)
    }

    fn next(&mut self) -> Result<&Token<'a>, Fault> {
        Ok(&self.scanner.peek()?.1)
    }

    /// Takes the next token if it is this one.
    fn takes(&mut self, token: &Token<'a>) -> Result<bool, Fault> {
        let takes = self.next()? == token;
        if takes {
            self.scanner.take()?;
        }
        Ok(takes)
    }

    fn expect(&mut self, token: &Token<'a>, otherwise: &'static str) -> Result<(), Fault> {
        match self.scanner.take()? {
            (_, found) if found == *token => Ok(()),
            (at, _) => Err(Fault::new(at, otherwise)),
        }
    }
}

enum Key {
    Node(Node),
    /// `<<`: the entries of another mapping, or of several.
    Merge,
}

/// A mapping while it is read.
#[derive(Default)]
struct Building {
    entries: Entries,
    merged: Entries,
}

impl Building {
    fn add(&mut self, at: usize, key: Key, value: Node) -> Result<(), Fault> {
        match key {
            Key::Node(key) if is_hashable(&key) => self.entries.push((key, value)),
            Key::Node(_) => return Err(Fault::new(at, "a list or a mapping cannot be a key")),
            Key::Merge => match untagged(value) {
                Node::Mapping(entries) => self.merged.extend(entries),
                Node::Sequence(nodes) => {
                    // The first of several mappings counts most.
                    for node in nodes.into_iter().rev() {
                        match untagged(node) {
                            Node::Mapping(entries) => self.merged.extend(entries),
                            _ => return Err(Fault::new(at, "only mappings can be merged")),
                        }
                    }
                }
                _ => return Err(Fault::new(at, "only a mapping, or a list of mappings, can be merged")),
            },
        }
        Ok(())
    }

    fn finish(mut self) -> Entries {
        if self.merged.is_empty() {
            return last_wins(self.entries);
        }
        self.merged.append(&mut self.entries);
        last_wins(self.merged)
    }
}

fn untagged(node: Node) -> Node {
    match node {
        Node::Tagged(tagged) => tagged.node,
        node => node,
    }
}

/// A scalar under its tag; `plain` if it has no quotes.
fn scalar(at: usize, tag: Option<&str>, text: Cow<'_, str>, plain: bool) -> Result<Node, Fault> {
    let fault = |reason: &'static str| Fault::new(at, reason);
    let Some(tag) = tag else {
        return if plain { resolve::plain(&text).map_err(fault) } else { Ok(Node::Text(text.into_owned())) };
    };
    if tag == "!" {
        return resolve::plain(&text).map_err(fault);
    }
    let binary = |text: &str| {
        let digits: String = text.chars().filter(|character| !character.is_ascii_whitespace()).collect();
        Node::tagged(format!("{STANDARD}binary"), Node::Text(digits))
    };
    match tag.strip_prefix(STANDARD) {
        Some("str" | "python/str" | "python/unicode") => Ok(Node::Text(text.into_owned())),
        Some("null" | "python/none") => Ok(Node::Null),
        Some("bool" | "python/bool") => resolve::truth(&text).map_err(fault),
        Some("int" | "python/int" | "python/long") => resolve::integer(&text).map_err(fault),
        Some("float" | "python/float") => resolve::float(&text).map_err(fault),
        Some("binary" | "python/bytes") => Ok(binary(&text)),
        Some("seq" | "map" | "omap" | "pairs" | "set" | "python/list" | "python/dict" | "python/tuple") => {
            Err(Fault::new(at, format!("`{}` is a tag of collections", short(tag))))
        }
        Some("merge" | "value") => Err(Fault::new(at, format!("`{}` is no tag of a value", short(tag)))),
        _ => Ok(Node::tagged(tag, Node::Text(text.into_owned()))),
    }
}

fn mapping(at: usize, tag: Option<Cow<'_, str>>, entries: Entries) -> Result<Node, Fault> {
    // Until version 0.25, plumpy sent a UUID as the object that it is in Python.
    if tag.as_deref().and_then(|tag| tag.strip_prefix(STANDARD)) == Some("python/object:uuid.UUID")
        && let Some(integer) =
            entries.iter().find(|(key, _)| key.as_text() == Some("int")).and_then(|(_, int)| bits(int))
    {
        return Ok(Node::tagged(UUID, Node::text(uuid::Uuid::from_u128(integer).to_string())));
    }
    collection(at, tag, Node::Mapping(entries), "map", "python/dict")
}

fn bits(integer: &Node) -> Option<u128> {
    match integer {
        Node::Integer(integer) => u128::try_from(*integer).ok(),
        Node::Huge(digits) => digits.parse().ok(),
        _ => None,
    }
}

/// A collection under its tag, which is dropped if it is one of those that say nothing.
fn collection(at: usize, tag: Option<Cow<'_, str>>, node: Node, usual: &str, python: &str) -> Result<Node, Fault> {
    let Some(tag) = tag else { return Ok(node) };
    let sequence = matches!(node, Node::Sequence(_));
    match tag.strip_prefix(STANDARD) {
        None if tag == "!" => Ok(node),
        Some(known) if known == usual || known == python => Ok(node),
        Some("str" | "null" | "bool" | "int" | "float" | "binary" | "timestamp" | "merge" | "value") => {
            Err(Fault::new(at, format!("`{}` is no tag of a collection", short(&tag))))
        }
        Some("seq" | "python/list" | "python/tuple" | "omap" | "pairs") if !sequence => {
            Err(Fault::new(at, format!("`{}` is a tag of sequences", short(&tag))))
        }
        Some("map" | "python/dict" | "set") if sequence => {
            Err(Fault::new(at, format!("`{}` is a tag of mappings", short(&tag))))
        }
        _ => Ok(Node::Tagged(Box::new(Tagged { tag: tag.into_owned(), node }))),
    }
}

fn short(tag: &str) -> String {
    tag.strip_prefix(STANDARD).map_or_else(|| tag.to_owned(), |tag| format!("!!{tag}"))
}

fn measure(node: &Node) -> Size {
    let of = |nodes: &mut dyn Iterator<Item = &Node>| {
        nodes.map(measure).fold(Size { nodes: 1, bytes: 0, depth: 0 }, |sum, size| Size {
            nodes: sum.nodes + size.nodes,
            bytes: sum.bytes + size.bytes,
            depth: sum.depth.max(size.depth),
        })
    };
    let deeper = |size: Size| Size { depth: size.depth + 1, ..size };
    match node {
        Node::Text(text) => Size { nodes: 1, bytes: text.len(), depth: 0 },
        Node::Huge(digits) => Size { nodes: 1, bytes: digits.len(), depth: 0 },
        Node::Sequence(nodes) => deeper(of(&mut nodes.iter())),
        Node::Mapping(entries) => deeper(of(&mut entries.iter().flat_map(|(key, value)| [key, value]))),
        Node::Tagged(tagged) => {
            let size = measure(&tagged.node);
            Size { bytes: size.bytes + tagged.tag.len(), ..size }
        }
        _ => Size { nodes: 1, bytes: 0, depth: 0 },
    }
}
