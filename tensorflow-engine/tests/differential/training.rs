//! Whole trainings: equal losses, step by step, with every optimizer, on dense and embedded models.

use crate::engines::{Engines, Outcome, Pair, Report};
use ops::optimizers::{
    AdadeltaOptimizer, AdagradOptimizer, AdamOptimizer, AdamWOptimizer, AdamaxOptimizer,
    ExponentialMovingAverage, FtrlOptimizer, GradientAccumulation, GradientDescentOptimizer, LambOptimizer,
    LarsOptimizer, LionOptimizer, LossScale, LossScaleOptimizer, MomentumOptimizer, MovingAverageOptimizer,
    NadamOptimizer, Optimizer, RMSPropOptimizer,
};
use ops::{array, global_step, learning_rate, math, nn, variables};
use session_core::{DType, Graph, Operation, Output, SessionExt, Tensor};

const STEPS: usize = 25;

fn values(count: usize, seed: usize) -> Vec<f32> {
    let place = |i: usize| ((i + 1 + seed * 1013) as f64 * 0.618_033_988_749_894_9).fract();
    (0..count).map(|i| (place(i) * 2.0 - 1.0) as f32).collect()
}

fn tensor(shape: &[usize], seed: usize) -> Tensor {
    Tensor::from_vec(values(shape.iter().product(), seed), shape).unwrap()
}

struct Training {
    graph: Graph,
    loss: Output,
    /// Made by the optimizer, which may add more.
    train_ops: Vec<Operation>,
    feeds: Vec<(Output, Vec<Tensor>)>,
}

/// Runs both engines step by step from equal initial values.
fn follow(engines: &Engines, report: &mut Report, name: &str, training: &Training, slack: f64) {
    let init = variables::global_variables_initializer(&training.graph);
    let local = variables::local_variables_initializer(&training.graph);
    let pair = match engines.open(&training.graph) {
        Ok(pair) => pair,
        Err(error) => return report.fail(name, error.to_string()),
    };
    for session in [&*pair.ours, &pair.theirs] {
        if let Err(error) = session.run((&init, &local), ()) {
            return report.fail(name, format!("initializing: {error}"));
        }
    }
    let outcome = steps(&pair, training, slack);
    let all: Vec<Output> = variables::global_variables(&training.graph)
        .iter()
        .map(|variable| session_core::AsOutput::as_output(variable).clone())
        .collect();
    let outcome = match outcome {
        Outcome::Same => pair.compare(&all, &[], slack * 4.0),
        other => other,
    };
    let targets: Vec<&Operation> = training.train_ops.iter().collect();
    report.add_with(name, std::slice::from_ref(&training.loss), &targets, outcome, None);
}

fn steps(pair: &Pair, training: &Training, slack: f64) -> Outcome {
    for step in 0..STEPS {
        let batch = |(x, batches): &(Output, Vec<Tensor>)| (x.clone(), batches[step % batches.len()].clone());
        let feeds: Vec<(Output, Tensor)> = training.feeds.iter().map(batch).collect();
        let ours = pair.ours.run((&training.loss, &training.train_ops), feeds.clone());
        let theirs = pair.theirs.run((&training.loss, &training.train_ops), feeds);
        let how = match (ours, theirs) {
            (Ok((ours, _)), Ok((theirs, _))) => crate::compare::difference(&ours, &theirs, slack),
            (ours, theirs) => return crate::engines::failures(ours.map(drop), theirs.map(drop)),
        };
        if let Some(how) = how {
            return Outcome::Different(format!("step {step}: {how}"));
        }
    }
    Outcome::Same
}

fn optimizers() -> Vec<(&'static str, Box<dyn Optimizer>)> {
    vec![
        ("gradient descent", Box::new(GradientDescentOptimizer::new(0.2))),
        ("momentum", Box::new(MomentumOptimizer::new(0.1, 0.9))),
        ("Nesterov", Box::new(MomentumOptimizer::new(0.1, 0.9).use_nesterov(true))),
        ("Adam", Box::new(AdamOptimizer::new(0.02))),
        ("RMSProp", Box::new(RMSPropOptimizer::new(0.01).momentum(0.5))),
        ("centered RMSProp", Box::new(RMSPropOptimizer::new(0.01).centered(true))),
        ("Adagrad", Box::new(AdagradOptimizer::new(0.1))),
        ("Adadelta", Box::new(AdadeltaOptimizer::new(1.0))),
        ("Ftrl", Box::new(FtrlOptimizer::new(0.1).l1_regularization_strength(0.001))),
        ("Adamax", Box::new(AdamaxOptimizer::new(0.02))),
        ("Nadam", Box::new(NadamOptimizer::new(0.02))),
        ("AdamW", Box::new(AdamWOptimizer::new(0.001, 0.02))),
        ("LAMB", Box::new(LambOptimizer::new(0.02).weight_decay_rate(0.01))),
        ("LARS", Box::new(LarsOptimizer::new(0.5))),
        ("Lion", Box::new(LionOptimizer::new(0.002))),
        (
            "accumulated gradients",
            Box::new(GradientAccumulation::new(AdamOptimizer::new(0.02), 3).clipnorm(0.5)),
        ),
        ("averages", Box::new(MovingAverageOptimizer::new(GradientDescentOptimizer::new(0.2), 0.9))),
        ("a scaled loss", {
            let scale = LossScale::dynamic().initial(16.0).increment_period(4);
            Box::new(LossScaleOptimizer::new(AdamOptimizer::new(0.02), scale))
        }),
    ]
}

