//! Operations on what holds other values: strings, sparse and ragged tensors, lists and arrays of tensors, and tables.

use crate::cases::{ALL, Case, case, fixed, numbers, run, spread};
use crate::engines::{Engines, Outcome, Report};
use ops::library;
use session_core::{DType, Graph, OpBuilder, OpLibrary, Output, PartialShape, Tensor};
use tensor::Bytes;

/// Rows with known differences, and the reasons.
const DIFFERENT: &[(&str, &str)] = &[];

const F: DType = DType::Float32;

fn text(bytes: impl AsRef<[u8]>) -> Tensor {
    Tensor::string(Bytes::copy_from_slice(bytes.as_ref()))
}

fn ints(values: &[i64]) -> Tensor {
    Tensor::from(values)
}

fn no_ints() -> Tensor {
    numbers(DType::Int64, &[], &[0])
}

/// Patterns, most of which the library of our engine would read otherwise without a translation, and strings for them.
const PATTERNS: &[(&str, &str)] = &[
    (r"\w", "é1a_"),
    (r"\W", "é1a"),
    (r"\d", "٣4"),
    (r"\D", "٣4a"),
    (r"\s", "a\u{a0}b \u{b}\tc"),
    (r"\S", "a\u{b} b"),
    (r"\ba", "éa"),
    (r"\Ba", "éa"),
    (r"\b", "aé b"),
    (r"\B", "aé b"),
    (r"[\w-b]", "a-b"),
    (r"[\d-z]", "a-b1z"),
    (r"[^\W\d]", "é1 a"),
    (r"[^\W\w]", "aé"),
    (r"[\D\s]", "٣4 a"),
    ("[a-c&&b]", "abc&"),
    ("[a~~b]", "ab~c"),
    ("[+--]", "ab-c"),
    ("[%--]", "a-z"),
    (r"[\--a]", "a-z"),
    ("[a-c-e]", "abcde-"),
    ("[a--b]", "ab-"),
    ("[---]", "a-b"),
    ("[[a]", "a[b"),
    ("[a[b]]", "a[b]]"),
    ("[]a]", "a]b"),
    ("[^]a]", "a]b"),
    ("[]-a]", "a]-b"),
    ("[a^]", "a^b"),
    ("[^^]", "a^b"),
    (r"[\<]", "a<b"),
    (r"[\]]", "a]b"),
    (r"[a-\d]", "a"),
    (r"[\n-\r]", "a\nb"),
    ("[[:alpha:]]", "aéb"),
    ("[[:^alpha:]]", "aéb"),
    ("[^[:alpha:]]", "a1"),
    ("[[:digit:]-z]", "a-b1z"),
    ("[[:word:]-]", "ab-é"),
    ("[[:]", "a[:b"),
    ("[[:a]", "a[:b"),
    ("[[:foo:]]", "a"),
    ("[[:alpha:", "a"),
    (r"[\777]", "aǿ"),
    (r"[\8]", "a8"),
    (r"[\b]", "a"),
    (r"[\Qa]", "a"),
    (r"\<br\>", "a<br>c"),
    (r"\Q.b+", "a.b+c"),
    (r"\Q.\E+", "a..b"),
    (r"\Q\\E", r"a\c"),
    (r"(?i)\QB\E", "abc"),
    (r"\E", "a"),
    (r"\C", "é"),
    (r"a\C", "aé"),
    (r"\123", "aSb"),
    (r"\1233", "aS3"),
    (r"\08", "a\08"),
    (r"\17", "a\u{f}b"),
    (r"\1", "a"),
    (r"\8", "8"),
    (r"\x61", "ab"),
    (r"\x{e9}", "aé"),
    (r"\x6", "a"),
    (r"\x{}", "a"),
    (r"\a\f\v", "a\u{7}\u{c}\u{b}"),
    (r"\_", "a_b"),
    (r"\é", "é"),
    (r"\h", "h"),
    (r"b\Z", "ab"),
    (r"b\z", "ab\n"),
    (r"\pL", "aéα1"),
    (r"\PL", "aé1"),
    (r"\p{Greek}", "aαb"),
    (r"\p{^Greek}", "aαb"),
    (r"\P{^Greek}", "aαb"),
    (r"[\pL-]", "a-é1"),
    (r"\p{L", "a"),
    ("a{b", "a{b"),
    ("a{,2}", "a{,2}b"),
    ("a{}", "a{}"),
    ("a{2", "a{2"),
    ("a{02}", "aa"),
    ("a{2}", "aaab"),
    ("a{2,}", "aaab"),
    ("a{1,2}?", "aaab"),
    ("{a", "{a"),
    ("}", "a}"),
    ("a{2,1}", "a"),
    ("a{1001}", "a"),
    ("a{2}*", "a"),
    ("a**", "a"),
    ("a*??", "a"),
    ("a??", "aab"),
    ("(a*)*", "ab"),
    ("^*", "ab"),
    ("*", "a"),
    ("a|*", "a"),
    ("(?i)é", "aÉb"),
    ("(?i)k", "a\u{212a}Kk"),
    (r"(?i)\w", "a\u{17f}\u{212a}-"),
    (r"(?i)[\W]", "k\u{212a}\u{17f}-é"),
    ("(?i)[^k]", "kK\u{212a}a"),
    ("(?i)[[:^alpha:]]", "kK\u{212a}1"),
    ("(?i)a(?-i)B", "AB aB"),
    ("a|(?i)b", "AB"),
    ("(?i:A)b", "ab"),
    ("(?ii)A", "a"),
    ("(?)a", "ab"),
    ("(?-)a", "a"),
    ("(?i-)a", "a"),
    ("(?x)a b", "ab"),
    ("(?u)a", "a"),
    ("(?R)a", "a"),
    ("(?U)a+", "aab"),
    ("(?m)^b", "a\nb"),
    ("(?s)a.b", "a\nb"),
    ("a.b", "a\nb"),
    ("[^a]", "a\nb"),
    ("a$", "a\nb"),
    ("(?P<n>a)b", "ab"),
    ("(?P<1é>a)b", "ab"),
    ("(?P<a>a)(?P<a>b)", "ab"),
    ("(?P<a-b>a)", "a"),
    ("(?<n>a)b", "ab"),
    ("(?=a)", "a"),
    ("(?#c)a", "a"),
    ("(?:", "a"),
    ("a)(b", "ab"),
    ("[a", "a"),
    ("", "aé"),
    ("x*", "abxc日"),
    ("a*", "baaac"),
    ("(é)*", "éé"),
    ("foo|foobar", "foobar"),
    ("a#b", "a#b"),
    ("a b", "a b"),
    ("\\", "a"),
];

