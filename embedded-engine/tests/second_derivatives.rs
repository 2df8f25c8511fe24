//! Second derivatives through conditionals, loops, mapped functions and calls: those of known formulas.
#![allow(clippy::unwrap_used)] // a panic is the report

use embedded_engine::EmbeddedEngine;
use ops::array::{constant, placeholder};
use ops::control_flow::{cond, foldl, map_fn, scan, switch_case, while_loop};
use ops::functions::{define, recompute_grad};
use ops::math::{greater, less, reduce_sum, sin, square};
use ops::{OutputExt, gradients};
use session_core::{DType, Engine, Graph, Output, PartialShape, SessionConfig, SessionExt};

/// Two numbers, so that what belongs to one does not reach the other.
const X: [f64; 2] = [0.7, 1.3];

/// Returns the first three derivatives of the sum of a function's results, by the rules, each summed before the next.
fn derivatives(function: impl Fn(&Graph, &Output) -> Output) -> Vec<Vec<f64>> {
    let graph = Graph::new();
    let x = placeholder(&graph.named("x"), DType::Float64, [2]);
    let mut y = function(&graph, &x);
    let mut found = Vec::new();
    for order in 1..=3 {
        let gradient = gradients(&[reduce_sum(&y, ..)], &[&x]);
        let gradient = gradient.unwrap_or_else(|error| panic!("derivative {order}: {error}")).remove(0);
        y = gradient.unwrap_or_else(|| panic!("no derivative {order}"));
        found.push(y.clone());
    }
    graph.finalize().unwrap();
    let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::with_threads(1)).unwrap();
    let values = session.run(&found, [(&x, X)]).unwrap();
    values.iter().map(|value| value.to_vec().unwrap()).collect()
}

fn assert_are(found: &[Vec<f64>], expected: [fn(f64) -> f64; 3]) {
    for (order, (found, expected)) in found.iter().zip(expected).enumerate() {
        for (found, x) in found.iter().zip(X) {
            let expected = expected(x);
            assert!((found - expected).abs() < 1e-10, "derivative {}: {found} for {expected}", order + 1);
        }
    }
}

/// The derivatives of the fourth power.
const FOURTH_POWER: [fn(f64) -> f64; 3] = [|x| 4.0 * x.powi(3), |x| 12.0 * x.powi(2), |x| 24.0 * x];

fn fourth_power(graph: &Graph, x: &Output) -> Output {
    let (_, y) = while_loop(
        graph,
        |body, (i, _): &(Output, Output)| less(i, constant(body, 3i32)),
        |_, (i, y)| (&i + 1, &y * x),
        (constant(graph, 0i32), x.clone()),
    );
    y
}

#[test]
fn a_loop_has_second_derivatives() {
    assert_are(&derivatives(fourth_power), FOURTH_POWER);
}

#[test]
fn a_loop_in_a_conditional_in_a_loop_has_second_derivatives() {
    let found = derivatives(|graph, x| {
        let (_, y) = while_loop(
            graph,
            |body, (i, _): &(Output, Output)| less(i, constant(body, 2i32)),
            |body, (i, y)| {
                let is_first = less(&i, constant(body, 1i32));
                // First x^4, then that times x.
                let next = cond(is_first, |body| fourth_power(body, &y), |_| &y * x);
                (&i + 1, next)
            },
            (constant(graph, 0i32), x.clone()),
        );
        y
    });
    assert_are(&found, [|x| 5.0 * x.powi(4), |x| 20.0 * x.powi(3), |x| 60.0 * x.powi(2)]);
}

#[test]
fn a_conditional_has_second_derivatives() {
    let found = derivatives(|graph, x| {
        let large = greater(reduce_sum(x, ..), constant(graph, 1f64));
        cond(large, |_| &square(x) * &square(x), |_| sin(x))
    });
    assert_are(&found, FOURTH_POWER);
}

#[test]
fn one_of_several_branches_has_second_derivatives() {
    let found = derivatives(|graph, x| {
        let branches: Vec<ops::control_flow::Branch<'_, Output>> =
            vec![Box::new(|_| sin(x)), Box::new(|_| &square(x) * &square(x))];
        switch_case(constant(graph, 1i32), branches, None)
    });
    assert_are(&found, FOURTH_POWER);
}

#[test]
fn mapped_scanned_and_folded_elements_have_second_derivatives() {
    let found = derivatives(|graph, x| map_fn(graph, |_, x| &square(&x) * &square(&x), x.clone()));
    assert_are(&found, FOURTH_POWER);
    // The results are a and a b: the derivatives by a and b are known.
    let found =
        derivatives(|graph, x| scan(graph, |_, y, x| &y * &square(&x), x.clone(), constant(graph, 1f64)));
    let [a, b] = X;
    let expected = [
        vec![2.0 * a + 2.0 * a * b * b, 2.0 * a * a * b],
        // Of the sum of both.
        vec![2.0 + 2.0 * b * b + 4.0 * a * b, 4.0 * a * b + 2.0 * a * a],
    ];
    for (found, expected) in found.iter().zip(expected) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-10, "{found} for {expected}");
        }
    }
    let folded = derivatives(|graph, x| {
        foldl(graph, |_, y, x| &y + &(&square(&x) * &square(&x)), x.clone(), constant(graph, 0f64))
    });
    assert_are(&folded, FOURTH_POWER);
}

#[test]
fn calls_and_recomputed_functions_have_second_derivatives() {
    let found = derivatives(|graph, x| {
        let power = define(graph, "power", &[(DType::Float64, PartialShape::from([2]))], |_, x| {
            vec![&square(&x[0]) * &square(&x[0])]
        });
        power.unwrap().call(graph, std::slice::from_ref(x)).remove(0)
    });
    assert_are(&found, FOURTH_POWER);
    let again = derivatives(|_, x| recompute_grad(x, |_, x| &square(&x) * &square(&x)));
    assert_are(&again, FOURTH_POWER);
}

#[test]
fn products_over_parts_in_a_loop_have_second_derivatives() {
    // The product of all elements, by a loop over indices; its mixed derivatives are those of a product.
    let found = derivatives(|graph, x| {
        let (_, y) = while_loop(
            graph,
            |body, (i, _): &(Output, Output)| less(i, constant(body, 2i32)),
            |_, (i, y)| {
                let part = ops::array::gather(x, &i);
                (&i + 1, &y * &part.reduce_sum(..))
            },
            (constant(graph, 0i32), constant(graph, 1f64)),
        );
        y
    });
    assert_eq!(found[0], [X[1], X[0]]);
    assert_eq!(found[1], [1.0, 1.0]);
    assert_eq!(found[2], [0.0, 0.0]);
}
