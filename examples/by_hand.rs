//! The two processes of `quickstart`, written without macros: all that the macros write is public.
//!
//! ```text
//! cargo run --example by_hand
//! ```
//!
//! It is here to be compared with `quickstart.rs`, not to be copied: what the compiler checks there, the author
//! watches here.

use procession::outline::{Branch, Node, Outline, Step};
use procession::process::{
    Ahead, BoxError, BoxFuture, ContextError, FieldReader, FieldWriter, Flow, Hooks, PointError, StepEnd,
};
use procession::registry::RegistryBuilder;
use procession::spec::{
    ExitCode, ExitCodes, Expose, InputMap, JsonSchema, Port, PortNamespace, PortReader, PortValues, PortWriter,
    ProcessSpec, Schema, Spec, SpecError, spec_of,
};
use procession::{Child, Cx, Next, Outcome, Process, Runtime};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::time::Duration;

// ---- CountWords: the context

/// Counts the words of a text.
#[derive(Debug, Default)]
pub struct CountWords {
    offset: u64,
    length: u64,
    lines: u64,
    counts: BTreeMap<String, u64>,
    rank: Child<Rank>,
}

impl Process for CountWords {
    const NAME: &'static str = "by_hand::CountWords";
    const FIELDS: &'static [&'static str] = &["offset", "length", "lines", "counts", "rank"];

    fn save(&self, fields: &mut FieldWriter<'_>) -> Result<(), ContextError> {
        fields.field("offset", &self.offset)?;
        fields.field("length", &self.length)?;
        fields.field("lines", &self.lines)?;
        fields.field("counts", &self.counts)?;
        fields.field("rank", &self.rank)
    }

    fn load(mut fields: FieldReader<'_>) -> Result<Self, ContextError> {
        let process = Self {
            offset: fields.field("offset")?,
            length: fields.field("length")?,
            lines: fields.field("lines")?,
            counts: fields.field("counts")?,
            rank: fields.field("rank")?,
        };
        fields.finish()?;
        Ok(process)
    }
}

impl Hooks for CountWords {
    const ENABLED: bool = false;
}

// ---- CountWords: the ports

/// What [`CountWords`] takes.
#[derive(Debug)]
pub struct CountWordsInputs {
    /// The text to read.
    pub file: String,
    /// Lines to read in one step.
    pub chunk: u64,
    /// How long a step takes at least, in milliseconds.
    pub delay: u64,
    /// What is handed on to [`Rank`].
    pub rank: CountWordsRankInputs,
}

/// What [`CountWords`] hands on to [`Rank`]: all but the counts.
#[derive(Debug)]
pub struct CountWordsRankInputs {
    /// How many words to give.
    pub most: usize,
    /// Words shorter than this do not count.
    pub shortest: usize,
}

/// What [`CountWords`] gives.
#[derive(Debug)]
pub struct CountWordsOutputs {
    /// The number of lines.
    pub lines: u64,
    /// The number of words.
    pub words: u64,
    /// The ranking.
    pub top: RankOutputs,
}

impl PortValues for CountWordsInputs {
    fn read(ports: &mut PortReader) -> Result<Self, SpecError> {
        Ok(Self {
            file: ports.take("file")?,
            chunk: ports.take("chunk")?,
            delay: ports.take("delay")?,
            rank: ports.namespace("rank")?,
        })
    }

    fn write(&self, ports: &mut PortWriter) {
        ports.put("file", &self.file);
        ports.put("chunk", &self.chunk);
        ports.put("delay", &self.delay);
        ports.namespace("rank", &self.rank);
    }
}

impl PortValues for CountWordsRankInputs {
    fn read(ports: &mut PortReader) -> Result<Self, SpecError> {
        Ok(Self { most: ports.take("most")?, shortest: ports.take("shortest")? })
    }

    fn write(&self, ports: &mut PortWriter) {
        ports.put("most", &self.most);
        ports.put("shortest", &self.shortest);
    }
}

impl PortValues for CountWordsOutputs {
    fn read(ports: &mut PortReader) -> Result<Self, SpecError> {
        Ok(Self { lines: ports.take("lines")?, words: ports.take("words")?, top: ports.namespace("top")? })
    }

