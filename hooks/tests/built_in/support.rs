//! A scripted training program, and a driver that calls hooks as a monitored session does.

use hooks::*;
use ops::global_step::{create_global_step, global_step_read};
use queue_runner::{Coordinator, StopHandle, StopReason};
use session_core::mock::MockSession;
use session_core::{
    DType, Graph, Operation, Output, OutputInfo, PartialShape, Result, RunMetadata, RunOptions, Session,
    Step, Tensor, Variable,
};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A clock that tests advance.
#[derive(Default)]
pub(crate) struct HandClock(Mutex<Duration>);

impl HandClock {
    pub(crate) fn new() -> Arc<HandClock> {
        Arc::default()
    }

    pub(crate) fn advance(&self, millis: u64) {
        *self.0.lock().unwrap() += Duration::from_millis(millis);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    fn sleep(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

/// The outputs of the scripted program.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) step: i64,
    /// The advance of the step in one run.
    pub(crate) advance: i64,
    pub(crate) values: HashMap<String, Tensor>,
    /// The number of fetches of each output.
    pub(crate) fetched: HashMap<String, usize>,
}

/// A graph with a global step, a loss, a training step and a placeholder, and a session that executes it.
pub(crate) struct Program {
    pub(crate) graph: Graph,
    pub(crate) session: MockSession,
    pub(crate) step: Variable,
    pub(crate) loss: Output,
    pub(crate) train: Operation,
    pub(crate) world: Arc<Mutex<World>>,
}

impl Program {
    pub(crate) fn new() -> Program {
        let graph = Graph::new();
        let step = create_global_step(&graph);
        let loss = output(&graph, "loss", DType::Float32);
        let train = graph.undefined_op("Train").name("train").finish();
        let read = global_step_read(&graph).unwrap().unwrap().name();
        let session = MockSession::new(&graph);
        let world = Arc::new(Mutex::new(World { advance: 1, ..World::default() }));
        let (snapshot, shared) = (step.snapshot().name(), world.clone());
        session.otherwise(move |run| {
            let mut world = shared.lock().unwrap();
            let answer = |name: &String| match world.values.get(name) {
                Some(value) => value.clone(),
                None if *name == read || *name == snapshot => Tensor::from(world.step),
                None => Tensor::from(0f32),
            };
            let values = run.fetches.iter().map(answer).collect();
            for name in &run.fetches {
                *world.fetched.entry(name.clone()).or_default() += 1;
            }
            if run.targets.iter().any(|target| target == "train") {
                world.step += world.advance;
            }
            if run.targets.iter().any(|target| target == "jump") {
                world.step += 50;
            }
            Ok(values)
        });
        Program { graph, session, step, loss, train, world }
    }

    pub(crate) fn at(self, step: i64) -> Program {
        self.set_step(step);
        self
    }

    pub(crate) fn set_step(&self, step: i64) {
        self.world.lock().unwrap().step = step;
    }

    pub(crate) fn set(&self, output: &Output, value: impl Into<Tensor>) {
        self.world.lock().unwrap().values.insert(output.name(), value.into());
    }

    pub(crate) fn fetched(&self, output: &Output) -> usize {
        self.world.lock().unwrap().fetched.get(&output.name()).copied().unwrap_or(0)
    }

    pub(crate) fn drive(&self, hooks: Vec<Box<dyn SessionRunHook>>) -> Driver<'_> {
        Driver {
            program: self,
            hooks,
            stop: None,
            created: None,
            metadata: RunMetadata::default(),
            coordinator: Coordinator::new(),
        }
    }

    /// Creates a driver whose hooks have begun and whose session was created.
    pub(crate) fn start<H: SessionRunHook + 'static>(&self, hook: H) -> Driver<'_> {
        let mut driver = self.drive(vec![Box::new(hook)]);
        driver.begin().unwrap();
        driver.create(&[]).unwrap();
        driver
    }
}

pub(crate) fn output(graph: &Graph, name: &str, dtype: DType) -> Output {
    let info = OutputInfo { dtype, shape: PartialShape::unknown(), is_ref: false };
    graph.undefined_op("Value").name(name).described_output(info).finish_output()
}

/// Calls hooks in the order that the trait documents.
pub(crate) struct Driver<'a> {
    pub(crate) program: &'a Program,
    pub(crate) hooks: Vec<Box<dyn SessionRunHook>>,
    /// The stop that a run or save point requested.
    pub(crate) stop: Option<StopReason>,
    pub(crate) created: Option<StopReason>,
    /// The metadata of runs.
    pub(crate) metadata: RunMetadata,
    coordinator: Coordinator,
}

