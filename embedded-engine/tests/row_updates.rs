//! Optimizers that are given rows instead of whole gradients: those of lookups, of which each index may occur several times.
//! The expected values are TensorFlow's.
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use embedded_engine::EmbeddedEngine;
use ops::optimizers::{
    AdadeltaOptimizer, AdagradOptimizer, FtrlOptimizer, GradientDescentOptimizer, LossScale,
    LossScaleOptimizer, MomentumOptimizer, Optimizer, RMSPropOptimizer, clip_by_global_norm, clip_by_norm,
};
use ops::variables::{VariableBuilder, variable};
use ops::{array, math};
use session_core::{DType, Engine, Graph, Output, PartialShape, SessionConfig, SessionExt, Tensor, Variable};

/// A table of three rows, in which the numbers of a placeholder are looked up, with a loss of the rows.
struct Model {
    graph: Graph,
    table: Variable,
    ids: Output,
    loss: Output,
}

impl Model {
    fn new(is_resource: bool) -> Model {
        let graph = Graph::new();
        let start = Tensor::from([[1.0f32, 2.0], [3.0, 4.0], [5.0, 6.0]]);
        let table = match is_resource {
            true => variable(&graph.named("table"), start),
            false => VariableBuilder::new(&graph.named("table"))
                .initial_value(array::constant(&graph, start))
                .use_resource(false)
                .build(),
        };
        let ids = array::placeholder(&graph, DType::Int32, PartialShape::from([None]));
        let weights = array::constant(&graph, Tensor::from([1.0f32, 2.0]));
        let loss = math::reduce_sum(math::mul(array::gather(&table, &ids), weights), ..);
        Model { graph, table, ids, loss }
    }

    /// Trains in three steps, and returns the table.
    fn trained(&self, train_op: &session_core::Operation) -> Vec<f32> {
        let init = ops::variables::global_variables_initializer(&self.graph);
        self.graph.check().unwrap();
        let session =
            EmbeddedEngine::new().new_session(&self.graph, "", &SessionConfig::with_threads(1)).unwrap();
        session.run(&init, ()).unwrap();
        for ids in [vec![0i32, 0, 2], vec![1], vec![1, 2]] {
            session.run(train_op, [(&self.ids, Tensor::from(ids))]).unwrap();
        }
        let table: Tensor = session.run(self.table.snapshot(), ()).unwrap();
        table.to_vec().unwrap()
    }
}

#[track_caller]
fn assert_close(found: &[f32], expected: [f32; 6]) {
    let close = found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 2e-6);
    assert!(close, "{found:?} instead of {expected:?}");
}

#[track_caller]
fn check(optimizer: &dyn Fn() -> Box<dyn Optimizer>, expected: [f32; 6]) {
    for is_resource in [true, false] {
        let model = Model::new(is_resource);
        let train_op = optimizer().minimize(&model.loss, None);
        assert_close(&model.trained(&train_op), expected);
    }
}

#[test]
fn rows_that_no_step_looks_up_keep_their_values_and_slots() {
    check(
        &|| Box::new(FtrlOptimizer::new(0.1)),
        [0.745_053_3, 1.742_689, 1.931_113, 3.206_259, 3.328_090_4, 4.893_911_4],
    );
    check(&|| Box::new(MomentumOptimizer::new(0.1, 0.9)), [0.8, 1.6, 2.71, 3.42, 4.71, 5.42]);
    check(
        &|| Box::new(MomentumOptimizer::new(0.1, 0.9).use_nesterov(true)),
        [0.62, 1.24, 2.539, 3.078, 4.539, 5.078],
    );
    check(
        &|| Box::new(RMSPropOptimizer::new(0.1)),
        [0.824_588_4, 1.747_017_9, 2.8, 3.664_970_9, 4.8, 5.664_970_9],
    );
    check(
        &|| Box::new(RMSPropOptimizer::new(0.1).momentum(0.5).centered(true)),
        [0.821_825_9, 1.738_511_8, 2.747_389, 3.565_232_3, 4.747_389, 5.565_232_8],
    );
    check(
        &|| Box::new(AdadeltaOptimizer::new(0.001).epsilon(0.1)),
        [0.998_845_3, 1.998_666_6, 2.998_361_8, 3.997_678_9, 4.998_361_6, 5.997_678_8],
    );
    check(
        &|| Box::new(AdagradOptimizer::new(0.1)),
        [0.901_227, 1.900_310_9, 2.835_647_3, 3.830_954, 4.835_647, 5.830_954],
    );
    check(&|| Box::new(GradientDescentOptimizer::new(0.1)), [0.8, 1.6, 2.8, 3.6, 4.8, 5.6]);
}

#[test]
fn limited_and_unscaled_gradients_of_lookups_still_update_rows() {
    let momentum = || MomentumOptimizer::new(0.1, 0.9);
    let expected = [0.948_360_2, 1.896_720_4, 2.883_406_6, 3.766_813_3, 4.919_319_6, 5.838_639_3];
    for of_all in [true, false] {
        let model = Model::new(true);
        let optimizer = momentum();
        let mut found = optimizer.compute_gradients(&model.loss, std::slice::from_ref(&model.table));
        let gradient = found[0].0.clone();
        found[0].0 = match of_all {
            true => clip_by_global_norm(&[gradient], 1.0).unwrap().0.remove(0),
            false => gradient.map(|gradient| clip_by_norm(gradient, 1.0)),
        };
        let train_op = optimizer.apply_gradients(&found, None);
        assert_close(&model.trained(&train_op), expected);
    }
    // The limit of the numbers of rows: twice 1 at index 0, and 1.5 instead of 2.
    let model = Model::new(true);
    let train_op = momentum().clipvalue(1.5).minimize(&model.loss, None);
    assert_close(&model.trained(&train_op), [0.8, 1.7, 2.71, 3.565, 4.71, 5.565]);
    let model = Model::new(true);
    let train_op = LossScaleOptimizer::new(momentum(), LossScale::fixed(8.0)).minimize(&model.loss, None);
    assert_close(&model.trained(&train_op), [0.8, 1.6, 2.71, 3.42, 4.71, 5.42]);
}
