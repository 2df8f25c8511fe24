//! The board's answers about folders of event files, also growing, restarted, damaged and hostile ones.
#![allow(clippy::unwrap_used)] // a test may

mod support;

use board::{Board, Plot, TerminalColors};
use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use summary::{Event, EventData, EventWriter, SessionLog, Summary, Value, event_files};
use support::{curve, everything, numbers};

fn open(folder: &Path) -> Board {
    let board = Board::open(&[folder]).unwrap();
    board.reload();
    board
}

/// A path with its query.
fn target(path: &str, query: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    format!("{path}?{query}")
}

fn ask(board: &Board, path: &str, query: &[(&str, &str)]) -> Json {
    let answer = board.answer(&target(path, query));
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert_eq!(answer.status, 200, "{path} {query:?}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// Steps and values of a tag of a run.
fn points(board: &Board, run: &str, tag: &str) -> Vec<(i64, f64)> {
    let answer = ask(board, "/api/scalars", &[("tag", tag), ("points", "100000")]);
    let list = |key: &str| answer[run][key].as_array().unwrap().clone();
    let steps = list("steps").into_iter().map(|step| step.as_i64().unwrap());
    steps.zip(list("values").into_iter().map(|value| value.as_f64().unwrap_or(f64::NAN))).collect()
}

fn run<'a>(state: &'a Json, name: &str) -> &'a Json {
    state["runs"].as_array().unwrap().iter().find(|run| run["name"] == name).unwrap()
}

/// A file of bare events.
fn write_events(path: &Path, events: impl IntoIterator<Item = Event>) {
    let mut writer = summary::record::RecordWriter::new(Vec::new());
    events.into_iter().for_each(|event| writer.write(&event.encode()).unwrap());
    std::fs::write(path, writer.into_inner()).unwrap();
}

fn version(number: u32) -> Event {
    Event::new(1.0, 0, EventData::FileVersion(format!("brain.Event:{number}")))
}

fn scalar(step: i64, value: f32) -> Event {
    Event::new(step as f64, step, Summary::scalar("loss", value).into())
}

#[test]
fn runs_are_folders_at_any_depth() {
    let folder = tempfile::tempdir().unwrap();
    for (name, value) in [("", 1.0), ("a", 2.0), ("a/b/c", 3.0)] {
        numbers(&folder.path().join(name), "loss", [value]);
    }
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    let board = open(folder.path());
    let state = ask(&board, "/api/state", &[]);
    let names: Vec<&str> =
        state["runs"].as_array().unwrap().iter().map(|run| run["name"].as_str().unwrap()).collect();
    assert_eq!(names, [".", "a", "a/b/c"]);
    for (name, value) in [(".", 1.0), ("a", 2.0), ("a/b/c", 3.0)] {
        assert_eq!(points(&board, name, "loss"), [(0, value)]);
    }
    // The runs of several folders bear the folders' names.
    let board = Board::open(&[folder.path().join("a"), folder.path().join("a/b/c")]).unwrap();
    board.reload();
    let state = ask(&board, "/api/state", &[]);
    let names: Vec<&Json> = state["runs"].as_array().unwrap().iter().map(|run| &run["name"]).collect();
    assert_eq!(names, ["a", "a/b/c", "c"]);
}

#[test]
fn a_growing_run_is_followed_and_a_replaced_one_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let board = open(folder.path());
    let version = |board: &Board| ask(board, "/api/state", &[])["version"].as_u64().unwrap();
    let before = version(&board);
    let writer = EventWriter::open(folder.path()).unwrap();
    writer.add_summary(Summary::scalar("loss", 1.0), 1).unwrap();
    writer.flush().unwrap();
    assert!(board.reload() > 0 && version(&board) > before);
    assert_eq!(points(&board, ".", "loss"), [(1, 1.0)]);
    let before = version(&board);
    assert_eq!((board.reload(), version(&board)), (0, before), "nothing is new");
    writer.add_summary(Summary::scalar("loss", 0.5), 2).unwrap();
    writer.close().unwrap();
    board.reload();
    assert_eq!(points(&board, ".", "loss"), [(1, 1.0), (2, 0.5)]);
    numbers(folder.path(), "loss", [9.0, 8.0]);
    board.reload();
    assert_eq!(points(&board, ".", "loss").len(), 4, "a second file continues the run");

    let file = event_files(folder.path()).unwrap().remove(0);
    write_events(&file, [scalar(5, 4.0)]);
    board.reload();
    assert!(points(&board, ".", "loss").contains(&(5, 4.0)), "a shorter file is another one");
    std::fs::remove_dir_all(folder.path()).unwrap();
    board.reload();
    assert_eq!(ask(&board, "/api/state", &[])["runs"], Json::Array(vec![]));
}

