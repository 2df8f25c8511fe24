#![allow(missing_docs)]
use ops::optimizers::{AdamOptimizer, GradientDescentOptimizer, Optimizer};
use ops::{array, global_step, math, nn, variables};
use session_core::*;
use embedded_engine::EmbeddedEngine;
use tensor::*;
#[path = "../../benches/support/mod.rs"]
mod support;
use support::*;

fn main() -> Result<()> {
    let workload = std::env::args().nth(1).unwrap_or("mlp".into());
    let batch = if workload == "mlp" { 128 } else { 100 };
    let graph = Graph::new();
    let x = array::placeholder(&graph, DType::Float32, [batch, 784]);
    let y = array::placeholder(&graph, DType::Int32, [batch]);
    let par = |i: usize, v: Vec<f32>, s: &[usize]| variables::variable(&graph.named(&format!("p{i}")), Tensor::from_vec(v, s).unwrap());
    let dense = |x: &Output, i: usize, st: u64, a: usize, b: usize| {
        let w = par(i, if workload=="mlp" {glorot(st, a * b, a, b)} else {vec![0.0;a*b]}, &[a, b]);
        let bias = par(i + 1, vec![0.0; b], &[b]);
        nn::bias_add(math::matmul(x, &w), &bias)
    };
    let logits = if workload == "mlp" {
        let h = nn::relu(dense(&x, 0, 10, 784, 512));
        let h = nn::relu(dense(&h, 2, 11, 512, 256));
        dense(&h, 4, 12, 256, 10)
    } else { dense(&x, 0, 0, 784, 10) };
    let loss = math::reduce_mean(nn::sparse_softmax_cross_entropy_with_logits(&y, &logits), .., false);
    let step = global_step::get_or_create_global_step(&graph);
    let train = if workload == "mlp" { AdamOptimizer::new(1e-3).minimize(&loss, Some(&step)) } else { GradientDescentOptimizer::new(1e-2).minimize(&loss, Some(&step)) };
    let init = variables::global_variables_initializer(&graph);
    let s = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::with_threads(threads().max(1)))?;
    s.run(&init, ())?;
    let images = Tensor::from_vec(uniform(1, EXAMPLES * 784), [EXAMPLES, 784])?;
    let classes = Tensor::from(labels(2, EXAMPLES, 10));
    let data: Vec<_> = (0..EXAMPLES / batch).map(|i| (images.rows(i * batch, (i + 1) * batch).unwrap(), classes.rows(i * batch, (i + 1) * batch).unwrap())).collect();
    let mut i = 0;
    let mut step = || { let (a, b) = data[i % data.len()].clone(); i += 1; let (l, ()) = s.run((&loss, &train), [(&x, a), (&y, b)]).unwrap(); l.value::<f32>().unwrap() };
    for k in 0..50 { let l = step(); if k < 5 { println!("{l:.6}"); } }
    for _ in 0..5 { let f = page_faults(); let t = std::time::Instant::now(); let n = if workload == "mlp" {200} else {2000}; for _ in 0..n { step(); } println!("{:.1} steps/s faults {}", n as f64 / t.elapsed().as_secs_f64(), page_faults() - f); }
    let mut m = RunMetadata::default();
    let (a, b) = data[0].clone();
    s.run_with((&loss, &train), [(&x, a), (&y, b)], &RunOptions::with_full_trace(), Some(&mut m))?;
    for o in &m.step_stats { println!("{:9.2} us {} {}", o.elapsed.as_secs_f64() * 1e6, o.op_type, o.node); }
    Ok(())
}
