//! Conditionals, loops and arrays with their gradients: both engines agree, and so do finite differences.

use crate::functions::{agree_within, numbers};
use embedded_engine::EmbeddedEngine;
use ops::array::{constant, placeholder, zeros};
use ops::control_flow::{
    Branch, TensorArray, WhileOptions, case, case_exclusive, cond, foldl, foldr, map_fn, scan, scan_reverse,
    switch_case, while_loop, while_loop_with,
};
use ops::state::assign_add_variable_op;
use ops::variables::variable;
use ops::{OutputExt, gradients, math};
use session_core::{
    DType, Engine, Graph, Operation, Output, PartialShape, Session, SessionConfig, SessionExt, Tensor,
};
use std::sync::Arc;

fn input(graph: &Graph, name: &str, size: usize) -> Output {
    placeholder(&graph.named(name), DType::Float64, [size])
}

fn ramp(size: usize) -> Tensor {
    Tensor::from((0..size).map(|i| 0.3 + 0.25 * i as f64).collect::<Vec<f64>>())
}

pub(crate) fn session(graph: &Graph) -> Arc<dyn Session> {
    let session = EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(1)).unwrap();
    let initializers: Vec<Operation> =
        graph.operations().into_iter().filter(|op| op.name().ends_with("/Assign")).collect();
    session.run(&initializers, ()).unwrap();
    session
}

/// Compares the derivatives of `y`'s sum with respect to what is fed for `x` with differences.
pub(crate) fn check_differences(
    graph: &Graph,
    y: &Output,
    x: &Output,
    dx: &Output,
    feeds: &[(Output, Tensor)],
) {
    let session = session(graph);
    let at = |value: &[f64], feeds: &[(Output, Tensor)]| {
        let shape = feeds.iter().find(|(output, _)| output == x).unwrap().1.shape().clone();
        let value = Tensor::from_vec(value.to_vec(), shape).unwrap();
        let feeds = feeds.iter().map(|(o, v)| (o.clone(), if o == x { value.clone() } else { v.clone() }));
        numbers(&session.run(y, feeds.collect::<Vec<_>>()).unwrap()).iter().sum::<f64>()
    };
    let found = numbers(&session.run(dx, feeds).unwrap());
    let start = numbers(&feeds.iter().find(|(output, _)| output == x).unwrap().1);
    let step = 1e-5;
    for i in 0..start.len() {
        let (mut above, mut below) = (start.clone(), start.clone());
        above[i] += step;
        below[i] -= step;
        let slope = (at(&above, feeds) - at(&below, feeds)) / (2.0 * step);
        assert!(
            (slope - found[i]).abs() <= 1e-6 * slope.abs().max(1.0),
            "d sum({}) / d {}[{i}] is {slope}, not {}",
            y.name(),
            x.name(),
            found[i]
        );
    }
}

/// Checks `y` and its first and second derivatives with respect to `x`: with TensorFlow running the same graph, and with
/// differences.
pub(crate) fn check(graph: &Graph, y: &Output, x: &Output, orders: usize, feeds: &[&[(Output, Tensor)]]) {
    let mut outputs = vec![y.clone()];
    for _ in 0..orders {
        let last = outputs.last().unwrap().clone();
        let next = gradients(&[last], &[x]).unwrap().remove(0).expect("it depends on x");
        outputs.push(next);
    }
    graph.check().unwrap();
    for feeds in feeds {
        for pair in outputs.windows(2) {
            check_differences(graph, &pair[0], x, &pair[1], feeds);
        }
        agree_within(graph, &outputs, feeds, 1e3);
    }
}

