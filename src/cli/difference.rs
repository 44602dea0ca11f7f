//! What changed between a checkpoint of a process and the present, or another checkpoint.

use clap::Args;
use procession_runtime::store::Record;
use serde_json::{Map, Value, json};

use super::checkpoint::{Like, saved};
use super::config::Opened;
use super::fault::Fault;
use super::print::Printer;
use super::select::not_found;
use super::show;

/// What is compared.
#[derive(Debug, Clone, Args)]
pub(super) struct Compared {
    /// The id of the process, or the beginning of it; left out with `--where`
    #[arg(value_name = "ID")]
    id: String,
    /// Under which the earlier one was saved
    #[arg(required_unless_present = "where")]
    tag: Option<String>,
    /// Under which the later one was saved [default: as the process is now]
    #[arg(conflicts_with = "where")]
    other: Option<String>,
    #[command(flatten)]
    like: Like,
}

/// A value that is not the same. What is not there is none, which is not the same as null.
#[derive(Debug, PartialEq)]
struct Change {
    /// The names and places on the way to it.
    path: String,
    old: Option<Value>,
    new: Option<Value>,
}

pub(super) async fn compare(opened: &Opened, printer: Printer, compared: &Compared) -> Result<(), Fault> {
    let Compared { id, tag, other, like } = compared;
    let (meant, tag, other) = like.places(id, tag.as_deref(), other.as_deref())?;
    let pid = meant.pid(opened).await?;
    let old = saved(opened, &pid, tag).await?;
    let new = match other {
        Some(other) => saved(opened, &pid, other).await?,
        None => opened.store.load(&pid).await?.ok_or_else(|| not_found(opened, &pid.to_string()))?,
    };
    let mut changes = Vec::new();
    differ(String::new(), Some(&whole(&old)?), Some(&whole(&new)?), &mut changes);
    if printer.json {
        let changes: Vec<_> = changes.into_iter().map(Change::described).collect();
        return printer.json(&json!({"id": new.pid, "from": tag, "to": other, "changes": changes}));
    }
    if changes.is_empty() {
        return printer.line("nothing changed");
    }
    changes.iter().try_for_each(|change| printer.line(&change.shown()))
}

/// All of a process that changes in its life. How it ended is in its state and its outputs.
fn whole(record: &Record) -> Result<Value, Fault> {
    Ok(json!({
        "version": record.envelope.version, "state": record.state.as_str(), "paused": record.paused,
        "status": record.status.text, "steps": record.steps, "waits_for": record.awaiting,
        "position": show::parsed(&record.position)?, "context": show::parsed(&record.context)?,
        "outputs": show::parsed(&record.outputs)?,
        "ended": record.ended.as_deref().map(show::parsed).transpose()?,
    }))
}

/// The JSON texts of a store are no deeper than the parser goes, so neither is this.
fn differ(path: String, old: Option<&Value>, new: Option<&Value>, changes: &mut Vec<Change>) {
    match (old, new) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let added = new.keys().filter(|name| !old.contains_key(*name));
            for name in old.keys().chain(added) {
                differ(below(&path, name), old.get(name), new.get(name), changes);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for place in 0..old.len().max(new.len()) {
                differ(format!("{path}[{place}]"), old.get(place), new.get(place), changes);
            }
        }
        (old, new) if old == new => {}
        (old, new) => changes.push(Change { path, old: old.cloned(), new: new.cloned() }),
    }
}

/// A name that could be taken for more than one stands in quotes.
fn below(path: &str, name: &str) -> String {
    let is_plain = !name.is_empty() && name.chars().all(|char| char.is_alphanumeric() || "_-".contains(char));
    let name = if is_plain { name.to_owned() } else { Value::from(name).to_string() };
    if path.is_empty() { name } else { format!("{path}.{name}") }
}

impl Change {
    fn described(self) -> Value {
        let mut described = Map::new();
        described.insert("path".to_owned(), self.path.into());
        described.extend(self.old.map(|old| ("old".to_owned(), old)));
        described.extend(self.new.map(|new| ("new".to_owned(), new)));
        Value::Object(described)
    }

    fn shown(&self) -> String {
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => format!("{}: {old} → {new}", self.path),
            (Some(old), None) => format!("{}: {old} is gone", self.path),
            (None, Some(new)) => format!("{}: {new} is new", self.path),
            (None, None) => self.path.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(old: &Value, new: &Value) -> Vec<String> {
        let mut changes = Vec::new();
        differ(String::new(), Some(old), Some(new), &mut changes);
        changes.iter().map(Change::shown).collect()
    }

    #[test]
    fn what_differs_is_told_by_its_path() {
        let old = json!({"a": {"b": [1, {"c": null}], "same": {}}, "gone": 1, "kind": [1]});
        let new = json!({"a": {"b": [1, {"c": 2}, 3], "same": {}}, "kind": {"x": 1}, "a.b": true});
        let expected = [
            "a.b[1].c: null → 2",
            "a.b[2]: 3 is new",
            "gone: 1 is gone",
            r#"kind: [1] → {"x":1}"#,
            r#""a.b": true is new"#,
        ];
        assert_eq!(told(&old, &new), expected);
        assert_eq!(told(&new, &new), [""; 0]);
        assert_eq!(told(&json!(1), &json!("1")), [r#": 1 → "1""#]);
    }

    #[test]
    fn what_was_null_is_not_what_was_not_there() {
        let mut changes = Vec::new();
        differ(String::new(), Some(&json!({"a": null})), Some(&json!({"b": null})), &mut changes);
        let described: Vec<_> = changes.into_iter().map(Change::described).collect();
        assert_eq!(described, [json!({"path": "a", "old": null}), json!({"path": "b", "new": null})]);
    }
}
