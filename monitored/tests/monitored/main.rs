//! Monitored sessions from outside: the rules of the chapters on hooks, monitored sessions and the training helper.
#![allow(clippy::unwrap_used)] // tests

mod dry_run;
mod support;
mod training;
