//! The program `monitored train`, run as a user runs it.
#![allow(clippy::unwrap_used)] // a test may
#![allow(clippy::print_stdout)] // what is printed is meant to be seen

mod support;

use monitored_session::graph_def::{read_meta_graph, write_meta_graph};
use serde_json::Value as Json;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use support::{Answer, ask, fixture, python, run_in};

/// A file as NumPy writes arrays.
fn npy(path: &Path, descr: &str, shape: &str, data: &[u8]) {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    std::fs::write(path, bytes).unwrap();
}

/// The examples of the fixture, as files to be fed.
fn examples(folder: &Path) -> (PathBuf, PathBuf) {
    let pixels = std::fs::read(fixture("mlp_ref/images.u8")).unwrap();
    let pixels: Vec<u8> = pixels.iter().flat_map(|&byte| (f32::from(byte) / 255.0).to_le_bytes()).collect();
    let (x, y) = (folder.join("x.npy"), folder.join("y.npy"));
    npy(&x, "<f4", "(80, 784)", &pixels);
    npy(&y, "|u1", "(80,)", &std::fs::read(fixture("mlp_ref/labels.u8")).unwrap());
    (x, y)
}

/// Trains the MLP of a fixture in `folder/run`.
fn train(name: &str, folder: &Path, steps: &str) -> Answer {
    train_file(&fixture(&format!("{name}/model.meta")), folder, steps, &[])
}

/// Trains the MLP of a file in `folder/run`, with more arguments.
fn train_file(meta: &Path, folder: &Path, steps: &str, more: &[&str]) -> Answer {
    // Not in `folder`, in which another task of a cluster may start at the same time.
    let feeds = tempfile::tempdir().unwrap();
    let (x, y) = examples(feeds.path());
    let (x, y) = (format!("x={}", x.display()), format!("y:0={}", y.display()));
    let mut arguments: Vec<&dyn AsRef<OsStr>> = vec![
        &"train",
        &"--meta",
        &meta,
        &"--checkpoint-dir",
        &"run",
        &"--steps",
        &steps,
        &"--fetch",
        &"loss",
        &"--fetch",
        &"accuracy:0",
        &"--feed",
        &x,
        &"--feed",
        &y,
        &"--batch",
        &"8",
        &"--json-lines",
    ];
    arguments.extend(more.iter().map(|text| text as &dyn AsRef<OsStr>));
    run_in(folder, &arguments)
}

fn fetched(answer: &Answer, name: &str) -> Vec<f64> {
    assert_eq!(answer.code, 0, "{}", answer.errors);
    answer.lines().iter().filter_map(|line| line["fetches"].get(name)?.as_f64()).collect()
}

fn trace(name: &str) -> Vec<f64> {
    let text = std::fs::read(fixture(&format!("{name}/expected.json"))).unwrap();
    let expected: Json = serde_json::from_slice(&text).unwrap();
    let trace = expected["trace"].as_array().unwrap();
    trace.iter().map(|step| step["loss_before_update"].as_f64().unwrap()).collect()
}

fn assert_close(found: &[f64], wanted: &[f64]) {
    assert_eq!(found.len(), wanted.len(), "{found:?} {wanted:?}");
    for (found, wanted) in found.iter().zip(wanted) {
        assert!((found - wanted).abs() <= 1e-5 * wanted.abs().max(1.0), "{found} {wanted}");
    }
}

#[test]
fn a_graph_trains_as_in_tensorflow_from_its_init_op() {
    for name in ["mlp_ref", "mlp_resource"] {
        let folder = tempfile::tempdir().unwrap();
        let first = train(name, folder.path(), "4");
        // A second call continues where the first one ended: step, variables, examples.
        let second = train(name, folder.path(), "6");
        let losses = [fetched(&first, "loss"), fetched(&second, "loss")].concat();
        assert_close(&losses, &trace(name));
        let lines = second.lines();
        assert!(lines[0]["restored"].as_str().unwrap().ends_with("model.ckpt-4"), "{lines:?}");
        assert_eq!(lines[1]["step"], 5);
        let last = &lines[lines.len() - 1];
        assert_eq!((&last["ended"], &last["step"]), (&Json::from("all steps were run"), &Json::from(10)));
        for suffix in ["index", "meta", "data-00000-of-00001"] {
            assert!(folder.path().join(format!("run/model.ckpt-10.{suffix}")).exists(), "{suffix}");
        }
    }
}

