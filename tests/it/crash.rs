//! The crash test: the example `ledger` is killed with SIGKILL at random instants and started again each time.
//!
//! What it led to must equal a run that nobody disturbed, and the file of effects must show that each step ran at least
//! once, at most once more per kill, and always under the same idempotency key. `cargo xtask crash` runs it longer.

use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::support::Random;

/// How long a run may take to reach the instant at which it is killed, or its end.
const PATIENCE: Duration = Duration::from_secs(300);

#[test]
fn a_ledger_that_is_killed_again_and_again_ends_as_an_undisturbed_one() {
    kill_and_compare("store.db", &Numbers::from_environment());
}

/// A store in files flushes several times for a step: the ledger is smaller.
#[test]
fn a_ledger_in_files_that_is_killed_again_and_again_ends_as_an_undisturbed_one() {
    let numbers = Numbers { kills: 15, processes: 4, steps: 100, children: 1, ..Numbers::from_environment() };
    kill_and_compare("store", &numbers);
}

/// A limit of the operating system, in the middle of the work: what was stored is there, and it goes on from it.
#[test]
fn a_ledger_in_files_that_may_not_grow_stops_with_an_error_and_goes_on_when_it_may() {
    let numbers = Numbers { processes: 1, steps: 60, children: 0, ..Numbers::from_environment() };
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let calm = Trial::new(folder.path(), "calm", "store", &numbers).undisturbed();
    let mut trial = Trial::new(folder.path(), "limited", "store", &numbers);
    for _ in 0..2 {
        let mut run = trial.start_limited(8);
        run.wait_until(|| false);
        assert!(!run.child.wait().expect("a child can be waited for").success());
        let errors = text(&run.errors);
        assert!(errors.contains("kind: Full"), "{errors}");
        // The step that could not be stored has run, and runs again; in the same run where it failed before the ledger
        // asked for its process, which is brought back then.
        trial.effects.read_run(true, true);
    }
    let stored = trial.effects.steps();
    assert!(stored > 5 && stored < calm.steps, "{stored} of {}", calm.steps);
    assert_eq!(trial.start().wait(), calm.line);
    trial.effects.read(false);
    trial.effects.check(&numbers, &calm);
}

fn kill_and_compare(store: &'static str, numbers: &Numbers) {
    say(&format!("crash test on {store}: {numbers:?}"));
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let calm = Trial::new(folder.path(), "calm", store, numbers).undisturbed();
    let mut trial = Trial::new(folder.path(), "killed", store, numbers);
    let hits = trial.kill_again_and_again(&calm);
    let end = trial.start().wait();
    trial.effects.read(false);
    say(&format!(
        "crash test: {} of {} kills hit a running process: {} at start-up, {} at work, {} near the end; {} steps, {} \
         run again",
        hits.iter().sum::<u64>(),
        numbers.kills,
        hits[0],
        hits[1],
        hits[2],
        calm.steps,
        trial.effects.repeated
    ));
    assert_eq!(end, calm.line, "the last line of an undisturbed run, and of one that was killed");
    trial.effects.check(numbers, &calm);
    assert!(hits.iter().sum::<u64>() * 5 >= numbers.kills * 4, "too few kills hit a running process");

    // Started once more after the end, it runs nothing again.
    let length = trial.effects.length();
    assert_eq!(trial.start().wait(), calm.line, "the last line of a start after the end");
    assert_eq!(trial.effects.length(), length, "a start after the end leaves no effects");
}

/// What a run is made of.
#[derive(Debug)]
struct Numbers {
    kills: u64,
    seed: u64,
    processes: u64,
    steps: u64,
    children: u64,
}

impl Numbers {
    fn from_environment() -> Self {
        let number = |name: &str| {
            let value = std::env::var(format!("PROCESSION_CRASH_{name}")).ok()?;
            Some(value.parse::<u64>().unwrap_or_else(|_| panic!("PROCESSION_CRASH_{name} is no number: {value}")))
        };
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| u64::from(now.subsec_nanos()));
        Self {
            kills: number("KILLS").unwrap_or(50),
            seed: number("SEED").unwrap_or_else(now),
            processes: number("PROCESSES").unwrap_or(30),
            steps: number("STEPS").unwrap_or(4_000),
            children: number("CHILDREN").unwrap_or(2),
        }
    }
}

/// What an undisturbed run led to.
struct Calm {
    line: String,
    steps: u64,
    /// The time from the start to the first effect.
    start_up: Duration,
    /// The bytes of one effect, on average.
    effect: u64,
}

