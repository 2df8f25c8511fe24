//! Tables that are filled from the lines of a file: TensorFlow 2.21's entries and error codes.
#![allow(clippy::unwrap_used)] // a panic is the report

use embedded_engine::EmbeddedEngine;
use ops::{array::constant, library};
use session_core::{
    AttrValue, Code, DType, Engine, Graph, OpLibrary as _, Result, SessionConfig, SessionExt, Tensor,
};

const LINE: i64 = -2;
const NUMBER: i64 = -1;
const TEXT: &[u8] = b"a\nb\nc\nd\n";

/// The table of a file: columns of keys and values, and attributes that differ from the defaults.
struct Table {
    columns: [i64; 2],
    dtypes: [DType; 2],
    attrs: Vec<(&'static str, AttrValue)>,
}

fn table(columns: [i64; 2], dtypes: [DType; 2]) -> Table {
    Table { columns, dtypes, attrs: Vec::new() }
}

impl Table {
    fn with(mut self, name: &'static str, value: impl Into<AttrValue>) -> Table {
        self.attrs.push((name, value.into()));
        self
    }

    /// Returns the values of some keys after the file was read, and the size of the table.
    fn read(&self, text: &[u8], keys: Tensor, missing: Tensor) -> Result<(Tensor, i64)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        std::fs::write(&path, text).unwrap();
        let graph = Graph::new();
        let op = |op_type: &str| graph.op(library().find(op_type).unwrap());
        let [key, value] = self.dtypes;
        let table = op("HashTableV2").attr("key_dtype", key).attr("value_dtype", value).finish_output();
        let mut fill = op("InitializeTableFromTextFileV2").input(&table);
        fill = fill.input(constant(&graph, path.to_str().unwrap()));
        fill = fill.attr("key_index", self.columns[0]).attr("value_index", self.columns[1]);
        for (name, value) in &self.attrs {
            fill = fill.attr(name, value.clone());
        }
        let fill = fill.finish();
        let found = op("LookupTableFindV2").input(&table).input(constant(&graph, keys));
        let found = found.input(constant(&graph, missing)).finish_output();
        let size = op("LookupTableSizeV2").input(&table).finish_output();
        graph.check()?;
        let config = SessionConfig::with_threads(1);
        let session = EmbeddedEngine::new().new_session(&graph, "", &config)?;
        session.run(&fill, ())?;
        let (found, size) = session.run((&found, &size), ())?;
        Ok((found, size.value::<i64>()?))
    }
}

/// Returns the line numbers of `a`, `b` and `d`, and the size of the table.
fn numbers(text: &[u8], attrs: &[(&'static str, i64)]) -> Result<(Vec<i64>, i64)> {
    let mut table = table([LINE, NUMBER], [DType::String, DType::Int64]);
    for &(name, value) in attrs {
        table = table.with(name, value);
    }
    let (found, size) = table.read(text, Tensor::from(vec!["a", "b", "d"]), Tensor::from(-9i64))?;
    Ok((found.to_vec()?, size))
}

#[test]
fn an_offset_is_added_to_line_numbers_and_skips_nothing() {
    for (attrs, expected, size) in [
        (&[][..], [0, 1, 3], 4),
        (&[("offset", 1)], [1, 2, 4], 4),
        (&[("offset", -2)], [-2, -1, 1], 4),
        (&[("offset", 1), ("vocab_size", 3)], [1, 2, -9], 3),
        (&[("offset", 2), ("vocab_size", 2)], [2, 3, -9], 2),
        (&[("offset", 1), ("vocab_size", 4)], [1, 2, 4], 4),
    ] {
        assert_eq!(numbers(TEXT, attrs).unwrap(), (expected.to_vec(), size), "{attrs:?}");
    }
    let keys = table([NUMBER, LINE], [DType::Int64, DType::String]).with("offset", 1i64);
    let (found, _) = keys.read(TEXT, Tensor::from(vec![0i64, 1, 4]), Tensor::from("?")).unwrap();
    assert_eq!(found, Tensor::from(vec!["?", "a", "d"]));
}

#[test]
fn lines_end_as_in_tensorflow() {
    assert_eq!(numbers(b"a\r\nb\r\nc\r\nd", &[]).unwrap(), (vec![0, 1, 3], 4));
    assert_eq!(numbers(b"a\rb\nb\n", &[]).unwrap(), (vec![-9, 1, -9], 2));
    assert_eq!(numbers(b"\xff\xfe\nb\n", &[]).unwrap(), (vec![-9, 1, -9], 2));
    assert_eq!(numbers(b" \na\n", &[]).unwrap(), (vec![1, -9, -9], 2));
    // Lines after the requested ones are not looked at.
    assert_eq!(numbers(b"a\nb\n\n", &[("vocab_size", 2)]).unwrap(), (vec![0, 1, -9], 2));
}

#[test]
fn files_that_make_no_table_have_tensorflows_codes() {
    for (text, attrs, code) in [
        (TEXT, &[("vocab_size", 5)][..], Code::InvalidArgument),
        (TEXT, &[("vocab_size", 0)], Code::OutOfRange),
        (b"", &[], Code::OutOfRange),
        (b"", &[("vocab_size", 1)], Code::InvalidArgument),
        (b"a\n\nb\n", &[], Code::InvalidArgument),
        (b"a\n\r\nb\n", &[], Code::InvalidArgument),
        (b"a\nb\n\n", &[], Code::InvalidArgument),
        (b"a\na\n", &[], Code::FailedPrecondition),
    ] {
        let error = numbers(text, attrs).unwrap_err();
        assert_eq!(error.code(), code, "{text:?} {attrs:?}: {error}");
        assert!(error.to_string().contains("lines"), "{error}");
    }
}

#[test]
fn columns_are_converted_to_the_dtypes_of_the_table() {
    let read = |dtype: DType, missing: Tensor, text: &[u8]| {
        let table = table([0, 1], [DType::String, dtype]);
        table.read(text, Tensor::from(vec!["x", "y"]), missing).map(|(found, _)| found)
    };
    let found = read(DType::Int64, Tensor::from(0i64), b"x\t 5 \ny\t+6\x0b\n").unwrap();
    assert_eq!(found, Tensor::from(vec![5i64, 6]));
    let found = read(DType::Int32, Tensor::from(0i32), b"x\t5\ny\t-6\n").unwrap();
    assert_eq!(found, Tensor::from(vec![5i32, -6]));
    let found = read(DType::Float32, Tensor::from(0f32), b"x\t0x10\ny\tinf\n").unwrap();
    assert_eq!(found, Tensor::from(vec![16f32, f32::INFINITY]));
    for text in [&b"x\t0x10\n"[..], b"x\ty\n", b"x\t1\ny\n"] {
        let error = read(DType::Int64, Tensor::from(0i64), text).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    }
    // The line number is an `int64`, and a whole line is no float.
    for (column, dtype, missing) in [
        (NUMBER, DType::String, Tensor::from("")),
        (NUMBER, DType::Int32, Tensor::from(0i32)),
        (NUMBER, DType::Float32, Tensor::from(0f32)),
        (LINE, DType::Float32, Tensor::from(0f32)),
    ] {
        let table = table([LINE, column], [DType::String, dtype]);
        let error = table.read(b"7\n", Tensor::from(vec!["7"]), missing).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{column} {dtype}: {error}");
    }
    for delimiter in ["", ",,"] {
        let table = table([0, 1], [DType::String, DType::Int64]).with("delimiter", delimiter);
        let error = table.read(b"a,,3\n", Tensor::from(vec!["a"]), Tensor::from(0i64)).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    }
}
