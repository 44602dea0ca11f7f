//! Processes of another crate.
#![deny(warnings, missing_docs)]

pub mod base {
    //! The end of a chain.

    /// The base.
    #[derive(Debug, Default)]
    pub struct Base;

    procession::spec! { Base {
        /// How deep.
        input depth: u32;
        input label: String = "base";
        output weight: f64;
    }}
    hand::process!(Base);
}

/// In the middle.
#[derive(Debug, Default)]
pub struct Middle;

procession::spec! { Middle {
    input width: f64;
    expose inputs of base::Base as base;
    expose outputs of base::Base as base;
    output area: f64;
}}
hand::process!(Middle);
