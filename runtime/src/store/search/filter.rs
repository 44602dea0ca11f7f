//! Which processes: conditions on what they are, and whether one meets them.

use std::cell::OnceCell;
use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::Summary;
use super::error::FilterFault;
use crate::clock::Timestamp;
use crate::limits;
use crate::process::{ProcessId, ProcessState};

/// Which processes are looked for. [`Filter::parse`] reads one from a text, and `Display` writes that text.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Filter {
    /// Every process.
    #[default]
    Every,
    /// Those that meet a condition.
    Is(Condition),
    /// Those that another filter leaves out.
    Not(Box<Filter>),
    /// Those that each of these finds.
    And(Vec<Filter>),
    /// Those that any of these finds.
    Or(Vec<Filter>),
}

/// What a process is. What it does not have, such as an exit code before its end, meets no condition.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Condition {
    /// Is in this state.
    State(ProcessState),
    /// Is registered under this name.
    Name(TextIs),
    /// Has this id.
    Id(TextIs),
    /// Was launched under this key.
    Key(TextIs),
    /// Is a child of this process.
    Parent(ProcessId),
    /// Has no parent.
    Root,
    /// Is paused.
    Paused,
    /// Was put aside.
    Parked,
    /// Is excepted, or has finished with an exit code other than 0.
    Failed,
    /// Has finished with an exit code that compares like this; 0 is that of one that finished normally.
    Exit(Comparison, i64),
    /// Was created at a time that compares like this.
    Created(Comparison, Timestamp),
    /// Had its last boundary at a time that compares like this.
    Updated(Comparison, Timestamp),
    /// Has an input that compares like this.
    Input {
        /// The names on the way to it, outermost first.
        path: Vec<String>,
        /// How it compares.
        comparison: Comparison,
        /// With what.
        value: Scalar,
    },
}

/// What a text is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextIs {
    /// This one.
    Equal(String),
    /// One that begins with this.
    Prefix(String),
}

/// How one value compares with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
}

/// A JSON value without others in it.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number: `1` and `1.0` are the same.
    Number(Number),
    /// A text.
    Text(String),
}

/// The inputs of a process, which are read only if they are asked for.
#[derive(Debug)]
pub(in crate::store) struct Inputs<'a> {
    text: &'a str,
    value: OnceCell<Result<Value, serde_json::Error>>,
}

impl Filter {
    /// Whether a process meets it.
    ///
    /// # Errors
    /// It asks for inputs, and they are no JSON.
    pub fn matches(&self, summary: &Summary, inputs: &str) -> Result<bool, serde_json::Error> {
        let inputs = Inputs { text: inputs, value: OnceCell::new() };
        let met = self.is_met(summary, &inputs);
        match inputs.value.into_inner() {
            Some(Err(error)) => Err(error),
            _ => Ok(met),
        }
    }

    /// Whether it asks for inputs. If not, [`matches`](Self::matches) does not look at them.
    pub fn asks_for_inputs(&self) -> bool {
        match self {
            Self::Every => false,
            Self::Is(condition) => matches!(condition, Condition::Input { .. }),
            Self::Not(filter) => filter.asks_for_inputs(),
            Self::And(filters) | Self::Or(filters) => filters.iter().any(Self::asks_for_inputs),
        }
    }

    /// Refuses what is beyond [`limits`].
    pub(in crate::store) fn check(&self) -> Result<(), FilterFault> {
        let mut left = limits::FILTER_CONDITIONS;
        self.check_within(limits::FILTER_DEPTH, &mut left)
    }

    fn check_within(&self, depth: usize, left: &mut usize) -> Result<(), FilterFault> {
        let inner = depth.checked_sub(1).ok_or(FilterFault::TooDeep)?;
        match self {
            Self::Every => Ok(()),
            Self::Is(condition) => {
                *left = left.checked_sub(1).ok_or(FilterFault::TooMany)?;
                if condition.bytes() > limits::FILTER_BYTES { Err(FilterFault::TooLong) } else { Ok(()) }
            }
            Self::Not(filter) => filter.check_within(inner, left),
            Self::And(filters) | Self::Or(filters) => {
                filters.iter().try_for_each(|filter| filter.check_within(inner, left))
            }
        }
    }

    fn is_met(&self, summary: &Summary, inputs: &Inputs<'_>) -> bool {
        match self {
            Self::Every => true,
            Self::Is(condition) => condition.is_met(summary, inputs),
            Self::Not(filter) => !filter.is_met(summary, inputs),
            Self::And(filters) => filters.iter().all(|filter| filter.is_met(summary, inputs)),
            Self::Or(filters) => filters.iter().any(|filter| filter.is_met(summary, inputs)),
        }
    }
}

impl From<Condition> for Filter {
    fn from(condition: Condition) -> Self {
        Self::Is(condition)
    }
}

