//! A page's program as a crate of its own, which depends on a path to this one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use super::book::{Block, blocks, chapters, root};

/// Where its reader would be: the folder of the crate.
pub(crate) struct Program {
    pub(super) folder: PathBuf,
    /// Where what is built lies.
    pub(super) built: PathBuf,
}

impl Program {
    /// That of the README.
    pub(crate) fn primes() -> &'static Self {
        static PRIMES: LazyLock<Program> = LazyLock::new(|| Program::of("README.md", "primes", &[], str::to_owned));
        &PRIMES
    }

    /// That of the first page, with those that other pages put beside it, in one build: a second one would replace what runs.
    pub(super) fn countdown() -> &'static Self {
        static COUNTDOWN: LazyLock<Program> = LazyLock::new(|| {
            let beside: Vec<_> =
                chapters().iter().flat_map(|page| blocks(page)).filter_map(|block| named(&block)).collect();
            Program::of("docs/guide/first-process.md", "countdown", &beside, str::to_owned)
        });
        &COUNTDOWN
    }

    /// The same with a dependency as another page writes it, and under a name of its own, since both are built in one folder.
    #[cfg(feature = "amqp")]
    pub(super) fn countdown_with(page: &str, name: &str) -> Self {
        let blocks = blocks(page);
        let line = blocks.iter().find(|block| block.language == "toml").expect("it says how it depends").text.clone();
        Self::of("docs/guide/first-process.md", name, &[], |manifest| {
            let lines =
                manifest.lines().map(|known| if known.starts_with("procession = ") { line.trim_end() } else { known });
            let manifest = lines.fold(String::new(), |manifest, line| manifest + line + "\n");
            manifest.replace("name = \"countdown\"", &format!("name = \"countdown-{name}\""))
        })
    }

    /// The crate of a page: its first block of TOML, and its first program.
    ///
    /// It is built beside the compile tests, whose dependencies it shares, and by the versions of the workspace.
    fn of(page: &str, name: &str, beside: &[(String, String)], changed: impl FnOnce(&str) -> String) -> Self {
        let blocks = blocks(page);
        let text = |what: &str, is: fn(&Block) -> bool| {
            let block = blocks.iter().find(|block| is(block)).unwrap_or_else(|| panic!("{page} has no {what}"));
            block.text.clone()
        };
        let manifest = text("manifest", |block| block.language == "toml" && block.text.contains("[package]"));
        let source = text("program", |block| block.language == "rust" && block.text.contains("\nfn main()"));
        assert!(manifest.contains("path = \"../procession\""), "{page}: it depends on a path");
        let manifest = changed(&manifest).replace("../procession", &root().to_string_lossy());

        let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let program = Self { folder: temporary.join("guide").join(name), built: temporary.join("compile/target") };
        fs::create_dir_all(program.folder.join("src/bin")).expect("the target folder can be written");
        program.write("Cargo.toml", &(manifest + "\n[workspace]\n"));
        program.write("Cargo.lock", &super::book::page("Cargo.lock"));
        program.write("src/main.rs", &source);
        for (path, text) in beside {
            program.write(path, text);
        }
        program.clean();
        program.build();
        program
    }

    /// The same program for another page, in a folder without a store.
    pub(super) fn elsewhere(&self, page: &str) -> Self {
        let name = Path::new(page).file_stem().expect("a page").to_string_lossy().into_owned();
        let program = Self { folder: self.folder.with_file_name(name), built: self.built.clone() };
        fs::create_dir_all(&program.folder).expect("the target folder can be written");
        program.clean();
        program
    }

    /// Where a program of the page stands.
    #[cfg(feature = "amqp")]
    pub(super) fn add(&self, path: &str, text: &str) {
        self.write(path, text);
    }

    /// Writes a file unless it is there already: a new time would make cargo build it again.
    fn write(&self, path: &str, text: &str) {
        let path = self.folder.join(path);
        if fs::read_to_string(&path).is_ok_and(|known| known == text) {
            return;
        }
        fs::write(path, text).expect("the target folder can be written");
    }

    /// Nothing is left of an earlier run.
    fn clean(&self) {
        for file in fs::read_dir(&self.folder).expect("it is there").flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            if name != "src" && !name.starts_with("Cargo.") {
                let path = file.path();
                let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
                removed.expect("it is ours");
            }
        }
    }

    fn build(&self) {
        let output = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--offline"])
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", &self.built)
            .env("CARGO_INCREMENTAL", "0")
            .env_remove("RUSTFLAGS")
            .output()
            .expect("cargo runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.is_empty(),
            "{}: it builds without a word\n{said}",
            self.folder.display()
        );
    }

    pub(crate) fn programs(&self) -> PathBuf {
        self.built.join("debug")
    }
}

/// The path and the text of a program that stands beside the first one.
fn named(block: &Block) -> Option<(String, String)> {
    let path = block.text.lines().next()?.strip_prefix("// ").filter(|path| path.starts_with("src/bin/"))?;
    (block.language == "rust").then(|| (path.to_owned(), block.text.clone()))
}
