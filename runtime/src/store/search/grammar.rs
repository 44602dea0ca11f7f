//! Filters as text.

use std::ops::Range;

use serde_json::Number;

use super::error::{FilterError, FilterFault};
use super::filter::{Comparison, Condition, Filter, Scalar, TextIs};
use super::time;
use super::token::{Kind, Token, short, tokens, unexpected};
use crate::clock::Timestamp;
use crate::limits;
use crate::process::ProcessState;
use crate::text::suggest;

/// What may begin a condition.
const WORDS: [&str; 14] = [
    "all", "created", "exit", "failed", "id", "input.", "key", "name", "not", "parent", "parked", "paused", "root",
    "state",
];
const UPDATED: &str = "updated";

const CONDITION: &str = "a condition, such as `state = waiting` or `failed`";
const SAME: &str = "`=` or `!=`";
const ORDER: &str = "`=`, `!=`, `<`, `<=`, `>` or `>=`";
const STATE: &str = "a state: `created`, `running`, `waiting`, `finished`, `excepted` or `killed`";
const TEXT: &str = "a text; one with spaces stands in quotes";
const STAR: &str = "a text with its `*` at the end; one that has it in it stands in quotes";
const EXIT: &str = "an exit code, a number";
const TIME: &str = "a time, such as `-2h`, `2026-11-21` or `2026-11-21T19:30:00Z`";
const INPUT: &str = "the name of an input, such as `input.steps`";
const VALUE: &str = "a number, `true`, `false`, `null` or a text";

impl Filter {
    /// Reads a filter from text; `now` is the time to which `-2h` and its like refer.
    ///
    /// # Conditions
    /// | condition | which processes |
    /// |---|---|
    /// | `all` | every one |
    /// | `state = waiting` | those in a state: `created`, `running`, `waiting`, `finished`, `excepted`, `killed` |
    /// | `name = Rank`, `name = Rank*` | those that are registered under a name, or one that begins so |
    /// | `id = 0191*` | those with an id, or one that begins so |
    /// | `key = "batch 7"`, `key = batch-*` | those that were launched under a key, or one that begins so; `key = *` are those with any |
    /// | `parent = 0191f5d0` | the children of a process |
    /// | `root` | those without a parent |
    /// | `paused`, `parked` | those that are paused; those that were put aside |
    /// | `failed` | those that are excepted, or have finished with an exit code other than 0 |
    /// | `exit = 3`, `exit >= 300` | those that have finished with an exit code; 0 is that of those that finished normally |
    /// | `created > -2d`, `updated <= 2026-11-21T19:30:00Z` | those created, or at their last boundary, before or after a time |
    /// | `input.words.count >= 10`, `input.name = "two words"` | those with an input, by its dotted path |
    ///
    /// Conditions are joined by `and`, `or` and `not`, which bind in this order: `not` the closest, then `and`; parentheses
    /// group them. `=` and `!=` go with all that have a value, `<`, `<=`, `>` and `>=` with exit codes, times and inputs.
    ///
    /// A process that does not have what a comparison asks for is not found by it, whatever the comparison: `exit != 3`
    /// finds those that have finished with another code, and `not exit = 3` those that run, too.
    ///
    /// # Values
    /// A text stands in quotes, written as in JSON, where it has spaces, quotes, parentheses or `=`, `!`, `<`, `>` in it.
    /// A `*` at the end of a text makes it the beginning of one, also after the quotes: `key = "two wor"*`; in quotes it is
    /// a `*`.
    ///
    /// A time is one of RFC 3339; a day, which is its beginning in UTC; how long before now, as in `-90s`, `-5m`, `-2h`,
    /// `-7d` and `-1w`; `now`; or milliseconds since 1970, as in `@1700000000000`.
    ///
    /// An input is compared with a number, `true`, `false`, `null` or a text. In quotes, it is always a text. Numbers are
    /// the same if they are worth the same; values of different types are never the same, and none of them is greater.
    /// A name with dots in it stands in quotes: `input."a.b".c = 1`.
    ///
    /// # Errors
    /// The text is no filter: the [error](FilterError) says what was expected, and where. Length, depth and number of
    /// conditions are bounded by [`limits`].
    ///
    /// # Examples
    /// ```
    /// use procession_runtime::ProcessState;
    /// use procession_runtime::clock::Timestamp;
    /// use procession_runtime::store::{Condition, Filter, TextIs};
    ///
    /// let now = Timestamp::from_millis(1_700_000_000_000);
    /// let filter = Filter::parse("state = waiting and name = Rank*", now)?;
    /// let waiting = Condition::State(ProcessState::Waiting);
    /// let ranks = Condition::Name(TextIs::Prefix("Rank".to_owned()));
    /// assert_eq!(filter, Filter::And(vec![waiting.into(), ranks.into()]));
    ///
    /// for text in [
    ///     "all",
    ///     "failed and created > -2d",
    ///     "exit = 3 or not (key = batch-* and parked)",
    ///     "input.words.count >= 10 and input.name = \"two words\"",
    ///     "root and updated < 2026-11-21T19:30:00+01:00",
    /// ] {
    ///     let filter = Filter::parse(text, now)?;
    ///     assert_eq!(Filter::parse(&filter.to_string(), now)?, filter);
    /// }
    ///
    /// let error = Filter::parse("stat = waiting", now).unwrap_err();
    /// assert_eq!(error.at(), 0..4);
    /// assert!(error.to_string().ends_with("did you mean `state`?"));
    /// # Ok::<(), procession_runtime::store::FilterError>(())
    /// ```
    pub fn parse(text: &str, now: Timestamp) -> Result<Self, FilterError> {
        if text.len() > limits::FILTER_BYTES {
            return Err(FilterError::new(text, text.len()..text.len(), FilterFault::TooLong));
        }
        let tokens = tokens(text)?;
        let mut parser = Parser { text, now, tokens, next: 0, depth: 0, conditions: 0 };
        let filter = parser.any()?;
        match parser.peek() {
            Kind::End => filter.check().map(|()| filter).map_err(|fault| FilterError::new(text, 0..text.len(), fault)),
            _ => Err(parser.unexpected("`and`, `or` or the end", ["and", "or"])),
        }
    }
}

