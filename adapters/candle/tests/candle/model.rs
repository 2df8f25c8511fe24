//! Models, optimizers and gradients.

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{Module, VarBuilder, VarMap, linear};
use checkpoint::{RestoreTarget, SaveSource, Saver, SaverOptions};
use monitored::StepRandom;
use monitored_candle::{
    Adam, AdamW, CandleModel, Gradients, OptimizerConfig, SavedVars, SeededVars, Sgd, dropout,
};

fn scalar(value: f32) -> Var {
    Var::from_tensor(&Tensor::new(&[value], &Device::Cpu).unwrap()).unwrap()
}

fn one(var: &Var) -> f32 {
    var.to_vec1::<f32>().unwrap()[0]
}

/// The values of a weight that begins at 1, after each step on the loss `w * w`.
fn steps(optimizer: impl Into<OptimizerConfig>, count: usize) -> Vec<f32> {
    let w = scalar(1.0);
    let mut model = CandleModel::new(SavedVars::new([("w".to_owned(), w.clone())]), optimizer).unwrap();
    let step = |_| {
        model.backward_step(&w.sqr().unwrap().sum_all().unwrap()).unwrap();
        one(&w)
    };
    (0..count).map(step).collect()
}

fn assert_close(found: &[f32], expected: &[f32]) {
    let close = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6);
    assert!(close && found.len() == expected.len(), "{found:?} is not {expected:?}");
}

#[test]
fn optimizers_follow_their_formulas() {
    assert_close(&steps(Sgd::new(0.1), 2), &[0.8, 0.64]);
    // v = 0.9 v + g, w -= 0.1 v: g = 2, then 1.6.
    let momentum = Sgd { momentum: 0.9, ..Sgd::new(0.1) };
    assert_close(&steps(momentum, 2), &[0.8, 0.46]);
    // w -= 0.1 (g + 0.9 v).
    let nesterov = Sgd { nesterov: true, ..momentum };
    assert_close(&steps(nesterov, 2), &[0.62, 0.222_4]);
    // The first step of Adam is the learning rate, whatever the gradient.
    assert_close(&steps(Adam::new(0.1), 1), &[0.9]);
    assert_close(&steps(AdamW { weight_decay: 0.5, ..AdamW::new(0.1) }, 1), &[0.85]);
}

#[test]
fn a_snapshot_is_a_deep_copy_and_a_restore_sets_the_layers() {
    let map = VarMap::new();
    let layer = linear(2, 1, VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu).pp("layer")).unwrap();
    let mut model = CandleModel::new(SavedVars::from(&map), AdamW::new(0.1)).unwrap();
    let x = Tensor::new(&[[1f32, 2.0]], &Device::Cpu).unwrap();
    let loss = || layer.forward(&x).unwrap().sum_all().unwrap();
    model.backward_step(&loss()).unwrap();
    let (before, taken) = (loss().to_scalar::<f32>().unwrap(), model.tensors().unwrap());
    model.backward_step(&loss()).unwrap();
    assert_ne!(loss().to_scalar::<f32>().unwrap(), before);
    model.assign(taken).unwrap();
    assert_eq!((loss().to_scalar::<f32>().unwrap(), model.optimizer_step()), (before, 1));
}

#[test]
fn every_dtype_goes_through_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let values = Tensor::new(&[[1f32, -2.0], [3.5, 0.0]], &Device::Cpu).unwrap();
    let dtypes =
        [DType::F32, DType::F64, DType::F16, DType::BF16, DType::I64, DType::I32, DType::U32, DType::U8];
    let vars = |zero: bool| {
        let var = |dtype: &DType| {
            let values = if zero { values.zeros_like().unwrap() } else { values.abs().unwrap() };
            (format!("{dtype:?}"), Var::from_tensor(&values.to_dtype(*dtype).unwrap()).unwrap())
        };
        SavedVars::new(dtypes.iter().map(var))
    };
    let (saved, mut read) = (vars(false), vars(true));
    let saver = Saver::new(SaverOptions::new());
    let prefix = saver.save(&saved, folder.path().join("model"), None).unwrap();
    saver.restore(&mut read, prefix).unwrap();
    for (name, var) in saved.vars() {
        let same = var.eq(read.vars()[name].as_tensor()).unwrap().to_dtype(DType::U32).unwrap();
        assert_eq!(same.sum_all().unwrap().to_scalar::<u32>().unwrap(), 4, "{name}");
    }
    // Moments of narrow weights are not narrow.
    let model = CandleModel::new(saved, Adam::new(0.1)).unwrap();
    let stored = model.tensors().unwrap();
    let dtype = |name: &str| stored.iter().find(|(known, _)| known == name).unwrap().1.dtype();
    assert_eq!((dtype("BF16"), dtype("BF16/Adam")), (tensor::DType::BFloat16, tensor::DType::Float32));
    assert!(!stored.iter().any(|(name, _)| name == "I64/Adam"));
}

