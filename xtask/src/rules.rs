//! The table of rules: which test holds which rule of the original, and where this project differs on purpose.

use crate::shell::{root, say};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// The beginning of the page.
const HEAD: &str = "\
# The rules of TensorFlow and their tests

Each line has a rule of TensorFlow 1's training stack (S, with a number), the behavior here (the same, or the difference), and the tests
of the rule. A Q marks a flaw of TensorFlow that is fixed here. `cargo xtask rules --write` writes this page from `rules.tsv` and the
names of tests; `cargo xtask rules` reports outdated lines and rules without a test.
";

/// A test whose name cites the rules that it checks.
struct Cited {
    /// The name of the function.
    name: String,
    /// The path of its file, relative to the workspace.
    file: String,
}

/// Holds the table against the sources, or writes it.
pub(crate) fn rules(arguments: &[String]) -> Result<()> {
    let write = match arguments {
        [] => false,
        [word] if word == "--write" => true,
        _ => bail!("rules takes nothing, or --write"),
    };
    let root = root();
    let mut tests = BTreeMap::new();
    for entry in fs::read_dir(&root)? {
        let path = entry?.path();
        // All crates but the facade are folders of the workspace.
        if path.join("Cargo.toml").is_file() {
            collect(&root, &path, &mut tests)?;
        }
    }
    // The facade's own tests.
    collect(&root, &root.join("tests"), &mut tests)?;
    let list = fs::read_to_string(root.join("docs/rules.tsv")).context("docs/rules.tsv cannot be read")?;
    let (page, without) = table(&list, &tests)?;
    let path = root.join("docs/rules.md");
    // Even where a rule lacks a test, since the page shows it.
    if write {
        fs::write(&path, &page)?;
    }
    if !without.is_empty() {
        bail!("rules without a test that cites them: {}", without.join(", "));
    }
    if fs::read_to_string(&path).unwrap_or_default() != page {
        bail!("docs/rules.md is out of date: cargo xtask rules --write");
    }
    say(&format!("{} rules, each with a test", page.lines().filter(|line| line.starts_with("| S-")).count()));
    Ok(())
}

/// Finds the tests in the sources below a folder, by the rules in their names.
fn collect(root: &Path, folder: &Path, tests: &mut BTreeMap<u32, Vec<Cited>>) -> Result<()> {
    let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<std::io::Result<_>>()?;
    // In order, so that the page does not depend on the file system.
    entries.sort_by_key(fs::DirEntry::path);
    for path in entries.into_iter().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                collect(root, &path, tests)?;
            }
        } else if name.ends_with(".rs") {
            let file = path.strip_prefix(root)?.to_string_lossy().into_owned();
            for line in fs::read_to_string(&path)?.lines() {
                // Tests, and the public functions of the conformance suite.
                let line = line.trim_start();
                let Some(rest) = line.strip_prefix("pub ").unwrap_or(line).strip_prefix("fn ") else {
                    continue;
                };
                let name = rest.split('(').next().unwrap_or_default();
                for rule in cited(name) {
                    tests.entry(rule).or_default().push(Cited { name: name.to_owned(), file: file.clone() });
                }
            }
        }
    }
    Ok(())
}

/// Returns the rules at the beginning of a test's name: `s_12_s_13_q_4_what_holds`.
fn cited(name: &str) -> Vec<u32> {
    let mut rules = Vec::new();
    let mut words = name.split('_');
    while let (Some(kind @ ("s" | "q")), Some(number)) = (words.next(), words.next()) {
        let Ok(number) = number.parse() else { break };
        if kind == "s" {
            rules.push(number);
        }
    }
    rules
}

/// Returns the page, and the rules without a test.
fn table(list: &str, tests: &BTreeMap<u32, Vec<Cited>>) -> Result<(String, Vec<String>)> {
    let mut page = HEAD.to_owned();
    let mut without = Vec::new();
    for line in list.lines() {
        if let Some(chapter) = line.strip_prefix("# ") {
            write!(page, "\n## {chapter}\n\n| rule | what | here | tests |\n| --- | --- | --- | --- |\n")?;
            continue;
        }
        let [rule, verdict, what] = line.split('\t').collect::<Vec<_>>()[..] else {
            bail!("docs/rules.tsv: a line has rule, verdict and text, not '{line}'");
        };
        if verdict != "same" && !verdict.starts_with("differs: ") {
            bail!("docs/rules.tsv: '{verdict}' of S-{rule} is neither 'same' nor 'differs: ...'");
        }
        let cited = tests.get(&rule.parse()?).map_or(&[][..], Vec::as_slice);
        if cited.is_empty() {
            without.push(format!("S-{rule}"));
        }
        let cited: Vec<String> =
            cited.iter().map(|test| format!("`{}` in {}", test.name, test.file)).collect();
        writeln!(page, "| S-{rule} | {what} | {verdict} | {} |", cited.join("<br>"))?;
    }
    Ok((page, without))
}
