//! The warnings of the libraries, on the standard error.

use log::{Level, LevelFilter, Log, Metadata, Record};
use std::io::{self, Write};

/// Prints warnings to standard error, one per line.
struct Printer;

impl Log for Printer {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let level = if record.level() == Level::Error { "error" } else { "warning" };
            // If this fails, there is no other place to report it.
            let _ = writeln!(io::stderr(), "monitored: {level}: {}", record.args());
        }
    }

    fn flush(&self) {}
}

/// Prints the warnings and errors that libraries log from now on. A program that waits for a lost task must not be silent.
pub(crate) fn print() {
    // Fails only if a logger is set already, as in a test.
    if log::set_logger(&Printer).is_ok() {
        log::set_max_level(LevelFilter::Warn);
    }
}
