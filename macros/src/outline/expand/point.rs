//! The enum of the program points.

use proc_macro2::TokenStream;
use quote::quote;

use crate::flow::{allowances, docs_or};
use crate::outline::model::Model;
use crate::tokens::plain;

/// The enum, its names, and serde by them.
pub(super) fn expand(model: &Model) -> TokenStream {
    let point = model.target.derived("Point");
    let allowances = allowances();
    let doc = format!("The program points of `{}`: one per step in its outline, stored as text.", model.target.plain());
    let variants = model.points.iter().map(|point| {
        let docs = docs_or(&point.docs, &format!("At step `{}`.", plain(&point.step)));
        let variant = &point.variant;
        quote!(#docs #variant)
    });
    let (names, serde) = (names(model), serde(model));
    quote! {
        #[doc = #doc]
        #[derive(
            ::core::clone::Clone, ::core::marker::Copy, ::core::cmp::PartialEq, ::core::cmp::Eq, ::core::fmt::Debug
        )]
        #allowances
        pub enum #point {
            #(#variants),*
        }
        #names
        #serde
    }
}

fn names(model: &Model) -> TokenStream {
    let point = model.target.derived("Point");
    let allowances = allowances();
    let variants: Vec<_> = model.points.iter().map(|point| &point.variant).collect();
    let stored: Vec<_> = model.points.iter().map(|point| &point.stored).collect();
    quote! {
        #[automatically_derived]
        #allowances
        impl #point {
            /// All points, in the order of the outline.
            pub const ALL: &'static [Self] = &[#(Self::#variants),*];

            /// The stored name.
            pub const fn name(self) -> &'static str {
                match self {
                    #(Self::#variants => #stored),*
                }
            }

            /// The point with a stored name.
            pub fn from_name(name: &str) -> ::core::option::Option<Self> {
                match name {
                    #(#stored => ::core::option::Option::Some(Self::#variants),)*
                    _ => ::core::option::Option::None,
                }
            }
        }
    }
}

fn serde(model: &Model) -> TokenStream {
    let private = model.facade.private();
    let point = model.target.derived("Point");
    let process = model.target.plain();
    quote! {
        #[automatically_derived]
        impl #private::serde::Serialize for #point {
            fn serialize<S: #private::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        #[automatically_derived]
        impl<'de> #private::serde::Deserialize<'de> for #point {
            fn deserialize<D: #private::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                let name = <::std::string::String as #private::serde::Deserialize>::deserialize(deserializer)?;
                #point::from_name(&name).ok_or_else(|| {
                    <D::Error as #private::serde::de::Error>::custom(::core::format_args!(
                        "`{}` has no program point `{}`", #process, name
                    ))
                })
            }
        }
    }
}