#[test]
fn conditionals_agree() {
    let graph = Graph::new();
    let (x, p) = (input(&graph, "x", 3), placeholder(&graph.named("p"), DType::Bool, PartialShape::scalar()));
    let z = input(&graph, "z", 3);
    let y = cond(p.named("choice"), |_| math::sin(&x * &z), |_| &math::exp(&x) * &(&x * 2f64));
    assert_eq!(y.name(), "choice/Identity:0");
    let op = graph.operation("choice").unwrap();
    assert_eq!(op.op_type(), "StatelessIf");
    assert_eq!(op.inputs()[1..], [x.clone(), z.clone()]);
    let feeds = |p: bool| {
        [(x.clone(), ramp(3)), (z.clone(), ramp(3)), (graph.output("p:0").unwrap(), Tensor::from(p))]
    };
    check(&graph, &y, &x, 2, &[&feeds(true), &feeds(false)]);
    // Only one branch uses z: in the other its gradient is zero.
    check(&graph, &y, &z, 2, &[&feeds(true), &feeds(false)]);
}

#[test]
fn nested_conditionals_with_variables_and_effects_agree() {
    let graph = Graph::new();
    let x = input(&graph, "x", 2);
    let n = placeholder(&graph.named("n"), DType::Int32, PartialShape::scalar());
    let w = variable(&graph.named("w"), [0.5f64, 1.5]);
    let count = variable(&graph.named("count"), 0f64);
    let y = cond(
        n.greater(constant(&graph, 0i32)),
        |body| {
            let inner = cond(n.greater(constant(body, 1i32)), |_| &x * &w, |_| math::square(&x));
            let added = assign_add_variable_op(count.handle(), constant(body, 1f64));
            ops::control_flow::with_dependencies([&added], math::square(&inner))
        },
        |_| math::tanh(&x),
    );
    assert_eq!(graph.operation("cond").unwrap().op_type(), "If");
    let found = gradients(&[&y], &[&x, w.handle()]).unwrap();
    let [dx, dw] = [0, 1].map(|i| found[i].clone().unwrap());
    for number in 0..3 {
        let feeds = [(x.clone(), ramp(2)), (n.clone(), Tensor::from(number))];
        check_differences(&graph, &y, &x, &dx, &feeds);
        let Some(values) = agree_within(&graph, &[y.clone(), dx.clone(), dw.clone()], &feeds, 1e3) else {
            return;
        };
        let w_counts = numbers(&values[2]).iter().any(|&g| g != 0.0);
        assert_eq!(w_counts, number == 2);
    }
    // The effect is one of the branch that is taken.
    let session = session(&graph);
    for number in [0, 1, 2] {
        session.run(&y, [(x.clone(), ramp(2)), (n.clone(), Tensor::from(number))]).unwrap();
    }
    assert_eq!(numbers(&session.run(&count, ()).unwrap()), [2.0]);
}

#[test]
fn cases_agree() {
    let graph = Graph::new();
    let (x, n) =
        (input(&graph, "x", 2), placeholder(&graph.named("n"), DType::Int32, PartialShape::scalar()));
    let branches: Vec<Branch<'_, Output>> = vec![
        Box::new(|_| math::square(&x)),
        Box::new(|_| math::exp(&x)),
        Box::new(|body| zeros(body, DType::Float64, [2])),
    ];
    let y = switch_case(&n, branches, Some(Box::new(|_| &x * 3f64)));
    let feeds: Vec<_> =
        (-1..5).map(|number| [(x.clone(), ramp(2)), (n.clone(), Tensor::from(number))]).collect();
    let feeds: Vec<&[(Output, Tensor)]> = feeds.iter().map(|feeds| feeds.as_slice()).collect();
    check(&graph, &y, &x, 1, &feeds);

    let is = |number: i32| n.equal(constant(&graph, number));
    let pairs = || -> Vec<(Output, Branch<'_, Output>)> {
        vec![
            (is(0), Box::new(|_| math::square(&x))),
            (is(1), Box::new(|_| math::exp(&x))),
            (is(2), Box::new(|_| math::sin(&x))),
        ]
    };
    let y = case_exclusive(pairs(), Some(Box::new(|_| &x * 3f64)));
    check(&graph, &y, &x, 1, &feeds);
    let y = case(pairs(), None);
    check(&graph, &y, &x, 1, &feeds[1..4]);
    let error = session(&graph).run(&y, feeds[5]).unwrap_err();
    assert!(error.message().contains("None of conditions evaluated as True"), "{error}");
}