#[test]
fn restarts_drop_values_that_they_replace() {
    let folder = tempfile::tempdir().unwrap();
    let start = |step| Event::new(0.0, step, SessionLog::start().into());
    let events = [version(2), scalar(1, 1.0), scalar(2, 2.0), scalar(3, 3.0), start(2), scalar(2, 2.5)];
    write_events(&folder.path().join("events.out.tfevents.1"), events);
    assert_eq!(points(&open(folder.path()), ".", "loss"), [(1, 1.0), (2, 2.5)]);
    // The first start of a run is a restart too, where a file before it has points of later steps.
    let folder = tempfile::tempdir().unwrap();
    let points_before = [5, 6, 7].map(|step| scalar(step, step as f32));
    let file = |name: &str| folder.path().join(format!("events.out.tfevents.{name}"));
    write_events(&file("1"), [version(2)].into_iter().chain(points_before));
    write_events(&file("2"), [version(2), start(6), scalar(6, 6.5)]);
    assert_eq!(points(&open(folder.path()), ".", "loss"), [(5, 5.0), (6, 6.5)]);
    // At or after all points it is the beginning of the run.
    let folder = tempfile::tempdir().unwrap();
    let events = [version(2), scalar(0, 0.5), start(0), scalar(1, 1.0), start(1), scalar(1, 1.5)];
    write_events(&folder.path().join("events.out.tfevents.1"), events);
    assert_eq!(points(&open(folder.path()), ".", "loss"), [(0, 0.5), (1, 1.5)]);
    // Old files do not tell of sessions: a step that goes back does, for the tags of that event.
    let folder = tempfile::tempdir().unwrap();
    let other = Event::new(0.0, 3, Summary::scalar("other", 1.0).into());
    write_events(
        &folder.path().join("events.out.tfevents.1"),
        [version(1), scalar(1, 1.0), scalar(2, 2.0), other, scalar(2, 2.5), start(1)],
    );
    let board = open(folder.path());
    assert_eq!(points(&board, ".", "loss"), [(1, 1.0), (2, 2.5)]);
    assert_eq!(points(&board, ".", "other"), [(3, 1.0)]);
}

#[test]
fn the_readable_part_of_damaged_files_is_shown_with_a_note() {
    let folder = tempfile::tempdir().unwrap();
    numbers(folder.path(), "loss", curve(100, 1));
    let file = event_files(folder.path()).unwrap().remove(0);
    let whole = std::fs::read(&file).unwrap();
    // The end is missing, as while it is written: no note, and it continues when it is there.
    std::fs::write(&file, &whole[..whole.len() - 5]).unwrap();
    let board = open(folder.path());
    assert_eq!(points(&board, ".", "loss").len(), 99);
    assert_eq!(run(&ask(&board, "/api/state", &[]), ".")["notes"], Json::Array(vec![]));
    std::fs::write(&file, &whole).unwrap();
    board.reload();
    assert_eq!(points(&board, ".", "loss").len(), 100);
    // A wrong byte in the middle ends the file with a note that names it.
    let mut bad = whole;
    let middle = bad.len() / 2;
    bad[middle] ^= 0x55;
    std::fs::write(&file, &bad).unwrap();
    let board = open(folder.path());
    let count = points(&board, ".", "loss").len();
    assert!((20..99).contains(&count), "{count}");
    let state = ask(&board, "/api/state", &[]);
    let note = run(&state, ".")["notes"][0].as_str().unwrap();
    assert!(note.contains("damaged at offset") && note.contains(file.to_str().unwrap()), "{note}");
    assert!(open(file.parent().unwrap()).html().contains("damaged at offset"));
}

