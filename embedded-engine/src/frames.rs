//! The frames of a step with loops: which operations belong to which frame, and the order within each.
//!
//! A frame is one loop in the style of TensorFlow 1. Every operation belongs to the frame of its inputs, or
//! to the one that its `Enter` opens. The operations of a frame are put into an order, in which each inner
//! frame counts as one operation. In this way frames become nested loops.
//!
//! ```text
//! Enter ─► Merge ─► Switch ─► body ─► NextIteration ─┐
//!           ▲         └─► Exit                       │
//!           └────────────────────────────────────────┘
//! ```
//!
//! # Rejected structures
//!
//! TensorFlow accepts some graphs at build time that hang or fail when they run. These are errors here, with
//! the names of the nodes: an operation with inputs from frames that are not nested, a `Merge` at the head of
//! a loop that does not come from an `Enter`, an operation of a loop that waits for the loop's own `Exit`,
//! and frames that lie inside each other in a circle.
//!
//! # Items
//!
//! The order of a frame is one of *items*. With n nodes and f frames, the item of a node is its number, that
//! of an inner loop is n plus the number of its frame, and that of a wish is n + f plus the number of the
//! wish. `Enter` nodes and the `Merge` nodes at the head are no items: they run before the iterations.

use crate::flow::Flow;
use crate::ir::{Ir, producer};
use crate::schedule::{self, Edges};
use rustc_hash::FxHashMap;
use session_core::{Code, Error, Result};

/// The frame outside of all loops. Its number, as that of all frames, is an index into the lists of `Frames`.
pub(crate) const ROOT: usize = 0;

/// Returns the error for a structure that this engine cannot run.
pub(crate) fn unsupported(text: impl Into<String>) -> Error {
    Error::new(Code::Unimplemented, text)
}

/// The frames of a graph, and the frame of each of its nodes. A graph without loops has the outermost frame
/// only.
pub(crate) struct Frames {
    /// For each node, the frame in which it runs. An `Enter` runs in the frame that it opens.
    ///
    /// An `Exit` runs in the frame that it leaves, though its output is seen in the frame around it; see
    /// `visible`.
    home: Vec<usize>,
    /// The name of each frame, for messages; that of the outermost is empty. Two frames of one name are one
    /// frame.
    names: Vec<String>,
    /// For each frame, the frame around it. The outermost is its own parent.
    parent: Vec<usize>,
    /// For each frame, its live nodes in graph order, its `Enter` nodes included and the nodes of inner
    /// frames excluded.
    pub(crate) members: Vec<Vec<usize>>,
    /// For each frame, the frames directly inside, each with its first node, whose number stands for the
    /// place of the loop in graph order.
    inner: Vec<Vec<(usize, usize)>>,
    /// For each node, true if it is a `Merge` with an input from a `NextIteration`, and so begins the
    /// iterations of a loop.
    pub(crate) is_head: Vec<bool>,
    /// For each node, true if it is an `Enter`.
    is_enter: Vec<bool>,
    /// For each node, true if it is an `Exit`.
    pub(crate) is_exit: Vec<bool>,
}

