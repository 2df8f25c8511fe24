//! The time that people wait for the compiler: a newcomer for the first example, an engineer for the tests of
//! a changed kernel.

use crate::shell::{cargo, root, say, target};
use crate::tensorflow;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Kernels of which a line changes: the file, its crate, and which of the crate's tests an engineer runs then.
const CHANGES: [(&str, &str, [&str; 2]); 2] = [
    ("compute/src/elementwise/select.rs", "monitored-compute", ["--lib", "elementwise"]),
    ("embedded-engine/src/kernels/array/join.rs", "embedded-engine", ["--test", "conformance"]),
];

/// Measures and prints.
pub(crate) fn timings(arguments: &[String]) -> Result<()> {
    let all = match arguments {
        [] => false,
        [flag] if flag == "--all" => true,
        other => bail!("no option {}; there is --all", other.join(" ")),
    };
    // A folder of its own, so that the build begins with nothing.
    let folder = target().join("timings");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let mut build = cargo(&["build", "--quiet", "--release", "--example", "digits", "--target-dir"]);
    build.arg(&folder);
    timed("the first example from nothing", build)?;
    let program = folder.join("release").join("examples").join("digits");
    let bytes = std::fs::metadata(&program).with_context(|| format!("{}", program.display()))?.len();
    say(&format!("its program: {:.1} MB", bytes as f64 / 1e6));
    for (file, package, tests) in CHANGES {
        let run = || {
            let mut test = cargo(&["test", "--quiet", "-p", package]);
            test.args(tests);
            test.stdout(std::process::Stdio::null());
            test
        };
        // Builds everything, so that the next run shows the cost of the change alone.
        timed(&format!("tests of {package}, to begin with"), run())?;
        let changed = Changed::new(&root().join(file))?;
        timed(&format!("the same after a line of {file} changed"), run())?;
        // Restores the file before the next one changes.
        drop(changed);
    }
    if all {
        // xtask runs itself out of the same folder, so that nothing of it is there either.
        let mut test = cargo(&["xtask", "test"]);
        test.env("CARGO_TARGET_DIR", folder.join("test"));
        if let Some(python) = tensorflow::python() {
            test.env("MONITORED_SESSION_TF_PYTHON", python);
        }
        timed("cargo xtask test from nothing", test)?;
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

/// Runs a command and prints its time.
fn timed(what: &str, mut command: Command) -> Result<()> {
    let start = Instant::now();
    let status = command.status().with_context(|| format!("{command:?} could not be started"))?;
    if !status.success() {
        bail!("{what}: {command:?} ended with {status}");
    }
    say(&format!("{what}: {:.1} s", start.elapsed().as_secs_f64()));
    Ok(())
}

/// A source file with one more line at its beginning, as it was before when dropped.
struct Changed {
    /// The file.
    path: PathBuf,
    /// The content to restore.
    before: String,
}

impl Changed {
    /// Adds a line at the beginning of a file.
    fn new(path: &Path) -> Result<Changed> {
        let before = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
        // An empty line changes the file, but not the program.
        std::fs::write(path, format!("\n{before}"))?;
        Ok(Changed { path: path.to_owned(), before })
    }
}

impl Drop for Changed {
    /// Restores the content. A failure is printed, since the file is one of the sources.
    fn drop(&mut self) {
        if let Err(error) = std::fs::write(&self.path, &self.before) {
            say(&format!("{} has an empty first line now: {error}", self.path.display()));
        }
    }
}
