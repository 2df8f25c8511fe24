//! Tensors are displayed like NumPy arrays: `data/numpy_display.json` holds the output of NumPy 2.4.6.
#![allow(clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use tensor::{Complex, DType, Tensor, bf16};

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn tensor(case: &serde_json::Value) -> Tensor {
    let shape: Vec<usize> =
        case["shape"].as_array().unwrap().iter().map(|dim| dim.as_u64().unwrap() as usize).collect();
    let dtype = DType::from_name(case["dtype"].as_str().unwrap()).unwrap();
    match &case["data"] {
        serde_json::Value::Array(strings) => {
            Tensor::from_strings(strings.iter().map(|hex| bytes(hex.as_str().unwrap())), shape).unwrap()
        }
        // 0, 1, 2 and so on.
        serde_json::Value::Null => {
            let count = shape.iter().product::<usize>();
            let counted =
                Tensor::from((0..count as i64).collect::<Vec<_>>()).reshaped(shape.clone()).unwrap();
            match dtype {
                DType::Int64 => counted,
                DType::Float32 => Tensor::from_vec((0..count).map(|i| i as f32).collect(), shape).unwrap(),
                _ => Tensor::from_vec((0..count).map(|i| i as f64).collect(), shape).unwrap(),
            }
        }
        hex => {
            let mut data = bytes(hex.as_str().unwrap());
            if cfg!(target_endian = "big") {
                let unit = if dtype.is_complex() { dtype.size() / 2 } else { dtype.size() };
                data.chunks_exact_mut(unit).for_each(<[u8]>::reverse);
            }
            Tensor::from_bytes(dtype, shape, data).unwrap()
        }
    }
}

#[test]
fn prints_as_numpy_does() {
    let cases: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("data/numpy_display.json")).unwrap();
    assert!(cases.len() > 100);
    let mut wrong = Vec::new();
    for case in &cases {
        let tensor = tensor(case);
        let (ours, theirs) = (tensor.to_string(), case["text"].as_str().unwrap());
        if ours != theirs {
            wrong.push(format!("{} {:?}\n{ours}\nis not\n{theirs}", tensor.dtype(), tensor.shape()));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn prints_values_that_numpy_lacks() {
    let halves: Vec<bf16> = [1.1, -2.0, 0.3].map(bf16::from_f32).to_vec();
    assert_eq!(Tensor::from(halves).to_string(), "[ 1.1 -2.   0.3]");
    let raw = |dtype, bytes: Vec<u8>| Tensor::from_bytes(dtype, [2], bytes).unwrap().to_string();
    assert_eq!(raw(DType::Int4, vec![0xf8, 7]), "[-8  7]");
    assert_eq!(raw(DType::UInt4, vec![15, 7]), "[15  7]");
    assert_eq!(raw(DType::QInt8, vec![0xff, 1]), "[-1  1]");
    assert_eq!(raw(DType::Float8E5M2, vec![0x3c, 0xff]), "[ 60 255]");
    assert_eq!(raw(DType::QInt32, [-5i32, 6].iter().flat_map(|i| i.to_ne_bytes()).collect()), "[-5  6]");
    let handle = Tensor::from_handle(DType::Resource, std::sync::Arc::new(5u8));
    assert_eq!(handle.to_string(), "<resource>");
    assert_eq!(Tensor::zeros(DType::Float32, [0, 3]).unwrap().to_string(), "[]");
    let deep = Tensor::from_vec(vec![1u8, 2], vec![1; 99_999].into_iter().chain([2]).collect::<Vec<_>>());
    assert_eq!(deep.unwrap().to_string(), "[1 2]");
}

#[test]
fn debug_names_dtype_and_shape() {
    assert_eq!(format!("{:?}", Tensor::from([1u8, 10])), "Tensor(uint8[2], [ 1 10])");
    assert_eq!(format!("{:?}", Tensor::scalar(Complex::new(1.0f32, -1.0))), "Tensor(complex64[], (1-1j))");
    assert_eq!(format!("{:?}", Tensor::from([[1i32], [2]])), "Tensor(int32[2,1],\n[[1]\n [2]])");
}