#[test]
fn names_and_texts_of_any_kind_are_data() {
    let folder = tempfile::tempdir().unwrap();
    let writer = EventWriter::open(folder.path()).unwrap();
    let hostile = "</script><script>alert(1)</script>\u{1b}[2J\u{7}";
    writer.add_summary(Summary::scalar(hostile, 1.0), 1).unwrap();
    let long = "x".repeat(3 << 20);
    writer
        .add_summary(Summary::scalar(format!("{long}a"), 1.0).with(Value::scalar(format!("{long}b"), 2.0)), 1)
        .unwrap();
    writer.add_summary(Value::text("note", &format!("{hostile}{long}")), 1).unwrap();
    writer.close().unwrap();
    let board = open(folder.path());
    let tags = ask(&board, "/api/tags", &[]);
    let names: Vec<&String> = tags["scalar"].as_object().unwrap().keys().collect();
    assert!(names.iter().any(|name| *name == hostile));
    assert_eq!(names.len(), 3, "long tags stay apart though they are shortened");
    assert!(names.iter().all(|name| name.len() < 5000));
    let texts = ask(&board, "/api/text", &[("run", "."), ("tag", "note")]);
    let cell = &texts["texts"][0]["content"]["cells"][0];
    assert!(
        cell[0].as_str().unwrap().starts_with(hostile) && cell[1].as_u64() > Some(3_000_000),
        "truncated, and marked as such"
    );
    assert!(!board.html().contains("<script>alert"));
    let drawn = Plot::of(&board, &[hostile.to_owned()]).unwrap().terminal(60, 10, TerminalColors::None);
    assert!(!drawn.contains('\u{1b}'), "{drawn}");
}

#[test]
fn nothing_outside_the_folders_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    everything(outside.path());
    numbers(folder.path(), "loss", [1.0]);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(outside.path(), folder.path().join("link")).unwrap();
        let file = event_files(outside.path().join("adam")).unwrap().remove(0);
        std::os::unix::fs::symlink(file, folder.path().join("events.out.tfevents.9.link")).unwrap();
        let bundle = outside.path().join("adam");
        for name in ["model.ckpt-200.index", "model.ckpt-200.data-00000-of-00001"] {
            std::os::unix::fs::symlink(bundle.join(name), folder.path().join(name)).unwrap();
        }
        // A circle ends.
        std::os::unix::fs::symlink(folder.path(), folder.path().join("circle")).unwrap();
    }
    let board = open(folder.path());
    let state = ask(&board, "/api/state", &[]);
    assert_eq!(state["runs"].as_array().unwrap().len(), 1, "{state}");
    assert_eq!(ask(&board, "/api/tags", &[])["scalar"].as_object().unwrap().len(), 1);
    for path in [
        "/../../etc/passwd",
        "/%2e%2e/etc/passwd",
        "/etc/passwd",
        "//etc/passwd",
        "/board.js/../../x",
        "/api",
        "",
    ] {
        assert_eq!(board.answer(path).status, 404, "{path}");
    }
    let secret = outside.path().join("adam/model.ckpt-200");
    let secret = secret.to_str().unwrap();
    for (path, query) in [
        ("/api/scalars", vec![("tag", "../loss")]),
        ("/api/story", vec![("run", "../")]),
        ("/api/story", vec![("run", outside.path().to_str().unwrap())]),
        ("/api/checkpoint", vec![("run", "."), ("name", secret)]),
        ("/api/checkpoint", vec![("run", "."), ("name", "../adam/model.ckpt-200")]),
        ("/api/checkpoint", vec![("run", "."), ("name", "model.ckpt-200")]),
        ("/api/image", vec![("run", "."), ("tag", "loss"), ("at", "0-0-0")]),
        ("/api/graph", vec![("run", "."), ("scope", "../")]),
    ] {
        let answer = board.answer(&target(path, &query));
        assert_eq!(answer.status, 404, "{path} {query:?}: {}", String::from_utf8_lossy(&answer.body));
    }
}