fn patterns(cases: &mut Vec<Case>) {
    for (pattern, input) in PATTERNS {
        let row = case("RegexReplace", format!("{pattern:?}")).arg(text(input)).arg(text(pattern));
        cases.push(row.arg(text("x")));
        let row = case("StaticRegexFullMatch", format!("{pattern:?}")).attr("pattern", *pattern);
        let whole = Tensor::from_strings([*input, "a", "é", "ab", "a\n", ""].map(Bytes::from), [6]).unwrap();
        cases.push(row.arg(whole));
    }
    let rewrites: [(&str, &[u8]); 16] = [
        ("b", br"[\1]"),
        ("b", br"[\n]"),
        ("b", br"x\"),
        ("b", br"[\0]"),
        ("(b)", br"[\1\0]"),
        ("(b)", br"p\2q\1"),
        ("b", br"x\\y"),
        ("b", br"1\n2\q3"),
        ("b", br"x\q\1"),
        ("b", b"$1${x}"),
        ("(z)?b", br"[\1]"),
        ("b", b"\xff\\0\xfe"),
        ("b", b"\\\xff"),
        ("z", br"x\q"),
        ("", b"-"),
        ("b*", b""),
    ];
    for (number, (pattern, rewrite)) in rewrites.into_iter().enumerate() {
        for all in [true, false] {
            let input = Tensor::from_strings([&b"abcb"[..], b"", b"\xffb\xe6\x97b"], [3]).unwrap();
            let row = case("RegexReplace", format!("rewrite {number} {all}")).arg(input);
            cases.push(row.arg(text(pattern)).arg(text(rewrite)).attr("replace_global", all));
        }
    }
    for (pattern, input) in
        [(r"\C", &b"\xff"[..]), (".", b"\xff"), (".*", b"\xff\xfe"), (r"\C\C", "é".as_bytes())]
    {
        let row = case("RegexFullMatch", format!("{pattern} of bytes"));
        cases.push(row.arg(text(input)).arg(text(pattern)));
    }
}

fn strings(cases: &mut Vec<Case>) {
    for dtype in ALL {
        let floating = dtype.is_floating() || dtype.is_complex();
        for fill in ["", " ", "0", "+", "-"] {
            for width in [-1i64, 9] {
                let row = case("AsString", format!("{dtype} {fill:?} {width}"));
                let row = row.arg(spread(dtype, &[3])).attr("fill", fill).attr("width", width);
                cases.push(row.clone());
                if floating {
                    cases.push(row.clone().attr("precision", 2i64));
                    cases.push(row.clone().attr("scientific", true));
                    cases.push(row.attr("shortest", true));
                }
            }
        }
        if floating {
            let row = case("AsString", format!("{dtype} special"));
            let values = numbers(dtype, &[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0], &[4]);
            cases.push(row.arg(values).attr("fill", "+").attr("width", 6i64));
        }
    }
    let words =
        ["ΑΣ", "ΑΣ Σ", "Σ", "ΑΣΑ", "ΑΣ1", "a:Σ", "aΣ:a", "ΑΣ\u{301}", "İ", "ẞß", "ﬁŉ", "ᾼᾳ", "Ǆǆ", "ſıi"];
    let words: Vec<Bytes> = words.iter().map(|&word| Bytes::from(word)).collect();
    let count = words.len();
    for op_type in ["StringLower", "StringUpper"] {
        let row = case(op_type, "").arg(Tensor::from_strings(words.clone(), [count]).unwrap());
        cases.push(row.attr("encoding", "utf-8"));
        let row = case(op_type, "of bytes").arg(text(b"A\xffb\xed\xa0\x80"));
        cases.push(row.attr("encoding", "utf-8"));
    }
    for encoding in ["US-ASCII", "ascii", "UTF-8"] {
        for errors in ["replace", "ignore", "strict"] {
            for control in [false, true] {
                let note = format!("{encoding} {errors} {control}");
                let with = |op_type: &'static str, bytes: &'static [u8]| {
                    let row = case(op_type, note.clone()).arg(Tensor::from_strings([bytes], [1]).unwrap());
                    let row = row.attr("input_encoding", encoding).attr("errors", errors);
                    row.attr("replace_control_characters", control)
                };
                for bytes in [&b"a\xc3\xa9\x01b"[..], b"a\xe2\x82b\xff", b"ab"] {
                    cases.push(with("UnicodeDecodeWithOffsets", bytes));
                    cases.push(with("UnicodeTranscode", bytes).attr("output_encoding", "UTF-16-BE"));
                }
            }
        }
    }
}

/// Adds the three inputs of a sparse matrix of shape `[2, 3]` with two values.
fn sparse_matrix(row: Case, values: Tensor) -> Case {
    row.arg(Tensor::from([[0i64, 1], [1, 0]])).arg(values).arg(ints(&[2, 3]))
}

fn sparse(cases: &mut Vec<Case>) {
    for dtype in ALL.into_iter().filter(|&dtype| dtype != DType::Bool) {
        let values = || numbers(dtype, &[100.0, 3.0], &[2]);
        let dense = || numbers(dtype, &[1.0, 100.0, 3.0, 4.0, 5.0, 6.0], &[2, 3]);
        let row = |op_type: &'static str| case(op_type, format!("{dtype}"));
        for keeps in [false, true] {
            let row = case("SparseReduceSum", format!("{dtype} {keeps}"));
            let many = row.arg(Tensor::from([[0i64, 1], [1, 0], [1, 1]]));
            let many = many.arg(numbers(dtype, &[100.0, 3.0, 90.0], &[3])).arg(ints(&[2, 3]));
            cases.push(many.arg(Tensor::from([0i32])).attr("keep_dims", keeps));
        }
        cases.push(sparse_matrix(row("SparseTensorDenseAdd"), values()).arg(dense()));
        for op_type in ["SparseDenseCwiseAdd", "SparseDenseCwiseMul", "SparseDenseCwiseDiv"] {
            cases.push(sparse_matrix(row(op_type), values()).arg(dense()));
        }
        for op_type in ["SparseFillEmptyRowsGrad", "RaggedFillEmptyRowsGrad"] {
            cases.push(row(op_type).arg(ints(&[2, 0])).arg(numbers(dtype, &[1.0, 2.0, 3.0, 4.0], &[4])));
        }
        let real = match dtype {
            DType::Complex64 => DType::Float32,
            DType::Complex128 => DType::Float64,
            other => other,
        };
        let added = sparse_matrix(sparse_matrix(row("SparseAdd"), values()), values());
        cases.push(added.arg(numbers(real, &[7.0], &[])));
        for [a, b] in [[false, false], [true, false], [false, true], [true, true]] {
            let row = case("SparseTensorDenseMatMul", format!("{dtype} {a} {b}"));
            let other = spread(dtype, &[3, 3]);
            let row = row.arg(Tensor::from([[0i64, 1], [1, 0], [2, 1]])).arg(spread(dtype, &[3]));
            let row = row.arg(ints(&[3, 3])).arg(other);
            cases.push(row.attr("adjoint_a", a).attr("adjoint_b", b));
        }
        if [F, DType::Float64, DType::Float16].contains(&dtype) {
            let row = row("SparseSoftmax").arg(Tensor::from([[0i64, 1], [1, 0], [1, 1]]));
            cases.push(row.arg(spread(dtype, &[3])).arg(ints(&[2, 3])));
        }
        if !dtype.is_complex() {
            for op_type in ["SparseSparseMaximum", "SparseSparseMinimum"] {
                let special = [f64::NAN, 1.0, f64::NAN, -2.0];
                let row = case(op_type, format!("{dtype}"));
                let row = row.arg(Tensor::from([[0i64], [1], [2], [3]])).arg(numbers(dtype, &special, &[4]));
                let row = row.arg(ints(&[6])).arg(Tensor::from([[0i64], [1], [4], [5]]));
                let special = [1.0, f64::NAN, f64::NAN, 2.0];
                cases.push(row.arg(numbers(dtype, &special, &[4])).arg(ints(&[6])));
            }
        }
    }
    let edges = |row: Case, a: &[f64], b: &[f64], least: f64, dtype: DType| {
        let places = || Tensor::from([[0i64], [1], [2]]);
        let row = row.arg(places()).arg(numbers(dtype, a, &[3])).arg(ints(&[9]));
        let row = row.arg(places()).arg(numbers(dtype, b, &[3])).arg(ints(&[9]));
        row.arg(numbers(dtype, &[least], &[]))
    };
    let row = case("SparseAdd", "int8 overflow");
    cases.push(edges(row, &[127.0, -128.0, 100.0], &[1.0, 0.0, 100.0], 100.0, DType::Int8));
    let row = case("SparseAdd", "int32 overflow");
    cases.push(edges(row, &[-2147483648.0, -64.0, 1.0], &[0.0, -64.0, 0.0], 1.0, DType::Int32));
    for (from, to) in [(vec![2i64, 3], vec![6i64]), (vec![2, 3], vec![3, -1]), (vec![2], vec![2])] {
        let row = case("SparseReshape", format!("{from:?} to {to:?}"));
        cases.push(
            row.arg(Tensor::from([[0i64, 1], [1, 2], [-1, 1], [5, 1]])).arg(ints(&from)).arg(ints(&to)),
        );
    }
    let row = case("SparseReshape", "of nothing").arg(numbers(DType::Int64, &[], &[0, 3]));
    cases.push(row.arg(ints(&[2, 3])).arg(ints(&[6])));
    let one = || numbers(F, &[5.0], &[1]);
    let default = || Tensor::from(0f32);
    for (note, indices, shape, values, default) in [
        ("cube", numbers(DType::Int64, &[0.0], &[1, 1, 1]), ints(&[3]), one(), default()),
        ("empty cube", numbers(DType::Int64, &[], &[0, 1, 1]), ints(&[3]), one(), default()),
        ("default of a vector", ints(&[1]), ints(&[3]), one(), numbers(F, &[0.0], &[1])),
        ("values of a matrix", ints(&[1]), ints(&[3]), numbers(F, &[5.0], &[1, 1]), default()),
        ("scalar", Tensor::from(1i64), ints(&[3]), one(), default()),
        ("shape of a scalar", ints(&[1]), Tensor::from(3i64), one(), default()),
        ("one value", ints(&[0, 1]), ints(&[3]), one(), default()),
    ] {
        let row = case("SparseToDense", note).arg(indices).arg(shape).arg(values);
        cases.push(row.arg(default));
    }
}

fn ragged(cases: &mut Vec<Case>) {
    let values = || numbers(F, &[1.0, 2.0, 3.0], &[3]);
    let gather = |note: &str, splits: Vec<Tensor>, values: Tensor, indices: Tensor, rank: i64| {
        let row = case("RaggedGather", note).arg(splits).arg(values).arg(indices);
        row.attr("OUTPUT_RAGGED_RANK", rank)
    };
    let one = || vec![ints(&[0, 2, 3])];
    let two = || vec![ints(&[0, 2, 3]), ints(&[0, 1, 2, 3])];
    cases.push(gather("scalar", one(), values(), Tensor::from(1i32), 0));
    cases.push(gather("scalar of two", two(), values(), Tensor::from(0i64), 1));
    cases.push(gather("scalar of rows", one(), spread(F, &[3, 2]), Tensor::from(1i32), 0));
    cases.push(gather("scalar beyond", one(), values(), Tensor::from(2i32), 0));
    cases.push(gather("vector", two(), values(), ints(&[1, 0, 1]), 2));
    cases.push(gather("matrix", one(), values(), Tensor::from([[0i64], [1]]), 2));
    cases.push(gather("nothing", one(), values(), no_ints(), 1));
}

/// A graph of several operations, whose inputs are fed so that neither engine knows their shapes.
struct Chain {
    graph: Graph,
    feeds: Vec<(Output, Tensor)>,
}

impl Chain {
    fn new() -> Chain {
        Chain { graph: Graph::new(), feeds: Vec::new() }
    }

    fn fed(&mut self, tensor: impl Into<Tensor>) -> Output {
        let tensor = tensor.into();
        let shape = PartialShape::unknown();
        let input = ops::array::placeholder(&self.graph.named("input"), tensor.dtype(), shape);
        self.feeds.push((input.clone(), tensor));
        input
    }

    fn op(&self, op_type: &str) -> OpBuilder {
        self.graph.op(library().find(op_type).unwrap_or_else(|| panic!("no op {op_type}")))
    }

    /// A list of floats, of which some elements are set.
    fn list(&mut self, count: i32, shape: &Tensor, items: &[(i32, Tensor)]) -> Output {
        let (shape, count) = (self.fed(shape.clone()), self.fed(count));
        let reserve = self.op("TensorListReserve").input(shape).input(count);
        let mut list = reserve.attr("element_dtype", F).finish_output();
        for (index, item) in items {
            let (index, item) = (self.fed(*index), self.fed(item.clone()));
            list = self.op("TensorListSetItem").input(list).input(index).input(item).finish_output();
        }
        list
    }

    /// An array of floats with these elements; the handle and the flow.
    fn array(&mut self, shape: PartialShape, grows: bool, items: &[Option<Tensor>]) -> (Output, Output) {
        let size = self.fed(i32::try_from(items.len()).unwrap());
        let array = self.op("TensorArrayV3").input(size).attr("dtype", F).attr("element_shape", shape);
        let array = array.attr("clear_after_read", false).attr("dynamic_size", grows).finish();
        let mut flow = array.output(1);
        for (index, item) in items.iter().enumerate() {
            let Some(item) = item else { continue };
            let (index, item) = (self.fed(i32::try_from(index).unwrap()), self.fed(item.clone()));
            let write = self.op("TensorArrayWriteV3").input(array.output(0)).input(index).input(item);
            flow = write.input(flow).finish_output();
        }
        (array.output(0), flow)
    }

    /// Compares outputs.
    fn compare(self, engines: &Engines, report: &mut Report, name: &str, outputs: &[Output]) {
        let outcome = match engines.open(&self.graph) {
            Ok(pair) => pair.compare(outputs, &self.feeds, 1.0),
            Err(error) => Outcome::Different(format!("cannot be built: {error}")),
        };
        let known = DIFFERENT.iter().find(|(row, _)| name.starts_with(row)).map(|(_, reason)| *reason);
        report.add(name, outputs, outcome, known);
    }
}

fn sizes(sizes: &[i32]) -> Tensor {
    Tensor::from(sizes)
}

fn ones(shape: &[usize]) -> Tensor {
    Tensor::full(1f32, shape)
}

fn lists(engines: &Engines, report: &mut Report) {
    type Joined = (i32, Tensor, Vec<(i32, Tensor)>, Tensor, Tensor);
    let open = || sizes(&[-1, 1]);
    let unknown = || Tensor::from(-1i32);
    let joined: Vec<Joined> = vec![
        (3, open(), vec![(1, ones(&[2, 1]))], open(), ints(&[5, 2, 3])),
        (3, open(), vec![(1, ones(&[2, 1]))], open(), ints(&[5, 7, 3, 9])),
        (3, open(), vec![(1, ones(&[2, 1]))], open(), ints(&[5])),
        (3, open(), vec![(1, ones(&[2, 1]))], open(), no_ints()),
        (4, open(), vec![(1, ones(&[2, 1])), (2, ones(&[2, 1]))], open(), ints(&[5])),
        (4, open(), vec![(1, ones(&[2, 1])), (2, ones(&[3, 1]))], open(), ints(&[5])),
        (2, sizes(&[-1, 2]), vec![(0, ones(&[2, 2]))], sizes(&[2, 2]), no_ints()),
        (2, sizes(&[-1, 2]), vec![(0, ones(&[2, 2]))], sizes(&[2, 2]), ints(&[2, 5])),
        (2, sizes(&[-1, 2]), vec![(0, ones(&[3, 2]))], sizes(&[2, 2]), no_ints()),
        (2, sizes(&[2, 2]), vec![(0, ones(&[2, 2]))], unknown(), no_ints()),
        (2, sizes(&[-1, 2]), vec![], sizes(&[-1, 2]), ints(&[1, 2])),
        (2, sizes(&[-1, 2]), vec![], sizes(&[-1, 2]), no_ints()),
        (3, sizes(&[-1, 2]), vec![], sizes(&[4, 2]), ints(&[1])),
        (2, unknown(), vec![], unknown(), ints(&[1, 2])),
        (2, unknown(), vec![(1, ones(&[2, 1]))], unknown(), ints(&[1])),
        (2, unknown(), vec![(1, ones(&[2, 1]))], sizes(&[-1, 5]), ints(&[1])),
        (2, sizes(&[-1, 2]), vec![(1, ones(&[2, 2]))], sizes(&[-1, 5]), ints(&[1])),
        (2, unknown(), vec![(0, ones(&[2, 1])), (1, ones(&[2, 2]))], unknown(), no_ints()),
        (1, unknown(), vec![(0, ones(&[]))], unknown(), no_ints()),
        (1, unknown(), vec![(0, ones(&[2]))], sizes(&[]), no_ints()),
        (0, unknown(), vec![], sizes(&[3, 2]), ints(&[2])),
        (0, unknown(), vec![], unknown(), no_ints()),
    ];
    for (number, (count, shape, items, declared, lengths)) in joined.into_iter().enumerate() {
        let mut chain = Chain::new();
        let list = chain.list(count, &shape, &items);
        let (declared, lengths) = (chain.fed(declared), chain.fed(lengths));
        let joined = chain.op("TensorListConcatV2").input(list).input(declared).input(lengths);
        let outputs = joined.attr("element_dtype", F).finish().outputs();
        chain.compare(engines, report, &format!("TensorListConcatV2 {number}"), &outputs);
    }
    let made = [
        ("TensorListFromTensor", ones(&[2, 1]), sizes(&[7]), None),
        ("TensorListFromTensor", ones(&[0, 1]), sizes(&[7]), None),
        ("TensorListFromTensor", ones(&[2, 1]), sizes(&[-1]), None),
        ("TensorListFromTensor", ones(&[2, 1]), sizes(&[1, 1]), None),
        ("TensorListFromTensor", ones(&[]), sizes(&[1]), None),
        ("TensorListSplit", ones(&[2, 1]), sizes(&[1, 5]), Some(ints(&[1, 1]))),
        ("TensorListSplit", ones(&[3, 1]), sizes(&[1, 1]), Some(ints(&[1, 2]))),
        ("TensorListSplit", ones(&[3, 1]), sizes(&[-1]), Some(ints(&[1, 2]))),
        ("TensorListSplit", ones(&[3]), sizes(&[]), Some(ints(&[1, 2]))),
        ("TensorListSplit", ones(&[3]), unknown(), Some(ints(&[1, 2]))),
        ("TensorListScatter", ones(&[2, 1]), sizes(&[7]), Some(sizes(&[0, 1]))),
        ("TensorListScatter", ones(&[0, 1]), sizes(&[7]), Some(sizes(&[]))),
        ("TensorListScatter", ones(&[2, 1]), sizes(&[-1]), Some(sizes(&[3, 1]))),
    ];
    for (number, (op_type, tensor, shape, more)) in made.into_iter().enumerate() {
        let mut chain = Chain::new();
        let (tensor, shape) = (chain.fed(tensor), chain.fed(shape));
        let builder = chain.op(op_type).input(tensor);
        let builder = match more.map(|more| chain.fed(more)) {
            Some(more) if op_type == "TensorListSplit" => builder.input(shape).input(more),
            Some(more) => builder.input(more).input(shape),
            None => builder.input(shape),
        };
        let list = builder.finish_output();
        let length = chain.op("TensorListLength").input(&list).finish_output();
        let shape = chain.op("TensorListElementShape").input(&list).attr("shape_type", DType::Int32);
        let shape = shape.finish_output();
        chain.compare(engines, report, &format!("{op_type} {number}"), &[length, shape]);
    }
    let items = || vec![(1, ones(&[2])), (2, ones(&[1]))];
    for (number, (shape, indices, declared)) in [
        (unknown(), sizes(&[2]), unknown()),
        (unknown(), sizes(&[2, 1]), unknown()),
        (unknown(), sizes(&[2, 0]), unknown()),
        (unknown(), sizes(&[0]), unknown()),
        (unknown(), sizes(&[0]), sizes(&[4])),
        (unknown(), sizes(&[2]), sizes(&[4])),
        (sizes(&[-1]), sizes(&[]), unknown()),
        (sizes(&[-1]), sizes(&[]), sizes(&[3])),
    ]
    .into_iter()
    .enumerate()
    {
        let mut chain = Chain::new();
        let list = chain.list(3, &shape, &items());
        let (indices, declared) = (chain.fed(indices), chain.fed(declared));
        let gather = chain.op("TensorListGather").input(list).input(indices).input(declared);
        let outputs = gather.attr("element_dtype", F).finish().outputs();
        chain.compare(engines, report, &format!("TensorListGather {number}"), &outputs);
    }
    for (number, declared) in [unknown(), sizes(&[4])].into_iter().enumerate() {
        let mut chain = Chain::new();
        let list = chain.list(3, &unknown(), &items());
        let (index, declared) = (chain.fed(0i32), chain.fed(declared));
        let get = chain.op("TensorListGetItem").input(list).input(index).input(declared);
        let outputs = get.attr("element_dtype", F).finish().outputs();
        chain.compare(engines, report, &format!("TensorListGetItem {number}"), &outputs);
    }
    for (number, shape) in [sizes(&[2]), sizes(&[-1]), unknown()].into_iter().enumerate() {
        let mut chain = Chain::new();
        let (a, b) = (chain.list(1, &sizes(&[2]), &[]), chain.list(2, &shape, &[]));
        let joined = chain.op("TensorListConcatLists").input(a).input(b).attr("element_dtype", F);
        let joined = joined.finish_output();
        let length = chain.op("TensorListLength").input(joined).finish_output();
        chain.compare(engines, report, &format!("TensorListConcatLists {number}"), &[length]);
    }
}

fn arrays(engines: &Engines, report: &mut Report) {
    let shape = |sizes: &[usize]| PartialShape::from(sizes);
    let unknown = PartialShape::unknown;
    let rows = || vec![Some(ones(&[1])), Some(ones(&[1]))];
    for (number, (own, items, declared)) in [
        (unknown(), rows(), shape(&[5])),
        (unknown(), rows(), shape(&[1, 1])),
        (unknown(), rows(), shape(&[1])),
        (shape(&[1]), rows(), shape(&[5])),
        (unknown(), vec![Some(ones(&[1])), None], shape(&[1])),
        (unknown(), vec![None, None], shape(&[1])),
        (unknown(), vec![Some(ones(&[1])), None], unknown()),
        (unknown(), vec![Some(ones(&[1])), Some(ones(&[2]))], unknown()),
        (unknown(), vec![], shape(&[3])),
        (shape(&[1]), vec![], shape(&[3])),
    ]
    .into_iter()
    .enumerate()
    {
        let mut chain = Chain::new();
        let all: Vec<i32> = (0..items.len()).map(|index| i32::try_from(index).unwrap()).collect();
        let (array, flow) = chain.array(own, false, &items);
        let indices = chain.fed(all);
        let gather = chain.op("TensorArrayGatherV3").input(array).input(indices).input(flow);
        let outputs = gather.attr("dtype", F).attr("element_shape", declared).finish().outputs();
        chain.compare(engines, report, &format!("TensorArrayGatherV3 {number}"), &outputs);
    }
    let rows = || vec![Some(ones(&[1, 1])), Some(ones(&[2, 1]))];
    for (number, (own, items, declared)) in [
        (unknown(), rows(), shape(&[5])),
        (unknown(), rows(), shape(&[])),
        (unknown(), rows(), shape(&[1])),
        (unknown(), vec![Some(ones(&[1, 1])), None], shape(&[1])),
        (shape(&[1, 1]), vec![Some(ones(&[1, 1])), None], shape(&[1])),
        (unknown(), vec![], shape(&[2])),
    ]
    .into_iter()
    .enumerate()
    {
        let mut chain = Chain::new();
        let (array, flow) = chain.array(own, false, &items);
        let concat = chain.op("TensorArrayConcatV3").input(array).input(flow).attr("dtype", F);
        let outputs = concat.attr("element_shape_except0", declared).finish().outputs();
        chain.compare(engines, report, &format!("TensorArrayConcatV3 {number}"), &outputs);
    }
    for (size, lengths, grows) in [
        (3, [1i64, 2], false),
        (3, [1, 2], true),
        (2, [1, 2], false),
        (1, [1, 2], false),
        (1, [1, 2], true),
        (2, [1, 1], false),
    ] {
        let mut chain = Chain::new();
        let (array, flow) = chain.array(unknown(), grows, &vec![None; size]);
        let (value, by) = (chain.fed(ones(&[3])), chain.fed(ints(&lengths)));
        let split = chain.op("TensorArraySplitV3").input(&array).input(value).input(by).input(flow);
        let count = chain.op("TensorArraySizeV3").input(&array).input(split.finish_output()).finish_output();
        chain.compare(engines, report, &format!("TensorArraySplitV3 {size} {lengths:?} {grows}"), &[count]);
    }
}

fn tables(engines: &Engines, report: &mut Report) {
    let row =
        |keys: &[i64], width: usize| Tensor::from_vec(keys.to_vec(), [keys.len() / width, width]).unwrap();
    type Lookup = (&'static str, Option<[Tensor; 2]>, Vec<usize>, Tensor, Tensor, Tensor, Tensor);
    let plain = |kind: &'static str, wanted: Tensor, default: Tensor| -> Lookup {
        (kind, None, vec![], ints(&[1]), ints(&[10]), wanted, default)
    };
    let pairs = |kind: &'static str, wanted: Tensor, default: Tensor| -> Lookup {
        (kind, None, vec![2], ints(&[1]), row(&[10, 11], 2), wanted, default)
    };
    let dense = |shape: Vec<usize>, values: Tensor, wanted: Tensor, default: Tensor| -> Lookup {
        let reserved = [Tensor::from(0i64), Tensor::from(-1i64)];
        ("MutableDenseHashTableV2", Some(reserved), shape, ints(&[1]), values, wanted, default)
    };
    let vectors = |keys: Tensor, values: Tensor, wanted: Tensor| -> Lookup {
        let reserved = [ints(&[0, 0]), ints(&[-1, -1])];
        ("MutableDenseHashTableV2", Some(reserved), vec![], keys, values, wanted, Tensor::from(-1i64))
    };
    let wanted = || ints(&[1, 2, 3]);
    let mut rows: Vec<Lookup> = Vec::new();
    for kind in ["HashTableV2", "MutableHashTableV2"] {
        rows.push(plain(kind, wanted(), Tensor::from(7i64)));
        for default in [ints(&[7, 8, 9]), ints(&[7]), ints(&[7, 8]), no_ints()] {
            rows.push(plain(kind, wanted(), default));
        }
        rows.push(plain(kind, row(&[1, 2, 3, 4], 2), row(&[6, 7, 8, 9], 2)));
        rows.push(plain(kind, row(&[1, 2, 3, 4], 2), ints(&[6, 7, 8, 9])));
        rows.push(plain(kind, no_ints(), no_ints()));
        rows.push(plain(kind, no_ints(), ints(&[6])));
        rows.push(plain(kind, Tensor::from(2i64), ints(&[6])));
    }
    for default in [ints(&[7, 8]), row(&[7, 8, 9, 10, 11, 12], 2), row(&[7, 8], 2), Tensor::from(7i64)] {
        rows.push(pairs("MutableHashTableOfTensorsV2", wanted(), default.clone()));
        rows.push(dense(vec![2], row(&[10, 11], 2), wanted(), default));
    }
    for default in [Tensor::from(7i64), ints(&[7, 8, 9]), ints(&[7])] {
        rows.push(dense(vec![], ints(&[10]), wanted(), default));
    }
    let two = || row(&[1, 2, 3, 4], 2);
    rows.push(vectors(two(), ints(&[5, 6]), row(&[3, 4, 9, 9], 2)));
    rows.push(vectors(row(&[0, 1, 3, 4], 2), ints(&[5, 6]), row(&[0, 1], 2)));
    rows.push(vectors(row(&[0, 0, 3, 4], 2), ints(&[5, 6]), row(&[3, 4], 2)));
    rows.push(vectors(two(), ints(&[5, 6]), row(&[0, 0], 2)));
    rows.push(vectors(two(), ints(&[5, 6]), row(&[-1, -1], 2)));
    rows.push(vectors(two(), ints(&[5, 6]), ints(&[1, 2])));
    rows.push(vectors(row(&[1, 2, 3], 3), ints(&[5]), row(&[1, 2], 2)));
    rows.push(vectors(ints(&[1, 2]), Tensor::from(5i64), row(&[1, 2], 2)));
    for (number, (kind, reserved, shape, keys, values, wanted, default)) in rows.into_iter().enumerate() {
        let mut chain = Chain::new();
        let mut table = chain.op(kind).attr("value_dtype", DType::Int64).attr("shared_name", "t");
        if let Some(reserved) = reserved {
            let [empty, deleted] = reserved.map(|key| chain.fed(key));
            table = table.input(empty).input(deleted);
        }
        if kind.contains("Dense") || kind.contains("OfTensors") {
            table = table.attr("value_shape", PartialShape::from(&shape[..]));
        }
        let table = table.attr("key_dtype", DType::Int64).finish_output();
        let (keys, values) = (chain.fed(keys), chain.fed(values));
        let fill = if kind == "HashTableV2" { "InitializeTableV2" } else { "LookupTableInsertV2" };
        let fill = chain.op(fill).input(&table).input(keys).input(values).finish();
        let (wanted, default) = (chain.fed(wanted), chain.fed(default));
        let find = chain.op("LookupTableFindV2").control_input(&fill).input(&table).input(wanted);
        let outputs = find.input(default).finish().outputs();
        chain.compare(engines, report, &format!("LookupTableFindV2 {kind} {number}"), &outputs);
    }
    for removed in [0i64, -1, 1, 7] {
        let mut chain = Chain::new();
        let (empty, deleted) = (chain.fed(0i64), chain.fed(-1i64));
        let table = chain.op("MutableDenseHashTableV2").input(empty).input(deleted);
        let table = table.attr("value_dtype", DType::Int64).attr("value_shape", PartialShape::scalar());
        let table = table.attr("shared_name", "t").finish_output();
        let (keys, values) = (chain.fed(ints(&[1, 2])), chain.fed(ints(&[5, 6])));
        let fill = chain.op("LookupTableInsertV2").input(&table).input(keys).input(values).finish();
        let keys = chain.fed(ints(&[2, removed]));
        let remove = chain.op("LookupTableRemoveV2").control_input(&fill).input(&table).input(keys).finish();
        let size = chain.op("LookupTableSizeV2").control_input(&remove).input(&table).finish_output();
        chain.compare(engines, report, &format!("LookupTableRemoveV2 {removed}"), &[size]);
    }
    for reserved in [[ints(&[0, 0]), ints(&[0, 0])], [ints(&[0, 0]), ints(&[1])], [no_ints(), no_ints()]] {
        let mut chain = Chain::new();
        let name = format!("MutableDenseHashTableV2 {reserved:?}");
        let [empty, deleted] = reserved.map(|key| chain.fed(key));
        let table = chain.op("MutableDenseHashTableV2").input(empty).input(deleted);
        let table = table.attr("value_dtype", DType::Int64).attr("value_shape", PartialShape::scalar());
        let size = chain.op("LookupTableSizeV2").input(table.finish_output()).finish_output();
        chain.compare(engines, report, &name, &[size]);
    }
}

pub(crate) fn all(engines: &Engines, report: &mut Report) {
    let mut cases = Vec::new();
    patterns(&mut cases);
    strings(&mut cases);
    sparse(&mut cases);
    ragged(&mut cases);
    let values = case("SparseSplit", "").arg(fixed(0i64)).arg(Tensor::from([[0i64], [2]]));
    cases.push(values.arg(numbers(F, &[1.0, 2.0], &[2])).arg(ints(&[3])).attr("num_split", 2i64));
    run(engines, report, cases, DIFFERENT);
    lists(engines, report);
    arrays(engines, report);
    tables(engines, report);
}
