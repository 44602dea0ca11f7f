//! What a process takes and gives: ports, namespaces and exit codes.
//!
//! A [`ProcessSpec`] is a description at run time. It validates JSON and fills in defaults, so that inputs
//! from a typed builder and inputs by name from outside go through the same rules with the same messages.

mod absorb;
mod describe;
mod forward;
mod namespace;
mod path;
mod port;
mod prepare;
mod schema;
mod validate;
mod values;
mod wiring;

pub use absorb::Expose;
pub use describe::{Description, EntryDescription, NamespaceDescription, PortDescription, StreamPort};
pub use namespace::{Entry, PortNamespace, UnknownPort};
pub use port::Port;
pub use prepare::{PreparedInputs, raw_inputs};
pub use schema::{JsonSchema, Schema};
pub use validate::{DeclarationError, Direction, Fault, SpecError};
pub use values::{Excluded, InputMap, Launch, PortReader, PortValues, PortWriter, Set, Supply, Unset};
pub use wiring::{
    Declared, Dynamic, ExposedOutputs, In, Input, NoOutputs, Out, Output, OutputTable, OutputsOf, PortType, PortValue,
    assert_set,
};

/// What expansions of `spec!` call.
#[doc(hidden)]
pub mod expanded {
    pub use super::schema::{Probe, ViaNothing, ViaSchema};
    pub use super::wiring::{
        all_with_check, all_with_predicate, debug, deserialize, dynamic, dynamic_in, port, read, read_dynamic,
        read_optional, read_rest, serialize, set, set_in, set_rest, with_check, with_default, with_default_value,
        with_predicate, write, write_optional, write_rest,
    };
}

use prepare::Findings;
use schema::Side;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;

/// The number of the exit code that a process gets when it ends without a required output.
///
/// The number is the one AiiDA uses. `spec!` refuses it for exits of the user's own.
pub const MISSING_OUTPUT: i32 = 11;

/// What a process takes and gives. `spec!` writes this.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no `spec!`",
    label = "write `spec! {{ {Self} {{ … }} }}` in the module of the struct"
)]
pub trait Spec: Sized + 'static {
    /// The inputs as steps read them.
    type Inputs: PortValues + Send + Sync + 'static;
    /// The outputs of a process that ended normally.
    type Outputs: PortValues + fmt::Debug + Send + Sync + 'static;
    /// The exit codes.
    type Exit: ExitCodes;

    /// Builds the description; [`spec_of`] keeps it.
    fn build_spec() -> ProcessSpec;

    /// The ports of streams, with the wires that the inputs give them.
    fn streams(inputs: &Self::Inputs) -> Vec<crate::stream::Stream> {
        let _ = inputs;
        Vec::new()
    }

    /// Registers the processes whose ports this one exposes, so that they come along.
    fn register_exposed(registry: &mut crate::registry::RegistryBuilder) {
        let _ = registry;
    }
}

/// The description of `P`, built once.
///
/// It lives as long as the program: there is one per process type.
pub fn spec_of<P: Spec>() -> &'static ProcessSpec {
    use std::any::TypeId;
    use std::collections::HashMap;
    use std::sync::{LazyLock, PoisonError, RwLock};
    // A static in a generic function is shared by its instantiations, hence the map.
    static SPECS: LazyLock<RwLock<HashMap<TypeId, &'static ProcessSpec>>> = LazyLock::new(RwLock::default);
    let id = TypeId::of::<P>();
    if let Some(spec) = SPECS.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
        return spec;
    }
    // Built outside of the lock: exposing asks for the specs of other processes.
    let built = P::build_spec();
    let mut specs = SPECS.write().unwrap_or_else(PoisonError::into_inner);
    specs.entry(id).or_insert_with(|| Box::leak(Box::new(built)))
}

/// The exit codes of a process. `spec!` writes an enum that implements this.
pub trait ExitCodes: Copy + fmt::Debug + Send + Sync + 'static {
    /// All codes, in the order of their declaration.
    const ALL: &'static [Self];

    /// The code as data.
    fn code(self) -> ExitCode;

    /// The code with this number.
    fn from_number(number: i32) -> Option<Self> {
        Self::ALL.iter().copied().find(|exit| exit.code().number == number)
    }
}

/// Why a process ended early, foreseen by its author: a number, a name and a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExitCode {
    /// The number; 0 is success and never an exit code, [`MISSING_OUTPUT`] is the runtime's.
    pub number: i32,
    /// The name, as in `return_(Name)`.
    pub name: Cow<'static, str>,
    /// What it means, for people.
    pub message: Cow<'static, str>,
}

impl ExitCode {
    /// An exit code.
    pub fn new(number: i32, name: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self { number, name: name.into(), message: message.into() }
    }
}

impl fmt::Display for ExitCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.name, self.number, self.message)
    }
}

/// A step that fails with an exit code of its process ends it with that: `?` reaches everywhere in a step, and a step
/// that returns outputs has no other way to give one.
impl std::error::Error for ExitCode {}

/// The name of an output at compile time, for the definite-output check of `outline!`.
#[derive(Debug, Clone, Copy)]
pub struct OutputInfo {
    /// The dotted name, as in `step => name`.
    pub name: &'static str,
    /// Whether a normal end demands it.
    pub required: bool,
    /// Whether it is one of another process, and `=> namespace from child` sets it.
    pub exposed: bool,
}

/// The description of a process: its input and output ports and its exit codes.
#[derive(Debug, Clone)]
pub struct ProcessSpec {
    process: &'static str,
    help: &'static str,
    inputs: PortNamespace,
    outputs: PortNamespace,
    exits: Vec<ExitCode>,
    streams: Vec<StreamPort>,
}

