//! Optimizers, schedules, moving averages and metrics, by their numbers.

use super::{assert_close, list, open};
use crate::array::{constant, placeholder};
use crate::global_step::create_global_step;
use crate::learning_rate::{Decay, exponential_decay};
use crate::math::{mul, reduce_sum, square};
use crate::metrics;
use crate::optimizers::{
    AdadeltaOptimizer, AdagradOptimizer, AdamOptimizer, ExponentialMovingAverage, FtrlOptimizer,
    GradientDescentOptimizer, MomentumOptimizer, Optimizer, RMSPropOptimizer,
};
use crate::variables::{VariableExt, global_variables_initializer, local_variables_initializer, variable};
use session_core::{DType, Engine, Graph, SessionExt, Tensor};

list! {
    optimizers_take_tensorflows_steps schedules_follow_the_step moving_averages_follow metrics_accumulate_over_batches
}

/// Three steps on a small quadratic function.
fn three_steps(engine: &dyn Engine, optimizer: &dyn Optimizer) -> Tensor {
    let graph = Graph::new();
    let w = variable(&graph.named("w"), [1.0f32, -2.0, 3.0]);
    let loss = reduce_sum(mul(square(&w), constant(&graph, [1.0f32, 2.0, 0.5])), ..);
    let train_op = optimizer.minimize(&loss, None);
    let init = global_variables_initializer(&graph);
    let session = open(engine, &graph);
    session.run(&init, ()).unwrap();
    for _ in 0..3 {
        session.run(&train_op, ()).unwrap();
    }
    session.run(&w, ()).unwrap()
}

/// Every optimizer takes the steps that TensorFlow's takes.
pub fn optimizers_take_tensorflows_steps(engine: &dyn Engine) {
    let ftrl = FtrlOptimizer::new(0.5).l1_regularization_strength(0.1).l2_regularization_strength(0.01);
    let cases: [(&dyn Optimizer, [f64; 3]); 9] = [
        (&GradientDescentOptimizer::new(0.1), [0.511_999_96, -0.432, 2.187]),
        (&MomentumOptimizer::new(0.1, 0.9), [0.062_000_006, 1.079_999_92, 1.458_000_18]),
        (&MomentumOptimizer::new(0.1, 0.9).use_nesterov(true), [-0.108_351_976, 0.866_591_87, 0.981_963_04]),
        (&AdamOptimizer::new(0.1), [0.701_587_32, -1.700_624_47, 2.700_382_71]),
        (&RMSPropOptimizer::new(0.1).momentum(0.5), [0.387_154_01, -1.026_646_85, 2.190_020_08]),
        (&RMSPropOptimizer::new(0.1).centered(true), [0.558_930_4, -1.282_122_73, 2.406_978_61]),
        (&AdagradOptimizer::new(0.5), [0.161_455_72, -0.984_157_09, 1.940_174_58]),
        (&AdadeltaOptimizer::new(1.0), [0.998_643_46, -1.998_643_28, 2.998_643_16]),
        (&ftrl, [0.092_566_423, -0.916_792_39, 1.649_073_12]),
    ];
    for (optimizer, expected) in cases {
        let found = three_steps(engine, optimizer).to_vec::<f32>().unwrap();
        let agree =
            found.iter().zip(expected).all(|(&found, expected)| (f64::from(found) - expected).abs() < 3e-6);
        assert!(agree, "{}: {found:?}, not {expected:?}", optimizer.settings().name());
    }
}

/// A learning rate that depends on the global step changes from step to step.
pub fn schedules_follow_the_step(engine: &dyn Engine) {
    let graph = Graph::new();
    let step = create_global_step(&graph);
    let w = variable(&graph.named("w"), 0.0f32);
    let rate = exponential_decay(1.0, &step, 1, 0.5, Decay::Smooth);
    let loss = reduce_sum(&w, ..);
    let train_op = GradientDescentOptimizer::new(&rate).minimize(&loss, Some(&step));
    let init = global_variables_initializer(&graph);
    let session = open(engine, &graph);
    session.run(&init, ()).unwrap();
    let mut expected = 0.0;
    for halves in 0..5 {
        session.run(&train_op, ()).unwrap();
        expected -= 0.5f64.powi(halves);
        assert_close(&session.run(&w, ()).unwrap(), &[expected]);
    }
}

/// Averages begin with the variable's value and follow it.
pub fn moving_averages_follow(engine: &dyn Engine) {
    let graph = Graph::new();
    let w = variable(&graph.named("w"), 2.0f32);
    let average = ExponentialMovingAverage::new(0.9);
    let update = average.apply(&graph, std::slice::from_ref(&w));
    let shadow = average.average(&w).unwrap();
    let assign = w.assign(constant(&graph, 12.0f32));
    let init = global_variables_initializer(&graph);
    let session = open(engine, &graph);
    session.run(&init, ()).unwrap();
    assert_close(&session.run(&shadow, ()).unwrap(), &[2.0]);
    session.run(&assign, ()).unwrap();
    session.run(&update, ()).unwrap();
    assert_close(&session.run(&shadow, ()).unwrap(), &[3.0]);
    session.run(&update, ()).unwrap();
    assert_close(&session.run(&shadow, ()).unwrap(), &[3.9]);
}

/// Metrics add up over runs; their updates return the value with the batch.
pub fn metrics_accumulate_over_batches(engine: &dyn Engine) {
    let graph = Graph::new();
    let labels = placeholder(&graph.named("labels"), DType::Int64, [None]);
    let found = placeholder(&graph.named("found"), DType::Int64, [None]);
    let accuracy = metrics::accuracy(&labels, &found);
    let (precision, recall) = (metrics::precision(&labels, &found), metrics::recall(&labels, &found));
    let init = local_variables_initializer(&graph);
    let session = open(engine, &graph);
    session.run(&init, ()).unwrap();
    assert_close(&session.run(&accuracy.value, ()).unwrap(), &[0.0]);
    let updates = [&accuracy.update_op, &precision.update_op, &recall.update_op];
    let run = |of_labels: &[i64], of_found: &[i64]| {
        let feeds = [(&labels, Tensor::from(of_labels)), (&found, Tensor::from(of_found))];
        session.run(updates, feeds).unwrap().map(|value| value.value::<f32>().unwrap())
    };
    assert_eq!(run(&[1, 0, 1, 1], &[1, 1, 0, 1]), [0.5, 2.0 / 3.0, 2.0 / 3.0]);
    assert_eq!(run(&[0, 0], &[0, 1]), [0.5, 0.5, 2.0 / 3.0]);
    let values = session.run([&accuracy.value, &precision.value, &recall.value], ()).unwrap();
    assert_eq!(values.map(|value| value.value::<f32>().unwrap()), [0.5, 0.5, 2.0 / 3.0]);
}
