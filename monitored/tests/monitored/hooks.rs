//! The interface of hooks as a session calls it (S-115 to S-136); the order of calls is in `traces`.

use crate::support::{Counting, counting};
use hooks::{ClosureHook, FeedFnHook, SessionRunArgs, SessionRunContext, SessionRunHook};
use monitored::SingularMonitoredSession;
use ops::array::placeholder;
use queue_runner::Coordinator;
use session_core::{
    AsOutput as _, DType, Error, Graph, Output, PartialShape, Result, RunMetadata, RunOptions, Session,
    SessionExt as _, Tensor, TraceLevel,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The events that hooks saw, in words.
type Seen = Arc<Mutex<Vec<String>>>;

fn say(seen: &Seen, what: impl Into<String>) {
    seen.lock().unwrap().push(what.into());
}

/// A hook that requests something in each run.
fn asking(name: &'static str, mut args: impl FnMut() -> SessionRunArgs + Send + 'static) -> ClosureHook {
    ClosureHook::new(name).before_run(move |_| Ok(Some(args())))
}

fn session(graph: &Graph, hooks: Vec<ClosureHook>) -> SingularMonitoredSession {
    let builder = SingularMonitoredSession::builder(graph);
    hooks.into_iter().fold(builder, |builder, hook| builder.hook(hook)).build().unwrap()
}

fn text_of(error: &Error) -> String {
    error.chain().to_string()
}

#[test]
fn s_115_all_five_calls_are_optional_and_begin_may_add_operations() {
    struct Nothing;
    impl SessionRunHook for Nothing {}
    struct Adds(Seen);
    impl SessionRunHook for Adds {
        fn begin(&mut self, graph: &Graph) -> Result<()> {
            assert!(!graph.is_finalized());
            let _added = ops::array::constant(&graph.named("added"), 7i64);
            Ok(())
        }
        fn after_create_session(&mut self, session: &dyn Session, coord: &Coordinator) -> Result<()> {
            assert!(session.graph().is_finalized() && !coord.should_stop());
            let value = session.run("added:0", ())?.unwrap();
            say(&self.0, format!("{value}"));
            Ok(())
        }
        fn end(&mut self, session: &dyn Session) -> Result<()> {
            assert!(!session.is_closed());
            say(&self.0, "end");
            Ok(())
        }
    }
    let seen = Seen::default();
    let Counting { graph, train_op, .. } = counting();
    let mut session =
        SingularMonitoredSession::builder(&graph).hook(Nothing).hook(Adds(seen.clone())).build().unwrap();
    session.run(&train_op, ()).unwrap();
    session.close().unwrap();
    assert_eq!(*seen.lock().unwrap(), ["7", "end"]);
}

#[test]
fn s_116_run_arguments_have_fetches_feeds_and_options() {
    let args = SessionRunArgs::new();
    assert!(
        args.is_empty()
            && args.fetches().is_empty()
            && args.feeds().is_empty()
            && args.run_options().is_none()
    );
    let foreign = counting().loss;
    let Counting { graph, train_op, .. } = counting();
    let mut session =
        session(&graph, vec![asking("stranger", move || SessionRunArgs::new().fetch(&foreign))]);
    let error = session.run(&train_op, ()).unwrap_err();
    let text = text_of(&error);
    assert!(
        text.contains("hook 'stranger' failed in before_run") && text.contains("of this graph"),
        "{text}"
    );
}

#[test]
fn s_117_the_context_shows_the_run() {
    let Counting { graph, train_op, step, loss, .. } = counting();
    let fed = placeholder(&graph.named("fed"), DType::Float32, PartialShape::scalar());
    let seen = Seen::default();
    let (first, second) = (seen.clone(), seen.clone());
    let asked = (train_op.id(), loss.endpoint(), fed.endpoint());
    let mut session = session(
        &graph,
        vec![
            ClosureHook::new("first").before_run(move |context| {
                let original = context.original_args();
                assert_eq!(original.targets, [asked.0]);
                assert_eq!(original.fetches, [asked.1]);
                assert_eq!(original.feeds[0], (asked.2, Tensor::from(2f32)));
                assert!(!context.stop_requested());
                assert_eq!(context.session().run(&step, ())?.value::<i64>()?, 0, "the state before the step");
                context.request_stop("enough");
                say(&first, context.hook_name());
                Ok(Some(SessionRunArgs::new()))
            }),
            ClosureHook::new("second").before_run(move |context| {
                assert!(context.stop_requested(), "one context for all hooks of a run");
                say(&second, context.stop_reason().unwrap().to_string());
                Ok(None)
            }),
        ],
    );
    session.run((&train_op, &loss), [(&fed, 2f32)]).unwrap();
    assert_eq!(*seen.lock().unwrap(), ["first", "hook 'first': enough"]);
}

#[test]
fn s_118_s_133_the_values_show_results_options_and_metadata() {
    let Counting { graph, train_op, loss, .. } = counting();
    let seen = Seen::default();
    let (one, none) = (seen.clone(), seen.clone());
    let fetched = loss.clone();
    let mut session = session(
        &graph,
        vec![
            asking("one", move || {
                SessionRunArgs::new()
                    .fetch(&fetched)
                    .options(RunOptions::with_timeout(Duration::from_secs(7)))
            })
            .after_run(move |_, values| {
                say(&one, format!("{} {}", values.len(), values[0].value::<f32>()?));
                say(&one, format!("{:?}", values.options().timeout));
                Ok(())
            }),
            ClosureHook::new("none").after_run(move |_, values| {
                say(&none, format!("{:?} {:?}", values.get(0), values.options().timeout));
                Ok(())
            }),
        ],
    );
    session.run(&train_op, ()).unwrap();
    // Everybody gets the options that were used, also where the user gave none.
    assert_eq!(*seen.lock().unwrap(), ["1 0.5", "Some(7s)", "None Some(7s)"]);
    let mut metadata = RunMetadata::default();
    session.run_with(&train_op, (), &RunOptions::default(), Some(&mut metadata)).unwrap();
    assert!(metadata.started.is_some(), "the user's own object is filled in");
}

#[test]
fn s_119_s_120_s_121_one_execution_serves_all_hooks() {
    let Counting { graph, train_op, step, .. } = counting();
    let read = ops::variables::VariableExt::read(&step, &graph.control_dependencies([&train_op]));
    let random = ops::random::random_uniform(&graph, &[0usize; 0][..], 0f32, 1f32, DType::Float32, None);
    let seen = Seen::default();
    let hook = |name: &'static str| {
        let (seen, random) = (seen.clone(), random.clone());
        asking(name, move || SessionRunArgs::new().fetch(&random)).after_run(move |_, values| {
            say(&seen, format!("{}", values[0]));
            Ok(())
        })
    };
    let mut session = session(&graph, vec![hook("a"), hook("b")]);
    let (value, after) = session.run((&random, &read), ()).unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(*seen, [value.to_string(), value.to_string()], "the same draw for the user and both hooks");
    assert_eq!(after.value::<i64>().unwrap(), 1, "the step was made once");
}

