//! Names of the user's, and names of the variants that stand for program points.

use proc_macro2::{Ident, Span};
use std::collections::HashSet;
use syn::ext::IdentExt;
use syn::parse::ParseStream;

use crate::tokens::camel;

/// A name; a keyword needs its `r#`, as everywhere in Rust.
pub(crate) fn name(input: ParseStream, expected: &str) -> syn::Result<Ident> {
    if let Ok(name) = input.fork().parse::<Ident>() {
        input.parse::<Ident>()?;
        return Ok(name);
    }
    let found = input.fork().call(Ident::parse_any);
    let message = match found {
        Ok(keyword) if !["self", "Self", "super", "crate", "_"].iter().any(|word| keyword == word) => {
            format!("expected {expected}, found the keyword `{keyword}`; if it is a name, write `r#{keyword}`")
        }
        _ => format!("expected {expected}"),
    };
    Err(syn::Error::new(input.span(), message))
}

/// A variant for each stored name, all different.
pub(crate) fn variants<'a>(stored: impl IntoIterator<Item = &'a str>) -> Vec<Ident> {
    let mut taken = HashSet::new();
    let names = stored.into_iter().map(|stored| {
        let base = variant(stored);
        let mut name = base.clone();
        let mut number = 2;
        while !taken.insert(name.clone()) {
            name = format!("{base}_{number}");
            number += 1;
        }
        name
    });
    names.map(|name| Ident::new(&name, Span::call_site())).collect()
}

/// `while_(unconverged)/run_scf#2` as `WhileUnconvergedRunScf2`.
fn variant(stored: &str) -> String {
    let words: String = stored.chars().map(|letter| if letter.is_alphanumeric() { letter } else { '_' }).collect();
    let name = camel(&words);
    // What is no identifier yet: nothing, a number first, the one keyword in this case.
    if name == "Self" || syn::parse_str::<Ident>(&name).is_err() { format!("Point{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::variants;

    #[test]
    fn every_stored_name_becomes_a_variant_of_its_own() {
        for (stored, expected) in [
            (vec!["run_scf", "while_(unconverged)/run_scf#2"], vec!["RunScf", "WhileUnconvergedRunScf2"]),
            (vec!["a_b", "a__b", "a-b"], vec!["AB", "AB_2", "AB_3"]),
            (vec!["self_", "_", "2nd"], vec!["PointSelf", "Point", "Point2nd"]),
        ] {
            let names: Vec<String> = variants(stored).iter().map(ToString::to_string).collect();
            assert_eq!(names, expected);
        }
    }
}