impl Frames {
    /// Finds the frames of a graph.
    ///
    /// The frame of a node is the deepest one among those of its inputs. The depth of a frame may be unknown
    /// when its first `Enter` is visited, so the assignment is repeated until no parent changes; each
    /// repetition makes some frame deeper.
    ///
    /// # Errors
    /// `Unimplemented` for frames that are nested in a circle.
    pub(crate) fn of(ir: &Ir) -> Result<Frames> {
        let count = ir.nodes.len();
        let flow = |wanted: fn(&Flow) -> bool| -> Vec<bool> {
            ir.nodes.iter().map(|node| node.flow.as_ref().is_some_and(wanted)).collect()
        };
        let is_head = |i: usize| {
            let node = &ir.nodes[i];
            let before = node.inputs.iter().filter_map(|&value| producer(value));
            node.flow == Some(Flow::Merge) && before.into_iter().any(|before| ir.hands_on(before))
        };
        let mut frames = Frames {
            home: vec![ROOT; count],
            names: vec![String::new()],
            parent: vec![ROOT],
            members: Vec::new(),
            inner: Vec::new(),
            is_head: (0..count).map(is_head).collect(),
            is_enter: flow(|flow| matches!(flow, Flow::Enter { .. })),
            is_exit: flow(|flow| matches!(flow, Flow::Exit)),
        };
        let mut by_name: FxHashMap<&str, usize> = FxHashMap::default();
        // A frame may turn out to be nested deeper than its first `Enter` suggests, and so may those inside
        // it.
        let mut rounds = 0;
        while frames.assign(ir, &mut by_name)? {
            rounds += 1;
            if rounds > by_name.len() + 1 {
                return Err(frames.in_a_circle());
            }
        }
        let count = frames.parent.len();
        (frames.members, frames.inner) = (vec![Vec::new(); count], vec![Vec::new(); count]);
        // The first live node of a frame, or of a frame inside it, gives the place of the loop.
        let mut seen = vec![false; count];
        for (node, _) in ir.live() {
            let mut frame = frames.home[node];
            frames.members[frame].push(node);
            while frame != ROOT && !std::mem::replace(&mut seen[frame], true) {
                let around = frames.parent[frame];
                frames.inner[around].push((node, frame));
                frame = around;
            }
        }
        Ok(frames)
    }

