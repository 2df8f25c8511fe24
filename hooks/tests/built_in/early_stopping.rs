//! EarlyStoppingHook.

use crate::support::{Program, borrowed};
use checkpoint::Better;
use hooks::{EarlyStoppingHook, Metric, SessionRunHook};
use session_core::{Error, Graph};

/// Sets the loss before each run, and returns the number of runs until a stop.
fn until_stop(hook: EarlyStoppingHook, losses: &[f32]) -> (usize, Option<String>) {
    let program = Program::new();
    let mut driver = program.start(hook);
    for (run, &loss) in losses.iter().enumerate() {
        program.set(&program.loss, loss);
        driver.run().unwrap();
        if let Some(reason) = driver.stop.take() {
            return (run + 1, Some(reason.text().to_owned()));
        }
    }
    (losses.len(), None)
}

#[test]
fn stops_when_the_metric_no_longer_improves() {
    let hook = || EarlyStoppingHook::new("loss", Better::Lower).patience(3);
    let (runs, reason) = until_stop(hook(), &[5.0, 4.0, 4.0, 4.5, 3.5, 3.6, 3.7, 3.5, 1.0]);
    assert_eq!(
        (runs, reason.as_deref()),
        (8, Some("the metric did not improve on 3.5 (step 5) in 3 checks"))
    );
    assert_eq!(until_stop(hook(), &[5.0, 6.0, 6.0, 4.0, 6.0, 6.0]).1, None);
    let higher = EarlyStoppingHook::new("loss", Better::Higher).patience(2);
    assert_eq!(until_stop(higher, &[1.0, 2.0, 1.0, 2.0, 9.0]).0, 4);
    let delta = hook().patience(2).min_delta(0.5);
    assert_eq!(until_stop(delta, &[5.0, 4.6, 4.6, 1.0]).0, 3);
}

#[test]
fn nan_is_never_better() {
    let hook = EarlyStoppingHook::new("loss", Better::Lower).patience(2);
    let (runs, reason) = until_stop(hook, &[f32::NAN, f32::NAN, 1.0]);
    assert_eq!((runs, reason.as_deref()), (2, Some("the metric was NaN in 2 checks")));
}

#[test]
fn checks_every_n_steps() {
    let program = Program::new().at(10);
    let hook = EarlyStoppingHook::new(&program.loss, Better::Lower).check_every(5).patience(2);
    let mut driver = program.start(hook);
    assert_eq!(driver.runs(100), 15, "the best at 15, no better at 20 and 25");
    assert_eq!(program.fetched(&program.loss), 3);
}

#[test]
fn a_function_may_evaluate() {
    let program = Program::new();
    let mut answers = [0.5, 0.4, 0.3].into_iter();
    let metric = Metric::evaluated(move |session| {
        assert!(!session.is_closed());
        answers.next().ok_or_else(|| Error::value("no more"))
    });
    let mut driver = program.start(EarlyStoppingHook::new(metric, Better::Higher).check_every(2).patience(2));
    assert_eq!(driver.runs(100), 6);
    driver.run().unwrap();
    assert_eq!(driver.run().unwrap_err().message(), "no more");
}

#[test]
fn an_interrupted_training_stops_at_the_same_step() {
    let hook = || EarlyStoppingHook::new("loss", Better::Lower).check_every(3).patience(4);
    let whole = Program::new();
    assert_eq!(whole.start(hook()).runs(100), 15);
    for interrupted in 0..=15 {
        let first = Program::new();
        let mut driver = first.start(hook());
        for _ in 0..interrupted {
            driver.run().unwrap();
        }
        let states = driver.states();
        let second = Program::new().at(interrupted);
        let mut driver = second.drive(vec![Box::new(hook())]);
        driver.begin().unwrap();
        driver.create(&borrowed(&states)).unwrap();
        if interrupted == 15 {
            assert!(driver.created.is_some(), "a training that was stopped stays so");
        } else {
            assert_eq!(driver.runs(100), 15 - interrupted as usize, "interrupted at {interrupted}");
        }
    }
}

#[test]
fn a_recovery_without_a_checkpoint_forgets_the_progress() {
    let program = Program::new();
    let mut driver = program.start(EarlyStoppingHook::new("loss", Better::Lower).patience(2));
    program.set(&program.loss, 1f32);
    driver.runs(2);
    program.set_step(0);
    driver.create(&[]).unwrap();
    program.set(&program.loss, 5f32);
    assert_eq!(driver.runs(9), 3, "5 is the best value of the new session, and then not better twice");
}

#[test]
fn invalid_configurations_are_errors() {
    let hook = || EarlyStoppingHook::new("nothing", Better::Lower);
    assert!(hook().begin(&Graph::new()).unwrap_err().message().contains("global step"));
    assert!(hook().begin(&Program::new().graph).unwrap_err().message().contains("'nothing'"));
    assert!(hook().load_state(&[1, 2, 3]).is_err());
    let program = Program::new();
    program.set(&program.loss, session_core::Tensor::from([1f32, 2.0]));
    assert!(program.start(EarlyStoppingHook::new("loss", Better::Lower)).run().is_err());
}
