//! SessionRunHook and the built-in hooks.
