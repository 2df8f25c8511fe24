//! candle models under a monitored session.
#![allow(clippy::unwrap_used)] // a panic is the report

mod interchange;
mod model;
#[path = "../../../../tests/support/python.rs"]
mod python;
mod resume;
