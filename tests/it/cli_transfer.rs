//! `export` and `import`: processes go from one store to another, whole.

use procession::store::{FileStore, Store};
use serde_json::{Value, json};
use std::path::PathBuf;

use super::cli_shell::{Hold, Parent, Shell, on_each_shared_store};
use super::support::eventually;

on_each_shared_store! {
    a_tree_goes_to_another_store_and_goes_on_there,
    what_is_there_already_is_told_and_nothing_is_written,
}

/// Where a tree of three was exported to; it has a snapshot, and one of it is paused.
async fn exported(shell: &Shell) -> PathBuf {
    let runtime = shell.runtime().await;
    let run = runtime.launch(Parent::inputs().name("a")).id("parent").key("the key").await.unwrap();
    runtime.launch(Hold::inputs()).id("alone").await.unwrap();
    eventually(async || {
        let parent = shell.store.load(&"parent".into()).await.unwrap();
        let waiting = shell.store.list(vec![procession::ProcessState::Waiting], None, 10).await.unwrap();
        parent.is_some_and(|parent| parent.open_children == 2) && waiting.records.len() == 4
    })
    .await;
    run.any().snapshot("tag").await.unwrap();
    run.any().pause("held").await.unwrap();
    runtime.shutdown().await.unwrap();
    let file = shell.folder.path().join("exported.jsonl");
    std::fs::write(&file, shell.prints(&["export", "--tree", "parent"]).await).unwrap();
    file
}

async fn a_tree_goes_to_another_store_and_goes_on_there(shell: Shell) {
    let file = exported(&shell).await;
    let written = std::fs::read_to_string(&file).unwrap();
    let header: Value = serde_json::from_str(written.lines().next().unwrap()).unwrap();
    assert_eq!((&header["procession"], &header["format"]), (&json!("export"), &json!(1)));
    assert_eq!(written.lines().count(), 4);
    let name = file.to_str().unwrap();
    // To one of the other kinds, and back to one of the same.
    let other = Shell::sqlite();
    let tried = other.json(&["import", name, "--dry-run"]).await;
    assert_eq!((tried["ids"].as_array().unwrap().len(), &tried["done"]), (3, &json!(false)));
    assert_eq!(other.listed(&[]).await, [""; 0]);
    let (status, told) = other.fails(&["import", name]).await;
    assert_eq!((status, told.contains("nothing was changed")), (2, true), "{told}");
    let done = other.json(&["import", name, "--yes"]).await;
    assert_eq!((&done["ids"][0], &done["done"]), (&json!("parent"), &json!(true)));
    for pid in shell.listed(&["--tree", "parent"]).await {
        let pid = pid.as_str().into();
        let bundle = other.store.export(&pid).await.unwrap().unwrap();
        assert_eq!(Some(bundle), shell.store.export(&pid).await.unwrap());
    }
    assert_eq!(other.prints(&["export", "--tree", "parent"]).await, written);
    assert_eq!(other.store.workers().await.unwrap(), [], "who imported has left");
    // Whoever works there goes on with it.
    let runtime = other.runtime().await;
    for child in other.listed(&["--where", "name = shell::Hold"]).await {
        let run = runtime.attach(&child.as_str().into()).await.unwrap();
        run.resume(()).await.unwrap();
    }
    runtime.attach(&"parent".into()).await.unwrap().play().await.unwrap();
    let end = runtime.attach(&"parent".into()).await.unwrap().termination().await.unwrap();
    assert!(end.ended.is_successful(), "{end:?}");
    runtime.shutdown().await.unwrap();
}

