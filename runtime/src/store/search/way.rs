//! By which indexes the processes are found that can meet a filter.

use super::filter::{Comparison, Condition, Filter, TextIs};
use crate::limits;
use crate::process::{ProcessId, ProcessState};

/// An index, and what is looked up in it. All that meet a filter are found so, and some that do not.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::store) enum Way {
    Every,
    State(ProcessState),
    Failed,
    Parked,
    Paused,
    Parent(ProcessId),
    Name(TextIs),
    Id(TextIs),
    Key(TextIs),
    /// From the first of these times to the last, in milliseconds.
    Created(i64, i64),
}

impl Way {
    /// Those that are likely to find fewer come first.
    fn rank(&self) -> u8 {
        match self {
            Self::Id(TextIs::Equal(_)) | Self::Key(TextIs::Equal(_)) => 0,
            Self::Id(TextIs::Prefix(_)) | Self::Key(TextIs::Prefix(_)) => 1,
            Self::Failed | Self::Parked | Self::Paused => 2,
            Self::State(state) if !state.is_terminal() => 3,
            Self::Parent(_) => 4,
            Self::Name(_) => 5,
            Self::Created(..) => 6,
            Self::State(_) => 7,
            Self::Every => 8,
        }
    }
}

/// Whether the index of a store has those of a way in the order of their creation. Otherwise all are read, and sorted.
pub(in crate::store) type InOrder = fn(&Way) -> bool;

/// Several ways that together find all of them.
pub(in crate::store) type Ways = Vec<Way>;

impl Filter {
    /// By which ways, one of them or another, all are found that meet it; none where only a look at every process finds them.
    pub(in crate::store) fn ways(&self) -> Vec<Ways> {
        let mut ways = match self {
            Self::Every => Vec::new(),
            Self::Is(condition) => condition.way().map(|way| vec![way]).into_iter().collect(),
            Self::Not(filter) => match &**filter {
                Self::Not(filter) => filter.ways(),
                _ => Vec::new(),
            },
            Self::And(filters) => between(filters.iter().flat_map(Self::ways)),
            Self::Or(filters) => {
                let each = filters.iter().map(|filter| filter.ways().into_iter().next());
                each.collect::<Option<Vec<Ways>>>().map(|ways| ways.concat()).into_iter().collect()
            }
        };
        ways.sort_by_key(|ways| ways.iter().map(Way::rank).max());
        ways
    }
}

/// After one time and before another is between the two.
fn between(ways: impl Iterator<Item = Ways>) -> Vec<Ways> {
    let mut others = Vec::new();
    let mut created: Option<(i64, i64)> = None;
    for ways in ways {
        match ways[..] {
            [Way::Created(first, last)] => {
                let (after, before) = created.unwrap_or((i64::MIN, i64::MAX));
                created = Some((after.max(first), before.min(last)));
            }
            _ => others.push(ways),
        }
    }
    others.extend(created.map(|(first, last)| vec![Way::Created(first, last)]));
    others
}

impl Condition {
    fn way(&self) -> Option<Way> {
        match self {
            Self::State(state) => Some(Way::State(*state)),
            Self::Name(text) => Some(Way::Name(text.clone())),
            Self::Id(text) => Some(Way::Id(text.clone())),
            Self::Key(text) => Some(Way::Key(text.clone())),
            Self::Parent(pid) => Some(Way::Parent(pid.clone())),
            Self::Paused => Some(Way::Paused),
            Self::Parked => Some(Way::Parked),
            Self::Failed => Some(Way::Failed),
            Self::Exit(comparison, code) if !comparison.is_met(0.cmp(code)) => Some(Way::Failed),
            Self::Exit(..) => Some(Way::State(ProcessState::Finished)),
            Self::Created(comparison, time) => {
                let at = time.as_millis();
                match comparison {
                    Comparison::Equal => Some(Way::Created(at, at)),
                    Comparison::NotEqual => None,
                    Comparison::Less => Some(Way::Created(i64::MIN, at.saturating_sub(1))),
                    Comparison::AtMost => Some(Way::Created(i64::MIN, at)),
                    Comparison::Greater => Some(Way::Created(at.saturating_add(1), i64::MAX)),
                    Comparison::AtLeast => Some(Way::Created(at, i64::MAX)),
                }
            }
            Self::Root | Self::Updated(..) | Self::Input { .. } => None,
        }
    }
}

/// Which ways are taken: those that find fewest, but no more than may be read. Where all find more, processes are looked at
/// in the order of their creation.
#[derive(Debug)]
pub(in crate::store) struct Choice {
    left: std::vec::IntoIter<Ways>,
    fewest: usize,
    is_in_order: InOrder,
    best: Option<Ways>,
    in_order: Option<Ways>,
}

impl Choice {
    pub(in crate::store) fn new(filter: &Filter, is_in_order: InOrder) -> Self {
        let mut ways = filter.ways();
        let mut best = None;
        // Read in order and without a choice, it need not be known how many there are.
        if let [only] = &ways[..]
            && only.iter().all(is_in_order)
        {
            best = ways.pop();
        }
        Self { left: ways.into_iter(), fewest: limits::SEARCHED + 1, is_in_order, best, in_order: None }
    }

    /// The next of which is to be known how many they find; none if that is not needed any more.
    pub(in crate::store) fn next(&mut self) -> Option<Ways> {
        self.left.next().filter(|_| self.best.is_none() || self.fewest > ENOUGH)
    }

