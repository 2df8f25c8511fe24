//! A model with a partitioned variable, for every optimizer.
#![allow(clippy::unwrap_used)] // a test may

use monitored_session::ops::variables::{self, VariableBuilder};
use monitored_session::ops::{array, initializers, math, optimizers::*};
use monitored_session::prelude::*;
use monitored_session::session_core::{Operation, Output, SliceInfo};

/// A model with a matrix of four rows, whole or partitioned, and a vector.
pub(crate) struct Model {
    pub(crate) graph: Graph,
    pub(crate) train: Operation,
    pub(crate) parts: Vec<Variable>,
}

pub(crate) fn model(rows: usize, optimizer: Box<dyn Optimizer>) -> Model {
    let graph = Graph::new();
    let scope = graph.scope("m");
    let part = |first: usize| {
        let named = if rows == 4 { "w".to_owned() } else { format!("w/part_{}", first / rows) };
        let builder = VariableBuilder::new(&scope.named(&named));
        let begin = initializers::constant(first as f64);
        let builder = builder.initializer([rows, 3], DType::Float32, &begin);
        if rows == 4 {
            return builder.build();
        }
        let slice = SliceInfo {
            full_name: "m/w".to_owned(),
            full_shape: vec![4, 3],
            offset: vec![first, 0],
            shape: vec![rows, 3],
        };
        builder.slice(slice).build()
    };
    let parts: Vec<Variable> = (0..4).step_by(rows).map(part).collect();
    let b = variables::variable(&graph.named("b"), [1.0f32, 2.0, 3.0]);
    let values: Vec<Output> = parts.iter().map(|part| part.snapshot().clone()).collect();
    let whole = if values.len() == 1 { values[0].clone() } else { array::concat(&values, 0) };
    let target = array::constant(&graph, Tensor::from([[1f32, -2.0, 3.0]]));
    let loss = math::reduce_sum(math::square(&whole - &target + &b), ..);
    let train = optimizer.minimize_over(&loss, &variables::trainable_variables(&graph), None);
    graph.check().unwrap();
    Model { graph, train, parts }
}

impl Model {
    /// Returns the values of the partitioned variable after three steps from the start.
    #[allow(dead_code)] // not every test trains from the beginning
    pub(crate) fn trained(&self, session: &dyn Session) -> Vec<f32> {
        session.run(&variables::global_variables_initializer(&self.graph), ()).unwrap();
        (0..3).for_each(|_| session.run(&self.train, ()).unwrap());
        let parts = session.run(&self.parts, ()).unwrap();
        parts.iter().flat_map(|part| part.to_vec::<f32>().unwrap()).collect()
    }
}
