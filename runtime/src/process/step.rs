//! How a step is called: by its function path, through a trait chosen by arity; sync or async is chosen on the value.
//!
//! Expansions of `outline!` and `steps!` name these; they are not meant to be implemented.

use serde_json::Value;
use std::future::{Future, Ready, ready};
use std::marker::PhantomData;

use super::{BoxError, Cx, Flow, Hand, Next, StepEnd};
use crate::spec::{Declared, PortValue as _, Spec};

/// A function that can be a step of `P`, with its arguments after the context handle in a tuple.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a step of `{P}`",
    label = "a step takes `&mut self` and, if it wants, `cx: &mut Cx<Self>`, then the arguments that `steps!` declares, and nothing else"
)]
pub trait Shape<'a, P: Spec, Arguments, Marker> {
    /// A value, or a future of one.
    type Returned;
    /// Calls the function.
    fn call(self, process: &'a mut P, cx: &'a mut Cx<P>, arguments: Arguments) -> Self::Returned;
}

/// Marks a step that takes `&mut self` alone.
#[derive(Debug)]
pub struct Bare<R>(PhantomData<R>);
/// Marks a step that takes `&mut self` and the context handle.
#[derive(Debug)]
pub struct WithCx<R>(PhantomData<R>);
/// Marks a step that takes `&self` alone.
#[derive(Debug)]
pub struct RefBare<R>(PhantomData<R>);
/// Marks a step that takes `&self` and the context handle.
#[derive(Debug)]
pub struct RefWithCx<R>(PhantomData<R>);

macro_rules! shapes {
    ($($argument:ident $value:ident),*) => {
        impl<'a, P: Spec + 'a, R, F: FnOnce(&'a mut P $(, $argument)*) -> R, $($argument),*>
            Shape<'a, P, ($($argument,)*), Bare<R>> for F
        {
            type Returned = R;
            fn call(self, process: &'a mut P, _: &'a mut Cx<P>, ($($value,)*): ($($argument,)*)) -> R {
                self(process $(, $value)*)
            }
        }
        impl<'a, P: Spec + 'a, R, F: FnOnce(&'a mut P, &'a mut Cx<P> $(, $argument)*) -> R, $($argument),*>
            Shape<'a, P, ($($argument,)*), WithCx<R>> for F
        {
            type Returned = R;
            fn call(self, process: &'a mut P, cx: &'a mut Cx<P>, ($($value,)*): ($($argument,)*)) -> R {
                self(process, cx $(, $value)*)
            }
        }
        impl<'a, P: Spec + 'a, R, F: FnOnce(&'a P $(, $argument)*) -> R, $($argument),*>
            Shape<'a, P, ($($argument,)*), RefBare<R>> for F
        {
            type Returned = R;
            fn call(self, process: &'a mut P, _: &'a mut Cx<P>, ($($value,)*): ($($argument,)*)) -> R {
                self(process $(, $value)*)
            }
        }
        impl<'a, P: Spec + 'a, R, F: FnOnce(&'a P, &'a mut Cx<P> $(, $argument)*) -> R, $($argument),*>
            Shape<'a, P, ($($argument,)*), RefWithCx<R>> for F
        {
            type Returned = R;
            fn call(self, process: &'a mut P, cx: &'a mut Cx<P>, ($($value,)*): ($($argument,)*)) -> R {
                self(process, cx $(, $value)*)
            }
        }
    };
}

shapes!();
shapes!(A a);
shapes!(A a, B b);
shapes!(A a, B b, C c);
shapes!(A a, B b, C c, D d);
shapes!(A a, B b, C c, D d, E e);
shapes!(A a, B b, C c, D d, E e, G g);
shapes!(A a, B b, C c, D d, E e, G g, H h);
shapes!(A a, B b, C c, D d, E e, G g, H h, I i);

/// Calls a step.
pub fn call<'a, P: Spec, M, A, F: Shape<'a, P, A, M>>(
    step: F,
    process: &'a mut P,
    cx: &'a mut Cx<P>,
    arguments: A,
) -> F::Returned {
    step.call(process, cx, arguments)
}

/// The type of a value, for the choice between a future and a plain value by auto-reference.
#[derive(Debug)]
pub struct Tag<T>(PhantomData<fn() -> T>);

/// The type of a value.
pub fn tag<T>(_: &T) -> Tag<T> {
    Tag(PhantomData)
}

/// Chosen for a future: waits for it.
pub trait ViaFuture {
    /// How to wait.
    fn kind(&self) -> FutureKind {
        FutureKind
    }
}

/// Chosen for all else: it is there already.
pub trait ViaValue {
    /// How to wait.
    fn kind(&self) -> ValueKind {
        ValueKind
    }
}

impl<T: Future> ViaFuture for Tag<T> {}
impl<T> ViaValue for &Tag<T> {}

/// Waits for a future.
#[derive(Debug)]
pub struct FutureKind;
/// Takes a value as it is.
#[derive(Debug)]
pub struct ValueKind;

// They take `self` so that the choice is made by the receiver.
#[allow(clippy::unused_self)]
impl FutureKind {
    /// The future itself.
    pub fn wait<T: Future>(self, future: T) -> T {
        future
    }
}

#[allow(clippy::unused_self)]
impl ValueKind {
    /// A future that is ready.
    pub fn wait<T>(self, value: T) -> Ready<T> {
        ready(value)
    }
}

/// A value that is there at once; see [`at_once`].
#[diagnostic::on_unimplemented(
    message = "a blocking step cannot be async",
    label = "remove `blocking`, or write the step as a plain `fn`"
)]
pub trait AtOnce {}