#[test]
fn malformed_requests_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    numbers(folder.path(), "loss", [1.0]);
    let board = open(folder.path());
    for bad in [
        "/api/scalars",
        "/api/scalars?tag=loss&points=many",
        "/api/scalars?tag=loss&axis=depth",
        "/api/scalars?tag=loss&from=1&to=x",
        "/api/samples?run=.&tag=loss&kind=color",
        "/api/histograms?tag=loss",
    ] {
        let answer = board.answer(bad);
        assert_eq!(answer.status, 400, "{bad}");
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(serde_json::from_str::<Json>(&text).unwrap()["error"].as_str().unwrap().len() > 10, "{text}");
    }
    assert!(Board::open(&["no/such/folder"]).unwrap_err().to_string().contains("no/such/folder"));
}

#[test]
fn memory_is_bounded_whatever_a_file_holds() {
    let folder = tempfile::tempdir().unwrap();
    let mut values: Vec<f32> = curve(200_000, 7).collect();
    values[123_456] = 77.0;
    numbers(&folder.path().join("long"), "loss", values.iter().copied());
    numbers(&folder.path().join("short"), "loss", values.iter().copied().take(50));
    let board = Board::open(&[folder.path()]).unwrap().memory_limit(256 << 10);
    board.reload();
    let answer = ask(&board, "/api/scalars", &[("tag", "loss"), ("points", "100000")]);
    let long = &answer["long"];
    assert_eq!((&long["total"], &long["sampled"]), (&200_000.into(), &true.into()));
    let count = long["steps"].as_array().unwrap().len();
    assert!((1000..12_000).contains(&count), "{count} points of 24 bytes");
    let steps = long["steps"].as_array().unwrap();
    assert_eq!((steps.first(), steps.last()), (Some(&0.into()), Some(&199_999.into())));
    assert!(long["values"].as_array().unwrap().contains(&77.0.into()), "the peak is there");
    assert_eq!(answer["short"]["sampled"], false, "what is short stays as it is");
    assert_eq!(points(&board, "short", "loss").len(), 50);
}

#[test]
fn a_small_limit_of_memory_ends_every_reload() {
    let folder = tempfile::tempdir().unwrap();
    let board = Board::open(&[folder.path()]).unwrap().memory_limit(4000);
    numbers(folder.path(), "loss", curve(26_384, 7));
    board.reload();
    // Most of the later points are in the group that is not full yet.
    for count in [400, 5000, 3] {
        let writer = EventWriter::builder().suffix(format!(".{count}")).open(folder.path()).unwrap();
        for step in 0..count {
            writer.add_summary(Summary::scalar("loss", 1.0), 30_000 + count * 10 + step).unwrap();
        }
        writer.close().unwrap();
        board.reload();
    }
    let answer = ask(&board, "/api/scalars", &[("tag", "loss"), ("points", "100000")]);
    let steps = answer["."]["steps"].as_array().unwrap();
    assert!(steps.len() <= 4096 / 24, "{} points", steps.len());
}

#[test]
fn a_zoomed_range_has_all_its_points() {
    let folder = tempfile::tempdir().unwrap();
    let values: Vec<f32> = curve(50_000, 3).collect();
    numbers(folder.path(), "loss", values.iter().copied());
    let board = open(folder.path());
    let all = ask(&board, "/api/scalars", &[("tag", "loss")]);
    assert!(all["."]["sampled"] == true && all["."]["steps"].as_array().unwrap().len() <= 1002);
    let query = [("tag", "loss"), ("axis", "step"), ("from", "1000"), ("to", "1100")];
    let zoomed = ask(&board, "/api/scalars", &query);
    let steps: Vec<i64> =
        zoomed["."]["steps"].as_array().unwrap().iter().map(|step| step.as_i64().unwrap()).collect();
    assert_eq!(steps, (999..=1101).collect::<Vec<i64>>());
    let value = zoomed["."]["values"][1].as_f64().unwrap();
    assert_eq!(value, f64::from(values[1000]));
}

