//! The processes that are meant are named in the same way for all commands that read: by ids, by what they are, and by trees.

use serde_json::{Value, json};
use std::process::Stdio;
use tokio::io::AsyncReadExt;

use super::cli_shell::{Hold, Shell, on_each_shared_store, run, text};
use super::cli_store::{bounded, create_many, three};

on_each_shared_store! {
    one_that_is_named_is_told_of_alone,
    several_are_told_of_one_after_another,
    trees_are_told_of_with_each_process_once,
    reports_of_several_are_merged_in_order_of_time,
    nothing_that_is_like_a_filter_is_no_fault,
    what_is_not_there_or_not_understood_is_a_fault,
    what_is_of_one_process_takes_a_filter_that_one_meets,
    many_are_told_of_in_little_memory_and_too_many_are_refused,
}

/// What each of an array has under this name.
fn each<'a>(documents: &'a Value, name: &str) -> Vec<&'a Value> {
    documents.as_array().unwrap().iter().map(|document| &document[name]).collect()
}

/// The lines that name a process, and nothing else.
fn heads(words: &str) -> Vec<&str> {
    words.lines().filter(|line| line.starts_with("shell::") && line.ends_with(':')).collect()
}

/// The commands that tell of one process after another, and the name of what they tell.
const TELLING: [(&[&str], Option<&str>); 3] =
    [(&["show"], None), (&["events"], Some("events")), (&["checkpoint", "list"], Some("checkpoints"))];

async fn one_that_is_named_is_told_of_alone(shell: Shell) {
    let runtime = three(&shell).await;
    runtime.attach(&"alone".into()).await.unwrap().snapshot("before").await.unwrap();
    for (command, _) in TELLING {
        let words = shell.prints(&[command, &["alone"]].concat()).await;
        assert_eq!((heads(&words), words.starts_with('\n')), (vec![], false), "{words}");
    }
    assert_eq!(shell.json(&["show", "alo"]).await["id"], "alone");
    assert_eq!(shell.json(&["events", "alone"]).await[0]["from"], "created");
    assert_eq!(shell.json(&["checkpoint", "list", "alone"]).await[0]["tag"], "before");
    // However many there are: it is what was asked that decides.
    for selected in [&["alone", "alone"][..], &["--tree", "alone"], &["--where", "id = alone"]] {
        for (command, name) in TELLING {
            let arguments = [command, selected].concat();
            assert_eq!(heads(&shell.prints(&arguments).await), ["shell::Hold alone:"], "{arguments:?}");
            let told = shell.json(&arguments).await;
            assert_eq!(each(&told, "id"), ["alone"]);
            assert_eq!(each(&told, "process"), ["shell::Hold"]);
            let one = shell.json(&[command, &["alone"]].concat()).await;
            assert_eq!(name.map_or(&told[0], |name| &told[0][name]), &one, "{arguments:?}");
        }
    }
    runtime.shutdown().await.unwrap();
}

async fn several_are_told_of_one_after_another(shell: Shell) {
    let runtime = three(&shell).await;
    let named = ["shell::Hold alone:", "shell::Parent parent:"];
    for (command, name) in TELLING {
        let words = shell.prints(&[command, &["alone", "parent", "alo"]].concat()).await;
        assert_eq!(heads(&words), named);
        assert!(words.starts_with(named[0]) && words.contains(&format!("\n\n{}\n", named[1])), "{words}");
        let told = shell.json(&[command, &["parent", "alone"]].concat()).await;
        assert_eq!(each(&told, "id"), ["parent", "alone"], "in the order of the ids");
        assert!(name.is_none_or(|name| each(&told, name).iter().all(|told| told.is_array())), "{told}");
        let told = shell.json(&[command, &["--where", "root"]].concat()).await;
        assert_eq!(each(&told, "id"), ["parent", "alone"], "the oldest first");
        let told = shell.json(&[command, &["--tree", "par"]].concat()).await;
        assert_eq!(each(&told, "process"), ["shell::Parent", "shell::Hold", "shell::Hold"]);
        let told = shell.json(&[command, &["--tree", "parent", "--where", "input.name = a-1"]].concat()).await;
        assert_eq!(each(&told, "process"), ["shell::Hold"]);
    }
    // One that has ended is told of like all others.
    shell.json(&["kill", "alone", "--wait"]).await;
    assert_eq!(each(&shell.json(&["show", "--where", "root"]).await, "state"), ["waiting", "killed"]);
    runtime.shutdown().await.unwrap();
}

