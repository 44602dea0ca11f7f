//! One process in memory, without its type: what the driver moves.

use serde_json::{Map, Value};
use std::any::TypeId;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::hooks::ErasedHooks;
use super::position::{Position, read_position, step_in, write_position};
use crate::limits;
use crate::outline::Node;
use crate::picture::Picture;
use crate::process::{
    Ahead, BoxFuture, Cx, CxCore, Effects, Ended, Env, ErrorInfo, FieldReader, FieldWriter, Hand, Has, Hooks, Need,
    Process, ProcessId, Resumed, Slot, SlotCollector, StepEnd,
};
use crate::spec::{Entry, PortNamespace, PortReader, PortValues, PreparedInputs, ProcessSpec, spec_of};
use crate::store::{Envelope, FORMAT, Record};
use crate::stream::Streams;
use crate::text::{TOO_DEEP, too_deep};

/// A process type without its type.
pub(crate) trait ProcessType: Send + Sync + 'static {
    fn type_id(&self) -> TypeId;
    fn type_name(&self) -> &'static str;
    fn name(&self) -> &'static str;
    fn also(&self) -> &'static [&'static str];
    fn needs(&self) -> &'static [Need];
    fn spec(&self) -> &'static ProcessSpec;
    fn envelope(&self) -> &Envelope;
    /// Where the step with this stored name stands in the outline; the step alone where there is no outline.
    fn position(&self, step: &str) -> Option<String>;
    /// Its outline, or its steps, as a picture.
    fn picture(&self) -> Picture;
    /// Whether it begins with a step, whatever its predicates say.
    fn begins_with_a_step(&self) -> bool;
    /// A process at its start. The inputs are validated.
    fn create(&self, env: &Arc<Env>, pid: ProcessId, inputs: PreparedInputs) -> Result<Box<dyn Live>, ErrorInfo>;
    /// A process as of its last boundary, with the slots of the children in its context.
    fn restore(&self, env: &Arc<Env>, record: &Record) -> Result<Restored, String>;
}

pub(crate) struct Restored {
    pub(crate) live: Box<dyn Live>,
    pub(crate) children: Vec<Arc<Slot>>,
}