#[test]
fn loops_of_no_round_one_round_and_several() {
    let graph = Graph::new();
    let (x, n) =
        (input(&graph, "x", 3), placeholder(&graph.named("n"), DType::Int32, PartialShape::scalar()));
    let scale = input(&graph, "scale", 3);
    let w = variable(&graph.named("w"), [0.5f64, 0.7, 1.1]);
    let (_, y) = while_loop(
        &graph.named("w_loop"),
        |_, (i, _)| i.less(&n),
        |_, (i, y)| (&i + 1, math::sin(&(&y * &scale) * &w)),
        (constant(&graph, 0i32), x.clone()),
    );
    assert_eq!(y.name(), "w_loop/Identity_3:0");
    let feeds: Vec<_> = [0, 1, 4]
        .iter()
        .map(|&rounds| [(x.clone(), ramp(3)), (scale.clone(), ramp(3)), (n.clone(), Tensor::from(rounds))])
        .collect();
    let feeds: Vec<&[(Output, Tensor)]> = feeds.iter().map(|feeds| feeds.as_slice()).collect();
    check(&graph, &y, &x, 2, &feeds);
    check(&graph, &y, &scale, 2, &feeds);
    let dw = gradients(&[&y], &[&w]).unwrap().remove(0).unwrap();
    for feeds in &feeds {
        agree_within(&graph, std::slice::from_ref(&dw), feeds, 1e3);
    }
    // Against differences: a loop that takes the variable's value as an input.
    let v = input(&graph, "v", 3);
    let (_, z) = while_loop(
        &graph,
        |_, (i, _)| i.less(&n),
        |_, (i, y)| (&i + 1, math::sin(&(&y * &scale) * &v)),
        (constant(&graph, 0i32), x.clone()),
    );
    let dv = gradients(&[&z], &[&v]).unwrap().remove(0).unwrap();
    for feeds in &feeds {
        let feeds = [*feeds, &[(v.clone(), Tensor::from([0.5f64, 0.7, 1.1]))]].concat();
        let values = session(&graph).run(&[dw.clone(), dv.clone()], &feeds).unwrap();
        let (dw, dv) = (numbers(&values[0]), numbers(&values[1]));
        assert!(dw.iter().zip(&dv).all(|(a, b)| (a - b).abs() < 1e-12), "{dw:?} {dv:?}");
    }
}

#[test]
fn loops_in_loops_and_conditionals_in_them_agree() {
    let graph = Graph::new();
    let x = input(&graph, "x", 2);
    let n = placeholder(&graph.named("n"), DType::Int32, PartialShape::scalar());
    let (_, y) = while_loop(
        &graph,
        |_, (i, _)| i.less(&n),
        |body, (i, y)| {
            let inner = while_loop(
                body,
                |body, (j, z)| {
                    let small = math::reduce_sum(z, ..).less(constant(body, 50f64));
                    math::logical_and(j.less(&i), small)
                },
                |_, (j, z)| (&j + 1, &math::sin(&z) * &x + &y * 1.5f64),
                (constant(body, 0i32), y.clone()),
            );
            let even = math::floor_mod(&i, constant(body, 2i32)).equal(constant(body, 0i32));
            let chosen = cond(even, |_| math::square(&inner.1), |_| math::tanh(&inner.1) * &x);
            (&i + 1, &chosen * 0.5f64)
        },
        (constant(&graph, 0i32), x.clone()),
    );
    let feeds: Vec<_> = [0, 1, 2, 4]
        .iter()
        .map(|&rounds| [(x.clone(), ramp(2)), (n.clone(), Tensor::from(rounds))])
        .collect();
    let feeds: Vec<&[(Output, Tensor)]> = feeds.iter().map(|feeds| feeds.as_slice()).collect();
    check(&graph, &y, &x, 2, &feeds);
}

