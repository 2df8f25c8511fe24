//! One operation with its inputs and attributes, run on both engines.

use crate::engines::{Engines, Outcome, Report};
use ops::library;
use session_core::{AttrValue, DType, Graph, OpLibrary, Output, PartialShape, Tensor};
use tensor::Bytes;

/// The inputs of an operation.
#[derive(Clone, Debug)]
pub(crate) enum Arg {
    /// A placeholder of unknown shape, fed.
    Fed(Tensor),
    /// A constant, with which our engine may compute results in advance.
    Const(Tensor),
    /// A list of placeholders.
    List(Vec<Tensor>),
}

impl From<Tensor> for Arg {
    fn from(tensor: Tensor) -> Arg {
        Arg::Fed(tensor)
    }
}

impl From<Vec<Tensor>> for Arg {
    fn from(tensors: Vec<Tensor>) -> Arg {
        Arg::List(tensors)
    }
}

/// A constant.
pub(crate) fn fixed(tensor: impl Into<Tensor>) -> Arg {
    Arg::Const(tensor.into())
}

/// One row of a table.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    op_type: &'static str,
    /// A note on the row's special property.
    note: String,
    args: Vec<Arg>,
    attrs: Vec<(&'static str, AttrValue)>,
    slack: f64,
}

/// Creates a row with this note.
pub(crate) fn case(op_type: &'static str, note: impl Into<String>) -> Case {
    Case { op_type, note: note.into(), args: Vec::new(), attrs: Vec::new(), slack: 1.0 }
}

impl Case {
    /// Adds the next input.
    pub(crate) fn arg(mut self, arg: impl Into<Arg>) -> Case {
        self.args.push(arg.into());
        self
    }

    pub(crate) fn attr(mut self, name: &'static str, value: impl Into<AttrValue>) -> Case {
        self.attrs.push((name, value.into()));
        self
    }

    /// Multiplies the usual tolerance.
    pub(crate) fn slack(mut self, slack: f64) -> Case {
        self.slack = slack;
        self
    }

    fn name(&self) -> String {
        format!("{} {}", self.op_type, self.note)
    }

    /// Creates the operation in a graph, and returns its outputs and feeds.
    fn build(&self, graph: &Graph) -> (Vec<Output>, Vec<(Output, Tensor)>) {
        let def = library().find(self.op_type).unwrap_or_else(|| panic!("no op {}", self.op_type));
        let mut feeds = Vec::new();
        let mut feed = |tensor: &Tensor| {
            let shape = PartialShape::unknown();
            let input = ops::array::placeholder(&graph.named("input"), tensor.dtype(), shape);
            feeds.push((input.clone(), tensor.clone()));
            input
        };
        let mut builder = graph.named("case").op(def);
        for arg in &self.args {
            builder = match arg {
                Arg::Fed(tensor) => builder.input(feed(tensor)),
                Arg::Const(tensor) => builder.input(ops::array::constant(graph, tensor.clone())),
                Arg::List(tensors) => builder.input_list(tensors.iter().map(&mut feed).collect::<Vec<_>>()),
            };
        }
        for (name, value) in &self.attrs {
            builder = builder.attr(name, value.clone());
        }
        (builder.finish().outputs(), feeds)
    }
}

/// Runs a table. `known` names rows with differences (by op type and note, or a prefix of it) and the reasons.
pub(crate) fn run(engines: &Engines, report: &mut Report, cases: Vec<Case>, known: &[(&str, &str)]) {
    for case in cases {
        let name = case.name();
        let excuse = known.iter().find(|(row, _)| name.starts_with(row)).map(|(_, reason)| *reason);
        let graph = Graph::new();
        let (outputs, feeds) = case.build(&graph);
        let outcome = match engines.open(&graph) {
            Ok(pair) => pair.compare(&outputs, &feeds, case.slack),
            Err(error) => Outcome::Different(format!("cannot be built: {error}")),
        };
        report.add(&name, &outputs, outcome, excuse);
    }
}