/// What running led to.
#[derive(Debug)]
pub(crate) enum Turn {
    /// The step ended; what comes next is to be chosen.
    Proceed,
    /// The step ended and named the next one.
    To,
    /// The step ended and waits for a resume, with the text for people.
    Wait(String),
    /// The step ended the process.
    End(Ended),
    /// The step failed.
    Failed(ErrorInfo),
    /// A hook refused the state that was about to be entered, and was told of excepted instead.
    Refused(ErrorInfo),
    /// Something was asked of the process; the next step is chosen and counted.
    Interrupted,
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Chosen {
    Step,
    End(Ended),
}

/// A process in memory.
pub(crate) trait Live: Send {
    fn core(&self) -> &CxCore;
    fn core_mut(&mut self) -> &mut CxCore;
    /// Chooses what comes next, by predicates where the control flow asks them.
    fn choose(&mut self) -> Result<Chosen, ErrorInfo>;
    /// Runs the chosen step; with a signal, also those that follow, until the signal or until one does more than proceed.
    fn run<'a>(&'a mut self, signal: Option<&'a AtomicBool>) -> BoxFuture<'a, Turn>;
    /// Whether the run ended by a panic of a predicate, after a step that is done.
    fn is_choosing(&self) -> bool;
    /// Takes the value of a resume; gives the slots of the children in the arguments that it completes.
    fn resume(&mut self, value: Value) -> Result<Vec<Arc<Slot>>, String>;
    /// Lets a process at its start stay there until it is started.
    fn hold(&mut self);
    /// Whether it is to be started first.
    fn is_unstarted(&self) -> bool;
    /// Starts it; whether it was unstarted.
    fn start(&mut self) -> bool;
    /// Remembers how the process ends once its children have ended, and its streams have taken what was sent.
    fn end_later(&mut self, ended: Ended);
    /// Whether it is to end so.
    fn is_ending(&self) -> bool;
    /// The saved fields as JSON, if they changed since the last call.
    fn save(&mut self) -> Result<Option<String>, ErrorInfo>;
    /// Forgets what was saved last: the next save gives the whole. For processes that rest.
    fn forget_saved(&mut self);
    /// The program point as JSON.
    fn position(&self) -> Result<String, ErrorInfo>;
    /// The name of the step that runs, ran last or runs next.
    fn at(&self) -> &'static str;
    /// The process's hooks, if it has any.
    fn hooks(&mut self) -> Option<&mut dyn ErasedHooks>;
}

/// Where a process stands.
enum Place<Point> {
    /// At the start, to which someone must let it go first.
    Unstarted,
    Start,
    At(Point),
    After(Point),
    /// At a point, as soon as a resume brings its last argument.
    Resume(Box<Resumed>),
    /// At the end, as soon as the children of the last step have ended.
    Ending(Box<Ended>),
}

/// The saved fields as they were written last, and where they are written next.
#[derive(Default)]
struct Texts {
    saved: Vec<u8>,
    buffer: Vec<u8>,
}

pub(super) struct Instance<P: Process> {
    pub(super) process: P,
    pub(super) cx: Cx<P>,
    place: Place<P::Point>,
    at: &'static str,
    /// A burst is asking its predicates: one that panics leaves this set.
    choosing: bool,
    /// None while it rests.
    texts: Option<Box<Texts>>,
}

impl<P: Process> Instance<P> {
    fn finish_step(&mut self, point: P::Point, end: StepEnd<P>) -> Turn {
        self.cx.core.resumed = None;
        let hand = match end.next {
            Ok(next) => next.0,
            Err(error) => return Turn::Failed(ErrorInfo::from_error(&*error)),
        };
        for (name, value) in &end.outputs {
            if let Err(error) = self.cx.core.emit(name, value) {
                return Turn::Failed(ErrorInfo::from_error(&error));
            }
        }
        for (namespace, outputs) in end.forwarded {
            self.cx.core.emit_valid(namespace, serde_json::Value::Object(outputs));
        }
        match hand {
            Hand::Proceed => {
                self.place = Place::After(point);
                Turn::Proceed
            }
            Hand::To(point) => {
                self.place = Place::At(point);
                Turn::To
            }
            Hand::Wait { text, then: None } => {
                self.place = Place::After(point);
                Turn::Wait(text)
            }
            Hand::Wait { text, then: Some(Ok(resumed)) } => {
                self.place = Place::Resume(Box::new(resumed));
                Turn::Wait(text)
            }
            Hand::Wait { then: Some(Err((name, error))), .. } => {
                Turn::Failed(ErrorInfo::new(format!("arguments of step `{name}` cannot be written as JSON: {error}")))
            }
            Hand::Stop(Ok(result)) if too_deep(&result) => {
                Turn::Failed(ErrorInfo::new(format!("the result is nested {TOO_DEEP}")))
            }
            Hand::Stop(Ok(result)) => Turn::End(Ended::Finished { result }),
            Hand::Stop(Err(error)) => {
                Turn::Failed(ErrorInfo::new(format!("the result cannot be written as JSON: {error}")))
            }
            Hand::Exit(exit) => Turn::End(Ended::Exited { exit }),
            Hand::Kill(text) => Turn::End(Ended::Killed { text }),
        }
    }

    async fn run_steps(&mut self, signal: Option<&AtomicBool>) -> Turn {
        let mut since_yield = 0;
        let mut steps = 0;
        loop {
            let Place::At(point) = &self.place else {
                return Turn::Failed(ErrorInfo::new("no step was chosen"));
            };
            let point = point.clone();
            self.at = P::point_name(&point);
            let end = self.process.step(&mut self.cx, point.clone()).await;
            let turn = self.finish_step(point, end);
            let Some(signal) = signal else { return turn };
            if !matches!(turn, Turn::Proceed) || !self.cx.core.effects.is_empty() {
                return turn;
            }
            // A step that a burst runs on from is one that nobody watches: nothing is stored or told.
            self.choosing = true;
            let chosen = self.choose_next();
            self.choosing = false;
            match chosen {
                Ok(Chosen::Step) => self.cx.core.steps += 1,
                Ok(Chosen::End(ended)) => return Turn::End(ended),
                // It is the predicate that failed, not the step, which is kept.
                Err(error) => return Turn::End(Ended::Excepted { error }),
            }
            steps += 1;
            if signal.load(Ordering::Relaxed) || steps == limits::STEPS_PER_BURST {
                return Turn::Interrupted;
            }
            since_yield += 1;
            if since_yield == limits::STEPS_PER_TURN {
                since_yield = 0;
                tokio::task::yield_now().await;
            }
        }
    }

