//! Shows trainings on a page: scalars, histograms, images, audio, texts, hyperparameters, graphs, checkpoints and the
//! session's story. Serves the page on the local machine, or writes it as one file, without Python and without a network.
//!
//! ```no_run
//! use board::{Board, Server};
//! let server = Server::bind(Board::open(&["runs"])?, 0)?; // a free port of 127.0.0.1
//! println!("http://{}", server.address());
//! server.run()?;
//! # Ok::<(), board::Error>(())
//! ```
//!
//! [`Board`] reads event files as they grow and answers the page's requests; [`Server`] serves it; [`Board::html`] writes the
//! page as one file. [`Plot`] draws curves for a terminal, as SVG or as PNG, [`graph_svg`] a graph.
//!
//! # Content
//!
//! Event files of TensorFlow, torch and tensorboardX are shown as TensorBoard shows them: the same tags and points, with its
//! rules for restarted runs. All numbers are kept until the limit of memory is reached, then the extremes of neighbors. A curve
//! with more points than the page can draw is drawn by the extremes of neighbors, and the page says so.
//!
//! # Limits
//!
//! The board writes nothing into the folders that it shows. No request names a file: requests are looked up among the runs
//! that were found, and links that lead out of the given folders are not followed. Plug-ins of TensorBoard for other things
//! (embeddings, meshes, profiles) have no counterpart.
//!
//! # For contributors
//!
//! | part | modules |
//! | --- | --- |
//! | finding runs, reading event files as they grow | `board`, `find`, `run`, `tag` |
//! | values in bounded memory | `series` (numbers), `place` (positions of images, audio, and texts in the files) |
//! | drawings | `plot` (curves), `graph` (scopes of a graph), `histogram` |
//! | answers to the page's requests | `answer`, one file for each view |
//! | the page | `page`, `assets/` |
//! | outputs | `server`, `export` (one file), `status` (one line) |
//!
//! Files are hostile input: every count and length has a limit, names never become paths, and texts are escaped in the page. Whatever is left
//! out because of a limit is reported as a note of the run.
//!
//! # Errors and notes
//!
//! | | reported by |
//! | --- | --- |
//! | a path that does not exist, an address that is in use | [`Error`] of the constructor |
//! | a request for something that does not exist | the status and text of the [`Answer`] |
//! | a damaged file, a folder without permission, a limit that was reached | notes of the run, on the page and in [`Status::note`] |
#![doc = include_str!("../docs/requests.md")]

mod answer;
mod board;
mod error;
mod export;
mod find;
mod graph;
mod histogram;
mod media;
mod page;
mod place;
mod plot;
mod run;
mod series;
mod server;
mod status;
mod stored;
mod svg;
mod tag;

pub use answer::Answer;
pub use board::Board;
pub use error::Error;
pub use graph::graph_svg;
pub use plot::{Plot, TerminalColors};
pub use server::Server;
pub use status::Status;
