//! The typed builder of inputs: one type parameter, a tuple with a slot per required port.
//!
//! A namespace's slot is the tuple of the namespace's own builder. Each required port has literal traits for "is set"
//! and "may be set", so that the compiler's text names it.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote};
use std::collections::BTreeMap;

use super::{Names, allow, docs, ident, supply};
use crate::spec::check::setter_of_all;
use crate::spec::model::{Kind, Namespace, Node, Port, Presence};
use crate::tokens::camel;

/// What has a place in the tuple.
enum Slot<'a> {
    Port(&'a Node),
    Namespace(&'a Node, Vec<Slot<'a>>),
}

/// The slots of a namespace, in order: required ports, and namespaces with some.
fn slots(nodes: &[Node]) -> Vec<Slot<'_>> {
    let required = nodes.iter().filter(|node| node.is_required());
    required
        .map(|node| match &node.kind {
            Kind::Namespace(namespace) => Slot::Namespace(node, slots(&namespace.nodes)),
            _ => Slot::Port(node),
        })
        .collect()
}

impl Slot<'_> {
    fn node(&self) -> &Node {
        match self {
            Self::Port(node) | Self::Namespace(node, _) => node,
        }
    }
}

/// The tuple type of slots, with what `leaf` gives for each port.
fn tuple(slots: &[Slot<'_>], leaf: &mut impl FnMut(&Node) -> TokenStream) -> TokenStream {
    let parts = slots.iter().map(|slot| match slot {
        Slot::Port(node) => leaf(node),
        Slot::Namespace(_, inner) => tuple(inner, leaf),
    });
    let parts: Vec<_> = parts.collect();
    quote!((#(#parts,)*))
}

/// The traits of ports: by the port's dotted name.
struct Traits {
    module: Ident,
    names: BTreeMap<String, Ident>,
}

impl Traits {
    fn new(names: &Names<'_>) -> Self {
        let mut traits =
            Self { module: format_ident!("__procession_inputs_{}", names.model.name), names: BTreeMap::new() };
        traits.add(&names.model.inputs);
        traits
    }

    fn add(&mut self, namespace: &Namespace) {
        for node in namespace.nodes.iter().chain(&namespace.dropped) {
            if let Kind::Namespace(inner) = &node.kind {
                self.add(inner);
                continue;
            }
            // The word in front makes an identifier of it that is neither a keyword nor `Set`, whatever the port's name.
            let camel: String = node.path.split('.').map(camel).collect();
            let mut name = format_ident!("Input{camel}");
            // `a.b_c` and `a_b.c` are one word in camel case.
            while self.names.values().any(|known| *known == name) {
                name = format_ident!("{name}_");
            }
            self.names.insert(node.path.clone(), name);
        }
    }

    /// Not the name of the other trait, or the compiler points out that they are similar.
    fn free_name(&self, node: &Node) -> Option<Ident> {
        self.names.get(&node.path).map(|name| format_ident!("{name}IsFree"))
    }

    /// `free::InputStructureIsFree`.
    fn free(&self, node: &Node) -> TokenStream {
        let (module, name) = (&self.module, self.free_name(node));
        quote!(#module::free::#name)
    }

    fn path(&self, group: &str, node: &Node) -> TokenStream {
        let (module, group, name) = (&self.module, ident(group), self.names.get(&node.path));
        quote!(#module::#group::#name)
    }
}

pub(super) fn expand(names: &Names<'_>) -> TokenStream {
    let traits = Traits::new(names);
    let model = names.model;
    let mut modules = Modules { without_tools: model.without_tools, ..Modules::default() };
    let builders = one(names, &traits, &model.inputs, &[], &mut modules);
    let (module, private) = (&traits.module, &names.private);
    let Modules { has, free, excluded, .. } = modules;
    let launch = launch(names, &traits);
    let inherent = inherent(names);
    let supplies = supply::expand(names);
    quote! {
        #[doc(hidden)]
        #[allow(dead_code, unreachable_pub, non_snake_case, non_camel_case_types, missing_docs, unused_imports)]
        pub mod #module {
            pub mod has {
                use #private::Set;
                #has
            }
            pub mod free {
                use #private::Unset;
                #free
            }
            pub mod excluded { #excluded }
        }
        #builders #launch #inherent #supplies
    }
}

/// The contents of the hidden modules of traits.
#[derive(Default)]
struct Modules {
    without_tools: bool,
    has: TokenStream,
    free: TokenStream,
    excluded: TokenStream,
}

impl Modules {
    /// An attribute for the compiler's texts, where tools are known.
    fn tool(&self, attribute: &TokenStream) -> Option<TokenStream> {
        (!self.without_tools).then(|| quote!(#[diagnostic::#attribute]))
    }

    /// The traits of a required port.
    fn require(&mut self, traits: &Traits, process: &str, node: &Node, chain: &[String]) {
        let (has, path) = (traits.names.get(&node.path), &node.path);
        let message = format!("required input `{path}` of `{process}` is not set");
        let label = format!("input `{path}` is missing here");
        let usage = format!("add `{}` to the inputs of `{process}`", usage(chain, node));
        let words = self.tool(&quote!(on_unimplemented(message = #message, label = #label, note = #usage)));
        let quiet = self.tool(&quote!(do_not_recommend));
        self.has.extend(quote! {
            #words
            pub trait #has {}
            #quiet
            impl #has for Set {}
        });
        let message = format!("input `{path}` of `{process}` is set twice");
        let free = traits.free_name(node);
        let words = self.tool(&quote!(on_unimplemented(message = #message, label = "it is set already")));
        self.free.extend(quote! {
            #words
            pub trait #free {}
            #quiet
            impl #free for Unset {}
        });
    }

    /// The trait that nothing has, for a port that `expose` left out.
    fn exclude(&mut self, names: &Names<'_>, traits: &Traits, node: &Node) {
        let (name, path, process) = (traits.names.get(&node.path), &node.path, &names.model.name);
        let message = format!("input `{path}` of `{process}` cannot be set here: `expose` excluded it");
        let exposed = node.exposed.and_then(|index| names.model.exposes.get(index));
        let child = exposed.and_then(|exposed| exposed.path.segments.last()).map(|last| last.ident.to_string());
        let hint = format!("`{process}` gives it where it launches: `{}::inputs_from(…)`", child.unwrap_or_default());
        let words = self.tool(&quote!(on_unimplemented(message = #message, label = "excluded", note = #hint)));
        self.excluded.extend(quote! {
            #words
            pub trait #name {}
        });
    }
}

/// How a port is set from the root.
fn usage(chain: &[String], node: &Node) -> String {
    let mut text = format!(".{}(…)", node.name);
    for name in chain.iter().rev() {
        text = format!(".{name}(|{name}| {name}{text})");
    }
    text
}

fn builder_name(namespace: &Namespace) -> String {
    format!("{}Builder", namespace.type_name)
}

/// The builder of a namespace, and those of all below it.
fn one(
    names: &Names<'_>,
    traits: &Traits,
    namespace: &Namespace,
    chain: &[String],
    modules: &mut Modules,
) -> TokenStream {
    let mut tokens = TokenStream::new();
    let (mut setters, mut refused) = (TokenStream::new(), TokenStream::new());
    let own = Own::new(names, namespace);
    for node in &namespace.nodes {
        match &node.kind {
            Kind::Namespace(inner) => {
                let chain: Vec<String> = chain.iter().cloned().chain([node.name.to_string()]).collect();
                tokens.extend(one(names, traits, inner, &chain, modules));
                setters.extend(own.set_namespace(traits, node, inner));
            }
            Kind::Dynamic(value) | Kind::Rest(value) => setters.extend(own.set_dynamic(node, &value.ty)),
            Kind::Port(port) => {
                if port.presence == Presence::Required {
                    modules.require(traits, &names.model.name, node, chain);
                }
                setters.extend(own.set_port(traits, node, port));
            }
        }
    }
    for node in &namespace.dropped {
        modules.exclude(names, traits, node);
        let (name, excluded) = (&node.name, traits.path("excluded", node));
        refused.extend(quote! {
            #[doc(hidden)]
            pub fn #name<__V>(self, _: __V) -> Self where __S: #excluded { self }
        });
    }
    let refused = (!refused.is_empty()).then(|| {
        let (declare, this) = (names.declare(&[quote!(__S)]), names.apply(&own.builder, &[quote!(__S)]));
        let where_clause = names.where_clause;
        quote!(impl #declare #this #where_clause { #refused })
    });
    let (definition, implementation) = (own.definition(chain), own.implementation(&setters));
    quote!(#tokens #definition #implementation #refused)
}

/// A builder that is written.
struct Own<'a> {
    names: &'a Names<'a>,
    namespace: &'a Namespace,
    builder: String,
    slots: Vec<Slot<'a>>,
    values: Ident,
}

impl<'a> Own<'a> {
    fn new(names: &'a Names<'a>, namespace: &'a Namespace) -> Self {
        let values = Ident::new("value", Span::mixed_site());
        Self { names, namespace, builder: builder_name(namespace), slots: slots(&namespace.nodes), values }
    }

    /// The parameter of a slot.
    fn slot(index: usize) -> TokenStream {
        let name = format_ident!("__S{index}");
        quote!(#name)
    }

    fn parameters(&self) -> Vec<TokenStream> {
        (0..self.slots.len()).map(Self::slot).collect()
    }

    /// The builder's type, with another parameter in one slot.
    fn with(&self, node: &Node, new: &TokenStream) -> TokenStream {
        let parts = self
            .slots
            .iter()
            .enumerate()
            .map(|(index, slot)| if slot.node().path == node.path { new.clone() } else { Self::slot(index) });
        let parts: Vec<_> = parts.collect();
        self.names.apply(&self.builder, &[quote!((#(#parts,)*))])
    }

    fn index(&self, node: &Node) -> Option<usize> {
        self.slots.iter().position(|slot| slot.node().path == node.path)
    }

    fn definition(&self, chain: &[String]) -> TokenStream {
        let (names, name, text) = (self.names, ident(&self.builder), &self.builder);
        let (private, process, where_clause) = (&names.private, &names.process, names.where_clause);
        let extra = [quote!(__S)];
        let (declare, this) = (names.declare(&extra), names.apply(&self.builder, &extra));
        let what = chain.iter().fold(String::new(), |path, name| crate::spec::model::join(&path, name));
        let of = if what.is_empty() { String::new() } else { format!(" in the namespace `{what}`") };
        let docs =
            format!("Sets the inputs of `{}`{of}; `__S` tells which of the required ones are set.", names.model.name);
        let allow = allow();
        quote! {
            #[doc = #docs]
            #allow
            #[must_use = "inputs do nothing until they are launched"]
            pub struct #name #declare #where_clause {
                __values: #private::InputMap,
                __slots: ::core::marker::PhantomData<fn() -> (__S, #process)>,
            }
            impl #declare #this #where_clause {
                fn __start(values: #private::InputMap) -> Self {
                    Self { __values: values, __slots: ::core::marker::PhantomData }
                }
            }
            impl #declare ::core::fmt::Debug for #this #where_clause {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    f.debug_tuple(#text).field(&self.__values).finish()
                }
            }
        }
    }

    fn implementation(&self, setters: &TokenStream) -> TokenStream {
        let (names, parameters) = (self.names, self.parameters());
        let (declare, where_clause) = (names.declare(&parameters), names.where_clause);
        let this = names.apply(&self.builder, &[quote!((#(#parameters,)*))]);
        let allow = allow();
        quote!(#allow impl #declare #this #where_clause { #setters })
    }

    fn set_port(&self, traits: &Traits, node: &Node, port: &Port) -> TokenStream {
        let (private, declared) = (&self.names.private, self.names.port(node, false));
        let (docs, name, text, value) = (docs::of_setter(node), &node.name, node.plain(), &self.values);
        let ty = &port.value.ty;
        let (argument, convert) = if port.is_string {
            let string = quote!(::std::string::String);
            (
                quote!(impl ::core::convert::Into<#string>),
                quote!(let #value: #string = ::core::convert::Into::into(#value);),
            )
        } else {
            (quote!(#ty), TokenStream::new())
        };
        let set = quote!(#convert #private::ports::set::<#declared>(&mut self.__values, #text, &#value););
        let Some(index) = self.index(node) else {
            return quote! {
                #docs
                pub fn #name(mut self, #value: #argument) -> Self {
                    #set
                    self
                }
            };
        };
        let (slot, free) = (Self::slot(index), traits.free(node));
        let (next, start) = (self.with(node, &quote!(#private::Set)), ident(&self.builder));
        quote! {
            #docs
            pub fn #name(mut self, #value: #argument) -> #next where #slot: #free {
                #set
                #start::__start(self.__values)
            }
        }
    }

    fn set_dynamic(&self, node: &Node, ty: &TokenStream) -> TokenStream {
        let (private, declared) = (&self.names.private, self.names.port(node, false));
        let (docs, name, text, value) = (docs::of_setter(node), &node.name, node.plain(), &self.values);
        let all = ident(&setter_of_all(&text));
        let clashes = self.namespace.nodes.iter().any(|node| node.name == all);
        let all_docs = format!("Sets values of `{}` by name, those of an iterator.", node.path);
        let [key, pairs] = ["key", "pairs"].map(|name| Ident::new(name, Span::mixed_site()));
        let is_rest = matches!(node.kind, Kind::Rest(_));
        let set = |key: TokenStream| {
            if is_rest {
                quote!(#private::ports::set_rest::<#declared>(&mut self.__values, #key, &#value);)
            } else {
                quote!(#private::ports::set_in::<#declared>(&mut self.__values, #text, #key, &#value);)
            }
        };
        let (set_one, set_all) = (set(quote!(::core::convert::AsRef::as_ref(&#key))), set(quote!(&#key)));
        let string = quote!(::std::string::String);
        let set_all = quote! {
            #[doc = #all_docs]
            pub fn #all<__K: ::core::convert::Into<#string>>(
                mut self,
                #pairs: impl ::core::iter::IntoIterator<Item = (__K, #ty)>,
            ) -> Self {
                for (#key, #value) in #pairs {
                    let #key: #string = ::core::convert::Into::into(#key);
                    #set_all
                }
                self
            }
        };
        // A clash is an error already.
        let set_all = (!clashes).then_some(set_all);
        quote! {
            #docs
            pub fn #name(mut self, #key: impl ::core::convert::AsRef<str>, #value: #ty) -> Self {
                #set_one
                self
            }
            #set_all
        }
    }

    fn set_namespace(&self, traits: &Traits, node: &Node, inner: &Namespace) -> TokenStream {
        let (names, private) = (self.names, &self.names.private);
        let (docs, name, text) = (docs::of_setter(node), &node.name, node.plain());
        let inner_builder = builder_name(inner);
        let start = ident(&inner_builder);
        let [ports, before] = ["ports", "before"].map(|name| Ident::new(name, Span::mixed_site()));
        let inner_slots = slots(&inner.nodes);
        let unset = |_: &Node| quote!(#private::Unset);
        let own_start = ident(&self.builder);
        let (parameters, from, to, next, bounds, finish);
        if let Some(index) = self.index(node) {
            parameters = vec![quote!(__N)];
            (from, to) = (Self::slot(index), quote!(__N));
            (next, bounds) = (self.with(node, &to), Vec::new());
            finish = quote!(#own_start::__start(self.__values));
        } else {
            // Optional: whoever sets it sets all that it requires.
            let mut all = Complete::default();
            (from, to) = (tuple(&inner_slots, &mut { unset }), tuple(&inner_slots, &mut |node| all.slot(traits, node)));
            (parameters, bounds, next) = (all.parameters, all.bounds, quote!(Self));
            finish = quote!(self);
        }
        let take = if inner.optional {
            quote!(#private::InputMap::new())
        } else {
            quote!(self.__values.take_namespace(#text))
        };
        let (from, to) = (names.apply(&inner_builder, &[from]), names.apply(&inner_builder, &[to]));
        let parameters = (!parameters.is_empty()).then(|| quote!(<#(#parameters),*>));
        let bounds = (!bounds.is_empty()).then(|| quote!(where #(#bounds),*));
        quote! {
            #docs
            pub fn #name #parameters(mut self, #ports: impl ::core::ops::FnOnce(#from) -> #to) -> #next #bounds {
                let #before = #take;
                self.__values.set_namespace(#text, #ports(#start::__start(#before)).__values);
                #finish
            }
        }
    }
}

/// Parameters for slots that must all be set.
#[derive(Default)]
struct Complete {
    parameters: Vec<TokenStream>,
    bounds: Vec<TokenStream>,
}

impl Complete {
    fn slot(&mut self, traits: &Traits, node: &Node) -> TokenStream {
        let name = format_ident!("__C{}", self.parameters.len());
        let has = traits.path("has", node);
        self.parameters.push(quote!(#name));
        self.bounds.push(quote!(#name: #has));
        quote!(#name)
    }
}

/// `impl Launch`: for a builder whose required ports are all set.
fn launch(names: &Names<'_>, traits: &Traits) -> TokenStream {
    let (private, process, inputs) = (&names.private, &names.process, &names.model.inputs);
    let mut all = Complete::default();
    let tuple = tuple(&slots(&inputs.nodes), &mut |node| all.slot(traits, node));
    let (declare, bounds) = (names.declare(&all.parameters), names.where_with(&all.bounds));
    let builder = names.apply(&builder_name(inputs), &[tuple]);
    quote! {
        impl #declare #private::Launch<#process> for #builder #bounds {
            fn into_inputs(self) -> #private::InputMap {
                self.__values
            }
        }
    }
}

/// `Relax::inputs()` and `Relax::inputs_from(…)`, with the table of ports.
fn inherent(names: &Names<'_>) -> TokenStream {
    let (private, process, inputs) = (&names.private, &names.process, &names.model.inputs);
    let (declare, where_clause) = (names.declare(&[]), names.where_clause);
    let unset = tuple(&slots(&inputs.nodes), &mut |_| quote!(#private::Unset));
    let (builder, text) = (builder_name(inputs), docs::of_process(names.model));
    let (start, fresh) = (ident(&builder), names.apply(&builder, &[unset]));
    let from = names.apply(&builder, &[quote!(__E::State)]);
    let docs = format!("Starts the inputs of `{}`.", names.model.name);
    let from_docs = "Starts from exposed inputs: what `expose` excluded there is still to be set.";
    let (allow, exposed) = (allow(), Ident::new("exposed", Span::mixed_site()));
    quote! {
        #[doc = #text]
        #allow
        impl #declare #process #where_clause {
            #[doc = #docs]
            pub fn inputs() -> #fresh {
                #start::__start(#private::InputMap::new())
            }
            #[doc = #from_docs]
            pub fn inputs_from<__E: #private::Supply<Self>>(#exposed: &__E) -> #from {
                #start::__start(#private::Supply::supply(#exposed))
            }
        }
    }
}
