//! The guide and the README say the truth: their programs are crates of their own, their commands are run, and what these
//! print is what the pages show.
//!
//! A block of `console` has commands, `$ …`, each with what it prints. What its fence says besides: `background` leaves the
//! last command running, as in another terminal, while the page goes on; `rabbitmq` needs a broker.
//! The programs of all other blocks are compiled and run as doctests. One whose first line names a file, `// src/bin/….rs`, is
//! built beside that of the first page, too.

mod book;
mod errors;
mod fits;
mod program;
mod shell;

use std::collections::BTreeSet;
use std::path::Path;

use book::{blocks, chapters, page, root};
pub(crate) use program::Program;
use shell::Shell;

/// What a fence may say. What is not run is `text`.
const KNOWN: [(&str, &[&str]); 6] = [
    ("rust", &["no_run"]),
    ("toml", &[]),
    ("console", &["background", "rabbitmq"]),
    ("python", &[]),
    ("text", &[]),
    ("json", &[]),
];

fn pages() -> Vec<String> {
    ["README.md".to_owned(), "docs/guide/README.md".to_owned()].into_iter().chain(chapters()).collect()
}

/// Runs the commands of a page in the folder of a program.
fn run(page: &str, program: &Program) {
    let mut shell = shell(program);
    for block in blocks(page).iter().filter(|block| block.language == "console" && !block.has("rabbitmq")) {
        shell.run(block);
    }
    shell.close();
}

fn shell(program: &Program) -> Shell {
    let cargo = Path::new(env!("CARGO")).parent().expect("it is in a folder").to_owned();
    let mut shell = Shell::new(&program.folder, &[program.programs(), cargo]);
    shell.set("CARGO_TARGET_DIR", &program.built.to_string_lossy());
    shell.set("CARGO_NET_OFFLINE", "true");
    shell
}

#[test]
fn the_program_of_the_readme_does_what_it_shows() {
    run("README.md", Program::primes());
}

#[test]
fn the_first_process_does_what_its_page_shows() {
    run("docs/guide/first-process.md", Program::countdown());
}

#[test]
fn the_commands_of_the_other_pages_do_what_they_show() {
    for page in chapters().iter().filter(|page| !page.ends_with("first-process.md")) {
        // A folder of its own for each, and the program of the first page.
        run(page, &Program::countdown().elsewhere(page));
    }
}

/// With a broker, and with plumpy.
#[test]
#[cfg(feature = "amqp")]
#[ignore = "needs RabbitMQ: cargo xtask test"]
fn the_commands_with_a_broker_do_what_they_show() {
    let page = "docs/guide/rabbitmq.md";
    let program = Program::countdown_with(page, "rabbitmq");
    let broker = crate::broker::Broker::shared().url();
    let mut shell = shell(&program);
    shell.has("countdown", &program.programs().join("countdown-rabbitmq"));
    shell.means("python3", &std::env::var("PROCESSION_PYTHON").expect("a Python that has plumpy"));
    for mut block in blocks(page) {
        block.text = block.text.replace("amqp://localhost", &broker);
        match block.language.as_str() {
            "python" => program.add("control.py", &block.text),
            "console" => shell.run(&block),
            _ => {}
        }
    }
    shell.close();
}

#[test]
fn every_block_is_of_a_known_kind() {
    for page in pages() {
        for block in blocks(&page) {
            let known = KNOWN.iter().find(|(language, _)| *language == block.language);
            let (_, options) = known.unwrap_or_else(|| panic!("{}: `{}`", block.place, block.language));
            assert!(block.options.iter().all(|option| options.contains(&option.as_str())), "{}", block.place);
        }
    }
}

#[test]
fn every_page_is_in_the_contents_and_in_the_documentation() {
    let files = std::fs::read_dir(root().join("docs/guide")).unwrap();
    let files = files.map(|file| format!("docs/guide/{}", file.unwrap().file_name().into_string().unwrap()));
    let files: BTreeSet<_> = files.filter(|file| !file.ends_with("README.md")).collect();
    assert_eq!(files, chapters().into_iter().collect());
    let library = page("src/lib.rs");
    for file in files {
        let include = format!("page!(\"{}\")", file.trim_start_matches("docs/guide/"));
        assert!(library.contains(&include), "src/lib.rs lacks {include}");
    }
}

/// A link is written `[text][name]`, and the name leads to a file at the end of the page, and in `src/lib.rs` to a place in the
/// documentation.
#[test]
fn every_link_of_a_page_leads_somewhere() {
    let library = page("src/lib.rs");
    for file in pages() {
        let text = page(&file);
        let folder = root().join(&file).parent().unwrap().to_owned();
        let mut names = BTreeSet::new();
        for line in text.lines() {
            let Some((name, target)) = line.strip_prefix('[').and_then(|line| line.split_once("]: ")) else { continue };
            assert!(folder.join(target).exists(), "{file}: `{target}` is no file");
            assert!(names.insert(name), "{file}: `{name}` twice");
            let led = library.contains(&format!("[{}]: ", name.to_lowercase())) || target.starts_with("examples/");
            assert!(led, "src/lib.rs does not lead `{name}` of {file} anywhere");
            assert!(text.contains(&format!("[{name}]")), "{file}: nothing leads to `{name}`");
        }
        assert!(!text.contains("](docs/") && !text.contains(".md)"), "{file}: a link that is a path is dead elsewhere");
    }
}
