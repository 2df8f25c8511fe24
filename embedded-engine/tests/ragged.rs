//! Ragged tensors, runs of strings, counts, crossed features and edit distances: TensorFlow 2.21's values.
#![allow(clippy::unwrap_used)] // a panic is the report

use embedded_engine::EmbeddedEngine;
use ops::array::constant;
use ops::library;
use session_core::{
    AttrValue, Code, DType, Engine, Graph, OpBuilder, OpLibrary as _, Result, SessionConfig, SessionExt,
    Tensor,
};

fn op(graph: &Graph, op_type: &str) -> OpBuilder {
    graph.op(library().find(op_type).unwrap())
}

/// Runs an operation, and returns all its outputs.
fn outputs(graph: &Graph, builder: OpBuilder) -> Result<Vec<Tensor>> {
    let outputs = builder.try_finish()?.outputs();
    EmbeddedEngine::new().new_session(graph, "", &SessionConfig::default())?.run(outputs, ())
}

fn strings(names: &[&str]) -> AttrValue {
    AttrValue::List(names.iter().map(|name| AttrValue::String(name.as_bytes().to_vec().into())).collect())
}

fn text(values: &[&str]) -> Tensor {
    Tensor::from_strings(
        values.iter().map(|value| value.as_bytes().to_vec()).collect::<Vec<_>>(),
        [values.len()],
    )
    .unwrap()
}

fn to_tensor(
    shape: Tensor,
    values: Tensor,
    default: Tensor,
    partitions: &[Tensor],
    types: &[&str],
) -> Result<Tensor> {
    let graph = Graph::new();
    let partitions: Vec<_> = partitions.iter().map(|partition| constant(&graph, partition.clone())).collect();
    let builder = op(&graph, "RaggedTensorToTensor")
        .input(constant(&graph, shape))
        .input(constant(&graph, values))
        .input(constant(&graph, default))
        .input_list(&partitions)
        .attr("row_partition_types", strings(types));
    Ok(outputs(&graph, builder)?.remove(0))
}

const SPLITS: &[&str] = &["ROW_SPLITS"];

#[test]
fn ragged_rows_are_padded_and_truncated() {
    let all = || Tensor::scalar(-1i64);
    let (values, default) = (Tensor::from([1f32, 2.0, 3.0, 4.0]), Tensor::scalar(-1f32));
    let splits = Tensor::from([0i64, 2, 2, 4]);
    let made = |shape: Tensor| {
        to_tensor(shape, values.clone(), default.clone(), std::slice::from_ref(&splits), SPLITS).unwrap()
    };
    let whole = Tensor::from([[1f32, 2.0], [-1.0, -1.0], [3.0, 4.0]]);
    assert_eq!(made(all()), whole);
    assert_eq!(made(Tensor::from([2i64, 1])), Tensor::from([[1f32], [-1.0]]));
    let wide = [[1f32, 2.0, -1.0], [-1.0; 3], [3.0, 4.0, -1.0], [-1.0; 3]];
    assert_eq!(made(Tensor::from([4i64, 3])), Tensor::from(wide));

    let by_row = [Tensor::scalar(4i64), Tensor::from([0i64, 0, 2, 2])];
    let types = ["FIRST_DIM_SIZE", "VALUE_ROWIDS"];
    let shape = Tensor::from([-1i64, -1]);
    let found = to_tensor(shape, values.clone(), default.clone(), &by_row, &types).unwrap();
    assert_eq!(found, Tensor::from([[1f32, 2.0], [-1.0, -1.0], [3.0, 4.0], [-1.0, -1.0]]));

    let pairs = Tensor::from_strings(["a", "b", "c", "d", "e", "f"], [3, 2]).unwrap();
    let found = to_tensor(
        Tensor::from([-1i32, -1, 2]),
        pairs,
        text(&["x", "y"]),
        &[Tensor::from([0i32, 2, 3])],
        SPLITS,
    );
    let expected = Tensor::from_strings(["a", "b", "c", "d", "e", "f", "x", "y"], [2, 2, 2]).unwrap();
    assert_eq!(found.unwrap(), expected);

    let two = [Tensor::from([0i64, 2, 3]), Tensor::from([0i64, 1, 1, 5])];
    let found =
        to_tensor(all(), Tensor::from([1i32, 2, 3, 4, 5]), Tensor::scalar(0i32), &two, &["ROW_SPLITS"; 2]);
    let expected = vec![1i32, 0, 0, 0, 0, 0, 0, 0, 2, 3, 4, 5, 0, 0, 0, 0];
    assert_eq!(found.unwrap(), Tensor::from_vec(expected, [2, 2, 4]).unwrap());

    for (shape, splits) in [
        (all(), vec![0i64, 3, 2, 4]),
        (all(), vec![]),
        (all(), vec![1, 4]),
        (all(), vec![0, 9]),
        (Tensor::from([2i64]), vec![0, 2, 2, 4]),
        (Tensor::scalar(3i64), vec![0, 2, 2, 4]),
    ] {
        let error =
            to_tensor(shape, values.clone(), default.clone(), &[Tensor::from(splits)], SPLITS).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    }
    // A damaged size must not exhaust the memory.
    let huge =
        to_tensor(Tensor::from([1i64 << 40, 1 << 40]), values, default, &[splits], SPLITS).unwrap_err();
    assert!(matches!(huge.code(), Code::InvalidArgument | Code::ResourceExhausted), "{huge}");
}

