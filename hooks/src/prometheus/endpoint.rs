//! A page on an HTTP port.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The time limit for a client.
const PATIENCE: Duration = Duration::from_secs(2);

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
            // One client at a time is enough for scrapes that are seconds apart, and limits what a client
            // can cost the training.
            for client in listener.incoming() {
                if served.closed.load(Ordering::Acquire) {
                    return;
                }
                // A client that disconnects does not matter to the training.
                let _ = client.and_then(|client| served.answer(client));
            }
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
    fn answer(&self, mut client: TcpStream) -> io::Result<()> {
        // A client that connects and sends nothing would otherwise block the thread, and `drop` with it.
        client.set_read_timeout(Some(PATIENCE))?;
        client.set_write_timeout(Some(PATIENCE))?;
        // A single read: the request of a scraper fits into one packet, and only its first word is looked
        // at.
        let mut request = [0; 1024];
        let length = client.read(&mut request)?;
        if !request[..length].starts_with(b"GET ") {
            return client.write_all(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n");
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
