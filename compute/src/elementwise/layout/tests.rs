use super::*;
use crate::Pool;
use crate::elementwise::tests::{Numbers, pools};
use crate::elementwise::{BinaryOp, BroadcastError, Element};

/// Returns the indices of the `flat`th element of an array.
fn indices(mut flat: usize, shape: &[usize]) -> Vec<usize> {
    let mut indices = vec![0; shape.len()];
    for i in (0..shape.len()).rev() {
        indices[i] = flat % shape[i];
        flat /= shape[i];
    }
    indices
}

fn flat(indices: &[usize], shape: &[usize]) -> usize {
    indices.iter().zip(shape).fold(0, |at, (&index, &size)| at * size + index)
}

fn count(len: usize) -> Vec<i32> {
    (0..len as i32).collect()
}

#[test]
fn transposition_agrees_with_its_definition() {
    let mut numbers = Numbers::new(21);
    let mut cases: Vec<(Vec<usize>, Vec<usize>)> = vec![
        (vec![70, 90], vec![1, 0]),
        (vec![3, 40, 50], vec![0, 2, 1]),
        (vec![300, 400], vec![1, 0]),
        (vec![5, 0, 3], vec![2, 0, 1]),
        (vec![], vec![]),
        (vec![1, 1], vec![1, 0]),
        (vec![2; 11], (0..11).rev().collect()),
    ];
    for round in 0..220 {
        // Some have more dimensions than plans hold in place.
        let rank = if round < 200 { 1 + numbers.below(5) } else { 9 + numbers.below(3) };
        let shape = numbers.shape(rank, if round < 200 { 6 } else { 3 });
        let mut permutation: Vec<usize> = (0..rank).collect();
        (1..rank).for_each(|i| permutation.swap(i, numbers.below(i + 1)));
        cases.push((shape, permutation));
    }
    for (shape, permutation) in cases {
        let input = count(shape.iter().product());
        let result: Vec<usize> = permutation.iter().map(|&p| shape[p]).collect();
        let expected: Vec<i32> = (0..input.len())
            .map(|i| {
                let to = indices(i, &result);
                let mut from = vec![0; shape.len()];
                permutation.iter().zip(to).for_each(|(&p, index)| from[p] = index);
                input[flat(&from, &shape)]
            })
            .collect();
        for pool in pools() {
            let mut output = vec![-1; input.len()];
            transpose(&pool, &shape, &permutation, &input, &mut output);
            assert_eq!(output, expected, "{shape:?} {permutation:?}");
        }
    }
}

#[test]
fn joining_and_taking_apart_are_inverse() {
    let mut numbers = Numbers::new(22);
    for _ in 0..50 {
        let rows = numbers.below(6);
        let widths: Vec<usize> = (0..1 + numbers.below(4)).map(|_| numbers.below(5)).collect();
        let parts: Vec<Vec<f32>> = widths.iter().map(|width| numbers.floats(rows * width)).collect();
        let inputs: Vec<(&[f32], usize)> =
            parts.iter().map(Vec::as_slice).zip(widths.iter().copied()).collect();
        let mut joined = vec![0.0; rows * widths.iter().sum::<usize>()];
        concat(&Pool::new(2).unwrap(), rows, &inputs, &mut joined);
        let mut from = 0;
        for (part, &width) in parts.iter().zip(&widths) {
            let total: usize = widths.iter().sum();
            for i in 0..rows {
                assert_eq!(joined[i * total + from..][..width], part[i * width..][..width]);
            }
            from += width;
        }
        let mut again: Vec<Vec<f32>> = parts.iter().map(|part| vec![0.0; part.len()]).collect();
        let mut outputs: Vec<(&mut [f32], usize)> =
            again.iter_mut().map(Vec::as_mut_slice).zip(widths.iter().copied()).collect();
        split(rows, &joined, &mut outputs);
        assert_eq!(again, parts);
    }
    let mut words = vec![String::new(); 2];
    concat(&Pool::single(), 1, &[(&["a".to_string()], 1), (&["b".to_string()], 1)], &mut words);
    assert_eq!(words, ["a", "b"]);
}

#[test]
fn strided_regions_are_read_and_written() {
    let mut numbers = Numbers::new(23);
    for round in 0..300 {
        let rank = if round < 280 { numbers.below(5) } else { 9 + numbers.below(3) };
        let most = if round < 280 { 7 } else { 3 };
        let shape = if round == 0 { vec![400, 300] } else { numbers.shape(rank, most) };
        let (mut begin, mut strides, mut sizes) = (vec![], vec![], vec![]);
        for &size in &shape {
            let from = numbers.below(size);
            let step = [1isize, 1, 2, 3, -1, -2][numbers.below(6)];
            let room = if step > 0 { (size - 1 - from) / step as usize } else { from / step.unsigned_abs() };
            begin.push(from);
            strides.push(step);
            sizes.push(numbers.below(room + 2));
        }
        let region = StridedRegion { shape: &shape, begin: &begin, strides: &strides, sizes: &sizes };
        let input = count(shape.iter().product());
        let places: Vec<usize> = (0..sizes.iter().product())
            .map(|i| {
                let at = indices(i, &sizes);
                let place = |d: usize| begin[d].wrapping_add_signed(at[d] as isize * strides[d]);
                flat(&(0..shape.len()).map(place).collect::<Vec<_>>(), &shape)
            })
            .collect();
        for pool in pools() {
            let mut output = vec![-1; places.len()];
            strided_slice(&pool, region, &input, &mut output);
            assert_eq!(output, places.iter().map(|&at| at as i32).collect::<Vec<_>>(), "{region:?}");
        }
        let mut target = vec![-1; input.len()];
        strided_assign(region, &count(places.len()), &mut target);
        let mut expected = vec![-1; input.len()];
        places.iter().enumerate().for_each(|(i, &at)| expected[at] = i as i32);
        assert_eq!(target, expected, "{region:?}");
    }
}

