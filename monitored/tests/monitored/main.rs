//! Monitored sessions from outside: the rules of the chapters on hooks, monitored sessions and the training helper.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // tests

mod dry_run;
mod evaluation;
mod evaluations;
mod host_training;
#[path = "hooks.rs"]
mod interface;
mod interplay;
mod lost_work;
mod saved_objects;
mod sessions;
mod support;
mod traces;
mod train_and_evaluate;
mod training;
