//! Feeds damaged SavedModels to their reader for a while.
//!
//! `cargo run --release -p saved-model --example fuzz_models -- [--seconds N] [--seed S] [TARGET ...]`, where TARGET is
//! `saved-model` or `frozen-graph`; without a target, both in turn.
//!
//! Inputs are mutations of the fixtures. Each model that can be read is imported, its assets and signatures are resolved, and its graph is
//! cut down. The program checks that nothing panics, and that no allocation is out of proportion to the input. A finding ends
//! the program with the seed of its input.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a program for the terminal

#[path = "../../checkpoint/examples/fuzz/campaign.rs"]
mod campaign;
#[path = "../../checkpoint/tests/support/random.rs"]
mod random;

use campaign::mutate;
use graph_def::proto::{GraphDef, SavedModel as Message};
use graph_def::{ImportOptions, import_meta_graph_def, read_graph_file};
use random::Random;
use saved_model::graph_util::{fold_batch_norms, optimize_for_inference, remove_training_nodes};
use saved_model::{SavedModelFolder, SignatureTensors};
use session_core::Graph;
use std::path::{Path, PathBuf};

struct Corpus {
    models: Vec<Message>,
    graphs: Vec<GraphDef>,
    folder: tempfile::TempDir,
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn corpus() -> Corpus {
    let models = ["dense", "table_asset", "sparse_ragged", "several_signatures", "module_v2"];
    let models = models.map(|name| {
        let mut message = SavedModelFolder::open(fixture(name).join("model")).unwrap().message().clone();
        // Definitions of op types are most of the bytes, and are the same in all models.
        for meta_graph in &mut message.meta_graphs {
            let info = meta_graph.meta_info_def.get_or_insert_default();
            info.stripped_op_list.get_or_insert_default().op.truncate(4);
        }
        message
    });
    let graphs = ["frozen_conv_bn/graph.pb", "frozen_conv_bn/trimmed.pb", "frozen_loop/lowered.pb"];
    let graphs = graphs.map(|name| read_graph_file(fixture(name)).unwrap().graph_def.unwrap());
    Corpus { models: models.into(), graphs: graphs.into(), folder: tempfile::tempdir().unwrap() }
}

fn fuzz_model(corpus: &Corpus, random: &mut Random) {
    let mut bytes = corpus.models[random.below(corpus.models.len())].to_bytes().to_vec();
    mutate(&mut bytes, random);
    std::fs::write(corpus.folder.path().join("saved_model.pb"), bytes).unwrap();
    let Ok(folder) = SavedModelFolder::open(corpus.folder.path()) else { return };
    for meta_graph in folder.meta_graphs() {
        if let Ok(assets) = meta_graph.assets() {
            assert!(assets.iter().all(|asset| asset.path.starts_with(corpus.folder.path())));
        }
        let imported = import_meta_graph_def(&Graph::new(), meta_graph.message(), &ImportOptions::new());
        let Ok(meta) = imported else { continue };
        for (name, signature) in &meta.signatures {
            let _ = SignatureTensors::of(&meta.imported, name, signature);
        }
    }
}

fn fuzz_graph(corpus: &Corpus, random: &mut Random) {
    let mut bytes = corpus.graphs[random.below(corpus.graphs.len())].to_bytes().to_vec();
    mutate(&mut bytes, random);
    let Ok(graph) = GraphDef::from_bytes(bytes) else { return };
    let _ = fold_batch_norms(&remove_training_nodes(&graph, &["out"]));
    let _ = optimize_for_inference(&graph, &["x"], &["out"]);
}

fn main() {
    campaign::run(&corpus(), &[("saved-model", fuzz_model), ("frozen-graph", fuzz_graph)]);
}
