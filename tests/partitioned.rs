//! Optimizers of partitioned variables: their slots are saved as slices of one slot, as in TensorFlow, and restored into other
//! partitions or into a whole variable.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used)] // helpers of tests

use crate::parts::{Model, model};
use monitored_session::checkpoint::{CheckpointReader, GraphSaver, RestoreOptions, SaverOptions};
use monitored_session::ops::initializers;
use monitored_session::ops::optimizers::*;
use monitored_session::ops::variables::{self, VariableBuilder};
use monitored_session::prelude::*;
use monitored_session::session_core::SliceInfo;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

impl Model {
    fn session(&self) -> Arc<dyn Session> {
        EmbeddedEngine::new().new_session(&self.graph, "", &SessionConfig::with_threads(1)).unwrap()
    }

    fn begin(&self) -> Arc<dyn Session> {
        let init = variables::global_variables_initializer(&self.graph);
        let session = self.session();
        session.run(&init, ()).unwrap();
        session
    }

    fn train(&self, session: &dyn Session, steps: usize) {
        (0..steps).for_each(|_| session.run(&self.train, ()).unwrap());
    }

    fn save(&self, session: &dyn Session, folder: &Path) -> std::path::PathBuf {
        let saver = GraphSaver::new(SaverOptions::new());
        saver.save(session, folder.join("model.ckpt"), None).unwrap()
    }

    fn restored(&self, prefix: &Path) -> Arc<dyn Session> {
        let session = self.session();
        GraphSaver::new(SaverOptions::new()).restore(&*session, prefix, &RestoreOptions::new()).unwrap();
        session
    }
}

/// Returns the content of a checkpoint, by name.
fn content(prefix: &Path) -> BTreeMap<String, Tensor> {
    let reader = CheckpointReader::open(prefix).unwrap();
    reader.variables().into_iter().map(|info| (info.name.clone(), reader.read(&info.name).unwrap())).collect()
}

fn check(make: fn() -> Box<dyn Optimizer>, slots: &[&str], others: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    };
    let (whole, halves, rows) = (model(4, make()), model(2, make()), model(1, make()));
    let session = halves.begin();
    halves.train(&*session, 3);
    let saved = halves.save(&*session, &at("halves"));
    // The names are those of the whole model, and so are the shapes.
    let stored = content(&saved);
    let mut names: Vec<String> = others.iter().map(|name| (*name).to_owned()).collect();
    for variable in ["b", "m/w"] {
        names.push(variable.to_owned());
        names.extend(slots.iter().map(|slot| format!("{variable}/{slot}")));
    }
    names.sort();
    assert_eq!(stored.keys().cloned().collect::<Vec<_>>(), names);
    assert_eq!(stored[&format!("m/w/{}", slots[0])].shape().dims(), [4, 3]);
    let all = variables::global_variables(&halves.graph);
    let slot = all.iter().find(|slot| slot.name() == format!("m/w/part_1/{}", slots[0])).unwrap();
    assert_eq!(slot.slice().unwrap().offset, [2, 0]);

    // From two parts to a whole, on to four parts, and back to two: nothing changes on the way.
    let mut last = saved;
    for (name, next) in [("whole", &whole), ("rows", &rows), ("back", &halves)] {
        let session = next.restored(&last);
        let saved = next.save(&*session, &at(name));
        assert_eq!(content(&saved), stored, "{name}");
        last = saved;
    }
    // The training continues as if the variable had never been partitioned.
    let (parts, one) = (halves.restored(&last), whole.restored(&last));
    halves.train(&*parts, 2);
    whole.train(&*one, 2);
    let fetched = parts.run(&halves.parts, ()).unwrap();
    let values: Vec<f32> = fetched.iter().flat_map(|part| part.to_vec::<f32>().unwrap()).collect();
    let expected: Vec<f32> = one.run(&whole.parts[0], ()).unwrap().to_vec().unwrap();
    assert_eq!(values, expected);
}

#[test]
fn s_275_momentum_in_two_parts_is_restored_whole_and_back() {
    check(|| Box::new(MomentumOptimizer::new(0.1, 0.9)), &["Momentum"], &[]);
}

#[test]
fn s_275_adam_in_two_parts_is_restored_whole_and_back() {
    check(|| Box::new(AdamOptimizer::new(0.1)), &["Adam", "Adam_1"], &["beta1_power", "beta2_power"]);
}

#[test]
fn s_319_variables_begin_with_values_of_a_file_of_the_first_checkpoint_format() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rows: Vec<f32> = (0..10u8).map(f32::from).collect();
    for file in ["plain.ckpt-7", "sharded.ckpt-7-?????-of-00002"] {
        let graph = Graph::new();
        let whole =
            variables::variable(&graph.named("whole"), Tensor::zeros(DType::Float32, [5, 2]).unwrap());
        let part = |name: &str, first: usize, count: usize| {
            let (offset, shape) = (vec![first, 0], vec![count, 2]);
            let slice = SliceInfo { full_name: "split".to_owned(), full_shape: vec![5, 2], offset, shape };
            let builder = VariableBuilder::new(&graph.named(name));
            builder.initializer([count, 2], DType::Float32, &initializers::constant(0.0)).slice(slice).build()
        };
        let parts = [part("split/part_0", 0, 3), part("split/part_1", 3, 2)];
        let stored = root.join("checkpoint/tests/fixtures/v1").join(file);
        monitored_session::scaffold::init_from_checkpoint(&graph, stored, &[("p", "whole"), ("p", "split")])
            .unwrap();
        let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::with_threads(1)).unwrap();
        session.run(&variables::global_variables_initializer(&graph), ()).unwrap();
        assert_eq!(session.run(&whole, ()).unwrap().to_vec::<f32>().unwrap(), rows, "{file}");
        let values = session.run(&parts, ()).unwrap();
        assert_eq!(values[0].to_vec::<f32>().unwrap(), rows[..6], "{file}");
        assert_eq!(values[1].to_vec::<f32>().unwrap(), rows[6..], "{file}");
    }
}
