//! Evaluating a model whose training differs from its use: dropout and batch normalization.

use hooks::{EvaluatorHook, StopAtStepHook};
use monitored::SingularMonitoredSession;
use ops::array::{constant, placeholder_with_default};
use ops::layers::{BatchNormalizationOptions, LayerOptions, Training, batch_normalization, dense, dropout};
use ops::math::{reduce_mean, square};
use ops::optimizers::{GradientDescentOptimizer, Optimizer};
use session_core::{Graph, Output, PartialShape, Reuse, SessionExt as _, Tensor, keys};
use std::sync::{Arc, Mutex};

fn model(scope: &Graph, x: &Output, training: impl Into<Training>) -> Output {
    let training = training.into();
    let hidden = dense(x.within(scope), 4, &LayerOptions::default());
    let normed = batch_normalization(&hidden, training.clone(), &BatchNormalizationOptions::default());
    reduce_mean(square(dense(dropout(&normed, 0.5, training, Some(3)), 1, &LayerOptions::default())), ..)
}

/// Ways to build the loss that is trained on and the one that is evaluated, with what a training run is fed.
type Ways = fn(&Graph, &Output) -> (Output, Output, Option<Output>);

fn built_twice(graph: &Graph, x: &Output) -> (Output, Output, Option<Output>) {
    let scope = || graph.variable_scope("model", Reuse::Auto);
    (model(&scope(), x, Training::On), model(&scope(), x, Training::Off), None)
}

fn with_a_flag(graph: &Graph, x: &Output) -> (Output, Output, Option<Output>) {
    let training = placeholder_with_default(constant(graph, false), PartialShape::scalar());
    let loss = model(&graph.variable_scope("model", Reuse::No), x, &training);
    (loss.clone(), loss, Some(training))
}

/// The losses of the steps, and those that evaluations found, each made twice, with the moving means after the last.
fn trained(ways: Ways, evaluated: bool) -> (Vec<f32>, Vec<[f64; 2]>, Tensor) {
    let graph = Graph::new();
    graph.set_random_seed(7);
    let step = ops::global_step::get_or_create_global_step(&graph);
    let x = constant(&graph.named("x"), Tensor::from([[1.0f32, 2.0], [3.0, -1.0], [0.5, 0.0], [-2.0, 1.0]]));
    let (loss, evaluation, flag) = ways(&graph, &x);
    let updates = graph.collection(&keys::UPDATE_OPS);
    let optimizer = GradientDescentOptimizer::new(0.05).within(&graph.control_dependencies(&updates));
    let train_op = optimizer.minimize(&loss, Some(&step));
    let mean = graph.output("model/batch_normalization/moving_mean/Read:0").or_else(|_| {
        let variables = graph.collection(&keys::VARIABLES);
        let found = variables.into_iter().find(|variable| variable.name().ends_with("moving_mean"));
        Ok::<_, session_core::Error>(found.unwrap().snapshot().clone())
    });
    let found: Arc<Mutex<Vec<[f64; 2]>>> = Arc::default();
    let kept = found.clone();
    let evaluate = EvaluatorHook::every_steps(2, move |session| {
        let loss = || session.run(&evaluation, ())?.as_scalar_f64().map_err(session_core::Error::from);
        kept.lock().unwrap().push([loss()?, loss()?]);
        Ok(Vec::new())
    });
    let finished = SingularMonitoredSession::builder(&graph)
        .hook(StopAtStepHook::last_step(6))
        .hook(evaluated.then_some(evaluate))
        .scoped(|session| {
            let mut losses = Vec::new();
            while !session.should_stop() {
                let feeds: Vec<_> = flag.iter().map(|flag| (flag, Tensor::from(true))).collect();
                losses.push(session.run((&loss, &train_op), feeds)?.0.value::<f32>()?);
            }
            Ok((losses, session.run_without_hooks(&mean?, ())?))
        })
        .unwrap();
    let (losses, mean) = finished.value.unwrap();
    let found = found.lock().unwrap().clone();
    (losses, found, mean)
}

#[test]
fn an_evaluation_uses_no_dropout_and_updates_no_statistics() {
    for (way, ways) in [("built twice", built_twice as Ways), ("with a flag", with_a_flag)] {
        let (losses, found, mean) = trained(ways, true);
        assert_eq!((losses.len(), found.len()), (6, 3), "{way}");
        // Neither dropped units nor moving means, which the result depends on, differ between the two.
        assert!(found.iter().all(|[first, again]| first == again), "{way}: {found:?}");
        assert!(mean.to_vec::<f32>().unwrap().iter().any(|&mean| mean != 0.0), "{way}: training moves them");
    }
}

#[test]
fn both_apis_train_the_same() {
    let (twice, _, _) = trained(built_twice, false);
    let (flag, _, _) = trained(with_a_flag, false);
    assert_eq!(twice[0], flag[0], "the same beginning");
    assert!(twice.iter().zip(&flag).all(|(a, b)| (a - b).abs() <= 1e-5 * a.abs()), "{twice:?} {flag:?}");
    // Built twice, an evaluation draws no numbers that training would have drawn.
    let (evaluated, ..) = trained(built_twice, true);
    assert_eq!(evaluated, twice);
}
