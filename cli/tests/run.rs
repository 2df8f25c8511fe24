//! The program `monitored run`, and `monitored graph show` of models, run as a user runs them.
#![allow(clippy::unwrap_used)] // a test may

mod support;

use checkpoint::CheckpointReader;
use monitored_session::ops::{self, array};
use monitored_session::prelude::*;
use monitored_session::session_core::OpLibrary as _;
use serde_json::{Value as Json, json};
use std::fs;
use std::path::{Path, PathBuf};
use support::{Answer, run_in};

/// A model that TensorFlow saved, with the calls that it answered.
fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../saved-model/tests/fixtures").join(name)
}

fn printed(answer: &Answer) -> Json {
    assert_eq!((answer.code, answer.errors.as_str()), (0, ""));
    serde_json::from_str(&answer.out).unwrap()
}

/// A recorded float array as JSON prints it, by rows.
fn recorded(path: &Path) -> Vec<f64> {
    let bytes = fs::read(path).unwrap();
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let data = &bytes[10 + length..];
    data.chunks_exact(4).map(|word| f64::from(f32::from_le_bytes(word.try_into().unwrap()))).collect()
}

fn flat(json: &Json) -> Vec<f64> {
    match json {
        Json::Array(items) => items.iter().flat_map(flat).collect(),
        number => vec![number.as_f64().unwrap()],
    }
}

fn assert_near(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-5 * expected.abs().max(1.0), "{found} instead of {expected}");
    }
}

#[test]
fn a_saved_model_answers_from_arrays() {
    let folder = tempfile::tempdir().unwrap();
    let model = case("dense");
    let input = format!("x={}", model.join("calls/00_in_x.npy").display());
    let answer = run_in(folder.path(), &[&"run", &model.join("model"), &"--input", &input, &"--json"]);
    let json = printed(&answer);
    assert_near(&flat(&json["logits"]), &recorded(&model.join("calls/00_out_logits.npy")));
    assert_near(&flat(&json["probabilities"]), &recorded(&model.join("calls/00_out_probabilities.npy")));

    // One output into a file, named by the model's file instead of its folder.
    let file = model.join("model/saved_model.pb");
    let arguments: [&dyn AsRef<std::ffi::OsStr>; 8] =
        [&"run", &file, &"--signature", &"serving_default", &"--input", &input, &"--output", &"logits=y.npy"];
    let answer = run_in(folder.path(), &arguments);
    assert_eq!((answer.code, answer.out.as_str(), answer.errors.as_str()), (0, "", ""));
    assert_near(&recorded(&folder.path().join("y.npy")), &recorded(&model.join("calls/00_out_logits.npy")));
    // The written file is read.
    let again = run_in(folder.path(), &[&"run", &file, &"--input", &"x=y.npy"]);
    assert_eq!(again.code, 1);
    assert!(
        again.errors.contains("the input 'x' of the signature 'serving_default' does not fit"),
        "{}",
        again.errors
    );
}

#[test]
fn strings_and_tables_are_given_as_json_and_text() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("words.txt"), "two\nthree\none\n").unwrap();
    let model = case("legacy_init/model");
    // The name of the input is the model's.
    let shown = printed(&run_in(folder.path(), &[&"graph", &"show", &model, &"--json"]));
    let inputs =
        shown["meta_graphs"][0]["signatures"]["serving_default"]["inputs"].as_object().unwrap().clone();
    let name = inputs.keys().next().unwrap();
    let text = run_in(folder.path(), &[&"run", &model, &"--input", &format!("{name}=words.txt"), &"--json"]);
    let inline = run_in(
        folder.path(),
        &[&"run", &model, &"--input", &format!("{name}=[\"two\", \"three\", \"one\"]"), &"--json"],
    );
    assert_eq!(printed(&text), printed(&inline));
}

