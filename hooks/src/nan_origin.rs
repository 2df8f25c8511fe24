//! The origin of NaN and infinite values.

use session_core::{DType, Endpoint, Graph, Operation, Output, Tensor};
use std::collections::BTreeMap;
use tensor::{Element, bf16, f16};

/// The floating-point values from which a loss is computed, operation by operation, to be fetched with it.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    /// The outputs in the order of creation, so an operation comes after its inputs.
    outputs: Vec<Output>,
}

/// Values behind these operations may never be computed; fetching one would make the run fail.
const BORDERS: [&str; 8] =
    ["Switch", "RefSwitch", "Merge", "RefMerge", "Enter", "RefEnter", "Exit", "NextIteration"];

impl Origin {
    pub(crate) fn of(graph: &Graph, loss: &Output) -> Origin {
        let mut found: BTreeMap<u32, Operation> = BTreeMap::new();
        let mut open = vec![loss.operation().clone()];
        while let Some(operation) = open.pop() {
            let inside = !BORDERS.contains(&operation.op_type());
            // Values before a border are fetched up to the border itself and no further.
            if found.insert(operation.id(), operation.clone()).is_none() && inside {
                open.extend(operation.inputs().iter().map(|input| input.operation().clone()));
            }
        }
        let always_computed = |operation: &Operation| {
            // A `Merge` forwards whichever branch was taken and an `Exit` the last iteration, so both
            // have a value in every run. The others may be dead.
            matches!(operation.op_type(), "Merge" | "Exit") || !BORDERS.contains(&operation.op_type())
        };
        let fetched = found
            .into_values()
            .filter(|operation| always_computed(operation) && graph.is_fetchable(operation));
        let outputs = fetched.flat_map(|operation| operation.outputs());
        // Integers cannot be NaN, and the values of references are those of the operations that read
        // them.
        let outputs = outputs.filter(|output| output.dtype().is_floating() && !output.is_ref()).collect();
        Origin { outputs }
    }

    pub(crate) fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// Describes the first operation that has a NaN or infinite output although all its inputs are finite.
    pub(crate) fn find<'v>(&self, values: impl Iterator<Item = &'v Tensor>) -> Option<String> {
        let bad: Vec<(&Output, &Tensor)> =
            self.outputs.iter().zip(values).filter(|(_, value)| not_finite(value) > 0).collect();
        let is_bad = |input: &Endpoint| bad.iter().any(|(output, _)| output.endpoint() == *input);
        let (output, value) =
            // An operation with a bad input may only have passed it on. A variable that is already NaN is
            // found as well: the input of its read is a handle or a reference, which is not among the
            // outputs.
            bad.iter().find(|(output, _)| !output.operation().input_endpoints().iter().any(is_bad))?;
        let operation = output.operation();
        let count = not_finite(value);
        let (all, op_type) = (value.elements(), operation.op_type());
        Some(format!(
            "first in '{}' ({op_type}, {}): {count} of {all} value(s)",
            output.name(),
            operation.place_text()
        ))
    }
}

/// Counts the elements that are NaN or infinite.
fn not_finite(value: &Tensor) -> usize {
    fn of<T: Element + Copy>(value: &Tensor, is_finite: impl Fn(T) -> bool) -> usize {
        // An empty slice if the dtype does not match, which the caller's `match` rules out.
        let elements = value.as_slice::<T>().unwrap_or_default();
        elements.iter().filter(|&&element| !is_finite(element)).count()
    }
    match value.dtype() {
        DType::Float32 => of(value, f32::is_finite),
        DType::Float64 => of(value, f64::is_finite),
        DType::Float16 => of(value, f16::is_finite),
        DType::BFloat16 => of(value, bf16::is_finite),
        _ => 0,
    }
}
