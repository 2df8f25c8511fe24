//! Objects of the program that are saved and restored with the model.

use crate::support::warnings;
use ::hooks::{BestCheckpointHook, CheckpointSaverHook, StopAtStepHook};
use checkpoint::{
    Better, CheckpointReader, GraphSaver, RestoreOptions, RestoreTarget, SaveSource, SavedObject,
    SaverOptions, VariableSpec, checkpoints_in, latest_checkpoint, load_variable,
};
use monitored::{MonitoredSession, RecoveryPolicy, SessionBuilder, SingularMonitoredSession};
use ops::global_step::get_or_create_global_step;
use ops::script::host_func;
use ops::variables::{VariableExt as _, variable};
use scaffold::{Scaffold, ScaffoldBuilder};
use session_core::{Code, DType, Error, Graph, Operation, Tensor};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A model of plain numbers.
struct Model {
    weights: Vec<f32>,
    /// Next to the weights, for the program alone.
    position: (u64, String),
}

impl SaveSource for Model {
    fn tensors(&self) -> checkpoint::Result<Vec<(String, Tensor)>> {
        Ok(vec![("weights".to_owned(), Tensor::from(self.weights.clone()))])
    }
}

impl RestoreTarget for Model {
    fn variables(&self) -> Vec<VariableSpec> {
        vec![VariableSpec::new("weights", DType::Float32, Some([self.weights.len()].into()))]
    }

    fn assign(&mut self, values: Vec<(String, Tensor)>) -> checkpoint::Result<()> {
        for (_, value) in values {
            self.weights = value.to_vec()?;
        }
        Ok(())
    }
}

struct Training {
    graph: Graph,
    model: Arc<Mutex<Model>>,
    object: SavedObject,
    train_op: Operation,
}

/// A step adds one to each weight and moves the position. `fail` may end it after that.
fn training(fail: impl Fn(f32) -> Result<(), Error> + Send + Sync + 'static) -> Training {
    let graph = Graph::new();
    let step = get_or_create_global_step(&graph);
    let model = Arc::new(Mutex::new(Model { weights: vec![0.5, 1.5], position: (0, "begin".to_owned()) }));
    let object = SavedObject::with_state(
        "model",
        &model,
        |model| model.position.clone(),
        |model, position| model.position = position,
    );
    let held = model.clone();
    let update = host_func(&graph.named("update")).output(DType::Float32, [2]).call(move |_, _| {
        let mut model = held.lock().unwrap();
        model.weights.iter_mut().for_each(|weight| *weight += 1.0);
        model.position = (model.position.0 + 1, "in between".to_owned());
        fail(model.weights[0])?;
        Ok(vec![Tensor::from(model.weights.clone())])
    });
    let one = ops::array::constant(&graph.control_dependencies([&update]), 1i64);
    let train_op = step.assign_add(&one);
    Training { graph, model, object, train_op }
}

impl Training {
    fn scaffold(&self) -> ScaffoldBuilder {
        Scaffold::builder().saved_objects([self.object.clone()])
    }

    fn builder(&self) -> SessionBuilder<SingularMonitoredSession> {
        SingularMonitoredSession::builder(&self.graph).scaffold(self.scaffold())
    }

    fn weights(&self) -> Vec<f32> {
        self.model.lock().unwrap().weights.clone()
    }

    fn position(&self) -> u64 {
        self.model.lock().unwrap().position.0
    }
}

fn train_to(training: &Training, folder: &std::path::Path, last: i64) {
    training
        .builder()
        .checkpoint_dir(folder)
        .hook(CheckpointSaverHook::every_steps(folder, 2))
        .hook(StopAtStepHook::last_step(last))
        .scoped(|session| {
            while !session.should_stop() {
                session.run(&training.train_op, ())?;
            }
            Ok(())
        })
        .unwrap();
}

fn nothing(_: f32) -> Result<(), Error> {
    Ok(())
}

#[test]
fn a_saved_object_is_resumed_with_its_private_state() {
    let folder = tempfile::tempdir().unwrap();
    train_to(&training(nothing), folder.path(), 3);
    let newest = latest_checkpoint(folder.path()).unwrap().unwrap();
    assert_eq!(load_variable(&newest, "model/weights").unwrap(), Tensor::from([3.5f32, 4.5]));
    // Another process.
    let resumed = training(nothing);
    train_to(&resumed, folder.path(), 5);
    assert_eq!((resumed.weights(), resumed.position()), (vec![5.5, 6.5], 5));
    assert!(checkpoints_in(folder.path()).unwrap().len() > 2, "the limits of the saver hold for them");
}

#[test]
fn each_save_holds_the_object_of_its_step() {
    let folder = tempfile::tempdir().unwrap();
    train_to(&training(nothing), folder.path(), 4);
    for found in checkpoints_in(folder.path()).unwrap() {
        let reader = CheckpointReader::open(&found).unwrap();
        let step = reader.read("global_step").unwrap().value::<i64>().unwrap() as f32;
        assert_eq!(reader.read("model/weights").unwrap(), Tensor::from([0.5 + step, 1.5 + step]));
    }
}