    fn write(&self, ports: &mut PortWriter) {
        ports.put("lines", &self.lines);
        ports.put("words", &self.words);
        ports.namespace("top", &self.top);
    }
}

/// How [`CountWords`] may end early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountWordsExit {
    /// The file cannot be read.
    Unreadable,
    /// There are no words in the file.
    Empty,
}

impl ExitCodes for CountWordsExit {
    const ALL: &'static [Self] = &[Self::Unreadable, Self::Empty];

    fn code(self) -> ExitCode {
        match self {
            Self::Unreadable => ExitCode::new(404, "Unreadable", "the file cannot be read"),
            Self::Empty => ExitCode::new(410, "Empty", "there are no words in the file"),
        }
    }
}

/// A port of a type whose JSON has a schema.
fn port<T: serde::de::DeserializeOwned + JsonSchema>(name: &'static str, type_name: &'static str) -> Port {
    Port::new::<T>(name, type_name).with_schema(Schema::of::<T>())
}

impl Spec for CountWords {
    type Inputs = CountWordsInputs;
    type Outputs = CountWordsOutputs;
    type Exit = CountWordsExit;

    fn build_spec() -> ProcessSpec {
        let positive = |lines: &u64| if *lines > 0 { Ok(()) } else { Err("must be positive".to_owned()) };
        let rank = spec_of::<Rank>();
        let all_but_counts = Expose { exclude: &["counts"], ..Expose::default() };
        let inputs = PortNamespace::new("inputs")
            .port(port::<String>("file", "String").with_help("The text to read."))
            .port(
                port::<u64>("chunk", "u64")
                    .with_help("Lines to read in one step.")
                    .with_default_value(&10_u64)
                    .with_check(positive),
            )
            .port(
                port::<u64>("delay", "u64")
                    .with_help("How long a step takes at least, in milliseconds.")
                    .with_default_value(&0_u64),
            )
            .namespace(PortNamespace::new("rank").absorb(rank.inputs(), all_but_counts));
        let outputs = PortNamespace::new("outputs")
            .port(port::<u64>("lines", "u64").with_help("The number of lines."))
            .port(port::<u64>("words", "u64").with_help("The number of words."))
            .namespace(PortNamespace::new("top").absorb(rank.outputs(), Expose::default()));
        ProcessSpec::new("CountWords").with_inputs(inputs).with_outputs(outputs).with_exits::<CountWordsExit>()
    }

    fn register_exposed(registry: &mut RegistryBuilder) {
        registry.register::<Rank>();
    }
}

// ---- CountWords: the control flow

/// Where [`CountWords`] stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountWordsPoint {
    /// At `open`.
    Open,
    /// At `count`.
    Count,
    /// At `report`.
    Report,
    /// At `rank`.
    Rank,
    /// At `finish`.
    Finish,
}

const OUTLINE: Outline = Outline {
    body: &[
        Node::Step(Step::new("open", "open")),
        Node::While(Branch::new(
            "unread",
            &[
                Node::Step(Step::new("count", "count")),
                Node::If {
                    branches: &[Branch::new("at_milestone", &[Node::Step(Step::new("report", "report"))], 0)],
                    otherwise: &[],
                },
            ],
            0,
        )),
        Node::If {
            branches: &[Branch::new("empty", &[Node::Return { exit: Some("Empty"), line: 0 }], 0)],
            otherwise: &[],
        },
        Node::Step(Step::new("rank", "rank")),
        Node::Step(Step::new("finish", "finish").outputs(&["lines", "words", "top"])),
    ],
};

