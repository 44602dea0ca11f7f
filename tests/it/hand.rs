//! smoke
use procession::process::{
    Ahead, BoxError, BoxFuture, ContextError, Cx, FieldReader, FieldWriter, Flow, Hooks, Next, PointError, Process,
    StepEnd,
};
use procession::spec::{
    ExitCode, ExitCodes, InputMap, Port, PortNamespace, PortReader, PortValues, PortWriter, ProcessSpec, Spec,
    SpecError,
};
use procession::store::MemoryStore;
use procession::{Outcome, Runtime};

#[derive(Default)]
pub struct Count {
    n: u64,
}
#[derive(Debug)]
pub struct CountInputs {
    to: u64,
}
impl PortValues for CountInputs {
    fn read(p: &mut PortReader) -> Result<Self, SpecError> {
        Ok(Self { to: p.take("to")? })
    }
    fn write(&self, p: &mut PortWriter) {
        p.put("to", &self.to);
    }
}
#[derive(Debug)]
pub struct CountOutputs {
    total: u64,
}
impl PortValues for CountOutputs {
    fn read(p: &mut PortReader) -> Result<Self, SpecError> {
        Ok(Self { total: p.take("total")? })
    }
    fn write(&self, p: &mut PortWriter) {
        p.put("total", &self.total);
    }
}
#[derive(Debug, Clone, Copy)]
pub enum NoExit {}
impl ExitCodes for NoExit {
    const ALL: &'static [Self] = &[];
    fn code(self) -> ExitCode {
        match self {}
    }
}
impl Spec for Count {
    type Inputs = CountInputs;
    type Outputs = CountOutputs;
    type Exit = NoExit;
    fn build_spec() -> ProcessSpec {
        ProcessSpec::new("Count")
            .with_inputs(PortNamespace::new("inputs").port(Port::new::<u64>("to", "u64")))
            .with_outputs(PortNamespace::new("outputs").port(Port::new::<u64>("total", "u64")))
    }
}
#[derive(Debug, Clone, Copy)]
pub enum Point {
    Add,
    Finish,
}
impl Hooks for Count {
    const ENABLED: bool = false;
}
impl Flow for Count {
    type Point = Point;
    type Next = Next<Self>;
    type Wait = Next<Self>;
    const POINTS: &'static [&'static str] = &["add", "finish"];
    fn point_name(p: &Point) -> &'static str {
        match p {
            Point::Add => "add",
            Point::Finish => "finish",
        }
    }
    fn point(name: &str, _: serde_json::Map<String, serde_json::Value>) -> Result<Point, PointError> {
        match name {
            "add" => Ok(Point::Add),
            "finish" => Ok(Point::Finish),
            _ => Err(PointError::unknown::<Self>(name)),
        }
    }
    fn ahead(&self, cx: &Cx<Self>, after: Option<&Point>) -> Result<Ahead<Point>, BoxError> {
        Ok(match after {
            Some(Point::Finish) => Ahead::End,
            _ if self.n < cx.inputs().to => Ahead::Step(Point::Add),
            _ => Ahead::Step(Point::Finish),
        })
    }
    fn step<'a>(&'a mut self, _: &'a mut Cx<Self>, at: Point) -> BoxFuture<'a, StepEnd<Self>> {
        Box::pin(async move {
            match at {
                Point::Add => {
                    self.n += 1;
                    procession::process::returned(())
                }
                Point::Finish => procession::process::yielded_one::<Self, u64, _>(self.n, "total"),
            }
        })
    }
}
impl Process for Count {
    const NAME: &'static str = "it::Count";
    const FIELDS: &'static [&'static str] = &["n"];
    fn save(&self, f: &mut FieldWriter<'_>) -> Result<(), ContextError> {
        f.field("n", &self.n)
    }
    fn load(mut f: FieldReader<'_>) -> Result<Self, ContextError> {
        let s = Self { n: f.field("n")? };
        f.finish()?;
        Ok(s)
    }
}

async fn run(runtime: Runtime, to: u64) -> u64 {
    let mut inputs = InputMap::new();
    inputs.set("to", &to);
    let h = runtime.launch::<Count>(inputs.unchecked()).await.unwrap();
    let Outcome::Finished(o) = h.outcome().await.unwrap() else { panic!() };
    assert_eq!(o.total, to);
    runtime.shutdown().await.unwrap();
    o.total
}

#[tokio::test]
async fn volatile() {
    let t = std::time::Instant::now();
    let n = 10_000_000;
    run(Runtime::volatile().register::<Count>().build().await.unwrap(), n).await;
    eprintln!("volatile {:.1} M steps/s", n as f64 / t.elapsed().as_secs_f64() / 1e6);
}
#[tokio::test]
async fn memory() {
    let t = std::time::Instant::now();
    let n = 100_000;
    run(Runtime::builder().store(MemoryStore::new()).register::<Count>().build().await.unwrap(), n).await;
    eprintln!("memory {:.3} M steps/s", n as f64 / t.elapsed().as_secs_f64() / 1e6);
}
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_one() {
    let dir = tempfile::tempdir_in("/work/main/target").unwrap();
    let n = 10_000;
    let rt = Runtime::builder().store(procession::store::SqliteStore::open(dir.path().join("a.db")).unwrap()).register::<Count>().build().await.unwrap();
    let t = std::time::Instant::now();
    run(rt, n).await;
    eprintln!("sqlite 1: {:.0} steps/s", n as f64 / t.elapsed().as_secs_f64());
    let rt = Runtime::builder().store(procession::store::SqliteStore::open(dir.path().join("b.db")).unwrap()).register::<Count>().build().await.unwrap();
    let t = std::time::Instant::now();
    let mut hs = vec![];
    for _ in 0..1000 {
        let mut inputs = InputMap::new();
        inputs.set("to", &200);
        hs.push(rt.launch::<Count>(inputs.unchecked()).await.unwrap());
    }
    eprintln!("launched {:?}", t.elapsed());
    let t = std::time::Instant::now();
    for h in hs { h.outcome().await.unwrap(); }
    eprintln!("sqlite 1000: {:.0} steps/s", 200_000 as f64 / t.elapsed().as_secs_f64());
}