#[test]
fn training_continues_from_a_checkpoint_of_tensorflow() {
    for name in ["mlp_ref", "mlp_resource"] {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        std::fs::create_dir(&run).unwrap();
        for suffix in ["index", "data-00000-of-00001"] {
            let file = format!("model.ckpt-5.{suffix}");
            std::fs::copy(fixture(&format!("mlp_ref/{file}")), run.join(file)).unwrap();
        }
        std::fs::write(run.join("checkpoint"), "model_checkpoint_path: \"model.ckpt-5\"\n").unwrap();
        assert_close(&fetched(&train(name, folder.path(), "5"), "loss"), &trace(name)[5..]);
    }
}

#[test]
fn tensorflow_continues_from_a_checkpoint_and_its_meta_graph() {
    let Some(python) = python() else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/go_on.py");
    for name in ["mlp_ref", "mlp_resource"] {
        let folder = tempfile::tempdir().unwrap();
        let mut losses = fetched(&train(name, folder.path(), "3"), "loss");
        let (x, y) = examples(folder.path());
        let answer = ask(&python, &script, &[&folder.path().join("run"), &x, &y, &"3", &"4"]);
        losses.extend(serde_json::from_value::<Vec<f64>>(answer["losses"].clone()).unwrap());
        assert_eq!((answer["step"].as_i64(), answer["trainable"].as_array().unwrap().len()), (Some(7), 4));
        // And back again, from what Python saved.
        losses.extend(fetched(&train(name, folder.path(), "3"), "loss"));
        assert_close(&losses, &trace(name));
    }
}

#[test]
fn a_graph_in_text_form_trains_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let message = read_meta_graph(fixture("mlp_resource/model.meta")).unwrap();
    let text = folder.path().join("model.pbtxt");
    write_meta_graph(&text, &message).unwrap();
    let answer = train_file(&text, folder.path(), "4", &[]);
    assert_close(&fetched(&answer, "loss"), &trace("mlp_resource")[..4]);
}

#[test]
fn queue_runners_feed_until_the_input_ends() {
    let folder = tempfile::tempdir().unwrap();
    let meta = fixture("queues_epochs/model.meta");
    let run = folder.path().join("run");
    // The file names in the graph are relative.
    let answer = run_in(
        &fixture("queues_epochs"),
        &[&"train", &"--meta", &meta, &"--checkpoint-dir", &run, &"--steps", &"100", &"--json-lines"],
    );
    assert_eq!(answer.code, 0, "{}", answer.errors);
    let lines = answer.lines();
    let last = &lines[lines.len() - 1];
    assert_eq!((&last["ended"], &last["step"]), (&Json::from("the input has ended"), &Json::from(14)));
    assert!(run.join("model.ckpt-14.index").exists());
}

#[test]
fn warnings_of_the_libraries_reach_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let first = train("mlp_resource", folder.path(), "2");
    assert_eq!((first.code, first.errors.as_str()), (0, ""));
    std::fs::write(folder.path().join("run/checkpoint"), [0; 64]).unwrap();
    let second = train("mlp_resource", folder.path(), "1");
    assert_eq!(second.code, 0, "{}", second.errors);
    assert!(second.errors.starts_with("monitored: warning: checkpoint ignored: "), "{}", second.errors);
}

#[test]
fn invalid_arguments_are_reported_with_help() {
    let folder = tempfile::tempdir().unwrap();
    let meta = fixture("mlp_resource/model.meta");
    let call = |more: &[&str]| {
        let mut arguments: Vec<&dyn AsRef<OsStr>> =
            vec![&"train", &"--meta", &meta, &"--checkpoint-dir", &"run", &"--steps", &"1"];
        arguments.extend(more.iter().map(|text| text as &dyn AsRef<OsStr>));
        let answer = run_in(folder.path(), &arguments);
        assert_eq!(answer.code, 1, "{answer:?}");
        answer.errors
    };
    assert!(call(&["--fetch", "no_such"]).contains("no_such"));
    assert!(call(&["--train-op", "nothing"]).contains("'nothing'"));
    assert!(call(&["--feed", "x=missing.npy"]).contains("missing.npy"));
    let unfed = call(&[]);
    assert!(unfed.contains("--feed NAME=FILE") && unfed.contains("x, y"), "{unfed}");
    npy(&folder.path().join("wide.npy"), "<f8", "(2,)", &[0; 16]);
    assert!(call(&["--feed", "y=wide.npy", "--feed", "x=wide.npy"]).contains("'x:0'"));

    let answer = run_in(
        folder.path(),
        &[&"train", &"--meta", &"no.meta", &"--checkpoint-dir", &"d", &"--steps", &"1"],
    );
    assert_eq!(answer.code, 1);
    assert!(answer.errors.contains("no.meta"), "{}", answer.errors);
}

