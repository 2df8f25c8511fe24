//! Random numbers and serialized summaries, bit by bit.

use super::{assert_close, list, open};
use crate::array::{constant, range};
use crate::random::{
    random_normal, random_shuffle, random_uniform_int, random_uniform_unit, truncated_normal,
};
use crate::summary;
use session_core::{DType, Engine, Graph, Output, SessionExt, Tensor};

list! {
    random_numbers_are_tensorflows seeds_start_again_in_each_session unseeded_numbers_differ summaries_are_messages
}

fn seeded(graph: &Graph) -> [Output; 5] {
    graph.set_random_seed(7);
    let number = |value: i32| constant(graph, value);
    [
        random_uniform_unit(graph, [5], DType::Float32, None),
        random_normal(graph, [5], 0.0, 1.0, DType::Float32, None),
        truncated_normal(graph, [5], 0.0, 1.0, DType::Float32, None),
        random_uniform_int(graph, [5], -3, 10, DType::Int32, None),
        random_shuffle(range(number(0), number(8), number(1)), None),
    ]
}

/// Equal seeds yield the numbers that TensorFlow draws on a CPU, run after run.
pub fn random_numbers_are_tensorflows(engine: &dyn Engine) {
    let graph = Graph::new();
    let outputs = seeded(&graph);
    let session = open(engine, &graph);
    let first = session.run(&outputs, ()).unwrap();
    assert_close(&first[0], &[0.753_728_509, 0.077_937_603, 0.458_809_137, 0.856_827_021, 0.363_726_974]);
    assert_close(&first[1], &[-0.540_805_399, 1.122_033, 1.174_173_951, -0.864_013_135, 1.013_182_998]);
    assert_close(&first[2], &[-1.471_681_714, -0.616_455_555, -0.370_675_087, 0.846_265_674, -0.031_040_756]);
    assert_eq!(first[3], Tensor::from([-1i32, 5, 2, 4, 4]));
    assert_eq!(first[4], Tensor::from([1i32, 7, 4, 0, 3, 6, 5, 2]));
    let second = session.run(&outputs, ()).unwrap();
    assert_close(&second[0], &[0.868_013_620, 0.007_736_683, 0.052_414_656, 0.821_694_851, 0.357_733_011]);
    assert_close(&second[1], &[-1.253_456_235, 2.149_518_728, -0.877_118_528, -0.095_935_295, 1.051_517_248]);
    assert_close(&second[2], &[-0.978_774_846, 0.726_310_372, -1.594_327_927, 0.000_516_218, 0.134_570_420]);
    assert_eq!(second[3], Tensor::from([4i32, 5, 3, -3, 2]));
    assert_eq!(second[4], Tensor::from([1i32, 2, 4, 6, 0, 7, 5, 3]));
}

/// Each session restarts its seeded streams, regardless of what another session drew.
pub fn seeds_start_again_in_each_session(engine: &dyn Engine) {
    let graph = Graph::new();
    let outputs = seeded(&graph);
    let first = open(engine, &graph);
    let drawn = first.run(&outputs, ()).unwrap();
    assert_ne!(first.run(&outputs[0], ()).unwrap(), drawn[0]);
    assert_eq!(open(engine, &graph).run(&outputs, ()).unwrap(), drawn);
}

/// Without any seed, sessions and operations draw different numbers.
pub fn unseeded_numbers_differ(engine: &dyn Engine) {
    let graph = Graph::new();
    let draw = || random_uniform_unit(&graph, [8], DType::Float32, None);
    let (a, b) = (draw(), draw());
    let (first, second) = (open(engine, &graph), open(engine, &graph));
    let (x, y) = first.run((&a, &b), ()).unwrap();
    assert_ne!(x, y);
    assert_ne!(second.run(&a, ()).unwrap(), x);
}

/// Summaries are serialized `Summary` messages, merged in order.
pub fn summaries_are_messages(engine: &dyn Engine) {
    let graph = Graph::new();
    let value = constant(&graph.named("value"), 1.5f32);
    summary::scalar("loss", &value);
    summary::scalar("rate", &value);
    let merged = summary::merge_all(&graph).unwrap();
    let session = open(engine, &graph);
    let found = session.run(&merged, ()).unwrap();
    // Each: a value (field 1) of 11 bytes with a tag (field 1) and a simple value (field 2, a float).
    let expected = b"\x0a\x0b\x0a\x04loss\x15\x00\x00\xc0\x3f\x0a\x0b\x0a\x04rate\x15\x00\x00\xc0\x3f";
    assert_eq!(found.as_strings().unwrap()[0].as_ref(), expected);
}
