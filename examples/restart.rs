//! AiiDA's `BaseRestartWorkChain`: runs a calculation until it succeeds, and mends its inputs after each failure.
//!
//! ```text
//! cargo run --example restart
//! ```
//!
//! Control flow, exit codes and reports are those of `engine/processes/workchains/restart.py`; what is a decorated
//! method there, a handler, is a row of a table here.

use procession::prelude::*;
use procession::spec::PortValues;

/// Solves `x = cos(x)` by damped iteration, as a stand-in for a calculation that is hard to bring to its end.
#[process]
#[derive(Debug, Default)]
pub struct Calculation {}

spec! { Calculation {
    /// How much of the new value is mixed into the old one: too much of it oscillates without end.
    input mixing: f64 = 2.5;
    input start: f64 = 0.0;
    /// After so many cycles the time is up.
    input cycles: u32 = 20;
    /// The largest change that counts as none.
    input tolerance: f64 = 1e-3;
    /// What goes wrong in which attempt.
    input trouble: Vec<String> = Vec::new();
    input attempt: usize;

    output value: f64;

    exit 310 Oscillates "the iteration does not converge with this mixing";
    exit 320 OutOfTime "the time was up before convergence";
    exit 330 NoLicence "the licence has expired";
    exit 340 Crashed "the calculation stopped without saying why";
}}

outline! { Calculation {
    submit;
    iterate => value; // or an exit code
}}

impl Calculation {
    fn submit(&mut self, cx: &mut Cx<Self>) -> Result<Next<Self>, StepError> {
        match cx.inputs().trouble.get(cx.inputs().attempt).map_or("", String::as_str) {
            "" => Ok(cx.next()),
            "crash" => Err(CalculationExit::Crashed.into()),
            "licence" => Err(CalculationExit::NoLicence.into()),
            "kill" => Ok(cx.kill("by the queue")),
            trouble => Err(trouble.into()),
        }
    }

    fn iterate(&mut self, cx: &mut Cx<Self>) -> Result<f64, StepError> {
        let inputs = cx.inputs();
        let (mut value, mut cycles, mut change) = (inputs.start, 0, f64::INFINITY);
        while change > inputs.tolerance && cycles < inputs.cycles {
            let new = value + inputs.mixing * (value.cos() - value);
            (change, value, cycles) = ((new - value).abs(), new, cycles + 1);
        }
        if change > inputs.tolerance {
            let exit = if inputs.mixing > 1.0 { CalculationExit::Oscillates } else { CalculationExit::OutOfTime };
            cx.out("value", &value)?; // where it stopped
            return Err(exit.into());
        }
        Ok(value)
    }
}

/// Runs [`Calculation`] again and again, as its handlers say.
#[process]
#[derive(Debug, Default)]
pub struct Restart {
    /// The inputs of the next attempt, which handlers may change.
    inputs: Option<RestartCalculationInputs>,
    last: Child<Calculation>,
    iteration: usize,
    is_finished: bool,
    unhandled_failure: bool,
}

spec! { Restart {
    /// How often the calculation is run at most.
    input max_iterations: usize = 5;
    input finest: f64 = 1e-3;
    expose inputs of Calculation as calculation { exclude: attempt };
    expose outputs of Calculation as result;

    exit 301 SubProcessExcepted "the sub-process excepted";
    exit 302 SubProcessKilled "the sub-process was killed";
    exit 401 MaximumIterationsExceeded "the maximum number of iterations was exceeded";
    exit 402 SecondConsecutiveUnhandledFailure "the process failed for an unknown reason, twice in a row";
    exit 410 CannotBeMended "the calculation failed in a way that no inputs can mend";
}}

outline! { Restart {
    setup;
    while_(should_run_process) { prepare_process; run_process; inspect_process }
    results => result from last;
}}

/// What a handler did about an attempt. Without an exit code the calculation is restarted.
#[derive(Debug)]
pub struct HandlerReport {
    do_break: bool,
    exit: Option<RestartExit>,
}

/// What can be done about an attempt that has ended.
type Handler = fn(&mut Restart, &mut Cx<Restart>, &Outcome<Calculation>) -> Option<HandlerReport>;

/// The handlers, each with its priority, and the exit codes that it is asked about: all, if there are none.
const HANDLERS: [(i32, &[CalculationExit], Handler); 4] = [
    (100, &[], Restart::refine),
    (400, &[CalculationExit::OutOfTime], Restart::go_on),
    (500, &[CalculationExit::Oscillates], Restart::mix_less),
    (600, &[CalculationExit::NoLicence], |_, _, _| {
        Some(HandlerReport { do_break: true, exit: Some(RestartExit::CannotBeMended) })
    }),
];

impl Restart {
    fn setup(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        self.inputs = Some(cx.inputs().calculation.copy()?);
        Ok(())
    }

    fn should_run_process(&self, cx: &Cx<Self>) -> bool {
        !self.is_finished && self.iteration < cx.inputs().max_iterations
    }

    fn prepare_process(&mut self, cx: &mut Cx<Self>) {
        cx.set_status(format!("attempt {}", self.iteration + 1));
    }

