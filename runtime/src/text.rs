//! Near names, texts of panics, and values that are nested too deep to be read again.

use serde_json::Value;

use crate::limits;

/// What is said of such a value.
pub(crate) const TOO_DEEP: &str = "too deep to be read again (see `limits::JSON_DEPTH`)";

/// Whether a value is nested deeper than the parser would read it.
pub(crate) fn too_deep(value: &Value) -> bool {
    fn deeper(value: &Value, left: usize) -> bool {
        match value {
            Value::Array(values) => left == 0 || values.iter().any(|value| deeper(value, left - 1)),
            Value::Object(values) => left == 0 || values.values().any(|value| deeper(value, left - 1)),
            _ => false,
        }
    }
    deeper(value, limits::JSON_DEPTH)
}

/// What a panic said.
pub(crate) fn panic_text(payload: &(dyn std::any::Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panicked with a value that is no text")
}

/// An error with all its causes, outermost first.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |&cause| cause.source()) {
        text.push_str(": ");
        text.push_str(&cause.to_string());
    }
    text
}

/// The beginning of a text, of so many bytes at most.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or_default()]
}

/// The known name that is nearest to a wrong one, if one is near.
pub fn suggest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let length = wrong.chars().count();
    // Something of the name is left: one letter for another is no slip.
    let limit = (length.max(3) / 3).min(length.saturating_sub(1));
    known
        .map(|name| (distance(wrong, name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

/// The number of characters to insert, remove or replace (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::suggest;

    #[test]
    fn near_names_are_suggested_and_far_ones_not() {
        let known = ["structure", "steps", "y"];
        for (wrong, expected) in
            [("structur", Some("structure")), ("step", Some("steps")), ("walltime", None), ("x", None)]
        {
            assert_eq!(suggest(wrong, known.into_iter()), expected, "{wrong}");
        }
    }
}