#[test]
fn ragged_tensors_become_sparse() {
    let graph = Graph::new();
    let splits = [constant(&graph, [0i64, 2, 3]), constant(&graph, [0i64, 1, 1, 3])];
    let values = constant(&graph, [[1i32, 2], [3, 4], [5, 6]]);
    let found =
        outputs(&graph, op(&graph, "RaggedTensorToSparse").input_list(&splits).input(values)).unwrap();
    let indices = vec![0i64, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 1, 1, 0, 1, 0, 1, 0, 1, 1];
    assert_eq!(found[0], Tensor::from_vec(indices, [6, 4]).unwrap());
    assert_eq!(found[1], Tensor::from([1i32, 2, 3, 4, 5, 6]));
    assert_eq!(found[2], Tensor::from([2i64, 2, 2, 2]));
}

#[test]
fn rows_are_gathered() {
    let gather = |indices: Tensor, rank: i64| {
        let graph = Graph::new();
        let builder = op(&graph, "RaggedGather")
            .input_list(&[constant(&graph, [0i64, 2, 2, 4])])
            .input(constant(&graph, [1f32, 2.0, 3.0, 4.0]))
            .input(constant(&graph, indices))
            .attr("OUTPUT_RAGGED_RANK", rank);
        outputs(&graph, builder)
    };
    let found = gather(Tensor::from([[2i32, 0], [1, 2]]), 2).unwrap();
    assert_eq!(found[..2], [Tensor::from([0i64, 2, 4]), Tensor::from([0i64, 2, 4, 4, 6])]);
    assert_eq!(found[2], Tensor::from([3f32, 4.0, 1.0, 2.0, 3.0, 4.0]));
    let error = gather(Tensor::from([3i32]), 1).unwrap_err();
    assert!(error.to_string().contains("which is not in [0, 3)"), "{error}");

    let graph = Graph::new();
    let builder = op(&graph, "RaggedGather")
        .input_list(&[constant(&graph, [0i64, 2, 3]), constant(&graph, [0i64, 1, 1, 3])])
        .input(constant(&graph, text(&["a", "b", "c"])))
        .input(constant(&graph, [1i64, 0, 1]))
        .attr("OUTPUT_RAGGED_RANK", 2i64);
    let found = outputs(&graph, builder).unwrap();
    assert_eq!(found[..2], [Tensor::from([0i64, 1, 3, 4]), Tensor::from([0i64, 2, 3, 3, 5])]);
    assert_eq!(found[2], text(&["b", "c", "a", "b", "c"]));
}