async fn trees_are_told_of_with_each_process_once(shell: Shell) {
    let runtime = three(&shell).await;
    let child = shell.listed(&["--where", "input.name = a-1"]).await.remove(0);
    let depths = |told: &Value| {
        let processes = told["processes"].as_array().unwrap().iter();
        processes
            .map(|one| (one["id"].as_str().unwrap().to_owned(), one["depth"].as_u64().unwrap()))
            .collect::<Vec<_>>()
    };
    let tree = depths(&shell.json(&["status", "parent"]).await);
    assert_eq!((tree.len(), &tree[2]), (3, &(child.clone(), 1)));
    // Below its parent, and nowhere else, in whatever order they are named.
    for selected in
        [&[&*child, "parent"][..], &["parent", &child], &["--tree", "parent"], &["--where", "not id = alone"]]
    {
        assert_eq!(depths(&shell.json(&[&["status"], selected].concat()).await), tree, "{selected:?}");
    }
    let alone = ("alone".to_owned(), 0);
    assert_eq!(depths(&shell.json(&["status", "--where", "root"]).await), [&tree[..], &[alone]].concat());
    assert_eq!(depths(&shell.json(&["status", "--where", "input.name = a-1"]).await), [(child, 0)]);
    let words = shell.prints(&["status", "alone", "parent"]).await;
    let begins = words.lines().map(|line| line.split(' ').take(4).collect::<String>()).collect::<Vec<_>>();
    assert_eq!((begins.len(), heads(&words)), (4, vec![]), "{words}");
    assert!(
        words.starts_with("shell::Hold alone: waiting") && words.contains("\nshell::Parent parent: waiting"),
        "{words}"
    );
    runtime.shutdown().await.unwrap();
}

async fn reports_of_several_are_merged_in_order_of_time(shell: Shell) {
    let runtime = three(&shell).await;
    runtime.launch(Hold::inputs().name("late")).id("late").await.unwrap();
    super::support::eventually(async || shell.json(&["report", "late"]).await[0].is_object()).await;
    // Each once, though it is below another one.
    for selected in [&["--where", "root"][..], &["--where", "name = shell::*"], &["late", "parent", "alone", "late"]] {
        let report = shell.json(&[&["report"], selected].concat()).await;
        let mut texts: Vec<_> = each(&report, "text").iter().map(|text| text.as_str().unwrap()).collect();
        assert_eq!(texts.pop(), Some("holds late"), "{selected:?}");
        texts.sort_unstable();
        assert_eq!(texts, ["holds a-0", "holds a-1", "holds alone"], "{selected:?}");
        let times: Vec<_> = each(&report, "at").iter().map(|at| at.as_str().unwrap()).collect();
        assert!(times.is_sorted(), "{times:?}");
    }
    let tree = shell.json(&["report", "--tree", "parent"]).await;
    assert_eq!(tree, shell.json(&["report", "parent"]).await);
    let words = shell.prints(&["report", "late", "alone"]).await;
    assert!(words.lines().last().unwrap().ends_with("Z shell::Hold late: holds late"), "{words}");
    assert_eq!(words.lines().count(), 2);
    runtime.shutdown().await.unwrap();
}

async fn nothing_that_is_like_a_filter_is_no_fault(shell: Shell) {
    let runtime = three(&shell).await;
    for command in [&["show"][..], &["events"], &["checkpoint", "list"], &["status"], &["report"]] {
        for selected in [&["--where", "name = nobody"][..], &["--tree", "parent", "--where", "id = alone"]] {
            let arguments = [command, selected].concat();
            let output = shell.run(&arguments).await;
            assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), String::new()), "{arguments:?}");
            assert!(text(&output.stderr).starts_with("no process is like that in "), "{arguments:?}");
            let none = if command == ["status"] { json!({"processes": [], "more": false}) } else { json!([]) };
            let output = shell.run(&[&arguments[..], &["--json"]].concat()).await;
            assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), none, "{arguments:?}");
            assert_eq!(text(&output.stderr), "", "{arguments:?}");
        }
    }
    runtime.shutdown().await.unwrap();
}

