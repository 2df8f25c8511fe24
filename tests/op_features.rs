//! Op types that a feature of the embedded engine brings: what runs with the features that are on, and what is said about the others.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used)] // a panic is the report

use monitored_session::embedded_engine::{EmbeddedEngine, feature_of, missing_kernels, supports};
use monitored_session::ops::array::constant;
use monitored_session::ops::math::cholesky;
use monitored_session::session_core::{Code, Engine, Graph, SessionConfig, SessionExt};
use monitored_session::tensor::Tensor;

/// An op type of each feature, and whether the feature is on.
const EXAMPLES: [(&str, &str, bool); 8] = [
    ("CTCLoss", "ctc", cfg!(feature = "ctc")),
    ("FFT", "fft", cfg!(feature = "fft")),
    ("DecodePng", "images", cfg!(feature = "images")),
    ("Cholesky", "linalg", cfg!(feature = "linalg")),
    ("QuantizeV2", "quantization", cfg!(feature = "quantization")),
    ("RegexReplace", "regex", cfg!(feature = "regex")),
    ("Stage", "staging", cfg!(feature = "staging")),
    ("Conv3D", "volumes", cfg!(feature = "volumes")),
];

#[test]
fn op_types_of_a_feature_are_supported_if_it_is_on() {
    for (op_type, feature, is_on) in EXAMPLES {
        assert_eq!((feature_of(op_type), supports(op_type)), (Some(feature), is_on), "{op_type}");
    }
    assert_eq!((feature_of("MatMul"), supports("MatMul")), (None, true));
    assert_eq!((feature_of("Unheard"), supports("Unheard")), (None, false));
}

#[test]
fn an_operation_whose_feature_is_off_names_it_before_the_first_step() {
    let graph = Graph::new();
    let x = constant(&graph, Tensor::from_vec(vec![4.0f32, 0.0, 0.0, 9.0], [2, 2]).unwrap());
    let root = cholesky(&x);
    let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::with_threads(1)).unwrap();
    // What does not need it runs in any case.
    assert_eq!(session.run(&x, ()).unwrap().as_slice::<f32>().unwrap(), [4.0, 0.0, 0.0, 9.0]);
    let found = session.run(&root, ());
    if cfg!(feature = "linalg") {
        assert_eq!(found.unwrap().as_slice::<f32>().unwrap(), [2.0, 0.0, 0.0, 3.0]);
        assert!(missing_kernels(&graph).is_empty());
    } else {
        let error = found.unwrap_err();
        assert_eq!(error.code(), Code::Unimplemented);
        let wanted = "Cholesky (Cholesky): it needs the feature `linalg`";
        assert!(error.to_string().contains(wanted), "{error}");
        assert!(missing_kernels(&graph).to_string().contains(wanted));
    }
}