struct Parser<'t> {
    text: &'t str,
    now: Timestamp,
    /// The last one is the end, which is never passed.
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
    conditions: usize,
}

impl Parser<'_> {
    fn token(&self) -> &Token {
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn peek(&self) -> &Kind {
        &self.token().kind
    }

    fn pass(&mut self) {
        self.next += 1;
    }

    fn error(&self, at: Range<usize>, fault: FilterFault) -> FilterError {
        FilterError::new(self.text, at, fault)
    }

    /// What stands here is not what should; one of these words may have been meant.
    fn unexpected(&self, expected: &'static str, known: impl IntoIterator<Item = &'static str>) -> FilterError {
        let Token { kind, at } = self.token();
        let near = match kind {
            Kind::Word(word) => suggest(&word.to_lowercase(), known.into_iter()),
            _ => None,
        };
        self.error(at.clone(), FilterFault::Unexpected { expected, found: kind.found(), near })
    }

    /// Whether this word stands here, in whatever case; passes it then.
    fn passes(&mut self, keyword: &str) -> bool {
        let is_here = matches!(self.peek(), Kind::Word(word) if word.eq_ignore_ascii_case(keyword));
        self.next += usize::from(is_here);
        is_here
    }

    fn any(&mut self) -> Result<Filter, FilterError> {
        self.joined("or", Filter::Or, |parser| parser.joined("and", Filter::And, Self::one))
    }

    fn joined(
        &mut self,
        keyword: &str,
        join: impl FnOnce(Vec<Filter>) -> Filter,
        mut part: impl FnMut(&mut Self) -> Result<Filter, FilterError>,
    ) -> Result<Filter, FilterError> {
        let first = part(self)?;
        let mut parts = vec![first];
        while self.passes(keyword) {
            parts.push(part(self)?);
        }
        match parts.pop() {
            Some(only) if parts.is_empty() => Ok(only),
            last => Ok(join(parts.into_iter().chain(last).collect())),
        }
    }

    fn one(&mut self) -> Result<Filter, FilterError> {
        let at = self.token().at.clone();
        if self.depth >= limits::FILTER_DEPTH {
            return Err(self.error(at, FilterFault::TooDeep));
        }
        self.depth += 1;
        let filter = if self.passes("not") {
            Filter::Not(Box::new(self.one()?))
        } else if *self.peek() == Kind::Open {
            self.pass();
            let filter = self.any()?;
            if *self.peek() != Kind::Close {
                return Err(self.unexpected("`and`, `or` or `)`", ["and", "or"]));
            }
            self.pass();
            filter
        } else {
            self.conditions += 1;
            if self.conditions > limits::FILTER_CONDITIONS {
                return Err(self.error(at, FilterFault::TooMany));
            }
            self.condition()?
        };
        self.depth -= 1;
        Ok(filter)
    }

    fn condition(&mut self) -> Result<Filter, FilterError> {
        let Kind::Word(word) = self.peek() else { return Err(self.unexpected(CONDITION, [])) };
        let word = word.clone();
        let flag = match &*word {
            "all" => Filter::Every,
            "root" => Condition::Root.into(),
            "paused" => Condition::Paused.into(),
            "parked" => Condition::Parked.into(),
            "failed" => Condition::Failed.into(),
            _ => return self.comparison(&word),
        };
        self.pass();
        Ok(flag)
    }

    fn comparison(&mut self, word: &str) -> Result<Filter, FilterError> {
        if word == "input" || word.starts_with("input.") {
            return self.input();
        }
        let known = ["state", "name", "id", "key", "parent", "exit", "created", UPDATED];
        if !known.contains(&word) {
            return Err(self.unexpected(CONDITION, WORDS.into_iter().chain([UPDATED])));
        }
        self.pass();
        let is_ordered = matches!(word, "exit" | "created" | UPDATED);
        let comparison = self.sign(is_ordered)?;
        let filter = match word {
            "state" => self.state()?.into(),
            "name" => Condition::Name(self.text_is()?).into(),
            "id" => Condition::Id(self.text_is()?).into(),
            "key" => Condition::Key(self.text_is()?).into(),
            "parent" => Condition::Parent(self.whole_text()?.into()).into(),
            "exit" => return Ok(Condition::Exit(comparison, self.exit()?).into()),
            "created" => return Ok(Condition::Created(comparison, self.time()?).into()),
            _ => return Ok(Condition::Updated(comparison, self.time()?).into()),
        };
        if comparison == Comparison::Equal {
            return Ok(filter);
        }
        let others = Filter::Not(Box::new(filter));
        Ok(match word {
            // Those without any are not found.
            "key" => Filter::And(vec![Condition::Key(TextIs::Prefix(String::new())).into(), others]),
            "parent" => Filter::And(vec![Filter::Not(Box::new(Condition::Root.into())), others]),
            _ => others,
        })
    }

    fn sign(&mut self, is_ordered: bool) -> Result<Comparison, FilterError> {
        match self.peek() {
            Kind::Comparison(sign) if is_ordered || matches!(sign, Comparison::Equal | Comparison::NotEqual) => {
                let sign = *sign;
                self.pass();
                Ok(sign)
            }
            _ => Err(self.unexpected(if is_ordered { ORDER } else { SAME }, [])),
        }
    }

    fn state(&mut self) -> Result<Condition, FilterError> {
        let state = match self.peek() {
            Kind::Word(word) => ProcessState::from_name(word),
            _ => None,
        };
        let Some(state) = state else {
            return Err(self.unexpected(STATE, ProcessState::ALL.map(ProcessState::as_str)));
        };
        self.pass();
        Ok(Condition::State(state))
    }

    fn text_is(&mut self) -> Result<TextIs, FilterError> {
        let Token { kind, at } = self.token().clone();
        let text = match kind {
            Kind::Word(word) => match word.strip_suffix('*') {
                Some(prefix) if !prefix.contains('*') => TextIs::Prefix(prefix.to_owned()),
                None if !word.contains('*') => TextIs::Equal(word),
                _ => return Err(self.unexpected(STAR, [])),
            },
            Kind::Quoted(text) => {
                let star = self.tokens.get(self.next + 1);
                let is_prefix =
                    star.is_some_and(|star| star.kind == Kind::Word("*".to_owned()) && star.at.start == at.end);
                self.next += usize::from(is_prefix);
                if is_prefix { TextIs::Prefix(text) } else { TextIs::Equal(text) }
            }
            _ => return Err(self.unexpected(TEXT, [])),
        };
        self.pass();
        Ok(text)
    }

    fn whole_text(&mut self) -> Result<String, FilterError> {
        let (Kind::Word(text) | Kind::Quoted(text)) = self.peek() else { return Err(self.unexpected(TEXT, [])) };
        let text = text.clone();
        self.pass();
        Ok(text)
    }

    fn exit(&mut self) -> Result<i64, FilterError> {
        let code = match self.peek() {
            Kind::Word(word) => word.parse().ok(),
            _ => None,
        };
        let Some(code) = code else { return Err(self.unexpected(EXIT, [])) };
        self.pass();
        Ok(code)
    }

    fn time(&mut self) -> Result<Timestamp, FilterError> {
        let time = match self.peek() {
            Kind::Word(text) | Kind::Quoted(text) => time::parse(text, self.now),
            _ => None,
        };
        let Some(time) = time else { return Err(self.unexpected(TIME, ["now"])) };
        self.pass();
        Ok(time)
    }

    fn input(&mut self) -> Result<Filter, FilterError> {
        let path = self.path()?;
        let comparison = self.sign(true)?;
        let value = match self.peek() {
            Kind::Word(word) => scalar(word),
            Kind::Quoted(text) => Scalar::Text(text.clone()),
            _ => return Err(self.unexpected(VALUE, [])),
        };
        self.pass();
        Ok(Condition::Input { path, comparison, value }.into())
    }

    /// `input.a.b`, where names may stand in quotes: words that stand without a space between them.
    fn path(&mut self) -> Result<Vec<String>, FilterError> {
        let start = self.token().at.start;
        // What stands between dots, with what was in quotes.
        let mut names: Vec<Option<String>> = vec![Some(String::new())];
        let mut end = start;
        let mut faulty = false;
        while self.token().at.start == end {
            match self.peek().clone() {
                Kind::Word(word) => {
                    for (index, name) in word.split('.').enumerate() {
                        if index > 0 {
                            names.push(None);
                        }
                        if !name.is_empty() {
                            let known = names.last_mut().and_then(|last| last.replace(name.to_owned()));
                            faulty |= known.is_some_and(|known| end > start || !known.is_empty());
                        }
                    }
                }
                Kind::Quoted(name) => {
                    faulty |= names.last_mut().is_none_or(|last| last.replace(name).is_some());
                }
                _ => break,
            }
            end = self.token().at.end;
            self.pass();
        }
        let path: Option<Vec<String>> = names.into_iter().skip(1).collect();
        path.filter(|path| !path.is_empty() && !faulty).ok_or_else(|| {
            let found = format!("`{}`", short(&self.text[start..end]));
            self.error(start..end, unexpected(INPUT, &found))
        })
    }
}

fn scalar(word: &str) -> Scalar {
    match word {
        "null" => Scalar::Null,
        "true" => Scalar::Bool(true),
        "false" => Scalar::Bool(false),
        _ => number(word).map_or_else(|| Scalar::Text(word.to_owned()), Scalar::Number),
    }
}

/// A number as JSON has them.
pub(super) fn number(word: &str) -> Option<Number> {
    serde_json::from_str::<Number>(word).ok()
}
