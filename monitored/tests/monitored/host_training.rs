//! Training loops in plain Rust.

use crate::support::events;
use ::hooks::{
    BestCheckpointHook, CheckpointSaverHook, ClosureHook, EarlyStoppingHook, LoggingTensorHook,
    MetricsFileHook, NanTensorHook, SignalHook, StopAtStepHook,
};
use checkpoint::{
    Better, RestoreTarget, SaveSource, VariableSpec, checkpoints_in, latest_checkpoint, load_variable,
    read_all,
};
use monitored::{HostStep, HostTraining, Metrics, RecoveryPolicy};
use queue_runner::StopHandle;
use session_core::{Code, DType, Error, ErrorKind, Result, SessionExt as _, Tensor};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A linear model, trained by momentum on noisy data, with dropout.
#[derive(Clone, Debug, PartialEq)]
struct Linear {
    weights: Vec<f32>,
    velocity: Vec<f32>,
}

impl Linear {
    fn new() -> Arc<Mutex<Linear>> {
        Arc::new(Mutex::new(Linear { weights: vec![0.0; 4], velocity: vec![0.0; 4] }))
    }

    /// One step on four rows; returns the loss.
    fn train(&mut self, step: &HostStep<'_>) -> f64 {
        let mut random = step.random();
        let mut loss = 0.0;
        for row in step.batch(64, 4) {
            let x: Vec<f32> = (0..4).map(|i| ((row * 7 + i * 3) % 11) as f32 / 11.0).collect();
            let kept: Vec<f32> = x.iter().map(|x| if random.uniform() < 0.2 { 0.0 } else { *x }).collect();
            let wanted = x[0] - 2.0 * x[1] + 0.5 * x[2];
            let found: f32 = kept.iter().zip(&self.weights).map(|(x, w)| x * w).sum();
            let error = found - wanted;
            for i in 0..4 {
                self.velocity[i] = 0.9 * self.velocity[i] + error * kept[i];
                self.weights[i] -= 0.02 * self.velocity[i];
            }
            loss += f64::from(error * error);
        }
        loss
    }
}

impl SaveSource for Linear {
    fn tensors(&self) -> checkpoint::Result<Vec<(String, Tensor)>> {
        let tensors = [("weights", &self.weights), ("weights/Momentum", &self.velocity)];
        Ok(tensors.map(|(name, values)| (name.to_owned(), Tensor::from(values.clone()))).into())
    }
}

impl RestoreTarget for Linear {
    fn variables(&self) -> Vec<VariableSpec> {
        let spec = |name| VariableSpec::new(name, DType::Float32, Some([4].into()));
        ["weights", "weights/Momentum"].map(spec).into()
    }

    fn assign(&mut self, values: Vec<(String, Tensor)>) -> checkpoint::Result<()> {
        for (name, value) in values {
            *(if name == "weights" { &mut self.weights } else { &mut self.velocity }) = value.to_vec()?;
        }
        Ok(())
    }
}

/// A training of a new model, as another process begins it.
fn training(folder: &Path) -> (HostTraining, Arc<Mutex<Linear>>) {
    let model = Linear::new();
    let training = HostTraining::new().saved_object("linear", &model).metrics(["loss"]).seed(5);
    let training = training.checkpoint_dir(folder).save_checkpoint_steps(3).save_summaries_steps(2);
    let metrics = MetricsFileHook::json_lines(folder.join("metrics.jsonl"), 1).tensor("loss", "loss");
    (training.hook(metrics), model)
}

fn step(
    model: &Arc<Mutex<Linear>>,
) -> impl FnMut(&HostStep<'_>) -> Result<[(&'static str, f64); 1]> + Send + 'static {
    let model = model.clone();
    move |step| Ok([("loss", model.lock().unwrap().train(step))])
}

/// Trains to a step, and returns the model.
fn train_to(folder: &Path, last: i64) -> Linear {
    let (training, model) = training(folder);
    let finished = training.hook(StopAtStepHook::last_step(last)).run(step(&model)).unwrap();
    assert_eq!(finished.value, Some(last));
    let model = model.lock().unwrap();
    model.clone()
}

fn rows(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap()
}

