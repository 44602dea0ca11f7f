//! Processes without control flow, for tests of ports alone.

/// What all of them share.
pub mod parts {
    pub use procession::process::{
        Ahead, BoxError, BoxFuture, ContextError, Cx, FieldReader, FieldWriter, Flow, Hooks, Next, PointError, Process,
        StepEnd,
    };
}

/// Launches nothing: takes what a launch takes.
pub fn launch<P: procession::Process>(inputs: impl procession::spec::Launch<P>) {
    let _ = inputs.into_inputs();
}

/// Makes a type that has a `spec!` a process.
#[macro_export]
macro_rules! process {
    ($name:ident) => { $crate::process!([] $name); };
    ([$($generics:tt)*] $name:ty) => {
        impl<$($generics)*> $crate::parts::Flow for $name {
            type Point = ();
            type Next = $crate::parts::Next<Self>;
            type Wait = $crate::parts::Next<Self>;
            const POINTS: &'static [&'static str] = &[];
            fn point_name(_: &()) -> &'static str {
                ""
            }
            fn point(
                name: &str,
                _: ::serde_json::Map<::std::string::String, ::serde_json::Value>,
            ) -> ::core::result::Result<(), $crate::parts::PointError> {
                ::core::result::Result::Err($crate::parts::PointError::unknown::<Self>(name))
            }
            fn ahead(
                &self,
                _: &$crate::parts::Cx<Self>,
                _: ::core::option::Option<&()>,
            ) -> ::core::result::Result<$crate::parts::Ahead<()>, $crate::parts::BoxError> {
                ::core::result::Result::Ok($crate::parts::Ahead::End)
            }
            fn step<'a>(
                &'a mut self,
                _: &'a mut $crate::parts::Cx<Self>,
                _: (),
            ) -> $crate::parts::BoxFuture<'a, $crate::parts::StepEnd<Self>> {
                ::std::boxed::Box::pin(async { ::core::unreachable!() })
            }
        }
        impl<$($generics)*> $crate::parts::Hooks for $name {}
        impl<$($generics)*> $crate::parts::Process for $name {
            const NAME: &'static str = ::core::stringify!($name);
            const FIELDS: &'static [&'static str] = &[];
            fn save(
                &self,
                _: &mut $crate::parts::FieldWriter<'_>,
            ) -> ::core::result::Result<(), $crate::parts::ContextError> {
                ::core::result::Result::Ok(())
            }
            fn load(
                _: $crate::parts::FieldReader<'_>,
            ) -> ::core::result::Result<Self, $crate::parts::ContextError> {
                ::core::result::Result::Ok(::core::default::Default::default())
            }
        }
    };
}
