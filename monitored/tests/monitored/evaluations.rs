//! Evaluating checkpoints next to a training.

use crate::support::{Counting, counting, events, warnings};
use checkpoint::WatchOptions;
use hooks::{CheckpointSaverHook, ClosureHook, StopAfterNEvalsHook, StopAtStepHook};
use monitored::{Evaluation, SingularMonitoredSession};
use ops::global_step::get_or_create_global_step;
use ops::metrics::{self, Metric};
use ops::{array, math, variables};
use queue_runner::StopHandle;
use session_core::{Code, DType, Error, Graph, Output};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Continues training until a step, which is saved.
fn train(directory: &Path, last_step: i64) {
    let Counting { graph, train_op, .. } = counting();
    SingularMonitoredSession::builder(&graph)
        .checkpoint_dir(directory)
        .hook(CheckpointSaverHook::every_steps(directory, 1000))
        .hook(StopAtStepHook::last_step(last_step))
        .scoped(|session| {
            while !session.should_stop() {
                session.run(&train_op, ())?;
            }
            Ok(())
        })
        .unwrap();
}

/// The mean of the step times x.
fn model() -> (Graph, Output, Metric) {
    let graph = Graph::new();
    let step = get_or_create_global_step(&graph);
    let x = array::placeholder(&graph.named("x"), DType::Float32, [None]);
    let mean = metrics::mean(math::mul(&x, math::cast(&step, DType::Float32)));
    ops::summary::scalar("result", &mean.value);
    (graph, x, mean)
}

fn no_wait() -> WatchOptions {
    WatchOptions::new().timeout(Duration::ZERO)
}

fn evaluation() -> Evaluation<Output> {
    let (graph, x, mean) = model();
    let batches = [vec![1f32], vec![2.0, 6.0]];
    Evaluation::new(&graph)
        .eval_ops(mean.update_op)
        .feed_fn(move |run| {
            Ok(batches.get(run as usize).map(|batch| vec![(x.clone(), batch.clone().into())]))
        })
        .final_ops(mean.value)
}

#[test]
fn each_new_checkpoint_is_evaluated_with_fresh_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("run");
    std::fs::create_dir(&directory).unwrap();
    train(&directory, 2);
    let trained = directory.clone();
    let mut steps = [5, 7].into_iter();
    let evaluations =
        evaluation().summary_dir(directory.join("eval")).evaluate_repeatedly(&directory, no_wait());
    // The training continues between two evaluations.
    let evaluations =
        evaluations.on_timeout(move || steps.next().map(|step| train(&trained, step)).is_none());
    let found: Vec<_> = evaluations
        .map(|evaluated| {
            let evaluated = evaluated.unwrap();
            let step = evaluated.step.unwrap();
            assert!(evaluated.checkpoint.ends_with(format!("model.ckpt-{step}")));
            (step, evaluated.values.value::<f32>().unwrap())
        })
        .collect();
    assert_eq!(found, [(2, 6.0), (5, 15.0), (7, 21.0)]);
    assert_eq!(events(&directory.join("eval")), ["version 0", "result 2", "result 5", "result 7"]);
}

#[test]
fn final_operations_alone_need_no_runs() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), 3);
    let (graph, x, _) = model();
    let y = &x + 1f32;
    let mut evaluation = Evaluation::new(&graph).final_ops((y,)).final_feed(&x, vec![1f32]);
    let evaluated = evaluation.evaluate_once(folder.path().join("model.ckpt-3")).unwrap().unwrap();
    assert_eq!((evaluated.step, evaluated.values.0.to_vec::<f32>().unwrap()), (Some(3), vec![2.0]));
}

#[test]
fn hooks_are_created_for_each_evaluation_and_end_it() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), 3);
    let (graph, x, mean) = model();
    let count = variables::VariableBuilder::new(&graph.named("runs")).local().trainable(false);
    let count = count.initial_value(array::constant(&graph, 0i64)).build();
    let add = ops::variables::VariableExt::assign_add(&count, 1i64);
    let mut evaluation = Evaluation::new(&graph)
        .eval_ops((mean.update_op, add))
        .feed(&x, vec![1f32])
        .hook(|| StopAfterNEvalsHook::new(4))
        .final_ops(count);
    for _ in 0..2 {
        let evaluated = evaluation.evaluate_once(folder.path().join("model.ckpt-3")).unwrap().unwrap();
        assert_eq!(evaluated.values.value::<i64>().unwrap(), 4);
    }
    let mut none = evaluation.hook(|| StopAfterNEvalsHook::new(0));
    let evaluated = none.evaluate_once(folder.path().join("model.ckpt-3")).unwrap().unwrap();
    assert_eq!(evaluated.values.value::<i64>().unwrap(), 0);
}

