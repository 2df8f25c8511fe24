//! Other people's crates: each is used where it is declared, has a license that `deny.toml` allows, and is built once.
//!
//! `cargo deny` knows more (advisories above all); where it is installed, `cargo xtask ci` runs it too.

use crate::shell::{root, say};
use anyhow::{Context, Result, bail};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Checks all three.
pub(crate) fn check() -> Result<()> {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).exec()?;
    let accepted = Accepted::read()?;
    let mut problems = unused(&metadata)?;
    for package in &metadata.packages {
        let license = package.license.as_deref().unwrap_or("no license");
        if !allows(&accepted.licenses, license) {
            problems.push(format!("{} {}: {license} is not allowed", package.name, package.version));
        }
    }
    problems.extend(duplicates(&metadata, &accepted.duplicates));
    if !problems.is_empty() {
        bail!("dependencies:\n  {}", problems.join("\n  "));
    }
    say(&format!("dependencies: {} crates, all used, licensed and built once", metadata.packages.len()));
    Ok(())
}

/// Checks the licenses in the output of `cargo tree` with the format `{p}|{l}`, of a separate workspace, which accepts some more. Its
/// crates may be built twice, since it is not part of what most people build.
pub(crate) fn check_licenses(tree: &str, also: &[&str]) -> Result<()> {
    let mut accepted = Accepted::read()?.licenses;
    accepted.extend(also.iter().map(|&license| license.to_owned()));
    let lines: BTreeSet<&str> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    let problems = lines.into_iter().filter_map(|line| {
        let (package, license) = line.split_once('|')?;
        (!allows(&accepted, license)).then(|| format!("{package}: '{license}' is not allowed"))
    });
    let problems: Vec<String> = problems.collect();
    if !problems.is_empty() {
        bail!("dependencies:\n  {}", problems.join("\n  "));
    }
    Ok(())
}

/// The licenses and duplicates that `deny.toml` accepts.
struct Accepted {
    /// The licenses that dependencies may have.
    licenses: BTreeSet<String>,
    /// `name@version` of the crates that may be there in a second version.
    duplicates: BTreeSet<String>,
}

impl Accepted {
    /// Reads `deny.toml` line by line, which is enough for its two lists.
    fn read() -> Result<Accepted> {
        let text = fs::read_to_string(root().join("deny.toml")).context("deny.toml")?;
        let list = |key: &str| {
            let begin = format!("\n{key} = [");
            let list = text.split_once(&begin).and_then(|(_, rest)| rest.split_once("\n]"));
            list.map(|(list, _)| list).with_context(|| format!("deny.toml has no list '{key}'"))
        };
        // The first string of each line: a license, or the crate of an entry.
        let strings =
            |list: &str| list.lines().filter_map(|line| line.split('"').nth(1)).map(str::to_owned).collect();
        Ok(Accepted { licenses: strings(list("allow")?), duplicates: strings(list("skip")?) })
    }
}

/// Returns true if a license expression can be met by allowed licenses. `OR` binds less tightly than `AND`, and the slash
/// of older crates is an `OR`.
fn allows(allowed: &BTreeSet<String>, expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    any(allowed, &words, &mut at) && at == words.len()
}

/// Reads alternatives, joined by `OR`, and returns true if one of them is met.
fn any(allowed: &BTreeSet<String>, words: &[&str], at: &mut usize) -> bool {
    let mut met = all(allowed, words, at);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all(allowed, words, at);
    }
    met
}

/// Reads conditions, joined by `AND`, and returns true if all of them are met.
fn all(allowed: &BTreeSet<String>, words: &[&str], at: &mut usize) -> bool {
    let mut met = one(allowed, words, at);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(allowed, words, at);
    }
    met
}

