//! `monitored board`: serves the page of runs, or writes it to a file.
//!
//! The content of the page, its server and its security are those of the crate `board`. This module only chooses
//! between serving and writing a file.
//!
//! The address is printed once the port is open, so a script can wait for the line. The default address is that of
//! the local machine, because the page needs no password.

use crate::output::{Outcome, Result};
use board::{Board, Error, Server};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tensor::text::escaped;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Folders with runs at any depth, or event files.
    #[arg(required = true, value_name = "DIR")]
    paths: Vec<PathBuf>,
    /// Write the page with its data into one file instead of serving it.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// The port; 0 stands for a free one.
    #[arg(long, default_value_t = 0, conflicts_with = "html")]
    port: u16,
    /// The address to listen on. Everybody who reaches it sees the runs.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), conflicts_with = "html")]
    host: IpAddr,
    /// Answer requests for this host name as well as for IP addresses and localhost. May be repeated.
    #[arg(long, value_name = "NAME", conflicts_with = "html")]
    allow_host: Vec<String>,
    /// Open the page in the default browser.
    #[arg(long, conflicts_with = "html")]
    open: bool,
}

impl Arguments {
    /// Serves until Ctrl-C ends the process, or writes the page and returns.
    pub(crate) fn run(self, out: &mut dyn Write) -> Result {
        let board = Board::open(&self.paths)?;
        if let Some(path) = self.html {
            // Opening only finds the runs; their events are read here, since no server does it later.
            board.reload();
            let page = board.html();
            let failed = |source| Error::Write { path: path.clone(), source };
            std::fs::write(&path, &page).map_err(failed)?;
            writeln!(out, "{}: {} bytes", escaped(path.display()), page.len())?;
            return Ok(Outcome::Good);
        }
        let server = Server::bind_to(board, SocketAddr::new(self.host, self.port))?;
        let server = self.allow_host.into_iter().fold(server, Server::allow_host);
        let url = format!("http://{}/", server.address());
        writeln!(out, "{url}  (Ctrl-C stops the server)")?;
        // The output is buffered, and the server never returns: a script that waits for the address would
        // wait forever.
        out.flush()?;
        if self.open && !open_browser(&url) {
            // Not an error: the page is served, only nobody shows it.
            writeln!(out, "no browser can be started here; open the address by hand")?;
            out.flush()?;
        }
        server.run()?;
        Ok(Outcome::Good)
    }
}

/// Opens an address in the default browser; returns false if no program does so.
///
/// The program is started and not waited for, because a browser may run as long as the server.
fn open_browser(url: &str) -> bool {
    let programs: &[(&str, &[&str])] = if cfg!(target_os = "macos") {
        &[("open", &[])]
    } else if cfg!(windows) {
        &[("cmd", &["/c", "start", ""])]
    } else {
        &[("xdg-open", &[]), ("gio", &["open"]), ("wslview", &[])]
    };
    programs.iter().any(|(program, arguments)| {
        let mut command = Command::new(program);
        // Without output: the messages of a browser would end up between those of the server.
        command.args(*arguments).arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().is_ok()
    })
}
