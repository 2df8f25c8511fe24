//! The page and all its data in one file.
//!
//! It contains the answers to the requests that the page would send, stored under the same names, so the scripts of the page do not know
//! whether there is a server.
//!
//! # Limits
//!
//! The file is meant to be sent to somebody, so its size is bounded: points are divided among the tags, media have a
//! budget in bytes, and only the newest checkpoint has the distributions of its tensors. If something was left out,
//! the page states it.
//!
//! # Order
//!
//! The requests are answered in the order in which a reader would send them, and each budget is used up in this
//! order. Of each tag at most ten samples are included, so that one tag with many images does not displace the
//! others.

use crate::answer::{Answer, JSON};
use crate::board::Board;
use crate::page;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};
use std::collections::VecDeque;

/// The number of points that the curves of all tags have together.
const ALL_POINTS: usize = 2_000_000;
/// The maximum number of points of each curve.
const MOST_POINTS: usize = 2000;
/// The number of bytes that images and clips may take, before they are encoded as base64.
const MEDIA_BYTES: usize = 24 << 20;
/// The number of samples of a tag that are included, as a parameter of the request.
const SAMPLES: &str = "10";
/// The number of scopes of a graph that are included, the outermost first.
const SCOPES: usize = 300;
/// The number of operations of a graph whose details are included.
const OPERATIONS: usize = 1000;
/// The number of tensors of the newest checkpoint whose distributions are included.
const TENSORS: usize = 100;

/// The answers to the requests that the page would send, by the keys that the page's script computes.
struct Data<'a> {
    /// The board that answers.
    board: &'a Board,
    /// The answers by key; media are data URLs.
    answers: Map<String, Json>,
    /// The bytes of media so far.
    media: usize,
    /// True if something did not fit.
    left_out: bool,
}

impl Board {
    /// Returns the page with all that it shows as one HTML file, which needs neither server nor network. Curves are thinned
    /// as on the served page; of images and audio it has some of each tag, of graphs and checkpoints what fits. The page
    /// states it.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// let board = board::Board::open(&[folder.path()])?;
    /// board.reload();
    /// std::fs::write(folder.path().join("page.html"), board.html())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn html(&self) -> String {
        let mut data = Data { board: self, answers: Map::new(), media: 0, left_out: false };
        data.collect();
        let left_out = data.left_out;
        if let Some(state) = data.answers.get_mut("/api/state") {
            // The page's script then takes answers from the file and does not poll for changes.
            state["embedded"] = json!(true);
            state["left_out"] = json!(left_out);
        }
        page::with_data(&Json::Object(data.answers).to_string())
    }
}

