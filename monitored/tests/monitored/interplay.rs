//! Built-in hooks in sessions of the embedded engine.

use crate::support::{Counting, counting, python};
use checkpoint::Better;
use hooks::{
    BestCheckpointHook, CheckpointSaverHook, EarlyStoppingHook, EvaluatorHook, GlobalStepWaiterHook,
    LoggingTensorHook, MetricsFileHook, NanTensorHook, ProfilerHook, ProgressBarHook, SessionStoryHook,
    StepCounterHook, StopAtStepHook, SummarySaverHook,
};
use monitored::{MonitoredTrainingSession, SingularMonitoredSession};
use ops::variables::{VariableBuilder, VariableExt as _, variable};
use scaffold::Scaffold;
use session_core::{DType, ErrorKind, Graph, OpLibrary, PartialShape, keys};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use summary::EventAccumulator;

#[test]
fn s_360_the_first_operation_with_nan_is_named() {
    let graph = Graph::new();
    let x = ops::array::placeholder(&graph.named("x"), DType::Float32, PartialShape::scalar());
    let weights = variable(&graph.named("weights"), vec![1f32, 2.0]);
    let scaled = ops::math::mul(x.named("scaled"), &weights);
    let logarithm = ops::math::log(scaled.named("logarithm"));
    let loss = ops::math::reduce_mean(logarithm.named("loss"), ..);
    let train = weights.assign_add(graph_constant(&graph));
    let hook = NanTensorHook::new(&loss).check_infinity(true).find_origin(true);
    let mut session = SingularMonitoredSession::builder(&graph).hook(hook).build().unwrap();
    session.run(&train, [(&x, 1f32)]).unwrap();
    let error = session.run(&train, [(&x, -1f32)]).unwrap_err();
    let text = error.chain().to_string();
    assert_eq!(error.kind(), ErrorKind::NanLoss);
    assert!(text.contains("first in 'logarithm:0' (Log, made at"), "{text}");
    assert!(text.contains("interplay.rs") && text.contains("2 of 2 value(s)"), "{text}");
    let error = session.run(&train, [(&x, f32::INFINITY)]).unwrap_err();
    assert!(error.chain().to_string().contains("first in 'x:0' (Placeholder"), "{}", error.chain());
}

/// Trains in a folder, three times cut off beyond its last checkpoint, and then to the end, at step 40.
fn restarted_three_times(folder: &Path) {
    for cut in [Some(8), Some(19), Some(33), None] {
        let Counting { graph, train_op, step, .. } = counting();
        let steps = ops::math::cast(step.read(&graph), DType::Float32);
        ops::summary::scalar("steps", &steps);
        ops::summary::histogram("values", &steps);
        let mut session = MonitoredTrainingSession::builder(&graph)
            .checkpoint_dir(folder)
            .save_checkpoint_steps(5)
            .save_summaries_steps(1)
            .hook(StopAtStepHook::last_step(cut.unwrap_or(40)))
            .build()
            .unwrap();
        while !session.should_stop() {
            session.run(&train_op, ()).unwrap();
        }
        match cut {
            // Without a last checkpoint: as one that failed.
            Some(_) => drop(session),
            None => session.close().unwrap(),
        }
    }
}

const TENSORBOARD: &str = "
import json, sys
from tensorboard.backend.event_processing import event_accumulator, plugin_event_accumulator
old = event_accumulator.EventAccumulator(sys.argv[1], size_guidance={'scalars': 0, 'histograms': 0})
new = plugin_event_accumulator.EventAccumulator(sys.argv[1], size_guidance={'tensors': 0})
old.Reload(), new.Reload()
print(json.dumps([[event.step for event in events] for events in (
    old.Scalars('steps'), old.Histograms('values'), new.Tensors('steps'), new.Tensors('values'))]))
";

