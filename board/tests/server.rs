//! The server, by plain HTTP.
#![allow(clippy::unwrap_used)] // a test may

mod support;

use board::{Board, Server};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Serves a folder for as long as the test runs.
fn serve(folder: &std::path::Path, change: impl FnOnce(Server) -> Server) -> SocketAddr {
    let server = Server::bind(Board::open(&[folder]).unwrap(), 0).unwrap();
    let server = change(server.interval(Duration::from_millis(20)));
    let address = server.address();
    std::thread::spawn(move || server.run());
    address
}

/// The answer to a request as it comes over the wire.
fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(address: SocketAddr, path: &str, host: &str) -> String {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
}

#[test]
fn only_the_local_machine_is_listened_to_and_served() {
    let folder = tempfile::tempdir().unwrap();
    support::numbers(folder.path(), "loss", [1.0]);
    let address = serve(folder.path(), |server| server.allow_host("box"));
    assert!(address.ip().is_loopback());
    let own = address.to_string();
    let page = get(address, "/", &own);
    assert!(page.starts_with("HTTP/1.1 200 OK") && page.contains("<title>monitored board</title>"), "{page}");
    let head = page.split("\r\n\r\n").next().unwrap().to_lowercase();
    for header in [
        "content-security-policy: default-src 'none'",
        "x-content-type-options: nosniff",
        "cross-origin-resource-policy: same-origin",
    ] {
        assert!(head.contains(header), "{header} is not in {head}");
    }
    assert!(get(address, "/api/state", "localhost").starts_with("HTTP/1.1 200"));
    assert!(get(address, "/api/state", "box:80").starts_with("HTTP/1.1 200"));
    for host in ["evil.example", "evil.example:80", &format!("127.0.0.1.evil.example:{}", address.port()), ""]
    {
        let answer = get(address, "/api/state", host);
        assert!(answer.starts_with("HTTP/1.1 403") && !answer.contains("runs"), "{host}: {answer}");
    }
    let without = exchange(address, "GET /api/state HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert!(without.starts_with("HTTP/1.1 403"), "{without}");
}

#[test]
fn unknown_methods_and_malformed_requests_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    support::numbers(folder.path(), "loss", [1.0]);
    let address = serve(folder.path(), |server| server);
    let post = exchange(
        address,
        &format!("POST / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
    );
    assert!(post.starts_with("HTTP/1.1 405") && post.to_lowercase().contains("allow: get, head"), "{post}");
    let head = exchange(address, &format!("HEAD / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"));
    assert!(head.starts_with("HTTP/1.1 200") && !head.contains("<html"), "{head}");
    for path in ["/../etc/passwd", "/..%2f..%2fetc/passwd", "/nothing"] {
        assert!(get(address, path, "127.0.0.1").starts_with("HTTP/1.1 404"), "{path}");
    }
    assert!(exchange(address, "nonsense\r\n\r\n").starts_with("HTTP/1.1 400"));
    assert!(get(address, "/api/state", "localhost").starts_with("HTTP/1.1 200"), "it continues to serve");
}

#[test]
fn events_written_later_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let address = serve(folder.path(), |server| server);
    support::numbers(folder.path(), "loss", [1.0, 2.0]);
    // It looks again and again until it is there; a server that never looks again ends the test by the runner's limit.
    loop {
        let answer = get(address, "/api/scalars?tag=loss", "localhost");
        if answer.starts_with("HTTP/1.1 200") && answer.contains("\"values\":[1.0,2.0]") {
            return;
        }
        std::thread::yield_now();
    }
}