/// Two layers with cross entropy.
fn dense(optimizer: &dyn Optimizer) -> Training {
    let graph = Graph::new();
    let x = array::placeholder(&graph.named("x"), DType::Float32, [None, Some(8)]);
    let y = array::placeholder(&graph.named("y"), DType::Int64, [None]);
    let w1 = variables::variable(&graph.named("w1"), tensor(&[8, 16], 1));
    let b1 = variables::variable(&graph.named("b1"), Tensor::full(0.1f32, [16]));
    let w2 = variables::variable(&graph.named("w2"), tensor(&[16, 4], 2));
    let hidden = math::tanh(nn::bias_add(math::matmul(&x, &w1), &b1));
    let logits = math::matmul(&hidden, &w2);
    let loss = math::reduce_mean(nn::sparse_softmax_cross_entropy_with_logits(&y, &logits), ..);
    let step = global_step::get_or_create_global_step(&graph);
    let train_op = optimizer.minimize(&loss, Some(&step));
    let classes = |seed: usize| Tensor::from((0..6).map(|i| ((i * 7 + seed) % 4) as i64).collect::<Vec<_>>());
    let feeds =
        vec![(x, (0..4).map(|i| tensor(&[6, 8], 10 + i)).collect()), (y, (0..4).map(classes).collect())];
    Training { graph, loss, train_ops: vec![train_op], feeds }
}

/// Rows of a table that ids choose, so that gradients are sparse, some rows twice.
fn embedded(optimizer: &dyn Optimizer) -> Training {
    let graph = Graph::new();
    let ids = array::placeholder(&graph.named("ids"), DType::Int32, [None]);
    let table = variables::variable(&graph.named("table"), tensor(&[10, 4], 3));
    let w = variables::variable(&graph.named("w"), tensor(&[4, 1], 4));
    let rows = nn::embedding_lookup(&table, &ids);
    let loss = math::reduce_mean(math::square(math::matmul(&rows, &w) - 0.5), ..);
    let step = global_step::get_or_create_global_step(&graph);
    let train_op = optimizer.minimize(&loss, Some(&step));
    let batch = |seed: i32| Tensor::from([seed % 10, 3, (seed * 7) % 10, 3, 9]);
    Training { graph, loss, train_ops: vec![train_op], feeds: vec![(ids, (0..5).map(batch).collect())] }
}

/// Convolution, pooling, batch normalization, dropout with a seed, a decayed rate and moving averages.
fn images() -> Training {
    let graph = Graph::new();
    graph.set_random_seed(11);
    let x = array::placeholder(&graph.named("x"), DType::Float32, [None, Some(8), Some(8), Some(2)]);
    let y = array::placeholder(&graph.named("y"), DType::Float32, [None, Some(3)]);
    let filter = variables::variable(&graph.named("filter"), tensor(&[3, 3, 2, 4], 5));
    let w = variables::variable(&graph.named("w"), tensor(&[64, 3], 6));
    let conv = nn::relu(nn::conv2d(&x, &filter, [1, 1], nn::Padding::Same));
    let pooled = nn::max_pool(&conv, [2, 2], [2, 2], nn::Padding::Same);
    let dropped = nn::dropout(&pooled, 0.25, None);
    let logits = math::matmul(array::reshape(&dropped, [-1, 64]), &w);
    let loss = math::reduce_mean(nn::softmax_cross_entropy_with_logits(&y, &logits), ..);
    let step = global_step::get_or_create_global_step(&graph);
    let rate = learning_rate::exponential_decay(0.1, &step, 5, 0.7, learning_rate::Decay::Staircase);
    let train_op = MomentumOptimizer::new(&rate, 0.9).minimize(&loss, Some(&step));
    let average = ExponentialMovingAverage::new(0.9);
    let after = graph.control_dependencies([&train_op]);
    let update = average.apply(&after, &[filter, w]);
    let labels = |seed: usize| {
        let row = |i: usize| (0..3).map(move |c| f32::from(u8::from((i + seed) % 3 == c)));
        Tensor::from_vec((0..5).flat_map(row).collect::<Vec<f32>>(), [5, 3]).unwrap()
    };
    let feeds =
        vec![(x, (0..3).map(|i| tensor(&[5, 8, 8, 2], 20 + i)).collect()), (y, (0..3).map(labels).collect())];
    Training { graph, loss, train_ops: vec![train_op, update], feeds }
}

pub(crate) fn all(engines: &Engines, report: &mut Report) {
    for (name, optimizer) in optimizers() {
        follow(engines, report, &format!("training with {name}"), &dense(&*optimizer), 32.0);
        follow(
            engines,
            report,
            &format!("training of an embedding with {name}"),
            &embedded(&*optimizer),
            32.0,
        );
    }
    follow(engines, report, "training on images", &images(), 64.0);
}
