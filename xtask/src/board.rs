//! The page of `monitored board` in a real browser.

use crate::shell::{cargo_workspace, exists, section};
use anyhow::{Result, bail};
use std::path::Path;

/// The names under which systems have the browser.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// Runs the browser's tests. Installs nothing.
pub(crate) fn board(args: &[String]) -> Result<()> {
    let screenshots = match args {
        [] => None,
        [option, folder] if option == "--screenshots" => Some(std::path::absolute(Path::new(folder))?),
        _ => bail!("usage: cargo xtask board [--screenshots FOLDER]"),
    };
    if std::env::var_os("CHROMIUM").is_none() && !BROWSERS.iter().any(|name| exists(name, &["--version"])) {
        bail!(
            "Chromium is needed (`apt-get install chromium`, or as your system has it), or its program named by the \
             variable CHROMIUM"
        );
    }
    // One browser at a time: each takes a core and some hundred megabytes.
    let mut tests = cargo_workspace("test");
    tests.args(["--test", "browser", "--", "--ignored", "--test-threads=1"]);
    if let Some(folder) = screenshots {
        tests.env("BOARD_SCREENSHOTS", folder);
    }
    section("board", tests)
}
