//! The HTTP server of the page on the local machine.
//!
//! A request never names a file: it names runs and tags, which are looked up. The header `Host` is checked against DNS rebinding, and the content
//! security policy allows nothing from elsewhere.
//!
//! # Why a host check
//!
//! A page of another site can make a browser send requests to `127.0.0.1`, but it cannot read the answers, unless the
//! site's own host name resolves to this machine (DNS rebinding). Requests for unknown host names are therefore
//! refused. IP addresses are safe, because a foreign page never has one as its origin.
//!
//! # Threads
//!
//! One thread accepts connections and writes answers. Answers are computed on up to four blocking threads, because
//! they read files. A further thread reads new events at the interval.
//!

use crate::answer::{Answer, JSON};
use crate::{Board, Error};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

/// Allows the page's own scripts and styles only, and nothing from elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
    media-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The time that a connection may take to send its request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves a [`Board`] over HTTP, and reads new events at intervals.
///
/// Only requests whose `Host` is an IP address or `localhost` are answered, so that no page of another site can read the
/// board through a host name that resolves to this machine; further names can be [allowed](Server::allow_host).
///
/// ```no_run
/// use board::{Board, Server};
/// let server = Server::bind(Board::open(&["runs"])?, 0)?;
/// println!("http://{}", server.address());
/// server.run()?;
/// # Ok::<(), board::Error>(())
/// ```
#[derive(Debug)]
pub struct Server {
    /// The state, which the threads of connections and the thread that reloads share.
    board: Arc<Board>,
    /// The socket, which listens from the construction on, so that the address is known before the server runs.
    listener: TcpListener,
    /// The actual address, with the port that the system chose.
    address: SocketAddr,
    /// Host names that are allowed in addition to IP addresses and `localhost`, in lower case.
    hosts: Vec<String>,
    /// The time between two reloads.
    interval: Duration,
}

impl Server {
    /// Listens on a port of 127.0.0.1; 0 stands for a free one.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// use board::{Board, Server};
    /// let server = Server::bind(Board::open(&[folder.path()])?, 0)?;
    /// assert!(server.address().ip().is_loopback() && server.address().port() != 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Listen`].
    pub fn bind(board: Board, port: u16) -> Result<Server, Error> {
        Server::bind_to(board, SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
    }

    /// Listens on any address. Everybody who reaches it sees the board.
    ///
    /// # Errors
    /// [`Error::Listen`].
    pub fn bind_to(board: Board, address: SocketAddr) -> Result<Server, Error> {
        let failed = |source| Error::Listen { address: address.to_string(), source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        // Nonblocking, as the runtime requires of sockets that it takes over.
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let interval = Duration::from_secs(1);
        Ok(Server { board: Arc::new(board), listener, address, hosts: Vec::new(), interval })
    }

    /// Answers requests for this host name, too. Default: IP addresses and `localhost` only.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// use board::{Board, Server};
    /// let server = Server::bind(Board::open(&[folder.path()])?, 0)?.allow_host("training.example");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn allow_host(mut self, name: impl Into<String>) -> Server {
        self.hosts.push(name.into().to_ascii_lowercase());
        self
    }

    /// Sets the interval at which new events are read. Default: one second.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Server {
        self.interval = interval;
        self
    }

    /// Returns the address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the process ends, or accepting connections fails for good.
    ///
    /// # Errors
    /// [`Error::Listen`].
    pub fn run(self) -> Result<(), Error> {
        let failed = |source| Error::Listen { address: self.address.to_string(), source };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(4)
            .build()
            .map_err(failed)?;
        let (board, interval) = (self.board.clone(), self.interval);
        // Ends with the process: it owns nothing but memory, and only reads files.
        let reader = std::thread::Builder::new().name("board reader".to_owned()).spawn(move || {
            loop {
                board.reload();
                std::thread::sleep(interval);
            }
        });
        reader.map_err(failed)?;
        let hosts: Arc<[String]> = self.hosts.into();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(self.listener).map_err(failed)?;
            loop {
                let stream = match listener.accept().await {
                    Ok((stream, _)) => stream,
                    // Too many open files, or a caller that is gone already: neither lasts.
                    Err(_) => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                };
                let (board, hosts) = (self.board.clone(), hosts.clone());
                tokio::task::spawn(async move {
                    let service = service_fn(move |request| serve(board.clone(), hosts.clone(), request));
                    let connection = hyper::server::conn::http1::Builder::new()
                        .timer(hyper_util::rt::TokioTimer::new())
                        .header_read_timeout(HEADER_TIMEOUT)
                        .serve_connection(TokioIo::new(stream), service);
                    // A client that closes its connection early is not a failure.
                    let _ = connection.await;
                });
            }
        })
    }
}

/// Answers one request. It never fails: errors are answers with a status.
async fn serve(
    board: Arc<Board>,
    hosts: Arc<[String]>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    if !host.is_some_and(|host| is_allowed(host, &hosts)) {
        let text = "this host name is not served; use the address that was printed, or allow the name with --allow-host";
        return Ok(respond(Answer::error(403, text), true));
    }
    let with_body = request.method() == Method::GET;
    if !with_body && request.method() != Method::HEAD {
        let mut response = respond(Answer::error(405, "only GET and HEAD are served"), true);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(response);
    }
    let target = request.uri().path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
    // Answers read files and sort points, which must not hold up other connections.
    let answer = tokio::task::spawn_blocking(move || board.answer(&target)).await;
    let answer = answer.unwrap_or_else(|_| Answer::error(500, "the answer could not be made"));
    Ok(respond(answer, with_body))
}

/// Turns an answer into a response with the headers that confine the page. JSON is never cached, because it changes
/// with every event; the parts of the page are revalidated, because they change with the program.
fn respond(answer: Answer, with_body: bool) -> Response<Full<Bytes>> {
    let body = if with_body { answer.body } else { Bytes::new() };
    let mut response = Response::new(Full::new(body));
    // Statuses are constants of this crate, so the default is never used.
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let cache = if answer.content_type == JSON { "no-store" } else { "no-cache" };
    for (name, value) in [
        ("content-type", answer.content_type),
        ("content-security-policy", POLICY),
        ("cross-origin-resource-policy", "same-origin"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", cache),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Returns true for an IP address, `localhost`, or a name that was allowed, with any port.
fn is_allowed(host: &str, allowed: &[String]) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        // A name in brackets is an IPv6 address or nothing.
        Some((address, _)) => return address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let name = name.to_ascii_lowercase();
    name == "localhost" || name.parse::<Ipv4Addr>().is_ok() || allowed.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_and_allowed_hosts_are_answered() {
        let allowed = ["box".to_owned()];
        for host in
            ["127.0.0.1:6006", "127.0.0.1", "localhost:1", "LOCALHOST", "[::1]:80", "10.1.2.3:5", "Box:9"]
        {
            assert!(is_allowed(host, &allowed), "{host}");
        }
        for host in
            ["", "evil.example", "localhost.evil.example:80", "[evil]:80", "127.0.0.1.evil.example", "box2"]
        {
            assert!(!is_allowed(host, &allowed), "{host}");
        }
    }
}