#[test]
fn limits_and_shape_invariants_agree() {
    let graph = Graph::new();
    let x = input(&graph, "x", 2);
    let limit = placeholder(&graph.named("limit"), DType::Int32, PartialShape::scalar());
    let grown = WhileOptions::new().maximum_iterations(&limit).shape_invariants([PartialShape::from([None])]);
    let y = while_loop_with(
        &graph,
        |body, _| constant(body, true),
        |_, y: Output| ops::array::concat(&[math::sin(&y), &x * 2f64], 0),
        x.clone(),
        &grown,
    );
    assert_eq!(y.shape().to_string(), "[?]");
    let feeds: Vec<_> = [0, 1, 3]
        .iter()
        .map(|&rounds| [(x.clone(), ramp(2)), (limit.clone(), Tensor::from(rounds))])
        .collect();
    let feeds: Vec<&[(Output, Tensor)]> = feeds.iter().map(|feeds| feeds.as_slice()).collect();
    check(&graph, &y, &x, 2, &feeds);
}

#[test]
fn maps_scans_and_folds() {
    let graph = Graph::new();
    let x = placeholder(&graph.named("x"), DType::Float64, [None, Some(2)]);
    let s = input(&graph, "s", 2);
    let feeds = |rows: usize| {
        let x_value = Tensor::from_vec(numbers(&ramp(rows * 2)), [rows, 2]).unwrap();
        [(x.clone(), x_value), (s.clone(), ramp(2))]
    };
    let (three, one) = (feeds(3), feeds(1));
    let feeds: [&[(Output, Tensor)]; 2] = [&three, &one];
    let (mapped, sums) = map_fn(
        &graph,
        |_, (a, b)| (math::sin(&a * &s), math::reduce_sum(&(&a * &b), ..)),
        (x.clone(), math::square(&x)),
    );
    assert_eq!((mapped.shape().to_string().as_str(), sums.shape().to_string().as_str()), ("[?,2]", "[?]"));
    for y in [&mapped, &sums] {
        check(&graph, y, &x, 2, &feeds);
    }
    check(&graph, &mapped, &s, 2, &feeds);
    let start = &s * 0.5f64;
    let scanned = scan(&graph, |_, sum, part| math::sin(&sum) * &part + &s, x.clone(), start.clone());
    check(&graph, &scanned, &s, 2, &feeds);
    check(&graph, &scanned, &x, 1, &feeds);
    let backwards = scan_reverse(&graph, |_, sum, part| &sum * &part + &s, x.clone(), start.clone());
    check(&graph, &backwards, &s, 1, &feeds);
    let left = foldl(&graph, |_, sum, part| &sum * 0.5f64 + &part, x.clone(), start.clone());
    let right = foldr(&graph, |_, sum, part| &sum * 0.5f64 + &part, x.clone(), start);
    check(&graph, &left, &s, 1, &feeds);
    check(&graph, &right, &x, 1, &feeds);
    let Some(values) = agree_within(&graph, &[left, right], &three, 1.0) else { return };
    assert_ne!(numbers(&values[0]), numbers(&values[1]));
}

