//! Skipped tests, for the tests of all crates.
#![allow(clippy::print_stdout)] // the output is meant to be read

use std::fmt::Display;
use std::io::Write;

/// Reports that the running test is skipped. `cargo xtask test` counts those tests and prints their number at the end.
pub(crate) fn skipped(why: impl Display) {
    println!("SKIPPED: {why}");
    let Some(list) = std::env::var_os("MONITORED_SESSION_SKIPPED") else { return };
    let binary = std::env::current_exe().unwrap_or_default();
    let binary = binary.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let thread = std::thread::current();
    // A runner with a process per test may run the test in the main thread; its name is then in the arguments.
    let test = match thread.name() {
        Some(name) if name != "main" => name.to_owned(),
        _ => std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default(),
    };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(list);
    // One write, so that the lines of several processes do not mix.
    if let Err(error) = file.and_then(|mut file| file.write_all(format!("{binary} {test}\n").as_bytes())) {
        println!("the skipped test could not be listed: {error}");
    }
}