    /// These find so many.
    pub(in crate::store) fn counted(&mut self, ways: Ways, found: usize) {
        if self.in_order.is_none() && ways.iter().all(self.is_in_order) {
            self.in_order = Some(ways.clone());
        }
        if found < self.fewest {
            (self.fewest, self.best) = (found, Some(ways));
        }
    }

    pub(in crate::store) fn take(self) -> Ways {
        self.best.or(self.in_order).unwrap_or_else(|| vec![Way::Every])
    }
}

/// So few that they are read at once.
const ENOUGH: usize = 100;

/// How many ids are read at once: all of those that must be sorted.
pub(in crate::store) fn at_once(ways: &[Way], most: usize, is_in_order: InOrder) -> usize {
    if ways.iter().all(is_in_order) { most.max(ENOUGH) + 1 } else { limits::SEARCHED + 1 }
}

/// The first of those that several ways have found, each at most so many.
pub(in crate::store) fn merged(mut found: Vec<i64>, oldest_first: bool, most: usize) -> Vec<i64> {
    found.sort_unstable();
    found.dedup();
    if !oldest_first {
        found.reverse();
    }
    found.truncate(most);
    found
}

impl TextIs {
    /// The first of the texts that it may be, and the first one after them, as bytes in their order; only so many bytes
    /// of each are looked at.
    pub(in crate::store) fn bounds(&self, most: usize) -> (Vec<u8>, Vec<u8>) {
        let text = self.text().as_bytes();
        let from = text[..text.len().min(most)].to_vec();
        let is_whole = matches!(self, Self::Equal(_)) || text.len() > most;
        let mut to = from.clone();
        if is_whole {
            to.push(0);
            return (from, to);
        }
        while to.last() == Some(&u8::MAX) {
            to.pop();
        }
        match to.last_mut() {
            Some(last) => *last += 1,
            // After every text: this byte is in none.
            None => to.push(u8::MAX),
        }
        (from, to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn ways(text: &str) -> Vec<Ways> {
        Filter::parse(text, Timestamp::from_millis(1_000_000)).unwrap().ways()
    }

    #[test]
    fn filters_are_answered_by_the_indexes_that_find_fewest() {
        let key = || Way::Key(TextIs::Prefix("b".to_owned()));
        let waiting = || Way::State(ProcessState::Waiting);
        assert!(ways("all").is_empty());
        assert_eq!(ways("state = waiting and key = b*"), [[key()], [waiting()]]);
        assert_eq!(ways("state = waiting or key = b*"), [[waiting(), key()]]);
        assert!(ways("state = waiting or root").is_empty(), "one of them has none");
        assert_eq!(ways("not (not failed)"), [[Way::Failed]]);
        assert!(ways("not failed").is_empty());
        assert_eq!(ways("exit > 0"), [[Way::Failed]]);
        assert_eq!(ways("exit >= 0"), [[Way::State(ProcessState::Finished)]]);
        assert_eq!(ways("created > -5s and created <= -1s"), [[Way::Created(995_001, 999_000)]]);
    }

    #[test]
    fn a_way_that_finds_too_many_is_not_taken() {
        let counts = |text: &str, of_key: usize, of_state: usize| {
            let mut choice =
                Choice::new(&Filter::parse(text, Timestamp::default()).unwrap(), |way| !matches!(way, Way::Key(_)));
            while let Some(ways) = choice.next() {
                let found = if matches!(ways[..], [Way::Key(_)]) { of_key } else { of_state };
                choice.counted(ways, found);
            }
            choice.take()
        };
        let many = limits::SEARCHED + 1;
        let (waiting, key) = (Way::State(ProcessState::Waiting), Way::Key(TextIs::Prefix("b".to_owned())));
        let cases = [
            // Read in order, and without a choice, it is not even counted.
            ("state = waiting", many, many, &waiting),
            ("key = b*", 5, many, &key),
            ("key = b*", many, 5, &Way::Every),
            ("key = b* and state = waiting", 500, 200, &waiting),
            ("key = b* and state = waiting", 200, 500, &key),
            ("key = b* and state = waiting", many, many, &waiting),
        ];
        for (text, of_key, of_state, expected) in cases {
            assert_eq!(counts(text, of_key, of_state), std::slice::from_ref(expected), "{text}");
        }
    }

    #[test]
    fn bounds_have_every_text_between_them() {
        let texts = [
            "",
            "\0",
            "a",
            "a\0",
            "ab",
            "ab\u{10ffff}",
            "abc",
            "ac",
            "b",
            "\u{7f}",
            "\u{80}",
            "\u{10ffff}",
            "\u{10ffff}x",
        ];
        for most in [2, 64] {
            for own in texts {
                for is in [TextIs::Equal(own.to_owned()), TextIs::Prefix(own.to_owned())] {
                    let (from, to) = is.bounds(most);
                    for text in texts {
                        let met = match &is {
                            TextIs::Equal(whole) => text == whole,
                            TextIs::Prefix(prefix) => text.starts_with(&**prefix),
                        };
                        let cut = &text.as_bytes()[..text.len().min(most)];
                        let within = cut >= &*from && cut < &*to;
                        assert!(within || !met, "{is:?} and {text:?}");
                        assert!(within == met || own.len() > most || text.len() > most, "{is:?} and {text:?}");
                    }
                }
            }
        }
    }
}
