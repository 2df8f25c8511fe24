//! Signatures of a graph's tensors, for writing.

use graph_def::proto::{SignatureDef, TensorInfo, TensorInfoEncoding, TensorShape};
use session_core::{AsOutput, DType, Error, Output, Result};
use std::collections::BTreeMap;

/// The method name of signatures with any inputs and outputs.
pub const PREDICT_METHOD_NAME: &str = "tensorflow/serving/predict";
/// The method name of signatures that classify serialized examples.
pub const CLASSIFY_METHOD_NAME: &str = "tensorflow/serving/classify";
/// The method name of signatures that predict numbers for serialized examples.
pub const REGRESS_METHOD_NAME: &str = "tensorflow/serving/regress";

/// Describes a tensor for a signature.
///
/// ```
/// use ops::array::placeholder;
/// use saved_model::build_tensor_info;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let info = build_tensor_info(&placeholder(&graph.named("x"), DType::Float32, [None, Some(2)]))?;
/// assert_eq!(info.tensor_shape.expect("it has a shape").dim.len(), 2);
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// A value error for a resource or variant, which cannot be fed or fetched.
pub fn build_tensor_info(output: &(impl AsOutput + ?Sized)) -> Result<TensorInfo> {
    let output: &Output = output.as_output();
    // Neither can leave a session.
    if matches!(output.dtype(), DType::Resource | DType::Variant) {
        let text = format!("'{}' is a {} and cannot be part of a signature", output.name(), output.dtype());
        return Err(Error::value(text));
    }
    Ok(TensorInfo {
        dtype: output.dtype().number(),
        tensor_shape: Some(TensorShape::from(output.shape())),
        encoding: Some(TensorInfoEncoding::Name(output.name())),
    })
}

/// Makes a signature of any inputs and outputs.
///
/// ```
/// use ops::array::placeholder;
/// use saved_model::predict_signature_def;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = placeholder(&graph.named("x"), DType::Float32, [None]);
/// let y = &x + &x;
/// let signature = predict_signature_def([("x", &x)], [("y", &y)])?;
/// assert_eq!(signature.method_name, "tensorflow/serving/predict");
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// A value error without inputs or outputs, and as [`build_tensor_info`].
pub fn predict_signature_def<'o>(
    inputs: impl IntoIterator<Item = (impl Into<String>, &'o Output)>,
    outputs: impl IntoIterator<Item = (impl Into<String>, &'o Output)>,
) -> Result<SignatureDef> {
    let (inputs, outputs) = (infos(inputs)?, infos(outputs)?);
    for (what, infos) in [("inputs", &inputs), ("outputs", &outputs)] {
        if infos.is_empty() {
            return Err(Error::value(format!("Prediction `{what}` cannot be None or empty.")));
        }
    }
    Ok(signature(PREDICT_METHOD_NAME, inputs, outputs))
}

/// Returns a signature that classifies serialized examples. Its outputs are the classes as text, their scores, or both.
///
/// ```
/// use ops::array::placeholder;
/// use saved_model::{CLASSIFY_METHOD_NAME, classification_signature_def};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let examples = placeholder(&graph.named("examples"), DType::String, [None]);
/// let scores = placeholder(&graph.named("scores"), DType::Float32, [None, Some(10)]);
/// let signature = classification_signature_def(&examples, None, Some(&scores))?;
/// assert_eq!(signature.method_name, CLASSIFY_METHOD_NAME);
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// A value error without classes and scores; a type error for examples or classes that are not strings, and for scores that are not
/// `float32`.
pub fn classification_signature_def(
    examples: &Output,
    classes: Option<&Output>,
    scores: Option<&Output>,
) -> Result<SignatureDef> {
    check("Classification input", examples, DType::String)?;
    let mut outputs = BTreeMap::new();
    for (key, output, dtype) in [("classes", classes, DType::String), ("scores", scores, DType::Float32)] {
        let Some(output) = output else { continue };
        check(&format!("Classification {key}"), output, dtype)?;
        outputs.insert(key.to_owned(), build_tensor_info(output)?);
    }
    if outputs.is_empty() {
        return Err(Error::value("Classification `classes` and `scores` cannot both be None."));
    }
    let inputs = [("inputs".to_owned(), build_tensor_info(examples)?)];
    Ok(signature(CLASSIFY_METHOD_NAME, inputs.into(), outputs))
}

/// Returns a signature that predicts numbers for serialized examples.
///
/// ```
/// use ops::array::placeholder;
/// use saved_model::{REGRESS_METHOD_NAME, regression_signature_def};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let examples = placeholder(&graph.named("examples"), DType::String, [None]);
/// let prices = placeholder(&graph.named("prices"), DType::Float32, [None]);
/// let signature = regression_signature_def(&examples, &prices)?;
/// assert_eq!(signature.method_name, REGRESS_METHOD_NAME);
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// A type error for examples that are not strings, and predictions that are not `float32`.
pub fn regression_signature_def(examples: &Output, predictions: &Output) -> Result<SignatureDef> {
    check("Regression input", examples, DType::String)?;
    check("Regression output", predictions, DType::Float32)?;
    let inputs = [("inputs".to_owned(), build_tensor_info(examples)?)];
    let outputs = [("outputs".to_owned(), build_tensor_info(predictions)?)];
    Ok(signature(REGRESS_METHOD_NAME, inputs.into(), outputs.into()))
}

fn infos<'o>(
    tensors: impl IntoIterator<Item = (impl Into<String>, &'o Output)>,
) -> Result<BTreeMap<String, TensorInfo>> {
    tensors.into_iter().map(|(key, output)| Ok((key.into(), build_tensor_info(output)?))).collect()
}

fn signature(
    method: &str,
    inputs: BTreeMap<String, TensorInfo>,
    outputs: BTreeMap<String, TensorInfo>,
) -> SignatureDef {
    SignatureDef { inputs, outputs, method_name: method.to_owned(), defaults: BTreeMap::new() }
}

fn check(what: &str, output: &Output, dtype: DType) -> Result<()> {
    if output.dtype() == dtype {
        return Ok(());
    }
    let text = format!("{what} tensors must be of type {dtype}, '{}' is {}", output.name(), output.dtype());
    Err(Error::type_mismatch(text))
}
