//! Features of the facade: the README's table is its manifest's, and its defaults bring what its crates do by default.

use crate::shell::{cargo, members, root, say};
use anyhow::{Context, Result, bail};
use cargo_metadata::Package;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// The crate that users depend on.
const FACADE: &str = "monitored-session";

/// Checks both.
pub(crate) fn check() -> Result<()> {
    let metadata = members()?;
    let members: BTreeMap<&str, &Package> =
        metadata.packages.iter().map(|package| (package.name.as_str(), package)).collect();
    let facade = members.get(FACADE).context("the facade is a member")?;
    let mut problems = compare(facade)?;
    let built = built()?;
    for (name, package) in &members {
        let Some(on) = built.get(*name) else { continue };
        for feature in package.features.get("default").into_iter().flatten() {
            if !on.contains(feature) {
                problems.push(format!("{FACADE} builds {name} without its default feature {feature}"));
            }
        }
    }
    if !problems.is_empty() {
        bail!("features:\n  {}", problems.join("\n  "));
    }
    say(&format!("features: {FACADE} enables what its README and its {} crates document", built.len() - 1));
    Ok(())
}

/// Returns the features of a crate of the workspace.
pub(crate) fn of(name: &str) -> Result<Vec<String>> {
    let metadata = members()?;
    let package = metadata.packages.iter().find(|package| package.name.as_str() == name);
    Ok(package.with_context(|| format!("{name} is a member"))?.features.keys().cloned().collect())
}

/// Returns where the README's table differs from the manifest.
fn compare(facade: &Package) -> Result<Vec<String>> {
    let readme = fs::read_to_string(root().join("README.md"))?;
    let (_, section) =
        readme.split_once("\n## Features\n").context("the README has no section 'Features'")?;
    let rows =
        section.lines().take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with("| `"));
    let claimed: BTreeMap<&str, bool> = rows
        .map(|row| {
            let mut cells = row.split('|').skip(1).map(str::trim);
            (cells.next().unwrap_or_default().trim_matches('`'), cells.next() == Some("yes"))
        })
        .collect();
    let default = facade.features.get("default").context("the facade has default features")?;
    let declared: BTreeMap<&str, bool> = facade
        .features
        .keys()
        .filter(|name| *name != "default")
        .map(|name| (name.as_str(), default.contains(name)))
        .collect();
    let names: BTreeSet<&str> = claimed.keys().chain(declared.keys()).copied().collect();
    let said = |default: Option<&bool>| match default {
        Some(true) => "a default feature",
        Some(false) => "a feature",
        None => "nothing",
    };
    Ok(names
        .into_iter()
        .filter(|name| claimed.get(name) != declared.get(name))
        .map(|name| {
            let (readme, manifest) = (said(claimed.get(name)), said(declared.get(name)));
            format!("'{name}' is {readme} in the README and {manifest} in the manifest")
        })
        .collect())
}

/// Returns the crates of the workspace that a user of the facade builds, with their features.
fn built() -> Result<BTreeMap<String, BTreeSet<String>>> {
    let output =
        cargo(&["tree", "--quiet", "-p", FACADE, "-e", "normal", "--prefix", "none", "-f", "{p}|{f}"])
            .output()?;
    if !output.status.success() {
        bail!("cargo tree -p {FACADE}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let tree = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut built: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (package, features) in tree.lines().filter_map(|line| line.split_once('|')) {
        // Members of the workspace have their folder behind the version.
        if let (Some(name), true) = (package.split_whitespace().next(), package.contains(" (/")) {
            let features =
                features.trim_end_matches(" (*)").split(',').map(|feature| feature.trim().to_owned());
            built.entry(name.to_owned()).or_default().extend(features);
        }
    }
    Ok(built)
}
