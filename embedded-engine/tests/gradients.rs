//! Every gradient of the op library against finite differences in f64, over the library's table of samples.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen

use embedded_engine::EmbeddedEngine;
use ops::samples::{Built, Known, Sample, samples};
use ops::{array, math};
use session_core::{
    Code, DType, Engine, Error, Graph, Output, Result, Session, SessionConfig, SessionExt, Tensor,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The distance of the points that a difference is taken between.
const STEP: f64 = 1e-5;
/// The tolerance for rounding and curvature, relative to the larger of the gradient and 1.
const TOLERANCE: f64 = 2e-6;

/// Kernels that the samples need and the engine lacks, such as three-dimensional convolutions; printed by the test. The
/// number may only go down.
const MISSING: usize = 1;

/// A scalar that depends on every element of every output, by a different factor each.
fn scalar(graph: &Graph, outputs: &[Output], shapes: &[Vec<usize>]) -> Output {
    let mut factor = 0.3f64;
    let parts: Vec<Output> = outputs
        .iter()
        .zip(shapes)
        .filter(|(output, _)| output.dtype() == DType::Float64)
        .map(|(output, shape)| {
            let count = shape.iter().product();
            let weights: Vec<f64> = std::iter::repeat_with(|| {
                factor = (factor * 1.7 + 0.21) % 1.0;
                factor - 0.4
            })
            .take(count)
            .collect();
            let weights = array::constant(graph, Tensor::from_vec(weights, shape.clone()).unwrap());
            math::reduce_sum(output * &weights, ..)
        })
        .collect();
    if parts.is_empty() { array::constant(graph, 0f64) } else { math::add_n(&parts) }
}

struct Case {
    session: Arc<dyn Session>,
    built: Built,
    loss: Output,
}

impl Case {
    fn new(sample: &Sample, known: Known) -> Result<Case> {
        let graph = Graph::new();
        let built = sample.build(&graph, known);
        let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::with_threads(1))?;
        let values = session.run(&built.outputs, feeds(&built))?;
        let shapes: Vec<Vec<usize>> = values.iter().map(|value| value.shape().to_vec()).collect();
        let loss = scalar(&graph, &built.outputs, &shapes);
        Ok(Case { session, built, loss })
    }

    /// Without anything to differentiate, the test only shows that it runs.
    fn is_differentiable(&self) -> bool {
        let doubles = self.built.outputs.iter().any(|output| output.dtype() == DType::Float64);
        doubles && !self.built.inputs.is_empty()
    }

    fn inputs(&self) -> Vec<Output> {
        self.built.inputs.iter().map(|(input, _)| input.clone()).collect()
    }

    /// Returns the same with a loss that depends on each element of the gradients, which are those of a sum that is not linear
    /// in the outputs. None where there are no gradients.
    fn of_gradients(mut self) -> Result<Option<Case>> {
        let squares =
            self.built.outputs.iter().filter(|output| output.dtype() == DType::Float64).map(math::square);
        let ys: Vec<Output> = squares.chain([self.loss.clone()]).collect();
        let found: Vec<Output> = ops::gradients(&ys, &self.inputs())?.into_iter().flatten().collect();
        if found.is_empty() {
            return Ok(None);
        }
        let values = self.session.run(&found, feeds(&self.built))?;
        let shapes: Vec<Vec<usize>> = values.iter().map(|value| value.shape().to_vec()).collect();
        self.loss = scalar(&self.loss.graph(), &found, &shapes);
        Ok(Some(self))
    }

    fn loss(&self, feeds: Vec<(Output, Tensor)>) -> Result<f64> {
        Ok(self.session.run(&self.loss, feeds)?.value()?)
    }

    /// The central difference for one element of one input.
    fn difference(&self, input: usize, element: usize) -> Result<f64> {
        let at = |offset: f64| {
            let mut feeds = feeds(&self.built);
            let mut values: Vec<f64> = feeds[input].1.to_vec()?;
            values[element] += offset;
            feeds[input].1 = Tensor::from_vec(values, feeds[input].1.shape())?;
            self.loss(feeds)
        };
        Ok((at(STEP)? - at(-STEP)?) / (2.0 * STEP))
    }
}

fn feeds(built: &Built) -> Vec<(Output, Tensor)> {
    built.inputs.iter().chain(&built.others).cloned().collect()
}

