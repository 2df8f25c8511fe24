//! The op library's own table of samples: outputs, our gradients on both engines, and TensorFlow's gradients.

use crate::compare::difference;
use crate::engines::{Engines, Outcome, Report};
use ops::math;
use ops::samples::{Built, Known, Sample, is_differentiable, samples};
use session_core::{Graph, Output, SessionExt, Tensor};

/// Samples whose values differ for a reason.
const DIFFERENT: &[(&str, &str)] = &[];

/// Samples whose gradients by the rules of TensorFlow's C++ library differ from those of its Python, which ours are.
const OTHER_RULES: &[(&str, &str)] = &[
    ("Atan2 broadcast", "the C++ rule does not sum over what was broadcast"),
    ("LRN", "the C++ rule takes the attributes' defaults"),
];

pub(crate) fn run(engines: &Engines, report: &mut Report) {
    for sample in samples() {
        for known in [Known::Shapes, Known::Nothing] {
            if sample.builds_with(known) {
                check(engines, &sample, known, report);
            }
        }
    }
}

fn feeds(built: &Built) -> Vec<(Output, Tensor)> {
    built.inputs.iter().chain(&built.others).cloned().collect()
}

fn check(engines: &Engines, sample: &Sample, known: Known, report: &mut Report) {
    let graph = Graph::new();
    let built = sample.build(&graph, known);
    let name = format!("{} ({known:?})", sample.name);
    let excuse = DIFFERENT.iter().find(|(different, _)| *different == sample.name).map(|(_, reason)| *reason);
    let feeds = feeds(&built);
    let pair = match engines.open(&graph) {
        Ok(pair) => pair,
        Err(error) => return report.fail(&name, error.to_string()),
    };
    report.add(&name, &built.outputs, pair.compare(&built.outputs, &feeds, 1.0), excuse);
    let ys: Vec<Output> = built.outputs.iter().filter(|y| is_differentiable(y.dtype())).cloned().collect();
    let xs: Vec<Output> = built.inputs.iter().map(|(x, _)| x.clone()).collect();
    if ys.is_empty() || xs.is_empty() {
        return;
    }
    // The cubes are summed, because the sum of the outputs, or of their squares, may be constant.
    let cubed = |y: Output| if y.dtype().is_floating() { math::mul(math::mul(&y, &y), &y) } else { y };
    let ys: Vec<Output> = ys.into_iter().map(cubed).collect();
    let gradients = match ops::gradients(&ys, &xs) {
        Ok(gradients) => gradients,
        Err(error) => return report.fail(&name, format!("no gradients: {error}")),
    };
    let found: Vec<Output> = gradients.iter().flatten().cloned().collect();
    report.add(&format!("gradient of {name}"), &found, pair.compare(&found, &feeds, 4.0), excuse);
    // The rules of TensorFlow's C++ library, where it has them.
    let Ok(theirs) = pair.theirs.native_gradients(&ys, &xs, &feeds) else { return };
    let Ok(values) = pair.ours.run(&found, feeds) else { return };
    let mut values = values.into_iter();
    for (i, (gradient, theirs)) in gradients.iter().zip(theirs).enumerate() {
        let ours = gradient.as_ref().and_then(|_| values.next());
        let outcome = match (ours, theirs) {
            (Some(ours), Some(theirs)) => match difference(&ours, &theirs, 16.0) {
                None => Outcome::Same,
                Some(how) => Outcome::Different(how),
            },
            // A gradient of zeros may be left out.
            _ => continue,
        };
        let other = OTHER_RULES.iter().find(|(different, _)| *different == sample.name);
        let excuse = other.map(|(_, reason)| *reason);
        report.add(&format!("rule of the gradient {i} of {name}"), &[], outcome, excuse);
    }
}
