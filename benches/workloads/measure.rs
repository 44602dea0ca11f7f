//! How figures are taken; each rule was learnt from a wrong result.
//!
//! Ours and the limit take turns within a run, for at least five rounds; the ratio is the median of the quotients
//! within rounds, so that a slow minute of the machine touches both sides. Before and after a case the disk and the
//! processor are probed; a case between unequal probes is taken again, three times at most, and then not judged.

use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const ROUNDS: usize = 5;
const ATTEMPTS: usize = 3;
/// How often the machine is looked at before a case begins all the same.
const WAITS: usize = 5;
/// The share of a processor that a spinning thread must get.
const CPU_SHARE_LEAST: f64 = 0.9;
/// How far apart the probes of the disk may be.
const DISK_DRIFT_MOST: f64 = 0.25;
const PROBE: Duration = Duration::from_millis(300);

/// One measurement of one side.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample {
    pub(crate) value: f64,
    /// Latencies of steps in milliseconds, where it has some.
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
    /// Flushes of the block device per committed step, where it writes and the statistics are readable.
    pub(crate) flushes: Option<f64>,
}

impl Sample {
    pub(crate) fn new(value: f64) -> Self {
        Self { value, ..Self::default() }
    }

    pub(crate) fn with_latencies(mut self, mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        let at = |share: usize| latencies.get(latencies.len() * share / 100).map(|time| time.as_secs_f64() * 1e3);
        (self.p50, self.p99) = (at(50), at(99));
        self
    }
}

/// The two sides of a case, over all rounds.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) ours: Sample,
    pub(crate) limit: Sample,
    pub(crate) ratio: f64,
    /// Whether the machine was quiet enough.
    pub(crate) judged: bool,
}

impl Case {
    /// A figure that the noise of the machine does not change.
    pub(crate) fn alone(ours: Sample) -> Self {
        Self { ours, limit: Sample::default(), ratio: f64::NAN, judged: true }
    }
}

#[derive(Debug)]
pub(crate) struct Bench {
    quick: bool,
    directory: TempDir,
}

impl Bench {
    pub(crate) fn new(quick: bool) -> Self {
        // Beside the build, on a disk: the temporary directory of the system may be memory.
        let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory for the stores");
        Self { quick, directory }
    }

    /// A number of things to do, fewer in a quick run.
    pub(crate) fn count(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    /// How long a throughput is taken.
    pub(crate) fn window(&self) -> Duration {
        Duration::from_millis(if self.quick { 400 } else { 1_500 })
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A file that is not there.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        let file = self.directory.path().join(name);
        remove_database(&file);
        file
    }

    /// Waits a while for the processors to be free, since a case that begins in a noise is lost.
    fn probe_when_quiet(&self) -> Probe {
        for _ in 0..self.count(WAITS, 0) {
            let probe = Probe::take(self.directory());
            if probe.cpu_share.is_none_or(|share| share >= CPU_SHARE_LEAST) {
                return probe;
            }
            std::thread::sleep(Duration::from_secs(2));
        }
        Probe::take(self.directory())
    }

    /// Takes a case: ours and the limit in turns.
    pub(crate) fn case(&self, mut ours: impl FnMut() -> Sample, mut limit: impl FnMut() -> Sample) -> Case {
        let [case] = self.cases([&mut ours], &mut limit);
        case
    }

    /// Takes several cases against one limit: all in turns.
    pub(crate) fn cases<'a, const N: usize>(&self, ours: [Side<'a>; N], limit: Side<'a>) -> [Case; N] {
        let rounds = self.rounds(ours.into_iter().chain([limit]).collect());
        std::array::from_fn(|side| rounds.case(side, N))
    }

    /// Measures all sides in turns.
    pub(crate) fn rounds(&self, mut sides: Vec<Side<'_>>) -> Rounds {
        let mut attempt = 1;
        loop {
            let before = self.probe_when_quiet();
            let mut samples: Vec<Vec<Sample>> = Vec::new();
            for _ in 0..self.count(ROUNDS, 1) {
                samples.push(sides.iter_mut().map(|side| side()).collect());
            }
            let quiet = before.quiet(&Probe::take(self.directory()));
            if let Err(noise) = &quiet {
                eprintln!("  the machine is not quiet: {noise}");
            }
            if quiet.is_ok() || self.quick || attempt == ATTEMPTS {
                return Rounds { samples, judged: quiet.is_ok() && !self.quick };
            }
            attempt += 1;
        }
    }
}