/// One store and one file of effects, with the runs on them.
struct Trial<'a> {
    numbers: &'a Numbers,
    folder: PathBuf,
    /// The name of the store in the folder.
    store: &'static str,
    effects: Effects,
}

impl<'a> Trial<'a> {
    fn new(folder: &Path, name: &str, store: &'static str, numbers: &'a Numbers) -> Self {
        let folder = folder.join(name);
        fs::create_dir(&folder).expect("there is room for temporary files");
        let effects = Effects::new(folder.join("effects"));
        Self { numbers, folder, store, effects }
    }

    fn start(&self) -> Run {
        self.start_by(Command::new(ledger()))
    }

    /// Where no file may become longer than this many blocks of 512 bytes: the system refuses as on a full disk.
    fn start_limited(&self, blocks: u32) -> Run {
        let mut shell = Command::new("sh");
        // Without the signal that would end it.
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        shell.arg("-c").arg(script).arg(ledger());
        self.start_by(shell)
    }

    fn start_by(&self, mut command: Command) -> Run {
        let Numbers { seed, processes, steps, children, .. } = self.numbers;
        let (out, errors) = (self.folder.join("out"), self.folder.join("errors"));
        let create = |path: &Path| File::create(path).expect("there is room for temporary files");
        let child = command
            .arg("--store")
            .arg(self.folder.join(self.store))
            .arg("--effects")
            .arg(&self.effects.path)
            .args(["--processes", &processes.to_string(), "--steps", &steps.to_string()])
            .args(["--children", &children.to_string(), "--seed", &seed.to_string()])
            .stdin(Stdio::null())
            .stdout(create(&out))
            .stderr(create(&errors))
            .spawn()
            .expect("`ledger` starts");
        Run { child, out, errors, started: Instant::now() }
    }

    fn undisturbed(mut self) -> Calm {
        let mut run = self.start();
        let reached = run.wait_until(|| self.effects.length() > 0);
        assert_eq!(reached, Reached::Instant, "a run leaves effects");
        let start_up = run.started.elapsed();
        let line = run.wait();
        self.effects.read(false);
        let steps = self.effects.steps();
        let calm = Calm { line, steps, start_up, effect: self.effects.length() / steps.max(1) };
        self.effects.check(self.numbers, &calm);
        calm
    }

    /// Kills as often as it is asked to. Gives how many kills hit a running process, for each kind of instant.
    fn kill_again_and_again(&mut self, calm: &Calm) -> [u64; 3] {
        let mut random = Random::new(self.numbers.seed);
        let mut hits = [0; 3];
        for kill in 0..self.numbers.kills {
            let left = self.numbers.kills - kill;
            let missing = calm.steps.saturating_sub(self.effects.steps());
            let mut run = self.start();
            // A fifth at start-up, a tenth near the end; the others are spread evenly over the work that is left,
            // whatever the machine's speed.
            let near_end = left <= self.numbers.kills / 10;
            let kind = if near_end { 2 } else { usize::from(random.below(5) > 0) };
            let (steps, after_ms) = match kind {
                0 => (0, 0),
                1 => (1 + random.below(2 * missing / (left + 1) + 1), random.below(3)),
                _ => (missing.saturating_sub(random.below(100)), random.below(10)),
            };
            let instant = if kind == 1 { 0.0 } else { random.fraction() * 1.2 };
            let length = self.effects.length() + steps * calm.effect;
            let mut reached = run.wait_until(|| self.effects.length() >= length);
            let due = Instant::now() + Duration::from_millis(after_ms);
            let due = if steps == 0 { run.started + calm.start_up.mul_f64(instant) } else { due };
            if reached == Reached::Instant {
                reached = run.wait_until(|| Instant::now() >= due);
            }
            let hit = reached == Reached::Instant && run.kill();
            if !hit {
                assert_eq!(run.wait(), calm.line, "the last line of a run that ended before it was killed");
            }
            hits[kind] += u64::from(hit);
            self.effects.read(hit);
        }
        hits
    }
}

/// One OS process.
struct Run {
    child: Child,
    out: PathBuf,
    errors: PathBuf,
    started: Instant,
}

#[derive(Debug, PartialEq, Eq)]
enum Reached {
    Instant,
    /// The process ended first.
    End,
}

impl Run {
    fn wait_until(&mut self, reached: impl Fn() -> bool) -> Reached {
        while !reached() {
            if self.child.try_wait().expect("a child can be waited for").is_some() {
                return Reached::End;
            }
            assert!(self.started.elapsed() < PATIENCE, "`ledger` hangs\n{}", text(&self.errors));
            std::thread::sleep(Duration::from_micros(200));
        }
        Reached::Instant
    }

