//! What the command line takes.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::broker::BrokerArguments;
use super::checkpoint::Checkpoints;
use super::config::Given;
use super::run::Run;
use super::select::Selected;
use super::submit::Launched;
use super::transfer::{Export, Import};
use super::worker::Workers;
use procession_runtime::ProcessState;

/// Durable processes: looks at them, and controls them.
#[derive(Debug, Parser)]
#[command(name = "procession", arg_required_else_help = true, propagate_version = true)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) common: Common,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Common options")]
pub(super) struct Common {
    /// Where the processes are: `sqlite:PATH`, `files:FOLDER` or `postgres://USER@HOST/DATABASE`
    #[arg(long, global = true, env = "PROCESSION_STORE", hide_env_values = true, value_name = "ADDRESS")]
    pub(super) store: Option<Given>,
    /// Which schema of a PostgreSQL database has the tables
    #[arg(long, global = true, env = "PROCESSION_SCHEMA", value_name = "NAME")]
    pub(super) schema: Option<String>,
    #[command(flatten)]
    pub(super) broker: BrokerArguments,
    /// A file with these settings [default: `procession.toml`, where there is one]
    #[arg(long, global = true, env = "PROCESSION_CONFIG", value_name = "PATH")]
    pub(super) config: Option<PathBuf>,
    /// Writes JSON, for programs
    #[arg(long, global = true)]
    pub(super) json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Runs a process of this binary here, and prints its outputs
    #[command(disable_help_flag = true)]
    Run(Run),
    /// Stores a process of this binary for a worker to take, and prints its id
    #[command(disable_help_flag = true)]
    Submit(Launched),
    /// Shows which processes there are, the newest first
    List(List),
    /// Shows processes whole
    Show(Selected),
    /// Shows processes and their children, and how far each is
    Status(Selected),
    /// Follows processes, and all below them, until they have ended
    Watch(Selected),
    /// Shows what the steps of processes and their children reported, in order
    Report(Selected),
    /// Shows the transitions of processes, and how long each state took
    Events(Selected),
    /// Has processes hold after the step that runs
    Pause(Control),
    /// Has processes go on that were paused
    Play(Control),
    /// Ends processes
    Kill {
        #[command(flatten)]
        control: Control,
        /// Cuts off the step that runs
        #[arg(long)]
        force: bool,
    },
    /// Shows the ports of a process, or all processes of this binary
    Spec {
        /// Its registered name, or the last part of it
        process: Option<String>,
        /// As the JSON schema of its inputs
        #[arg(long, requires = "process")]
        json_schema: bool,
        /// Inputs that it takes, as JSON for `--inputs`
        #[arg(long, requires = "process", conflicts_with = "json_schema")]
        example: bool,
    },
    /// Draws the outline of a process of this binary, or a run and how far it is
    Graph(Graph),
    /// Starts a worker, and looks after those of a store
    #[command(subcommand)]
    Worker(Workers),
    /// Finds what is stuck, orphaned, parked or unloadable, and says what to do about it
    Doctor {
        /// Does what is safe to do
        #[arg(long)]
        repair: bool,
        /// Says what a repair would do, and does nothing
        #[arg(long, requires = "repair")]
        dry_run: bool,
    },
    /// Looks at the copies of processes that were saved under a tag
    #[command(subcommand)]
    Checkpoint(Checkpoints),
    /// Writes processes whole, a line of JSON for each, for `import`
    Export(Export),
    /// Reads processes that `export` wrote into the store
    Import(Import),
    /// Writes what a shell needs to complete commands
    Completions {
        /// Which one
        shell: clap_complete::Shell,
    },
}

/// What is drawn.
#[derive(Debug, Clone, Args)]
pub(super) struct Graph {
    /// The registered name of a process, or the id of a run
    #[arg(value_name = "PROCESS|ID", required_unless_present = "where")]
    pub(super) subject: Option<String>,
    /// The only run that is like this, as in `list --where`
    #[arg(long = "where", id = "where", value_name = "FILTER", conflicts_with = "subject")]
    pub(super) filter: Option<String>,
    /// As what
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}

/// How a picture is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Text,
    Mermaid,
    Svg,
}

/// What is listed.
#[derive(Debug, Clone, Args)]
pub(super) struct List {
    #[command(flatten)]
    pub(super) filtered: Filtered,
    /// So many at most
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    pub(super) limit: usize,
    /// The oldest first
    #[arg(long)]
    pub(super) oldest: bool,
    /// Says only how many there are
    #[arg(long)]
    pub(super) count: bool,
    /// Shows them anew every second, until Ctrl-C
    #[arg(long, conflicts_with = "count")]
    pub(super) watch: bool,
}

/// What processes are like. Where more than one is given, each has to hold.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Filtered {
    /// In this state; given again, in that one
    #[arg(long, value_name = "STATE", value_parser = state)]
    pub(super) state: Vec<ProcessState>,
    /// Registered under this name, or with a `*` at its end under one that begins so
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Excepted, or finished with an exit code other than 0
    #[arg(long)]
    pub(super) failed: bool,
    /// Paused
    #[arg(long)]
    pub(super) paused: bool,
    /// Created within this time, as in `90s`, `2h` or `7d`
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(super) since: Option<Duration>,
    /// What else, as in `exit = 3 and input.name = "two words" and updated < -2d`
    #[arg(long = "where", value_name = "FILTER")]
    pub(super) filter: Option<String>,
    /// This process, or one below it
    #[arg(long, value_name = "ID")]
    pub(super) tree: Option<String>,
}

fn state(text: &str) -> Result<ProcessState, String> {
    ProcessState::from_name(text)
        .ok_or_else(|| "no state; they are created, running, waiting, finished, excepted and killed".to_owned())
}

/// A change of processes.
#[derive(Debug, Clone, Args)]
pub(super) struct Control {
    #[command(flatten)]
    pub(super) selected: Selected,
    /// Why, for people
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,
    /// Says what it would do, and does nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Does not ask before it changes more than one
    #[arg(long, short)]
    pub(super) yes: bool,
    /// Waits until it is done
    #[arg(long)]
    pub(super) wait: bool,
    /// How long at most, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds, requires = "wait")]
    pub(super) within: Duration,
}

/// A span, as a number.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "no number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