/// Takes one measurement.
pub(crate) type Side<'a> = &'a mut (dyn FnMut() -> Sample + 'a);

/// What all sides did in all rounds.
#[derive(Debug)]
pub(crate) struct Rounds {
    /// Of each round, of each side.
    samples: Vec<Vec<Sample>>,
    judged: bool,
}

impl Rounds {
    /// One side against another.
    pub(crate) fn case(&self, ours: usize, limit: usize) -> Case {
        Case {
            ours: median_sample(self.samples.iter().map(|sides| &sides[ours])),
            limit: median_sample(self.samples.iter().map(|sides| &sides[limit])),
            ratio: median(self.samples.iter().map(|sides| sides[ours].value / sides[limit].value)),
            judged: self.judged,
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn median_sample<'a>(samples: impl Iterator<Item = &'a Sample>) -> Sample {
    let samples: Vec<&Sample> = samples.collect();
    let of = |part: fn(&Sample) -> Option<f64>| {
        let values: Vec<f64> = samples.iter().filter_map(|sample| part(sample)).collect();
        (!values.is_empty()).then(|| median(values.into_iter()))
    };
    Sample {
        value: of(|sample| Some(sample.value)).unwrap_or(f64::NAN),
        p50: of(|sample| sample.p50),
        p99: of(|sample| sample.p99),
        flushes: of(|sample| sample.flushes),
    }
}

/// What the machine gives at the moment.
#[derive(Debug, Clone, Copy)]
struct Probe {
    flushes_per_second: f64,
    /// The share of a processor that each of two spinning threads gets; none where it cannot be read.
    cpu_share: Option<f64>,
}

impl Probe {
    fn take(directory: &Path) -> Self {
        Self { flushes_per_second: flushes_per_second(directory), cpu_share: cpu_share() }
    }

    fn quiet(&self, after: &Self) -> Result<(), String> {
        let share = self.cpu_share.into_iter().chain(after.cpu_share).fold(1.0, f64::min);
        if share < CPU_SHARE_LEAST {
            return Err(format!("two spinning threads got {share:.2} of a processor"));
        }
        let (one, other) = (self.flushes_per_second, after.flushes_per_second);
        if (one - other).abs() / one.max(other) > DISK_DRIFT_MOST {
            return Err(format!("the disk did {one:.0} flushes/s before and {other:.0} after"));
        }
        Ok(())
    }
}

fn flushes_per_second(directory: &Path) -> f64 {
    let mut file = tempfile::tempfile_in(directory).expect("a file to probe the disk with");
    let start = Instant::now();
    let mut flushes = 0_u32;
    while start.elapsed() < PROBE {
        file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&[flushes.to_le_bytes()[0]; 4096])).expect("written");
        file.sync_data().expect("flushed");
        flushes += 1;
    }
    f64::from(flushes) / start.elapsed().as_secs_f64()
}

fn cpu_share() -> Option<f64> {
    let spin = || {
        let on_cpu = || {
            let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
            Some(Duration::from_nanos(text.split(' ').next()?.parse().ok()?))
        };
        let (start, before) = (Instant::now(), on_cpu()?);
        while start.elapsed() < PROBE {
            std::hint::spin_loop();
        }
        Some(on_cpu()?.saturating_sub(before).as_secs_f64() / start.elapsed().as_secs_f64())
    };
    let threads = [(); 2].map(|()| std::thread::spawn(spin));
    threads.map(|thread| thread.join().ok().flatten()).into_iter().min_by(|a, b| a.partial_cmp(b).expect("no NaN"))?
}

/// Flushes that the block device under a directory has done so far; none where it does not say.
pub(crate) fn device_flushes(directory: &Path) -> Option<u64> {
    let device = std::fs::metadata(directory).ok()?.dev();
    let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xfff_ff00));
    let text = std::fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).ok()?;
    text.split_whitespace().nth(15)?.parse().ok()
}

/// Flushes per commit since an earlier reading.
pub(crate) fn flushes_since(before: Option<u64>, directory: &Path, commits: u64) -> Option<f64> {
    Some(ratio(device_flushes(directory)? - before?, commits))
}

#[allow(clippy::cast_precision_loss)] // Counts of a benchmark are far below 2^52.
pub(crate) fn ratio(one: u64, other: u64) -> f64 {
    one as f64 / other as f64
}

#[allow(clippy::cast_precision_loss)] // As above.
pub(crate) fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

pub(crate) fn milliseconds(time: Duration) -> Sample {
    Sample::new(time.as_secs_f64() * 1e3)
}

/// A database, and the log beside it.
pub(crate) fn remove_database(file: &Path) {
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let mut path = file.as_os_str().to_owned();
        path.push(suffix);
        // It need not be there.
        let _ = std::fs::remove_file(path);
    }
}

/// This binary as another OS process.
pub(crate) fn child_process(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the path of this binary"));
    command.arg("child").args(arguments).stdin(Stdio::null()).stderr(Stdio::inherit());
    command
}

/// The tokio runtime that all sides use.
pub(crate) fn tokio() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a tokio runtime")
}