impl Flow for CountWords {
    type Point = CountWordsPoint;
    type Next = Next<Self>;
    type Wait = Next<Self>;
    const OUTLINE: Option<&'static Outline> = Some(&OUTLINE);
    const POINTS: &'static [&'static str] = &["open", "count", "report", "rank", "finish"];

    fn point_name(point: &CountWordsPoint) -> &'static str {
        match point {
            CountWordsPoint::Open => "open",
            CountWordsPoint::Count => "count",
            CountWordsPoint::Report => "report",
            CountWordsPoint::Rank => "rank",
            CountWordsPoint::Finish => "finish",
        }
    }

    fn point(name: &str, _arguments: Map<String, Value>) -> Result<CountWordsPoint, PointError> {
        Ok(match name {
            "open" => CountWordsPoint::Open,
            "count" => CountWordsPoint::Count,
            "report" => CountWordsPoint::Report,
            "rank" => CountWordsPoint::Rank,
            "finish" => CountWordsPoint::Finish,
            _ => return Err(PointError::unknown::<Self>(name)),
        })
    }

    fn ahead(&self, cx: &Cx<Self>, after: Option<&CountWordsPoint>) -> Result<Ahead<CountWordsPoint>, BoxError> {
        match after {
            None => return Ok(Ahead::Step(CountWordsPoint::Open)),
            Some(CountWordsPoint::Count) if self.at_milestone(cx) => return Ok(Ahead::Step(CountWordsPoint::Report)),
            Some(CountWordsPoint::Rank) => return Ok(Ahead::Step(CountWordsPoint::Finish)),
            Some(CountWordsPoint::Finish) => return Ok(Ahead::End),
            Some(_) => {}
        }
        Ok(if self.unread() {
            Ahead::Step(CountWordsPoint::Count)
        } else if self.empty() {
            Ahead::Exit(CountWordsExit::Empty.code())
        } else {
            Ahead::Step(CountWordsPoint::Rank)
        })
    }

    fn step<'a>(&'a mut self, cx: &'a mut Cx<Self>, at: CountWordsPoint) -> BoxFuture<'a, StepEnd<Self>> {
        Box::pin(async move {
            match at {
                CountWordsPoint::Open => StepEnd::new(Ok(match self.open(cx) {
                    Some(exit) => cx.exit(exit),
                    None => cx.next(),
                })),
                CountWordsPoint::Count => StepEnd::new(self.count(cx).await.map(|()| cx.next())),
                CountWordsPoint::Report => {
                    self.report(cx);
                    StepEnd::new(Ok(cx.next()))
                }
                CountWordsPoint::Rank => StepEnd::new(self.rank(cx).map(|()| cx.next())),
                CountWordsPoint::Finish => {
                    let (lines, words) = self.finish();
                    let outputs = [("lines", lines.into()), ("words", words.into())];
                    StepEnd::new(Ok(cx.next())).with_outputs(outputs).forward("top", &self.rank)
                }
            }
        })
    }
}