#[test]
fn wrong_names_are_answered_with_the_nearest() {
    let model = case("dense/model");
    for (arguments, expected) in [
        (vec!["--signature", "serving"], "has no signature 'serving' (of 'serving_default')"),
        (vec!["--input", "X=[[1]]"], "has no input 'X'; is 'x' meant?"),
        (vec!["--output", "logit"], "has no output 'logit'; is 'logits' meant?"),
        (vec!["--tags", "server"], "no meta graph with the tags {'server'}; it has {'serve'}"),
        (vec!["--fetch", "nowhere_at_all"], "there is no tensor 'nowhere_at_all'"),
        (vec![], "needs a value for 'x'"),
        (vec!["--input", "x=nowhere.npy"], "cannot read the input 'x' from 'nowhere.npy'"),
        (vec!["--input", "x=[[1, 2], [3]]"], "its rows have different lengths"),
    ] {
        let mut all: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"run", &model];
        all.extend(arguments.iter().map(|argument| argument as &dyn AsRef<std::ffi::OsStr>));
        let answer = run_in(Path::new("."), &all);
        assert_eq!((answer.code, answer.out.as_str()), (1, ""));
        assert!(answer.errors.contains(expected), "{expected}: {}", answer.errors);
    }
    let untagged = [
        &"run" as &dyn AsRef<std::ffi::OsStr>,
        &case("unusual_tags/model"),
        &"--tags",
        &"",
        &"--input",
        &"x=[2]",
    ];
    assert!(run_in(Path::new("."), &untagged).out.contains("y: float32 [1] [7.]"));
    let absent = run_in(Path::new("."), &[&"run", &case("nowhere")]);
    assert!(absent.code == 1 && absent.errors.contains("nowhere"), "{}", absent.errors);
}

/// Writes the tensors of a checkpoint into a file of TensorFlow's first format.
fn write_first_format(checkpoint: &Path, file: &Path) {
    let tensors = CheckpointReader::open(checkpoint).unwrap().read_all().unwrap();
    let graph = Graph::new();
    let (names, tensors): (Vec<String>, Vec<Tensor>) = tensors.into_iter().unzip();
    let names = Tensor::from_strings(names, [tensors.len()]).unwrap();
    let save = graph.op(ops::library().find("Save").unwrap());
    let save = save.constant(Tensor::string(file.to_str().unwrap().to_owned())).constant(names);
    let values: Vec<Output> = tensors.into_iter().map(|value| array::constant(&graph, value)).collect();
    let save = save.input_list(values).finish();
    let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::with_threads(1)).unwrap();
    session.run(&save, ()).unwrap();
}

#[test]
fn a_frozen_graph_and_a_meta_graph_with_a_checkpoint_are_run_by_tensors() {
    let folder = case("frozen_dense");
    let temporary = tempfile::tempdir().unwrap();
    let first_format = temporary.path().join("first.ckpt");
    write_first_format(&folder.join("source"), &first_format);
    let inputs = [
        format!("x={}", folder.join("calls/00_in_x_0.npy").display()),
        format!("ids:0={}", folder.join("calls/00_in_ids_0.npy").display()),
    ];
    let expected = recorded(&folder.join("calls/00_out_relu_0.npy"));
    let source = folder.join("source");
    for (graph, checkpoint) in [
        ("graph.pb", None),
        ("source.pb", Some(&source)),
        ("kept.pb", Some(&source)),
        ("source.pb", Some(&first_format)),
    ] {
        let graph = folder.join(graph);
        let mut arguments: Vec<&dyn AsRef<std::ffi::OsStr>> =
            vec![&"run", &graph, &"--fetch", &"relu", &"--json"];
        inputs.iter().for_each(|input| arguments.extend([&"--input" as &dyn AsRef<std::ffi::OsStr>, input]));
        if let Some(prefix) = checkpoint {
            arguments.extend([&"--checkpoint" as &dyn AsRef<std::ffi::OsStr>, prefix]);
        }
        let json = printed(&run_in(Path::new("."), &arguments));
        assert_near(&flat(&json["relu"]), &expected);
    }
    let without = run_in(Path::new("."), &[&"run", &folder.join("graph.pb")]);
    assert!(without.errors.contains("name the tensors to print with --fetch"), "{}", without.errors);
}

