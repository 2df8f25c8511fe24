//! A page on an HTTP port.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The time limit for a client.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest request that is read, in bytes.
const MAX_REQUEST: usize = 64 << 10;

/// The end of a request's head.
const END: &[u8] = b"\r\n\r\n";

/// The pause after a connection that could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers requests with the current page, from a thread that ends with this value.
pub(super) struct Endpoint {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// Guards the text, which is copied while it is held.
    page: Mutex<String>,
    closed: AtomicBool,
}

impl Endpoint {
    pub(super) fn open(address: impl ToSocketAddrs) -> io::Result<Endpoint> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let served = shared.clone();
        let thread = std::thread::Builder::new().name("prometheus".to_owned());
        let thread = thread.spawn(move || {
            served.serve(listener.incoming(), || std::thread::sleep(PAUSE));
        })?;
        Ok(Endpoint { address, shared, thread: Some(thread) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn set(&self, page: String) {
        *self.shared.page.lock().unwrap_or_else(PoisonError::into_inner) = page;
    }
}

impl Shared {
    /// Answers clients until the endpoint is closed.
    fn serve(&self, clients: impl Iterator<Item = io::Result<TcpStream>>, pause: impl Fn()) {
        // One client at a time is enough for scrapes that are seconds apart, and limits what a client can
        // cost the training.
        for client in clients {
            if self.closed.load(Ordering::Acquire) {
                return;
            }
            match client {
                Ok(client) => {
                    // A client that disconnects does not matter to the training.
                    let _ = self.answer(client);
                }
                // Without a file descriptor for the client, for example, accepting fails again at once.
                Err(_) => pause(),
            }
        }
    }

    fn answer(&self, mut client: TcpStream) -> io::Result<()> {
        client.set_write_timeout(Some(PATIENCE))?;
        let request = read_request(&mut client)?;
        if !request.starts_with(b"GET ") {
            return client.write_all(
                b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            );
        }
        // Copied, because a slow client must not hold the lock that the training's thread takes to set a
        // page.
        let page = self.page.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            page.len()
        );
        client.write_all(head.as_bytes())?;
        client.write_all(page.as_bytes())
    }
}

/// Reads a request up to the empty line at the end of its head.
///
/// All of it is read although only its first word is looked at: a connection that is closed with unread bytes is reset,
/// and the client may lose the answer.
fn read_request(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let begun = Instant::now();
    let (mut request, mut piece) = (Vec::new(), [0; 1024]);
    loop {
        // A client that sends nothing, or a byte from time to time, would otherwise block the thread, and `drop`
        // with it. A socket refuses a limit of zero.
        let left = PATIENCE.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        client.set_read_timeout(Some(left))?;
        let length = match client.read(&mut piece) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        request.extend_from_slice(&piece[..length]);
        // The end may begin in the piece before.
        let new = request.len().saturating_sub(length + END.len() - 1);
        if length == 0 || request[new..].windows(END.len()).any(|window| window == END) {
            return Ok(request);
        }
        if request.len() > MAX_REQUEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        // Before the connection that wakes the thread: it checks the flag after each connection.
        self.shared.closed.store(true, Ordering::Release);
        // Wakes the thread, which waits for a client.
        // A listener on all interfaces has no address to connect to; the loopback reaches it.
        let mut wake = self.address;
        if wake.ip().is_unspecified() {
            wake.set_ip(match wake.ip() {
                std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        // If nothing connects, the thread may never wake, and joining it would hang the end of the
        // training. It then ends with the process.
        let woken = TcpStream::connect_timeout(&wake, PATIENCE).is_ok();
        if let Some(thread) = self.thread.take()
            && woken
            && thread.join().is_err()
        {
            log::error!("the thread that answers Prometheus panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_failed_accept_is_followed_by_a_pause() {
        let (shared, pauses) = (Shared::default(), Cell::new(0));
        let failed = || Some(Err(io::Error::other("too many open files")));
        let clients = std::iter::from_fn(failed).take(10);
        shared.serve(clients, || {
            pauses.set(pauses.get() + 1);
            shared.closed.store(pauses.get() == 3, Ordering::Release);
        });
        assert_eq!(pauses.get(), 3, "it ends when the endpoint is closed");
    }

    #[test]
    fn a_request_is_read_to_its_end_and_no_further_than_its_limit() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let read = |bytes: Vec<u8>| {
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (mut server, _) = listener.accept().unwrap();
            std::thread::scope(|scope| {
                // The other side may stop reading, so a failed write is no failure of the test.
                scope.spawn(move || client.write_all(&bytes).is_ok());
                let request = read_request(&mut server);
                drop(server);
                request
            })
        };
        for length in [0, 1, 1000, 1002, 1003, 1020, 5000] {
            let request = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(length)).into_bytes();
            assert_eq!(read(request.clone()).unwrap(), request, "{length}");
        }
        assert_eq!(read(b"GET /".to_vec()).unwrap(), b"GET /", "the client has closed its side");
        let error = read(vec![b'x'; 2 * MAX_REQUEST]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
