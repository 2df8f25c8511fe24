//! The tests that a run skipped, which otherwise pass unnoticed.

use crate::shell::{root, say};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A list to which skipped tests add themselves.
pub(crate) struct Skipped {
    /// The file to which tests append a line each time they are skipped.
    list: PathBuf,
}

impl Skipped {
    /// Creates an empty list for one run.
    pub(crate) fn new() -> Result<Skipped> {
        // With the number of the process, because several runs may share the target folder.
        let list = root().join("target").join(format!("skipped-tests-{}", std::process::id()));
        fs::create_dir_all(root().join("target"))?;
        fs::write(&list, "").with_context(|| format!("{} cannot be written", list.display()))?;
        Ok(Skipped { list })
    }

    /// Makes the tests of a command report when they are skipped.
    pub(crate) fn collect(&self, command: &mut Command) {
        command.env("MONITORED_SESSION_SKIPPED", &self.list);
    }

    /// Prints how many tests were skipped.
    pub(crate) fn report(self) {
        let list = fs::read_to_string(&self.list).unwrap_or_default();
        if let Some(text) = summary(&list) {
            say(&text);
        }
        // It is in the target folder, where a leftover does no harm.
        let _ = fs::remove_file(&self.list);
    }
}

/// Returns the last line of a test run; nothing when no test was skipped. A test may have skipped several parts of itself.
fn summary(list: &str) -> Option<String> {
    let tests: BTreeSet<&str> = list.lines().collect();
    let count = tests.len();
    let tests = if count == 1 { "1 test was" } else { &format!("{count} tests were") };
    (count > 0).then(|| {
        format!("{tests} skipped, in whole or in part, because TensorFlow is not installed; `cargo xtask tensorflow` installs it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_counts_once() {
        assert_eq!(summary(""), None);
        assert!(summary("a one\na one\n").is_some_and(|text| text.starts_with("1 test was skipped")));
        assert!(
            summary("a one\nb one\na one\n").is_some_and(|text| text.starts_with("2 tests were skipped"))
        );
    }
}
