//! The text form of graph files.
#![allow(clippy::unwrap_used)]

mod support;

use bytes::Bytes;
use graph_def::proto::{
    ArgAttrs, AttrList, AttrValue, Dim, FunctionDef, FunctionDefLibrary, GraphDef, MetaGraphDef,
    NameAttrList, NodeDef, TensorShape, Value, VersionDef,
};
use graph_def::{read_graph_file, read_meta_graph, write_graph, write_meta_graph};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use session_core::Code;
use std::collections::BTreeMap;
use summary::StoredTensor;
use tensor::Tensor;

const FIXTURES: [&str; 4] = ["mlp_ref", "mlp_resource", "queues_epochs", "queues_shuffle"];

#[test]
fn files_of_tensorflow_come_back_from_text() {
    let folder = tempfile::tempdir().unwrap();
    for name in FIXTURES {
        let meta = read_meta_graph(support::fixture(&format!("{name}/model.meta"))).unwrap();
        let path = folder.path().join(format!("{name}.pbtxt"));
        write_meta_graph(&path, &meta).unwrap();
        assert_eq!(read_meta_graph(&path).unwrap(), meta, "{name}");
        assert_eq!(read_graph_file(&path).unwrap(), meta, "{name}");
        let graph = meta.graph_def.unwrap();
        write_graph(&path, &graph).unwrap();
        let bare = MetaGraphDef { graph_def: Some(graph), ..MetaGraphDef::default() };
        assert_eq!(read_graph_file(&path).unwrap(), bare, "{name}");
        // Text is recognized, whatever the file's name is.
        let other = folder.path().join("model.meta");
        std::fs::rename(&path, &other).unwrap();
        assert_eq!(read_graph_file(&other).unwrap(), bare, "{name}");
    }
}

#[test]
fn every_syntax_of_a_message_is_parsed() {
    let text = "# a graph\nnode: < name: 'a' \"b\\x63\\144\" ; op: \"Const\", attr { key: 'T' value: { type: DT_INT64 } }\n\
        attr { value { list { i: [1, -2, 0x10] i: 010 b: [true, f, 1] f: [1.5f, - inf, nan] type: [1, DT_HALF_REF] } } \
        key: 'list' } input: [] input: ['x', 'y']> node [{name: 'z'}, <>] versions { producer: 1234, bad_consumers: 7 }";
    let graph = GraphDef::from_text(text).unwrap();
    let node = &graph.node[0];
    assert_eq!((node.name.as_str(), node.op.as_str()), ("abcd", "Const"));
    assert_eq!(node.input, ["x", "y"]);
    assert_eq!(node.attr["T"].value, Some(Value::Type(9)));
    let Some(Value::List(list)) = &node.attr["list"].value else { panic!("{node:?}") };
    assert_eq!((list.i.as_slice(), list.b.as_slice()), (&[1, -2, 16, 8][..], &[true, false, true][..]));
    assert_eq!(list.f[..2], [1.5, f32::NEG_INFINITY]);
    assert!(list.f[2].is_nan());
    assert_eq!(list.r#type, [1, 119]);
    assert_eq!(graph.node[1].name, "z");
    assert_eq!(graph.node.len(), 3);
    assert_eq!(graph.versions.unwrap().bad_consumers, [7]);
}

#[test]
fn messages_with_an_explicit_type_are_parsed() {
    let text = "meta_info_def { any_info { [type.googleapis.com/tensorflow.VersionDef] { producer: 5 } } }";
    let info = MetaGraphDef::from_text(text).unwrap().meta_info_def.unwrap();
    let written = "meta_info_def {\n  any_info {\n    type_url: \"type.googleapis.com/tensorflow.VersionDef\"\n    \
        value: \"\\010\\005\"\n  }\n}\n";
    let meta = MetaGraphDef { meta_info_def: Some(info), ..MetaGraphDef::default() };
    assert_eq!(meta.to_text().unwrap(), written);
    let unknown = "meta_info_def { any_info { [x.org/Other] { } } }";
    let error = MetaGraphDef::from_text(unknown).unwrap_err();
    assert!(error.message().contains("the type 'Other' is unknown"), "{error}");
}

#[test]
fn syntax_errors_have_line_and_column() {
    let cases = [
        ("node { name: 'a'\n  oops: 1 }", "line 2, column 3: tensorflow.NodeDef has no field 'oops'"),
        ("node { name: 'a' name: 'b' }", "line 1, column 18: 'name' cannot be set together"),
        ("node { attr { value { i: 1 b: true } } }", "line 1, column 28: 'b' cannot be set together"),
        ("node { name: a }", "a string was expected at \"a }\""),
        ("node { name 'a' }", "':' was expected"),
        ("node { name: ['a'] }", "a string was expected"),
        ("node { name: '\\377' }", "line 1, column 13: a string is not UTF-8"),
        ("versions { producer: 2147483648 }", "the number is too large"),
        ("node { attr { value { type: DT_NONE } } }", "line 1, column 29: this is not a value of the field"),
        ("node { attr { value { b: 2 } } }", "true or false was expected"),
        ("node {", "a name was expected"),
        ("node { >", "a name was expected"),
        ("node { } }", "a name was expected at \"}\""),
    ];
    for (text, wanted) in cases {
        let error = GraphDef::from_text(text).unwrap_err();
        assert_eq!(error.code(), Code::DataLoss);
        assert!(error.message().contains(wanted), "{text}: {error}");
    }
}

#[test]
fn other_files_are_rejected_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content, wanted) in [
        ("a.pbtxt", &b"node { nam: 'a' }"[..], "line 1, column 8: tensorflow.NodeDef has no field 'nam'"),
        ("b.pb", b"an essay", "line 1, column 1: tensorflow.MetaGraphDef has no field 'an'"),
        ("c.pb", b"\x00\x01", "neither a MetaGraphDef nor a GraphDef"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let error = read_graph_file(&path).unwrap_err();
        assert_eq!(error.code(), Code::DataLoss);
        let text = error.chain().to_string();
        assert!(text.contains(name) && text.contains(wanted), "{text}");
    }
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    let deep = |levels: usize| {
        let mut text = String::from("node { experimental_type ");
        text.extend(std::iter::repeat_n("{ args ", levels));
        text.extend(std::iter::repeat_n("{ ", 1));
        text.extend(std::iter::repeat_n("} ", levels + 2));
        text
    };
    let graph = GraphDef::from_text(&deep(90)).unwrap();
    assert_eq!(GraphDef::from_text(&graph.to_text().unwrap()).unwrap(), graph);
    let error = GraphDef::from_text(&deep(1_000_000)).unwrap_err();
    assert!(error.message().contains("nested more than 100 deep"), "{error}");

    // Bytes that are kept can be nested deeper than any reader accepts.
    let mut bytes = Vec::new();
    for _ in 0..2000 {
        let mut outer = Vec::new();
        wire::message::put_bytes(&mut outer, 2, &bytes);
        bytes = outer;
    }
    let node = NodeDef { experimental_type: bytes.into(), ..NodeDef::default() };
    let graph = GraphDef { node: vec![node], ..GraphDef::default() };
    assert_eq!(graph.to_text().unwrap_err().code(), Code::InvalidArgument);
}

