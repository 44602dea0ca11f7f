//! What a command says that fails in one of the usual ways: what the matter is, with what, and what to do next.

use std::fs::OpenOptions;
use std::process::Output;

use super::cli_run::{Shell, text};

/// It fails with this exit status, and says this and what is next.
#[track_caller]
fn says(output: &Output, status: i32, what: &str, next: &str) {
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{told}");
    assert!(told.starts_with("error: ") && told.contains(what), "{what}: {told}");
    assert!(told.contains("\n  next: ") && told.contains(next), "{next}: {told}");
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
}

#[tokio::test]
async fn a_file_of_inputs_that_is_none_is_named() {
    let shell = Shell::new();
    std::fs::create_dir(shell.path("folder")).unwrap();
    for (name, content) in [
        ("half.json", &b"{\"a\": "[..]),
        ("list.json", b"[1]"),
        ("number.json", b"3"),
        ("bytes.json", b"{\"\xff\": 1}"),
    ] {
        std::fs::write(shell.path(name), content).unwrap();
    }
    for command in ["run", "submit"] {
        for (file, what) in [
            ("none.json", "`none.json` cannot be read: No such file"),
            ("folder", "`folder` cannot be read: Is a directory"),
            ("half.json", "`half.json` has no inputs as a JSON object: EOF"),
            ("list.json", "`list.json` has no inputs as a JSON object: invalid type: sequence"),
            ("number.json", "`number.json` has no inputs as a JSON object: invalid type: integer"),
            ("bytes.json", "`bytes.json` has no inputs as a JSON object: invalid unicode"),
            ("-", "the standard input has no inputs as a JSON object: EOF"),
        ] {
            let output = shell.run(&[command, "AddProcess", "--inputs", file]).await;
            says(&output, 2, what, "`spec PROCESS --example`");
        }
    }
    assert!(!shell.path("procession.db").exists());
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named() {
    let shell = Shell::new();
    std::fs::create_dir(shell.path("folder")).unwrap();
    shell.prints(&["submit", "AddProcess", "a=1"]).await;
    std::fs::write(shell.path("odd.toml"), "store = \"a.db\"\nstor = 1\n").unwrap();
    std::fs::write(shell.path("odd.jsonl"), "{}\n").unwrap();
    for (arguments, what, next) in [
        (
            &["list", "--config", "odd.toml"][..],
            "`odd.toml`, line 2: unknown field `stor`",
            "it takes `store`, `schema`",
        ),
        (
            &["list", "--store", "words"],
            "the address of the store: no `sqlite:PATH`",
            "give one of these with `--store`",
        ),
        (&["import", "odd.jsonl"], "nothing was imported from `odd.jsonl`", "export them again"),
        (&["import", "none"], "`none` cannot be read: No such file", "look at its path"),
        (&["import", "folder"], "`folder` cannot be read: Is a directory", "give a file in it"),
        (&["list", "--config", "none.toml"], "`none.toml` cannot be read: No such file", "look at its path"),
    ] {
        says(&shell.run(arguments).await, 2, what, next);
    }
}

#[tokio::test]
async fn a_store_that_is_none_is_named() {
    let shell = Shell::new();
    std::fs::create_dir(shell.path("folder")).unwrap();
    std::fs::write(shell.path("words.txt"), "some words, and no store at all; ".repeat(100)).unwrap();
    let (list, run) = (&["list"][..], &["run", "AddProcess", "a=1"][..]);
    let work = &["worker", "start"][..];
    for (store, command, what, next) in [
        ("sqlite:none.db", list, "there is no store at `none.db`", "give its path with `--store`"),
        ("files:none", list, "there is no store at `none`", "give its path with `--store`"),
        ("sqlite:folder", list, "`folder` is a folder, and no file of SQLite", "`files:folder`"),
        ("sqlite:folder", run, "`folder` is a folder, and no file of SQLite", "`files:folder`"),
        ("sqlite:folder", work, "`folder` is a folder, and no file of SQLite", "`files:folder`"),
        ("files:words.txt", list, "`words.txt` is a file, and no folder of documents", "`sqlite:words.txt`"),
        ("files:words.txt", run, "`words.txt` is a file, and no folder of documents", "`sqlite:words.txt`"),
        ("sqlite:words.txt", list, "words.txt: it is damaged or no store", "look at the address"),
        ("sqlite:words.txt", run, "words.txt: it is damaged or no store", "look at the address"),
        ("sqlite:none/new.db", run, "none/new.db: reading or writing failed: ", "look at its disk, and at the address"),
    ] {
        says(&shell.run(&[command, &["--store", store]].concat()).await, 5, what, next);
    }
    let none = std::fs::read_dir(shell.path("folder")).unwrap().count();
    assert_eq!(none, 0, "nothing was made there");
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_named() {
    let shell = Shell::new();
    shell.prints(&["submit", "AddProcess", "a=1", "--id", "one"]).await;
    let broker = "amqp://guest@127.0.0.1:1";
    for arguments in [&["run", "AddProcess", "a=1"][..], &["worker", "start"]] {
        let output = shell.run(&[arguments, &["--amqp", broker]].concat()).await;
        says(&output, 5, "the broker amqp://guest@127.0.0.1:1 is not reached: ", "give its address with `--amqp URL`");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_output_that_cannot_be_written_is_named() {
    let shell = Shell::new();
    shell.prints(&["submit", "AddProcess", "a=1", "--id", "one"]).await;
    for arguments in [&["export", "one"][..], &["list"], &["show", "one", "--json"], &["spec"], &["run", "--help"]] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = shell.command(arguments).stdout(full).spawn().unwrap().wait_with_output().await.unwrap();
        says(&output, 1, "the standard output cannot be written: No space left", "make room there");
    }
    // Who does not read any more has had enough: nobody is told what to do.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let child = shell.command(&["export", "one"]).stdout(writer).spawn().unwrap();
    let output = child.wait_with_output().await.unwrap();
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("the standard output cannot be written: Broken pipe"), "{told}");
}
