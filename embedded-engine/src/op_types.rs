#![doc = include_str!("../docs/ops.md")]