#[test]
fn messages_without_a_text_form_are_errors() {
    let with = |bytes: &'static [u8]| GraphDef {
        node: vec![NodeDef { experimental_type: Bytes::from_static(bytes), ..NodeDef::default() }],
        ..GraphDef::default()
    };
    let error = with(b"\x78\x01").to_text().unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented);
    assert!(error.message().contains("field 15 of FullTypeDef"), "{error}");
    let error = with(b"\x08").to_text().unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("a FullTypeDef in it cannot be decoded"), "{error}");
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z/_0-9]{0,8}", any::<String>()]
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..12).prop_map(Bytes::from)
}

fn number() -> impl Strategy<Value = f32> {
    prop_oneof![any::<f32>(), Just(f32::INFINITY), Just(f32::MIN_POSITIVE), Just(-0.0)]
        .prop_filter("one that equals itself", |number| !number.is_nan())
}

fn shape() -> impl Strategy<Value = TensorShape> {
    let dim = (any::<i64>(), text()).prop_map(|(size, name)| Dim { size, name });
    (vec(dim, 0..3), any::<bool>()).prop_map(|(dim, unknown_rank)| TensorShape { dim, unknown_rank })
}

fn tensor() -> impl Strategy<Value = Bytes> {
    let tensor = prop_oneof![
        vec(number(), 1..5).prop_map(Tensor::from),
        vec(any::<i64>(), 1..5).prop_map(Tensor::from),
        vec(text(), 1..5).prop_map(Tensor::from),
        any::<bool>().prop_map(Tensor::from),
    ];
    tensor.prop_map(|tensor| StoredTensor::new(&tensor).unwrap().as_encoded().clone())
}

fn attrs(
    value: impl Strategy<Value = AttrValue> + Clone,
) -> impl Strategy<Value = BTreeMap<String, AttrValue>> {
    btree_map(text(), value, 0..3)
}