#[test]
fn a_training_resumes_exactly_at_any_step() {
    let whole = tempfile::tempdir().unwrap();
    let expected = train_to(whole.path(), 12);
    for first in 1..12 {
        let folder = tempfile::tempdir().unwrap();
        train_to(folder.path(), first);
        assert_eq!(train_to(folder.path(), 12), expected, "resumed at {first}");
        assert_eq!(rows(folder.path()), rows(whole.path()), "resumed at {first}");
    }
    let newest = latest_checkpoint(whole.path()).unwrap().unwrap();
    let names: Vec<String> = read_all(&newest).unwrap().into_keys().collect();
    assert_eq!(names, ["global_step", "linear/weights", "linear/weights/Momentum"]);
    let summaries = events(whole.path());
    assert_eq!(summaries.iter().filter(|event| event.starts_with("loss ")).count(), 6, "{summaries:?}");
}

#[test]
fn hooks_know_metrics_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (training, model) = training(folder.path());
    let lines = Arc::new(Mutex::new(Vec::new()));
    let seen = lines.clone();
    let finished = training
        .hook(LoggingTensorHook::every_n_iter(5).tensor("loss", "loss").sink(move |line: &str| {
            seen.lock().unwrap().push(line.to_owned());
        }))
        .hook(BestCheckpointHook::new(folder.path().join("best"), "loss", Better::Lower))
        .hook(NanTensorHook::new("loss"))
        .hook(EarlyStoppingHook::new("loss", Better::Lower).check_every(1).patience(1).min_delta(1e9))
        .run(step(&model))
        .unwrap();
    assert!(finished.value.unwrap() < 5, "{finished:?}");
    let reason = finished.reason.unwrap().to_string();
    assert!(reason.contains("EarlyStoppingHook"), "{reason}");
    assert!(lines.lock().unwrap()[0].contains("loss = "), "{lines:?}");
    assert!(!checkpoints_in(folder.path().join("best")).unwrap().is_empty());
}

#[test]
fn nan_ends_the_training_as_for_graphs() {
    let error = HostTraining::new()
        .metrics(["loss"])
        .hook(NanTensorHook::new("loss"))
        .run(|step| Ok([("loss", if step.number() == 3 { f64::NAN } else { 0.0 })]))
        .unwrap_err();
    assert!(error.chain().contains("NaN loss during training") && error.chain().contains("loss"), "{error}");
}

#[test]
fn errors_and_panics_end_the_training_and_leave_the_last_checkpoint() {
    for panics in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let (training, model) = training(folder.path());
        let error = training
            .run(move |step| {
                let loss = model.lock().unwrap().train(step);
                match step.number() {
                    7 if panics => panic!("out of range"),
                    7 => Err(Error::other("the disk is full")),
                    _ => Ok([("loss", loss)]),
                }
            })
            .unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind() == ErrorKind::Panic, panics);
        assert!(text.contains(if panics { "panicked: out of range" } else { "the disk is full" }), "{text}");
        assert!(text.contains("host_training/step"), "{text}");
        let newest = latest_checkpoint(folder.path()).unwrap().unwrap();
        assert_eq!(load_variable(newest, "global_step").unwrap(), Tensor::from(6i64));
        let whole = tempfile::tempdir().unwrap();
        assert_eq!(train_to(folder.path(), 9), train_to(whole.path(), 9));
    }
}

#[test]
fn a_preemption_is_recovered_from() {
    let whole = tempfile::tempdir().unwrap();
    let expected = train_to(whole.path(), 9);
    for saves in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let model = Linear::new();
        let lost = AtomicBool::new(false);
        let held = model.clone();
        let mut training = HostTraining::new().saved_object("linear", &model).metrics(["loss"]).seed(5);
        if saves {
            training = training.checkpoint_dir(folder.path()).save_checkpoint_steps(3);
        }
        let finished = training
            .configure(|session| {
                session.recovery(RecoveryPolicy::new().pause(Duration::ZERO, Duration::ZERO))
            })
            .hook(StopAtStepHook::last_step(9))
            .run(move |step| {
                let loss = held.lock().unwrap().train(step);
                if step.number() == 5 && !lost.swap(true, Ordering::Relaxed) {
                    return Err(Error::new(Code::Unavailable, "the device was taken away"));
                }
                Ok([("loss", loss)])
            })
            .unwrap();
        assert_eq!((finished.value, finished.recoveries.len()), (Some(9), 1));
        assert_eq!(*model.lock().unwrap(), expected, "with checkpoints: {saves}");
    }
}

