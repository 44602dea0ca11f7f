//! The table, and the file for machines.

use serde::Serialize;
use std::path::Path;

use crate::measure::{Case, Sample};

/// One figure.
#[derive(Debug)]
pub(crate) struct Row {
    workload: &'static str,
    name: String,
    unit: &'static str,
    /// What the ratio, or the value where that is named, is to be.
    goal: &'static str,
    ours: Sample,
    limit: Option<Sample>,
    ratio: Option<f64>,
    note: &'static str,
}

impl Row {
    pub(crate) fn new(
        workload: &'static str,
        name: impl Into<String>,
        unit: &'static str,
        goal: &'static str,
        case: Case,
    ) -> Self {
        let Case { ours, limit, ratio, judged } = case;
        let note = if judged { "" } else { "not judged" };
        Self { workload, name: name.into(), unit, goal, ours, limit: Some(limit), ratio: Some(ratio), note }
    }

    /// A figure for which something is missing on this machine.
    pub(crate) fn not_measured(workload: &'static str, name: impl Into<String>, unit: &'static str) -> Self {
        let row = Self::new(workload, name, unit, "", Case::alone(Sample::new(f64::NAN))).without_limit();
        Self { note: "NOT MEASURED", ..row }
    }

    /// A figure that has no limit of its own.
    pub(crate) fn without_limit(self) -> Self {
        Self { limit: None, ratio: None, ..self }
    }
}

pub(crate) fn print(rows: &[Row]) {
    let heads =
        ["workload", "name", "value", "unit", "limit", "ratio", "to reach", "p50 ms", "p99 ms", "flushes/commit", ""];
    let number = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), short);
    let cells = |row: &Row| {
        [
            row.workload.to_owned(),
            row.name.clone(),
            number(Some(row.ours.value).filter(|value| !value.is_nan())),
            row.unit.to_owned(),
            number(row.limit.as_ref().map(|limit| limit.value)),
            row.ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}")),
            row.goal.to_owned(),
            both(row, |sample| sample.p50),
            both(row, |sample| sample.p99),
            both(row, |sample| sample.flushes),
            row.note.to_owned(),
        ]
    };
    let table: Vec<[String; 11]> = [heads.map(str::to_owned)].into_iter().chain(rows.iter().map(cells)).collect();
    let widths: [usize; 11] =
        std::array::from_fn(|column| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    for row in &table {
        let line: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        println!("{}", line.join("  ").trim_end());
    }
}

/// A part of a sample.
type Part = fn(&Sample) -> Option<f64>;

/// A figure of ours and, in brackets, of the limit.
fn both(row: &Row, part: Part) -> String {
    let Some(ours) = part(&row.ours) else { return String::new() };
    match row.limit.as_ref().and_then(part) {
        Some(limit) => format!("{} ({})", short(ours), short(limit)),
        None => short(ours),
    }
}

/// Three digits that count.
fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 1e6 => format!("{:.1} M", value / 1e6),
        v if v >= 1e4 => format!("{:.1} k", value / 1e3),
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

#[derive(Serialize)]
struct Figure<'a> {
    workload: &'a str,
    name: String,
    value: f64,
    unit: &'a str,
    limit: Option<f64>,
    ratio: Option<f64>,
}

pub(crate) fn write(rows: &[Row], file: &Path) {
    let mut figures = Vec::new();
    for Row { workload, name, unit, ours, limit, ratio, .. } in rows.iter().filter(|row| !row.ours.value.is_nan()) {
        let limit = limit.as_ref();
        let value = limit.map(|limit| limit.value);
        figures.push(Figure { workload, name: name.clone(), value: ours.value, unit, limit: value, ratio: *ratio });
        let parts: [(&str, &str, Part); 3] = [
            ("p50", "ms", |sample| sample.p50),
            ("p99", "ms", |sample| sample.p99),
            ("flushes per commit", "flushes", |sample| sample.flushes),
        ];
        for (part, unit, of) in parts {
            let Some(value) = of(ours) else { continue };
            let limit = limit.and_then(of);
            let ratio = limit.map(|limit| value / limit).filter(|ratio| ratio.is_finite());
            figures.push(Figure { workload, name: format!("{name}: {part}"), value, unit, limit, ratio });
        }
    }
    let text = serde_json::to_string_pretty(&figures).expect("figures are JSON");
    std::fs::create_dir_all(file.parent().expect("a folder"))
        .and_then(|()| std::fs::write(file, text))
        .expect("written");
}