    /// Whether the process was there to be killed.
    fn kill(&mut self) -> bool {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for").signal() == Some(9)
    }

    /// The last line of a process that ends by itself.
    fn wait(mut self) -> String {
        self.wait_until(|| false);
        let status = self.child.wait().expect("a child can be waited for");
        let out = text(&self.out);
        assert!(status.success(), "`ledger` failed: {status}\n{}{out}", text(&self.errors));
        out.lines().last().expect("`ledger` prints a line").to_owned()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Where an assertion failed, nothing is left behind; otherwise it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The file in which each step leaves a line `pid step key`.
struct Effects {
    path: PathBuf,
    /// How far it was read.
    read: u64,
    keys: HashMap<(String, u64), String>,
    /// The last step of each process.
    last: HashMap<String, u64>,
    repeated: u64,
}

impl Effects {
    fn new(path: PathBuf) -> Self {
        Self { path, read: 0, keys: HashMap::new(), last: HashMap::new(), repeated: 0 }
    }

    fn length(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |file| file.len())
    }

    /// Different steps that left effects.
    fn steps(&self) -> u64 {
        self.keys.len() as u64
    }

    /// Reads what one run has left and checks it; its last line may be torn if the run was killed.
    fn read(&mut self, killed: bool) {
        self.read_run(killed, false);
    }

    fn read_run(&mut self, killed: bool, may_repeat: bool) {
        let mut bytes = Vec::new();
        if let Ok(mut file) = File::open(&self.path) {
            file.seek(SeekFrom::Start(self.read)).expect("a file can be read from its middle");
            file.read_to_end(&mut bytes).expect("effects can be read");
        }
        self.read += bytes.len() as u64;
        let text = String::from_utf8(bytes).expect("effects are text");
        let mut seen = HashSet::new();
        for line in text.split_inclusive('\n') {
            let Some(line) = line.strip_suffix('\n') else {
                assert!(killed, "a torn line, and no kill: {line}");
                return;
            };
            let fields: Vec<&str> = line.split(' ').collect();
            let [pid, step, key] = fields[..] else { panic!("a foreign line: {line}") };
            let step: u64 = step.parse().unwrap_or_else(|_| panic!("a foreign line: {line}"));
            assert!(!key.is_empty(), "a line without a key: {line}");
            assert!(seen.insert((pid, step)) || may_repeat, "a step ran twice without a kill between: {line}");
            self.add(pid, step, key);
        }
    }

    fn add(&mut self, pid: &str, step: u64, key: &str) {
        let last = self.last.entry(pid.to_owned()).or_default();
        assert!(step == *last || step == *last + 1, "process {pid}: step {step} after step {last}");
        *last = step;
        match self.keys.insert((pid.to_owned(), step), key.to_owned()) {
            Some(known) => {
                assert_eq!(known, key, "the key of step {step} of process {pid}");
                self.repeated += 1;
            }
            None => assert_ne!(step, 0, "steps are counted from 1"),
        }
    }

    /// Checks the whole against the last line of an undisturbed run.
    fn check(&self, numbers: &Numbers, calm: &Calm) {
        let line: Value = serde_json::from_str(&calm.line).expect("the last line is JSON");
        let count = |name: &str| line[name].as_u64().unwrap_or_else(|| panic!("no `{name}` in {line}"));
        let processes = numbers.processes * (1 + numbers.children);
        assert_eq!((count("finished"), count("excepted"), count("killed")), (processes, 0, 0), "{line}");
        assert!(line["checksum"].as_str().is_some_and(|checksum| !checksum.is_empty()), "{line}");
        assert_eq!(self.last.len() as u64, processes, "processes that left effects");
        assert!(self.last.values().all(|last| *last == numbers.steps), "each process took all of its steps");
        assert_eq!(self.steps(), count("steps"), "steps that left effects");
        let keys: HashSet<&String> = self.keys.values().collect();
        assert_eq!(keys.len(), self.keys.len(), "each step has a key of its own");
    }
}

/// The example, which cargo builds beside the tests.
fn ledger() -> PathBuf {
    let own = std::env::current_exe().expect("a test knows where it is");
    let target = own.ancestors().nth(2).expect("tests are in a folder of the target folder");
    let ledger = target.join("examples/ledger");
    assert!(ledger.exists(), "`ledger` is not there; build it: cargo build --example ledger");
    ledger
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Prints also where the test passes: the seed is wanted beside whatever fails later.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
