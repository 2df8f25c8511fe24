//! The optimizer updates against what TensorFlow made of the same numbers
//! (`golden/make_optimizer_golden.py`, TensorFlow 2.21).
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen

mod golden;

use compute::Pool;
use compute::optimizer::{
    AdaMax, Adadelta, Adagrad, AdagradDa, Adam, AddSign, CenteredRmsProp, Ftrl, GradientDescent,
    KerasMomentum, Momentum, PowerSign, ProximalAdagrad, ProximalGradientDescent, RmsProp, Rule, Weight,
    apply, apply_sparse,
};
use golden::{Case, Number, cases};
use half::{bf16, f16};

/// One golden case and how far a result may be from it.
struct Check<'a> {
    name: &'a str,
    case: &'a Case,
    tolerance: f64,
}

impl Check<'_> {
    fn is(&self, flag: &str) -> bool {
        self.name.split('/').any(|part| part == flag)
    }

    fn scalar<T: Number>(&self, name: &str) -> T {
        self.case.get(name)[0]
    }

    fn state_names<const N: usize>() -> [String; N] {
        std::array::from_fn(|k| if k == 0 { "weights".to_string() } else { format!("slot{k}") })
    }

    /// Applies `rule` with 1 to 3 threads, and to the indices if the case has any.
    fn rule<T: Weight + Number, const N: usize>(&self, rule: impl Rule<T, N>) {
        let names = Self::state_names::<N>();
        let gradient: Vec<T> = self.case.get("gradient");
        for threads in 1..=3 {
            let pool = Pool::new(threads).unwrap();
            let mut state = names.each_ref().map(|name| self.case.get::<T>(name));
            let slices = state.each_mut().map(|slot| slot.as_mut_slice());
            if self.case.words("indices").is_some() {
                apply_sparse(rule, 4, slices, &gradient, &self.case.integers("indices")).unwrap();
            } else {
                apply(&pool, rule, slices, &gradient);
            }
            for (name, found) in names.iter().zip(&state) {
                self.compare(name, found);
            }
        }
    }

    /// FTRL adds the difference of two powers divided by the learning rate: where they nearly cancel, what
    /// the mathematics library of the machine rounds in each is a larger part of the result.
    fn tolerance(&self) -> f64 {
        let cancels = self.name.contains("Ftrl") && self.is("power");
        if cancels { 8.0 * self.tolerance } else { self.tolerance }
    }

    fn compare<T: Number>(&self, name: &str, found: &[T]) {
        let (before, expected): (Vec<T>, Vec<T>) = (self.case.get(name), self.case.get(&format!("{name}'")));
        for (i, &found) in found.iter().enumerate() {
            if found.to_f64().is_nan() && expected[i].to_f64().is_nan() {
                continue;
            }
            // Where an update nearly cancels the value, the error is that of the larger numbers.
            let scale = before[i].to_f64().abs().max(expected[i].to_f64().abs());
            let off = (found.to_f64() - expected[i].to_f64()).abs() / (scale * T::epsilon());
            assert!(
                off <= self.tolerance(),
                "{}: {name}[{i}] is {found:?}, not {:?}: off by {off} epsilon",
                self.name,
                expected[i]
            );
        }
    }

    fn run<T: Weight + Number>(&self) {
        let (operation, _) = self.name.split_once('/').unwrap();
        let s = |name: &str| self.scalar::<T>(name);
        let use_nesterov = self.is("nesterov");
        let update_slots = !self.is("frozen");
        match operation.trim_start_matches("Sparse") {
            "GradientDescent" => self.rule(GradientDescent { learning_rate: s("lr") }),
            "Momentum" => {
                self.rule(Momentum { learning_rate: s("lr"), momentum: s("momentum"), use_nesterov });
            }
            "KerasMomentum" => {
                self.rule(KerasMomentum { learning_rate: s("lr"), momentum: s("momentum"), use_nesterov });
            }
            "Adam" => self.rule(Adam {
                learning_rate: s("lr"),
                beta1: s("beta1"),
                beta2: s("beta2"),
                epsilon: s("epsilon"),
                beta1_power: s("beta1_power"),
                beta2_power: s("beta2_power"),
                use_nesterov,
            }),
            "AdaMax" => self.rule(AdaMax {
                learning_rate: s("lr"),
                beta1: s("beta1"),
                beta2: s("beta2"),
                epsilon: s("epsilon"),
                beta1_power: s("beta1_power"),
            }),
            "RMSProp" => self.rule(RmsProp {
                learning_rate: s("lr"),
                rho: s("rho"),
                momentum: s("momentum"),
                epsilon: s("epsilon"),
            }),
            "CenteredRMSProp" => self.rule(CenteredRmsProp {
                learning_rate: s("lr"),
                rho: s("rho"),
                momentum: s("momentum"),
                epsilon: s("epsilon"),
            }),
            "Adagrad" => self.rule(Adagrad { learning_rate: s("lr"), epsilon: None, update_slots }),
            "AdagradV2" => {
                self.rule(Adagrad { learning_rate: s("lr"), epsilon: Some(s("epsilon")), update_slots });
            }
            "AdagradDA" => {
                self.rule(AdagradDa { learning_rate: s("lr"), l1: s("l1"), l2: s("l2"), global_step: 7 });
            }
            "Adadelta" => {
                self.rule(Adadelta { learning_rate: s("lr"), rho: s("rho"), epsilon: s("epsilon") })
            }
            "ProximalGradientDescent" => {
                self.rule(ProximalGradientDescent { learning_rate: s("lr"), l1: s("l1"), l2: s("l2") });
            }
            "ProximalAdagrad" => {
                self.rule(ProximalAdagrad { learning_rate: s("lr"), l1: s("l1"), l2: s("l2") });
            }
            "Ftrl" | "FtrlV2" => {
                let shrinkage = self.case.try_get::<T>("l2_shrinkage");
                self.rule(Ftrl {
                    learning_rate: s("lr"),
                    l1: s("l1"),
                    l2: s("l2"),
                    l2_shrinkage: shrinkage.map_or(T::default(), |values| values[0]),
                    learning_rate_power: s("lr_power"),
                    multiply_linear_by_lr: self.is("multiply"),
                    keeps_nan: false,
                });
            }
            "PowerSign" => self.rule(PowerSign {
                learning_rate: s("lr"),
                log_base: s("logbase"),
                sign_decay: s("sign_decay"),
                beta: s("beta"),
            }),
            "AddSign" => self.rule(AddSign {
                learning_rate: s("lr"),
                alpha: s("alpha"),
                sign_decay: s("sign_decay"),
                beta: s("beta"),
            }),
            other => panic!("no rule for {other}"),
        }
    }
}

fn check<T: Weight + Number>(dtype: &str, tolerance: f64) {
    let cases = cases(include_str!("golden/optimizer.csv"));
    let mut count = 0;
    for (name, case) in cases.iter().filter(|(name, _)| name.split('/').nth(1) == Some(dtype)) {
        Check { name, case, tolerance }.run::<T>();
        count += 1;
    }
    assert!(count > 15, "{count} cases of {dtype}");
}

#[test]
fn float_updates_are_tensorflows() {
    check::<f32>("f32", 4.0);
}

#[test]
fn double_updates_are_tensorflows() {
    check::<f64>("f64", 4.0);
}

#[test]
fn half_updates_are_tensorflows() {
    check::<f16>("f16", 2.0);
}

#[test]
fn bfloat_updates_are_tensorflows() {
    check::<bf16>("bf16", 2.0);
}