#[test]
fn s_122_no_run_is_made_after_a_stop() {
    let Counting { graph, train_op, .. } = counting();
    let seen = Seen::default();
    let said = seen.clone();
    let mut session = session(
        &graph,
        vec![ClosureHook::new("stops").before_run(move |context| {
            say(&said, "called");
            context.request_stop("enough");
            Ok(None)
        })],
    );
    session.run(&train_op, ()).unwrap();
    assert!(session.should_stop());
    assert_eq!(session.stop_reason().unwrap().to_string(), "hook 'stops': enough");
    let error = session.run(&train_op, ()).unwrap_err();
    assert!(error.message().contains("Run called even after should_stop"), "{error}");
    assert_eq!(seen.lock().unwrap().len(), 1, "no hook is called for it");
}

#[test]
fn s_123_a_stop_is_recorded_after_all_hooks_succeeded() {
    let Counting { graph, train_op, step, .. } = counting();
    let mut runs = 0;
    let mut session = session(
        &graph,
        vec![
            ClosureHook::new("stops").before_run(|context| {
                context.request_stop("enough");
                Ok(None)
            }),
            ClosureHook::new("fails").after_run(move |_, _| {
                runs += 1;
                if runs == 1 { Err(Error::value("not yet")) } else { Ok(()) }
            }),
        ],
    );
    assert!(session.run(&train_op, ()).is_err());
    assert!(!session.should_stop(), "the request of that run is lost");
    assert_eq!(session.run_without_hooks(&step, ()).unwrap().value::<i64>().unwrap(), 1, "the step is made");
    session.run(&train_op, ()).unwrap();
    assert!(session.should_stop());
}

