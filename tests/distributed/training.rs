//! A training with one parameter server and two workers, each of which dies once.

use crate::cluster::{Process, available, cluster, cluster_of};
use crate::parts::model;
use crate::roles::{SAVE_STEPS, saved_step};
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
    for step in 1..=3u8 {
        workers.iter_mut().for_each(|worker| worker.tell("step"));
        // The gradients are 1 and 2: each step subtracts their mean.
        let expected = format!("{} [1.0, {:?}] {step}", -1.5 * f32::from(step), 2.0 - 1.5 * f32::from(step));
        for worker in &workers {
            assert_eq!(worker.line(), expected);
        }
    }
    for worker in workers.iter_mut().rev() {
        assert_eq!(worker.ask("close"), "closed");
    }
    drop(ps);
}
