//! TensorRef.

use crate::support::{Program, output};
use hooks::TensorRef;
use session_core::{DType, ErrorKind, Graph, OutputInfo, PartialShape};

#[test]
fn s_336_names_and_outputs_are_found() {
    let program = Program::new();
    let graph = &program.graph;
    for tensor in
        [TensorRef::from(&program.loss), "loss".into(), "loss:0".into(), String::from("loss").into()]
    {
        assert_eq!(tensor.resolve(graph).unwrap(), program.loss, "{tensor:?}");
    }
    let value = program.step.snapshot();
    assert_eq!(&TensorRef::from(&program.step).resolve(graph).unwrap(), value);
    assert_eq!(&TensorRef::from("global_step").resolve(graph).unwrap(), value, "the value, not the handle");
}

#[test]
fn s_336_ambiguous_and_unknown_names_are_errors() {
    let program = Program::new();
    let info = || OutputInfo { dtype: DType::Float32, shape: PartialShape::scalar(), is_ref: false };
    let two = program.graph.undefined_op("Two").name("two").described_output(info()).described_output(info());
    two.finish();
    let kind = |tensor: TensorRef| {
        let error = tensor.resolve(&program.graph).unwrap_err();
        (error.kind(), error.message().to_owned())
    };
    let (of, text) = kind("two".into());
    assert_eq!(of, ErrorKind::Value);
    assert!(text.contains("is ambiguous"), "{text}");
    assert_eq!(kind("train".into()).0, ErrorKind::Value, "no output at all");
    assert_eq!(kind("nothing".into()).0, ErrorKind::Key);
    assert_eq!(kind("nothing:0".into()).0, ErrorKind::Key);
    let foreign = output(&Graph::new(), "loss", DType::Float32);
    assert_eq!(kind(foreign.into()).0, ErrorKind::Value);
}