/// Programs of many kinds: what each lost in TensorFlow, step by step, it loses here.
#[test]
fn graphs_of_many_programs_train_as_in_tensorflow() {
    let (folder, _guard) = match std::env::var_os("MONITORED_SESSION_TF_GRAPHS") {
        Some(folder) => (PathBuf::from(folder), None),
        None => {
            let Some(python) = python() else { return };
            let folder = tempfile::tempdir().unwrap();
            let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../graph-def/tests/oracle");
            let answer = ask(&python, &tests.join("make_graphs.py"), &[&folder.path()]);
            assert_eq!(answer["failed"], serde_json::json!({}));
            (folder.path().to_owned(), Some(folder))
        }
    };
    let mut graphs: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    graphs.sort();
    let problem = |graph: &PathBuf| {
        let name = graph.file_name().unwrap().to_str().unwrap();
        train_graph(graph).err().map(|problem| format!("{name}: {problem}"))
    };
    let problems: Vec<String> = graphs.iter().filter_map(problem).collect();
    println!("{} of {} graphs train with TensorFlow's losses", graphs.len() - problems.len(), graphs.len());
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(graphs.len() > 50);
}

fn train_graph(graph: &Path) -> Result<(), String> {
    let expected: Json =
        serde_json::from_slice(&std::fs::read(graph.join("expected.json")).unwrap()).unwrap();
    let losses: Vec<f64> = serde_json::from_value(expected["losses"].clone()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for suffix in ["index", "data-00000-of-00001"] {
        let file = format!("model.ckpt-0.{suffix}");
        std::fs::copy(graph.join(&file), folder.path().join(&file)).unwrap();
    }
    std::fs::write(folder.path().join("checkpoint"), "model_checkpoint_path: \"model.ckpt-0\"\n").unwrap();
    let loss = expected["loss"].as_str().unwrap();
    let feeds = expected["feeds"].as_object().unwrap();
    let feeds = feeds.iter().map(|(array, name)| {
        format!("{}={}:{array}", name.as_str().unwrap(), graph.join("feeds.npz").display())
    });
    let feeds: Vec<String> = feeds.collect();
    let (meta, steps) = (graph.join("model.meta"), losses.len().to_string());
    let mut arguments: Vec<&dyn AsRef<OsStr>> = vec![
        &"train",
        &"--meta",
        &meta,
        &"--checkpoint-dir",
        &".",
        &"--steps",
        &steps,
        &"--fetch",
        &loss,
        &"--batch",
        &"8",
        &"--json-lines",
    ];
    for feed in &feeds {
        arguments.extend([&"--feed" as &dyn AsRef<OsStr>, feed]);
    }
    let answer = run_in(folder.path(), &arguments);
    if answer.code != 0 {
        return Err(answer.errors);
    }
    let found: Vec<f64> =
        answer.lines().iter().filter_map(|line| line["fetches"].get(loss)?.as_f64()).collect();
    let close = |(found, wanted): (&f64, &f64)| (found - wanted).abs() <= 1e-4 * wanted.abs().max(1.0);
    if found.len() == losses.len() && found.iter().zip(&losses).all(close) {
        return Ok(());
    }
    Err(format!("{found:?} instead of {losses:?}"))
}

/// A meta graph without global step: each run adds 1 to `w`.
fn without_step(folder: &Path) -> PathBuf {
    use monitored_session::ops::variables::{VariableExt, variable};
    use monitored_session::session_core::{Graph, keys::TRAIN_OP};
    let graph = Graph::new();
    let w = variable(&graph.named("w"), 0f32);
    graph.add_to_collection(&TRAIN_OP, w.assign_add(1f32)).unwrap();
    let file = folder.join("counts.meta");
    let exported = monitored_session::graph_def::export_meta_graph(&graph, None).unwrap();
    write_meta_graph(&file, &exported).unwrap();
    file
}

fn go_on(folder: &Path, meta: &Path, steps: &str, more: &[&str]) -> Answer {
    let mut arguments: Vec<&dyn AsRef<OsStr>> = vec![
        &"train",
        &"--meta",
        &meta,
        &"--steps",
        &steps,
        &"--fetch",
        &"w/Read/ReadVariableOp:0",
        &"--json-lines",
    ];
    arguments.extend(more.iter().map(|text| text as &dyn AsRef<OsStr>));
    run_in(folder, &arguments)
}

#[test]
fn the_restored_step_and_rejected_checkpoints_are_printed() {
    let folder = tempfile::tempdir().unwrap();
    let meta = without_step(folder.path());
    let run = ["--checkpoint-dir", "run", "--save-steps", "10"];
    assert_eq!(go_on(folder.path(), &meta, "30", &run).code, 0);
    let at = |name: &str| folder.path().join("run").join(name);
    std::fs::write(at("model.ckpt-30.data-00000-of-00001"), "gone").unwrap();
    let written = std::fs::read(at("model.ckpt-20.index")).unwrap();
    let answer = go_on(folder.path(), &meta, "1", &run);
    assert_eq!(answer.code, 0, "{}", answer.errors);
    let lines = answer.lines();
    assert!(lines[0]["rejected"].as_str().unwrap().ends_with("model.ckpt-30"), "{lines:?}");
    assert!(!lines[0]["reason"].as_str().unwrap().is_empty());
    assert!(lines[1]["restored"].as_str().unwrap().ends_with("model.ckpt-20"), "{lines:?}");
    assert_eq!(lines[1]["step"], 20);
    let step = lines.iter().find(|line| line.get("fetches").is_some()).unwrap();
    assert_eq!(
        (step["step"].as_i64(), step["fetches"]["w/Read/ReadVariableOp:0"].as_f64()),
        (Some(21), Some(20.0))
    );
    assert!(at("model.ckpt-21.index").exists());
    assert_eq!(std::fs::read(at("model.ckpt-20.index")).unwrap(), written, "not written again");
    // For people, too.
    std::fs::write(at("model.ckpt-21.data-00000-of-00001"), "gone").unwrap();
    let answer = run_in(
        folder.path(),
        &[&"train", &"--meta", &meta, &"--checkpoint-dir", &"run", &"--steps", &"1", &"--fetch", &"w"],
    );
    assert!(answer.out.contains("rejected run/model.ckpt-21: "), "{}", answer.out);
}

#[cfg(unix)]
#[test]
fn an_interruption_sets_the_exit_code() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().unwrap();
    let meta = without_step(folder.path());
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_monitored"));
        command.current_dir(folder.path()).args([
            "train",
            "--checkpoint-dir",
            signal,
            "--steps",
            "1000000000",
        ]);
        let mut child = command.arg("--meta").arg(&meta).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        lines.find(|line| line.as_ref().unwrap().starts_with("step ")).unwrap().unwrap();
        Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap();
        let last = lines.map_while(Result::ok).last().unwrap();
        assert!(last.ends_with("it was interrupted"), "{last}");
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert!(std::fs::read_dir(folder.path().join(signal)).unwrap().count() > 2, "it was saved");
    }
}

