//! Filters as the text from which they are read.

use std::fmt;

use super::filter::{Comparison, Condition, Filter, Scalar, TextIs};
use super::time;
use super::token::is_of_word;

impl fmt::Display for Filter {
    /// As [`parse`](Self::parse) reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every => f.write_str("all"),
            Self::Is(condition) => condition.fmt(f),
            Self::Not(filter) => {
                f.write_str("not ")?;
                filter.write_part(f)
            }
            Self::And(filters) => write_joined(f, filters, " and ", "all"),
            Self::Or(filters) => write_joined(f, filters, " or ", "not all"),
        }
    }
}

impl Filter {
    /// As a part of another one.
    fn write_part(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(_) | Self::Or(_) => write!(f, "({self})"),
            _ => write!(f, "{self}"),
        }
    }
}

fn write_joined(f: &mut fmt::Formatter<'_>, filters: &[Filter], by: &str, none: &str) -> fmt::Result {
    let Some((first, others)) = filters.split_first() else { return f.write_str(none) };
    first.write_part(f)?;
    for filter in others {
        f.write_str(by)?;
        filter.write_part(f)?;
    }
    Ok(())
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(state) => write!(f, "state = {state}"),
            Self::Name(text) => write!(f, "name = {text}"),
            Self::Id(text) => write!(f, "id = {text}"),
            Self::Key(text) => write!(f, "key = {text}"),
            Self::Parent(pid) => {
                f.write_str("parent = ")?;
                write_text(f, &pid.to_string())
            }
            Self::Root => f.write_str("root"),
            Self::Paused => f.write_str("paused"),
            Self::Parked => f.write_str("parked"),
            Self::Failed => f.write_str("failed"),
            Self::Exit(comparison, code) => write!(f, "exit {comparison} {code}"),
            Self::Created(comparison, at) => {
                write!(f, "created {comparison} ")?;
                time::write(f, *at)
            }
            Self::Updated(comparison, at) => {
                write!(f, "updated {comparison} ")?;
                time::write(f, *at)
            }
            Self::Input { path, comparison, value } => {
                f.write_str("input")?;
                for name in path {
                    f.write_str(".")?;
                    if name.contains('.') { write_quoted(f, name)? } else { write_text(f, name)? }
                }
                write!(f, " {comparison} {value}")
            }
        }
    }
}

impl fmt::Display for TextIs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equal(text) => write_text(f, text),
            // Without quotes, a `*` alone is that of the empty text.
            Self::Prefix(text) if text.is_empty() => f.write_str("*"),
            Self::Prefix(text) => {
                write_text(f, text)?;
                f.write_str("*")
            }
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
        })
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Number(number) => number.fmt(f),
            // It may look like one of the others.
            Self::Text(text) => write_quoted(f, text),
        }
    }
}

/// In quotes where it would be read as something else without.
fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let is_word = !text.is_empty() && text.chars().all(|char| is_of_word(char) && char != '*');
    if is_word { f.write_str(text) } else { write_quoted(f, text) }
}

fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str(&serde_json::to_string(text).map_err(|_| fmt::Error)?)
}
