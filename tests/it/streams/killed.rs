//! A pipeline of three on one file of processes, and the file of channels that it brings along, in an OS process that is killed with
//! SIGKILL.

use procession::Runtime;
use procession::prelude::*;
use procession::store::SqliteStore;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

use super::{Collect, Count, Double, up_to, with_all};
use crate::os_process::Other;
use crate::support::Gate;

const TEST: &str = "streams::killed::a_pipeline_that_is_killed_again_and_again_loses_and_repeats_nothing";
/// Where the OS process that is killed has its files.
const FOLDER: &str = "PROCESSION_STREAMS_FOLDER";
/// What it says when the last of the pipeline has moved.
const MOVED: &str = "the last one has moved";
const NUMBERS: u64 = 400;

#[test]
fn a_pipeline_that_is_killed_again_and_again_loses_and_repeats_nothing() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return run(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let environment = [(FOLDER, folder.path().as_os_str())];
    for moves in [0, 1, 2, 1, 3, 1, 2, 4, 1, 2, 3, 1, 2, 1, 3] {
        let mut other = Other::start(TEST, &environment);
        (0..moves).for_each(|_| other.hears(MOVED));
        other.kill();
    }
    assert!(!folder.path().join("all").exists(), "it was killed before its end");
    Other::start(TEST, &environment).finish();
    let all: Value = serde_json::from_slice(&std::fs::read(folder.path().join("all")).unwrap()).unwrap();
    assert_eq!(all, json!(up_to(NUMBERS).iter().map(|number| 2 * number).collect::<Vec<_>>()));
}

#[tokio::main]
async fn run(folder: &Path) {
    let store = SqliteStore::open(folder.join("store.db")).unwrap();
    let runtime = with_all(Runtime::builder()).resource(Gate::new()).store(store).await.unwrap();
    assert!(folder.join("store.db-channels").exists());
    let (plain, doubled) = (Wire::new("plain"), Wire::new("doubled"));
    let count = Count::inputs().to(NUMBERS).at_once(3).numbers(plain.clone());
    runtime.launch(count).key("count").await.unwrap();
    let double = Double::inputs().turns(0).plain(plain).doubled(doubled.clone());
    runtime.launch(double).key("double").await.unwrap();
    let collect = runtime.launch(Collect::inputs().numbers(doubled).at_once(5)).key("collect").await.unwrap();
    let mut steps = 0;
    let end = loop {
        if let Ok(end) = tokio::time::timeout(Duration::from_millis(1), collect.termination()).await {
            break end.unwrap();
        }
        let now = collect.status().await.unwrap().steps;
        if std::mem::replace(&mut steps, now) != now {
            println!("{MOVED}");
        }
    };
    std::fs::write(folder.join("all"), end.outputs["all"].to_string()).unwrap();
    runtime.shutdown().await.unwrap();
}