#[test]
fn event_files_of_restarted_trainings_do_not_overlap() {
    let folder = tempfile::tempdir().unwrap();
    restarted_three_times(folder.path());
    let all: Vec<i64> = (1..=40).collect();
    let run = EventAccumulator::open(folder.path()).unwrap();
    assert_eq!(run.files().count(), 4);
    let steps: Vec<i64> = run.scalars("steps").iter().map(|point| point.step).collect();
    assert_eq!(steps, all);
    let values: Vec<f64> = run.scalars("steps").iter().map(|point| point.value).collect();
    assert_eq!(
        values,
        all.iter().map(|&step| step as f64 - 1.0).collect::<Vec<_>>(),
        "each from its own step"
    );
    let Some(python) = python() else { return };
    let output = Command::new(python).args(["-c", TENSORBOARD]).arg(folder.path()).output().unwrap();
    if !output.status.success() && String::from_utf8_lossy(&output.stderr).contains("No module named") {
        crate::support::skipped("TensorBoard is not installed");
        return;
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Vec<Vec<i64>> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(seen, vec![all; 4], "TensorBoard's readers see each step once");
}

#[test]
fn hooks_are_timed() {
    let Counting { graph, train_op, .. } = counting();
    let idle = hooks::ClosureHook::new("idle");
    // However coarse the clock is, it shows that this one took some time.
    let busy = hooks::ClosureHook::new("busy").after_run(|_, _| {
        let begun = std::time::Instant::now();
        while begun.elapsed().is_zero() {}
        Ok(())
    });
    let mut session = SingularMonitoredSession::builder(&graph).hook(idle).hook(busy).build().unwrap();
    session.run(&train_op, ()).unwrap();
    assert!(session.hook_timings().is_empty(), "the first run is not timed");
    (0..200).for_each(|_| session.run(&train_op, ()).unwrap());
    let timings = session.hook_timings();
    assert_eq!([&*timings[0].hook, &timings[1].hook], ["idle", "busy"]);
    assert!(!timings[1].per_run.is_zero() && timings[1].share > 0.0, "{timings:?}");
    assert!(timings.iter().map(|timing| timing.share).sum::<f64>() <= 1.0 + 1e-9, "{timings:?}");
    session.close().unwrap();
    assert!(session.hook_timings().is_empty());
}

fn graph_constant(graph: &Graph) -> session_core::Output {
    ops::array::constant(graph, vec![0f32, 0.0])
}

#[test]
fn learning_rates_are_logged_like_any_tensor() {
    let folder = tempfile::tempdir().unwrap();
    let Counting { graph, train_op, step, .. } = counting();
    // Halved with every step.
    let steps = ops::math::cast(step.read(&graph), DType::Float32);
    let base = ops::array::constant(&graph, 0.5f32);
    let rate = ops::math::pow(&base, &steps);
    let metrics = folder.path().join("metrics.csv");
    SingularMonitoredSession::builder(&graph)
        .hook(SummarySaverHook::every_steps(1).scalar("learning_rate", &rate).output_dir(folder.path()))
        .hook(MetricsFileHook::csv(&metrics, 1).tensor("learning_rate", &rate))
        .scoped(|session| (0..3).try_for_each(|_| session.run(&train_op, ())))
        .unwrap();
    let run = EventAccumulator::open(folder.path()).unwrap();
    let rates: Vec<(i64, f64)> =
        run.scalars("learning_rate").iter().map(|point| (point.step, point.value)).collect();
    assert_eq!(rates, [(1, 1.0), (2, 0.5), (3, 0.25)], "the rate that the step was made with");
    let text = std::fs::read_to_string(metrics).unwrap();
    assert_eq!(text, "step,learning_rate\n1,1\n2,0.5\n3,0.25\n");
}

#[test]
fn hooks_receive_milestones_of_restore_and_end() {
    /// Writes down the milestones that it is called with.
    struct Milestones(std::sync::Arc<std::sync::Mutex<Vec<String>>>);
    impl hooks::SessionRunHook for Milestones {
        fn on_milestone(&mut self, milestone: &hooks::Milestone<'_>) {
            let word = match milestone {
                hooks::Milestone::Restored(report) => {
                    format!("restored {}", report.prefix.file_name().unwrap().to_string_lossy())
                }
                hooks::Milestone::Recovered { step_before, step_after, checkpoint, .. } => {
                    let name =
                        checkpoint.and_then(|path| path.file_name()).map(|name| name.to_string_lossy());
                    format!("recovered {step_before:?} {step_after:?} {name:?}")
                }
                hooks::Milestone::Ending { reason, .. } => format!("ending: {reason}"),
                other => format!("{other:?}"),
            };
            self.0.lock().unwrap().push(word);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let Counting { graph, train_op, .. } = counting();
    let seen = std::sync::Arc::<std::sync::Mutex<Vec<String>>>::default();
    for last in [3, 5] {
        let mut fails_at = 4;
        let loses = hooks::ClosureHook::new("loses").after_run(move |context, _| {
            fails_at -= 1;
            if fails_at == 0 && last == 5 {
                return Err(session_core::Error::new(session_core::Code::Unavailable, "a peer is gone"));
            }
            let _ = context;
            Ok(())
        });
        let mut session = monitored::MonitoredSession::builder(&graph)
            .checkpoint_dir(folder.path())
            .hook(Milestones(seen.clone()))
            .hook(hooks::CheckpointSaverHook::every_steps(folder.path(), 1))
            .hook(hooks::StopAtStepHook::last_step(if last == 5 { 8 } else { 3 }))
            .hook(loses)
            .build()
            .unwrap();
        while !session.should_stop() {
            session.run(&train_op, ()).unwrap();
        }
        session.close().unwrap();
    }
    let seen = seen.lock().unwrap();
    assert!(seen[0].starts_with("ending: hook 'StopAtStepHook'"), "{seen:?}");
    assert_eq!(seen[1], "restored model.ckpt-3");
    // The step that failed after it was made was not saved.
    assert_eq!(seen[2..4], ["restored model.ckpt-6", "recovered Some(7) Some(6) Some(\"model.ckpt-6\")"]);
    assert!(seen[4].starts_with("ending: hook 'StopAtStepHook'") && seen.len() == 5, "{seen:?}");
}

#[test]
fn a_scaffold_of_a_meta_graph_allows_hooks_that_add_operations() {
    let folder = tempfile::tempdir().unwrap();
    let (file, run) = (folder.path().join("model.meta"), folder.path().join("run"));
    let exported = graph_def::export_meta_graph(&counting().graph, None).unwrap();
    graph_def::write_meta_graph(&file, &exported).unwrap();
    let train = |steps: i64| {
        let scaffold = Scaffold::from_meta_graph(&file).unwrap();
        let graph = scaffold.graph().clone();
        let train_op = graph.operation("global_step/AssignAddVariableOp").unwrap_or_else(|_| {
            let is_update = |op: &session_core::Operation| op.op_type() == "AssignAddVariableOp";
            graph.operations().into_iter().find(is_update).unwrap()
        });
        let finished = MonitoredTrainingSession::builder(&graph)
            .scaffold(scaffold)
            .checkpoint_dir(&run)
            .hook(LoggingTensorHook::every_n_iter(1).tensor("loss", "the_loss"))
            .hook(NanTensorHook::new("the_loss"))
            .hook(ProfilerHook::every_steps(folder.path().join("profile"), 100))
            .hook(StopAtStepHook::num_steps(steps))
            .scoped(|session| {
                while !session.should_stop() {
                    session.run(&train_op, ())?;
                }
                Ok(session.restored().is_some())
            })
            .unwrap();
        assert!(!graph.is_finalized(), "as it was");
        finished.value.unwrap()
    };
    assert!(!train(3));
    assert!(train(2), "the second start continues");
    assert!(run.join("model.ckpt-5.index").exists());

    // The same with a session of one's own hooks, and a scaffold that is kept for two sessions.
    let scaffold = Scaffold::from_meta_graph(&file).unwrap();
    for _ in 0..2 {
        SingularMonitoredSession::builder(scaffold.graph())
            .scaffold(&scaffold)
            .hook(StepCounterHook::every_n_steps(1))
            .hook(CheckpointSaverHook::every_steps(folder.path().join("own"), 1))
            .scoped(|session| session.run("the_loss:0", ()).map(drop))
            .unwrap();
    }
}

#[test]
fn errors_of_a_graph_from_a_file_name_the_file_and_its_node() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broken.meta");
    let Counting { graph, .. } = counting();
    let infinite = ops::math::log(ops::array::constant(&graph, 0f32));
    let _ = graph
        .op(ops::library().find("CheckNumerics").unwrap())
        .name("checked")
        .input(&infinite)
        .attr("message", "")
        .finish();
    graph_def::write_meta_graph(&file, &graph_def::export_meta_graph(&graph, None).unwrap()).unwrap();

    let scaffold = Scaffold::from_meta_graph(&file).unwrap();
    let mut session =
        SingularMonitoredSession::builder(scaffold.graph()).scaffold(&scaffold).build().unwrap();
    let error = session.run("checked:0", ()).unwrap_err().to_string();
    let place = format!("node 'checked' of type CheckNumerics, from '{}'", file.display());
    assert!(error.contains(&place) && !error.contains(".rs:"), "{error}");
    drop(session);

    // Errors of operations that the library adds to such a graph do not name a line of the library.
    assert_eq!(scaffold.init_op().place_text(), "from the scaffold's defaults");
    assert!(
        ops::array::identity(scaffold.ready_op()).operation().place_text().starts_with("made at "),
        "the program's own"
    );
    let own = ops::global_step::global_step_read(scaffold.graph()).unwrap().unwrap();
    assert_eq!(own.operation().place_text(), format!("from '{}'", file.display()));

    // A file with a node that cannot be made.
    let mut message = graph_def::read_meta_graph(&file).unwrap();
    let nodes = &mut message.graph_def.as_mut().unwrap().node;
    nodes.iter_mut().find(|node| node.name == "checked").unwrap().input.clear();
    graph_def::write_meta_graph(&file, &message).unwrap();
    let error = Scaffold::from_meta_graph(&file).unwrap_err().to_string();
    assert!(error.contains(&place) && !error.contains(".rs:"), "{error}");
}

/// TensorFlow takes global steps of any integer dtype.
#[test]
fn every_hook_and_saver_goes_with_a_step_of_32_bits() {
    let folder = tempfile::tempdir().unwrap();
    let in_folder = |name: &str| folder.path().join(name);
    let run = in_folder("run");
    let train = |steps: i64| {
        let graph = Graph::new();
        let step = VariableBuilder::new(&graph).exact_name("global_step").trainable(false);
        let step = step.collection(&keys::GLOBAL_STEP).initial_value(0i32).build();
        let train_op = step.assign_add(1i32);
        let loss =
            ops::math::cast(ops::global_step::global_step_read(&graph).unwrap().unwrap(), DType::Float32);
        let loss = ops::math::exp(ops::math::neg(&loss));
        ops::summary::scalar("loss", &loss);
        let lines = Arc::new(Mutex::new(Vec::new()));
        let shown = lines.clone();
        let (evaluated, latest) = (Arc::new(Mutex::new(Vec::new())), step.clone());
        let seen = evaluated.clone();
        let finished = MonitoredTrainingSession::builder(&graph)
            .checkpoint_dir(&run)
            .hook(GlobalStepWaiterHook::new(0))
            .hook(StepCounterHook::every_n_steps(1).output_dir(in_folder("rate")))
            .hook(SummarySaverHook::every_steps(1).output_dir(in_folder("summaries")))
            .hook(LoggingTensorHook::every_n_iter(1).tensor("loss", &loss))
            .hook(MetricsFileHook::csv(in_folder("metrics.csv"), 1).tensor("loss", &loss))
            .hook(NanTensorHook::new(&loss))
            .hook(ProfilerHook::every_steps(in_folder("profile"), 2))
            .hook(
                ProgressBarHook::new()
                    .tensor("loss", &loss)
                    .sink(move |line| shown.lock().unwrap().push(line.to_owned())),
            )
            .hook(CheckpointSaverHook::every_steps(in_folder("own"), 2))
            .hook(BestCheckpointHook::new(in_folder("best"), &loss, Better::Lower))
            .hook(EarlyStoppingHook::new(&loss, Better::Lower))
            .hook(EvaluatorHook::every_steps(1, move |session| {
                let step = ops::global_step::evaluate(session, &latest)?;
                seen.lock().unwrap().push(step);
                Ok(vec![("step".to_owned(), step as f64)])
            }))
            .hook(SessionStoryHook::new(in_folder("story")))
            .hook(StopAtStepHook::num_steps(steps))
            .scoped(|session| {
                while !session.should_stop() {
                    session.run(&train_op, ())?;
                }
                Ok(())
            });
        finished.unwrap();
        let last = lines.lock().unwrap().last().cloned().unwrap();
        (evaluated.lock().unwrap().clone(), last)
    };
    let (evaluated, last) = train(4);
    assert_eq!(evaluated, [1, 2, 3, 4]);
    assert!(last.contains("step 4/4 100%"), "{last}");
    let (evaluated, last) = train(3);
    assert_eq!(evaluated.last(), Some(&7), "the second start continues");
    assert!(last.contains("step 7/7 100%"), "{last}");
    for (at, name) in [("run", "model.ckpt-7"), ("own", "model.ckpt-7"), ("best", "best.ckpt-7")] {
        assert!(
            in_folder(at).join(format!("{name}.index")).exists(),
            "{at}: {:?}",
            crate::support::files(&in_folder(at))
        );
    }
    let reader = checkpoint::CheckpointReader::open(run.join("model.ckpt-7")).unwrap();
    assert_eq!(reader.read("global_step").unwrap(), session_core::Tensor::from(7i32));
    let metrics = std::fs::read_to_string(in_folder("metrics.csv")).unwrap();
    assert!(metrics.lines().last().unwrap().contains('7'), "{metrics}");
    let summaries = EventAccumulator::open(in_folder("summaries")).unwrap();
    let steps: Vec<i64> = summaries.scalars("loss").iter().map(|point| point.step).collect();
    assert_eq!(steps, [1, 2, 3, 4, 5, 6, 7]);
}