#[test]
fn a_checkpoint_is_exported_and_run() {
    let (case, folder) = (case("frozen_dense"), tempfile::tempdir().unwrap());
    let inputs = [
        format!("x={}", case.join("calls/00_in_x_0.npy").display()),
        format!("ids={}", case.join("calls/00_in_ids_0.npy").display()),
    ];
    let expected = recorded(&case.join("calls/00_out_relu_0.npy"));
    let (meta, checkpoint) = (case.join("source.pb"), case.join("source"));
    let export = |to: &str, more: &[&dyn AsRef<std::ffi::OsStr>]| {
        let mut arguments: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![
            &"export",
            &"--meta",
            &meta,
            &"--checkpoint",
            &checkpoint,
            &"--to",
            &to,
            &"--input",
            &"x",
            &"--input",
            &"ids:0",
        ];
        arguments.extend(more);
        run_in(folder.path(), &arguments)
    };
    for (to, more, output) in [
        ("model", vec!["--output", "y=relu"], vec!["--output", "y"]),
        ("frozen.pb", vec!["--output", "relu", "--frozen"], vec!["--fetch", "relu"]),
        ("small.pbtxt", vec!["--output", "relu", "--frozen", "--optimize"], vec!["--fetch", "relu"]),
    ] {
        let more: Vec<&dyn AsRef<std::ffi::OsStr>> = more.iter().map(|text| text as _).collect();
        let answer = export(to, &more);
        assert_eq!((answer.code, answer.out.trim_end(), answer.errors.as_str()), (0, to, ""));
        let mut arguments: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"run", &to, &"--json"];
        arguments.extend(output.iter().map(|text| text as &dyn AsRef<std::ffi::OsStr>));
        inputs.iter().for_each(|input| arguments.extend([&"--input" as &dyn AsRef<std::ffi::OsStr>, input]));
        let json = printed(&run_in(folder.path(), &arguments));
        assert_near(&flat(&json[output[1]]), &expected);
    }
    let again = export("model", &[&"--output", &"relu"]);
    assert!(again.code == 1 && again.errors.contains("is not empty"), "{}", again.errors);
    let unknown = export("other", &[&"--output", &"rel"]);
    assert!(unknown.errors.contains("is 'relu' meant?"), "{}", unknown.errors);
    assert!(!folder.path().join("other").exists());
}

#[test]
fn a_saved_model_is_frozen_and_run() {
    let folder = tempfile::tempdir().unwrap();
    let export = |model: &Path, more: &[&dyn AsRef<std::ffi::OsStr>]| {
        let mut arguments: Vec<&dyn AsRef<std::ffi::OsStr>> =
            vec![&"export", &"--meta", &model, &"--to", &"frozen.pb"];
        arguments.extend(more);
        run_in(folder.path(), &arguments)
    };
    for (name, input, output, expected) in [
        ("dense", "x:0", "logits:0", "logits"),
        ("module_v2", "serving_default_x:0", "StatefulPartitionedCall_1:1", "y"),
    ] {
        let answer = export(&case(name).join("model"), &[&"--frozen"]);
        assert_eq!(
            (answer.code, answer.out.trim_end(), answer.errors.as_str()),
            (0, "frozen.pb", ""),
            "{name}"
        );
        let input = format!("{input}={}", case(name).join("calls/00_in_x.npy").display());
        let arguments: [&dyn AsRef<std::ffi::OsStr>; 7] =
            [&"run", &"frozen.pb", &"--json", &"--input", &input, &"--fetch", &output];
        let json = printed(&run_in(folder.path(), &arguments));
        let recording = case(name).join(format!("calls/00_out_{expected}.npy"));
        assert_near(&flat(&json[output]), &recorded(&recording));
    }
    let dense = case("dense").join("model");
    let other = export(&dense, &[&"--frozen", &"--signature", &"serving_defualt"]);
    assert!(other.errors.contains("is 'serving_default' meant?"), "{}", other.errors);
    assert!(export(&dense, &[]).errors.contains("can be exported with --frozen"));
    let checkpoint = export(&dense, &[&"--frozen", &"--checkpoint", &"run/model"]);
    assert!(checkpoint.errors.contains("brings its variables"), "{}", checkpoint.errors);
    let source = case("frozen_dense").join("source.pb");
    assert!(export(&source, &[&"--frozen"]).errors.contains("--checkpoint PREFIX"));
    let nameless = export(&source, &[&"--frozen", &"--checkpoint", &case("frozen_dense").join("source")]);
    assert!(nameless.errors.contains("--input"), "{}", nameless.errors);
}

