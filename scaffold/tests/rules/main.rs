//! The rules of the chapters on scaffolds, session managers and session creators.
#![allow(clippy::unwrap_used)] // tests

mod creators;
mod manager;
mod restoring;
mod scaffolds;
mod support;