#[test]
fn options_of_clusters_need_an_engine_and_a_role_that_use_them() {
    let folder = tempfile::tempdir().unwrap();
    let meta = without_step(folder.path());
    let refused: [(&[&str], &str); 6] = [
        (&[], "--checkpoint-dir is missing"),
        (&["--is-chief", "false", "--max-wait", "0"], "--is-chief false needs --engine tensorflow"),
        (
            &["--checkpoint-dir", "run", "--device-filter", "/job:ps"],
            "--device-filter needs --engine tensorflow",
        ),
        (
            &["--is-chief", "false", "--cluster", "ps=localhost:1,worker=localhost:2"],
            "--cluster needs --engine tensorflow",
        ),
        (&["--checkpoint-dir", "run", "--max-wait", "5"], "--max-wait is the time of a worker"),
        (&["--checkpoint-dir", "run", "--task-index", "1"], "--cluster <TASKS>"),
    ];
    for (options, expected) in refused {
        let answer = go_on(folder.path(), &meta, "1", options);
        assert!(answer.code != 0 && answer.errors.contains(expected), "{}", answer.errors);
    }
}

/// TensorFlow's runtime, in this process and in servers of others.
#[cfg(feature = "tensorflow")]
mod with_tensorflow {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::process::{Child, Command, Stdio};

    fn available() -> bool {
        match monitored_session::tensorflow_engine::Library::find() {
            Ok(_) => true,
            Err(error) => {
                support::skipped(error);
                false
            }
        }
    }

    /// A server of one task. Killed when it is dropped.
    struct Server {
        child: Child,
        target: String,
    }

