//! Writing past the page cache.
//!
//! A large durable save through the page cache copies everything twice and then waits for all of it.
//! With `O_DIRECT` the device reads our own buffers: one thread fills and sums them, another hands full
//! ones to the system.

use super::WriteFile;
use memmap2::MmapMut;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

/// An alignment of memory, offset, and length that every device accepts.
const ALIGN: usize = 4096;
/// Large enough to be written at full speed, small enough that all of them stay below 16 MB.
const BUFFER: usize = 4 << 20;
// One is filled, one is written, and one is ready for whichever side is faster.
const BUFFERS: usize = 3;

/// A file that is written with `O_DIRECT` by its own thread.
#[derive(Debug)]
pub(super) struct DirectFile {
    /// The buffer being filled.
    buffer: Option<MmapMut>,
    filled: usize,
    /// Bytes handed to `write`.
    len: u64,
    /// `None` after the end.
    full: Option<Sender<(MmapMut, usize)>>,
    empty: Receiver<MmapMut>,
    thread: Option<JoinHandle<io::Result<File>>>,
}

impl DirectFile {
    /// Creates the file; `Unsupported` when this file system has no direct writing.
    pub(super) fn create(path: &Path) -> io::Result<DirectFile> {
        // `EINVAL` means that this file system (such as tmpfs on older kernels) does not know the flag.
        let opened = options().custom_flags(libc::O_DIRECT).open(path);
        let file = match opened {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                return Err(io::ErrorKind::Unsupported.into());
            }
            other => other?,
        };
        let (full, to_write) = channel();
        let (written, empty) = channel();
        for _ in 0..BUFFERS {
            // Sending to a receiver that is held here cannot fail.
            let _ = written.send(MmapMut::map_anon(BUFFER)?);
        }
        let writer = Writer { file, path: path.to_path_buf(), offset: 0 };
        let thread = thread::Builder::new().name("checkpoint-write".to_owned());
        let thread = thread.spawn(move || writer.run(&to_write, &written))?;
        Ok(DirectFile { buffer: None, filled: 0, len: 0, full: Some(full), empty, thread: Some(thread) })
    }

    /// Hands the current buffer to the thread.
    fn hand_over(&mut self, len: usize) -> io::Result<()> {
        let (Some(buffer), Some(full)) = (self.buffer.take(), &self.full) else { return Ok(()) };
        self.filled = 0;
        if full.send((buffer, len)).is_err() {
            return Err(self.failure());
        }
        Ok(())
    }

    /// Returns the reason why the thread ended early.
    fn failure(&mut self) -> io::Error {
        match self.join() {
            Err(error) => error,
            Ok(_) => io::Error::other("the writing thread ended early"),
        }
    }

    fn join(&mut self) -> io::Result<File> {
        self.full = None;
        let thread = self.thread.take().ok_or_else(|| io::Error::other("the file is complete already"))?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the writing thread panicked")))
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    options
}

impl WriteFile for DirectFile {
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.len += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.buffer.is_none() {
                // No buffer comes back from a thread that has failed.
                match self.empty.recv() {
                    Ok(buffer) => self.buffer = Some(buffer),
                    Err(_) => return Err(self.failure()),
                }
            }
            let Some(buffer) = &mut self.buffer else { continue };
            let (now, later) = bytes.split_at(bytes.len().min(BUFFER - self.filled));
            buffer[self.filled..self.filled + now.len()].copy_from_slice(now);
            self.filled += now.len();
            bytes = later;
            if self.filled == BUFFER {
                self.hand_over(BUFFER)?;
            }
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let padded = self.filled.next_multiple_of(ALIGN);
        if let Some(buffer) = &mut self.buffer {
            // A direct write needs a whole number of blocks. What it writes too much is cut off below.
            buffer[self.filled..padded].fill(0);
            self.hand_over(padded)?;
        }
        let file = self.join()?;
        // Before the sync, so that the length is on disk with the data.
        file.set_len(self.len)?;
        file.sync_all()
    }
}

impl Drop for DirectFile {
    fn drop(&mut self) {
        self.full = None;
        if let Some(thread) = self.thread.take() {
            // Its error was reported by a write, or the file is being given up.
            let _ = thread.join();
        }
    }
}

struct Writer {
    file: File,
    path: PathBuf,
    offset: u64,
}

impl Writer {
    fn run(mut self, full: &Receiver<(MmapMut, usize)>, empty: &Sender<MmapMut>) -> io::Result<File> {
        for (buffer, len) in full {
            self.write(&buffer[..len])?;
            self.offset += len as u64;
            // The other side may not want it any more.
            let _ = empty.send(buffer);
        }
        Ok(self.file)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.file.write_all_at(bytes, self.offset) {
            // Some file systems refuse only when they are asked to write.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                self.file = OpenOptions::new().write(true).open(&self.path)?;
                self.file.write_all_at(bytes, self.offset)
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns lengths around all boundaries.
    #[test]
    fn files_contain_exactly_the_written_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let data: Vec<u8> = (0..2 * BUFFER + 5000).map(|i| (i * 7 + i / 251) as u8).collect();
        for (i, len) in [0, 1, ALIGN, ALIGN + 1, BUFFER - 1, BUFFER, data.len()].into_iter().enumerate() {
            let path = folder.path().join(i.to_string());
            let mut file = match DirectFile::create(&path) {
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    eprintln!("skipped: no direct writing in {}", folder.path().display());
                    return;
                }
                other => other.unwrap(),
            };
            for piece in data[..len].chunks(100_003) {
                file.write(piece).unwrap();
            }
            file.sync().unwrap();
            assert!(std::fs::read(&path).unwrap() == data[..len], "{len}");
        }
    }

    #[test]
    fn an_abandoned_file_ends_its_thread() {
        let folder = tempfile::tempdir().unwrap();
        if let Ok(mut file) = DirectFile::create(&folder.path().join("x")) {
            file.write(&[1; 10_000_000]).unwrap();
            drop(file);
        }
    }
}