#[test]
fn padding_surrounds() {
    let mut output = vec![0; 20];
    pad(&[2, 3], &[1, 0], &[1, 2], &9, &[1, 2, 3, 4, 5, 6], &mut output);
    assert_eq!(output, [9, 9, 9, 9, 9, 1, 2, 3, 9, 9, 4, 5, 6, 9, 9, 9, 9, 9, 9, 9]);
    let mut scalar = [0];
    pad(&[], &[], &[], &9, &[1], &mut scalar);
    assert_eq!(scalar, [1]);
    let mut all = [0; 2];
    pad(&[0], &[1], &[1], &9, &[], &mut all);
    assert_eq!(all, [9, 9]);
    let mut high = vec![0; 1 << 9];
    pad(&[1; 9], &[1; 9], &[0; 9], &9, &[1], &mut high);
    assert!(high[..511].iter().all(|&x| x == 9) && high[511] == 1);
}

#[test]
fn tiles_repeat() {
    let mut numbers = Numbers::new(24);
    for _ in 0..100 {
        let rank = numbers.below(4);
        let shape = numbers.shape(rank, 4);
        let repeats: Vec<usize> = (0..rank).map(|_| numbers.below(4)).collect();
        let result: Vec<usize> = shape.iter().zip(&repeats).map(|(size, count)| size * count).collect();
        let input = count(shape.iter().product());
        let mut output = vec![-1; result.iter().product()];
        tile(&shape, &repeats, &input, &mut output);
        for (i, &value) in output.iter().enumerate() {
            let from: Vec<usize> =
                indices(i, &result).iter().zip(&shape).map(|(at, size)| at % size).collect();
            assert_eq!(value, input[flat(&from, &shape)]);
        }
    }
}

#[test]
fn broadcasting_to_a_shape_repeats() {
    let mut output = [0; 12];
    broadcast_to(&Pool::single(), &[3, 1], &[2, 3, 2], &[1, 2, 3], &mut output).unwrap();
    assert_eq!(output, [1, 1, 2, 2, 3, 3, 1, 1, 2, 2, 3, 3]);
    assert!(broadcast_to(&Pool::single(), &[2], &[1], &[1, 2], &mut [0]).is_err());
    assert!(broadcast_to(&Pool::single(), &[1, 1], &[1], &[1], &mut [0]).is_err());
    let error = broadcast_to(&Pool::single(), &[1, 3], &[1, 1], &[1, 2, 3], &mut [0]).unwrap_err();
    let expected = BroadcastError::Incompatible { operand: 1, dimension_from_end: 0, size: 3, expected: 1 };
    assert_eq!(error, expected);
    let mut high = vec![0; 1 << 11];
    broadcast_to(&Pool::single(), &[2, 1, 1], &[2; 11], &[1, 2], &mut high).unwrap();
    assert!(high.chunks(8).all(|block| block == [1, 1, 1, 1, 2, 2, 2, 2]));
    let mut large = vec![0; 200_000];
    broadcast_to(&Pool::new(3).unwrap(), &[2], &[100_000, 2], &[7, 8], &mut large).unwrap();
    assert!(large.chunks(2).all(|pair| pair == [7, 8]));
}

#[test]
fn gathering_picks_slices_in_every_batch() {
    let shape = GatherShape { batch: 2, outer: 2, axis: 3, inner: 2 };
    let parameters = count(24);
    let picked: [i64; 4] = [2, 0, 1, 1];
    for pool in pools() {
        let mut output = vec![-1; 16];
        gather(&pool, shape, &parameters, &picked, &mut output).unwrap();
        let mut expected = Vec::new();
        for b in 0..2 {
            for o in 0..2 {
                for i in 0..2 {
                    let row = (b * 2 + o) * 3 + picked[b * 2 + i] as i32 as usize;
                    expected.extend_from_slice(&parameters[row * 2..row * 2 + 2]);
                }
            }
        }
        assert_eq!(output, expected);
    }
    let words = ["a", "b"].map(String::from);
    let mut output = vec![String::new(); 2];
    let shape = GatherShape { batch: 1, outer: 1, axis: 2, inner: 1 };
    gather(&Pool::single(), shape, &words, &[1i32, 1], &mut output).unwrap();
    assert_eq!(output, ["b", "b"]);
}