#[test]
fn every_view_has_its_answer() {
    let folder = tempfile::tempdir().unwrap();
    everything(folder.path());
    let board = open(folder.path());
    let tags = ask(&board, "/api/tags", &[]);
    let kinds: Vec<&String> = tags.as_object().unwrap().keys().collect();
    assert_eq!(kinds, ["audio", "histogram", "image", "scalar", "text"]);
    assert_eq!(tags["scalar"]["train/loss"]["runs"]["adam"], serde_json::json!([200, 1, 200]));

    let histograms = ask(&board, "/api/histograms", &[("run", "adam"), ("tag", "hidden/weights")]);
    let rows = histograms["histograms"].as_array().unwrap();
    assert_eq!((rows.len(), &histograms["total"]), (20, &20.into()));
    for row in rows {
        let sum: f64 = row["counts"].as_array().unwrap().iter().map(|count| count.as_f64().unwrap()).sum();
        assert!((sum - 400.0).abs() < 1e-6, "{sum}");
    }

    let about = [("run", "sgd"), ("tag", "input/image"), ("kind", "image")];
    let samples = ask(&board, "/api/samples", &about);
    let sample = &samples["samples"][3];
    assert_eq!((&sample["step"], &sample["items"][0]["width"]), (&200.into(), &16.into()));
    let at = sample["at"].as_str().unwrap();
    let image = board.answer(&target("/api/image", &[("run", "sgd"), ("tag", "input/image"), ("at", at)]));
    assert_eq!((image.status, image.content_type), (200, "image/png"));
    assert_eq!(image.body, support::image(200).encoded, "the very bytes of the file");
    let sounds = ask(&board, "/api/samples", &[("run", "sgd"), ("tag", "sound"), ("kind", "audio")]);
    let at = sounds["samples"][0]["at"].as_str().unwrap();
    let sound = board.answer(&target("/api/audio", &[("run", "sgd"), ("tag", "sound"), ("at", at)]));
    assert_eq!((sound.status, sound.content_type), (200, "audio/wav"));

    let texts = ask(&board, "/api/text", &[("run", "adam"), ("tag", "notes")]);
    assert_eq!(texts["texts"][1]["content"]["cells"][0], "step **100** of adam");

    let parameters = ask(&board, "/api/hparams", &[]);
    assert_eq!(parameters["rows"][1]["hparams"], serde_json::json!({"optimizer": "sgd", "rate": 0.1}));
    assert!(parameters["rows"][1]["metrics"]["train/loss"].is_f64());

    let story = ask(&board, "/api/story", &[("run", "adam")]);
    let said: Vec<&str> = story["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["said"]["story"].as_str().unwrap())
        .collect();
    assert_eq!(said, ["start", "started", "pace", "hooks", "checkpoint", "ended"]);

    let list = ask(&board, "/api/checkpoints", &[("run", "adam")]);
    let row = &list["checkpoints"][1];
    assert_eq!(
        (&row["name"], &row["newest"], &row["kept"]),
        (&"model.ckpt-200".into(), &true.into(), &true.into())
    );
    let tensors = ask(&board, "/api/checkpoint", &[("run", "adam"), ("name", "model.ckpt-200")]);
    assert_eq!(tensors["tensors"][1]["shape"], serde_json::json!([8, 8]));
    let query = [("run", "adam"), ("name", "model.ckpt-200"), ("tensor", "hidden/w")];
    let tensor = ask(&board, "/api/tensor", &query);
    assert_eq!((&tensor["elements"], &tensor["nan"], &tensor["zeros"]), (&64.into(), &0.into(), &1.into()));
    let verified = ask(&board, "/api/verify", &[("run", "adam"), ("name", "model.ckpt-200")]);
    assert_eq!(verified["problems"], Json::Array(vec![]));
    let data = folder.path().join("adam/model.ckpt-200.data-00000-of-00001");
    let mut bytes = std::fs::read(&data).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&data, bytes).unwrap();
    let verified = ask(&board, "/api/verify", &[("run", "adam"), ("name", "model.ckpt-200")]);
    assert_eq!(verified["problems"].as_array().unwrap().len(), 1, "{verified}");
}