#[test]
fn a_step_that_was_interrupted_before_it_was_counted_happens_once() {
    let whole = tempfile::tempdir().unwrap();
    let expected = train_to(whole.path(), 8);
    let folder = tempfile::tempdir().unwrap();
    let (training, model) = training(folder.path());
    let stop = StopHandle::new();
    let (handle, mut train) = (stop.clone(), step(&model));
    let finished = training
        .configure(|session| session.stop_handle(&stop))
        .run(move |step| {
            let metrics = train(step)?;
            if step.number() == 4 {
                handle.interrupt("enough"); // as an impatient signal does, before the run continues
            }
            Ok(metrics)
        })
        .unwrap();
    assert_eq!(finished.value, None);
    let newest = latest_checkpoint(folder.path()).unwrap().unwrap();
    assert_eq!(load_variable(newest, "global_step").unwrap(), Tensor::from(4i64), "it was not counted");
    assert_eq!(train_to(folder.path(), 8), expected);
}

#[test]
fn a_signal_saves_the_step_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (training, model) = training(folder.path());
    let signals = SignalHook::new();
    let receipt = signals.receipt();
    let mut train = step(&model);
    let finished = training
        .hook(signals)
        .run(move |step| {
            if step.number() == 4 {
                signal_hook::low_level::raise(signal_hook::consts::SIGTERM)?;
            }
            train(step)
        })
        .unwrap();
    assert_eq!(receipt.exit_code(), Some(143));
    let done = finished.value.unwrap();
    let newest = latest_checkpoint(folder.path()).unwrap().unwrap();
    assert_eq!(load_variable(newest, "global_step").unwrap(), Tensor::from(done));
    let whole = tempfile::tempdir().unwrap();
    assert_eq!(train_to(folder.path(), done + 3), train_to(whole.path(), done + 3));
}

#[test]
fn a_run_that_only_fetches_a_metric_makes_no_step() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let values = seen.clone();
    let hook = ClosureHook::new("Looking").after_run(move |context, _| {
        let session = context.session();
        let loss = session.run(&session.graph().output("loss:0")?, ())?.value::<f64>()?;
        values.lock().unwrap().push(loss);
        Ok(())
    });
    let calls = Arc::new(Mutex::new(0));
    let counted = calls.clone();
    let training = HostTraining::new().metrics(["loss"]).hook(hook);
    let mut session = training
        .build(move |step| {
            *counted.lock().unwrap() += 1;
            Ok([("loss", step.number() as f64)])
        })
        .unwrap();
    assert!(session.metrics().get("loss").unwrap().is_nan());
    for _ in 0..3 {
        session.step().unwrap();
    }
    assert_eq!((session.global_step().unwrap(), *calls.lock().unwrap()), (3, 3));
    assert_eq!(*seen.lock().unwrap(), [0.0, 1.0, 2.0]);
    assert_eq!(session.session().run_without_hooks("loss:0", ()).unwrap().unwrap(), Tensor::from(2.0f64));
    session.close().unwrap();
    assert!(session.should_stop() && session.step().is_err());
}

#[test]
fn metrics_that_do_not_fit_their_declaration_are_errors() {
    let build = |names: &[&'static str]| {
        let names = names.iter().copied();
        HostTraining::new().metrics(names).build(|_| Ok(())).map(|_| ()).unwrap_err().to_string()
    };
    assert!(build(&["loss", "loss"]).contains("the name of metric 'loss' is taken"));
    assert!(build(&["global_step"]).contains("'global_step' is taken"));
    assert!(build(&["a b"]).contains("'a b' is not a valid operation name"));
    let mut session =
        HostTraining::new().metrics(["loss"]).build(|_| Ok(Metrics::new().with("los", 1.0))).unwrap();
    let error = session.step().unwrap_err().to_string();
    assert!(error.contains("a metric 'los' that was not declared"), "{error}");
}

#[test]
fn a_saver_of_another_folder_has_the_objects_too() {
    let (main, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (training, model) = training(main.path());
    let saver = CheckpointSaverHook::every_steps(copy.path(), 2);
    training.hook(saver).hook(StopAtStepHook::last_step(4)).run(step(&model)).unwrap();
    let newest = |folder: &Path| read_all(latest_checkpoint(folder).unwrap().unwrap()).unwrap();
    assert_eq!(newest(copy.path()), newest(main.path()));
}
