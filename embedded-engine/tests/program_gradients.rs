//! Gradients that are built here through the trainings that TensorFlow exported (`graphs/make_programs.py`) are TensorFlow's, for every
//! variable that TensorFlow trains in them: those that it recorded as `gradient_of_NAME`, and those that its optimizers are given.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen

use crate::graphs;
use crate::graphs::{difference, tensor};
use embedded_engine::EmbeddedEngine;
use ops::gradients;
use session_core::{
    Code, Engine, Graph, Operation, Output, Result, Session, SessionConfig, SessionExt, Tensor,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The function of a gradient that Python code registers is not part of the file.
const LOST: &str = "program_custom_gradients";
/// It only predicts.
const WITHOUT_LOSS: &str = "program_beam_search";

/// One graph, and the first step that TensorFlow ran in it.
struct Program {
    graph: Graph,
    recorded: serde_json::Value,
}

/// A gradient of TensorFlow.
enum Expected {
    Dense(Output),
    /// Rows and their indices.
    Sparse(Output, Output),
}

impl Program {
    fn load(name: &str) -> Program {
        Program { graph: graphs::import(name).unwrap(), recorded: graphs::recorded(name) }
    }

    fn session(&self) -> Arc<dyn Session> {
        let session =
            EmbeddedEngine::new().new_session(&self.graph, "", &SessionConfig::with_threads(1)).unwrap();
        session.run(&self.graph.operation("initialize_all").unwrap(), ()).unwrap();
        session
    }

    fn feeds(&self) -> Vec<(Output, Tensor)> {
        let feeds = self.recorded["steps"][0]["feeds"].as_object().unwrap();
        feeds.iter().map(|(name, value)| (self.graph.output(name).unwrap(), tensor(value))).collect()
    }

    fn loss(&self) -> Output {
        self.graph.output("loss:0").unwrap()
    }

    /// The gradients of the first step as TensorFlow recorded them, by the names of variables or placeholders.
    fn recorded_gradients(&self) -> BTreeMap<String, Tensor> {
        let step = &self.recorded["steps"][0];
        let names = step["fetches"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
        let of = |name: &str| Some(name.strip_prefix("gradient_of_")?.strip_suffix(":0")?.to_owned());
        let values = step["values"].as_array().unwrap().iter();
        names.zip(values).filter_map(|(name, value)| Some((of(name)?, tensor(value)))).collect()
    }

    /// The gradients that the optimizer of the graph is given, by the names of the variables.
    fn optimized(&self) -> BTreeMap<String, Expected> {
        let mut found = BTreeMap::new();
        for operation in self.graph.operations() {
            let op_type = operation.op_type().strip_prefix("Resource").unwrap_or(operation.op_type());
            let dense = |index: usize| Expected::Dense(before_clipping(operation.input(index)));
            let gradient = match op_type {
                "ApplyAdam" => dense(9),
                "ApplyMomentum" | "ApplyAdagrad" | "ApplyFtrl" => dense(3),
                "ApplyRMSProp" => dense(7),
                "ApplyGradientDescent" => dense(2),
                "SparseApplyAdagrad" => Expected::Sparse(operation.input(3), operation.input(4)),
                _ => continue,
            };
            found.insert(operation.input(0).operation().name().to_owned(), gradient);
        }
        found
    }
}

/// The gradient that `clip_by_global_norm` was given.
fn before_clipping(gradient: Output) -> Output {
    let operation: Operation = gradient.operation().clone();
    match operation.name().starts_with("clip_by_global_norm") {
        true => before_clipping(operation.input(0)),
        false => gradient,
    }
}

/// The rows where they belong, in zeros.
fn densified(rows: &Tensor, indices: &Tensor, like: &Tensor) -> Tensor {
    let mut all = vec![0f32; like.elements()];
    let width = like.elements() / like.shape()[0];
    let rows = rows.to_vec::<f32>().unwrap();
    for (row, index) in rows.chunks(width).zip(indices.to_vec::<i32>().unwrap()) {
        for (sum, value) in all[index as usize * width..].iter_mut().zip(row) {
            *sum += value;
        }
    }
    Tensor::from_vec(all, like.shape()).unwrap()
}

/// Compares all gradients of one program; returns how many they are.
fn check(name: &str) -> Result<std::result::Result<usize, String>> {
    let program = Program::load(name);
    let (recorded, optimized) = (program.recorded_gradients(), program.optimized());
    let mut names: Vec<&String> = recorded.keys().chain(optimized.keys()).collect();
    names.sort();
    names.dedup();
    let xs: Vec<Output> =
        names.iter().map(|name| program.graph.output(&format!("{name}:0"))).collect::<Result<_>>()?;
    let ours = gradients(&[program.loss()], &xs)?;
    let missing: Vec<&&String> =
        names.iter().zip(&ours).filter(|(_, our)| our.is_none()).map(|(x, _)| x).collect();
    if !missing.is_empty() {
        return Ok(Err(format!("no gradient of {missing:?}")));
    }
    let ours: Vec<Output> = ours.into_iter().flatten().collect();
    let (session, feeds) = (program.session(), program.feeds());
    let found = session.run(&ours, &feeds)?;
    for (name, found) in names.iter().zip(&found) {
        if let Some(text) = recorded.get(*name).and_then(|expected| difference(found, expected)) {
            return Ok(Err(format!("{name}: {text}")));
        }
        let expected = match optimized.get(*name) {
            None => continue,
            Some(Expected::Dense(gradient)) => session.run(gradient, &feeds)?,
            Some(Expected::Sparse(rows, indices)) => {
                let (rows, indices) = session.run((rows, indices), &feeds)?;
                densified(&rows, &indices, found)
            }
        };
        if let Some(text) = difference(found, &expected) {
            return Ok(Err(format!("{name}: {text}, which the optimizer is given")));
        }
    }
    Ok(Ok(names.len()))
}

#[test]
fn gradients_through_exported_trainings_are_tensorflows() {
    let programs: Vec<String> = graphs::names()
        .into_iter()
        .filter(|name| name.starts_with("program_") && name != LOST && name != WITHOUT_LOSS)
        .collect();
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for name in &programs {
        match check(name) {
            Ok(Ok(count)) => checked += count,
            Ok(Err(text)) => wrong.push(format!("{name}: {text}")),
            Err(error) => wrong.push(format!("{name}: {}", error.chain())),
        }
    }
    println!("{checked} gradients of {} programs", programs.len());
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), programs.len(), wrong.join("\n"));
    assert!(programs.len() >= 14 && checked >= 48, "{checked} gradients of {} programs", programs.len());
}

#[test]
fn a_registered_gradient_that_the_file_lacks_is_an_error() {
    let program = Program::load(LOST);
    let w = program.graph.output("w:0").unwrap();
    let error = gradients(&[program.loss()], &[w]).unwrap_err();
    assert_eq!(error.code(), Code::NotFound, "{error}");
    assert!(error.chain().to_string().contains("CustomGradient-"), "{}", error.chain());
}
