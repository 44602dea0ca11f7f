//! Counts the words of a file, a few lines per step, and ranks them in a sub-process.
//!
//! ```text
//! cargo run --example quickstart
//! cargo run --example quickstart --features cli -- run CountWords file=README.md delay=200
//! ```
//!
//! Kill it with `kill -9` while it counts, and start it again: it goes on where it was. With the feature `cli` it is a command
//! line: `run` tells how to look at the process from elsewhere, and `run --continue ID` goes on with it.

use procession::prelude::*;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::time::Duration;

/// Counts the words of a text.
#[process]
#[derive(Debug, Default)]
pub struct CountWords {
    /// Where the next line starts, in bytes.
    offset: u64,
    length: u64,
    lines: u64,
    counts: BTreeMap<String, u64>,
    rank: Child<Rank>,
}

spec! { CountWords {
    /// The text to read.
    input file: String;
    /// Lines to read in one step.
    input chunk: u64 = 10, check(|lines| *lines > 0, "must be positive");
    /// How long a step takes at least, in milliseconds.
    input delay: u64 = 0;
    expose inputs of Rank as rank { exclude: counts };

    /// The number of lines.
    output lines: u64;
    /// The number of words.
    output words: u64;
    expose outputs of Rank as top;

    exit 404 Unreadable "the file cannot be read";
    exit 410 Empty "there are no words in the file";
}}

outline! { CountWords {
    open;
    while_(unread) {
        count;
        if_(at_milestone) { report }
    }
    if_(empty) { return_(Empty) }
    rank;
    finish => lines, words, top from rank;
}}

impl CountWords {
    fn open(&mut self, cx: &mut Cx<Self>) -> Option<CountWordsExit> {
        match std::fs::metadata(&cx.inputs().file) {
            Ok(file) if file.is_file() => self.length = file.len(),
            _ => return Some(CountWordsExit::Unreadable),
        }
        None
    }

    fn unread(&self) -> bool {
        self.offset < self.length
    }

    async fn count(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        let mut file = BufReader::new(std::fs::File::open(&cx.inputs().file)?);
        file.seek(SeekFrom::Start(self.offset))?;
        for _ in 0..cx.inputs().chunk {
            let mut line = Vec::new();
            let read = file.read_until(b'\n', &mut line)?;
            if read == 0 {
                self.length = self.offset; // the file is shorter than it was
                break;
            }
            self.offset += read as u64;
            self.lines += 1;
            for word in String::from_utf8_lossy(&line).split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()) {
                *self.counts.entry(word.to_lowercase()).or_default() += 1;
            }
        }
        tokio::time::sleep(Duration::from_millis(cx.inputs().delay)).await;
        Ok(())
    }

    /// Each time another tenth of the file is done, as far as steps are that fine.
    fn at_milestone(&self, cx: &Cx<Self>) -> bool {
        self.lines.is_multiple_of(cx.inputs().chunk * 5) || !self.unread()
    }

    fn report(&mut self, cx: &mut Cx<Self>) {
        let percent = self.offset * 100 / self.length.max(1);
        cx.report(format!("{percent} % read"));
    }

    fn empty(&self) -> bool {
        self.counts.is_empty()
    }

    fn rank(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        let inputs = Rank::inputs_from(&cx.inputs().rank).counts(self.counts.clone());
        self.rank = cx.launch(inputs)?; // the next step runs when it has ended
        Ok(())
    }

    fn finish(&self) -> (u64, u64) {
        (self.lines, self.counts.values().sum())
    }
}

/// Ranks words by how often they occur.
#[process]
#[derive(Debug, Default)]
pub struct Rank {}

spec! { Rank {
    /// How often each word occurs.
    input counts: BTreeMap<String, u64>;
    /// How many words to give.
    input most: usize = 5;
    /// Words shorter than this do not count.
    input shortest: usize = 5;

    /// The most frequent words, most frequent first.
    output ranking: Vec<(String, u64)>;
}}

outline! { Rank {
    sort => ranking;
}}

impl Rank {
    fn sort(&self, cx: &mut Cx<Self>) -> Vec<(String, u64)> {
        let inputs = cx.inputs();
        let long = inputs.counts.iter().filter(|(word, _)| word.chars().count() >= inputs.shortest);
        let mut ranking: Vec<_> = long.map(|(word, count)| (word.clone(), *count)).collect();
        ranking.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        ranking.truncate(inputs.most);
        ranking
    }
}

/// The command line: what it takes is what the ports say.
#[cfg(feature = "cli")]
fn main() -> std::process::ExitCode {
    procession::cli::main(|runtime| runtime.register::<CountWords>().register::<Rank>())
}

/// Without the feature `cli`: one file, and inputs from the typed builder.
#[cfg(not(feature = "cli"))]
#[tokio::main]
async fn main() -> procession::Result<()> {
    use procession::store::SqliteStore;

    struct Print;
    impl procession::listener::Listener for Print {
        fn on_report(&self, _: &ProcessId, line: &str) {
            println!("  {line}");
        }
    }

    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/LICENSE-APACHE");
    let key = format!("count {file}");
    let store = SqliteStore::open("quickstart.db")?;
    let runtime = Runtime::builder().register::<CountWords>().store(store).listener(Print).build().await?;
    if let Some(known) = runtime.find(&key).await? {
        let status = known.status().await?;
        println!("{key}: found in quickstart.db, {} after {} steps; it goes on from there", status.state, status.steps);
    } else {
        println!("{key}: new; its state is kept in quickstart.db");
    }

    let inputs = CountWords::inputs().file(file).delay(100_u64).rank(|rank| rank.most(3));
    let run = runtime.launch(inputs).key(key).await?; // the same key is the same process
    match run.outcome().await? {
        Outcome::Finished(outputs) => {
            println!("{} lines, {} words; the most frequent:", outputs.lines, outputs.words);
            for (word, count) in outputs.top.ranking {
                println!("{count:>6} {word}");
            }
        }
        other => println!("{other:?}"),
    }
    runtime.shutdown().await
}
