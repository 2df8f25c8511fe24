//! Every sample: shapes and dtypes of the gradients, with all, some and none of the shapes known.
#![allow(clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use ops::samples::{Built, Known, Sample, is_differentiable, samples};
use ops::{gradients, library};
use session_core::{Gradient, Graph, OpDef, Output};
use std::collections::HashSet;

const KNOWN: [Known; 3] = [Known::Shapes, Known::Ranks, Known::Nothing];

/// Builds a sample and its gradients, finalizes the graph, and returns what was differentiated and the gradients.
fn build(sample: &Sample, known: Known) -> (Built, Vec<Option<Output>>) {
    let graph = Graph::new();
    let built = sample.build(&graph, known);
    graph.check().unwrap_or_else(|error| panic!("{} ({known:?}): {error:?}", sample.name));
    let ys: Vec<Output> = built.outputs.iter().filter(|y| is_differentiable(y.dtype())).cloned().collect();
    let xs: Vec<Output> = built.inputs.iter().map(|(x, _)| x.clone()).collect();
    let grads = if ys.is_empty() || xs.is_empty() {
        vec![None; xs.len()]
    } else {
        gradients(&ys, &xs).unwrap_or_else(|error| panic!("{} ({known:?}): {error:?}", sample.name))
    };
    graph.finalize().unwrap_or_else(|error| panic!("{} ({known:?}): {error:?}", sample.name));
    (built, grads)
}

#[test]
fn gradients_have_the_dtypes_and_shapes_of_their_targets() {
    for sample in samples() {
        for known in KNOWN.into_iter().filter(|&known| sample.builds_with(known)) {
            let (built, grads) = build(&sample, known);
            for ((x, _), grad) in built.inputs.iter().zip(grads) {
                let Some(grad) = grad else { continue };
                let place = format!("{} ({known:?}), gradient of {}", sample.name, x.name());
                assert_eq!(grad.dtype(), x.dtype(), "{place}");
                assert!(grad.shape().merge(x.shape()).is_some(), "{place}: {} {}", grad.shape(), x.shape());
                // Sizes that are computed leave the gradient's open.
                if known == Known::Shapes && built.others.is_empty() {
                    assert_eq!(grad.shape(), x.shape(), "{place}");
                }
            }
        }
    }
}

/// Returns, for each operation, a number that connected operations share.
fn components(graph: &Graph) -> Vec<usize> {
    let operations = graph.operations();
    let mut component: Vec<usize> = (0..operations.len()).collect();
    for operation in &operations {
        let inputs = operation.inputs().into_iter().map(|input| input.operation().id() as usize);
        for input in inputs {
            let (one, other) = (component[input], component[operation.id() as usize]);
            component.iter_mut().filter(|number| **number == other).for_each(|number| *number = one);
        }
    }
    component
}

#[test]
fn inputs_of_two_graphs_are_an_error_of_both() {
    let mut checked = 0;
    for sample in samples() {
        let graph = Graph::new();
        let built = sample.build(&graph, Known::Shapes);
        let component = components(&graph);
        let of = |name: &str| component[graph.operation(name).unwrap().id() as usize];
        let mut placeholders: Vec<(u32, String)> = [&built.inputs, &built.others]
            .into_iter()
            .flatten()
            .map(|(x, _)| (x.operation().id(), x.operation().name().to_owned()))
            .collect();
        placeholders.sort();
        for (number, (_, name)) in placeholders.iter().enumerate() {
            let connected = placeholders.iter().filter(|(_, other)| of(other) == of(name)).count();
            if connected < 2 {
                continue;
            }
            let (graph, other) = (Graph::new(), Graph::new());
            let _ = sample.build_across(&graph, &other, number);
            for (graph, whose) in [(&graph, "its own"), (&other, "the other")] {
                let error = graph.check().expect_err(&format!("{} with {name}: {whose} graph", sample.name));
                assert!(error.message().contains("another graph"), "{} with {name}: {error}", sample.name);
            }
            checked += 1;
        }
    }
    assert!(checked > 300, "{checked}");
}

#[test]
fn names_are_unique_and_begin_with_their_op_type() {
    let mut names = HashSet::new();
    for sample in samples() {
        assert!(names.insert(sample.name), "{} appears twice", sample.name);
    }
}

/// The op types of the families that the samples are about.
fn covered_families() -> Vec<&'static OpDef> {
    let families = ["array", "image", "math", "nn", "rnn", "signal", "sparse"];
    library().families().filter(|(name, _)| families.contains(name)).flat_map(|(_, defs)| defs).collect()
}

/// Without a sample, because TensorFlow refuses new graphs with them, or runs them on GPUs alone.
const DEPRECATED: [&str; 23] = [
    "AdjustContrast",
    "BatchCholesky",
    "BatchFFT",
    "BatchFFT2D",
    "BatchFFT3D",
    "BatchIFFT",
    "BatchIFFT2D",
    "BatchIFFT3D",
    "BatchMatrixBandPart",
    "BatchMatrixDeterminant",
    "BatchMatrixDiag",
    "BatchMatrixDiagPart",
    "BatchMatrixInverse",
    "BatchMatrixSetDiag",
    "BatchMatrixSolve",
    "BatchMatrixTriangularSolve",
    "BatchNormWithGlobalNormalization",
    "BatchSelfAdjointEig",
    "BatchSelfAdjointEigV2",
    "BatchSvd",
    "CTCLossV2",
    "SelfAdjointEig",
    "TopK",
];

#[test]
fn every_definition_with_a_gradient_has_a_sample() {
    let mut seen: HashSet<String> = DEPRECATED.map(str::to_owned).into();
    for sample in samples() {
        let graph = Graph::new();
        let _ = sample.build(&graph, Known::Shapes);
        seen.extend(graph.operations().iter().map(|operation| operation.op_type().to_owned()));
    }
    let missing: Vec<&str> = covered_families()
        .into_iter()
        .filter(|def| !matches!(def.gradient_rule(), Gradient::Zero | Gradient::Undefined))
        .map(OpDef::name)
        .filter(|name| !seen.contains(*name))
        .collect();
    assert!(missing.is_empty(), "no sample of {missing:?}");
}

#[test]
fn operations_and_gradients_carry_the_location_of_their_caller() {
    let mut elsewhere = Vec::new();
    for sample in samples() {
        let (built, _) = build(&sample, Known::Shapes);
        for operation in built.outputs[0].graph().operations() {
            let place = operation.location();
            if !place.file().contains("samples") {
                let name = operation.name();
                elsewhere.push(format!(
                    "{}: '{name}' is made at {}:{}",
                    sample.name,
                    place.file(),
                    place.line()
                ));
            }
        }
    }
    assert!(elsewhere.is_empty(), "{}", elsewhere.join("\n"));
}
