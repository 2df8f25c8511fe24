//! Whole files.

use crate::library::op_defs;
use crate::shapes::must_be_scalar;
use session_core::{AsOutput, OpDef, Operation, Output, PartialShape, Result, ShapeContext};

op_defs! {
    READ_FILE: OpDef::new("ReadFile", "filename: string -> contents: string").shape(one_file).not_differentiable();
    WRITE_FILE: OpDef::new("WriteFile", "filename: string, contents: string -> ")
        .stateful().shape(two_scalars).not_differentiable();
    MATCHING_FILES: OpDef::new("MatchingFiles", "pattern: string -> filenames: string")
        .shape(file_names).not_differentiable();
}

fn one_file(context: &mut ShapeContext<'_>) -> Result<()> {
    must_be_scalar(context, 0)?;
    context.set(0, PartialShape::scalar());
    Ok(())
}

fn two_scalars(context: &mut ShapeContext<'_>) -> Result<()> {
    must_be_scalar(context, 0)?;
    must_be_scalar(context, 1)
}

fn file_names(context: &mut ShapeContext<'_>) -> Result<()> {
    context.set(0, PartialShape::of_rank(1));
    Ok(())
}

/// Returns the content of a file. A file that is not there is `NotFound`.
#[must_use]
#[track_caller]
pub fn read_file(filename: impl AsOutput) -> Output {
    let filename = filename.as_output();
    filename.graph().op(&READ_FILE).input(filename).finish_output()
}

/// Writes a file, and the folders above it that are not there.
#[track_caller]
pub fn write_file(filename: impl AsOutput, contents: impl AsOutput) -> Operation {
    let filename = filename.as_output();
    filename.graph().op(&WRITE_FILE).input(filename).input(contents).finish()
}

/// Returns the files whose paths match one of the patterns, sorted: `*`, `?` and `[a-z]` stand for parts of a name.
#[must_use]
#[track_caller]
pub fn matching_files(pattern: impl AsOutput) -> Output {
    let pattern = pattern.as_output();
    pattern.graph().op(&MATCHING_FILES).input(pattern).finish_output()
}
