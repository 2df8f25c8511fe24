//! Compressed files that a thread of the session inflates ahead of the records that are read.
//!
//! Inflating takes longer than splitting bytes into records, so the two run at the same time. Blocks go
//! around: the thread fills empty ones and the reader returns them, so no memory is allocated after the first
//! blocks. The bytes and their order are those of the file; errors come at the byte where the reader would
//! have met them.

use super::source::Failure;
use crate::kernels::data::dataset::Run;
use crate::kernels::io::read_up_to;
use session_core::CancellationToken;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The bytes that are inflated at a time. Each block costs a lock and perhaps a wake-up.
const BLOCK: usize = 128 << 10;

/// The thread waits when this number of blocks waits for the reader.
const BLOCKS: usize = 3;

/// Returns the bytes of a file that `inflating` inflates, up to where they fail. A thread inflates them; this
/// one does where no thread can be started.
///
/// `failure` receives the error of a thread that panics. The thread ends with the file, the reader, or the
/// session.
pub(super) fn in_background(
    name: &str,
    inflating: Box<dyn Read + Send>,
    failure: Failure,
    run: &Run<'_>,
) -> Box<dyn Read + Send> {
    let shared = Arc::new(Shared::default());
    // The reader stays with the caller until the thread has been started.
    let (begins, begin) = mpsc::channel();
    let (session, channel) = (run.limits.session.clone(), shared.clone());
    let work = move || {
        let _ended = Ended { shared: &channel, failure };
        if let Ok(inflating) = begin.recv() {
            channel.work(inflating, &session);
        }
    };
    match run.environment.threads.spawn("inflate", format!("inflation of file '{name}'"), work) {
        Ok(()) => {
            // A thread that has ended has already reported so to the reader.
            let _ = begins.send(inflating);
            Box::new(Inflated { shared, block: Vec::new(), at: 0 })
        }
        Err(error) => {
            log::warn!("'{name}' is inflated while it is read: {}", error.chain());
            inflating
        }
    }
}

/// The blocks on their way from the thread to the reader.
#[derive(Default)]
struct Shared {
    /// Guards the blocks; nothing is inflated under the lock.
    state: Mutex<State>,
    /// Notified when a block was put or taken, and at the end.
    changed: Condvar,
}

/// The blocks and what the two sides tell each other.
#[derive(Default)]
struct State {
    /// Blocks that were inflated and not read, in order. The last one of a file may be empty.
    full: VecDeque<Vec<u8>>,
    /// Blocks that were read, to be filled again.
    empty: Vec<Vec<u8>>,
    /// The thread puts no more blocks.
    ended: bool,
    /// The reader takes no more blocks, or the session is closed.
    stopped: bool,
}

impl Shared {
    /// Locks the blocks for a moment.
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under the lock leaves it half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the other side has changed something.
    fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the thread to end, and wakes both sides.
    fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Inflates blocks until the file, the reader or the session ends: the life of the thread.
    fn work(self: &Arc<Self>, mut inflating: Box<dyn Read + Send>, session: &CancellationToken) {
        let _interrupts = session.on_cancel({
            let shared = self.clone();
            move || shared.stop()
        });
        while let Some(mut block) = self.room() {
            block.clear();
            // Errors are left in the failure, and reported after the bytes before them.
            let read = read_up_to(&mut inflating, BLOCK as u64, &mut block);
            self.lock().full.push_back(block);
            self.changed.notify_all();
            // Fewer bytes than requested are the end of the file.
            if read.is_ok_and(|count| count < BLOCK) {
                return;
            }
        }
    }

    /// Returns a block to fill as soon as there is room for one, and none when the thread shall end.
    fn room(&self) -> Option<Vec<u8>> {
        let mut state = self.lock();
        while state.full.len() >= BLOCKS && !state.stopped {
            state = self.wait(state);
        }
        if state.stopped {
            return None;
        }
        Some(state.empty.pop().unwrap_or_else(|| Vec::with_capacity(BLOCK)))
    }
}

/// Reports the end of the thread to the reader, also that of a thread that panics.
struct Ended<'s> {
    /// The blocks.
    shared: &'s Shared,
    /// Receives the error of a panic, before the reader sees the end.
    failure: Failure,
}

impl Drop for Ended<'_> {
    /// Notes a panic, then marks the end, in this order: the reader asks for the error when it has seen the
    /// end.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.failure.set(io::Error::other("the thread that inflates the file has panicked"));
        }
        self.shared.lock().ended = true;
        self.shared.changed.notify_all();
    }
}

/// The reader's side.
struct Inflated {
    /// The blocks.
    shared: Arc<Shared>,
    /// The block that is read.
    block: Vec<u8>,
    /// The number of bytes of the block that were read.
    at: usize,
}

impl Read for Inflated {
    /// Returns bytes of the present block, or waits for the next one. No bytes are the end of the file, or
    /// the place where it fails.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.block.len() {
            let mut state = self.shared.lock();
            loop {
                if let Some(block) = state.full.pop_front() {
                    state.empty.push(std::mem::replace(&mut self.block, block));
                    self.at = 0;
                    break;
                }
                // Looked at after the blocks: those before the end are still read. A thread that was stopped has
                // ended as well, and not at the end of the file.
                if state.stopped {
                    return Err(io::Error::other("the session has been closed"));
                }
                if state.ended {
                    return Ok(0);
                }
                state = self.shared.wait(state);
            }
            drop(state);
            self.shared.changed.notify_all();
        }
        let count = into.len().min(self.block.len() - self.at);
        into[..count].copy_from_slice(&self.block[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

impl Drop for Inflated {
    /// Lets the thread end after the block that it inflates; does not wait for it.
    fn drop(&mut self) {
        self.shared.stop();
    }
}