    /// What was written must be readable, or the process would be lost at its next start: `f64::NAN` is written as null.
    fn check_saved(text: &[u8]) -> Result<(), ErrorInfo> {
        let text = std::str::from_utf8(text).map_err(|error| ErrorInfo::from_error(&error))?;
        let read = FieldReader::new(text).and_then(P::load);
        read.map(drop).map_err(|error| ErrorInfo::new(format!("the context cannot be read again: {error}")))
    }

    fn choose_next(&mut self) -> Result<Chosen, ErrorInfo> {
        let after = match &self.place {
            Place::At(_) => return Ok(Chosen::Step),
            Place::Ending(ended) => return Ok(Chosen::End((**ended).clone())),
            Place::Resume(resumed) => {
                return Err(ErrorInfo::new(format!("step `{}` has not been resumed", resumed.point)));
            }
            Place::Unstarted | Place::Start => None,
            Place::After(point) => Some(point),
        };
        match self.process.ahead(&self.cx, after).map_err(|error| ErrorInfo::from_error(&*error))? {
            Ahead::Step(point) => {
                self.place = Place::At(point);
                Ok(Chosen::Step)
            }
            Ahead::End => Ok(Chosen::End(Ended::Finished { result: Value::Null })),
            Ahead::Exit(exit) => Ok(Chosen::End(Ended::Exited { exit })),
        }
    }
}

impl<P: Process> Live for Instance<P> {
    fn core(&self) -> &CxCore {
        &self.cx.core
    }

    fn core_mut(&mut self) -> &mut CxCore {
        &mut self.cx.core
    }

    fn choose(&mut self) -> Result<Chosen, ErrorInfo> {
        self.choose_next()
    }

    fn run<'a>(&'a mut self, signal: Option<&'a AtomicBool>) -> BoxFuture<'a, Turn> {
        // Hooks see every transition, so a process with hooks stops at each.
        let signal = if <P as Hooks>::ENABLED { None } else { signal };
        Box::pin(self.run_steps(signal))
    }

    fn is_choosing(&self) -> bool {
        self.choosing
    }

    fn resume(&mut self, value: Value) -> Result<Vec<Arc<Slot>>, String> {
        let Place::Resume(resumed) = &self.place else {
            self.cx.core.resumed = Some(Box::new(value));
            return Ok(Vec::new());
        };
        let Resumed { point, arguments, children } = &**resumed;
        let mut arguments = arguments.clone();
        if let Some(argument) = P::resume_argument(point) {
            arguments.insert((*argument).to_owned(), value);
        }
        let collector = SlotCollector::knowing(children.clone());
        self.place = Place::At(P::point(point, arguments).map_err(|error| error.to_string())?);
        Ok(collector.finish())
    }

    fn hold(&mut self) {
        if matches!(self.place, Place::Start) {
            self.place = Place::Unstarted;
        }
    }

    fn is_unstarted(&self) -> bool {
        matches!(self.place, Place::Unstarted)
    }

    fn start(&mut self) -> bool {
        let unstarted = self.is_unstarted();
        if unstarted {
            self.place = Place::Start;
        }
        unstarted
    }

    fn end_later(&mut self, ended: Ended) {
        self.place = Place::Ending(Box::new(ended));
    }

    fn is_ending(&self) -> bool {
        matches!(self.place, Place::Ending(_))
    }

    fn save(&mut self) -> Result<Option<String>, ErrorInfo> {
        let Texts { saved, buffer } = &mut **self.texts.get_or_insert_default();
        let mut fields = FieldWriter::new(buffer);
        self.process.save(&mut fields).map_err(|error| ErrorInfo::from_error(&error))?;
        fields.finish();
        if buffer == saved {
            return Ok(None);
        }
        if cfg!(debug_assertions) {
            Self::check_saved(buffer)?;
        }
        std::mem::swap(buffer, saved);
        String::from_utf8(saved.clone()).map(Some).map_err(|_| ErrorInfo::new("a field was not written as UTF-8"))
    }

    fn forget_saved(&mut self) {
        self.texts = None;
    }