    impl Server {
        /// Starts a program that serves the task at the given port, and prints its target when it does.
        fn start(command: impl FnOnce(u16) -> Command) -> Server {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut child = command(port).stdout(Stdio::piped()).spawn().unwrap();
            let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
            let mut server = Server { child, target: format!("grpc://127.0.0.1:{port}") };
            let target = lines.into_iter().find(|line| line.starts_with("grpc://"));
            assert_eq!(target.as_ref(), Some(&server.target), "{:?}", server.child.try_wait());
            server
        }

        fn own(folder: &Path) -> Server {
            Server::start(|port| {
                let mut command = Command::new(env!("CARGO_BIN_EXE_monitored"));
                command.current_dir(folder);
                command.args(["server", "--cluster", &format!("worker=127.0.0.1:{port}"), "--job", "worker"]);
                command
            })
        }

        fn of_python(python: &Path) -> Server {
            Server::start(|port| {
                let mut command = Command::new(python);
                let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/serve.py");
                command.arg(script).arg(port.to_string());
                command
            })
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    /// Trains in two calls; the second continues from the checkpoint of the first.
    fn train_twice(name: &str, more: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        let meta = fixture(&format!("{name}/model.meta"));
        let more = [more, &["--engine", "tensorflow"]].concat();
        let calls = ["4", "6"].map(|steps| fetched(&train_file(&meta, folder.path(), steps, &more), "loss"));
        assert_close(&calls.concat(), &trace(name));
        assert!(folder.path().join("run/model.ckpt-10.index").exists());
    }

    #[test]
    fn a_graph_trains_in_its_runtime() {
        if available() {
            train_twice("mlp_ref", &[]);
            train_twice("mlp_resource", &[]);
        }
    }

    #[test]
    fn a_graph_trains_on_a_server_of_this_program() {
        if available() {
            // Servers keep variables; graphs with the same names have one each.
            train_twice("mlp_ref", &["--master", &Server::own(Path::new(".")).target]);
            train_twice("mlp_resource", &["--master", &Server::own(Path::new(".")).target]);
        }
    }

    #[test]
    fn a_graph_trains_on_a_server_of_python() {
        let Some(python) = python() else { return };
        if available() {
            let server = Server::of_python(&python);
            train_twice("mlp_ref", &["--master", &server.target]);
        }
    }

    #[test]
    fn a_chief_and_a_worker_train_on_one_parameter_server() {
        if !available() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [ps, chief, worker] = listeners.map(|listener| listener.local_addr().unwrap().port());
        let cluster = format!("ps=127.0.0.1:{ps},worker=127.0.0.1:{chief},worker=127.0.0.1:{worker}");
        let serve = |job: &str, index: &str| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_monitored"));
            command.args(["server", "--cluster", &cluster, "--job", job, "--index", index]);
            let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
            let target = lines.next().unwrap_or_default();
            assert!(target.starts_with("grpc://"), "{target}");
            Server { child, target }
        };
        let servers = [serve("ps", "0"), serve("worker", "0"), serve("worker", "1")];
        let meta = fixture("mlp_resource/model.meta");
        let train = |index: usize, is_chief: &str| {
            let index_text = index.to_string();
            let more = [
                "--engine",
                "tensorflow",
                "--clear-devices",
                "--cluster",
                &cluster,
                "--task-index",
                &index_text,
                "--is-chief",
                is_chief,
                "--master",
                &servers[index + 1].target,
            ];
            let answer = train_file(&meta, folder.path(), "4", &more);
            assert_eq!(answer.code, 0, "{}", answer.errors);
            let lines = answer.lines();
            lines[lines.len() - 1]["step"].as_i64().unwrap()
        };
        // The worker, which comes first, waits.
        let steps = std::thread::scope(|scope| {
            let worker = scope.spawn(|| train(1, "false"));
            [train(0, "true"), worker.join().unwrap()]
        });
        assert_eq!(steps.into_iter().max(), Some(8), "{steps:?}: they share the global step");
    }

