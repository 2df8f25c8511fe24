//! Feeds damaged graph files to every reader for a while.
//!
//! `cargo run --release -p graph-def --example fuzz_graphs -- [--seconds N] [--seed S] [TARGET ...]`, where TARGET is `graph`
//! or `graph-text`; without a target, both in turn.
//!
//! Inputs are mutations of the fixtures, imported if they can be read. The program checks that nothing panics, and that no
//! allocation is out of proportion to the input. A finding ends the program with the seed of its input.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a program for the terminal

#[path = "../../checkpoint/examples/fuzz/campaign.rs"]
mod campaign;
#[path = "../../checkpoint/tests/support/random.rs"]
mod random;

use campaign::mutate;
use graph_def::proto::MetaGraphDef;
use graph_def::{ImportOptions, import_meta_graph_def, read_meta_graph};
use random::Random;
use session_core::Graph;
use std::path::Path;

type Corpus = Vec<MetaGraphDef>;

/// Returns the fixtures, without most nodes of the large ones, so that many mutations can be tried.
fn corpus() -> Corpus {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let files = ["mlp_ref", "mlp_resource", "queues_epochs", "queues_shuffle"];
    let mut corpus: Corpus =
        files.iter().map(|name| read_meta_graph(fixtures.join(name).join("model.meta")).unwrap()).collect();
    for message in &mut corpus {
        let info = message.meta_info_def.get_or_insert_default();
        info.stripped_op_list.get_or_insert_default().op.truncate(8);
        message.graph_def.get_or_insert_default().node.truncate(40);
    }
    corpus
}

fn import(message: &MetaGraphDef) {
    let _ = import_meta_graph_def(&Graph::new(), message, &ImportOptions::new());
}

fn fuzz_graph(corpus: &Corpus, random: &mut Random) {
    let mut bytes = corpus[random.below(corpus.len())].to_bytes().to_vec();
    mutate(&mut bytes, random);
    if let Ok(message) = MetaGraphDef::from_bytes(bytes) {
        // Parts that are kept as bytes may be damaged.
        let _ = message.to_text();
        import(&message);
    }
}

fn fuzz_text(corpus: &Corpus, random: &mut Random) {
    let mut text = corpus[random.below(corpus.len())].to_text().unwrap().into_bytes();
    mutate(&mut text, random);
    if let Ok(message) = MetaGraphDef::from_text(&String::from_utf8_lossy(&text)) {
        let written = message.to_text().expect("what was a text can be one");
        let again = MetaGraphDef::from_text(&written).expect("what we write can be read");
        // NaN differs from itself, so the texts are compared.
        assert_eq!(again.to_text().unwrap(), written);
        import(&message);
    }
}

fn main() {
    campaign::run(&corpus(), &[("graph", fuzz_graph), ("graph-text", fuzz_text)]);
}
