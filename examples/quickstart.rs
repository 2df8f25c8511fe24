//! Fits a line: the smallest whole program.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic reports the failure, and the output is meant to be read

use monitored_session::ops::{array, math, optimizers::*, variables};
use monitored_session::prelude::*;

fn main() -> Result<()> {
    let graph = Graph::new();
    let x = array::placeholder(&graph.named("x"), DType::Float32, [None]);
    let y = array::placeholder(&graph.named("y"), DType::Float32, [None]);
    let w = variables::variable(&graph.named("w"), 0.0f32);
    let b = variables::variable(&graph.named("b"), 0.0f32);
    let loss = math::reduce_mean(math::square(&x * &w + &b - &y), ..);
    let train_op = GradientDescentOptimizer::new(0.1).minimize(&loss, None);

    let mut session = SingularMonitoredSession::builder(&graph).build()?;
    for _ in 0..300 {
        session.run(&train_op, [(&x, vec![0.0f32, 1.0, 2.0]), (&y, vec![1.0, 3.0, 5.0])])?;
    }
    let (w, b) = session.run((&w, &b), ())?;
    println!("y = {w} x + {b}");
    session.close()
}
