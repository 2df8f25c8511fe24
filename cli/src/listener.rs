//! Waiting while somebody reads the standard output.
//!
//! A program notices that the reader of its pipe is gone when it writes: the write fails with `EPIPE`. A command that waits
//! for news, and writes only when there is some, would wait forever after `monitored watch run | head -3` has its three lines.
//! Therefore it waits with `poll`, which reports the end of the reader at once.

use std::time::Duration;

/// Waits for a time, or until the reader of the standard output is gone. Returns false in the second case.
///
/// A file or `/dev/null` is never gone, so the wait takes the whole time. The same holds for the few outputs that `poll` does
/// not support, such as terminals of macOS.
pub(crate) fn wait_while_read(time: Duration) -> bool {
    #[cfg(unix)]
    if !poll(time, std::io::stdout()) {
        return false;
    }
    #[cfg(not(unix))]
    std::thread::sleep(time);
    true
}

/// Waits with `poll` on a file descriptor. Returns false if its other end is closed.
#[cfg(unix)]
fn poll(time: Duration, output: impl std::os::fd::AsFd) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec};
    use rustix::io::Errno;
    use std::time::Instant;

    let start = Instant::now();
    loop {
        // Recomputed in each round, because a signal may end the wait early.
        let left = time.saturating_sub(start.elapsed());
        // No event is asked for: errors and the end of the reader are reported in any case, and a writable pipe would end
        // the wait at once.
        let mut watched = [PollFd::new(&output, PollFlags::empty())];
        match rustix::event::poll(&mut watched, Timespec::try_from(left).ok().as_ref()) {
            Ok(0) => return true,
            Ok(_) if watched[0].revents().intersects(PollFlags::ERR | PollFlags::HUP) => return false,
            Err(Errno::INTR) => {}
            // An output that cannot be polled is taken for one that somebody reads.
            Ok(_) | Err(_) => {
                std::thread::sleep(left);
                return true;
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_wait_ends_when_the_reader_is_gone_and_not_before() {
        let (reader, writer) = std::io::pipe().unwrap();
        assert!(poll(Duration::from_millis(1), &writer), "somebody can read");
        drop(reader);
        assert!(!poll(Duration::MAX, &writer), "nobody can read");
    }

    #[test]
    fn a_file_is_always_read() {
        assert!(poll(Duration::from_millis(1), tempfile::tempfile().unwrap()));
    }
}