// ---- CountWords: the steps, as in `quickstart`

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

    async fn count(&mut self, cx: &mut Cx<Self>) -> Result<(), BoxError> {
        let mut file = BufReader::new(std::fs::File::open(&cx.inputs().file)?);
        file.seek(SeekFrom::Start(self.offset))?;
        for _ in 0..cx.inputs().chunk {
            let mut line = Vec::new();
            let read = file.read_until(b'\n', &mut line)?;
            if read == 0 {
                self.length = self.offset;
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

    fn rank(&mut self, cx: &mut Cx<Self>) -> Result<(), BoxError> {
        let mut inputs = PortWriter::new();
        cx.inputs().rank.write(&mut inputs);
        inputs.put("counts", &self.counts);
        self.rank = cx.launch(inputs.finish().unchecked::<Rank>())?;
        Ok(())
    }

    fn finish(&self) -> (u64, u64) {
        (self.lines, self.counts.values().sum())
    }
}

// ---- Rank

/// Ranks words by how often they occur.
#[derive(Debug, Default)]
pub struct Rank {}

/// What [`Rank`] takes.
#[derive(Debug)]
pub struct RankInputs {
    /// How often each word occurs.
    pub counts: BTreeMap<String, u64>,
    /// How many words to give.
    pub most: usize,
    /// Words shorter than this do not count.
    pub shortest: usize,
}

/// What [`Rank`] gives.
#[derive(Debug)]
pub struct RankOutputs {
    /// The most frequent words, most frequent first.
    pub ranking: Vec<(String, u64)>,
}

/// [`Rank`] has no exit codes.
#[derive(Debug, Clone, Copy)]
pub enum RankExit {}

/// Where [`Rank`] stands.
#[derive(Debug, Clone, Copy)]
pub enum RankPoint {
    /// At `sort`.
    Sort,
}

impl PortValues for RankInputs {
    fn read(ports: &mut PortReader) -> Result<Self, SpecError> {
        Ok(Self { counts: ports.take("counts")?, most: ports.take("most")?, shortest: ports.take("shortest")? })
    }

    fn write(&self, ports: &mut PortWriter) {
        ports.put("counts", &self.counts);
        ports.put("most", &self.most);
        ports.put("shortest", &self.shortest);
    }
}

impl PortValues for RankOutputs {
    fn read(ports: &mut PortReader) -> Result<Self, SpecError> {
        Ok(Self { ranking: ports.take("ranking")? })
    }

    fn write(&self, ports: &mut PortWriter) {
        ports.put("ranking", &self.ranking);
    }
}

impl ExitCodes for RankExit {
    const ALL: &'static [Self] = &[];

    fn code(self) -> ExitCode {
        match self {}
    }
}

impl Spec for Rank {
    type Inputs = RankInputs;
    type Outputs = RankOutputs;
    type Exit = RankExit;

    fn build_spec() -> ProcessSpec {
        let inputs = PortNamespace::new("inputs")
            .port(
                port::<BTreeMap<String, u64>>("counts", "BTreeMap<String, u64>")
                    .with_help("How often each word occurs."),
            )
            .port(port::<usize>("most", "usize").with_help("How many words to give.").with_default_value(&5_usize))
            .port(
                port::<usize>("shortest", "usize")
                    .with_help("Words shorter than this do not count.")
                    .with_default_value(&5_usize),
            );
        let outputs = PortNamespace::new("outputs").port(
            port::<Vec<(String, u64)>>("ranking", "Vec<(String, u64)>")
                .with_help("The most frequent words, most frequent first."),
        );
        ProcessSpec::new("Rank").with_inputs(inputs).with_outputs(outputs)
    }
}

impl Hooks for Rank {
    const ENABLED: bool = false;
}

impl Process for Rank {
    const NAME: &'static str = "by_hand::Rank";
    const FIELDS: &'static [&'static str] = &[];

    fn save(&self, _fields: &mut FieldWriter<'_>) -> Result<(), ContextError> {
        Ok(())
    }

    fn load(fields: FieldReader<'_>) -> Result<Self, ContextError> {
        fields.finish()?;
        Ok(Self {})
    }
}

impl Flow for Rank {
    type Point = RankPoint;
    type Next = Next<Self>;
    type Wait = Next<Self>;
    const OUTLINE: Option<&'static Outline> =
        Some(&Outline { body: &[Node::Step(Step::new("sort", "sort").outputs(&["ranking"]))] });
    const POINTS: &'static [&'static str] = &["sort"];

    fn point_name(_point: &RankPoint) -> &'static str {
        "sort"
    }

    fn point(name: &str, _arguments: Map<String, Value>) -> Result<RankPoint, PointError> {
        if name == "sort" { Ok(RankPoint::Sort) } else { Err(PointError::unknown::<Self>(name)) }
    }

    fn ahead(&self, _cx: &Cx<Self>, after: Option<&RankPoint>) -> Result<Ahead<RankPoint>, BoxError> {
        Ok(after.map_or(Ahead::Step(RankPoint::Sort), |_| Ahead::End))
    }

    fn step<'a>(&'a mut self, cx: &'a mut Cx<Self>, _at: RankPoint) -> BoxFuture<'a, StepEnd<Self>> {
        Box::pin(async move {
            let ranking = serde_json::json!(self.sort(cx));
            StepEnd::new(Ok(cx.next())).with_outputs([("ranking", ranking)])
        })
    }
}

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

#[tokio::main]
async fn main() -> procession::Result<()> {
    let mut inputs = InputMap::new();
    inputs.set("file", concat!(env!("CARGO_MANIFEST_DIR"), "/LICENSE-APACHE"));
    let runtime = Runtime::volatile().register::<CountWords>().build().await?;
    let run = runtime.launch(inputs.unchecked::<CountWords>()).await?;
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