    #[test]
    fn queue_runners_feed_a_graph_on_a_server() {
        if !available() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let meta = fixture("queues_epochs/model.meta");
        let run = folder.path().join("run");
        // The file names in the graph are relative, to where the server runs.
        let server = Server::own(&fixture("queues_epochs"));
        let answer = run_in(
            folder.path(),
            &[
                &"train",
                &"--meta",
                &meta,
                &"--checkpoint-dir",
                &run,
                &"--steps",
                &"100",
                &"--json-lines",
                &"--engine",
                &"tensorflow",
                &"--master",
                &server.target,
            ],
        );
        assert_eq!(answer.code, 0, "{}", answer.errors);
        let lines = answer.lines();
        let last = &lines[lines.len() - 1];
        assert_eq!((&last["ended"], &last["step"]), (&Json::from("the input has ended"), &Json::from(14)));
    }
}

/// A node with attributes in text form.
fn node(text: &str) -> monitored_session::graph_def::proto::NodeDef {
    let graph =
        monitored_session::graph_def::proto::GraphDef::from_text(&format!("node {{ {text} }}")).unwrap();
    graph.node.into_iter().next().unwrap()
}

/// The meta graph of [`without_step`], whose update adds the output of another node.
fn adding(folder: &Path, name: &str, nodes: &[&str]) -> PathBuf {
    let mut message = read_meta_graph(without_step(folder)).unwrap();
    let graph = message.graph_def.as_mut().unwrap();
    let update = graph.node.iter_mut().find(|node| node.op == "AssignAddVariableOp").unwrap();
    update.input[1] = name.to_owned();
    graph.node.extend(nodes.iter().map(|text| node(text)));
    let file = folder.join("adds.meta");
    write_meta_graph(&file, &message).unwrap();
    file
}

#[test]
fn the_output_of_an_iterator_can_be_fed() {
    let folder = tempfile::tempdir().unwrap();
    let types = "attr { key: 'output_types' value { list { type: DT_FLOAT } } } \
                 attr { key: 'output_shapes' value { list { shape { } } } }";
    let text = "attr { key: 'shared_name' value { s: '' } } attr { key: 'container' value { s: '' } }";
    let meta = adding(
        folder.path(),
        "IteratorGetNext",
        &[
            &format!("name: 'IteratorV2' op: 'IteratorV2' {types} {text}"),
            &format!("name: 'IteratorGetNext' op: 'IteratorGetNext' input: 'IteratorV2' {types}"),
        ],
    );
    let value = folder.path().join("value.npy");
    npy(&value, "<f4", "()", &2.5f32.to_le_bytes());
    for name in ["IteratorGetNext", "IteratorGetNext:0"] {
        let run = folder.path().join(format!("run{}", name.len()));
        let feed = format!("{name}={}", value.display());
        let run = run.to_str().unwrap();
        let answer = go_on(folder.path(), &meta, "3", &["--checkpoint-dir", run, "--feed", &feed]);
        // A read and an update that are not ordered: the first value may be from before or from after.
        let values = fetched(&answer, "w/Read/ReadVariableOp:0");
        assert_eq!(values.len(), 3, "{values:?}");
        assert!(values.windows(2).all(|pair| pair[1] - pair[0] == 2.5), "{values:?}");
    }
}

#[test]
fn an_error_of_a_graph_names_the_file_and_its_node() {
    let folder = tempfile::tempdir().unwrap();
    let broken = [
        "name: 'zero' op: 'Const' attr { key: 'dtype' value { type: DT_FLOAT } } \
         attr { key: 'value' value { tensor { dtype: DT_FLOAT tensor_shape { } float_val: 0.0 } } }",
        "name: 'infinite' op: 'Log' input: 'zero' attr { key: 'T' value { type: DT_FLOAT } }",
        "name: 'bad' op: 'CheckNumerics' input: 'infinite' attr { key: 'T' value { type: DT_FLOAT } } \
         attr { key: 'message' value { s: 'oh' } }",
    ];
    let meta = adding(folder.path(), "bad", &broken);
    let answer = go_on(folder.path(), &meta, "3", &["--checkpoint-dir", "run"]);
    assert_ne!(answer.code, 0);
    let place = format!("node 'bad' of type CheckNumerics, from '{}'", meta.display());
    assert!(answer.errors.contains(&place), "{}", answer.errors);
    assert!(!answer.errors.contains(".rs:"), "{}", answer.errors);
    // One that cannot be imported.
    let meta = adding(folder.path(), "nothing", &[]);
    let answer = go_on(folder.path(), &meta, "3", &["--checkpoint-dir", "run"]);
    assert_ne!(answer.code, 0);
    assert!(
        answer.errors.contains("AssignAddVariableOp") && answer.errors.contains("adds.meta"),
        "{}",
        answer.errors
    );
    assert!(!answer.errors.contains(".rs:"), "{}", answer.errors);
}