#[test]
fn s_125_two_hooks_of_one_name_get_suffixes() {
    let Counting { graph, train_op, loss, step, .. } = counting();
    let seen = Seen::default();
    let hook = |output: Output| {
        let seen = seen.clone();
        asking("twin", move || SessionRunArgs::new().fetch(&output)).after_run(move |context, values| {
            say(&seen, format!("{} {}", context.hook_name(), values[0]));
            Ok(())
        })
    };
    let mut session = session(&graph, vec![hook(loss), hook(step.as_output().clone())]);
    session.run(&train_op, ()).unwrap();
    let seen = seen.lock().unwrap();
    assert!(seen[0].starts_with("twin 0.5") && seen[1].starts_with("twin_1 "), "{seen:?}");
}

#[test]
fn s_126_absent_hooks_do_nothing() {
    let Counting { graph, train_op, .. } = counting();
    let none: Option<ClosureHook> = None;
    let mut session = SingularMonitoredSession::builder(&graph).hook(none).hooks(Vec::new()).build().unwrap();
    session.run(&train_op, ()).unwrap();
    session.close().unwrap();
}

#[test]
fn s_127_each_hook_gets_its_own_results() {
    let Counting { graph, loss, .. } = counting();
    let numbers: Vec<Output> = (0..4).map(|i| ops::array::constant(&graph, i as f32)).collect();
    let seen = Seen::default();
    let hook = |name: &'static str, outputs: Vec<Output>| {
        let seen = seen.clone();
        let args = move || outputs.iter().fold(SessionRunArgs::new(), |args, output| args.fetch(output));
        asking(name, args).after_run(move |_, values| {
            say(&seen, values.iter().map(|value| format!("{value}")).collect::<Vec<_>>().join(" "));
            Ok(())
        })
    };
    let mut session = session(
        &graph,
        vec![
            hook("a", vec![numbers[2].clone(), loss.clone(), numbers[2].clone()]),
            hook("b", vec![numbers[1].clone(), numbers[3].clone()]),
        ],
    );
    let (three, half) = session.run((&numbers[3], &loss), ()).unwrap();
    assert_eq!((three, half), (Tensor::from(3f32), Tensor::from(0.5f32)));
    let texts = [[2f32, 0.5, 2.0].as_slice(), &[1.0, 3.0]].map(|values| {
        values.iter().map(|&value| Tensor::from(value).to_string()).collect::<Vec<_>>().join(" ")
    });
    assert_eq!(*seen.lock().unwrap(), texts);
}

#[test]
fn s_128_s_129_q_33_conflicting_feeds_are_errors() {
    let graph = Graph::new();
    let fed = placeholder(&graph.named("fed"), DType::Float32, PartialShape::scalar());
    let feeding = |name: &'static str| {
        let fed = fed.clone();
        asking(name, move || SessionRunArgs::new().feed(&fed, 1f32))
    };
    let mut both = session(&graph, vec![feeding("a"), feeding("b")]);
    let text = text_of(&both.run(&fed, ()).unwrap_err());
    assert!(text.contains("fed by two hooks, 'a' and 'b'") && text.contains("Conflict(s): fed:0"), "{text}");
    both.close().unwrap();
    let mut one = session(&graph, vec![feeding("a")]);
    assert_eq!(one.run(&fed, ()).unwrap(), Tensor::from(1f32));
    let text = text_of(&one.run(&fed, [(&fed, 2f32)]).unwrap_err());
    assert!(text.contains("fed by a SessionRunHook and user: hook 'a'"), "{text}");
    let text = text_of(&one.run(&fed, [("fed:0", 2f32)]).unwrap_err());
    assert!(text.contains("fed by a SessionRunHook and user"), "by its name, too: {text}");
}