    fn run_process(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        let inputs = self.inputs.as_ref().ok_or("`setup` has not run")?;
        self.last = cx.allow_failure().launch(Calculation::inputs_from(inputs).attempt(self.iteration))?;
        self.iteration += 1;
        cx.report(format!("launching iteration #{}", self.iteration));
        Ok(())
    }

    fn inspect_process(&mut self, cx: &mut Cx<Self>) -> Result<Option<RestartExit>, StepError> {
        let outcome = self.last.outcome()?;
        let is_failed = match outcome {
            Outcome::Excepted(_) => return Ok(Some(RestartExit::SubProcessExcepted)),
            Outcome::Killed(_) => return Ok(Some(RestartExit::SubProcessKilled)),
            _ => !outcome.is_finished(),
        };
        let report = self.handlers_report(cx, &outcome);
        if is_failed && report.is_none() {
            if self.unhandled_failure {
                cx.report("failed and error was not handled for the second consecutive time, aborting");
                return Ok(Some(RestartExit::SecondConsecutiveUnhandledFailure));
            }
            self.unhandled_failure = true;
            cx.report("failed and error was not handled, restarting once more");
            return Ok(None);
        }
        self.unhandled_failure = false;
        let Some(report) = report else {
            self.is_finished = true;
            return Ok(None);
        };
        cx.report(match (is_failed, report.exit) {
            (false, None) => "finished successfully but a handler was triggered, restarting",
            (true, None) => "failed but a handler dealt with the problem, restarting",
            (false, Some(_)) => "finished successfully but a handler detected an unrecoverable problem, aborting",
            (true, Some(_)) => "failed but a handler detected an unrecoverable problem, aborting",
        });
        Ok(report.exit)
    }

    /// Asks the handlers that the attempt concerns; the last report counts.
    fn handlers_report(&mut self, cx: &mut Cx<Self>, outcome: &Outcome<Calculation>) -> Option<HandlerReport> {
        let exit = if let Outcome::Exited(exited) = outcome { exited.exit() } else { None };
        let mut handlers = HANDLERS;
        handlers.sort_by_key(|(priority, ..)| -priority);
        let mut last = None;
        for (_, exit_codes, handle) in handlers {
            if exit_codes.is_empty() || exit.is_some_and(|exit| exit_codes.contains(&exit)) {
                last = handle(self, cx, outcome).or(last);
            }
            if last.as_ref().is_some_and(|report| report.do_break) {
                break;
            }
        }
        last
    }

    fn results(&mut self, cx: &mut Cx<Self>) -> Option<RestartExit> {
        let most = cx.inputs().max_iterations;
        if !self.is_finished && self.iteration >= most {
            cx.report(format!("reached the maximum number of iterations {most}"));
            return Some(RestartExit::MaximumIterationsExceeded);
        }
        cx.report(format!("The work chain completed after {} iterations", self.iteration));
        None
    }

    fn mix_less(&mut self, cx: &mut Cx<Self>, _: &Outcome<Calculation>) -> Option<HandlerReport> {
        let inputs = self.inputs.as_mut()?;
        inputs.mixing /= 2.0;
        cx.report(format!("mixing less: {}", inputs.mixing));
        Some(HandlerReport { do_break: true, exit: None })
    }

    fn go_on(&mut self, _: &mut Cx<Self>, outcome: &Outcome<Calculation>) -> Option<HandlerReport> {
        let Outcome::Exited(exited) = outcome else { return None };
        let inputs = self.inputs.as_mut()?;
        inputs.start = exited.outputs().get("value")?.as_f64()?;
        Some(HandlerReport { do_break: true, exit: None })
    }

    /// Also of a success: the value may not be fine enough yet.
    fn refine(&mut self, cx: &mut Cx<Self>, outcome: &Outcome<Calculation>) -> Option<HandlerReport> {
        let (Outcome::Finished(outputs), Some(inputs)) = (outcome, self.inputs.as_mut()) else { return None };
        if inputs.tolerance <= cx.inputs().finest {
            return None;
        }
        (inputs.start, inputs.tolerance) = (outputs.value, inputs.tolerance / 10.0);
        Some(HandlerReport { do_break: false, exit: None })
    }
}

struct Print;

impl procession::listener::Listener for Print {
    fn on_report(&self, _: &ProcessId, line: &str) {
        println!("    {line}");
    }
}

#[tokio::main]
async fn main() -> procession::Result<()> {
    let runtime = Runtime::volatile().register::<Restart>().listener(Print).build().await?;
    for trouble in [vec![], vec!["licence"], vec!["crash"; 2]] {
        println!("a calculation with bad inputs and {trouble:?}");
        let trouble = trouble.into_iter().map(str::to_owned).collect();
        let inputs = Restart::inputs().finest(1e-5).calculation(|inputs| inputs.cycles(6).trouble(trouble));
        match runtime.launch(inputs).await?.outcome().await? {
            Outcome::Finished(outputs) => println!("x = cos x at {:.5}", outputs.result.value),
            Outcome::Exited(exited) => println!("{}", exited.code()),
            other => println!("{other:?}"),
        }
    }
    runtime.shutdown().await
}