/// Creates a tensor of numbers, each converted to the dtype as Rust's `as` does.
pub(crate) fn numbers(dtype: DType, values: &[f64], shape: &[usize]) -> Tensor {
    fn make<T: tensor::Element>(values: &[f64], shape: &[usize], convert: impl Fn(f64) -> T) -> Tensor {
        Tensor::from_vec(values.iter().map(|&x| convert(x)).collect(), shape).unwrap()
    }
    use tensor::{bf16, f16};
    match dtype {
        DType::Float32 => make(values, shape, |x| x as f32),
        DType::Float64 => make(values, shape, |x| x),
        DType::Float16 => make(values, shape, f16::from_f64),
        DType::BFloat16 => make(values, shape, bf16::from_f64),
        DType::Int8 => make(values, shape, |x| x as i8),
        DType::Int16 => make(values, shape, |x| x as i16),
        DType::Int32 => make(values, shape, |x| x as i32),
        DType::Int64 => make(values, shape, |x| x as i64),
        DType::UInt8 => make(values, shape, |x| x as u8),
        DType::UInt16 => make(values, shape, |x| x as u16),
        DType::UInt32 => make(values, shape, |x| x as u32),
        DType::UInt64 => make(values, shape, |x| x as u64),
        DType::Bool => make(values, shape, |x| x > 0.0),
        DType::Complex64 => {
            let imaginary = |x: f64| if x.is_finite() { (x * 0.7 - 0.4) as f32 } else { 0.0 };
            make(values, shape, |x| tensor::Complex::new(x as f32, imaginary(x)))
        }
        DType::Complex128 => {
            let imaginary = |x: f64| if x.is_finite() { x * 0.7 - 0.4 } else { 0.0 };
            make(values, shape, |x| tensor::Complex::new(x, imaginary(x)))
        }
        DType::String => {
            let strings: Vec<Bytes> = values.iter().map(|x| Bytes::from(format!("s{x}"))).collect();
            Tensor::from_strings(strings, shape).unwrap()
        }
        other => panic!("no numbers of dtype {other}"),
    }
}

/// Returns distinct unordered numbers between -4 and 4; for integers, whole numbers between -9 and 9.
pub(crate) fn spread(dtype: DType, shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    let place = |i: usize| ((i as f64 + 1.3) * 0.618_033_988_749_894_9).fract();
    let whole = !dtype.is_floating() && !dtype.is_complex();
    let value = |i: usize| if whole { (place(i) * 19.0).floor() - 9.0 } else { place(i) * 8.0 - 4.0 };
    numbers(dtype, &(0..count).map(value).collect::<Vec<_>>(), shape)
}

/// Returns the dtypes that an op type's attribute allows in its definition here, except strings and handles.
pub(crate) fn allowed(op_type: &str, attr: &str) -> Vec<DType> {
    let def = library().find(op_type).unwrap_or_else(|| panic!("no op {op_type}"));
    let attr = def.signature().attr(attr).unwrap_or_else(|| panic!("{op_type} has no {attr}"));
    let types = if attr.allowed_types.is_empty() { ALL.to_vec() } else { attr.allowed_types.clone() };
    types.into_iter().filter(|dtype| ALL.contains(dtype)).collect()
}

pub(crate) const FLOATS: [DType; 4] = [DType::Float32, DType::Float64, DType::Float16, DType::BFloat16];

/// Returns every dtype that [`numbers`] supports.
pub(crate) const ALL: [DType; 15] = [
    DType::Float32,
    DType::Float64,
    DType::Float16,
    DType::BFloat16,
    DType::Int8,
    DType::Int16,
    DType::Int32,
    DType::Int64,
    DType::UInt8,
    DType::UInt16,
    DType::UInt32,
    DType::UInt64,
    DType::Bool,
    DType::Complex64,
    DType::Complex128,
];