impl AtOnce for ValueKind {}

/// Asserts that a blocking step returned a value, not a future: that would run elsewhere.
pub fn at_once<K: AtOnce>(kind: K) -> K {
    kind
}

/// What a step may return: nothing, [`Next`], an exit code, or a `Result` of these.
#[diagnostic::on_unimplemented(
    message = "a step of `{P}` cannot return `{Self}`",
    label = "return nothing, `Next<Self>`, an exit code, or a `Result` of these; values are returned by `step => output`"
)]
pub trait StepReturn<P: Flow> {
    /// How the process goes on.
    ///
    /// # Errors
    /// What the step failed with.
    fn into_next(self) -> Result<Next<P>, BoxError>;
}

impl<P: Flow> StepReturn<P> for () {
    fn into_next(self) -> Result<Next<P>, BoxError> {
        Ok(Next(Hand::Proceed))
    }
}

impl<P: Flow> StepReturn<P> for Next<P> {
    fn into_next(self) -> Result<Next<P>, BoxError> {
        Ok(self)
    }
}

impl<P: Flow, R: StepReturn<P>, E: Into<BoxError>> StepReturn<P> for Result<R, E> {
    fn into_next(self) -> Result<Next<P>, BoxError> {
        self.map_err(Into::into).and_then(R::into_next)
    }
}

impl<P: Flow, R: StepReturn<P>> StepReturn<P> for Option<R> {
    fn into_next(self) -> Result<Next<P>, BoxError> {
        self.map_or(Ok(Next(Hand::Proceed)), R::into_next)
    }
}

/// The end of a step that returns no outputs.
pub fn returned<P: Flow, R: StepReturn<P>>(value: R) -> StepEnd<P> {
    StepEnd::new(value.into_next())
}

/// What a step with `=> outputs` may return: the value of type `V` (a tuple for several), or a `Result` of it.
#[diagnostic::on_unimplemented(
    message = "the step returns `{Self}`, but the outputs after `=>` are of type `{V}`",
    label = "expected `{V}` or a `Result` of it"
)]
pub trait Yields<V> {
    /// The value.
    ///
    /// # Errors
    /// What the step failed with.
    fn into_value(self) -> Result<V, BoxError>;
}

impl<V> Yields<V> for V {
    fn into_value(self) -> Result<V, BoxError> {
        Ok(self)
    }
}

impl<V, E: Into<BoxError>> Yields<V> for Result<V, E> {
    fn into_value(self) -> Result<V, BoxError> {
        self.map_err(Into::into)
    }
}

/// The outputs after `=>`: a tuple of [`Out`](crate::spec::Out), one per output.
///
/// That their values can be written is known from the ports, so a type that cannot is reported there alone.
pub trait OutputPorts {
    /// The values, a tuple.
    type Values;

    /// The values as JSON, in order.
    ///
    /// # Errors
    /// A value that cannot be written as JSON.
    fn into_json(values: Self::Values) -> Result<Vec<Value>, serde_json::Error>;
}

macro_rules! output_ports {
    ($($port:ident),+) => {
        impl<$($port: Declared),+> OutputPorts for ($($port,)+) {
            type Values = ($($port::Value,)+);

            fn into_json(values: Self::Values) -> Result<Vec<Value>, serde_json::Error> {
                #[allow(non_snake_case)]
                let ($($port,)+) = values;
                Ok(vec![$(serde_json::to_value($port.as_this())?),+])
            }
        }
    };
}

