//! The dependency table of `ARCHITECTURE.md`, checked against `cargo metadata`.

use crate::modules;
use crate::shell::{members, say};
use anyhow::{Result, bail};
use cargo_metadata::{DependencyKind, Package};
use std::collections::{BTreeMap, BTreeSet};

/// Each crate with the crates of this workspace that it depends on (dev-dependencies aside).
const TABLE: &[(&str, &[&str])] = &[
    ("monitored-wire", &[]),
    ("monitored-tensor", &[]),
    ("session-core", &["monitored-wire", "monitored-tensor"]),
    ("monitored-compute", &[]),
    ("monitored-checkpoint", &["monitored-wire", "monitored-tensor", "session-core"]),
    ("monitored-summary", &["monitored-wire", "monitored-tensor", "session-core"]),
    ("monitored-ops", &["monitored-tensor", "session-core"]),
    ("queue-runner", &["monitored-tensor", "session-core", "monitored-ops"]),
    ("monitored-dataset", &["session-core", "monitored-ops"]),
    (
        "graph-def",
        &[
            "monitored-wire",
            "monitored-tensor",
            "session-core",
            "monitored-checkpoint",
            "monitored-summary",
            "monitored-ops",
            "queue-runner",
        ],
    ),
    (
        "monitored-scaffold",
        &["monitored-tensor", "session-core", "monitored-checkpoint", "monitored-ops", "graph-def"],
    ),
    (
        "monitored-hooks",
        &[
            "monitored-tensor",
            "session-core",
            "monitored-checkpoint",
            "monitored-summary",
            "monitored-ops",
            "queue-runner",
            "graph-def",
        ],
    ),
    (
        "embedded-engine",
        &[
            "monitored-tensor",
            "session-core",
            "monitored-compute",
            "monitored-checkpoint",
            "monitored-summary",
            "monitored-ops",
        ],
    ),
    ("tensorflow-engine", &["monitored-tensor", "session-core", "graph-def"]),
    (
        "monitored",
        &[
            "monitored-tensor",
            "session-core",
            "monitored-checkpoint",
            "monitored-ops",
            "queue-runner",
            "monitored-scaffold",
            "monitored-hooks",
            "embedded-engine",
        ],
    ),
    (
        "saved-model",
        &[
            "monitored-tensor",
            "session-core",
            "monitored-checkpoint",
            "monitored-summary",
            "monitored-ops",
            "graph-def",
            "monitored-scaffold",
            "embedded-engine",
        ],
    ),
    (
        "monitored-board",
        &["monitored-tensor", "session-core", "monitored-checkpoint", "monitored-summary", "graph-def"],
    ),
    ("monitored-session", &["*"]),
    (
        "monitored-cli",
        &[
            "monitored-session",
            "monitored-board",
            "monitored-checkpoint",
            "monitored-summary",
            "monitored-tensor",
        ],
    ),
    ("model", &[]),
    ("xtask", &[]),
];

/// Crates that stay light: what none of them may bring along, directly or not, without default features.
const LIGHT: [(&str, &[&str]); 3] = [
    ("monitored-checkpoint", &["session-core", "clap", "rayon", "gemm"]),
    ("monitored-summary", &["session-core"]),
    ("monitored-tensor", &["serde", "ndarray"]),
];

/// Checks the table.
pub(crate) fn check() -> Result<()> {
    let metadata = members()?;
    let members: BTreeMap<&str, &Package> =
        metadata.packages.iter().map(|package| (package.name.as_str(), package)).collect();
    let table: BTreeMap<&str, &[&str]> = TABLE.iter().copied().collect();
    let mut problems = Vec::new();
    for (name, package) in &members {
        let Some(allowed) = table.get(name) else {
            problems.push(format!("{name} is not in the table of layers"));
            continue;
        };
        // The facade may depend on all crates, whose items it exports.
        if allowed.contains(&"*") {
            continue;
        }
        let found: BTreeSet<String> =
            dependencies(package).filter(|dependency| members.contains_key(dependency.as_str())).collect();
        let more = found.iter().filter(|dependency| !allowed.contains(&dependency.as_str()));
        problems.extend(more.map(|dependency| format!("{name} may not depend on {dependency}")));
        // A permission for a dependency that does not exist would be an undecided one.
        let less = allowed.iter().filter(|dependency| !found.contains(**dependency));
        problems.extend(less.map(|dependency| format!("{name} is allowed {dependency} and does not use it")));
    }
    problems.extend(
        table.keys().filter(|name| !members.contains_key(*name)).map(|name| format!("no crate {name}")),
    );
    problems.extend(modules::problems()?);
    for (name, heavy) in LIGHT {
        problems.extend(heavy_dependencies(name, heavy)?);
    }
    if !problems.is_empty() {
        bail!("layers:\n  {}", problems.join("\n  "));
    }
    say(&format!("layers: {} crates keep to the table", members.len()));
    Ok(())
}

/// Returns the names of what a package is built with, dev-dependencies aside.
fn dependencies(package: &Package) -> impl Iterator<Item = String> + '_ {
    let built =
        package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
    built.map(|dependency| dependency.name.clone()).collect::<BTreeSet<_>>().into_iter()
}

/// Returns what a crate without default features brings along though it should not.
fn heavy_dependencies(name: &str, heavy: &[&str]) -> Result<Vec<String>> {
    let output = crate::shell::cargo(&[
        "tree",
        "--quiet",
        "-p",
        name,
        "--no-default-features",
        "-e",
        "normal",
        "--prefix",
        "none",
        "-f",
        "{p}",
    ])
    .output()?;
    if !output.status.success() {
        bail!("cargo tree -p {name}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let tree = String::from_utf8_lossy(&output.stdout).into_owned();
    let brought: BTreeSet<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let unwanted = heavy.iter().filter(|heavy| brought.contains(*heavy));
    Ok(unwanted.map(|heavy| format!("{name} without default features brings {heavy} along")).collect())
}
