//! TensorFlow itself, as the oracle of the tests.

use crate::shell::{exists, say, section, target};
use anyhow::{Result, bail};
use std::path::PathBuf;
use std::process::Command;

/// The release whose behavior is the reference.
const VERSION: &str = "2.21.0";

/// Returns where it is installed: a virtual environment that `cargo clean` removes.
fn environment() -> PathBuf {
    target().join("tensorflow").join("venv")
}

/// Returns a Python that has TensorFlow: the one that `MONITORED_SESSION_TF_PYTHON` names, or the one installed here.
pub(crate) fn python() -> Option<PathBuf> {
    let named = std::env::var_os("MONITORED_SESSION_TF_PYTHON").map(PathBuf::from);
    // A Python that is named is not checked: a wrong name must fail, and not skip tests.
    named.or_else(|| Some(environment().join("bin").join("python")).filter(|python| python.exists()))
}

/// Prints whether tests that run TensorFlow will run.
pub(crate) fn report() {
    match python() {
        Some(python) => say(&format!("TensorFlow: {}", python.display())),
        None => say(
            "TensorFlow is not installed: tests that ask it are skipped (`cargo xtask tensorflow` installs it)",
        ),
    }
}

/// Installs it with pip, unless it is there.
pub(crate) fn install() -> Result<()> {
    let environment = environment();
    let python = environment.join("bin").join("python");
    let import = format!(
        "import importlib.metadata as m; assert m.version('tensorflow-cpu') == '{VERSION}'; m.version('tensorboard')"
    );
    // Another release is replaced, and what is missing is added.
    if python.exists() && exists(&python.to_string_lossy(), &["-c", &import]) {
        say(&format!("TensorFlow {VERSION} is in {}", environment.display()));
        return Ok(());
    }
    if !exists("python3", &["--version"]) {
        bail!("python3 is needed to install TensorFlow");
    }
    let mut make = Command::new("python3");
    make.args(["-m", "venv"]).arg(&environment);
    section("virtual environment", make)?;
    let mut pip = Command::new(&python);
    let package = format!("tensorflow-cpu=={VERSION}");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", &package]);
    // TensorBoard is what event files are read by in the end.
    pip.args(["safetensors", "tensorboard"]);
    section(&format!("pip install {package}"), pip)?;
    Ok(())
}
