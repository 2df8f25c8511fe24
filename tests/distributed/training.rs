//! A training with one parameter server and two workers, each of which dies once.

use super::cluster::{Process, available, cluster, cluster_of};
use super::roles::{SAVE_STEPS, saved_step};
use crate::parts::model;
use crate::python::python;
use monitored_session::ops::optimizers::*;
use monitored_session::prelude::*;

/// Returns the step and the number of recoveries from a worker's answer.
fn answer(line: &str) -> (i64, usize) {
    let (step, recoveries) = line.split_once(' ').unwrap();
    (step.parse().unwrap(), recoveries.parse().unwrap())
}

fn steps(process: &mut Process, count: usize) -> (i64, usize) {
    (0..count).map(|_| answer(&process.ask("step"))).last().unwrap()
}

#[test]
fn training_survives_the_death_of_each_process() {
    if !available() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cluster = cluster(2);
    let start = |role, job, index| Process::start(role, &cluster, job, index, folder.path());
    let ps = start("server", "ps", 0);
    let mut chief = start("train", "worker", 0);
    let mut worker = start("train", "worker", 1);
    assert_eq!(steps(&mut chief, 12), (12, 0));
    assert_eq!(steps(&mut worker, 5), (17, 0));

    // A worker dies: the others do not notice, and its successor continues with the current variables.
    worker.kill();
    assert_eq!(steps(&mut chief, 5), (22, 0));
    let mut worker = start("train", "worker", 1);
    assert_eq!(steps(&mut worker, 3), (25, 0));

    // The parameter server dies with its variables: the chief restores them, and the worker waits for it.
    let before = 25;
    let saved = saved_step(folder.path());
    assert!(before - saved <= SAVE_STEPS as i64 + 3, "the last checkpoint is of step {saved}");
    ps.kill();
    let ps = start("server", "ps", 0);
    let (step, recoveries) = answer(&chief.ask("step"));
    assert!(recoveries > 0, "the chief lost its session");
    assert_eq!(step, saved + 1, "it continues from the checkpoint");
    let (step, recoveries) = answer(&worker.ask("step"));
    assert!(recoveries > 0, "the worker lost its session");
    assert_eq!(step, saved + 2);

    // The chief dies: its successor restores the newest checkpoint.
    steps(&mut chief, 9);
    chief.kill();
    let saved = saved_step(folder.path());
    let mut chief = start("train", "worker", 0);
    assert_eq!(steps(&mut chief, 1).0, saved + 1);

    // At the end the steps of all workers are counted and saved.
    let target = 60;
    let last = steps(&mut chief, (target - saved - 1 - 10) as usize).0;
    assert_eq!(last, target - 10);
    assert_eq!(steps(&mut worker, 10).0, target);
    assert_eq!(worker.ask("close"), "closed");
    assert_eq!(chief.ask("close"), "closed");
    assert_eq!(saved_step(folder.path()), target);
    drop(ps);
}

#[test]
fn two_parameter_servers_train_variables_with_slots() {
    if !available() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cluster = cluster_of(2, 1);
    let start = |role, job, index| Process::start(role, &cluster, job, index, folder.path());
    let servers = [start("server", "ps", 0), start("server", "ps", 1)];
    let worker = start("slots", "worker", 0);
    for rows in [4, 2] {
        let optimizers: [Box<dyn Optimizer>; 2] =
            [Box::new(AdamOptimizer::new(0.1)), Box::new(MomentumOptimizer::new(0.1, 0.9))];
        for optimizer in optimizers {
            let model = model(rows, optimizer);
            let session =
                EmbeddedEngine::new().new_session(&model.graph, "", &SessionConfig::default()).unwrap();
            let expected = model.trained(&*session);
            let found: Vec<f32> = worker
                .line()
                .trim_matches(['[', ']'])
                .split(", ")
                .map(|value| value.parse().unwrap())
                .collect();
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-5, "{found} for {expected}");
            }
        }
    }
    drop(servers);
}

#[test]
fn workers_take_each_step_of_a_synchronous_training_together() {
    if !available() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cluster = cluster(2);
    let start = |role, job, index| Process::start(role, &cluster, job, index, folder.path());
    let ps = start("server", "ps", 0);
    let mut workers = [start("replica", "worker", 0), start("replica", "worker", 1)];
    train_together(&mut workers);
    for worker in workers.iter_mut().rev() {
        assert_eq!(worker.ask("close"), "closed");
    }
    drop(ps);
}

/// Lets two replicas take three steps, and compares the variables after each of them.
fn train_together(workers: &mut [Process; 2]) {
    let (mut velocity, mut moved) = (0f32, 0f32);
    for step in 1..=3u8 {
        workers.iter_mut().for_each(|worker| worker.tell("step"));
        // The gradients of the replicas are 1 and 2.
        velocity = 0.9 * velocity + 1.5;
        moved -= velocity;
        let expected = [moved, 1.0, 2.0 + moved, f32::from(step)];
        for worker in workers.iter() {
            let line = worker.line();
            let found: Vec<f32> = line.split(' ').map(|value| value.parse().unwrap()).collect();
            assert_eq!(found.len(), expected.len(), "{line}");
            let close = found.iter().zip(&expected).all(|(found, expected)| (found - expected).abs() < 1e-5);
            assert!(close, "{line} for {expected:?}");
        }
    }
}

/// The variables, accumulators and tokens on the parameter server have the names under which TensorFlow's Python finds them.
#[test]
fn a_chief_in_rust_and_a_worker_in_python_train_together() {
    let Some(python) = python().filter(|_| available()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let cluster = cluster(2);
    let ps = Process::start_python(&python, &cluster, "ps", 0);
    let chief = Process::start("replica", &cluster, "worker", 0, folder.path());
    let mut workers = [chief, Process::start_python(&python, &cluster, "worker", 1)];
    train_together(&mut workers);
    let [mut chief, worker] = workers;
    worker.kill();
    assert_eq!(chief.ask("close"), "closed");
    drop(ps);
}

#[test]
fn a_chief_in_python_and_a_worker_in_rust_train_together() {
    let Some(python) = python().filter(|_| available()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let cluster = cluster(2);
    let ps = Process::start("server", &cluster, "ps", 0, folder.path());
    let chief = Process::start_python(&python, &cluster, "worker", 0);
    let mut workers = [chief, Process::start("replica", &cluster, "worker", 1, folder.path())];
    train_together(&mut workers);
    let [chief, mut worker] = workers;
    assert_eq!(worker.ask("close"), "closed");
    chief.kill();
    drop(ps);
}
