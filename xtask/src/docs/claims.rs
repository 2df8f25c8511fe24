//! The page of claims: each row names tests or commands, which have to exist.

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;

/// The page that names a test or a command for each claim of the README.
const PAGE: &str = "docs/claims.md";

/// Fails if a row of the page names nothing, or a file, a test or a command that does not exist. Returns the number of rows.
pub(super) fn check(root: &Path) -> Result<usize> {
    let page = fs::read_to_string(root.join(PAGE)).with_context(|| format!("{PAGE} cannot be read"))?;
    let commands = fs::read_to_string(root.join("xtask/src/main.rs"))?;
    let read = |file: &str| fs::read_to_string(root.join(file)).ok();
    let (mut count, mut problems) = (0, Vec::new());
    for (claim, shown_by) in page.lines().filter_map(row) {
        count += 1;
        problems.extend(problems_of(claim, shown_by, &commands, read));
    }
    // A page in another form would pass otherwise.
    if count == 0 {
        problems.push("the table has no rows".to_owned());
    }
    if !problems.is_empty() {
        bail!("{PAGE}:\n  {}", problems.join("\n  "));
    }
    Ok(count)
}

/// Returns the two cells of a row of the table, without its head.
fn row(line: &str) -> Option<(&str, &str)> {
    let (claim, shown_by) = line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ")?;
    (claim != "claim" && claim != "---").then_some((claim, shown_by))
}

/// Returns a sentence for each name of a row that leads nowhere. A test belongs to the file before it.
fn problems_of(
    claim: &str,
    shown_by: &str,
    commands: &str,
    read: impl Fn(&str) -> Option<String>,
) -> Vec<String> {
    let mut problems = Vec::new();
    // Names stand between backticks, which makes them every second part.
    let names: Vec<&str> = shown_by.split('`').skip(1).step_by(2).collect();
    if names.is_empty() {
        problems.push(format!("'{claim}' names neither a test nor a command"));
    }
    let mut file: Option<(&str, String)> = None;
    for name in names {
        if let Some(command) = name.strip_prefix("cargo xtask ") {
            let command = command.split(' ').next().unwrap_or_default();
            if !commands.contains(&format!("\"{command}\" =>")) {
                problems.push(format!("'{claim}': there is no command 'cargo xtask {command}'"));
            }
        } else if name.ends_with(".rs") {
            file = read(name).map(|text| (name, text));
            if file.is_none() {
                problems.push(format!("'{claim}': the file {name} cannot be read"));
            }
        } else if let Some((path, text)) = &file
            && !text.contains(&format!("fn {name}("))
        {
            problems.push(format!("'{claim}': {path} has no test '{name}'"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_claims_and_what_shows_them() {
        assert_eq!(row("| it is fast | `cargo xtask bench` |"), Some(("it is fast", "`cargo xtask bench`")));
        assert_eq!(row("| claim | shown by |"), None);
        assert_eq!(row("| --- | --- |"), None);
        assert_eq!(row("A sentence."), None);
    }

    #[test]
    fn names_that_lead_nowhere_are_reported() {
        let read = |file: &str| (file == "a/tests/b.rs").then(|| "fn it_holds() {}".to_owned());
        let check = |shown_by| problems_of("it holds", shown_by, "\"bench\" => bench()", read);
        assert!(check("`a/tests/b.rs` `it_holds`, `cargo xtask bench w1`").is_empty());
        assert_eq!(check("a person"), ["'it holds' names neither a test nor a command"]);
        assert_eq!(check("`a/tests/b.rs` `holds`"), ["'it holds': a/tests/b.rs has no test 'holds'"]);
        assert_eq!(check("`c.rs` `holds`"), ["'it holds': the file c.rs cannot be read"]);
        assert_eq!(check("`cargo xtask w1`"), ["'it holds': there is no command 'cargo xtask w1'"]);
    }
}