#[test]
fn a_tensor_of_an_unknown_dtype_is_listed_by_the_number() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../checkpoint/tests/fixtures/unknown_dtype");
    for file in std::fs::read_dir(fixture).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    let board = open(folder.path());
    let list = ask(&board, "/api/checkpoints", &[("run", ".")]);
    assert_eq!(
        (&list["checkpoints"][0]["tensors"], &list["checkpoints"][0]["error"]),
        (&4.into(), &Json::Null)
    );
    let named = [("run", "."), ("name", "model.ckpt-1")];
    let tensors = ask(&board, "/api/checkpoint", &named);
    let row = &tensors["tensors"][0];
    assert_eq!(
        (&row["name"], &row["dtype"], &row["known"]),
        (&"plain".into(), &"dtype 99".into(), &false.into())
    );
    let shown = ask(&board, "/api/tensor", &[named[0], named[1], ("tensor", "plain")]);
    assert_eq!(shown["text"], "8 bytes of dtype 99, which is not known here");
    let verified = ask(&board, "/api/verify", &named);
    assert_eq!((&verified["tensors"], &verified["unknown"]), (&2.into(), &2.into()));
    assert_eq!(verified["problems"], Json::Array(vec![]));
}

#[test]
fn graphs_go_scope_by_scope() {
    let folder = tempfile::tempdir().unwrap();
    everything(folder.path());
    let board = open(folder.path());
    let names = |view: &Json| -> Vec<String> {
        let boxes = view["boxes"].as_array().unwrap().iter();
        boxes
            .map(|item| format!("{} {}", item["kind"].as_str().unwrap(), item["name"].as_str().unwrap()))
            .collect()
    };
    let top = ask(&board, "/api/graph", &[("run", "adam"), ("metadata", "step_100")]);
    let found = names(&top);
    for name in ["op x", "op y", "scope hidden", "scope loss"] {
        assert!(found.iter().any(|known| known == name), "{name} is not in {found:?}");
    }
    let item =
        |name: &str| top["boxes"].as_array().unwrap().iter().find(|item| item["name"] == name).unwrap();
    assert_eq!(item("hidden")["nanos"], 90_000.0);
    assert_eq!((&item("loss")["nanos"], &item("y")["nanos"]), (&10_000.0.into(), &10_000.0.into()), "shared");
    assert_eq!(item("x")["output"], "float32 [?,2]");
    // Every edge leads from the lower end of one box to the upper end of another.
    for edge in top["edges"].as_array().unwrap() {
        let (from, to) = (
            &top["boxes"][edge["from"].as_u64().unwrap() as usize],
            &top["boxes"][edge["to"].as_u64().unwrap() as usize],
        );
        let points = edge["points"].as_array().unwrap();
        let y = |point: &Json| point[1].as_f64().unwrap();
        assert!((y(&points[0]) - from["y"].as_f64().unwrap()).abs() < 45.0);
        assert!((y(points.last().unwrap()) - to["y"].as_f64().unwrap()).abs() < 45.0);
    }
    let inner = ask(&board, "/api/graph", &[("run", "adam"), ("scope", "hidden")]);
    let found = names(&inner);
    assert!(found.contains(&"op hidden/product".to_owned()), "{found:?}");
    assert!(found.contains(&"source x".to_owned()), "{found:?}");
    let node =
        ask(&board, "/api/node", &[("run", "adam"), ("name", "hidden/product"), ("metadata", "step_100")]);
    assert_eq!((&node["op"], &node["nanos"]), (&"MatMul".into(), &90_000.0.into()));
    assert_eq!(node["inputs"][0]["of"], serde_json::json!(["float32", "[?,2]"]));
    assert!(!node["users"].as_array().unwrap().is_empty());
    assert_eq!(board.answer("/api/graph?run=adam&scope=nowhere").status, 404);
}

