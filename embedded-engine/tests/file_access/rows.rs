//! The op types that access files, each in a graph that makes it do so.

/// One or several op types that access a file together.
pub(crate) struct Row {
    pub(crate) op_types: &'static [&'static str],
    /// The name of the file, the pattern or the prefix.
    pub(crate) file: &'static str,
    pub(crate) writes: bool,
    /// The files behind the name each of which may be a link that leads elsewhere.
    pub(crate) links: &'static [&'static str],
    /// True if a link at the place of a new file is replaced or left alone, and is not followed.
    pub(crate) follows_no_links: bool,
    /// The node `asked`, or the node `dataset`; `PATH` stands for the path.
    nodes: String,
}

impl Row {
    /// Returns a graph in text form whose operation `asked` accesses the path.
    pub(crate) fn graph(&self, path: &str) -> String {
        let given = [
            string("path", path, false),
            string("paths", path, true),
            string("target", &format!("{path}-merged"), false),
            string("name", "v", true),
            string("one_name", "v", false),
            string("slice", "", true),
            string("none", "", false),
            string("comma", ",", false),
            string("text", "a", false),
            number("zero", 0),
            number("two", 2),
            constant("no_columns", "DT_INT64", "dim { size: 0 }", ""),
            constant("at_start", "DT_INT64", "dim { size: 1 }", "int64_val: 0"),
            constant("no", "DT_BOOL", "", "bool_val: false"),
        ];
        let asked = if self.nodes.contains("'asked'") { "" } else { FIRST_ELEMENT };
        let text = (given.concat() + &self.nodes.replace("PATH", path) + asked).replace('\'', "\"");
        // Of 2016, when the first versions of readers were allowed.
        text + " versions { producer: 21 }"
    }
}

const FIRST_ELEMENT: &str = "node { name: 'asked' op: 'DatasetToSingleElement' input: 'dataset' attr { key: 'output_types' value { list { type: DT_STRING } } } \
    attr { key: 'output_shapes' value { list { shape { } } } } }";

fn constant(name: &str, dtype: &str, dim: &str, value: &str) -> String {
    format!(
        "node {{ name: '{name}' op: 'Const' attr {{ key: 'dtype' value {{ type: {dtype} }} }} attr {{ key: 'value' value \
         {{ tensor {{ dtype: {dtype} tensor_shape {{ {dim} }} {value} }} }} }} }}\n"
    )
}

fn string(name: &str, value: &str, is_vector: bool) -> String {
    let dim = if is_vector { "dim { size: 1 }" } else { "" };
    constant(name, "DT_STRING", dim, &format!("string_val: '{value}'"))
}

fn number(name: &str, value: i64) -> String {
    constant(name, "DT_INT64", "", &format!("int64_val: {value}"))
}

/// A node with inputs and attributes, each attribute a name and its value.
fn node(name: &str, op_type: &str, inputs: &[&str], attrs: &[(&str, &str)]) -> String {
    let inputs: String = inputs.iter().map(|input| format!(" input: '{input}'")).collect();
    let attrs: String =
        attrs.iter().map(|(key, value)| format!(" attr {{ key: '{key}' value {{ {value} }} }}")).collect();
    format!("node {{ name: '{name}' op: '{op_type}'{inputs}{attrs} }}\n")
}

fn asked(op_type: &str, inputs: &[&str], attrs: &[(&str, &str)]) -> String {
    node("asked", op_type, inputs, attrs)
}

fn reads(
    op_types: &'static [&'static str],
    file: &'static str,
    links: &'static [&'static str],
    nodes: String,
) -> Row {
    Row { op_types, file, writes: false, links, follows_no_links: false, nodes }
}

fn writes(
    op_types: &'static [&'static str],
    file: &'static str,
    links: &'static [&'static str],
    nodes: String,
) -> Row {
    Row { writes: true, ..reads(op_types, file, links, nodes) }
}