impl Condition {
    fn is_met(&self, summary: &Summary, inputs: &Inputs<'_>) -> bool {
        match self {
            Self::State(state) => summary.state == *state,
            Self::Name(text) => text.is_met(&summary.process),
            Self::Id(text) => text.is_met(&summary.pid.to_string()),
            Self::Key(text) => summary.key.as_ref().is_some_and(|key| text.is_met(key)),
            Self::Parent(parent) => summary.parent.as_ref() == Some(parent),
            Self::Root => summary.parent.is_none(),
            Self::Paused => summary.paused,
            Self::Parked => summary.parked.is_some(),
            Self::Failed => summary.is_failed(),
            Self::Exit(comparison, code) => {
                summary.exit_code.is_some_and(|own| comparison.is_met(i64::from(own).cmp(code)))
            }
            Self::Created(comparison, time) => comparison.is_met(summary.created_at.cmp(time)),
            Self::Updated(comparison, time) => comparison.is_met(summary.updated_at.cmp(time)),
            Self::Input { path, comparison, value } => {
                inputs.get(path).is_some_and(|input| comparison.is_met_by(value.compare(input)))
            }
        }
    }

    /// How long its texts are.
    fn bytes(&self) -> usize {
        match self {
            Self::Name(text) | Self::Id(text) | Self::Key(text) => text.text().len(),
            Self::Parent(pid) => pid.to_string().len(),
            Self::Input { path, value, .. } => {
                let value = if let Scalar::Text(text) = value { text.len() } else { 0 };
                path.iter().map(|name| name.len() + 1).sum::<usize>() + value
            }
            _ => 0,
        }
    }
}

impl TextIs {
    /// The whole text, or its beginning.
    pub fn text(&self) -> &str {
        let (Self::Equal(text) | Self::Prefix(text)) = self;
        text
    }

    fn is_met(&self, text: &str) -> bool {
        match self {
            Self::Equal(whole) => text == whole,
            Self::Prefix(prefix) => text.starts_with(&**prefix),
        }
    }
}

impl Comparison {
    /// Whether it holds of two values that compare so.
    pub(super) fn is_met(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::AtMost => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::AtLeast => ordering.is_ge(),
        }
    }

    /// The same of values that may have no order, such as a text and a number: they differ.
    fn is_met_by(self, ordering: Option<Ordering>) -> bool {
        ordering.map_or(self == Self::NotEqual, |ordering| self.is_met(ordering))
    }
}

impl Inputs<'_> {
    fn get(&self, path: &[String]) -> Option<&Value> {
        let value = self.value.get_or_init(|| serde_json::from_str(self.text)).as_ref().ok()?;
        path.iter().try_fold(value, |value, name| value.as_object()?.get(name))
    }
}

impl Scalar {
    /// How an input compares with it. Those of different types, and all but numbers and texts, have no order.
    fn compare(&self, input: &Value) -> Option<Ordering> {
        let equal = |equal: bool| equal.then_some(Ordering::Equal);
        match (input, self) {
            (Value::Null, Self::Null) => Some(Ordering::Equal),
            (Value::Bool(input), Self::Bool(value)) => equal(input == value),
            (Value::Number(input), Self::Number(value)) => compare_numbers(input, value),
            (Value::String(input), Self::Text(value)) => Some(input.cmp(value)),
            _ => None,
        }
    }
}

/// By what they are worth, whatever their form: a float has no exact integer beside it from 2^53 on.
fn compare_numbers(one: &Number, other: &Number) -> Option<Ordering> {
    match (integer(one), integer(other)) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        (Some(one), None) => compare_mixed(one, other.as_f64()?),
        (None, Some(other)) => compare_mixed(other, one.as_f64()?).map(Ordering::reverse),
        (None, None) => one.as_f64()?.partial_cmp(&other.as_f64()?),
    }
}

fn integer(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

/// A cast to an integer cuts off what is behind the point, and stops at the greatest one.
#[allow(clippy::cast_possible_truncation)]
fn compare_mixed(integer: i128, float: f64) -> Option<Ordering> {
    let whole = integer.cmp(&(float.trunc() as i128));
    Some(whole.then(0.0.partial_cmp(&float.fract())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_by_their_value() {
        let number = |text: &str| serde_json::from_str::<Number>(text).unwrap();
        let ascending = [
            "-1e300",
            "-9223372036854775808",
            "-1.5",
            "-1",
            "-0.5",
            "0",
            "0.5",
            "1",
            "1.5",
            "9007199254740992.0",
            "9007199254740993",
            "9223372036854775807",
            "18446744073709551615",
            "1e300",
        ];
        for (i, one) in ascending.iter().enumerate() {
            for (j, other) in ascending.iter().enumerate() {
                assert_eq!(compare_numbers(&number(one), &number(other)), Some(i.cmp(&j)), "{one} and {other}");
            }
        }
        assert_eq!(compare_numbers(&number("1"), &number("1.0")), Some(Ordering::Equal));
        assert_eq!(compare_numbers(&number("-0.0"), &number("0")), Some(Ordering::Equal));
    }
}