#[test]
fn the_single_file_page_contains_all_requested_data() {
    let folder = tempfile::tempdir().unwrap();
    everything(folder.path());
    let page = open(folder.path()).html();
    let data = page.split("id=\"data\">").nth(1).unwrap().split("</script>").next().unwrap();
    let data: Json = serde_json::from_str(data).unwrap();
    for key in [
        "/api/state",
        "/api/tags",
        "/api/hparams",
        "/api/scalars\ntag=train/loss",
        "/api/histograms\nrun=adam\ntag=hidden/weights",
        "/api/samples\nkind=image\nrun=sgd\ntag=input/image",
        "/api/text\nrun=sgd\ntag=notes",
        "/api/graph\nrun=adam",
        "/api/graph\nmetadata=step_100\nrun=adam\nscope=hidden",
        "/api/node\nname=hidden/product\nrun=adam",
        "/api/checkpoint\nname=model.ckpt-100\nrun=adam",
        "/api/tensor\nname=model.ckpt-200\nrun=adam\ntensor=hidden/w",
        "/api/story\nrun=sgd",
    ] {
        assert!(
            !data[key].is_null(),
            "{key:?} is not in {:?}",
            data.as_object().unwrap().keys().collect::<Vec<_>>()
        );
    }
    assert_eq!(data["/api/state"]["embedded"], true);
    let pictures = data.as_object().unwrap().iter().filter(|(key, _)| key.starts_with("/api/image\n"));
    let urls: Vec<&str> = pictures.map(|(_, url)| url.as_str().unwrap()).collect();
    assert!(urls.len() == 8 && urls.iter().all(|url| url.starts_with("data:image/png;base64,")));
    let page = page.to_lowercase();
    assert!(!page.contains("src=\"http") && !page.contains("href=\"http") && !page.contains("@import"));
}

#[test]
fn tags_and_counts_are_those_that_tensorboard_shows() {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../summary/tests/fixtures/events");
    let board = open(&fixtures);
    let tags = ask(&board, "/api/tags", &[]);
    for name in ["scalars", "histograms", "images", "tensors_v2", "two_files", "tiny", "graph_and_logs"] {
        let expected = std::fs::read_to_string(fixtures.join(name).join("expected.json")).unwrap();
        let expected: Json = serde_json::from_str(&expected).unwrap();
        let mut seen: std::collections::BTreeMap<String, Json> = std::collections::BTreeMap::new();
        for kind in ["scalars", "histograms", "images", "audio", "tensors"] {
            for (tag, count) in expected["tensorboard_sees"][kind].as_object().unwrap() {
                seen.insert(tag.clone(), count.clone());
            }
        }
        let mut shown: std::collections::BTreeMap<String, Json> = std::collections::BTreeMap::new();
        for (_, of_kind) in tags.as_object().unwrap() {
            for (tag, about) in of_kind.as_object().unwrap() {
                if !about["runs"][name].is_null() {
                    shown.insert(tag.clone(), about["runs"][name][0].clone());
                }
            }
        }
        assert_eq!(shown, seen, "{name}");
    }
}

#[test]
fn status_shows_the_state_of_each_run() {
    let folder = tempfile::tempdir().unwrap();
    everything(folder.path());
    let status = open(folder.path()).status(None);
    let adam = &status[0];
    assert_eq!((&*adam.run, adam.step, adam.tag.as_deref()), ("adam", Some(200), Some("train/loss")));
    assert_eq!((adam.input_wait, adam.rate), (Some(0.25), Some(100.0)));
    assert_eq!(adam.checkpoint.map(|(step, _)| step), Some(200));
    assert_eq!(adam.state.as_deref(), Some("ended: hook 'StopAtStepHook' step 200 was reached"));
    assert_eq!(open(folder.path()).status(Some("rate"))[1].value, Some(f64::from(0.1f32)));
}