#[test]
fn gradients_are_clipped_and_added_up() {
    let (a, b) = (scalar(3.0), scalar(4.0));
    let vars = SavedVars::new([("a".to_owned(), a.clone()), ("b".to_owned(), b.clone())]);
    let loss = || ((a.sqr().unwrap() + b.sqr().unwrap()).unwrap() * 0.5).unwrap().sum_all().unwrap();
    let mut gradients = Gradients::of(&loss(), &vars).unwrap();
    assert!((gradients.clip_by_global_norm(1.0).unwrap() - 5.0).abs() < 1e-6);
    assert!((gradients.global_norm().unwrap() - 1.0).abs() < 1e-6);
    // Two losses that are alike move as one.
    let mut model = CandleModel::new(vars, Sgd::new(0.1)).unwrap();
    assert!(model.apply().is_err(), "nothing to apply");
    let loss = loss();
    model.accumulate(&loss).unwrap();
    model.accumulate(&loss).unwrap();
    assert!(model.tensors().unwrap_err().to_string().contains("call `apply`"));
    model.apply().unwrap();
    assert!((one(&a) - 2.7).abs() < 1e-6 && (one(&b) - 3.6).abs() < 1e-6);
}

#[test]
fn a_model_clips_before_each_update() {
    let (a, b) = (scalar(3.0), scalar(4.0));
    let vars = SavedVars::new([("a".to_owned(), a.clone()), ("b".to_owned(), b.clone())]);
    let loss = || ((a.sqr().unwrap() + b.sqr().unwrap()).unwrap() * 0.5).unwrap().sum_all().unwrap();
    let mut gradients = Gradients::of(&loss(), &vars).unwrap();
    let mut model = CandleModel::new(vars, Sgd::new(1.0)).unwrap().clip_by_global_norm(0.5);
    model.backward_step(&loss()).unwrap();
    assert_close(&[one(&a), one(&b)], &[2.7, 3.6]);
    gradients.clip_by_value(0.25).unwrap();
    model.apply_gradients(gradients).unwrap();
    let kept = 0.25; // its norm is below the limit
    assert_close(&[one(&a), one(&b)], &[2.7 - kept, 3.6 - kept]);
    assert_eq!(model.optimizer_step(), 2);
}

#[test]
fn models_that_cannot_train_or_be_saved_are_errors() {
    let w = scalar(1.0);
    let vars = |name: &str| SavedVars::new([(name.to_owned(), w.clone())]);
    let mut model = CandleModel::new(vars("w"), Adam::new(0.1)).unwrap();
    let unrelated = scalar(2.0).sqr().unwrap().sum_all().unwrap();
    let error = model.backward_step(&unrelated).unwrap_err().to_string();
    assert!(error.contains("depends on none of the model's variables"), "{error}");
    let error = CandleModel::new(vars("optimizer_step"), Adam::new(0.1)).unwrap_err().to_string();
    assert!(error.contains("'optimizer_step'") && error.contains("rename it"), "{error}");
    let mut both = vars("w");
    both.insert("w/Adam", w.clone());
    let error = CandleModel::new(both, Adam::new(0.1)).unwrap_err().to_string();
    assert!(error.contains("'w/Adam'"), "{error}");
    let narrow = Tensor::zeros(2, DType::F8E4M3, &Device::Cpu).unwrap();
    let vars = SavedVars::new([("narrow".to_owned(), Var::from_tensor(&narrow).unwrap())]);
    let error = vars.tensors().unwrap_err();
    let text = std::error::Error::source(&error).map_or_else(String::new, ToString::to_string);
    assert!(text.contains("variable 'narrow'") && text.contains("F8E4M3"), "{error}: {text}");
    let error = CandleModel::new(vars, Adam::new(0.1)).unwrap_err().to_string();
    assert!(error.contains("variable 'narrow'"), "{error}");
}

#[test]
fn the_next_save_reuses_the_memory_of_the_last() {
    let weights = Tensor::zeros((1024, 1024), DType::F32, &Device::Cpu).unwrap();
    let vars = SavedVars::new([("w".to_owned(), Var::from_tensor(&weights).unwrap())]);
    assert_eq!(vars.copied_bytes(), 0, "nothing was saved");
    for _ in 0..3 {
        let copies = vars.tensors().unwrap();
        assert_eq!(vars.copied_bytes(), 4 << 20);
        drop(copies);
    }
    let (one, other) = (vars.tensors().unwrap(), vars.tensors().unwrap());
    assert_eq!(vars.copied_bytes(), 8 << 20, "two at once need twice the memory");
    drop((one, other));
}

#[test]
fn initial_values_depend_only_on_seed_and_name() {
    let layer = |seed, first: &str| {
        let vars = SeededVars::new(seed);
        for name in [first, "one", "other"] {
            linear(3, 2, vars.builder(DType::F32, &Device::Cpu).pp(name)).unwrap();
        }
        vars.saved().vars()["one.weight"].flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    assert_eq!(layer(1, "one"), layer(1, "other"));
    assert_ne!(layer(1, "one"), layer(2, "one"));
    let x = Tensor::ones((100, 10), DType::F32, &Device::Cpu).unwrap();
    let dropped = |step| {
        dropout(&x, 0.5, &mut StepRandom::new(1, step))
            .unwrap()
            .sum_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap()
    };
    assert_eq!(dropped(1), dropped(1));
    assert!((dropped(1) - 1000.0).abs() < 150.0 && dropped(1) != dropped(2));
    assert!(dropout(&x, 1.0, &mut StepRandom::new(1, 1)).is_err());
}