impl Driver<'_> {
    pub(crate) fn begin(&mut self) -> Result<()> {
        let stop = StopHandle::new();
        self.hooks.iter_mut().for_each(|hook| hook.attach(&stop));
        self.hooks.iter_mut().try_for_each(|hook| hook.begin(&self.program.graph))
    }

    /// Reports a created session to the hooks, with the states that a checkpoint had for hooks of these names.
    pub(crate) fn create(&mut self, restored: &[(&str, Vec<u8>)]) -> Result<()> {
        for hook in &mut self.hooks {
            let name = hook.name().into_owned();
            if let Some((_, state)) = restored.iter().find(|(known, _)| *known == name) {
                hook.load_state(state)?;
            }
        }
        for hook in &mut self.hooks {
            hook.after_create_session(&self.program.session, &self.coordinator)?;
        }
        self.save_points(Moment::Created)?;
        self.created = self.stop.take();
        Ok(())
    }

    pub(crate) fn save_points(&mut self, moment: Moment) -> Result<()> {
        for index in 0..self.hooks.len() {
            let (before, rest) = self.hooks.split_at_mut(index);
            let (hook, after) = rest.split_first_mut().unwrap();
            let others: Vec<&dyn SessionRunHook> =
                before.iter().chain(after.iter()).map(|hook| &**hook as &dyn SessionRunHook).collect();
            let peers = || {
                let states = others.iter();
                let state = |hook: &&dyn SessionRunHook| {
                    Some(HookState { name: hook.name().into_owned(), bytes: hook.save_state()? })
                };
                states.filter_map(state).collect()
            };
            let name = hook.name().into_owned();
            let mut point = SavePoint::new(&self.program.session, moment, &name, &peers);
            hook.at_save_point(&mut point)?;
            if self.stop.is_none() {
                self.stop = point.take_stop();
            }
        }
        Ok(())
    }

    /// Runs one training step.
    pub(crate) fn run(&mut self) -> Result<()> {
        self.run_target(Some(&self.program.train.clone()))
    }

    pub(crate) fn run_target(&mut self, target: Option<&Operation>) -> Result<()> {
        let session: &dyn Session = &self.program.session;
        let mut context = SessionRunContext::new(session, OriginalArgs::default());
        let names: Vec<String> = self.hooks.iter().map(|hook| hook.name().into_owned()).collect();
        let mut fetches = Vec::new();
        let mut targets: Vec<_> = target.map(Operation::id).into_iter().collect();
        let (mut feeds, mut options, mut positions) = (Vec::new(), RunOptions::default(), Vec::new());
        for (hook, name) in self.hooks.iter_mut().zip(&names) {
            context.enter(name);
            let args = hook.before_run(&mut context)?.unwrap_or_default();
            args.check(self.program.graph.operation_by_id(0).unwrap().graph_id())?;
            positions.push(
                (fetches.len() as u32..(fetches.len() + args.fetches().len()) as u32).collect::<Vec<_>>(),
            );
            fetches.extend_from_slice(args.fetches());
            targets.extend_from_slice(args.targets());
            feeds.extend_from_slice(args.feeds());
            if let Some(wanted) = args.run_options() {
                options.merge(wanted);
            }
        }
        let step = Step { fetches: &fetches, targets: &targets, feeds: &feeds, options: &options };
        let results = session.execute(&step, Some(&mut self.metadata))?;
        for ((hook, name), positions) in self.hooks.iter_mut().zip(&names).zip(&positions) {
            context.enter(name);
            hook.after_run(
                &mut context,
                &SessionRunValues::new(&results, positions, &options, &self.metadata),
            )?;
        }
        self.stop = context.take_stop();
        self.save_points(Moment::Step)
    }

    /// Runs training steps until a stop, at most this many. Returns their number.
    pub(crate) fn runs(&mut self, count: usize) -> usize {
        (1..=count)
            .find(|_| {
                self.run().unwrap();
                self.stop.is_some()
            })
            .unwrap_or(count)
    }

    pub(crate) fn end(&mut self) -> Result<()> {
        self.save_points(Moment::End)?;
        self.hooks.iter_mut().try_for_each(|hook| hook.end(&self.program.session))
    }

    pub(crate) fn states(&self) -> Vec<(String, Vec<u8>)> {
        let states = self.hooks.iter().map(|hook| (hook.name().into_owned(), hook.save_state()));
        states.filter_map(|(name, state)| Some((name, state?))).collect()
    }
}

/// The saved states that [`Driver::create`] takes.
pub(crate) fn borrowed(states: &[(String, Vec<u8>)]) -> Vec<(&str, Vec<u8>)> {
    states.iter().map(|(name, state)| (&**name, state.clone())).collect()
}

/// Lines that a hook wrote.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    pub(crate) fn sink(&self) -> impl FnMut(&str) + Send + 'static {
        let lines = self.0.clone();
        move |line: &str| lines.lock().unwrap().push(line.to_owned())
    }

    pub(crate) fn push(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// Keeps the log of each thread, because tests run in parallel.
struct Log;

thread_local! {
    static LOGGED: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(Vec::new()) };
}

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {}", record.level(), record.args());
        LOGGED.with_borrow_mut(|lines| lines.push(line));
    }

    fn flush(&self) {}
}

/// Returns the log of this thread since the last call; the first call starts the recording.
pub(crate) fn logged() -> Vec<String> {
    if log::set_logger(&Log).is_ok() {
        log::set_max_level(log::LevelFilter::Trace);
    }
    LOGGED.take()
}
