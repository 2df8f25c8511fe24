//! The operations of old savers: `Save`, `SaveSlices`, `Restore` and `RestoreSlice`, and V1 files under `RestoreV2`.
#![allow(clippy::unwrap_used)] // a panic is the report

use embedded_engine::EmbeddedEngine;
use ops::{array, io::restore_v2, library};
use session_core::{
    Code, DType, Engine, FileAccess, Graph, OpBuilder, OpLibrary as _, Result, Session, SessionConfig,
    SessionExt, Tensor,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../checkpoint/tests/fixtures/v1")
}

fn session(graph: &Graph) -> Arc<dyn Session> {
    EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(1)).unwrap()
}

fn op(graph: &Graph, op_type: &str) -> OpBuilder {
    graph.op(library().find(op_type).unwrap())
}

fn text(path: &Path) -> Tensor {
    Tensor::string(path.to_str().unwrap().to_owned())
}

fn restored(path: &Path, name: &str, slice: &str, dtype: DType) -> Result<Tensor> {
    let graph = Graph::new();
    let builder = op(&graph, "RestoreSlice").constant(text(path)).constant(Tensor::from(name));
    let tensor = builder.constant(Tensor::from(slice)).attr("dt", dtype).finish_output();
    session(&graph).run(&tensor, ())
}

#[test]
fn files_of_tensorflow_are_restored_whole_and_in_parts() {
    let rows = Tensor::from_vec(vec![2.0f32, 3.0, 4.0, 5.0], [2, 2]).unwrap();
    for name in ["plain.ckpt-7", "sharded.ckpt-7-?????-of-00002", "sharded.ckpt-7-*"] {
        let path = fixtures().join(name);
        assert_eq!(restored(&path, "p", "5 2 1,2:-", DType::Float32).unwrap(), rows, "{name}");
        assert_eq!(restored(&path, "scalar", "", DType::Float64).unwrap(), Tensor::scalar(2.5f64), "{name}");
        let graph = Graph::new();
        let tensors = restore_v2(
            &graph,
            path.to_str().unwrap(),
            &[("s", "", DType::String), ("p", "5 2 1,2:-", DType::Float32), ("flag", "", DType::Bool)],
        );
        let values = session(&graph).run(&tensors, ()).unwrap();
        assert_eq!(
            values,
            [Tensor::from(["a", "", "bc"]), rows.clone(), Tensor::from([true, false])],
            "{name}"
        );
    }
    let path = fixtures().join("plain.ckpt-7");
    for (name, slice, dtype, code) in [
        ("absent", "", DType::Float32, Code::NotFound),
        ("p", "", DType::Int32, Code::InvalidArgument),
        ("p", "5 3 -:-", DType::Float32, Code::InvalidArgument),
        ("p", "rows", DType::Float32, Code::InvalidArgument),
    ] {
        assert_eq!(restored(&path, name, slice, dtype).unwrap_err().code(), code, "{name} {slice}");
    }
    let error = restored(&fixtures().join("nothing"), "p", "", DType::Float32).unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
}

#[test]
fn the_old_saver_operations_round_trip() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, sliced) = (folder.path().join("new/plain"), folder.path().join("sliced"));
    let graph = Graph::new();
    let (a, b) = (array::constant(&graph, [1.0f32, 2.0]), array::constant(&graph, [3i64]));
    let save = op(&graph, "Save").constant(text(&plain)).constant(Tensor::from(["a", "b"]));
    let save = save.input_list([&a, &b]).finish();
    let save_slices = op(&graph, "SaveSlices").constant(text(&sliced)).constant(Tensor::from(["a", "a"]));
    let parts = array::constant(&graph, [5.0f32, 6.0, 7.0]);
    let save_slices =
        save_slices.constant(Tensor::from(["5 0,2", "5 2,3"])).input_list([&a, &parts]).finish();
    session(&graph).run((&save, &save_slices), ()).unwrap();
    assert_eq!(restored(&plain, "b", "", DType::Int64).unwrap(), Tensor::from([3i64]));
    let joined = Tensor::from([1.0f32, 2.0, 5.0, 6.0, 7.0]);
    assert_eq!(restored(&sliced, "a", "", DType::Float32).unwrap(), joined);
    assert_eq!(restored(&sliced, "a", "5 1,2", DType::Float32).unwrap(), Tensor::from([2.0f32, 5.0]));
    let restore = op(&graph, "Restore").constant(text(&plain)).constant(Tensor::from("a"));
    let restore = restore.attr("dt", DType::Float32).finish_output();
    assert_eq!(session(&graph).run(&restore, ()).unwrap(), Tensor::from([1.0f32, 2.0]));
}

#[test]
fn a_policy_for_files_holds_for_old_checkpoints() {
    let allowed = tempfile::tempdir().unwrap();
    let graph = Graph::new();
    let path = fixtures().join("plain.ckpt-7");
    let restore = op(&graph, "Restore").constant(text(&path)).constant(Tensor::from("b"));
    let restore = restore.attr("dt", DType::Int64).finish_output();
    let save = op(&graph, "Save").constant(text(&fixtures().join("other"))).constant(Tensor::from(["a"]));
    let save = save.input_list([&array::constant(&graph, 1.0f32)]).finish();
    let mut config = SessionConfig::with_threads(1);
    config.file_access = FileAccess::nothing().allow_write(allowed.path());
    let session = EmbeddedEngine::new().new_session(&graph, "", &config).unwrap();
    assert_eq!(session.run(&restore, ()).unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(session.run(&save, ()).unwrap_err().code(), Code::PermissionDenied);
}
