//! Golden traces: which calls come in which order, in the cases that matter, and whether TensorFlow makes the same ones.
//!
//! `traces/scripts.json` holds the cases, which are played here and by `traces/play.py` on TensorFlow, whose output is kept
//! in `traces/tensorflow.json`. The result is the table `docs/traces.md`; with `MONITORED_SESSION_BLESS=1` in the
//! environment it is written, otherwise compared.

use hooks::{SessionRunArgs, SessionRunContext, SessionRunHook, SessionRunValues, SignalHook};
use monitored::{MonitoredSession, RecoveryPolicy, SessionBuilder, SingularMonitoredSession, StepContext};
use queue_runner::Coordinator;
use scaffold::Scaffold;
use serde_json::Value as Json;
use session_core::mock::MockSession;
use session_core::{
    Callable, Code, Engine, Error, ErrorKind, Graph, OpId, Operation, Result, RunMetadata, Session,
    SessionConfig, SessionExt as _, Step, StepSignature, Tensor,
};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

/// Records calls, and acts on them as the script requires.
struct Player {
    events: Vec<Json>,
    trace: Vec<String>,
    counts: HashMap<String, u64>,
    /// Tells that the signal hook has seen the signal.
    signalled: Option<Receiver<()>>,
}

type Shared = Arc<Mutex<Player>>;

#[derive(Default)]
struct Deed {
    stop: bool,
    error: Option<Error>,
}

fn call(player: &Shared, name: &str) -> Deed {
    let mut player = player.lock().unwrap();
    if !matches!(name, "body" | "step_fn") {
        player.trace.push(name.to_owned());
    }
    let count = player.counts.entry(name.to_owned()).or_default();
    *count += 1;
    let count = *count;
    let mut deed = Deed::default();
    for event in player.events.iter().filter(|event| event["at"] == name && event["nth"] == count) {
        deed.stop |= event["stop"] == true;
        deed.error = event["raise"].as_str().map(scripted);
        if event["signal"] == true {
            signal_hook::low_level::raise(signal_hook::consts::SIGTERM).unwrap();
            player.signalled.as_ref().unwrap().recv().unwrap();
        }
    }
    deed
}

/// The error of a call that the script lets fail.
fn failing(player: &Shared, name: &str) -> Result<()> {
    call(player, name).error.map_or(Ok(()), Err)
}

fn scripted(word: &str) -> Error {
    match word {
        "value" => Error::value("scripted"),
        "aborted" => Error::new(Code::Aborted, "scripted"),
        "unavailable" => Error::new(Code::Unavailable, "scripted"),
        "out_of_range" => Error::new(Code::OutOfRange, "scripted"),
        "invalid_argument" => Error::new(Code::InvalidArgument, "scripted"),
        other => panic!("no error {other}"),
    }
}

fn word(error: &Error) -> &'static str {
    match (error.kind(), error.code()) {
        (ErrorKind::Value, _) => "value",
        (ErrorKind::Runtime, _) => "runtime",
        (ErrorKind::StopIteration, _) => "stop_iteration",
        (ErrorKind::Status, Code::Aborted) => "aborted",
        (ErrorKind::Status, Code::Unavailable) => "unavailable",
        (ErrorKind::Status, Code::OutOfRange) => "out_of_range",
        (ErrorKind::Status, Code::InvalidArgument) => "invalid_argument",
        _ => panic!("unexpected: {}", error.chain()),
    }
}

struct Traced {
    name: String,
    player: Shared,
}

impl Traced {
    fn call(&self, callback: &str) -> Deed {
        call(&self.player, &format!("{}.{callback}", self.name))
    }

    fn run(&self, callback: &str, context: &mut SessionRunContext<'_>) -> Result<()> {
        let deed = self.call(callback);
        if deed.stop {
            context.request_stop("the script requires it");
        }
        deed.error.map_or(Ok(()), Err)
    }
}

impl SessionRunHook for Traced {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.name)
    }
    fn begin(&mut self, _: &Graph) -> Result<()> {
        self.call("begin").error.map_or(Ok(()), Err)
    }
    fn after_create_session(&mut self, _: &dyn Session, _: &Coordinator) -> Result<()> {
        self.call("after_create_session").error.map_or(Ok(()), Err)
    }
    fn before_run(&mut self, context: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
        self.run("before_run", context).map(|()| None)
    }
    fn after_run(&mut self, context: &mut SessionRunContext<'_>, _: &SessionRunValues<'_>) -> Result<()> {
        self.run("after_run", context)
    }
    fn end(&mut self, _: &dyn Session) -> Result<()> {
        self.call("end").error.map_or(Ok(()), Err)
    }
    fn on_error(&mut self, _: &Error) {
        self.call("on_error");
    }
}

