//! NanTensorHook.

use crate::support::{Program, logged};
use hooks::NanTensorHook;
use session_core::{ErrorKind, Tensor};

#[test]
fn s_360_nan_fails() {
    let program = Program::new();
    let mut driver = program.start(NanTensorHook::new(&program.loss));
    driver.run().unwrap();
    program.set(&program.loss, f32::NAN);
    logged();
    let error = driver.run().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NanLoss);
    assert_eq!(error.message(), "NaN loss during training: 'loss:0'");
    assert_eq!(logged(), ["ERROR Model diverged with loss = NaN: 'loss:0'."]);
}

#[test]
fn s_360_nan_requests_a_stop_if_configured() {
    let program = Program::new();
    program.set(&program.loss, f32::NAN);
    let mut driver = program.start(NanTensorHook::new("loss").fail_on_nan(false));
    logged();
    driver.run().unwrap();
    assert_eq!(driver.stop.unwrap().to_string(), "hook 'NanTensorHook': NaN loss during training: 'loss:0'");
    assert_eq!(logged(), ["WARN Model diverged with loss = NaN: 'loss:0'."]);
}

#[test]
fn s_360_infinity_passes_unless_it_is_checked() {
    let program = Program::new();
    program.set(&program.loss, f32::NEG_INFINITY);
    program.start(NanTensorHook::new(&program.loss)).run().unwrap();
    let error = program.start(NanTensorHook::new(&program.loss).check_infinity(true)).run().unwrap_err();
    assert_eq!(error.message(), "infinite loss during training: 'loss:0'");
}

#[test]
fn s_360_losses_of_every_kind_are_checked() {
    let program = Program::new();
    for (loss, passes) in [
        (Tensor::from(1f64), true),
        (Tensor::from(f64::NAN), false),
        (Tensor::from(tensor::f16::from_f32(2.0)), true),
        (Tensor::from(tensor::bf16::NAN), false),
        (Tensor::from(3i32), true),
        (Tensor::from([1f32]), true),
        (Tensor::from([1f32, 2.0]), false),
        (Tensor::from([1i32, 2]), false),
        (Tensor::from("loss"), false),
    ] {
        program.set(&program.loss, loss.clone());
        let result = program.start(NanTensorHook::new(&program.loss)).run();
        assert_eq!(result.is_ok(), passes, "{loss:?}");
    }
    program.set(&program.loss, Tensor::from([1f32, 2.0]));
    let error = program.start(NanTensorHook::new(&program.loss)).run().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Value);
}