    fn position(&self) -> Result<String, ErrorInfo> {
        let resumed = self.cx.core.resumed.as_deref().cloned();
        let arguments = |point: &P::Point| {
            P::point_arguments(point)
                .map_err(|error| ErrorInfo::new(format!("arguments of step `{}`: {error}", P::point_name(point))))
        };
        let position = match &self.place {
            Place::Unstarted => Position::Unstarted,
            Place::Start => Position::Start,
            Place::At(point) => Position::At { step: P::point_name(point).into(), with: arguments(point)?, resumed },
            Place::After(point) => {
                Position::After { step: P::point_name(point).into(), with: arguments(point)?, resumed }
            }
            Place::Resume(resumed) => Position::Resume { step: resumed.point.into(), with: resumed.arguments.clone() },
            Place::Ending(ended) => Position::End { ended: (**ended).clone(), step: self.at.into() },
        };
        let streams = self.cx.core.streams.as_ref().and_then(|streams| streams.saved());
        let written = write_position(position, streams);
        written.map_err(|error| ErrorInfo::new(format!("the position: {error}")))
    }

    fn at(&self) -> &'static str {
        match &self.place {
            Place::At(point) => P::point_name(point),
            Place::Resume(resumed) => resumed.point,
            _ => self.at,
        }
    }

    fn hooks(&mut self) -> Option<&mut dyn ErasedHooks> {
        if <P as Hooks>::ENABLED { Some(self) } else { None }
    }
}

pub(crate) struct TypeOf<P> {
    name: &'static str,
    also: &'static [&'static str],
    envelope: Envelope,
    process: PhantomData<fn() -> P>,
}

impl<P: Process> TypeOf<P> {
    pub(crate) fn new() -> Self {
        Self { also: P::ALSO, ..Self::named(P::NAME) }
    }

    /// Found under this name alone.
    pub(crate) fn named(name: &'static str) -> Self {
        let envelope = Envelope {
            format: FORMAT,
            process: name.to_owned(),
            version: P::VERSION,
            fingerprint: format!("{:016x}", fingerprint::<P>()),
        };
        Self { name, also: &[], envelope, process: PhantomData }
    }

    fn instance(&self, env: &Arc<Env>, pid: ProcessId, inputs: Map<String, Value>) -> Result<Instance<P>, String> {
        let inputs = P::Inputs::read(&mut PortReader::new(inputs)).map_err(|error| error.to_string())?;
        let core = CxCore {
            pid,
            env: Arc::clone(env),
            epoch: env.epoch(),
            spec: self.spec(),
            steps: 0,
            outputs: Map::new(),
            status: None,
            progress: None,
            defaulted: None,
            resumed: None,
            effects: Effects::default(),
            has: Has::default(),
            streams: Streams::new(P::streams(&inputs)),
            memos: false,
        };
        Ok(Instance {
            process: P::default(),
            cx: Cx { core, inputs: Arc::new(inputs) },
            place: Place::Start,
            at: "",
            choosing: false,
            texts: None,
        })
    }

    fn place(position: Position<'_>) -> Result<(Place<P::Point>, Option<Value>), String> {
        let point = |step: &str, with| P::point(step, with).map_err(|error| error.to_string());
        Ok(match position {
            Position::Unstarted => (Place::Unstarted, None),
            Position::Start => (Place::Start, None),
            Position::At { step, with, resumed } => (Place::At(point(&step, with)?), resumed),
            Position::After { step, with, resumed } => (Place::After(point(&step, with)?), resumed),
            Position::Resume { step, with } => {
                let name = P::POINTS.iter().find(|name| **name == step);
                let point = name.ok_or_else(|| crate::process::PointError::unknown::<P>(&step).to_string())?;
                (Place::Resume(Box::new(Resumed { point, arguments: with, children: Vec::new() })), None)
            }
            Position::End { ended, .. } => (Place::Ending(Box::new(ended)), None),
        })
    }

    fn check_envelope(&self, found: &Envelope) -> Result<(), String> {
        if found.format > FORMAT {
            return Err(format!("its format is {}, this version knows {FORMAT}", found.format));
        }
        if found.version != self.envelope.version {
            let (found, own) = (found.version, self.envelope.version);
            return Err(format!("it was written by version {found} of `{}`, this is version {own}", self.name));
        }
        Ok(())
    }