    /// Assigns all live nodes to frames, in graph order, with the parents known so far. Returns true if the
    /// parent of a frame has changed.
    fn assign<'i>(&mut self, ir: &'i Ir, by_name: &mut FxHashMap<&'i str, usize>) -> Result<bool> {
        let mut changed = false;
        for (index, node) in ir.live() {
            let mut around = ROOT;
            for before in ir.befores(index) {
                let visible = self.visible(before);
                if self.depth(visible)? > self.depth(around)? {
                    around = visible;
                }
            }
            self.home[index] = around;
            if let Some(Flow::Enter { frame, .. }) = &node.flow {
                let id = *by_name.entry(frame.as_str()).or_insert_with(|| {
                    self.parent.push(around);
                    self.names.push(frame.clone());
                    self.parent.len() - 1
                });
                if self.depth(around)? > self.depth(self.parent[id])? {
                    self.parent[id] = around;
                    changed = true;
                }
                self.home[index] = id;
            }
        }
        Ok(changed)
    }

    /// Returns the nesting depth of a frame: 0 for the outermost.
    ///
    /// # Errors
    /// `Unimplemented` if following the parents does not reach the outermost frame.
    fn depth(&self, mut frame: usize) -> Result<usize> {
        let mut depth = 0;
        while frame != ROOT {
            frame = self.parent[frame];
            depth += 1;
            if depth > self.parent.len() {
                return Err(self.in_a_circle());
            }
        }
        Ok(depth)
    }

    /// Returns the error for frames that contain each other. All frames are named, because the circle itself
    /// is not searched for.
    fn in_a_circle(&self) -> Error {
        let names = self.names[1..].iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
        unsupported(format!(
            "the loops of the graph lie inside each other in a circle; its frames are {names}"
        ))
    }

    /// Returns the error for a node that does not run in the frame of each of its inputs.
    fn different_frames(&self, ir: &Ir, node: usize) -> Error {
        let inputs = ir.befores(node).map(|before| {
            format!(
                "'{}' is in frame '{}'",
                ir.nodes[before].operation().name(),
                self.name(self.visible(before))
            )
        });
        let inputs = inputs.collect::<Vec<_>>().join(", ");
        let text = format!(
            "it has inputs from different frames: {inputs}; 'Enter' brings a value into a loop, 'Exit' out of it"
        );
        ir.nodes[node].operation().place(Error::invalid_argument(text))
    }

    /// Returns the name of a frame.
    pub(crate) fn name(&self, frame: usize) -> &str {
        &self.names[frame]
    }

    /// Returns the frame in which a node's outputs are seen: that around the loop for an `Exit`, and
    /// otherwise the one in which it runs.
    pub(crate) fn visible(&self, node: usize) -> usize {
        let home = self.home[node];
        if self.is_exit[node] { self.parent[home] } else { home }
    }

    /// Returns the item that stands for a node in the order of a frame: the node itself, or the inner loop
    /// that contains it. `None` if the node is outside of the frame.
    fn item(&self, node: usize, frame: usize) -> Option<usize> {
        let mut home = self.home[node];
        // To the frame around, an `Enter` is the loop that it opens.
        if home == frame && !self.is_enter[node] {
            return Some(node);
        }
        while home != ROOT {
            if self.parent[home] == frame {
                return Some(self.home.len() + home);
            }
            home = self.parent[home];
        }
        None
    }

    /// Returns the ordering constraints, by the frame that contains both nodes.
    ///
    /// Hard edges are those of the graph, between the items that stand for their ends in the frame where the
    /// value is seen. Soft edges are the wishes of `schedule`, as far as their ends are in one frame.
    ///
    /// # Errors
    /// `InvalidArgument` for an operation with inputs from different frames, and `Unimplemented` for loops
    /// without a proper head or exit.
    pub(crate) fn edges(&self, ir: &Ir) -> Result<FxHashMap<usize, Edges>> {
        let mut edges: FxHashMap<usize, Edges> = FxHashMap::default();
        for (index, node) in ir.live() {
            for before in ir.befores(index) {
                let frame = self.visible(before);
                // These run before all items, so there is nothing to order.
                if self.begins(before) {
                    if self.item(index, frame).is_none() {
                        return Err(self.different_frames(ir, index));
                    }
                    continue;
                }
                if self.is_head[index] && self.home[index] == frame {
                    let first = ir.nodes[before].operation().name();
                    let text = format!(
                        "the loop of frame '{}' begins with '{first}', which does not come from an 'Enter'",
                        self.name(frame)
                    );
                    return Err(node.operation().place(unsupported(text)));
                }
                // The value of an exit exists when its whole loop has ended.
                let from = if self.is_exit[before] { self.home.len() + self.home[before] } else { before };
                let to = self.item(index, frame).ok_or_else(|| self.different_frames(ir, index))?;
                if from == to {
                    let (end, name) = (ir.nodes[before].operation().name(), self.name(self.home[before]));
                    let text = format!(
                        "it waits for '{end}', the end of the loop of frame '{name}' that it runs in"
                    );
                    return Err(node.operation().place(unsupported(text)));
                }
                edges.entry(frame).or_default().hard.push((from, to));
            }
        }
        for (number, mut wish) in schedule::wishes(ir, |node| self.home[node]).into_iter().enumerate() {
            wish.before.retain(|&node| !self.begins(node));
            // Only what lies in one frame can be put into an order.
            let Some(&first) = wish.before.first() else { continue };
            let (frame, item) = (self.home[first], self.first_wish() + number);
            let edges = edges.entry(frame).or_default();
            edges.wishes.push(item);
            edges.soft.extend(wish.before.into_iter().map(|node| (node, item)));
            let after = wish.after.into_iter();
            let after = after.filter(|&node| !(self.home[node] == frame && self.begins(node)));
            let after = after.filter_map(|node| self.item(node, frame));
            edges.soft.extend(after.map(|node| (item, node)));
        }
        Ok(edges)
    }

    /// Returns the first number for the items that represent wishes: after all nodes and all loops.
    pub(crate) fn first_wish(&self) -> usize {
        self.home.len() + self.parent.len()
    }

    /// Returns the items of a frame in the order of the graph.
    ///
    /// An inner loop has the place of its first node.
    pub(crate) fn items(&self, frame: usize) -> Vec<usize> {
        let members = self.members[frame].iter().filter(|&&node| !self.begins(node));
        let mut items: Vec<(usize, usize)> = members.map(|&node| (node, node)).collect();
        items.extend(self.inner[frame].iter().map(|&(first, inner)| (first, self.home.len() + inner)));
        items.sort_unstable();
        items.into_iter().map(|(_, item)| item).collect()
    }

    /// Returns true if a node runs before the iterations of its frame: an `Enter`, or a `Merge` at the head.
    fn begins(&self, node: usize) -> bool {
        self.is_enter[node] || self.is_head[node]
    }
}