/// Checks one sample; the error names what is wrong.
fn check(sample: &Sample, known: Known) -> Result<(), Error> {
    let case = Case::new(sample, known)?;
    if case.is_differentiable() { compare(sample, &case) } else { Ok(()) }
}

/// Checks the gradients of the loss of one sample.
fn compare(sample: &Sample, case: &Case) -> Result<(), Error> {
    let gradients = ops::gradients(std::slice::from_ref(&case.loss), &case.inputs())?;
    for (i, gradient) in gradients.into_iter().enumerate() {
        let found = match gradient {
            Some(gradient) => case.session.run(&gradient, feeds(&case.built))?.to_vec::<f64>()?,
            // An operation without a gradient does not change with its input, or declares so.
            None if sample.op_type() == "StopGradient" => continue,
            None => vec![0.0; case.built.inputs[i].1.elements()],
        };
        for (element, &found) in found.iter().enumerate() {
            let expected = case.difference(i, element)?;
            let error = (found - expected).abs() / expected.abs().max(1.0);
            if error.is_nan() || error > TOLERANCE {
                return Err(Error::value(format!(
                    "input {i}[{element}]: {found}, finite differences: {expected}"
                )));
            }
        }
    }
    Ok(())
}

#[test]
fn gradients_equal_finite_differences() {
    let (mut wrong, mut checked, mut missing) = (Vec::new(), 0, BTreeSet::new());
    for sample in samples().iter().filter(|sample| sample.is_numerical()) {
        for known in [Known::Shapes, Known::Ranks, Known::Nothing] {
            if !sample.builds_with(known) {
                continue;
            }
            match check(sample, known) {
                Ok(()) => checked += 1,
                Err(error) if error.code() == Code::Unimplemented => {
                    missing.insert(error.message().to_owned());
                }
                Err(error) => wrong.push(format!("{} ({known:?}): {error}", sample.name)),
            }
        }
    }
    println!("{checked} gradients are right; {} wrong; missing: {missing:#?}", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(missing.len() <= MISSING, "{missing:#?}");
}

/// The op types whose gradients TensorFlow registers.
const REGISTERED: &str = include_str!("../../ops/tests/registered/tf_gradients.txt");

/// Operations that compute gradients and have none themselves, here and in TensorFlow.
const ONCE: &[&str] = &[
    "Dilation2DBackpropFilter",
    "FractionalAvgPoolGrad",
    "FractionalMaxPoolGrad",
    "IgammaGradA",
    "MaxPoolGradWithArgmax",
    "ResizeNearestNeighborGrad",
    "SoftsignGrad",
    "SparseSegmentMeanGrad",
    "SparseSegmentSqrtNGrad",
];

/// Samples whose second gradients by TensorFlow's rules differ from finite differences.
const OTHER: &[(&str, &str)] = &[
    ("Prod with zeros", "the rule of cumulative products divides by the elements"),
    ("SegmentProd with zeros", "two zeros have a product of gradients"),
    ("Mean and SquaredDifference, as moments", "the mean counts as constant in the variance"),
];

#[test]
fn second_gradients_equal_finite_differences() {
    let (mut wrong, mut checked, mut once) = (Vec::new(), 0, BTreeSet::new());
    for sample in samples().iter().filter(|sample| sample.is_numerical()) {
        let second = || -> Result<bool> {
            let case = Case::new(sample, Known::Shapes)?;
            let other = OTHER.iter().any(|(name, _)| *name == sample.name);
            if !case.is_differentiable() || sample.op_type() == "StopGradient" || other {
                return Ok(false);
            }
            let Some(case) = case.of_gradients()? else { return Ok(false) };
            compare(sample, &case).map(|()| true)
        };
        match second() {
            Ok(some) => checked += usize::from(some),
            Err(error) if error.code() == Code::Unimplemented => {}
            Err(error) if error.message().starts_with("no gradient is defined") => {
                let (_, op_type) = error.message().rsplit_once('(').unwrap();
                once.insert(op_type.trim_end_matches(')').to_owned());
            }
            Err(error) => wrong.push(format!("{}: {error}", sample.name)),
        }
    }
    println!("{checked} second gradients are right; {} wrong; without: {once:#?}", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(once.iter().collect::<Vec<_>>(), ONCE);
    let registered: Vec<&String> =
        once.iter().filter(|once| REGISTERED.lines().any(|line| line == **once)).collect();
    assert!(registered.is_empty(), "TensorFlow has gradients of {registered:?}");
}
