//! The order of the modules within the embedded engine: which file may use which.

use crate::shell::root;
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Each module of the engine with those that it uses, which are listed above it. A folder is one module.
const TABLE: [(&str, &[&str]); 31] = [
    ("background", &[]),
    ("op_types", &[]),
    ("devices", &[]),
    ("limits", &[]),
    ("resources", &[]),
    ("waiting", &["limits"]),
    ("kernel", &["background", "limits", "resources"]),
    ("registry", &["kernel"]),
    ("dispatch", &[]),
    ("kernels", &["limits", "resources", "waiting", "kernel", "registry", "dispatch"]),
    ("missing", &["resources", "kernel", "kernels"]),
    ("flow", &["registry", "kernels"]),
    ("references", &["registry", "kernels"]),
    ("ir", &["kernel", "registry", "kernels", "flow"]),
    ("plan", &["kernel", "registry", "kernels"]),
    ("gradient", &["plan"]),
    (
        "builder",
        &[
            "devices",
            "limits",
            "kernel",
            "registry",
            "kernels",
            "missing",
            "flow",
            "references",
            "ir",
            "plan",
            "gradient",
        ],
    ),
    ("fuse", &["kernel", "registry", "kernels", "ir"]),
    ("chains", &["registry", "kernels", "flow", "ir"]),
    ("schedule", &["resources", "registry", "ir"]),
    ("frames", &["flow", "ir", "schedule"]),
    ("emit", &["kernel", "registry", "kernels", "flow", "ir", "plan", "schedule", "frames"]),
    (
        "compile",
        &["registry", "kernels", "missing", "ir", "plan", "gradient", "builder", "fuse", "chains", "emit"],
    ),
    ("plans", &["plan"]),
    ("calls", &["kernel", "registry", "kernels", "plan"]),
    ("execute", &["limits", "resources", "kernel", "plan", "calls"]),
    ("suspend", &["waiting", "kernel", "plan", "calls", "execute"]),
    ("run", &["limits", "kernel", "kernels", "plan", "execute"]),
    (
        "session",
        &[
            "background",
            "devices",
            "limits",
            "resources",
            "kernel",
            "kernels",
            "plan",
            "builder",
            "compile",
            "plans",
        ],
    ),
    ("engine", &["session"]),
    ("lib", &["missing", "engine"]),
];

/// Returns what contradicts the table: a use that it does not list, one that it lists and that does not exist, and one of a module further
/// down.
pub(crate) fn problems() -> Result<Vec<String>> {
    let mut used = uses(&root().join("embedded-engine/src"))?;
    Ok(compare(&TABLE, &mut used))
}

/// Returns what contradicts a table. The modules that it names are taken out of `used`, so that the others
/// remain.
fn compare(table: &[(&str, &[&str])], used: &mut BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut problems = Vec::new();
    let mut above: BTreeSet<&str> = BTreeSet::new();
    for (module, allowed) in table {
        let Some(found) = used.remove(*module) else {
            problems.push(format!("embedded-engine has no module {module}"));
            continue;
        };
        for name in &found {
            if !allowed.contains(&name.as_str()) {
                problems.push(format!("embedded-engine: {module} may not use {name}"));
            }
        }
        for name in allowed.iter() {
            if !found.contains(*name) {
                problems.push(format!("embedded-engine: {module} is allowed {name} and does not use it"));
            }
            if !above.contains(name) {
                problems
                    .push(format!("embedded-engine: {module} uses {name}, which does not stand above it"));
            }
        }
        above.insert(module);
    }
    problems.extend(
        used.keys().map(|module| format!("embedded-engine: {module} is not in the table of modules")),
    );
    problems
}

/// Returns the modules of a crate, each with those that its files name.
fn uses(source: &Path) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut uses = BTreeMap::new();
    for entry in fs::read_dir(source).with_context(|| source.display().to_string())? {
        let path = entry?.path();
        let Some(module) = path.file_stem().and_then(|name| name.to_str()).map(str::to_owned) else {
            continue;
        };
        let mut found = BTreeSet::new();
        look_into(&path, &mut found)?;
        // A module may use itself.
        found.remove(&module);
        // A file and a folder of one name are one module.
        uses.entry(module).or_insert_with(BTreeSet::new).append(&mut found);
    }
    Ok(uses)
}

/// Adds the modules that a file or the files of a folder name.
fn look_into(path: &Path, found: &mut BTreeSet<String>) -> Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            look_into(&entry?.path(), found)?;
        }
        return Ok(());
    }
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    // The code of a macro belongs to the module in which it is expanded.
    let lines =
        text.lines().map(str::trim_start).filter(|line| !line.starts_with("//") && !line.contains('$'));
    for line in lines {
        let mut rest = line;
        while let Some(at) = rest.find("crate::") {
            rest = &rest[at + "crate::".len()..];
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            found.insert(rest[..end].to_owned());
        }
        // The crate's exports come from its modules.
        if let Some(exported) = line.strip_prefix("pub use ")
            && path.file_name().is_some_and(|name| name == "lib.rs")
            && let Some((module, _)) = exported.split_once("::")
        {
            found.insert(module.to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(modules: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        modules.iter().map(|&(module, names)| (module.to_owned(), set(names))).collect()
    }

    #[test]
    fn the_table_is_exact() {
        let table: [(&str, &[&str]); 2] = [("low", &[]), ("high", &["low"])];
        assert!(compare(&table, &mut used(&[("low", &[]), ("high", &["low"])])).is_empty());
        let too_much = compare(&table, &mut used(&[("low", &["high"]), ("high", &["low"])]));
        assert_eq!(too_much, ["embedded-engine: low may not use high"]);
        let too_little = compare(&table, &mut used(&[("low", &[]), ("high", &[])]));
        assert_eq!(too_little, ["embedded-engine: high is allowed low and does not use it"]);
        let unlisted = compare(&table, &mut used(&[("low", &[]), ("high", &["low"]), ("new", &[])]));
        assert_eq!(unlisted, ["embedded-engine: new is not in the table of modules"]);
        let circle: [(&str, &[&str]); 2] = [("low", &["high"]), ("high", &["low"])];
        let circle = compare(&circle, &mut used(&[("low", &["high"]), ("high", &["low"])]));
        assert_eq!(circle, ["embedded-engine: low uses high, which does not stand above it"]);
    }
}