async fn what_is_not_there_or_not_understood_is_a_fault(shell: Shell) {
    let runtime = three(&shell).await;
    runtime.launch(Hold::inputs()).id("alone-too").await.unwrap();
    for command in [&["show"][..], &["events"], &["checkpoint", "list"], &["status"], &["report"]] {
        let fails = async |arguments: &[&str]| shell.fails(&[command, arguments].concat()).await;
        // Nothing is told of the others.
        for absent in [&["alone", "nobody"][..], &["nobody"], &["--tree", "nobody"]] {
            let (status, told) = fails(absent).await;
            assert_eq!((status, told.contains("there is no process `nobody` in ")), (3, true), "{absent:?}: {told}");
        }
        let (status, told) = fails(&["parent", "al"]).await;
        assert_eq!((status, told.contains("more than one process begin with `al`: `alone")), (2, true), "{told}");
        let (status, told) = fails(&["--where", "stat = waiting"]).await;
        assert_eq!((status, told.contains("\n^^^^")), (2, true), "{command:?}: {told}");
        for wrong in [&[][..], &["alone", "--where", "root"], &["alone", "--tree", "parent"]] {
            assert_eq!(fails(wrong).await.0, 2, "{command:?} {wrong:?}");
        }
        for words in [&["--where", "root"][..], &["--where", "root", "--json"]] {
            let mut unread = super::cli_shell::command(shell.folder.path());
            unread.args(&shell.place).args(command).args(words).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut unread = unread.spawn().unwrap();
            drop(unread.stdout.take());
            let output = unread.wait_with_output().await.unwrap();
            assert!(!text(&output.stderr).contains("panicked"), "{command:?}: {}", text(&output.stderr));
        }
    }
    runtime.shutdown().await.unwrap();
}

async fn what_is_of_one_process_takes_a_filter_that_one_meets(shell: Shell) {
    let runtime = three(&shell).await;
    let run = runtime.attach(&"alone".into()).await.unwrap();
    run.snapshot("before").await.unwrap();
    shell.json(&["pause", "alone", "--wait"]).await;
    run.snapshot("after").await.unwrap();
    shell.json(&["play", "alone", "--wait"]).await;
    let paused = json!([{"path": "paused", "old": false, "new": true}]);
    for (by_id, by_filter) in [
        (&["checkpoint", "show", "alone", "after"][..], &["checkpoint", "show", "--where", "id = alone", "after"][..]),
        (
            &["checkpoint", "diff", "alone", "before"],
            &["checkpoint", "diff", "before", "--where", "input.name = alone"],
        ),
        (
            &["checkpoint", "diff", "alone", "before", "after"],
            &["checkpoint", "diff", "--where", "input.name = alone", "before", "after"],
        ),
    ] {
        assert_eq!(shell.prints(by_filter).await, shell.prints(by_id).await);
        assert_eq!(shell.json(by_filter).await, shell.json(by_id).await);
    }
    let drawn = shell.prints(&["graph", "--where", "name = shell::Par*", "--format", "mermaid"]).await;
    assert!(drawn.starts_with("flowchart") && drawn.contains("accTitle: shell::Parent"), "{drawn}");
    let changes = shell.json(&["checkpoint", "diff", "--where", "id = alone", "before", "after"]).await;
    assert_eq!(changes["changes"], paused);
    for command in [&["graph"][..], &["checkpoint", "show", "before"], &["checkpoint", "diff", "before", "after"]] {
        let fails = async |filter| shell.fails(&[command, &["--where", filter]].concat()).await;
        let (status, told) = fails("root").await;
        let several = "error: more than one process is like that: `alone`, `parent`\n  next: name one by its id";
        assert_eq!((status, told.starts_with(several)), (2, true), "{command:?}: {told}");
        let (status, told) = fails("id = nobody").await;
        assert_eq!((status, told.contains("no process is like that in ")), (3, true), "{command:?}: {told}");
        let (status, told) = fails("root and").await;
        assert_eq!((status, told.contains('^')), (2, true), "{command:?}: {told}");
    }
    for wrong in [
        &["graph"][..],
        &["graph", "alone", "--where", "id = alone"],
        &["checkpoint", "show", "alone"],
        &["checkpoint", "show", "--where", "id = alone"],
        &["checkpoint", "show", "alone", "after", "--where", "id = alone"],
        &["checkpoint", "diff", "alone"],
        &["checkpoint", "diff", "alone", "before", "after", "--where", "id = alone"],
    ] {
        assert_eq!(shell.fails(wrong).await.0, 2, "{wrong:?}");
    }
    let (status, told) = shell.fails(&["checkpoint", "show", "--where", "id = alone", "never"]).await;
    assert_eq!((status, told.ends_with("next: procession checkpoint list alone\n")), (3, true), "{told}");
    runtime.shutdown().await.unwrap();
}

