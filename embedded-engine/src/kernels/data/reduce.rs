//! Reductions of whole datasets: `ReduceDataset`, `DatasetToSingleElement`, `DatasetToTFRecord`.
//!
//! # Semantics
//!
//! - `ReduceDataset`: inputs `input_dataset`, `initial_state`, `other_arguments`; attribute `f`. Calls
//!   `f(state, element, captured)` for each element, in order; its results are the next state. Outputs the
//!   last state, which is the initial one for an empty dataset. The function may change the state's shapes,
//!   within `output_shapes`.
//! - `DatasetToSingleElement`: input `dataset`. Outputs the components of its only element; none or several
//!   are `InvalidArgument`. Takes two elements at most.
//! - `DatasetToTFRecord`: inputs `input_dataset`, `filename`, `compression_type` ("", "GZIP", "ZLIB"). Writes
//!   each string of the single component as one record. The file is created at once, and what was written
//!   stays after an error.
//!
//! The dataset is iterated within the step, with states of its own: each run begins at the first element,
//! random operations in functions at their seeds. The step's deadline and cancellation end it between two
//! elements. Nothing of it is part of a checkpoint. An `OutOfRange` of an element is `Internal`; one of the
//! function of a `ReduceDataset` stays as it is, as in TensorFlow.

use super::build::{Build, Node};
use super::dataset::{Handle, Run, Shared, Source, chain, no_end};
use super::element::{self, Element};
use super::kept::Kept;
use crate::kernel::{Ability, Body, Hold, Kernel, KernelContext};
use crate::kernels::io::path;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use crate::resources::Instance;
use flate2::write::{GzEncoder, ZlibEncoder};
use session_core::{Code, Error, PartialShape, Result};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use summary::record::RecordWriter;
use tensor::DType;

/// Registers the op types.
pub(super) fn register(registry: &mut Registry) {
    registry
        .add("ReduceDataset", |spec| Ok(Box::new(Reduce { node: Node::of(spec.operation)? })))
        .holds(&["f"]);
    registry.add("DatasetToSingleElement", |spec| {
        let node = Node::of(spec.operation)?;
        Ok(boxed(move |context| {
            let dataset = Handle::of(context.input(0))?.dataset.clone();
            let mut elements = Vec::new();
            whole(context, &dataset, |_, element| {
                elements.push(element);
                // One more than there may be is enough to know.
                Ok(elements.len() < 2)
            })?;
            match elements.len() {
                1 => deliver(context, &node.types, &node.shapes, elements.remove(0)),
                0 => Err(Error::invalid_argument("Dataset was empty.")),
                _ => Err(Error::invalid_argument("Dataset had more than one element.")),
            }
        }))
    });
    for op_type in ["DatasetToTFRecord", "ExperimentalDatasetToTFRecord"] {
        registry.add(op_type, |_| Ok(boxed(to_records))).accesses_files();
    }
}

/// Calls a closure for each element until the closure returns false, the dataset ends, or an error occurs.
///
/// The dataset is rewritten as the outermost level of an iterator is (D-15), and begins with fresh states in
/// each run.
fn whole(
    context: &KernelContext<'_>,
    dataset: &Shared,
    mut each: impl FnMut(&Run<'_>, Element) -> Result<bool>,
) -> Result<()> {
    let (instance, kept) = (Instance::default(), Kept::default());
    let (environment, limits) = (context.environment, context.limits);
    let run = Run { environment, limits, instance: &instance, kept: &kept, rewrites: true };
    let mut source = dataset.iterate(&run)?;
    let next = |source: &mut Source| {
        source
            .next(&run)
            .map_err(|error| no_end(error, format_args!("the dataset {}", chain(dataset.as_ref()))))
    };
    while let Some(element) = next(&mut source)? {
        if !each(&run, element)? {
            return Ok(());
        }
        context.limits.check()?;
    }
    Ok(())
}

/// Sets the outputs to the components of an element, after a check against the declared dtypes and shapes
/// (D-22).
fn deliver(
    context: &mut KernelContext<'_>,
    types: &[DType],
    shapes: &[PartialShape],
    element: Element,
) -> Result<()> {
    element::check(types, shapes, &element)?;
    element.into_iter().enumerate().for_each(|(output, value)| context.set(output, value));
    Ok(())
}

/// The kernel of `ReduceDataset`.
struct Reduce {
    /// The static properties of the operation.
    node: Node,
}

impl Kernel for Reduce {
    fn run(&self, context: &mut KernelContext<'_>) -> Result<()> {
        self.run_with(context, &[])
    }

    fn ability(&self) -> Ability<'_> {
        Ability::Holds(self)
    }
}

