//! What expanded code may call. Not part of the public API: outside of semver.

pub use crate::limits::ROUNDS_WITHOUT_STEP;
pub use crate::outline::{Branch, Node, Outline, Step};
pub use crate::process::{
    Ahead, Bare, BoxError, BoxFuture, ContextError, Cx, FieldReader, FieldWriter, Flow, HandOver, Hooks, Need, Needs,
    Next, PointError, Process, Saved, StepEnd, StepReturn, ViaFuture, ViaValue, blocking, call, holds, returned, tag,
    truth, yielded, yielded_one,
};
pub use crate::registry::RegistryBuilder;
pub use crate::spec::expanded as ports;
pub use crate::spec::{Declared, Dynamic, ExposedOutputs, In, Input, Out, Output, OutputTable, PortType, assert_set};
pub use crate::spec::{
    Excluded, ExitCode, ExitCodes, Expose, InputMap, Launch, OutputInfo, Port, PortNamespace, PortReader, PortValues,
    PortWriter, ProcessSpec, Set, Spec, SpecError, Supply, Unset, spec_of,
};
pub use ::serde;
pub use ::serde_json;