#[test]
fn recoveries_restore_the_object_or_begin_it_again() {
    for saves in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let failed = std::sync::atomic::AtomicBool::new(false);
        let training = training(move |weight| {
            let lost = weight == 3.5 && !failed.swap(true, std::sync::atomic::Ordering::Relaxed);
            if lost { Err(Error::new(Code::Aborted, "the peer is gone")) } else { Ok(()) }
        });
        let mut builder = MonitoredSession::builder(&training.graph)
            .scaffold(training.scaffold())
            .recovery(RecoveryPolicy::new().pause(Duration::ZERO, Duration::ZERO))
            .hook(StopAtStepHook::last_step(4));
        if saves {
            let saver = CheckpointSaverHook::every_steps(folder.path(), 2);
            builder = builder.checkpoint_dir(folder.path()).hook(saver);
        }
        builder
            .scoped(|session| {
                while !session.should_stop() {
                    session.run(&training.train_op, ())?;
                }
                Ok(())
            })
            .unwrap();
        // The effect of the lost step is undone: the object has moved as often as the global step.
        assert_eq!((training.weights(), training.position()), (vec![4.5, 5.5], 4), "{saves}");
    }
}

#[test]
fn partial_restores_treat_its_tensors_as_variables() {
    let folder = tempfile::tempdir().unwrap();
    // A checkpoint of the same graph without the object.
    let Training { graph, train_op, .. } = training(nothing);
    let mut session = SingularMonitoredSession::builder(&graph).build().unwrap();
    session.run(&train_op, ()).unwrap();
    let saver = GraphSaver::new(SaverOptions::new());
    saver.save(&**session.raw_session().unwrap(), folder.path().join("model.ckpt"), Some(1)).unwrap();
    session.close().unwrap();

    let resumed = training(nothing);
    let error = resumed.builder().checkpoint_dir(folder.path()).build().unwrap_err();
    assert!(error.chain().contains("model/weights"), "{error}");
    let lenient = RestoreOptions::new().allow_missing(true);
    let session = resumed.builder().checkpoint_dir(folder.path()).restore_options(lenient).build().unwrap();
    assert_eq!(session.restored().unwrap().missing, ["model/weights"]);
    assert_eq!(resumed.weights(), [0.5, 1.5]);
    drop(session);

    // One that only renames, as for a model of another name.
    let renamed = tempfile::tempdir().unwrap();
    train_to(&training(nothing), renamed.path(), 2);
    let other = SavedObject::new("other", &resumed.model);
    let graph = Graph::new();
    let _step = get_or_create_global_step(&graph);
    let options = RestoreOptions::new().rename("other/weights", "model/weights");
    let session = SingularMonitoredSession::builder(&graph)
        .scaffold(Scaffold::builder().saved_objects([other]))
        .checkpoint_dir(renamed.path())
        .restore_options(options)
        .build()
        .unwrap();
    assert_eq!(session.restored().unwrap().restored.len(), 2);
    assert_eq!(resumed.weights(), [2.5, 3.5]);
}

#[test]
fn a_checkpoint_without_its_private_state_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    train_to(&training(nothing), folder.path(), 2);
    for file in std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension.to_string_lossy().starts_with("session")) {
            std::fs::remove_file(file).unwrap(); // as a converted checkpoint
        }
    }
    let resumed = training(nothing);
    warnings();
    let session = resumed.builder().checkpoint_dir(folder.path()).build().unwrap();
    let warned = warnings();
    assert!(
        warned.iter().any(|line| line.contains("no private state of saved object 'model'")),
        "{warned:?}"
    );
    assert_eq!((resumed.weights(), resumed.position()), (vec![2.5, 3.5], 0));
    drop(session);
}

#[test]
fn the_best_checkpoint_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    let training = training(nothing);
    let metric = ops::math::reduce_sum(training.graph.output("update:0").unwrap(), ..);
    training
        .builder()
        .hook(BestCheckpointHook::new(folder.path(), &metric, Better::Higher))
        .scoped(|session| (0..3).try_for_each(|_| session.run(&training.train_op, ()).map(drop)))
        .unwrap();
    let best = load_variable(folder.path().join("best.ckpt-3"), "model/weights").unwrap();
    assert_eq!(best, Tensor::from([3.5f32, 4.5]));
}

#[test]
fn an_object_that_a_panic_left_changed_in_part_is_not_saved() {
    let folder = tempfile::tempdir().unwrap();
    let training = training(|weight| if weight == 2.5 { panic!("out of luck") } else { Ok(()) });
    let mut session = training
        .builder()
        .checkpoint_dir(folder.path())
        .hook(CheckpointSaverHook::every_steps(folder.path(), 2))
        .build()
        .unwrap();
    session.run(&training.train_op, ()).unwrap();
    let error = session.run(&training.train_op, ()).unwrap_err();
    assert!(error.chain().contains("panicked: out of luck"), "{error}");
    let raw = session.raw_session().unwrap().clone();
    let error =
        GraphSaver::new(SaverOptions::new()).save(&*raw, folder.path().join("late"), None).unwrap_err();
    assert!(error.chain().contains("saved object 'model'") && error.chain().contains("panicked"), "{error}");
    // A restore makes it whole.
    let newest = latest_checkpoint(folder.path()).unwrap().unwrap();
    GraphSaver::new(SaverOptions::new()).restore(&*raw, newest, &RestoreOptions::new()).unwrap();
    assert_eq!(training.weights(), [0.5, 1.5]);
}

#[test]
fn names_that_collide_are_found_when_the_session_is_made() {
    let Training { graph, model, object, .. } = training(nothing);
    let _taken = variable(&graph.named("model/weights"), 1.0f32);
    let error = |objects: Vec<SavedObject>| {
        let scaffold = Scaffold::builder().saved_objects(objects);
        SingularMonitoredSession::builder(&graph).scaffold(scaffold).build().unwrap_err().to_string()
    };
    let found = error(vec![object.clone()]);
    assert!(found.contains("has a tensor 'model/weights', and so does a variable"), "{found}");
    let found = error(vec![object, SavedObject::new("model", &model)]);
    assert!(found.contains("two saved objects 'model'"), "{found}");
}
