use super::*;
use crate::elementwise::tests::{Numbers, pools};

/// Rows of every sort: few classes, some, many, and the lengths around the limits.
const SHAPES: [(usize, usize); 14] = [
    (0, 3),
    (1, 1),
    (3, 2),
    (100, 10),
    (128, 10),
    (129, 31),
    (65, 32),
    (66, 33),
    (40, 100),
    (5, 1000),
    (3, 2048),
    (2, 2049),
    (3, 5000),
    (600, 64),
];

fn exact_row(row: &[f32]) -> (Vec<f64>, f64) {
    let max = row.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b.into()));
    let e: Vec<f64> = row.iter().map(|&x| (f64::from(x) - max).exp()).collect();
    let sum: f64 = e.iter().sum();
    (e.iter().map(|e| e / sum).collect(), max + sum.ln())
}

fn near(found: f64, exact: f64, tolerance: f64, what: &str) {
    assert!((found - exact).abs() <= tolerance * exact.abs().max(1.0), "{what}: {found} for {exact}");
}

/// Checks every function for one type, whose numbers are exact to `tolerance`.
fn check<T: Logits>(tolerance: f64, from: fn(f32) -> T, to: fn(T) -> f64) {
    let mut numbers = Numbers::new(41);
    for (rows, classes) in SHAPES {
        let logits: Vec<T> = numbers.floats(rows * classes).into_iter().map(from).collect();
        let plain: Vec<f32> = logits.iter().map(|&x| to(x) as f32).collect();
        let dense: Vec<T> =
            numbers.floats(rows * classes).iter().map(|x| from(x.abs() / classes as f32)).collect();
        let labels: Vec<i64> = (0..rows).map(|_| numbers.below(classes) as i64).collect();
        for pool in pools() {
            let what = format!("{rows}x{classes} of {} on {pool:?}", T::NAME);
            let new = || vec![from(0.0); rows * classes];
            let (mut p, mut log_p, mut sparse, mut full) = (new(), new(), new(), new());
            let (mut sparse_loss, mut full_loss) = (vec![from(0.0); rows], vec![from(0.0); rows]);
            softmax(&pool, classes, &logits, &mut p);
            log_softmax(&pool, classes, &logits, &mut log_p);
            sparse_softmax_cross_entropy(&pool, classes, &logits, &labels, &mut sparse_loss, &mut sparse)
                .unwrap();
            softmax_cross_entropy(&pool, classes, &logits, &dense, &mut full_loss, &mut full);
            for row in 0..rows {
                let (exact, log_sum) = exact_row(&plain[row * classes..(row + 1) * classes]);
                let label = labels[row] as usize;
                let mut loss = 0.0;
                for j in 0..classes {
                    let at = row * classes + j;
                    let log = f64::from(plain[at]) - log_sum;
                    near(to(p[at]), exact[j], tolerance, &what);
                    near(to(log_p[at]), log, tolerance, &what);
                    near(to(sparse[at]), exact[j] - f64::from(u8::from(j == label)), tolerance, &what);
                    near(to(full[at]), exact[j] - to(dense[at]), tolerance, &what);
                    loss -= to(dense[at]) * log;
                }
                near(
                    to(sparse_loss[row]),
                    log_sum - f64::from(plain[row * classes + label]),
                    tolerance,
                    &what,
                );
                near(to(full_loss[row]), loss, 4.0 * tolerance, &what);
            }
        }
    }
}

#[test]
fn all_functions_agree_with_exact_ones() {
    check::<f32>(1e-6, |x| x, f64::from);
    check::<f64>(1e-14 * 1e8, |x| x.into(), |x| x);
}

#[test]
fn large_logits_do_not_overflow() {
    let mut p = [0.0; 4];
    softmax(&Pool::single(), 2, &[1000.0, 0.0, -1000.0, -1000.0], &mut p);
    assert_eq!(p, [1.0, 0.0, 0.5, 0.5]);
    let (mut loss, mut backprop) = ([0.0; 1], [0.0; 3]);
    sparse_softmax_cross_entropy(
        &Pool::single(),
        3,
        &[0.0, 1000.0, -1000.0],
        &[0i64],
        &mut loss,
        &mut backprop,
    )
    .unwrap();
    assert_eq!((loss, backprop), ([1000.0], [-1.0, 1.0, 0.0]));
}

#[test]
fn masked_logits_have_no_probability() {
    for classes in [2, 40, 3000] {
        let mut logits = vec![f32::NEG_INFINITY; classes];
        logits[1] = 3.0;
        let mut p = vec![0.5; classes];
        softmax(&Pool::single(), classes, &logits, &mut p);
        assert!(p.iter().enumerate().all(|(i, &p)| p == f32::from(u8::from(i == 1))));
    }
}

#[test]
fn nan_and_infinity_affect_only_their_row() {
    for classes in [3, 40, 3000] {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut logits = vec![1.0; 2 * classes];
            logits[1] = bad;
            let mut p = vec![0.0; 2 * classes];
            softmax(&Pool::single(), classes, &logits, &mut p);
            assert!(p[1].is_nan(), "{classes} {bad}");
            assert!(p[classes..].iter().all(|&p| (p * classes as f32 - 1.0).abs() < 1e-5));
        }
    }
}

#[test]
fn errors_name_labels_out_of_range() {
    let (mut loss, mut backprop) = ([0.0; 2], [0.0; 6]);
    for label in [3i64, -1] {
        let error = sparse_softmax_cross_entropy(
            &Pool::single(),
            3,
            &[0.0; 6],
            &[0, label],
            &mut loss,
            &mut backprop,
        );
        assert_eq!(error, Err(LabelError { row: 1, label, classes: 3 }));
    }
    assert_eq!(
        LabelError { row: 1, label: 3, classes: 3 }.to_string(),
        "received a label value of 3 in row 1, which is outside the valid range of [0, 3)"
    );
}