fn attr() -> impl Strategy<Value = AttrValue> + Clone {
    let leaf = prop_oneof![
        bytes().prop_map(Value::String),
        any::<i64>().prop_map(Value::Int),
        number().prop_map(Value::Float),
        any::<bool>().prop_map(Value::Bool),
        prop_oneof![0..34i32, any::<i32>()].prop_map(Value::Type),
        shape().prop_map(Value::Shape),
        tensor().prop_map(Value::Tensor),
        text().prop_map(Value::Placeholder),
    ];
    let leaf = option::of(leaf).prop_map(|value| AttrValue { value });
    leaf.prop_recursive(3, 12, 3, |inner| {
        let func = |inner| (text(), attrs(inner)).prop_map(|(name, attr)| NameAttrList { name, attr });
        let list = (
            (vec(bytes(), 0..3), vec(any::<i64>(), 0..3), vec(number(), 0..3), vec(any::<bool>(), 0..3)),
            (
                vec(any::<i32>(), 0..3),
                vec(shape(), 0..2),
                vec(tensor(), 0..2),
                vec(func(inner.clone()), 0..2),
            ),
        );
        let list = list.prop_map(|((s, i, f, b), (r#type, shape, tensor, func))| AttrValue {
            value: Some(Value::List(AttrList { s, i, f, b, r#type, shape, tensor, func })),
        });
        prop_oneof![list, func(inner).prop_map(|func| AttrValue { value: Some(Value::Func(func)) })]
    })
    .boxed()
}

fn node() -> impl Strategy<Value = NodeDef> {
    (text(), text(), vec(text(), 0..3), text(), attrs(attr())).prop_map(|(name, op, input, device, attr)| {
        NodeDef { name, op, input, device, attr, ..NodeDef::default() }
    })
}

fn function() -> impl Strategy<Value = FunctionDef> {
    let ret = btree_map(text(), text(), 0..3);
    let arg_attr = btree_map(any::<u32>(), attrs(attr()).prop_map(|attr| ArgAttrs { attr }), 0..2);
    let unique = btree_map(any::<u32>(), any::<u32>(), 0..3);
    (vec(node(), 0..2), ret, arg_attr, unique).prop_map(
        |(node_def, ret, arg_attr, resource_arg_unique_id)| FunctionDef {
            node_def,
            ret,
            arg_attr,
            resource_arg_unique_id,
            ..FunctionDef::default()
        },
    )
}

fn graph() -> impl Strategy<Value = GraphDef> {
    let versions = (any::<i32>(), vec(any::<i32>(), 0..3)).prop_map(|(producer, bad_consumers)| VersionDef {
        producer,
        bad_consumers,
        ..VersionDef::default()
    });
    (vec(node(), 0..4), vec(function(), 0..2), option::of(versions)).prop_map(|(node, function, versions)| {
        let library = FunctionDefLibrary { function, ..FunctionDefLibrary::default() };
        GraphDef { node, library: Some(library), versions, ..GraphDef::default() }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_graph_comes_back_from_text(graph in graph()) {
        let text = graph.to_text().unwrap();
        prop_assert_eq!(GraphDef::from_text(&text).unwrap(), graph, "{}", text);
    }

    #[test]
    fn arbitrary_text_does_not_panic(graph in graph(), at in any::<prop::sample::Index>(), put in "[{}<>\\[\\]:'\"\\\\#a-z0-9 -]{0,4}") {
        let mut text = graph.to_text().unwrap();
        let mut place = at.index(text.len() + 1);
        while !text.is_char_boundary(place) {
            place -= 1;
        }
        text.insert_str(place, &put);
        if let Ok(read) = GraphDef::from_text(&text) {
            prop_assert!(read.to_text().is_ok());
        }
    }
}

#[test]
fn the_table_matches_tensorflow() {
    let Some(python) = support::python() else { return };
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/messages.py");
    let output = std::process::Command::new(python).arg(script).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), include_str!("../src/text/messages.txt"));
}

#[test]
fn texts_are_exchanged_with_tensorflow() {
    let Some((graphs, _guard)) = support::graphs() else { return };
    let Some(python) = support::python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let ask = |action: &str| {
        let arguments = [action.as_ref(), graphs.as_os_str(), folder.path().as_os_str()];
        support::ask(&python, "text_form.py", &arguments)
    };
    let files = ask("write")["files"].as_u64().unwrap();
    let mut same = 0;
    for entry in std::fs::read_dir(&graphs).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let meta = read_meta_graph(path.join("model.meta")).unwrap();
        let file = |kind: &str| folder.path().join(format!("{name}.{kind}.pbtxt"));
        assert_eq!(read_graph_file(file("theirs")).unwrap(), meta, "{name}");
        let graph = read_graph_file(file("graph")).unwrap().graph_def;
        assert_eq!(graph, meta.graph_def, "{name}");
        write_meta_graph(file("ours"), &meta).unwrap();
        same += usize::from(std::fs::read(file("ours")).unwrap() == std::fs::read(file("theirs")).unwrap());
    }
    let answer = ask("compare");
    assert_eq!(answer["differ"], serde_json::json!([]));
    println!("{files} graphs, of which {same} have the same text to the letter");
    assert!(files >= 50);
}
