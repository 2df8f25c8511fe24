//! Whole files.

use crate::array::constants::shape_from_attr;
use crate::library::op_defs;
use crate::shapes::must_be_scalar;
use session_core::{AsOutput, OpDef, Operation, Output, PartialShape, Result, ShapeContext};

op_defs! {
    READ_FILE: OpDef::new("ReadFile", "filename: string -> contents: string").shape(one_file).not_differentiable();
    WRITE_FILE: OpDef::new("WriteFile", "filename: string, contents: string -> ")
        .stateful().shape(two_scalars).not_differentiable();
    MATCHING_FILES: OpDef::new("MatchingFiles", "pattern: string -> filenames: string")
        .shape(file_names).not_differentiable();
    IMMUTABLE_CONST: OpDef::new("ImmutableConst", "-> tensor: dtype")
        .attrs("dtype: type, shape: shape, memory_region_name: string").shape(shape_from_attr).not_differentiable();
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

/// Returns the content of a file as a string. A missing file is a `NotFound` error.
///
/// ```
/// use ops::{array::constant, io::read_file};
/// let graph = session_core::Graph::new();
/// let text = read_file(constant(&graph, "words.txt"));
/// assert_eq!(text.operation().op_type(), "ReadFile");
/// ```
#[must_use]
#[track_caller]
pub fn read_file(filename: impl AsOutput) -> Output {
    let filename = filename.as_output();
    filename.graph().op(&READ_FILE).input(filename).finish_output()
}

/// Writes a file and creates the missing folders of its path.
///
/// ```
/// use ops::{array::constant, io::write_file};
/// let graph = session_core::Graph::new();
/// let write = write_file(constant(&graph, "run/notes.txt"), constant(&graph, "done"));
/// assert_eq!(write.op_type(), "WriteFile");
/// ```
#[track_caller]
pub fn write_file(filename: impl AsOutput, contents: impl AsOutput) -> Operation {
    let filename = filename.as_output();
    filename.graph().op(&WRITE_FILE).input(filename).input(contents).finish()
}

/// Returns the sorted paths of the files that match one of the patterns, in which `*`, `?` and `[a-z]` stand for parts of a name.
///
/// ```
/// use ops::{array::constant, io::matching_files};
/// let graph = session_core::Graph::new();
/// let paths = matching_files(constant(&graph, "data/train-*.tfrecord"));
/// assert_eq!(paths.operation().op_type(), "MatchingFiles");
/// ```
#[must_use]
#[track_caller]
pub fn matching_files(pattern: impl AsOutput) -> Output {
    let pattern = pattern.as_output();
    pattern.graph().op(&MATCHING_FILES).input(pattern).finish_output()
}
