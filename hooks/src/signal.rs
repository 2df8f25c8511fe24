//! Stopping cleanly when the system or a user ends the process.

use crate::SessionRunHook;
use crate::sink::LineSink;
use queue_runner::StopHandle;
use session_core::{Code, Error, Graph, Phase, Result};
use signal_hook::consts::{FORBIDDEN, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use signal_hook::low_level::{signal_name, unregister};
use signal_hook::{SigId, flag};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Stops the session when the process receives a signal: Ctrl-C, `kill`, the end of a container. Unix only.
///
/// - The first signal requests a stop: the running step ends and the session closes normally, so the last step is saved.
///   This works in every phase of the session.
/// - If something still blocks after the [`patience`](SignalHook::patience), such as a step that waits for input, it is
///   cancelled.
/// - A second signal of any of these kinds ends the process at once, with exit code 128 + its number. Checkpoints are
///   complete or absent at all times.
///
/// The hook handles signals from the moment it is attached to a session until it is dropped. After that, signals have their
/// default effect again, which is to end the process. The [`receipt`](SignalHook::receipt), which outlives the hook, says
/// which signal was received, and the matching exit code.
///
/// # Errors
///
/// `begin`: if a signal cannot be handled, such as `SIGKILL`, or if the thread that waits for signals cannot be started.
///
/// ```
/// use hooks::SignalHook;
/// use std::time::Duration;
/// let hook = SignalHook::new().patience(Duration::from_secs(20));
/// let receipt = hook.receipt();
/// // ... pass the hook to a session, train, close ...
/// if let Some(code) = receipt.exit_code() {
///     std::process::exit(code);
/// }
/// ```
pub struct SignalHook {
    signals: Vec<i32>,
    patience: Option<Duration>,
    message: Option<LineSink>,
    receipt: SignalReceipt,
    watch: Option<Watch>,
    /// The reason why signals are not handled.
    failure: Option<Error>,
}

/// The first signal that a [`SignalHook`] received. Clones share it.
///
/// ```
/// use hooks::SignalHook;
/// let hook = SignalHook::new();
/// let receipt = hook.receipt();
/// assert_eq!((receipt.signal(), receipt.exit_code()), (None, None));
/// ```
#[derive(Clone, Debug, Default)]
pub struct SignalReceipt(Arc<AtomicI32>);

impl SignalReceipt {
    /// Returns the number of the signal, if one was received.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        match self.0.load(Ordering::Acquire) {
            0 => None,
            signal => Some(signal),
        }
    }

    /// Returns the exit code that shells use for a process that a signal ended: 128 + the signal's number.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        self.signal().map(|signal| 128 + signal)
    }
}

impl Default for SignalHook {
    fn default() -> SignalHook {
        SignalHook::new()
    }
}

impl SignalHook {
    /// Creates a hook that stops on `SIGINT` and `SIGTERM`.
    ///
    /// ```
    /// use hooks::SignalHook;
    /// let hook = SignalHook::new();
    /// ```
    #[must_use]
    pub fn new() -> SignalHook {
        SignalHook {
            signals: vec![SIGINT, SIGTERM],
            patience: Some(Duration::from_secs(10)),
            message: None,
            receipt: SignalReceipt::default(),
            watch: None,
            failure: None,
        }
    }

    /// Sets the signals to stop on. Default: `SIGINT` and `SIGTERM`.
    ///
    /// ```
    /// use hooks::SignalHook;
    /// const SIGUSR1: i32 = 10;
    /// let hook = SignalHook::new().signals([SIGUSR1]);
    /// ```
    #[must_use]
    pub fn signals(mut self, signals: impl IntoIterator<Item = i32>) -> SignalHook {
        self.signals = signals.into_iter().collect();
        self
    }

    /// Sets the time that the running step may continue after the signal before it is cancelled; `Duration::MAX` never cancels. A
    /// cancelled step may have updated only some of the variables. Default: 10 s.
    ///
    /// ```
    /// use hooks::SignalHook;
    /// use std::time::Duration;
    /// let hook = SignalHook::new().patience(Duration::from_secs(60));
    /// ```
    #[must_use]
    pub fn patience(mut self, time: Duration) -> SignalHook {
        self.patience = (time != Duration::MAX).then_some(time);
        self
    }

    /// Passes the message about a received signal to a function. Default: to the log, at level warn.
    ///
    /// ```
    /// use hooks::SignalHook;
    /// let hook = SignalHook::new().message(|text| eprintln!("{text}"));
    /// ```
    #[must_use]
    pub fn message(mut self, message: impl FnMut(&str) + Send + 'static) -> SignalHook {
        self.message = Some(Box::new(message));
        self
    }

    /// Returns a receipt that states which signal was received, and that outlives the hook.
    #[must_use]
    pub fn receipt(&self) -> SignalReceipt {
        self.receipt.clone()
    }

    fn watch(&mut self, stop: &StopHandle) -> Result<Watch> {
        // The signal library panics on these, which no handler can receive.
        if let Some(signal) = self.signals.iter().find(|signal| FORBIDDEN.contains(signal)) {
            return Err(Error::value(format!("signal {signal} cannot be handled")));
        }
        let reaction = Reaction {
            // The handle works without the session: a signal may arrive while the session is created,
            // restored or recovered.
            stop: stop.clone(),
            patience: self.patience,
            message: self.message.take().unwrap_or_else(|| Box::new(|line| log::warn!("{line}"))),
            receipt: self.receipt.clone(),
        };
        Watch::start(&self.signals, reaction).map_err(|error| {
            Error::new(Code::Internal, "could not start to handle signals")
                .with_phase(Phase::Init)
                .with_source(error)
        })
    }
}