impl Hold for Reduce {
    /// Iterates over the dataset and outputs the last state, after a check of its dtypes and shapes.
    fn run_with(&self, context: &mut KernelContext<'_>, functions: &[Arc<dyn Body>]) -> Result<()> {
        let build = Build { node: &self.node, names: &["f"], functions, context };
        let (dataset, function) = (build.input()?, build.function("f", "other_arguments")?);
        let mut state = build.tensors("initial_state");
        whole(context, &dataset, |run, element| {
            // The state is kept for the case that the call fails; the values themselves are shared.
            let mut arguments = state.clone();
            arguments.extend(element);
            state = function.call(run, arguments)?;
            Ok(true)
        })?;
        deliver(context, &self.node.types, &self.node.shapes, state)
    }
}

/// Writes the strings of a dataset as records.
///
/// # Errors
///
/// `InvalidArgument` for elements that are not one string component or an unknown compression; the error of
/// the session's policy for files; `Unknown` if writing fails.
fn to_records(context: &mut KernelContext<'_>) -> Result<()> {
    let dataset = Handle::of(context.input(0))?.dataset.clone();
    let text = |index: usize| {
        let text = context.input(index).as_strings()?.first().cloned();
        text.ok_or_else(|| Error::invalid_argument(format!("input {index} is empty")))
    };
    let (name, compression) = (text(1)?, text(2)?);
    let path = path(&name);
    let failed = |error: &dyn std::fmt::Display| {
        Error::new(Code::Unknown, format!("could not write '{}': {error}", path.display()))
    };
    // Before the file is created: a refused path leaves nothing behind.
    context.files().check_write(&path)?;
    let create = || File::create(&path).map(BufWriter::new).map_err(|error| failed(&error));
    let level = flate2::Compression::default();
    let file = match &compression[..] {
        b"" => RecordFile::Plain(create()?),
        b"GZIP" => RecordFile::Gzip(GzEncoder::new(create()?, level)),
        b"ZLIB" => RecordFile::Zlib(ZlibEncoder::new(create()?, level)),
        other => {
            let text = format!("Unsupported compression_type '{}'.", String::from_utf8_lossy(other));
            return Err(Error::invalid_argument(text));
        }
    };
    let mut records = RecordWriter::new(file);
    whole(context, &dataset, |_, element| {
        let [component] = element.as_slice() else {
            return Err(Error::invalid_argument("records need elements of one string"));
        };
        if component.dtype() != DType::String {
            let text = format!(
                "ToTFRecordOp currently only supports DT_STRING dataypes, but got {}",
                element::name(component.dtype())
            );
            return Err(Error::invalid_argument(text));
        }
        for record in component.as_strings()? {
            records.write(record).map_err(|error| failed(&error))?;
        }
        Ok(true)
    })?;
    records.into_inner().finish().map_err(|error| failed(&error))
}

/// A file of records, plain or compressed.
enum RecordFile {
    /// No compression.
    Plain(BufWriter<File>),
    /// Compressed with a gzip header.
    Gzip(GzEncoder<BufWriter<File>>),
    /// Compressed with a zlib header.
    Zlib(ZlibEncoder<BufWriter<File>>),
}

impl RecordFile {
    /// Writes what is left, and the end of a compressed file.
    fn finish(self) -> io::Result<()> {
        // Dropping a compressing writer would swallow the errors of its last block.
        match self {
            RecordFile::Plain(file) => Ok(file),
            RecordFile::Gzip(file) => file.finish(),
            RecordFile::Zlib(file) => file.finish(),
        }?
        .flush()
    }
}

impl Write for RecordFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            RecordFile::Plain(file) => file.write(bytes),
            RecordFile::Gzip(file) => file.write(bytes),
            RecordFile::Zlib(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            RecordFile::Plain(file) => file.flush(),
            RecordFile::Gzip(file) => file.flush(),
            RecordFile::Zlib(file) => file.flush(),
        }
    }
}