/// Reads a license, of one or several words, or an expression in parentheses.
fn one(allowed: &BTreeSet<String>, words: &[&str], at: &mut usize) -> bool {
    if words.get(*at) == Some(&"(") {
        *at += 1;
        let met = any(allowed, words, at);
        let closed = words.get(*at) == Some(&")");
        *at += 1;
        return met && closed;
    }
    let begin = *at;
    while words.get(*at).is_some_and(|word| !matches!(*word, "AND" | "OR" | "(" | ")")) {
        *at += 1;
    }
    allowed.contains(&words[begin..*at].join(" "))
}

/// Returns the crates of which several versions are built.
fn duplicates(metadata: &Metadata, accepted: &BTreeSet<String>) -> Vec<String> {
    let mut versions: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut problems = Vec::new();
    for package in &metadata.packages {
        versions.entry(package.name.as_str()).or_default().insert(package.version.to_string());
    }
    for (name, versions) in &versions {
        let other: Vec<&str> = versions
            .iter()
            .map(String::as_str)
            .filter(|version| !accepted.contains(&format!("{name}@{version}")))
            .collect();
        if other.len() > 1 {
            problems.push(format!("{name} is built in the versions {}", other.join(", ")));
        }
    }
    for entry in accepted {
        let found =
            entry.split_once('@').and_then(|(name, version)| Some(versions.get(name)?.contains(version)));
        if found != Some(true) {
            problems.push(format!("deny.toml skips {entry}, which is not built"));
        }
    }
    problems
}

/// Returns the dependencies that no source file of their crate names.
fn unused(metadata: &Metadata) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for package in metadata.workspace_packages() {
        let (library, tests) = sources(package)?;
        for dependency in &package.dependencies {
            let name = dependency.rename.as_ref().unwrap_or(&dependency.name).replace('-', "_");
            let used = match dependency.kind {
                // Examples in documentation are tests, too.
                DependencyKind::Development => {
                    library.iter().chain(&tests).any(|text| names(text, &name, true))
                }
                _ => library.iter().any(|text| names(text, &name, false)),
            };
            if !used {
                problems.push(format!("{} declares {} and does not use it", package.name, dependency.name));
            }
        }
    }
    Ok(problems)
}

/// Returns the texts of a crate's library and programs, and those of its tests, examples and benchmarks.
fn sources(package: &Package) -> Result<(Vec<String>, Vec<String>)> {
    let folder =
        package.manifest_path.parent().context("a manifest is in a folder")?.as_std_path().to_owned();
    let (mut library, mut tests) = (Vec::new(), Vec::new());
    read(&folder.join("src"), &mut library)?;
    for name in ["tests", "examples", "benches"] {
        read(&folder.join(name), &mut tests)?;
    }
    Ok((library, tests))
}

/// Adds the texts of the source files below a folder. A folder that does not exist has none.
fn read(folder: &Path, texts: &mut Vec<String>) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            read(&path, texts)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path)?;
            // A file that is compiled into another crate as well uses that crate's dependencies.
            for line in text.lines() {
                let Some(other) =
                    line.trim().strip_prefix("#[path = \"").and_then(|line| line.strip_suffix("\"]"))
                else {
                    continue;
                };
                let other = path.parent().unwrap_or(folder).join(other);
                texts.extend(fs::read_to_string(other));
            }
            texts.push(text);
        }
    }
    Ok(())
}

/// Returns true if a source file, with or without its documentation, has a path or an import that begins with the name.
fn names(text: &str, name: &str, with_docs: bool) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.lines().any(|line| {
        let line = line.trim_start();
        let doc = line.starts_with("///") || line.starts_with("//!");
        if line.starts_with("//") && !(doc && with_docs) {
            return false;
        }
        line.match_indices(name).any(|(at, _)| {
            let (before, after) = (&line[..at], &line[at + name.len()..]);
            let begins = !before.ends_with(is_part) && !before.ends_with("::");
            let goes_on = ["::", ";", " as "].iter().any(|sign| after.starts_with(sign));
            begins && !after.starts_with(is_part) && (goes_on || before.trim_end().ends_with("use"))
        })
    })
}