/// A session that records what is run, and its end.
struct TracedSession {
    inner: MockSession,
    player: Shared,
    steps: [(OpId, &'static str); 3],
}

impl Session for TracedSession {
    fn graph(&self) -> &Graph {
        self.inner.graph()
    }
    fn execute(&self, step: &Step<'_>, metadata: Option<&mut RunMetadata>) -> Result<Vec<Tensor>> {
        let values = self.inner.execute(step, metadata)?;
        for (id, name) in self.steps {
            if step.targets.contains(&id) {
                failing(&self.player, name)?;
            }
        }
        Ok(values)
    }
    fn prepare(&self, signature: &StepSignature) -> Result<Callable> {
        self.inner.prepare(signature)
    }
    fn close(&self) -> Result<()> {
        if !self.inner.is_closed() {
            call(&self.player, "close");
        }
        self.inner.close()
    }
    fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }
}

struct TracedEngine {
    player: Shared,
    steps: [(OpId, &'static str); 3],
}

impl Engine for TracedEngine {
    fn new_session(&self, graph: &Graph, _: &str, _: &SessionConfig) -> Result<Arc<dyn Session>> {
        let inner = MockSession::new(graph);
        inner.otherwise(|run| Ok(vec![Tensor::from(Vec::<String>::new()); run.fetches.len()]));
        Ok(Arc::new(TracedSession { inner, player: self.player.clone(), steps: self.steps }))
    }
    fn name(&self) -> &str {
        "traced"
    }
}

/// Runs the loop of a script on a session of either kind.
trait Loops {
    fn stops(&self) -> bool;
    fn step(&mut self, train: &Operation) -> Result<()>;
    fn step_fn(&mut self, function: &mut dyn FnMut(&mut StepContext<'_>) -> Result<()>) -> Result<()>;
    fn end(&mut self) -> Result<()>;
}

macro_rules! loops {
    ($($session:ty)+) => {$(
        impl Loops for $session {
            fn stops(&self) -> bool {
                self.should_stop()
            }
            fn step(&mut self, train: &Operation) -> Result<()> {
                self.run(train, ())
            }
            fn step_fn(&mut self, function: &mut dyn FnMut(&mut StepContext<'_>) -> Result<()>) -> Result<()> {
                self.run_step_fn(function)
            }
            fn end(&mut self) -> Result<()> {
                self.close()
            }
        }
    )+};
}

loops! { SingularMonitoredSession MonitoredSession }

struct Script<'s> {
    json: &'s Json,
    player: Shared,
    train: Operation,
    raw: Operation,
}

impl Script<'_> {
    fn run_loop(&self, session: &mut dyn Loops) -> Result<()> {
        let kind = self.json["loop"].as_str().unwrap_or("while");
        for _ in 0..self.json["steps"].as_u64().unwrap() {
            if kind != "count" && session.stops() {
                break;
            }
            let outcome = if kind == "step_fn" {
                session.step_fn(&mut |context| {
                    if call(&self.player, "step_fn").stop {
                        return context.request_stop();
                    }
                    context.session().run(&self.raw, ())?;
                    context.run_with_hooks(&self.train, ())
                })
            } else {
                session.step(&self.train)
            };
            if let Err(error) = outcome {
                if self.json["catches"] != true {
                    return Err(error);
                }
                self.player.lock().unwrap().trace.push(format!("caught {}", word(&error)));
            }
            failing(&self.player, "body")?;
        }
        Ok(())
    }

    fn in_block<S: Loops + monitored::Built>(&self, builder: SessionBuilder<S>) -> Result<()> {
        let body = |session: &mut S| {
            self.run_loop(session)?;
            (0..self.json["closes"].as_u64().unwrap_or(0)).try_for_each(|_| session.end())
        };
        builder.scoped(body).map(drop)
    }

    fn without_block<S: Loops + monitored::Built>(&self, builder: SessionBuilder<S>) -> Result<()> {
        let mut session = builder.build()?;
        self.run_loop(&mut session)?;
        (0..self.json["closes"].as_u64().unwrap_or(1)).try_for_each(|_| session.end())
    }

    fn play<S: Loops + monitored::Built>(&self, builder: SessionBuilder<S>) -> Result<()> {
        let builder = (0..self.json["hooks"].as_u64().unwrap_or(2)).fold(builder, |builder, index| {
            let name = char::from(b'a' + index as u8).to_string();
            builder.hook(Traced { name, player: self.player.clone() })
        });
        if self.json["block"] == false { self.without_block(builder) } else { self.in_block(builder) }
    }
}

/// The sequence of calls that a script makes here.
fn play(json: &Json) -> Vec<String> {
    let events = json["events"].as_array().cloned().unwrap_or_default();
    let player =
        Arc::new(Mutex::new(Player { events, trace: Vec::new(), counts: HashMap::new(), signalled: None }));
    let graph = Graph::new();
    let [init, train, raw] =
        ["init", "train", "raw"].map(|name| graph.undefined_op("NoOp").name(name).finish());
    let steps = [(init.id(), "init_op"), (raw.id(), "raw run"), (train.id(), "run")];
    let engine = Arc::new(TracedEngine { player: player.clone(), steps });
    let scaffold = Scaffold::builder().init_op(&init);
    let script = Script { json, player: player.clone(), train, raw };
    let outcome = if json["session"] == "monitored" {
        // Without pauses, as TensorFlow.
        let policy = RecoveryPolicy::new().pause(std::time::Duration::ZERO, std::time::Duration::ZERO);
        script.play(MonitoredSession::builder(&graph).engine(engine).scaffold(scaffold).recovery(policy))
    } else {
        let mut builder = SingularMonitoredSession::builder(&graph).engine(engine).scaffold(scaffold);
        if json["signals"] == true {
            let (sender, receiver) = channel();
            player.lock().unwrap().signalled = Some(receiver);
            builder = builder.hook(SignalHook::new().message(move |_| sender.send(()).unwrap_or(())));
        }
        script.play(builder)
    };
    let mut trace = std::mem::take(&mut player.lock().unwrap().trace);
    trace.push(outcome.map_or_else(|error| format!("raises {}", word(&error)), |()| "returns".to_owned()));
    trace
}

// ---- the table ------------------------------------------------------------------------------------------

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/monitored/traces").join(name)
}

fn json(name: &str) -> Json {
    serde_json::from_str(&std::fs::read_to_string(file(name)).unwrap()).unwrap()
}

/// A sequence for people, the calls of one kind of all hooks in one: `after_run of a, b`.
fn text_of(trace: &[String]) -> String {
    let mut parts: Vec<(String, Vec<String>)> = Vec::new();
    for call in trace {
        let (hook, callback) = match call.split_once('.') {
            Some((hook, callback)) => (Some(hook.to_owned()), format!("`{callback}`")),
            None => (None, call.clone()),
        };
        match parts.last_mut() {
            // A hook that is called again begins another pass.
            Some((known, hooks))
                if *known == callback && hook.as_ref().is_some_and(|hook| hooks.last() < Some(hook)) =>
            {
                hooks.extend(hook);
            }
            _ => parts.push((callback, hook.into_iter().collect())),
        }
    }
    let parts: Vec<String> = parts
        .into_iter()
        .map(|(call, hooks)| if hooks.is_empty() { call } else { format!("{call} {}", hooks.join(" ")) })
        .collect();
    parts.join(" → ")
}

const HEAD: &str = "\
# The order of hook calls

The test `traces` of the crate `monitored` writes this page: it runs the cases and compares their calls with the page. The
last column has the result of the same cases with TensorFlow {version}. Hooks are called a, b and c; `run` is the
execution of the train op, `raw run` one without hooks, `close` the end of the raw session. The last word is how the block,
or the loop with its close, ends. `on_error` is a callback that TensorFlow does not have, and is left out of the comparison.

| case | calls | TensorFlow |
| --- | --- | --- |
";

#[test]
fn traces() {
    let (scripts, theirs) = (json("scripts.json"), json("tensorflow.json"));
    let mut page = HEAD.replace("{version}", theirs["tensorflow"].as_str().unwrap());
    for script in scripts.as_array().unwrap() {
        let name = script["name"].as_str().unwrap();
        let ours = play(script);
        let verdict = match (script["ours_only"].as_str(), script["differs"].as_str()) {
            (Some(reason), _) => reason.to_owned(),
            (None, reason) => {
                let comparable: Vec<String> =
                    ours.iter().filter(|call| !call.ends_with(".on_error")).cloned().collect();
                let theirs: Vec<String> = serde_json::from_value(theirs["traces"][name].clone()).unwrap();
                match reason {
                    None => {
                        assert_eq!(comparable, theirs, "{name}: TensorFlow makes other calls");
                        "same".to_owned()
                    }
                    Some(reason) => {
                        assert_ne!(comparable, theirs, "{name}: TensorFlow makes the same calls");
                        format!("differs: {reason}: {}", text_of(&theirs))
                    }
                }
            }
        };
        writeln!(page, "| {} | {} | {verdict} |", script["title"].as_str().unwrap(), text_of(&ours)).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/traces.md");
    if std::env::var_os("MONITORED_SESSION_BLESS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(known == page, "docs/traces.md is out of date: run the test with MONITORED_SESSION_BLESS=1");
}

#[test]
fn tensorflow_makes_the_recorded_calls() {
    let Some(python) = crate::support::python() else { return };
    let output =
        std::process::Command::new(python).arg(file("play.py")).arg(file("scripts.json")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let played: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(played["traces"], json("tensorflow.json")["traces"]);
}