#[test]
fn a_model_is_described() {
    let shown =
        printed(&run_in(Path::new("."), &[&"graph", &"show", &case("sparse_ragged/model"), &"--json"]));
    let graph = &shown["meta_graphs"][0];
    assert_eq!(graph["tags"], json!(["serve"]));
    assert_eq!(graph["embedded_engine_lacks"], json!({}));
    let sparse = &graph["signatures"]["sparse"]["inputs"]["features"];
    assert_eq!((&sparse["layout"], &sparse["shape"]), (&json!("sparse"), &json!([-1, 6])));
    assert_eq!(sparse["components"][0], json!({"component": "values", "tensor": "features/values:0"}));

    let text = run_in(Path::new("."), &[&"graph", &"show", &case("several_tags/model")]);
    for expected in [
        "meta graph {'serve'}",
        "meta graph {'serve', 'double'}",
        "serving_default  tensorflow/serving/predict",
    ] {
        assert!(text.out.contains(expected), "{expected}: {}", text.out);
    }
    let one =
        run_in(Path::new("."), &[&"graph", &"show", &case("several_tags/model"), &"--tags", &"double,serve"]);
    assert!(one.out.starts_with("meta graph {'serve', 'double'}"), "{}", one.out);

    let assets = run_in(Path::new("."), &[&"graph", &"show", &case("recurrent_v2/model")]);
    assert!(assets.out.contains("words.txt  asset_path_initializer:0"), "{}", assets.out);
    // No collection lists the variables of TensorFlow 2.
    assert!(assets.out.contains("  embedding  float32 [5,3]  resource\n"), "{}", assets.out);
    let frozen =
        printed(&run_in(Path::new("."), &[&"graph", &"show", &case("frozen_dense/graph.pb"), &"--json"]));
    assert_eq!(frozen["outputs"][0]["name"], "relu:0");
}

#[test]
fn a_model_can_access_only_its_own_folder() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), "s").unwrap();
    let model = folder.path().join("model");
    fs::create_dir(&model).unwrap();
    let graph = r#"node { name: "path" op: "Placeholder" attr { key: "dtype" value { type: DT_STRING } }
                     attr { key: "shape" value { shape { } } } }
                   node { name: "content" op: "ReadFile" input: "path" }
                   versions { producer: 2474 }"#;
    fs::write(model.join("graph.pbtxt"), graph).unwrap();
    fs::write(model.join("own"), "o").unwrap();
    let ask = |path: &Path, more: &[&dyn AsRef<std::ffi::OsStr>]| {
        let input = format!("path={}", json!(path.to_str().unwrap()));
        let mut arguments: Vec<&dyn AsRef<std::ffi::OsStr>> =
            vec![&"run", &"model/graph.pbtxt", &"--fetch", &"content", &"--json", &"--input", &input];
        arguments.extend(more);
        run_in(folder.path(), &arguments)
    };
    assert_eq!(printed(&ask(&model.join("own"), &[])), json!({"content": "o"}));
    let secret = folder.path().join("secret");
    let refused = ask(&secret, &[]);
    assert_eq!(refused.code, 1);
    for text in ["may not read", "secret", "'content' of type ReadFile", "--allow-files"] {
        assert!(refused.errors.contains(text), "{text}: {}", refused.errors);
    }
    assert_eq!(printed(&ask(&secret, &[&"--allow-files", &"."])), json!({"content": "s"}));
}

#[test]
fn the_engine_of_tensorflow_returns_the_same() {
    let Some(_python) = support::python() else { return };
    let model = case("dense");
    let input = format!("x={}", model.join("calls/00_in_x.npy").display());
    let answer = run_in(
        Path::new("."),
        &[&"run", &model.join("model"), &"--input", &input, &"--json", &"--engine", &"tensorflow"],
    );
    let json: Json = serde_json::from_str(&answer.out).unwrap_or_else(|_| panic!("{}", answer.errors));
    assert_near(&flat(&json["logits"]), &recorded(&model.join("calls/00_out_logits.npy")));
}