#[test]
fn an_incomplete_checkpoint_is_skipped_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), 2);
    let data = folder.path().join("model.ckpt-2.data-00000-of-00001");
    let bytes = std::fs::read(&data).unwrap();
    std::fs::write(&data, &bytes[..bytes.len() / 2]).unwrap();
    warnings();
    let trained = folder.path().to_path_buf();
    let mut trainings = 0;
    let evaluations = evaluation().evaluate_repeatedly(folder.path(), no_wait()).on_timeout(move || {
        trainings += 1;
        if trainings == 1 {
            std::fs::write(&data, &bytes).unwrap();
            train(&trained, 4);
        }
        trainings == 2
    });
    let steps: Vec<_> = evaluations.map(|evaluated| evaluated.unwrap().step).collect();
    assert_eq!(steps, [Some(4)]);
    let warned = warnings();
    assert!(
        warned.iter().any(|line| line.contains("not evaluated") && line.contains("model.ckpt-2")),
        "{warned:?}"
    );
}

#[test]
fn a_checkpoint_of_another_model_is_an_error_that_ends_the_iterator() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), 2);
    let graph = Graph::new();
    get_or_create_global_step(&graph);
    let _other = variables::variable(&graph.named("other"), 1f32);
    let mut evaluations = Evaluation::new(&graph).evaluate_repeatedly(folder.path(), no_wait());
    let error = evaluations.next().unwrap().unwrap_err();
    assert_eq!(error.code(), Code::NotFound, "{}", error.chain());
    assert!(error.chain().contains("other"), "{}", error.chain());
    assert!(evaluations.next().is_none());
}

#[test]
fn errors_of_runs_are_returned_and_write_nothing() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), 2);
    let (graph, _, mean) = model();
    let eval = folder.path().join("eval");
    let mut evaluation = Evaluation::new(&graph)
        .eval_ops(mean.update_op)
        .feed_fn(|_| Err(Error::value("no examples")))
        .summary_dir(&eval);
    let error = evaluation.evaluate_once(folder.path().join("model.ckpt-2")).unwrap_err();
    assert_eq!(error.message(), "no examples");
    assert!(!events(&eval).iter().any(|event| event.starts_with("result")));
}

#[test]
fn a_stop_ends_an_evaluation_without_a_partial_result() {
    for interrupt in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        train(folder.path(), 2);
        let stop = StopHandle::new();
        let (graph, x, mean) = model();
        let (stopped, runs) = (stop.clone(), Arc::new(Mutex::new(0)));
        let counted = runs.clone();
        let mut evaluations = Evaluation::new(&graph)
            .eval_ops(mean.update_op)
            .feed(&x, vec![1f32])
            .final_ops(mean.value)
            .summary_dir(folder.path().join("eval"))
            .stop_handle(&stop)
            .hook(move || {
                let (stop, runs) = (stopped.clone(), counted.clone());
                ClosureHook::new("stops").before_run(move |_| {
                    *runs.lock().unwrap() += 1;
                    if interrupt {
                        stop.interrupt("enough")
                    } else {
                        stop.request_stop("enough")
                    }
                    Ok(None)
                })
            })
            // Without the stop it would wait for another checkpoint forever.
            .evaluate_repeatedly(folder.path(), WatchOptions::new());
        assert!(evaluations.next().is_none());
        assert_eq!(*runs.lock().unwrap(), 1);
        assert_eq!(events(&folder.path().join("eval")), ["version 0"]);
    }
}

#[test]
fn a_stop_ends_the_wait_for_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let stop = StopHandle::new();
    let hour = WatchOptions::new().poll(Duration::from_secs(3600));
    let mut evaluations = evaluation().stop_handle(&stop).evaluate_repeatedly(folder.path(), hour);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || evaluations.next().is_none());
        stop.request_stop("enough");
        assert!(waiting.join().unwrap());
    });
}

#[test]
fn an_obstacle_to_summaries_is_found_before_the_wait_for_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let obstacle = folder.path().join("eval");
    fs::write(&obstacle, "").unwrap();
    let hour = WatchOptions::new().timeout(Duration::from_secs(3600));
    let mut evaluations = evaluation().summary_dir(&obstacle).evaluate_repeatedly(folder.path(), hour);
    let error = evaluations.next().unwrap().unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition, "{error}");
    assert!(error.to_string().contains("eval is a file, but a folder is needed"), "{error}");
    assert!(evaluations.next().is_none());
}