#[test]
fn s_130_s_131_options_are_merged() {
    let Counting { graph, train_op, .. } = counting();
    let seen = Seen::default();
    let said = seen.clone();
    let asks = || {
        let trace = RunOptions::default().trace_level(TraceLevel::Software).inter_op_thread_pool(3);
        SessionRunArgs::new()
            .options(trace.timeout(Duration::from_secs(5)).report_tensor_allocations_upon_oom(true))
    };
    let mut session = session(
        &graph,
        vec![
            asking("asks", asks),
            ClosureHook::new("looks").after_run(move |_, values| {
                let RunOptions { trace_level, timeout, inter_op_thread_pool, .. } = values.options();
                let oom = values.options().report_tensor_allocations_upon_oom;
                say(&said, format!("{trace_level:?} {timeout:?} {inter_op_thread_pool} {oom}"));
                Ok(())
            }),
        ],
    );
    session.run(&train_op, ()).unwrap();
    let longer = RunOptions::with_timeout(Duration::from_secs(9)).inter_op_thread_pool(1);
    session.run_with(&train_op, (), &longer, None).unwrap();
    // No time-out is less than any, and the longer one wins.
    assert_eq!(*seen.lock().unwrap(), ["Software Some(5s) 3 true", "Software Some(9s) 3 true"]);
    // S-132, Q-32: the user's options are as they were.
    assert_eq!((longer.trace_level, longer.timeout), (TraceLevel::None, Some(Duration::from_secs(9))));
}

#[test]
fn s_132_q_32_the_users_options_are_not_changed() {
    let Counting { graph, train_op, .. } = counting();
    let asks = || SessionRunArgs::new().options(RunOptions::with_full_trace());
    let mut session = session(&graph, vec![asking("traces", asks)]);
    let options = RunOptions::default();
    let mut metadata = RunMetadata::default();
    session.run_with(&train_op, (), &options, Some(&mut metadata)).unwrap();
    assert_eq!(options.trace_level, TraceLevel::None);
    assert!(!metadata.step_stats.is_empty(), "the hook's wish was granted");
}

#[test]
fn s_134_an_error_names_hook_and_callback_and_keeps_its_code() {
    let Counting { graph, train_op, .. } = counting();
    let fails =
        ClosureHook::new("strict").before_run(|_| Err(Error::new(session_core::Code::DataLoss, "torn")));
    let mut failing = session(&graph, vec![fails]);
    let error = failing.run(&train_op, ()).unwrap_err();
    assert_eq!(error.code(), session_core::Code::DataLoss);
    assert!(text_of(&error).contains("hook 'strict' failed in before_run"), "{}", text_of(&error));
    drop(failing);
    let panics = ClosureHook::new("wild").before_run(|_| panic!("out of hand"));
    let error = session(&graph, vec![panics]).run(&train_op, ()).unwrap_err();
    assert_eq!(error.kind(), session_core::ErrorKind::Panic);
    assert!(text_of(&error).contains("hook 'wild' in before_run") && text_of(&error).contains("out of hand"));
}

#[test]
fn s_134_a_failure_in_begin_leaves_the_graph_unfrozen() {
    struct Fails;
    impl SessionRunHook for Fails {
        fn begin(&mut self, _: &Graph) -> Result<()> {
            Err(Error::value("no"))
        }
    }
    let graph = counting().graph;
    assert!(SingularMonitoredSession::builder(&graph).hook(Fails).build().is_err());
    assert!(!graph.is_finalized());
}

#[test]
fn s_135_s_136_the_hook_that_ended_the_input_has_its_end() {
    struct Ends(Seen);
    impl SessionRunHook for Ends {
        fn before_run(&mut self, _: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
            Err(Error::stop_iteration("nothing is left"))
        }
        fn end(&mut self, _: &dyn Session) -> Result<()> {
            say(&self.0, "end");
            Ok(())
        }
    }
    let Counting { graph, train_op, .. } = counting();
    let seen = Seen::default();
    let builder = SingularMonitoredSession::builder(&graph).hook(Ends(seen.clone()));
    let finished = builder.scoped(|session| session.run(&train_op, ())).unwrap();
    assert!(finished.value.is_none());
    let failed = SingularMonitoredSession::builder(&graph).hook(Ends(seen.clone()));
    assert!(failed.scoped(|_| Err::<(), _>(Error::value("wrong"))).is_err());
    assert_eq!(*seen.lock().unwrap(), ["end"], "of the first session only");
}

#[test]
fn s_363_feeds_from_a_function_reach_the_run() {
    let graph = Graph::new();
    let fed = placeholder(&graph.named("fed"), DType::Float32, PartialShape::scalar());
    let mut next = 0f32;
    let key = fed.clone();
    let hook = FeedFnHook::new(move || {
        next += 1.0;
        [(key.clone(), next)]
    });
    let mut session = SingularMonitoredSession::builder(&graph).hook(hook).build().unwrap();
    assert_eq!(session.run(&fed, ()).unwrap(), Tensor::from(1f32));
    assert_eq!(session.run(&fed, ()).unwrap(), Tensor::from(2f32));
}