#[test]
fn ranges_have_rows_of_their_own_lengths() {
    let range = |[starts, limits, deltas]: [Tensor; 3]| {
        let graph = Graph::new();
        let builder = op(&graph, "RaggedRange")
            .input(constant(&graph, starts))
            .input(constant(&graph, limits))
            .input(constant(&graph, deltas));
        outputs(&graph, builder)
    };
    let found =
        range([Tensor::from([0i32, 5, 3]), Tensor::from([3i32, 4, 3]), Tensor::scalar(1i32)]).unwrap();
    assert_eq!(found, [Tensor::from([0i64, 3, 3, 3]), Tensor::from([0i32, 1, 2])]);
    let found = range([Tensor::scalar(5i32), Tensor::scalar(0i32), Tensor::scalar(-2i32)]).unwrap();
    assert_eq!(found, [Tensor::from([0i64, 3]), Tensor::from([5i32, 3, 1])]);
    let floats = [Tensor::from([0f32, 1.0]), Tensor::scalar(1f32), Tensor::from([0.3f32, -0.5])];
    let found = range(floats).unwrap();
    assert_eq!(found[0], Tensor::from([0i64, 4, 4]));
    for (found, expected) in found[1].to_vec::<f32>().unwrap().into_iter().zip([0.0f32, 0.3, 0.6, 0.9]) {
        assert!((found - expected).abs() < 1e-6, "{found} instead of {expected}");
    }
    let still = range([Tensor::scalar(0i64), Tensor::scalar(3i64), Tensor::scalar(0i64)]).unwrap_err();
    assert!(still.to_string().contains("delta"), "{still}");
    let endless =
        range([Tensor::scalar(i64::MIN), Tensor::scalar(i64::MAX), Tensor::scalar(1i64)]).unwrap_err();
    assert!(matches!(endless.code(), Code::InvalidArgument | Code::ResourceExhausted), "{endless}");
}

#[test]
fn neighboring_strings_are_joined() {
    let ngrams = |widths: &[i64], pad: i64, keep: bool| {
        let graph = Graph::new();
        let builder = op(&graph, "StringNGrams")
            .input(constant(&graph, text(&["a", "b", "c", "d", "e"])))
            .input(constant(&graph, [0i64, 3, 3, 5]))
            .attr("separator", "-")
            .attr("left_pad", "L")
            .attr("right_pad", "R")
            .attr("ngram_widths", widths.iter().map(|&width| AttrValue::Int(width)).collect::<Vec<_>>())
            .attr("pad_width", pad)
            .attr("preserve_short_sequences", keep);
        let found = outputs(&graph, builder).unwrap();
        let texts: Vec<String> = found[0]
            .as_strings()
            .unwrap()
            .iter()
            .map(|text| String::from_utf8_lossy(text).into_owned())
            .collect();
        (texts.join(" "), found[1].to_vec::<i64>().unwrap())
    };
    let expected = |text: &str, splits: [i64; 4]| (text.to_owned(), splits.to_vec());
    assert_eq!(ngrams(&[2], 0, false), expected("a-b b-c d-e", [0, 2, 2, 3]));
    assert_eq!(ngrams(&[1, 3], 0, true), expected("a b c a-b-c d e", [0, 4, 4, 6]));
    let padded =
        "L-a a-b b-c c-R L-L-a L-a-b a-b-c b-c-R c-R-R L-R L-L-R L-R-R L-d d-e e-R L-L-d L-d-e d-e-R e-R-R";
    assert_eq!(ngrams(&[2, 3], -1, false), expected(padded, [0, 9, 12, 19]));
    assert_eq!(ngrams(&[4], 1, true), expected("L-a-b-c a-b-c-R L-d-e-R", [0, 2, 2, 3]));
    let wide = "L-L-a L-a-b a-b-c b-c-R c-R-R L-L-R L-R-R L-L-d L-d-e d-e-R e-R-R";
    assert_eq!(ngrams(&[3], 5, false), expected(wide, [0, 5, 7, 11]));
    assert_eq!(ngrams(&[9], 1, true), expected("L-a-b-c-R L-d-e-R", [0, 1, 1, 2]));
}