output_ports!(A);
output_ports!(A, B);
output_ports!(A, B, C);
output_ports!(A, B, C, D);
output_ports!(A, B, C, D, E);
output_ports!(A, B, C, D, E, F);
output_ports!(A, B, C, D, E, F, G);
output_ports!(A, B, C, D, E, F, G, H);

/// The hash of an output's dotted name, by which types know it: that of its first name and what is below it.
pub const fn output_hash(name: &str, below: &str) -> u64 {
    const fn add(mut hash: u64, text: &str) -> u64 {
        let bytes = text.as_bytes();
        let mut index = 0;
        while index < bytes.len() {
            hash = (hash ^ bytes[index] as u64).wrapping_mul(0x0100_0000_01b3);
            index += 1;
        }
        hash
    }
    add(add(0xcbf2_9ce4_8422_2325, name), below)
}

/// The end of a step whose value is the output of this name.
pub fn yielded_one<P: Flow, D: Declared, R: Yields<D::Value>>(value: R, name: &'static str) -> StepEnd<P> {
    yielded_values::<P, (D,)>(value.into_value().map(|value| (value,)), &[name])
}

/// The end of a step whose value is a tuple of the outputs of these names.
pub fn yielded<P: Flow, D: OutputPorts, R: Yields<D::Values>>(value: R, names: &[&'static str]) -> StepEnd<P> {
    yielded_values::<P, D>(value.into_value(), names)
}

fn yielded_values<P: Flow, D: OutputPorts>(value: Result<D::Values, BoxError>, names: &[&'static str]) -> StepEnd<P> {
    match value.and_then(|value| D::into_json(value).map_err(Into::into)) {
        Ok(values) => StepEnd::new(Ok(Next(Hand::Proceed))).with_outputs(names.iter().copied().zip(values)),
        Err(error) => StepEnd::new(Err(error)),
    }
}

/// A function that can be a predicate of `P`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a predicate of `{P}`",
    label = "a predicate takes `&self` and, if it wants, `cx: &Cx<Self>`, and nothing else"
)]
pub trait Predicate<'a, P: Spec, Marker> {
    /// A truth value.
    type Returned;
    /// Calls the function.
    fn call(self, process: &'a P, cx: &'a Cx<P>) -> Self::Returned;
}

impl<'a, P: Spec + 'a, R, F: FnOnce(&'a P) -> R> Predicate<'a, P, Bare<R>> for F {
    type Returned = R;
    fn call(self, process: &'a P, _: &'a Cx<P>) -> R {
        self(process)
    }
}

impl<'a, P: Spec + 'a, R, F: FnOnce(&'a P, &'a Cx<P>) -> R> Predicate<'a, P, WithCx<R>> for F {
    type Returned = R;
    fn call(self, process: &'a P, cx: &'a Cx<P>) -> R {
        self(process, cx)
    }
}

/// Calls a predicate.
pub fn holds<'a, P: Spec, M, F: Predicate<'a, P, M>>(predicate: F, process: &'a P, cx: &'a Cx<P>) -> F::Returned {
    predicate.call(process, cx)
}

/// What a predicate may return: `bool` or a `Result` of it.
#[diagnostic::on_unimplemented(
    message = "a predicate cannot return `{Self}`",
    label = "expected `bool` or `Result<bool, _>`"
)]
pub trait IntoTruth {
    /// The truth value.
    ///
    /// # Errors
    /// What the predicate failed with.
    fn into_truth(self) -> Result<bool, BoxError>;
}

impl IntoTruth for bool {
    fn into_truth(self) -> Result<bool, BoxError> {
        Ok(self)
    }
}

impl<E: Into<BoxError>> IntoTruth for Result<bool, E> {
    fn into_truth(self) -> Result<bool, BoxError> {
        self.map_err(Into::into)
    }
}

/// The truth value of what a predicate returned.
///
/// # Errors
/// What the predicate failed with.
pub fn truth<R: IntoTruth>(returned: R) -> Result<bool, BoxError> {
    returned.into_truth()
}

/// The error of a loop that goes round without a step: nothing can change in it, so it would never end.
#[cold]
pub fn without_step(path: &str) -> BoxError {
    let rounds = crate::limits::ROUNDS_WITHOUT_STEP;
    format!("`{path}` of the outline went round {rounds} times without a step; its predicates never change").into()
}

/// Runs a step that may block, on a thread that may.
///
/// On a runtime with several threads this one becomes a blocking thread and another takes its place; on a runtime with
/// one thread there is no other place, and the step runs inline.
pub fn blocking<T>(step: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(step),
        _ => step(),
    }
}
