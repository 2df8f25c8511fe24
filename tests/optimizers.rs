//! Optimizers around optimizers in whole trainings: interrupted ones, evaluation and export with averages.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used)] // a panic is the report

use monitored_session::checkpoint::load_variable;
use monitored_session::hooks::EvaluatorHook;
use monitored_session::ops::optimizers::{
    AdamOptimizer, ExponentialMovingAverage, GradientAccumulation, GradientDescentOptimizer,
    MovingAverageOptimizer, Optimizer,
};
use monitored_session::ops::{array, global_step, math, variables};
use monitored_session::prelude::*;
use monitored_session::saved_model::{MetaGraphOptions, SavedModelBuilder, predict_signature_def};
use monitored_session::session_core::keys;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// A line through a point that depends on the step.
struct Model {
    graph: Graph,
    x: Output,
    y: Output,
    loss: Output,
    w: Variable,
    step: Variable,
}

fn model() -> Model {
    let graph = Graph::new();
    let step = global_step::get_or_create_global_step(&graph);
    let x = array::placeholder(&graph.named("x"), DType::Float32, [None]);
    let w = variables::variable(&graph.named("w"), 1f32);
    let y = &x * &w;
    let target = math::cast(&step, DType::Float32);
    let loss = math::reduce_mean(math::square(&y - &target), ..);
    Model { graph, x, y, loss, w, step }
}

/// Trains up to this step, from what the folder has; returns all variables.
fn train(model: &Model, train_op: &Operation, dir: &Path, last: i64) -> Vec<Tensor> {
    let mut session = SingularMonitoredSession::builder(&model.graph)
        .checkpoint_dir(dir)
        .hook(CheckpointSaverHook::every_steps(dir, 1000))
        .hook(StopAtStepHook::last_step(last))
        .build()
        .unwrap();
    while !session.should_stop() {
        session.run(train_op, [(&model.x, vec![1f32, 2.0])]).unwrap();
    }
    let values = session.run_without_hooks(&model.graph.collection(&keys::VARIABLES), ()).unwrap();
    session.close().unwrap();
    values
}

#[test]
fn accumulation_resumes_within_a_window() {
    let build = || {
        let model = model();
        let optimizer = GradientAccumulation::new(AdamOptimizer::new(0.1), 3);
        let train_op = optimizer.minimize(&model.loss, Some(&model.step));
        (model, train_op)
    };
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (whole, train_op) = build();
    let expected = train(&whole, &train_op, folders[0].path(), 11);
    for last in [4, 5, 11] {
        // Each time as another process.
        let (part, train_op) = build();
        let found = train(&part, &train_op, folders[1].path(), last);
        if last == 11 {
            assert_eq!(found, expected);
        }
    }
}

#[test]
fn averages_are_evaluated_saved_and_exported_in_place_of_weights() {
    let model = model();
    let optimizer = MovingAverageOptimizer::new(GradientDescentOptimizer::new(0.05), 0.5);
    let train_op = optimizer.minimize(&model.loss, Some(&model.step));
    let average = optimizer.average().average(&model.w).unwrap();

    let seen = Arc::new(Mutex::new(Vec::new()));
    let (log, w, failing) = (Arc::clone(&seen), model.w.clone(), Arc::new(Mutex::new(false)));
    let fails = Arc::clone(&failing);
    let evaluator = EvaluatorHook::every_steps(1, move |session| {
        log.lock().unwrap().push(session.run(&w, ())?.value::<f32>()?);
        match *fails.lock().unwrap() {
            true => Err(monitored_session::session_core::Error::value("no data")),
            false => Ok(Vec::new()),
        }
    });
    let evaluator =
        evaluator.at_end(false).weights(optimizer.average().averages(std::slice::from_ref(&model.w)));
    let mut session = SingularMonitoredSession::builder(&model.graph).hook(evaluator).build().unwrap();
    let feed = || [(&model.x, vec![1f32, 2.0])];
    for _ in 0..3 {
        session.run(&train_op, feed()).unwrap();
        let (w, average) = session.run_without_hooks((&model.w, &average), ()).unwrap();
        let (w, average) = (w.value::<f32>().unwrap(), average.value::<f32>().unwrap());
        assert_eq!(seen.lock().unwrap().last(), Some(&average));
        assert_ne!(w, average, "the variable has its own value again");
    }
    *failing.lock().unwrap() = true;
    let error = session.run(&train_op, feed()).unwrap_err();
    assert!(error.to_string().contains("no data"), "{error}");
    let (w, last) = session.run_without_hooks((&model.w, &average), ()).unwrap();
    assert_ne!(w, last, "also after an evaluation that failed");
    assert_eq!(seen.lock().unwrap().last().copied(), Some(last.value::<f32>().unwrap()));

    // In a checkpoint each has the name of the other.
    let folder = tempfile::tempdir().unwrap();
    let raw = session.raw_session().unwrap();
    let saver = GraphSaver::of(optimizer.swapping_variables(&model.graph), SaverOptions::default()).unwrap();
    let path = saver.save(raw, folder.path().join("swapped"), None).unwrap();
    assert_eq!(load_variable(&path, "w").unwrap(), last);
    assert_eq!(load_variable(&path, "w/ExponentialMovingAverage").unwrap(), w);

    // An exported model has the averages as its weights.
    let signature = predict_signature_def([("x", &model.x)], [("y", &model.y)]).unwrap();
    let options = MetaGraphOptions::new().signature("serving_default", signature);
    let options = options.weights(optimizer.average().averages(std::slice::from_ref(&model.w)));
    let mut builder = SavedModelBuilder::new(folder.path().join("export")).unwrap();
    builder.add_meta_graph_and_variables(raw, ["serve"], &options).unwrap();
    builder.save().unwrap();
    drop(session);
    let served = SavedModel::load(folder.path().join("export"), ["serve"]).unwrap();
    let answer = served.signature("serving_default").unwrap().run([("x", vec![2f32])]).unwrap();
    let expected = 2.0 * last.value::<f32>().unwrap();
    assert_eq!(answer.tensor("y").unwrap(), &Tensor::from([expected]));
}

#[test]
fn averages_of_only_some_variables_are_found() {
    let graph = Graph::new();
    let [a, b] = ["a", "b"].map(|name| variables::variable(&graph.named(name), 1f32));
    let average = ExponentialMovingAverage::new(0.9);
    average.apply(&graph, std::slice::from_ref(&a));
    let all = [a.clone(), b.clone()];
    assert_eq!(average.averages(&all), [(a.clone(), average.average(&a).unwrap())]);
}