#[test]
fn values_are_counted_in_each_row() {
    let count = |input: Tensor, weights: Tensor, binary: bool| {
        let graph = Graph::new();
        let builder = op(&graph, "DenseBincount")
            .input(constant(&graph, input))
            .input(constant(&graph, 4i32))
            .input(constant(&graph, weights))
            .attr("binary_output", binary);
        Ok::<Tensor, session_core::Error>(outputs(&graph, builder)?.remove(0))
    };
    let rows = || Tensor::from([[1i32, 3, 1], [0, 9, 2]]);
    let none = || Tensor::from_vec(Vec::<f32>::new(), [0]).unwrap();
    assert_eq!(
        count(rows(), none(), false).unwrap(),
        Tensor::from([[0f32, 2.0, 0.0, 1.0], [1.0, 0.0, 1.0, 0.0]])
    );
    assert_eq!(
        count(rows(), none(), true).unwrap(),
        Tensor::from([[0f32, 1.0, 0.0, 1.0], [1.0, 0.0, 1.0, 0.0]])
    );
    let (row, weights) = (Tensor::from([1i32, 3, 1]), Tensor::from([0.5f32, 1.0, 2.0]));
    assert_eq!(count(row.clone(), weights.clone(), false).unwrap(), Tensor::from([0f32, 2.5, 0.0, 1.0]));
    assert_eq!(count(row, weights.clone(), true).unwrap(), Tensor::from([0f32, 1.0, 0.0, 1.0]));
    let one = Tensor::from_vec(Vec::<i64>::new(), [0]).unwrap();
    assert_eq!(count(Tensor::scalar(2i32), one, false).unwrap(), Tensor::from([0i64, 0, 1, 0]));
    for (input, weights) in [(Tensor::from([-1i32]), none()), (rows(), weights)] {
        assert_eq!(count(input, weights, false).unwrap_err().code(), Code::InvalidArgument);
    }
}

#[test]
fn features_are_crossed() {
    let cross = |values: Tensor, dense: Tensor, hashed: bool| {
        let graph = Graph::new();
        let builder = op(&graph, "SparseCross")
            .input_list(&[constant(&graph, [[0i64, 0], [1, 0], [1, 1]])])
            .input_list(&[constant(&graph, values)])
            .input_list(&[constant(&graph, [2i64, 2])])
            .input_list(&[constant(&graph, dense)])
            .attr("hashed_output", hashed)
            .attr("num_buckets", 0i64)
            .attr("hash_key", 956_888_297_470i64)
            .attr("out_type", if hashed { DType::Int64 } else { DType::String })
            .attr("internal_type", if hashed { DType::Int64 } else { DType::String });
        outputs(&graph, builder).unwrap()
    };
    let dense = Tensor::from([[5i64, 6], [7, 8]]);
    let found = cross(text(&["p", "q", "r"]), dense.clone(), true);
    assert_eq!(found[0], Tensor::from([[0i64, 0], [0, 1], [1, 0], [1, 1], [1, 2], [1, 3]]));
    let hashes = [
        7_847_316_182_550_715_035i64,
        8_047_556_694_017_869_900,
        5_086_334_849_521_611_431,
        5_181_123_592_789_335_861,
        7_039_914_814_811_521_128,
        3_533_603_115_856_037_375,
    ];
    assert_eq!(found[1], Tensor::from(hashes));
    assert_eq!(found[2], Tensor::from([2i64, 4]));
    let found = cross(Tensor::from([1i64, 2, 3]), Tensor::from_strings(["u", "w"], [2, 1]).unwrap(), false);
    assert_eq!(found[1], text(&["1_X_u", "2_X_w", "3_X_w"]));
}

#[test]
fn changes_between_sequences_are_counted() {
    let distance = |normalize: bool| {
        let graph = Graph::new();
        let builder = op(&graph, "EditDistance")
            .input(constant(&graph, [[0i64, 0], [1, 0], [1, 1]]))
            .input(constant(&graph, text(&["a", "b", "c"])))
            .input(constant(&graph, [3i64, 2]))
            .input(constant(&graph, [[0i64, 0], [0, 1], [2, 0]]))
            .input(constant(&graph, text(&["a", "x", "y"])))
            .input(constant(&graph, [3i64, 2]))
            .attr("normalize", normalize);
        outputs(&graph, builder).unwrap().remove(0)
    };
    assert_eq!(distance(true), Tensor::from([0.5f32, f32::INFINITY, 1.0]));
    assert_eq!(distance(false), Tensor::from([1f32, 2.0, 1.0]));
}

/// The strings whose characters are read: with letters of two bytes, empty, with bytes that are not characters, of four bytes.
fn texts() -> Tensor {
    let texts: [&[u8]; 4] =
        ["gr\u{f6}\u{df}e".as_bytes(), b"", b"a\xff\xe2\x82b\x01", "\u{1f600}".as_bytes()];
    Tensor::from_strings(texts, [4]).unwrap()
}

