//! The documents: JSON that people can read, and from which every text is read as it was given.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::clock::Timestamp;
use crate::process::{ProcessId, ProcessState};
use crate::store::rules::Row;
use crate::store::sharing::Share;
use crate::store::{Awaiting, Envelope, Epoch, HistoryEntry, Message, Record, ReportLine, StatusText};

/// The version of the documents, in `store.json`.
///
/// 2: positions may be `unstarted`, requests `start`, and replies may be owed. An earlier version of this library would
/// put the former aside and discard the latter; it is to refuse the folder instead.
pub(super) const VERSION: u32 = 2;

/// What a folder is.
#[derive(Serialize, Deserialize)]
pub(super) struct StoreDocument {
    pub(super) store: String,
    pub(super) version: u32,
}

/// How many owners there were.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct OwnerDocument {
    pub(super) epoch: u64,
}

/// The last id of a request.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct CounterDocument {
    pub(super) last: i64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct KeyDocument {
    pub(super) key: String,
    pub(super) pid: ProcessId,
}

/// Why a process was put aside: beside its document, which may not even be readable.
#[derive(Serialize, Deserialize)]
pub(super) struct ParkedDocument {
    pub(super) pid: ProcessId,
    pub(super) reason: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct RequestDocument {
    pub(super) pid: ProcessId,
    pub(super) request: Text,
}

#[derive(Serialize, Deserialize)]
pub(super) struct OwedDocument {
    pub(super) pid: ProcessId,
    pub(super) id: String,
    pub(super) address: String,
    /// Under which epoch it is to be sent.
    #[serde(default)]
    pub(super) sender: Epoch,
}

#[derive(Serialize, Deserialize)]
pub(super) struct MessageDocument {
    pub(super) pid: ProcessId,
    /// Under which epoch it was written, and which of that epoch's it is: the order of all.
    pub(super) written: (Epoch, u64),
    /// Under which epoch it is to be sent.
    pub(super) sender: Epoch,
    pub(super) message: Message,
}

#[derive(Serialize, Deserialize)]
pub(super) struct SnapshotDocument {
    pub(super) tag: String,
    pub(super) at: Timestamp,
    pub(super) process: RecordDocument,
}

#[derive(Serialize, Deserialize)]
pub(super) struct ProcessDocument {
    order: u64,
    process: RecordDocument,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    children: Vec<ProcessId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    open_children: Vec<ProcessId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    memos: Vec<Memo>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    report: Vec<ReportLine>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    history: Vec<HistoryEntry>,
}

#[derive(Serialize, Deserialize)]
struct Memo {
    step: u64,
    name: String,
    value: Text,
}

/// A record, with its texts as the JSON that they are.
#[derive(Serialize, Deserialize)]
pub(super) struct RecordDocument {
    pub(super) pid: ProcessId,
    envelope: Envelope,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<ProcessId>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    follows: bool,
    state: ProcessState,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    paused: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    status: StatusText,
    position: Text,
    context: Text,
    inputs: Text,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    defaulted: Option<Text>,
    outputs: Text,
    #[serde(default, skip_serializing_if = "is_default")]
    awaiting: Awaiting,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    listeners: Option<Text>,
    #[serde(default)]
    open_children: u64,
    steps: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended: Option<Text>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl From<&Record> for RecordDocument {
    fn from(record: &Record) -> Self {
        let text = |text: &str| Text(text.to_owned());
        Self {
            pid: record.pid.clone(),
            envelope: record.envelope.clone(),
            key: record.key.clone(),
            parent: record.parent.clone(),
            follows: record.follows,
            state: record.state,
            paused: record.paused,
            status: record.status.clone(),
            position: text(&record.position),
            context: text(&record.context),
            inputs: text(&record.inputs),
            defaulted: record.defaulted.as_deref().map(text),
            outputs: text(&record.outputs),
            awaiting: record.awaiting.clone(),
            listeners: record.listeners.as_deref().map(text),
            open_children: record.open_children,
            steps: record.steps,
            ended: record.ended.as_deref().map(text),
            created_at: record.created_at,
            updated_at: record.updated_at,
        }
    }
}

impl From<RecordDocument> for Record {
    fn from(document: RecordDocument) -> Self {
        let text = |text: Text| text.0;
        Self {
            pid: document.pid,
            envelope: document.envelope,
            key: document.key,
            parent: document.parent,
            follows: document.follows,
            state: document.state,
            paused: document.paused,
            status: document.status,
            position: document.position.0,
            context: document.context.0,
            inputs: Arc::from(document.inputs.0),
            defaulted: document.defaulted.map(text),
            outputs: document.outputs.0,
            awaiting: document.awaiting,
            listeners: document.listeners.map(text),
            open_children: document.open_children,
            steps: document.steps,
            ended: document.ended.map(text),
            parked: None,
            created_at: document.created_at,
            updated_at: document.updated_at,
        }
    }
}

impl From<&Row> for ProcessDocument {
    fn from(row: &Row) -> Self {
        let memo = |((step, name), value): (&(u64, String), &String)| Memo {
            step: *step,
            name: name.clone(),
            value: Text(value.clone()),
        };
        Self {
            order: row.order,
            process: (&row.record).into(),
            children: row.children.clone(),
            open_children: row.open.iter().cloned().collect(),
            memos: row.memos.iter().map(memo).collect(),
            report: row.report.iter().cloned().collect(),
            history: row.history.iter().cloned().collect(),
        }
    }
}

impl From<ProcessDocument> for Row {
    fn from(document: ProcessDocument) -> Self {
        Self {
            order: document.order,
            record: document.process.into(),
            children: document.children,
            open: document.open_children.into_iter().collect(),
            memos: document.memos.into_iter().map(|memo| ((memo.step, memo.name), memo.value.0)).collect(),
            report: document.report.into(),
            history: document.history.into(),
            share: Share::default(),
        }
    }
}

/// A text that stands in a document as the JSON that it is, byte for byte. One that is no JSON stands there in an
/// object that says so.
pub(super) struct Text(pub(super) String);

const NO_JSON: &str = "not JSON";

#[derive(Serialize, Deserialize)]
struct NoJson<'a> {
    #[serde(rename = "not JSON", borrow)]
    text: Cow<'a, str>,
}

impl Text {
    /// The text, if it is JSON, and nothing but JSON, and does not look like one that is none.
    fn raw(&self) -> Option<&RawValue> {
        let raw = serde_json::from_str::<&RawValue>(&self.0).ok()?;
        let whole = raw.get().len() == self.0.len();
        (whole && !is_no_json(&self.0)).then_some(raw)
    }
}

fn is_no_json(text: &str) -> bool {
    text.starts_with('{') && text[1..].trim_start().strip_prefix('"').is_some_and(|rest| rest.starts_with(NO_JSON))
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.raw() {
            Some(raw) => raw.serialize(serializer),
            None => NoJson { text: Cow::Borrowed(&self.0) }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        if !is_no_json(raw) {
            return Ok(Self(raw.to_owned()));
        }
        let none: NoJson<'_> = serde_json::from_str(raw).map_err(serde::de::Error::custom)?;
        Ok(Self(none.text.into_owned()))
    }
}

/// A document as it is written: for people, with a line for each field.
pub(super) fn write<T: Serialize>(document: &T) -> serde_json::Result<String> {
    serde_json::to_string_pretty(document).map(|text| text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_read_as_it_was_given() {
        let texts = [
            "",
            " ",
            "{}",
            " {}",
            "{} ",
            "null",
            "no JSON",
            "{\"a\": 1.50, \"a\":2}",
            "\u{1F980}\0",
            "{\"not JSON\":\"x\"}",
            "{ \"not JSON\" : 5 }",
            "{\"not JSONs\":1}",
            "123456789012345678901234567890.10e5",
            "{\n  \"x\": [1,\n2]\n}",
            "\"\\u00e4\"",
            "{",
        ];
        for text in texts {
            let written = write(&Text(text.to_owned())).unwrap();
            let read: Text = serde_json::from_str(&written).unwrap();
            assert_eq!(read.0, text, "{written}");
        }
        assert_eq!(write(&Text("{\"a\":1}".to_owned())).unwrap(), "{\"a\":1}\n");
    }
}