async fn what_is_there_already_is_told_and_nothing_is_written(shell: Shell) {
    let file = exported(&shell).await;
    let name = file.to_str().unwrap();
    let (status, told) = shell.fails(&["import", name, "--yes"]).await;
    assert_eq!(status, 4, "{told}");
    assert!(told.contains("line 2: process `parent` is there already"), "{told}");
    assert!(told.contains("line 4: process `"), "{told}");
    // By its key, too; and with one of them the others do not come.
    let other = Shell::sqlite();
    let runtime = other.runtime().await;
    runtime.launch(Hold::inputs()).id("same").key("the key").await.unwrap();
    let (status, told) = other.fails(&["import", name, "--yes"]).await;
    assert_eq!(status, 4);
    assert!(told.contains("line 2: process `parent`: its key `the key` is that of `same`"), "{told}");
    assert_eq!(other.listed(&[]).await, ["same"]);
    runtime.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_single_process_goes_into_a_folder_of_files() {
    let shell = Shell::sqlite();
    exported(&shell).await;
    let written = shell.prints(&["export", "alone"]).await;
    let mut command = super::cli_shell::command(shell.folder.path());
    command.args(["--store", "files:new", "import", "-"]).stdin(std::process::Stdio::piped());
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut input, written.as_bytes()).await.unwrap();
    drop(input);
    assert!(child.wait_with_output().await.unwrap().status.success());
    let files = FileStore::open(shell.folder.path().join("new")).unwrap();
    assert_eq!(files.export(&"alone".into()).await.unwrap(), shell.store.export(&"alone".into()).await.unwrap());
}

#[tokio::test]
async fn every_fault_of_a_file_is_told_with_its_line() {
    let shell = Shell::sqlite();
    let file = exported(&shell).await;
    let name = file.to_str().unwrap();
    let written = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = written.lines().collect();
    let other = Shell::sqlite();
    let told = async |lines: &[&str]| {
        std::fs::write(&file, lines.join("\n")).unwrap();
        let (status, told) = other.fails(&["import", name, "--yes"]).await;
        assert_eq!(other.listed(&[]).await, [""; 0], "{told}");
        (status, told)
    };
    let damaged = lines[3].replace("\"context\":\"{", "\"context\":\"[");
    assert_ne!(damaged, lines[3]);
    let (status, text) = told(&[lines[0], "no JSON", lines[1], &damaged, lines[1]]).await;
    assert_eq!(status, 2, "{text}");
    for fault in ["line 2: ", "line 4: process `", "its context cannot be read", "line 5: process `parent`: its id"] {
        assert!(text.contains(fault), "{fault}: {text}");
    }
    let (_, text) = told(&[lines[0], lines[2], lines[1], lines[3]]).await;
    assert!(
        text.contains("line 2: ") && text.contains("its parent `parent` is not there, nor in a line before"),
        "{text}"
    );
    let (status, text) = told(&[lines[0], lines[1], lines[2]]).await;
    assert_eq!((status, text.contains("export the tree")), (4, true), "{text}");
    let newer = lines[0].replace("\"format\":1", "\"format\":2");
    let (_, text) = told(&[&newer, lines[1]]).await;
    assert!(text.contains("line 1: its format is 2") && !text.contains("line 2"), "{text}");
    let newer = lines[1].replace("\"envelope\":{\"format\":1", "\"envelope\":{\"format\":9");
    assert!(
        told(&[lines[0], &newer, lines[2], lines[3]])
            .await
            .1
            .contains("line 2: process `parent`: it was written by a newer")
    );
    for no_file in [&[""][..], &["{}"], &["[1]"], &[lines[1]]] {
        assert!(told(no_file).await.1.contains("line 1: "));
    }
    let (status, text) = other.fails(&["import", "nowhere", "--yes"]).await;
    assert_eq!((status, text.contains("`nowhere` cannot be read")), (2, true), "{text}");
}

/// A line that never ends is not read into memory.
#[tokio::test]
async fn a_line_has_a_bound() {
    let shell = Shell::sqlite();
    let mut command = tokio::process::Command::new("sh");
    let script = "ulimit -d 400000; { echo '{\"procession\":\"export\",\"format\":1,\"version\":\"\"}'; head -c 600000000 /dev/zero; } | \"$0\" \"$@\"";
    command.args(["-c", script, env!("CARGO_BIN_EXE_procession")]).args(&shell.place).args(["import", "-", "--yes"]);
    let output = command.current_dir(shell.folder.path()).output().await.unwrap();
    let told = super::cli_shell::text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("line 2: a line has 67108864 bytes at most"), "{told}");
}