#[test]
fn strings_are_read_as_characters() {
    let decode = |errors: &str, replacement: i64, control: bool| {
        let graph = Graph::new();
        let builder = op(&graph, "UnicodeDecodeWithOffsets")
            .input(constant(&graph, texts()))
            .attr("input_encoding", "UTF-8")
            .attr("errors", errors)
            .attr("replacement_char", replacement)
            .attr("replace_control_characters", control);
        outputs(&graph, builder)
    };
    let found = decode("replace", 65533, false).unwrap();
    assert_eq!(found[0], Tensor::from([0i64, 5, 5, 10, 11]));
    assert_eq!(found[1], Tensor::from([103i32, 114, 246, 223, 101, 97, 65533, 65533, 98, 1, 128512]));
    assert_eq!(found[2], Tensor::from([0i64, 1, 2, 4, 6, 0, 1, 2, 4, 5, 0]));
    let found = decode("ignore", 65533, true).unwrap();
    assert_eq!(found[1], Tensor::from([103i32, 114, 246, 223, 101, 97, 98, 128512]));
    let found = decode("replace", 63, true).unwrap();
    assert_eq!(found[1], Tensor::from([103i32, 114, 246, 223, 101, 97, 63, 63, 98, 63, 128512]));
    let strict = decode("strict", 65533, false).unwrap_err();
    assert!(strict.to_string().contains("Invalid formatting on input string"), "{strict}");

    let graph = Graph::new();
    let builder = op(&graph, "UnicodeTranscode")
        .input(constant(&graph, texts()))
        .attr("input_encoding", "UTF-8")
        .attr("output_encoding", "UTF-16-BE");
    let found = outputs(&graph, builder).unwrap().remove(0);
    let expected: [&[u8]; 4] =
        [b"\0g\0r\0\xf6\0\xdf\0e", b"", b"\0a\xff\xfd\xff\xfd\0b\0\x01", b"\xd8=\xde\0"];
    assert_eq!(found, Tensor::from_strings(expected, [4]).unwrap());
}

#[test]
fn characters_are_written_as_strings() {
    let encode = |encoding: &str, errors: &str| {
        let graph = Graph::new();
        let builder = op(&graph, "UnicodeEncode")
            .input(constant(&graph, [97i32, 0xf6, 0x1f600, 0xd800, -1, 98]))
            .input(constant(&graph, [0i64, 3, 3, 6]))
            .attr("output_encoding", encoding)
            .attr("errors", errors);
        Ok::<Tensor, session_core::Error>(outputs(&graph, builder)?.remove(0))
    };
    let expected = |texts: [&[u8]; 3]| Tensor::from_strings(texts.map(<[u8]>::to_vec), [3]).unwrap();
    let utf8 = expected(["a\u{f6}\u{1f600}".as_bytes(), b"", "\u{fffd}\u{fffd}b".as_bytes()]);
    assert_eq!(encode("UTF-8", "replace").unwrap(), utf8);
    let utf16 = expected([b"\0a\0\xf6\xd8=\xde\0", b"", b"\xff\xfd\xff\xfd\0b"]);
    assert_eq!(encode("UTF-16-BE", "replace").unwrap(), utf16);
    let utf32 = expected([b"\0\0\0a\0\0\0\xf6\0\x01\xf6\0", b"", b"\0\0\xff\xfd\0\0\xff\xfd\0\0\0b"]);
    assert_eq!(encode("UTF-32-BE", "replace").unwrap(), utf32);
    assert_eq!(encode("UTF-8", "ignore").unwrap().as_strings().unwrap()[2], "b");
    assert_eq!(encode("UTF-8", "strict").unwrap_err().code(), Code::InvalidArgument);
}