impl SessionRunHook for SignalHook {
    fn attach(&mut self, stop: &StopHandle) {
        // The claims of an earlier session of this hook end before the new ones begin; otherwise the flag
        // of its first signal, if set, would make the next signal end the process.
        self.watch = None;
        match self.watch(stop) {
            Ok(watch) => self.watch = Some(watch),
            // `attach` cannot fail, so `begin`, which follows, returns the error.
            Err(error) => self.failure = Some(error),
        }
    }

    fn begin(&mut self, _: &Graph) -> Result<()> {
        self.failure.take().map_or(Ok(()), Err)
    }
}

impl fmt::Debug for SignalHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignalHook")
            .field("signals", &self.signals)
            .field("patience", &self.patience)
            .field("receipt", &self.receipt)
            .finish_non_exhaustive()
    }
}

/// The reaction to the first signal.
struct Reaction {
    stop: StopHandle,
    patience: Option<Duration>,
    message: LineSink,
    receipt: SignalReceipt,
}

impl Reaction {
    fn run(mut self, signal: i32, closed: &Receiver<()>) {
        let name = signal_name(signal).map_or_else(|| format!("signal {signal}"), str::to_owned);
        // Pairs with the load in `signal`.
        self.receipt.0.store(signal, Ordering::Release);
        self.stop.request_stop(format!("{name} was received"));
        (self.message)(&format!(
            "{name} was received: stopping after this step; a second signal ends the process at once"
        ));
        let Some(patience) = self.patience else { return };
        // A closed channel means that the session has ended and the hook was dropped, so there is nothing
        // left to cancel.
        if closed.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            (self.message)(&format!(
                "cancelling the step that still runs {} s after {name}",
                patience.as_secs_f32()
            ));
            self.stop.interrupt(format!("{name} was received"));
        }
    }
}

/// The signal handlers, and the thread that waits for the first signal.
struct Watch {
    /// Replaces the default effect of the signals.
    claims: Vec<Claim>,
    second: Vec<SigId>,
    handle: Handle,
    closed: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    fn start(signals: &[i32], reaction: Reaction) -> io::Result<Watch> {
        // First the claims: from here on a signal no longer has its default effect, and if a later step
        // fails, dropping them restores it.
        let claims = signals.iter().map(|&signal| Claim::of(signal)).collect::<io::Result<Vec<_>>>()?;
        let mut incoming = Signals::new(signals)?;
        let (closed, when_closed) = mpsc::channel();
        // Built before the registrations below, so that an error in one of them unregisters those before
        // it, through `drop`.
        let mut watch = Watch {
            claims,
            second: Vec::new(),
            handle: incoming.handle(),
            closed: Some(closed),
            thread: None,
        };
        let first_came = Arc::new(AtomicBool::new(false));
        for &signal in signals {
            // The order matters: the flag that the first signal sets makes the second one end the process.
            watch.second.push(flag::register_conditional_shutdown(signal, 128 + signal, first_came.clone())?);
            watch.second.push(flag::register(signal, first_came.clone())?);
        }
        let thread = thread::Builder::new().name("signals".to_owned());
        // Handlers may only do what is async-signal-safe. Requesting a stop takes locks, so it happens in
        // a thread.
        watch.thread = Some(thread.spawn(move || {
            if let Some(signal) = incoming.forever().next() {
                reaction.run(signal, &when_closed);
            }
        })?);
        Ok(watch)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // First, so that no signal arrives between the two ways to end.
        self.claims.clear();
        // Ends `forever`, if no signal came.
        self.handle.close();
        // Ends the wait for the patience, if one did.
        self.closed = None;
        for id in self.second.drain(..) {
            unregister(id);
        }
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            log::error!("the thread that waits for signals panicked");
        }
    }
}

/// Replaces the default effect of a signal. Once a handler is installed, the system's default is gone for the process, so
/// a handler that acts while nothing claims the signal takes its place.
struct Claim(i32);

struct Claimed {
    users: usize,
    unclaimed: Arc<AtomicBool>,
}

/// Guards the claims of all signals. Only registrations happen while it is held.
static CLAIMED: Mutex<BTreeMap<i32, Claimed>> = Mutex::new(BTreeMap::new());

impl Claim {
    fn of(signal: i32) -> io::Result<Claim> {
        let mut all = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
        let claimed = match all.entry(signal) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                // Registered once per signal and never removed: it gives the signal its default effect while
                // nothing claims it.
                let unclaimed = Arc::new(AtomicBool::new(true));
                flag::register_conditional_default(signal, unclaimed.clone())?;
                place.insert(Claimed { users: 0, unclaimed })
            }
        };
        claimed.users += 1;
        claimed.unclaimed.store(false, Ordering::SeqCst);
        Ok(Claim(signal))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut all = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(claimed) = all.get_mut(&self.0) {
            claimed.users -= 1;
            claimed.unclaimed.store(claimed.users == 0, Ordering::SeqCst);
        }
    }
}