/// A pipeline that TensorFlow made.
fn pipeline(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../embedded-engine/tests/data").join(name)
}

#[test]
fn a_graph_with_an_iterator_runs_until_its_input_ends() {
    let folder = pipeline("slices_oneshot");
    let expected: Json = serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let iterator = &expected["iterators"][0];
    let name = iterator["outputs"][0]["tensor"].as_str().unwrap();
    let elements = iterator["sessions"][0].as_array().unwrap().iter();
    let elements: Vec<&Json> = elements.filter_map(|step| step["next"].as_array()?.first()).collect();
    let lines = |more: &[&str]| -> Vec<Json> {
        let mut arguments: Vec<&dyn AsRef<std::ffi::OsStr>> =
            vec![&"run", &"pipeline.meta", &"--fetch", &name, &"--json-lines"];
        arguments.extend(more.iter().map(|argument| argument as &dyn AsRef<std::ffi::OsStr>));
        let answer = run_in(&folder, &arguments);
        assert_eq!((answer.code, answer.errors.as_str()), (0, ""));
        answer.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let all = lines(&[]);
    assert_eq!(all.len(), elements.len());
    for (line, element) in all.iter().zip(elements) {
        let expected = element.get("values").unwrap_or(element);
        assert_near(&flat(&line["fetches"][name]), &flat(expected));
    }
    assert_eq!(lines(&["--times", "2"]), all[..2]);
}

#[test]
fn options_that_repeated_runs_do_not_follow_are_refused() {
    let folder = pipeline("slices_oneshot");
    let output = tempfile::tempdir().unwrap();
    let file = format!("IteratorGetNext={}", output.path().join("x.npy").display());
    for (option, value, words) in [
        ("--signature", "serving_default", "neither tags nor signatures"),
        ("--tags", "serve", "neither tags nor signatures"),
        ("--output", file.as_str(), "--output writes the tensor of one run"),
    ] {
        let answer = run_in(&folder, &[&"run", &"pipeline.meta", &"--times", &"2", &option, &value]);
        assert_ne!(answer.code, 0, "{option}");
        assert!(answer.errors.contains(words), "{option}: {}", answer.errors);
    }
}

/// Writes a graph of one constant vector.
fn constant(file: &Path, name: &str, elements: usize) {
    let attributes = format!(
        "attr {{ key: \"dtype\" value {{ type: DT_FLOAT }} }} attr {{ key: \"value\" value {{ tensor {{ \
         dtype: DT_FLOAT tensor_shape {{ dim {{ size: {elements} }} }} float_val: 1.5 }} }} }}"
    );
    fs::write(file, format!("node {{ name: \"{name}\" op: \"Const\" {attributes} }}")).unwrap();
}

#[test]
fn a_reader_that_closes_a_long_output_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    // More than the output's buffer holds, so that a write fails while the values are printed.
    constant(&folder.path().join("big.pbtxt"), "big", 100_000);
    for form in ["--json", "--json-lines"] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_monitored"));
        command.current_dir(folder.path()).args(["run", "big.pbtxt", "--fetch", "big", form]);
        let pipe = std::process::Stdio::piped;
        let mut child = command.stdout(pipe()).stderr(pipe()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), errors.as_str()), (Some(0), ""), "{form}");
    }
}

#[test]
fn a_tensor_can_be_printed_and_written() {
    let folder = tempfile::tempdir().unwrap();
    constant(&folder.path().join("x.pbtxt"), "x", 2);
    let arguments: [&dyn AsRef<std::ffi::OsStr>; 9] =
        [&"run", &"x.pbtxt", &"--fetch", &"x", &"--output", &"x=a.txt", &"--output", &"x=b.json", &"--json"];
    let json = printed(&run_in(folder.path(), &arguments));
    assert_eq!(json["x"], serde_json::json!([1.5, 1.5]));
    assert_eq!(fs::read_to_string(folder.path().join("a.txt")).unwrap(), "1.5\n1.5\n");
    assert_eq!(fs::read_to_string(folder.path().join("b.json")).unwrap(), "[1.5,1.5]\n");
}