    fn decode(&self, env: &Arc<Env>, record: &Record) -> Result<Restored, String> {
        self.check_envelope(&record.envelope)?;
        let inputs = serde_json::from_str(&record.inputs).map_err(|error| format!("inputs: {error}"))?;
        let mut instance = self.instance(env, record.pid.clone(), inputs)?;
        let collector = SlotCollector::start();
        let fields = FieldReader::new(&record.context).map_err(|error| error.to_string())?;
        instance.process = P::load(fields).map_err(|error| error.to_string())?;
        let (position, streams) = read_position(&record.position).map_err(|error| format!("position: {error}"))?;
        let (place, resumed) = Self::place(position)?;
        if let Some(saved) = streams {
            Streams::restore(instance.cx.core.streams.as_mut(), saved)?;
        }
        let children = collector.finish();
        (instance.place, instance.cx.core.resumed) = (place, resumed.map(Box::new));
        let step = step_in(&record.position);
        instance.at = P::POINTS.iter().find(|name| step.as_deref() == Some(**name)).copied().unwrap_or_default();
        let outputs = serde_json::from_str(&record.outputs).map_err(|error| format!("outputs: {error}"))?;
        instance.cx.core.outputs = outputs;
        instance.cx.core.steps = record.steps;
        instance.cx.core.defaulted = record.defaulted.as_deref().map(Into::into);
        instance.cx.core.status.clone_from(&record.status.text);
        instance.cx.core.progress = record.status.progress.map(Box::new);
        // A memo may have been written before the crash; the boundary deletes it.
        instance.cx.core.memos = true;
        instance.texts = Some(Box::new(Texts { saved: record.context.clone().into_bytes(), buffer: Vec::new() }));
        Ok(Restored { live: Box::new(instance), children })
    }
}

impl<P: Process> ProcessType for TypeOf<P> {
    fn type_id(&self) -> TypeId {
        TypeId::of::<P>()
    }

    fn type_name(&self) -> &'static str {
        std::any::type_name::<P>()
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn also(&self) -> &'static [&'static str] {
        self.also
    }

    fn needs(&self) -> &'static [Need] {
        P::NEEDS
    }

    fn spec(&self) -> &'static ProcessSpec {
        spec_of::<P>()
    }

    fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    fn position(&self, step: &str) -> Option<String> {
        match P::OUTLINE {
            Some(outline) => outline.position(step),
            None => P::POINTS.iter().find(|name| **name == step).map(ToString::to_string),
        }
    }

    fn picture(&self) -> Picture {
        Picture::of::<P>().named(self.name)
    }

    fn begins_with_a_step(&self) -> bool {
        P::OUTLINE.is_none_or(|outline| matches!(outline.body.first(), Some(Node::Step(_))))
    }

    fn create(&self, env: &Arc<Env>, pid: ProcessId, inputs: PreparedInputs) -> Result<Box<dyn Live>, ErrorInfo> {
        let defaulted = inputs.defaulted_text();
        let mut instance = self.instance(env, pid, inputs.into_values()).map_err(ErrorInfo::new)?;
        instance.cx.core.defaulted = defaulted.map(Into::into);
        Ok(Box::new(instance))
    }

    fn restore(&self, env: &Arc<Env>, record: &Record) -> Result<Restored, String> {
        self.decode(env, record).map_err(|reason| {
            let changed = record.envelope.fingerprint != self.envelope.fingerprint;
            let hint = if changed { " (the process has changed since)" } else { "" };
            format!("its checkpoint cannot be read{hint}: {reason}")
        })
    }
}

impl fmt::Debug for dyn ProcessType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for dyn Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Live({})", self.core().pid)
    }
}

/// A hash over the names and types of ports, fields and program points (FNV-1a, 64 bits).
///
/// It tells a reader of a checkpoint that the process has changed; whether that matters, decoding decides.
fn fingerprint<P: Process>() -> u64 {
    fn add(hash: &mut u64, text: &str) {
        for byte in text.bytes().chain([0]) {
            *hash = (*hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    fn ports(hash: &mut u64, namespace: &PortNamespace) {
        add(hash, namespace.dynamic_type().unwrap_or_default());
        for entry in namespace.entries() {
            add(hash, entry.name());
            match entry {
                Entry::Port(port) => add(hash, port.type_name()),
                Entry::Namespace(inner) => ports(hash, inner),
            }
        }
    }
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let spec = spec_of::<P>();
    ports(&mut hash, spec.inputs());
    ports(&mut hash, spec.outputs());
    P::FIELDS.iter().chain(P::POINTS).for_each(|name| add(&mut hash, name));
    hash
}
