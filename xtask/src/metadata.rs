//! What cargo knows about the workspace.

use serde_json::Value;
use std::process::Stdio;

use crate::Fault;
use crate::run::cargo;

/// Every feature of every package: `("procession", "sqlite")`. The default set is none of its own.
pub(crate) fn features() -> Result<Vec<(String, String)>, Fault> {
    let output = cargo("metadata --no-deps --format-version 1").stderr(Stdio::inherit()).output()?;
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("what `cargo metadata` says cannot be read: {error}"))?;
    let mut features = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let own = package["features"].as_object().into_iter().flat_map(|features| features.keys());
        features.extend(own.filter(|own| *own != "default").map(|own| (name.to_owned(), own.clone())));
    }
    if features.is_empty() { Err("the workspace has no features".into()) } else { Ok(features) }
}