#[test]
fn strings_are_hashed_with_a_key_and_joined_by_segment() {
    let hash = |texts: Tensor, buckets: i64, key: [i64; 2]| {
        let graph = Graph::new();
        let key: Vec<AttrValue> = key.into_iter().map(AttrValue::Int).collect();
        let builder = op(&graph, "StringToHashBucketStrong").input(constant(&graph, texts));
        outputs(&graph, builder.attr("num_buckets", buckets).attr("key", key)).unwrap().remove(0)
    };
    let expected = [
        3_552_588_188_092_089_117i64,
        443_797_209_252_341_627,
        334_099_635_717_709_895,
        32_439_622_747_768_829,
    ];
    assert_eq!(hash(texts(), 1 << 62, [1, 2]), Tensor::from(expected));
    let longer = text(&["hello", "a longer string of more than sixteen bytes"]);
    assert_eq!(hash(longer, 1000, [-5, 7]), Tensor::from([333i64, 376]));

    let join = |ids: Tensor| {
        let graph = Graph::new();
        let builder = op(&graph, "UnsortedSegmentJoin")
            .input(constant(&graph, Tensor::from_strings(["a", "b", "c", "d"], [2, 2]).unwrap()))
            .input(constant(&graph, ids))
            .input(constant(&graph, 2i32))
            .attr("separator", "-");
        Ok::<Tensor, session_core::Error>(outputs(&graph, builder)?.remove(0))
    };
    let rows = Tensor::from_strings(["", "", "a-c", "b-d"], [2, 2]).unwrap();
    assert_eq!(join(Tensor::from([1i32, 1])).unwrap(), rows);
    assert_eq!(join(Tensor::from([[0i64, 1], [1, 0]])).unwrap(), text(&["a-d", "b-c"]));
    for ids in [Tensor::from([2i32, 0]), Tensor::from([-1i32, 0]), Tensor::from([0i32, 0, 0])] {
        assert_eq!(join(ids).unwrap_err().code(), Code::InvalidArgument);
    }
}

/// Values keep the order of their rows, empty rows get the default, and gradients go back to where values came from.
#[test]
fn empty_rows_are_filled() {
    let graph = Graph::new();
    let filled = |rows: &[i64], values: &[f64], count: i64| {
        let values = Tensor::from(values.to_vec());
        let builder =
            op(&graph, "RaggedFillEmptyRows").constant(Tensor::from(rows.to_vec())).constant(values);
        outputs(&graph, builder.constant(count).constant(-1f64))
    };
    let found = filled(&[3, 0, 0], &[1.0, 2.0, 3.0], 5).unwrap();
    assert_eq!(found[0].to_vec::<i64>().unwrap(), [0, 0, 1, 2, 3, 4]);
    assert_eq!(found[1].to_vec::<f64>().unwrap(), [2.0, 3.0, -1.0, -1.0, 1.0, -1.0]);
    assert_eq!(found[2].to_vec::<bool>().unwrap(), [false, true, true, false, true]);
    assert_eq!(found[3].to_vec::<i64>().unwrap(), [4, 0, 1]);
    assert_eq!(filled(&[], &[], 2).unwrap()[1].to_vec::<f64>().unwrap(), [-1.0, -1.0]);
    assert_eq!(filled(&[], &[], 0).unwrap()[1].elements(), 0);
    for (rows, values) in [(vec![5i64], vec![1.0]), (vec![-1], vec![1.0]), (vec![1], vec![1.0, 2.0])] {
        assert_eq!(filled(&rows, &values, 3).unwrap_err().code(), Code::InvalidArgument, "{rows:?}");
    }
    let values = ops::array::placeholder(&graph, DType::Float64, [3]);
    let default = ops::array::placeholder(&graph, DType::Float64, [0; 0]);
    let builder = op(&graph, "RaggedFillEmptyRows").constant(Tensor::from([3i64, 0, 0])).input(&values);
    let made = builder.constant(5i64).input(&default).finish().output(1);
    let weights = constant(&graph, [1f64, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let found = ops::gradients(&[&made * &weights], &[&values, &default]).unwrap();
    let found: Vec<_> = found.into_iter().map(Option::unwrap).collect();
    let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::default()).unwrap();
    let feeds = [(&values, Tensor::from([0f64; 3])), (&default, Tensor::scalar(0f64))];
    let found = session.run(&found, feeds).unwrap();
    assert_eq!(found[0].to_vec::<f64>().unwrap(), [5.0, 1.0, 2.0]);
    assert_eq!(found[1].value::<f64>().unwrap(), 13.0);
}