#[test]
fn indices_outside_are_named() {
    let shape = GatherShape { batch: 1, outer: 1, axis: 3, inner: 1 };
    let error = gather(&Pool::single(), shape, &[1, 2, 3], &[0i32, 3], &mut [0, 0]).unwrap_err();
    assert_eq!(error, IndexError { position: 1, index: 3, limit: 3 });
    let error = gather_nd(&[2, 2], 1, &count(4), &[0i64, 1, -1, 0], &mut [0, 0]).unwrap_err();
    assert_eq!(error, IndexError { position: 2, index: -1, limit: 2 });
    let add = f32::binary(BinaryOp::Add).unwrap();
    let mut data = [0.0; 2];
    let error = scatter(&Pool::single(), add, 1, &mut data, &[0i32, 2], &[1.0, 1.0]).unwrap_err();
    assert_eq!((error.position, data), (1, [0.0; 2]));
    assert!(unsorted_segment_sum(&Pool::single(), 1, &[1.0], &[1i32], &mut [0.0]).is_err());
    assert!(scatter_update(1, &mut [0], &[-1i32], &[1]).is_err());
}

#[test]
fn gather_nd_picks_by_coordinates() {
    let mut output = [0; 4];
    gather_nd(&[2, 3], 2, &count(12), &[1i32, 2, 0, 1], &mut output).unwrap();
    assert_eq!(output, [10, 11, 2, 3]);
}

#[test]
fn scattering_merges_rows_in_order() {
    let mut numbers = Numbers::new(25);
    for inner in [1, 3, 100] {
        let rows = 50;
        let places: Vec<i64> = (0..4000).map(|_| numbers.below(rows) as i64).collect();
        let updates = numbers.floats(places.len() * inner);
        let start = numbers.floats(rows * inner);
        let mut expected = start.clone();
        for (i, &row) in places.iter().enumerate() {
            for j in 0..inner {
                expected[row as usize * inner + j] -= updates[i * inner + j];
            }
        }
        let sub = f32::binary(BinaryOp::Sub).unwrap();
        for pool in pools() {
            let mut data = start.clone();
            scatter(&pool, sub, inner, &mut data, &places, &updates).unwrap();
            assert_eq!(data, expected);
            let mut sums = vec![1.0; rows * inner];
            unsorted_segment_sum(&pool, inner, &updates, &places, &mut sums).unwrap();
            let mut negated = vec![0.0; rows * inner];
            scatter(&pool, sub, inner, &mut negated, &places, &updates).unwrap();
            assert!(sums.iter().zip(&negated).all(|(x, y)| *x == -y));
        }
    }
    let mut data = [1, 2, 3, 4];
    scatter_update(2, &mut data, &[1i32, 1], &[5, 6, 7, 8]).unwrap();
    assert_eq!(data, [1, 2, 7, 8]);
    let mut data = [0.0; 4];
    scatter_nd(&[2, 2], 1, &mut data, &[1i32, 0, 1, 0], &[2.0, 3.0]).unwrap();
    assert_eq!(data, [0.0, 0.0, 5.0, 0.0]);
}

#[test]
fn negative_segments_are_left_out() {
    let mut sums = [9; 2];
    unsorted_segment_sum(&Pool::single(), 1, &[1, 2, 3], &[1i32, -1, 1], &mut sums).unwrap();
    assert_eq!(sums, [0, 4]);
    let mut most = [0; 2];
    unsorted_segment_fold(&Pool::single(), 1, &[1, 2, 3], &[1i32, -1, 1], &mut most, Ord::max).unwrap();
    assert_eq!(most, [0, 3]);
    let error = unsorted_segment_fold(&Pool::single(), 1, &[1], &[2i32], &mut most, Ord::max).unwrap_err();
    assert_eq!(error, IndexError { position: 0, index: 2, limit: 2 });
}

#[test]
fn rows_without_elements_have_any_number() {
    let (pool, none, add) = (Pool::single(), &[0.0f32; 0], f32::binary(BinaryOp::Add).unwrap());
    assert_eq!(unsorted_segment_sum(&pool, 0, none, &[0i32, 7], &mut []), Ok(()));
    assert_eq!(unsorted_segment_fold(&pool, 0, none, &[0i32, 7], &mut [], f32::max), Ok(()));
    assert_eq!(scatter(&pool, add, 0, &mut [], &[0i32, 7], none), Ok(()));
    assert_eq!(scatter_update(0, &mut [], &[0i32, 7], none), Ok(()));
}

#[test]
fn one_hot_places_the_new_dimension() {
    let mut last = [0; 6];
    one_hot(3, 1, &[2i32, -1], &1, &0, &mut last);
    assert_eq!(last, [0, 0, 1, 0, 0, 0]);
    let mut first = [0.5; 6];
    one_hot(3, 2, &[2u8, 0], &1.0, &0.0, &mut first);
    assert_eq!(first, [0.0, 1.0, 0.0, 0.0, 1.0, 0.0]);
    one_hot::<f32, i64>(3, 0, &[], &1.0, &0.0, &mut []);
}