impl ProcessSpec {
    /// A description without ports.
    pub fn new(process: &'static str) -> Self {
        Self {
            process,
            help: "",
            inputs: PortNamespace::new("inputs"),
            outputs: PortNamespace::new("outputs"),
            exits: Vec::new(),
            streams: Vec::new(),
        }
    }

    /// With the process's documentation.
    pub fn with_help(mut self, help: &'static str) -> Self {
        self.help = help;
        self
    }

    /// With these inputs.
    pub fn with_inputs(mut self, inputs: PortNamespace) -> Self {
        self.inputs = inputs;
        self
    }

    /// With these outputs.
    pub fn with_outputs(mut self, outputs: PortNamespace) -> Self {
        self.outputs = outputs;
        self
    }

    /// With the exit codes of `E`.
    pub fn with_exits<E: ExitCodes>(mut self) -> Self {
        self.exits = E::ALL.iter().map(|exit| exit.code()).collect();
        self
    }

    /// With a port of a stream: an input of this name, whose value is a [`Wire`](crate::stream::Wire).
    pub fn with_stream(mut self, port: StreamPort) -> Self {
        self.streams.push(port);
        self
    }

    /// The type's name, without its path.
    pub fn process(&self) -> &'static str {
        self.process
    }

    /// The documentation of the process.
    pub fn help(&self) -> &'static str {
        self.help
    }

    /// The namespace of all inputs.
    pub fn inputs(&self) -> &PortNamespace {
        &self.inputs
    }

    /// The namespace of all outputs.
    pub fn outputs(&self) -> &PortNamespace {
        &self.outputs
    }

    /// The exit codes, in the order of their declaration.
    pub fn exits(&self) -> &[ExitCode] {
        &self.exits
    }

    /// The ports of streams, in the order of their declaration.
    pub fn streams(&self) -> &[StreamPort] {
        &self.streams
    }

    /// Fills in defaults and validates inputs; all faults are reported at once.
    ///
    /// # Errors
    /// Every fault with the path of its port.
    pub fn prepare_inputs(&self, inputs: InputMap) -> Result<PreparedInputs, SpecError> {
        let (values, faults) = inputs.into_parts();
        let mut found = Findings { faults, ..Findings::default() };
        let values = self.inputs.prepare(values, path::Path::Root, &mut found);
        let Findings { faults, defaulted } = found;
        SpecError::check(self.process, Direction::Inputs, faults).map(|()| PreparedInputs { values, defaulted })
    }

    /// Validates inputs as a launch would, without one.
    ///
    /// # Errors
    /// Those of the launch: every fault with the path of its port.
    pub fn check_inputs(&self, inputs: &Map<String, Value>) -> Result<(), SpecError> {
        self.prepare_inputs(InputMap::from(inputs.clone())).map(drop)
    }

    /// Validates one input, as a launch would; `path` is a port's name, dotted for a nested one.
    ///
    /// # Errors
    /// An unknown port, or a value that is not of the port's type or fails its validator.
    pub fn check_input(&self, path: &str, value: &Value) -> Result<(), SpecError> {
        let mut faults = Vec::new();
        prepare::unless_panicked(path::Path::Below(&path::Path::Root, path), &mut faults, |faults| {
            self.inputs.check_at(path, value, faults);
        });
        SpecError::check(self.process, Direction::Inputs, faults)
    }

    /// Validates the outputs of a process that ends normally; all faults are reported at once.
    ///
    /// # Errors
    /// Every fault with the path of its port, missing required outputs among them.
    pub fn check_outputs(&self, outputs: &Map<String, Value>) -> Result<(), SpecError> {
        let mut faults = Vec::new();
        self.outputs.check(outputs, path::Path::Root, &mut faults);
        SpecError::check(self.process, Direction::Outputs, faults)
    }

    /// Validates one output when it is emitted; `path` is a port's name, dotted for a nested one.
    ///
    /// # Errors
    /// An unknown port, or a value that is not of the port's type or fails its validator.
    pub fn check_output(&self, path: &str, value: &Value) -> Result<(), SpecError> {
        let mut faults = Vec::new();
        self.outputs.check_at(path, value, &mut faults);
        SpecError::check(self.process, Direction::Outputs, faults)
    }

    /// Whether the declaration itself is right. A registry asks it of every process when it is built.
    ///
    /// What `spec!` declares is right but for defaults that their own validators refuse.
    ///
    /// # Errors
    /// Every mistake with the path of its port: a default that is known before any launch and not valid, a rule of
    /// [`Expose`] that names nothing, a port in the way of a namespace.
    pub fn verify(&self) -> Result<(), DeclarationError> {
        let mut faults = Vec::new();
        for side in [&self.inputs, &self.outputs] {
            // From the name of the side, as in `inputs.options.queue`: both may be at fault.
            side.verify(path::Path::Below(&path::Path::Root, side.name()), &mut faults);
        }
        DeclarationError::check(self.process, faults)
    }

    /// The JSON Schema (draft 2020-12) of inputs: what a launch takes, but for validators.
    pub fn input_schema(&self) -> Value {
        self.inputs.root_schema(&format!("inputs of {}", self.process), Side::Inputs)
    }

    /// The JSON Schema (draft 2020-12) of the outputs of a process that ended normally, but for validators.
    pub fn output_schema(&self) -> Value {
        self.outputs.root_schema(&format!("outputs of {}", self.process), Side::Outputs)
    }
}