impl Data<'_> {
    /// Collects everything that the page can show, in the order in which a reader would open it.
    fn collect(&mut self) {
        let state = self.ask("/api/state", &[], &[]);
        let tags = self.ask("/api/tags", &[], &[]);
        self.ask("/api/hparams", &[], &[]);
        for (kind, of_kind) in entries(&tags) {
            let tags: Vec<(&String, &Json)> = entries(of_kind).collect();
            // The number of tags divides the points, with a least number that still shows the form of a
            // curve.
            let points = (ALL_POINTS / tags.len().max(1)).clamp(50, MOST_POINTS).to_string();
            for (tag, about) in tags {
                if kind == "scalar" {
                    self.ask("/api/scalars", &[("tag", tag)], &[("points", &points)]);
                    continue;
                }
                for (run, _) in entries(&about["runs"]) {
                    self.of_run(kind, run, tag);
                }
            }
        }
        for run in state["runs"].as_array().into_iter().flatten() {
            let Some(name) = run["name"].as_str() else { continue };
            if run["story"].as_u64() > Some(0) {
                self.ask("/api/story", &[("run", name)], &[]);
            }
            if run["checkpoints"] == true {
                self.checkpoints(name);
            }
            if run["graph"] == true {
                let tags = run["metadata"].as_array().into_iter().flatten().filter_map(Json::as_str);
                self.graph(name, &tags.collect::<Vec<_>>());
            }
        }
    }

    /// Requests an answer and stores it under the name by which the page finds it: parameters that only limit its size
    /// are not part of that.
    fn ask(&mut self, path: &str, named: &[(&str, &str)], more: &[(&str, &str)]) -> Json {
        let answer = self.answer(path, named, more);
        let value: Json = match (answer.status, answer.content_type) {
            // An answer that failed on the served page fails here too, and is left out.
            (200, JSON) => serde_json::from_slice(&answer.body).unwrap_or_default(),
            _ => return Json::Null,
        };
        self.answers.insert(key(path, named), value.clone());
        value
    }

    /// Sends a request to the board without a server.
    fn answer(&self, path: &str, named: &[(&str, &str)], more: &[(&str, &str)]) -> Answer {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(named.iter().chain(more));
        self.board.answer(&format!("{path}?{}", query.finish()))
    }

    /// Adds the values of one tag of one run, of all kinds but numbers.
    fn of_run(&mut self, kind: &str, run: &str, tag: &str) {
        match kind {
            "histogram" => drop(self.ask("/api/histograms", &[("run", run), ("tag", tag)], &[])),
            "text" => drop(self.ask("/api/text", &[("run", run), ("tag", tag)], &[])),
            "tensor" => drop(self.ask("/api/text", &[("run", run), ("tag", tag), ("kind", "tensor")], &[])),
            "image" | "audio" => {
                let named = [("run", run), ("tag", tag), ("kind", kind)];
                let samples = self.ask("/api/samples", &named, &[("count", SAMPLES)]);
                for sample in samples["samples"].as_array().into_iter().flatten() {
                    let items = sample["items"].as_array().map_or(0, Vec::len);
                    for index in 0..items {
                        let at = sample["at"].as_str().unwrap_or("");
                        self.medium(&format!("/api/{kind}"), run, tag, at, index);
                    }
                }
            }
            _ => {}
        }
    }

    /// Adds one image or clip as a data URL, if the budget allows it.
    fn medium(&mut self, path: &str, run: &str, tag: &str, at: &str, index: usize) {
        let index = index.to_string();
        let named = [("run", run), ("tag", tag), ("at", at), ("index", &*index)];
        let answer = self.answer(path, &named, &[]);
        if answer.status != 200 {
            return;
        }
        // The first that do not fit mark the page; smaller ones after them may still fit.
        if self.media + answer.body.len() > MEDIA_BYTES {
            self.left_out = true;
            return;
        }
        self.media += answer.body.len();
        let url = format!("data:{};base64,{}", answer.content_type, STANDARD.encode(&answer.body));
        self.answers.insert(key(path, &named), url.into());
    }

    /// Adds the checkpoints of a run.
    fn checkpoints(&mut self, run: &str) {
        let list = self.ask("/api/checkpoints", &[("run", run)], &[]);
        for checkpoint in list["checkpoints"].as_array().into_iter().flatten() {
            let Some(name) = checkpoint["name"].as_str() else { continue };
            let tensors = self.ask("/api/checkpoint", &[("run", run), ("name", name)], &[]);
            // Of the others only the names: reading all of them may take minutes.
            if checkpoint["newest"] != true {
                self.left_out = true;
                continue;
            }
            for tensor in tensors["tensors"].as_array().into_iter().flatten().take(TENSORS) {
                let tensor = tensor["name"].as_str().unwrap_or("");
                self.ask("/api/tensor", &[("run", run), ("name", name), ("tensor", tensor)], &[]);
            }
        }
    }

    /// Adds a graph scope by scope, from the outermost on, with the costs of the last run metadata only.
    ///
    /// Scopes are visited in breadth-first order, so the limit cuts off the innermost ones of a large graph.
    fn graph(&mut self, run: &str, metadata: &[&str]) {
        // Without costs and with those of the last recorded run: the page offers both.
        let metadata: Vec<&str> = std::iter::once("").chain(metadata.last().copied()).collect();
        let mut scopes = VecDeque::from([String::new()]);
        let (mut seen, mut operations) = (0, 0);
        while let Some(scope) = scopes.pop_front() {
            if seen == SCOPES {
                self.left_out = true;
                return;
            }
            seen += 1;
            let mut view = Json::Null;
            for metadata in &metadata {
                view =
                    self.ask("/api/graph", &[("run", run), ("scope", &scope), ("metadata", metadata)], &[]);
            }
            for item in view["boxes"].as_array().into_iter().flatten() {
                let name = item["name"].as_str().unwrap_or("");
                match item["kind"].as_str() {
                    Some("scope") => scopes.push_back(name.to_owned()),
                    Some("op") if operations < OPERATIONS => {
                        operations += 1;
                        for metadata in &metadata {
                            let named = [("run", run), ("name", name), ("metadata", metadata)];
                            self.ask("/api/node", &named, &[]);
                        }
                    }
                    Some("op") => self.left_out = true,
                    _ => {}
                }
            }
        }
    }
}

/// Returns the name of a request in the page's script, see `data.js`.
///
/// The script `data.js` forms the same key: the path, followed by the sorted parameters, one per line. Empty
/// parameters do not count.
fn key(path: &str, named: &[(&str, &str)]) -> String {
    let mut named: Vec<String> = named
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    named.sort();
    std::iter::once(path.to_owned()).chain(named).collect::<Vec<_>>().join("\n")
}

/// Iterates over the fields of a JSON object; over nothing if it is not one.
fn entries(object: &Json) -> impl Iterator<Item = (&String, &Json)> {
    object.as_object().into_iter().flatten()
}
