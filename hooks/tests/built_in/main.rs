//! The built-in hooks, driven as a monitored session drives them, around a scripted session.

#![allow(clippy::unwrap_used)] // a test may

mod support;

mod checkpoint_saver;
mod stop_at_step;
