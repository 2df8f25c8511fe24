//! The language models of the examples: they learn, and a training that is interrupted and resumed equals one that is not.
#![allow(clippy::unwrap_used)] // a panic is the report

#[path = "../examples/support/char_rnn.rs"]
mod char_rnn;
#[path = "../examples/support/text.rs"]
mod text;
#[path = "../examples/support/transformer.rs"]
mod transformer;

use monitored_session::prelude::*;
use std::path::Path;
use text::{Encoded, TEXT};

/// A model, with what a step runs and what it writes afterwards.
struct Example {
    graph: Graph,
    loss: Output,
    train_op: Operation,
    written: Output,
    feed: (Output, Tensor),
}

fn recurrent() -> Example {
    let text = Encoded::new(&TEXT[..2000]);
    let graph = Graph::new();
    graph.set_random_seed(1);
    let sizes = char_rnn::Sizes { streams: 4, steps: 8, embedding: 8, units: 16 };
    let model = char_rnn::model(&graph, &text, sizes, 5);
    let feed = (model.prompt, Tensor::from(text.encode("The")));
    Example { graph, loss: model.loss, train_op: model.train_op, written: model.sample, feed }
}

fn attentive() -> Example {
    let text = Encoded::new(&TEXT[..2000]);
    let graph = Graph::new();
    graph.set_random_seed(1);
    let sizes = transformer::Sizes { batch: 2, positions: 8, width: 8, heads: 2, layers: 2 };
    let model = transformer::model(&graph, &text, sizes, 20);
    let window = Tensor::from_vec(vec![1i32; 8], [1usize, 8]).unwrap();
    Example {
        graph,
        loss: model.loss,
        train_op: model.train_op,
        written: model.scores,
        feed: (model.window, window),
    }
}

/// Trains up to this step, from what the folder has; returns the loss of each step, and all variables at the end.
fn train(example: &Example, dir: &Path, last: i64) -> (Vec<f32>, Vec<Tensor>) {
    let mut session = SingularMonitoredSession::builder(&example.graph)
        .checkpoint_dir(dir)
        .hook(CheckpointSaverHook::every_steps(dir, 1000))
        .hook(StopAtStepHook::last_step(last))
        .build()
        .unwrap();
    let mut losses = Vec::new();
    while !session.should_stop() {
        let (loss, ()) = session.run((&example.loss, &example.train_op), ()).unwrap();
        losses.push(loss.value::<f32>().unwrap());
    }
    let variables = example.graph.collection(&monitored_session::session_core::keys::VARIABLES);
    let values = session.run_without_hooks(&variables, ()).unwrap();
    session.close().unwrap();
    (losses, values)
}

fn check(build: fn() -> Example) {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let example = build();
    let (whole, expected) = train(&example, folders[0].path(), 12);
    // In a new graph and session, as another process has them.
    let (first, _) = train(&build(), folders[1].path(), 5);
    let (second, found) = train(&build(), folders[1].path(), 12);
    assert_eq!(whole, [first, second].concat());
    assert_eq!(expected, found);
    assert!(whole[11] < whole[0], "{whole:?}");
}

#[test]
fn a_recurrent_model_resumes_in_the_middle_of_the_text() {
    check(recurrent);
}

#[test]
fn a_transformer_resumes_with_the_next_windows() {
    check(attentive);
}

#[test]
fn models_write_texts() {
    for (build, elements) in [(recurrent as fn() -> Example, 5), (attentive, 8)] {
        let example = build();
        let mut session = SingularMonitoredSession::builder(&example.graph).build().unwrap();
        let found = session.run_without_hooks(&example.written, [example.feed.clone()]).unwrap();
        assert_eq!(found.shape().elements() % elements, 0, "{}", found.shape());
        if let Ok(ids) = found.to_vec::<i32>() {
            let text = Encoded::new(&TEXT[..2000]);
            assert_eq!(text.encode(&text.decode(&ids)), ids, "characters of the text");
        }
        session.close().unwrap();
    }
}
