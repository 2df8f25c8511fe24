//! Random operations with equal seeds: equal numbers, over several runs and sessions.

use crate::cases::{allowed, numbers};
use crate::engines::{Engines, Outcome, Report};
use ops::library;
use session_core::{AttrValue, DType, Graph, OpBuilder, OpLibrary, Output, Tensor};

const SEEDS: [(i64, i64); 3] = [(1, 2), (87_654_321, 7), (0, 5)];

/// Rows that differ, and why.
const DIFFERENT: &[(&str, &str)] = &[];

/// An operation with both seeds.
fn seeded(graph: &Graph, op_type: &str, seeds: (i64, i64)) -> OpBuilder {
    let def = library().find(op_type).unwrap_or_else(|| panic!("no op {op_type}"));
    graph.op(def).attr("seed", seeds.0).attr("seed2", seeds.1)
}

fn shapes() -> [Tensor; 3] {
    [Tensor::from([7i32]), Tensor::from([3i32, 5]), Tensor::from([300i32, 11])]
}

/// One graph for each op type, dtype and seed, with an operation for each shape; run three times.
fn check(
    engines: &Engines,
    report: &mut Report,
    name: &str,
    build: impl Fn(&Graph, (i64, i64)) -> Vec<Output>,
) {
    let excuse = DIFFERENT.iter().find(|(row, _)| name.starts_with(row)).map(|(_, reason)| *reason);
    for seeds in SEEDS {
        let graph = Graph::new();
        let outputs = build(&graph, seeds);
        let pair = match engines.open(&graph) {
            Ok(pair) => pair,
            Err(error) => return report.fail(name, error.to_string()),
        };
        for run in 0..3 {
            let name = format!("{name}, seeds {seeds:?}, run {run}");
            let outcome = pair.compare(&outputs, &[], 8.0);
            let untold = matches!(outcome, Outcome::Untold);
            report.add(&name, &outputs, outcome, excuse);
            if untold {
                break;
            }
        }
    }
}

fn plain(engines: &Engines, report: &mut Report) {
    for op_type in ["RandomUniform", "RandomStandardNormal", "TruncatedNormal"] {
        for dtype in allowed(op_type, "dtype") {
            check(engines, report, &format!("{op_type} {dtype}"), |graph, seeds| {
                let draw = |shape: Tensor| {
                    seeded(graph, op_type, seeds).constant(shape).attr("dtype", dtype).finish_output()
                };
                shapes().map(draw).to_vec()
            });
        }
    }
    for dtype in [DType::Int32, DType::Int64] {
        for (low, high) in [(0.0, 10.0), (-1000.0, 1_000_000.0), (0.0, 1.0)] {
            check(engines, report, &format!("RandomUniformInt {dtype} {low} {high}"), |graph, seeds| {
                let limit = |x: f64| numbers(dtype, &[x], &[]);
                let draw = |shape: Tensor| {
                    let builder = seeded(graph, "RandomUniformInt", seeds).constant(shape);
                    builder.constant(limit(low)).constant(limit(high)).finish_output()
                };
                shapes().map(draw).to_vec()
            });
        }
    }
}

fn shaped_by_inputs(engines: &Engines, report: &mut Report) {
    for dtype in allowed("RandomGamma", "T") {
        check(engines, report, &format!("RandomGamma {dtype}"), |graph, seeds| {
            let alpha = numbers(dtype, &[0.3, 1.0, 2.5, 20.0], &[4]);
            let builder = seeded(graph, "RandomGamma", seeds).constant([6i32]).constant(alpha);
            vec![builder.finish_output()]
        });
    }
    for dtype in [DType::Float32, DType::Float64] {
        check(engines, report, &format!("RandomPoissonV2 {dtype}"), |graph, seeds| {
            let rate = numbers(dtype, &[0.5, 3.0, 40.0], &[3]);
            let builder = seeded(graph, "RandomPoissonV2", seeds).constant([5i32]).constant(rate);
            vec![builder.attr("dtype", DType::Float32).finish_output()]
        });
        check(engines, report, &format!("ParameterizedTruncatedNormal {dtype}"), |graph, seeds| {
            let number = |x: f64| numbers(dtype, &[x], &[]);
            let builder = seeded(graph, "ParameterizedTruncatedNormal", seeds).constant([20i32]);
            let builder = builder.constant(number(1.0)).constant(number(2.0));
            vec![builder.constant(number(-1.0)).constant(number(3.0)).finish_output()]
        });
    }
    check(engines, report, "Multinomial", |graph, seeds| {
        let logits = numbers(DType::Float32, &[0.1, 0.5, 2.0, -1.0, 0.0, 3.0], &[2, 3]);
        let builder = seeded(graph, "Multinomial", seeds).constant(logits).constant(20i32);
        vec![builder.attr("output_dtype", DType::Int64).finish_output()]
    });
    for dtype in [DType::Float32, DType::Int64] {
        check(engines, report, &format!("RandomShuffle {dtype}"), |graph, seeds| {
            let values: Vec<f64> = (0..26).map(f64::from).collect();
            let rows = numbers(dtype, &values, &[13, 2]);
            vec![seeded(graph, "RandomShuffle", seeds).constant(rows).finish_output()]
        });
    }
}

fn stateless(engines: &Engines, report: &mut Report) {
    for op_type in ["StatelessRandomUniform", "StatelessRandomNormal", "StatelessTruncatedNormal"] {
        for dtype in allowed(op_type, "dtype") {
            check(engines, report, &format!("{op_type} {dtype}"), |graph, seeds| {
                let def = library().find(op_type).unwrap();
                let draw = |shape: Tensor| {
                    let builder = graph.op(def).constant(shape).constant([seeds.0, seeds.1]);
                    builder.attr("dtype", AttrValue::Type(dtype)).finish_output()
                };
                shapes().map(draw).to_vec()
            });
        }
    }
}

pub(crate) fn all(engines: &Engines, report: &mut Report) {
    plain(engines, report);
    shaped_by_inputs(engines, report);
    stateless(engines, report);
}