/// A reader and the operation that reads from it.
fn reader(op_types: &'static [&'static str; 2], file: &'static str, attrs: &[(&str, &str)]) -> Row {
    let [reader, read] = *op_types;
    let version = if read.ends_with("V2") { "V2" } else { "" };
    let strings = "list { type: DT_STRING }";
    let mut inputs = vec!["reader", "queue"];
    if read.contains("UpTo") {
        inputs.push("two");
    }
    inputs.push("^fill");
    let nodes = [
        node("reader", reader, &[], attrs),
        node("queue", &format!("FIFOQueue{version}"), &[], &[("component_types", strings)]),
        node("fill", &format!("QueueEnqueue{version}"), &["queue", "path"], &[("Tcomponents", strings)]),
        node("done", &format!("QueueClose{version}"), &["queue", "^fill"], &[]),
        asked(read, &inputs, &[]),
    ];
    let links = if file == "a.txt" { &["a.txt"] } else { &["a.tfrecord"] };
    reads(op_types, file, links, nodes.concat())
}

fn dataset(
    op_types: &'static [&'static str],
    file: &'static str,
    links: &'static [&'static str],
    inputs: &[&str],
) -> Row {
    let attrs: &[(&str, &str)] = match op_types[0].contains("CSV") || op_types[0].contains("Cache") {
        true => &ELEMENTS,
        false => &[],
    };
    let nodes = node("dataset", op_types[0], inputs, attrs);
    reads(op_types, file, links, nodes)
}

const ELEMENTS: [(&str, &str); 2] =
    [("output_types", "list { type: DT_STRING }"), ("output_shapes", "list { shape { } }")];

/// A dataset of one string.
fn strings() -> String {
    let attrs = [("Toutput_types", "list { type: DT_STRING }"), ("output_shapes", "list { shape { } }")];
    node("lines", "TensorDataset", &["text"], &attrs)
}

const SAVED: &[&str] = &["saved.index", "saved.data-00000-of-00001"];
const NEW: &[&str] = &["new/saved.index", "new/saved.data-00000-of-00001"];