/// Whatever a store has: `ulimit` would have the command fail.
async fn many_are_told_of_in_little_memory_and_too_many_are_refused(shell: Shell) {
    const FEW: usize = 1_000;
    let runtime = three(&shell).await;
    let template = shell.store.load(&"alone".into()).await.unwrap().unwrap();
    runtime.shutdown().await.unwrap();
    let mut large = template.clone();
    large.inputs = json!({"name": "large".repeat(20_000)}).to_string().into();
    create_many(&shell, &large, 0..FEW).await;
    let mut told = bounded(&shell, &["show", "--where", "id = many-*", "--json"]);
    let output = told.output().await.unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let ids: Vec<_> = (0..FEW).map(|number| format!("many-{number}")).collect();
    let mut known: Vec<_> = each(&told, "id").iter().map(|id| id.as_str().unwrap().to_owned()).collect();
    known.sort_by_key(|id| id["many-".len()..].parse::<usize>().unwrap());
    assert_eq!(known, ids);
    // A reader that has seen enough.
    let mut left = bounded(&shell, &["show", "--where", "id = many-*"]);
    let mut left = left.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut seen = [0; 16];
    let mut output = left.stdout.take().unwrap();
    output.read_exact(&mut seen).await.unwrap();
    drop(output);
    let left = left.wait_with_output().await.unwrap();
    assert_eq!((left.status.code(), text(&left.stderr).contains("panicked")), (Some(1), false));
    create_many(&shell, &template, FEW..10_001).await;
    for command in [&["show"][..], &["events"], &["checkpoint", "list"], &["status"], &["report"]] {
        let (status, told) = shell.fails(&[command, &["--where", "id = many-*"]].concat()).await;
        assert_eq!(
            (status, told.contains("more than 10000 processes are like that")),
            (2, true),
            "{command:?}: {told}"
        );
    }
}

/// All that a command takes is in its help, and completed by shells.
#[tokio::test]
async fn what_a_command_takes_is_told_and_completed() {
    let folder = tempfile::tempdir().unwrap();
    let bash = text(&run(folder.path(), &["completions", "bash"]).await.stdout);
    let options = |name: &str| {
        let case = bash.lines().skip_while(|line| line.trim() != format!("{name})"));
        let options =
            case.skip(1).find_map(|line| line.trim().strip_prefix("opts=")).unwrap_or_else(|| panic!("{name}"));
        options.trim_matches('"').split(' ').map(str::to_owned).collect::<Vec<_>>()
    };
    for command in ["show", "status", "report", "events", "watch", "pause", "play", "kill", "export", "checkpoint list"]
    {
        let words: Vec<_> = command.split(' ').chain(["--help"]).collect();
        let help = text(&run(folder.path(), &words).await.stdout);
        for told in ["[ID]...", "--where <FILTER>", "--tree <ID>"] {
            assert!(help.contains(told), "{command}: {told}: {help}");
        }
        let options = options(&format!("procession__subcmd__{}", command.replace(' ', "__subcmd__")));
        for completed in ["--where", "--tree"] {
            assert!(options.iter().any(|option| option == completed), "{command}: {completed}: {options:?}");
        }
    }
    for command in ["graph", "checkpoint show", "checkpoint diff"] {
        let words: Vec<_> = command.split(' ').chain(["--help"]).collect();
        let help = text(&run(folder.path(), &words).await.stdout);
        assert!(
            help.contains("--where <FILTER>") && help.contains("ID") && !help.contains("--tree"),
            "{command}: {help}"
        );
        let options = options(&format!("procession__subcmd__{}", command.replace(' ', "__subcmd__")));
        assert!(options.iter().any(|option| option == "--where"), "{command}: {options:?}");
    }
}