#[test]
fn arrays_of_tensors_agree() {
    let graph = Graph::new();
    let x = placeholder(&graph.named("x"), DType::Float64, [3, 2]);
    let feeds: [(Output, Tensor); 1] = [(x.clone(), Tensor::from_vec(numbers(&ramp(6)), [3, 2]).unwrap())];
    let array = TensorArray::new(&graph, DType::Float64, 4, [2]);
    let array =
        array.write(1, &x.gather(constant(&graph, 0i32)) * 2f64).write(3, x.gather(constant(&graph, 2i32)));
    let holes = math::square(array.stack());
    check(&graph, &holes, &x, 2, &[&feeds]);
    let read = &array.read(1) * &array.read(3);
    check(&graph, &read, &x, 2, &[&feeds]);
    let unstacked = TensorArray::unstacked(math::sin(&x));
    // An index that comes twice counts twice.
    let gathered = math::square(unstacked.gather([0, 2, 0]));
    check(&graph, &gathered, &x, 2, &[&feeds]);
    let split = TensorArray::split(math::sin(&x), constant(&graph, [1i32, 2]));
    let joined = math::square(split.concat());
    check(&graph, &joined, &x, 2, &[&feeds]);
    let scattered =
        TensorArray::new(&graph, DType::Float64, 3, [2]).scatter([2, 0, 1], math::exp(&x)).stack();
    check(&graph, &scattered, &x, 1, &[&feeds]);
    let dynamic = TensorArray::new(&graph, DType::Float64, 0, [2]).dynamic_size();
    let grown = dynamic.write(2, x.gather(constant(&graph, 1i32))).stack();
    let values: Option<Vec<Tensor>> = agree_within(&graph, &[grown, unstacked.size()], &feeds, 1.0);
    assert!(values.is_none_or(|values| numbers(&values[0]).len() == 6));
}

#[test]
fn bad_loops_and_branches_are_errors_at_construction_with_their_place() {
    let refused = |build: &dyn Fn(&Graph), texts: &[&str]| {
        let graph = Graph::new();
        build(&graph);
        let error = graph.check().unwrap_err();
        for text in texts {
            assert!(error.message().contains(text), "{error}");
        }
        assert!(error.location().unwrap().file().ends_with("control_flow.rs"), "{error}");
    };
    let truth = |body: &Graph| constant(body, true);
    refused(
        &|graph| drop(while_loop(graph, |b, _| truth(b), |b, _| constant(b, 1i32), constant(graph, 1f32))),
        &["loop variable 0 is float32 and becomes int32"],
    );
    refused(
        &|graph| {
            let grows = |_: &Graph, x: Output| ops::array::concat(&[x.clone(), x], 0);
            drop(while_loop(graph, |b, _| truth(b), grows, constant(graph, [1f32, 2.0])));
        },
        &["enters the loop with shape [2], but has shape [4] after one iteration"],
    );
    refused(
        &|graph| {
            let more = |_: &Graph, x: Vec<Output>| vec![x[0].clone(), x[0].clone()];
            drop(while_loop(graph, |b, _| truth(b), more, vec![constant(graph, 1f32)]));
        },
        &["the body returns 2 outputs for 1 loop variables"],
    );
    refused(
        &|graph| drop(cond(truth(graph), |b| constant(b, 1f32), |b| constant(b, 1i32))),
        &["result 0 is float32 in branch 'true' and int32 in branch 'false'"],
    );
    refused(
        &|graph| {
            let two = |b: &Graph| vec![constant(b, 1f32), constant(b, 2f32)];
            drop(cond(truth(graph), |b| vec![constant(b, 1f32)], two));
        },
        &["different structure"],
    );
    let other = constant(&Graph::new(), 1f32);
    refused(
        &|graph| drop(cond(truth(graph), |b| constant(b, 1f32), |_| &other * 2f32)),
        &["belongs to another graph"],
    );
    refused(
        &|graph| drop(cond(constant(graph, [true, false]), |b| constant(b, 1f32), |b| constant(b, 1f32))),
        &["is not a scalar"],
    );
    let graph = Graph::new();
    let x = constant(&graph, 1f32);
    let options = WhileOptions::new().back_prop(false);
    let y = while_loop_with(&graph, |b, _| truth(b), |_, x: Output| &x * 2f32, x.clone(), &options);
    let error = gradients(&[y], &[&x]).unwrap_err();
    assert!(error.to_string().contains("back_prop(false)"), "{error}");
}