pub(crate) fn rows() -> Vec<Row> {
    let text = "type: DT_STRING";
    let texts = "list { type: DT_STRING }";
    let table = [("key_dtype", "type: DT_STRING"), ("value_dtype", "type: DT_INT64")];
    let columns = [("key_index", "i: -2"), ("value_index", "i: -1")];
    let with_table = |table_type: &str, op_type: &str| {
        node("table", table_type, &[], &table) + &asked(op_type, &["table", "path"], &columns)
    };
    let mut rows = vec![
        reads(&["ReadFile"], "a.txt", &["a.txt"], asked("ReadFile", &["path"], &[])),
        reads(&["MatchingFiles"], "*.txt", &["a.txt"], asked("MatchingFiles", &["path"], &[])),
        writes(&["WriteFile"], "new/b.txt", &["new/b.txt"], asked("WriteFile", &["path", "text"], &[])),
        reads(
            &["ImmutableConst"],
            "a.txt",
            &["a.txt"],
            asked(
                "ImmutableConst",
                &[],
                &[
                    ("dtype", "type: DT_UINT8"),
                    ("shape", "shape { dim { size: 2 } }"),
                    ("memory_region_name", "s: 'PATH'"),
                ],
            ),
        ),
        writes(
            &["PrintV2"],
            "new",
            &["new"],
            asked("PrintV2", &["text"], &[("output_stream", "s: 'file://PATH'")]),
        ),
        reads(
            &["InitializeTableFromTextFileV2"],
            "a.txt",
            &["a.txt"],
            with_table("HashTableV2", "InitializeTableFromTextFileV2"),
        ),
        reads(
            &["InitializeTableFromTextFile"],
            "a.txt",
            &["a.txt"],
            with_table("HashTable", "InitializeTableFromTextFile"),
        ),
        reads(
            &["RestoreV2"],
            "saved",
            SAVED,
            asked("RestoreV2", &["path", "name", "slice"], &[("dtypes", texts)]),
        ),
        reads(&["Restore"], "saved", SAVED, asked("Restore", &["path", "one_name"], &[("dt", text)])),
        reads(
            &["RestoreSlice"],
            "saved",
            SAVED,
            asked("RestoreSlice", &["path", "one_name", "none"], &[("dt", text)]),
        ),
        writes(
            &["MergeV2Checkpoints"],
            "saved",
            SAVED,
            asked("MergeV2Checkpoints", &["paths", "target"], &[]),
        ),
    ];
    // Savers write next to their files and rename what they wrote: a link of that name is replaced.
    let savers = [
        (
            &["SaveV2"],
            "new/saved",
            NEW,
            asked("SaveV2", &["path", "name", "slice", "text"], &[("dtypes", texts)]),
        ),
        (&["Save"], "new/old", &["new/old"], asked("Save", &["path", "name", "text"], &[("T", texts)])),
        (
            &["SaveSlices"],
            "new/old",
            &["new/old"],
            asked("SaveSlices", &["path", "name", "slice", "text"], &[("T", texts)]),
        ),
    ];
    let savers: [(&'static [&'static str; 1], &str, &'static [&'static str], String); 3] = savers;
    for (op_types, file, links, nodes) in savers {
        let follows = op_types[0] != "SaveV2";
        rows.push(Row { follows_no_links: !follows, ..writes(op_types, file, links, nodes) });
    }
    let bytes = [("record_bytes", "i: 2")];
    rows.extend([
        reader(&["TextLineReaderV2", "ReaderReadV2"], "a.txt", &[]),
        reader(&["TextLineReader", "ReaderRead"], "a.txt", &[]),
        reader(&["WholeFileReaderV2", "ReaderReadUpToV2"], "a.txt", &[]),
        reader(&["WholeFileReader", "ReaderReadUpTo"], "a.txt", &[]),
        reader(&["FixedLengthRecordReaderV2", "ReaderReadV2"], "a.txt", &bytes),
        reader(&["FixedLengthRecordReader", "ReaderRead"], "a.txt", &bytes),
        reader(&["TFRecordReaderV2", "ReaderReadV2"], "a.tfrecord", &[]),
        reader(&["TFRecordReader", "ReaderRead"], "a.tfrecord", &[]),
    ]);
    let csv = ["paths", "none", "two", "no", "comma", "no", "none", "no_columns", "none", "no_columns"];
    let records = &["a.tfrecord"];
    rows.extend([
        dataset(&["TextLineDataset"], "a.txt", &["a.txt"], &["paths", "none", "zero"]),
        dataset(&["TFRecordDataset"], "a.tfrecord", records, &["paths", "none", "zero"]),
        dataset(&["TFRecordDatasetV2"], "a.tfrecord", records, &["paths", "none", "zero", "at_start"]),
        dataset(
            &["FixedLengthRecordDataset"],
            "a.txt",
            &["a.txt"],
            &["paths", "zero", "two", "zero", "zero"],
        ),
        dataset(
            &["FixedLengthRecordDatasetV2"],
            "a.txt",
            &["a.txt"],
            &["paths", "zero", "two", "zero", "zero", "none"],
        ),
        dataset(&["CSVDataset"], "a.txt", &["a.txt"], &csv[..9]),
        dataset(&["ExperimentalCSVDataset"], "a.txt", &["a.txt"], &csv[..9]),
        dataset(&["CSVDatasetV2"], "a.txt", &["a.txt"], &csv),
        dataset(&["MatchingFilesDataset"], "*.txt", &["a.txt"], &["path"]),
        dataset(&["ExperimentalMatchingFilesDataset"], "*.txt", &["a.txt"], &["path"]),
    ]);
    const CACHED: &[&str] = &["cached.index", "cached.data-00000-of-00001"];
    const NEW_CACHE: &[&str] = &["new.index", "new.data-00000-of-00001"];
    let with_memory = node("cache", "DummyMemoryCache", &[], &[]);
    for (op_types, extra, inputs) in [
        (&["CacheDataset"], "", &["lines", "path"][..]),
        (&["CacheDatasetV2"], with_memory.as_str(), &["lines", "path", "cache"]),
    ] {
        let nodes = strings() + extra + &node("dataset", op_types[0], inputs, &ELEMENTS);
        rows.push(reads(op_types, "cached", CACHED, nodes.clone()));
        rows.push(Row { follows_no_links: true, ..writes(op_types, "new", NEW_CACHE, nodes) });
    }
    for op_types in [&["DatasetToTFRecord"], &["ExperimentalDatasetToTFRecord"]] {
        let nodes = strings() + &asked(op_types[0], &["lines", "path", "none"], &[]);
        rows.push(writes(op_types, "new", &["new"], nodes));
    }
    rows
}
