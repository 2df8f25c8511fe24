//! The layout of a scope: boxes in layers, producers above their consumers, with few crossings.
//!
//! Boxes are assigned to layers by the longest path from the inputs. The order within a layer is improved by sweeps that place each box near
//! the boxes that it is connected with.
//!
//! This is the method of Sugiyama, simplified: assign layers, split long edges into one slot per crossed layer,
//! reduce crossings by barycenters, and straighten. Its cost is linear in boxes and edges per sweep, and the number
//! of sweeps is fixed, so a scope of 400 boxes takes milliseconds. All lengths are in pixels.
//!
//! # Steps
//!
//! 1. `layers` assigns a layer to each box. A depth-first search finds the edges that close cycles; they are ignored
//!    here and drawn upwards later.
//! 2. `lay_out` makes a slot for each box, and one for each layer that an edge crosses. Edges then connect
//!    neighboring layers only, which is what the next two steps need.
//! 3. `order` sorts each layer by the mean position of the connected slots, downwards and upwards in turn. Each sweep
//!    reduces crossings, but none is sure to: the fixed number of sweeps bounds the time, not the crossings.
//! 4. `place` moves slots sideways towards their neighbors, without changing the order.
//! 5. `finish` converts slots to coordinates, and places the boxes that are set aside in rows below the others.
//!
//! # Invariants
//!
//! - Boxes of one layer never overlap: `place` keeps half of both widths and [`GAP`] between two centers.
//! - Each edge has at least two points: the bottom of its upper box and the top of its lower one.
//! - The layout is deterministic. Sorts are stable, and no step depends on the order of a hash table, so the picture
//!   of a scope is the same at each request.

use super::scope::{Item, View};

/// The height of a box.
const HEIGHT: f64 = 44.0;
/// The horizontal distance between two boxes of a layer.
const GAP: f64 = 22.0;
/// The vertical distance between two layers, in which edges bend.
const LAYER_GAP: f64 = 46.0;
/// The distance between the outermost boxes and the edge of the picture.
const MARGIN: f64 = 20.0;
/// The average width of a character of a label. The layout has no fonts to measure, so it estimates the width of
/// texts.
const CHARACTER: f64 = 7.4;
/// The average width of a character of the smaller second line.
const SMALL_CHARACTER: f64 = 6.0;
/// The minimum width of a box.
const MIN_WIDTH: f64 = 76.0;
/// The maximum width of a box. Longer labels are cut.
const MAX_WIDTH: f64 = 260.0;
/// The thin place that an edge takes in a layer that it crosses.
const CROSSING: f64 = 10.0;
/// The maximum number of slots for crossing edges. Further long edges are drawn as straight lines through other
/// boxes.
const MAX_CROSSINGS: usize = 3000;
/// The width of the boxes that are set aside.
const ASIDE_WIDTH: f64 = 900.0;

/// A scope with the place of everything.
#[derive(Debug)]
pub(crate) struct Picture {
    /// The laid out scope.
    pub(crate) view: View,
    /// The box of each item.
    pub(crate) places: Vec<Rect>,
    /// The points that each edge goes through.
    pub(crate) lines: Vec<Vec<(f64, f64)>>,
    /// The width of the picture, with its margins.
    pub(crate) width: f64,
    /// The height of the picture, with its margins and the part that is set aside.
    pub(crate) height: f64,
    /// The upper edge of the part that is set aside, if there is one.
    pub(crate) aside: Option<f64>,
}

/// A box: its left upper corner, its width and its height.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rect {
    /// The left edge.
    pub(crate) x: f64,
    /// The upper edge.
    pub(crate) y: f64,
    /// The distance from the left edge to the right one.
    pub(crate) width: f64,
    /// The distance from the upper edge to the lower one.
    pub(crate) height: f64,
}

impl Rect {
    /// Returns the horizontal center, where edges arrive and leave.
    fn center(self) -> f64 {
        self.x + self.width / 2.0
    }
}

/// Returns the second line of a box: the op type and the first output of an operation, or the number of operations in
/// a scope.
pub(crate) fn subtitle(item: &Item) -> String {
    match (&*item.op, item.count) {
        ("", 0) => String::new(),
        ("", 1) => "1 op".to_owned(),
        ("", count) => format!("{count} ops"),
        (op, _) if item.output.is_empty() => op.to_owned(),
        (op, _) => format!("{op}  {}", item.output),
    }
}

/// Returns the width that both lines of a box need.
fn width_of(item: &Item) -> f64 {
    let label = item.label.chars().count() as f64 * CHARACTER;
    let second = subtitle(item).chars().count() as f64 * SMALL_CHARACTER;
    (label.max(second) + 24.0).clamp(MIN_WIDTH, MAX_WIDTH)
}

/// A slot of a layer: a box, or a place where an edge crosses.
struct Slot {
    /// The box, or `None` for an edge that crosses the layer.
    item: Option<usize>,
    /// The layer, counted from the top.
    layer: usize,
    /// The width of the box; [`CROSSING`] for an edge.
    width: f64,
    /// The horizontal center, relative to the middle of the picture.
    center: f64,
    /// The connected slots in layers above.
    above: Vec<usize>,
    /// The connected slots in layers below.
    below: Vec<usize>,
}

/// Assigns a place to each box and points to each edge of a scope.
///
/// An edge whose producer lies below its consumer, as in a loop, is laid out from above to below like all others.
/// `finish` reverses its points, so that arrows start at the producer. Boxes that are set aside have no slot, because
/// no edge reaches them.
pub(crate) fn lay_out(view: View) -> Picture {
    let layers = layers(&view);
    let mut slots: Vec<Slot> = Vec::new();
    let mut slot_of = vec![usize::MAX; view.boxes.len()];
    for (index, item) in view.boxes.iter().enumerate().filter(|(_, item)| !item.aside) {
        slot_of[index] = slots.len();
        let (width, layer) = (width_of(item), layers[index]);
        slots.push(Slot {
            item: Some(index),
            layer,
            width,
            center: 0.0,
            above: Vec::new(),
            below: Vec::new(),
        });
    }
    // The slots that each edge goes through, from above to below.
    let mut crossings = 0;
    let mut chains = Vec::with_capacity(view.edges.len());
    for edge in &view.edges {
        let (mut from, mut to) = (slot_of[edge.from], slot_of[edge.to]);
        if slots[from].layer > slots[to].layer {
            // It goes back, in a loop.
            std::mem::swap(&mut from, &mut to);
        }
        let mut chain = vec![from];
        let between = slots[from].layer + 1..slots[to].layer;
        // Without the limit, a graph with many long edges would need one slot per edge and layer, which is quadratic.
        if crossings + between.len() <= MAX_CROSSINGS {
            for layer in between {
                crossings += 1;
                chain.push(slots.len());
                let (above, below) = (Vec::new(), Vec::new());
                slots.push(Slot { item: None, layer, width: CROSSING, center: 0.0, above, below });
            }
        }
        chain.push(to);
        for pair in chain.windows(2) {
            slots[pair[0]].below.push(pair[1]);
            slots[pair[1]].above.push(pair[0]);
        }
        chains.push(chain);
    }
    let mut rows: Vec<Vec<usize>> = Vec::new();
    for (index, slot) in slots.iter().enumerate() {
        rows.resize_with(rows.len().max(slot.layer + 1), Vec::new);
        rows[slot.layer].push(index);
    }
    order(&mut rows, &slots);
    place(&rows, &mut slots);
    finish(view, &slots, &slot_of, &chains)
}

/// Returns the layer of each box, which is below the layers of its inputs. Edges that close a cycle are ignored.
///
/// The layer is the length of the longest path from a box without inputs. Such a box is then moved down to the layer
/// above its first consumer: a variable that only the last layer of a model uses would otherwise have an edge through
/// the whole picture. The search uses its own stack, because a graph may be deeper than the thread's.
fn layers(view: &View) -> Vec<usize> {
    let count = view.boxes.len();
    let mut below = vec![Vec::new(); count];
    for edge in &view.edges {
        below[edge.from].push(edge.to);
    }
    // Depth first without recursion: in reverse order of completion every edge goes forward, but those that close circles.
    let (mut state, mut done) = (vec![0u8; count], Vec::with_capacity(count));
    for start in 0..count {
        let mut stack = vec![(start, 0)];
        while let Some((node, next)) = stack.pop() {
            if next == 0 {
                if state[node] != 0 {
                    continue;
                }
                state[node] = 1;
            }
            if let Some(&child) = below[node].get(next) {
                stack.push((node, next + 1));
                if state[child] == 0 {
                    stack.push((child, 0));
                }
            } else {
                state[node] = 2;
                done.push(node);
            }
        }
    }
    let mut rank = vec![0; count];
    done.iter().rev().enumerate().for_each(|(place, &node)| rank[node] = place);
    let mut layers = vec![0; count];
    for &node in done.iter().rev() {
        for &child in &below[node] {
            if rank[child] > rank[node] {
                layers[child] = layers[child].max(layers[node] + 1);
            }
        }
    }
    // Boxes without inputs are moved directly above their users.
    for &node in &done {
        let given = below[node].iter().filter(|&&child| rank[child] > rank[node]);
        if let Some(nearest) = given.map(|&child| layers[child]).min()
            && !view.edges.iter().any(|edge| edge.to == node)
        {
            layers[node] = nearest - 1;
        }
    }
    layers
}

/// Orders the slots of each row so that few edges cross: by the mean place of their neighbors, down and up in turn.
///
/// Positions are fractions of the row's length, so that a short row and a long one are comparable. A slot without
/// neighbors on the side of a sweep keeps its position.
fn order(rows: &mut [Vec<usize>], slots: &[Slot]) {
    let mut position = vec![0.0; slots.len()];
    let note = |row: &[usize], position: &mut Vec<f64>| {
        row.iter().enumerate().for_each(|(place, &slot)| position[slot] = place as f64 / row.len() as f64);
    };
    rows.iter().for_each(|row| note(row, &mut position));
    // An even number: as many sweeps go down as up.
    for sweep in 0..12 {
        let down = sweep % 2 == 0;
        for step in 0..rows.len() {
            let row = &mut rows[if down { step } else { rows.len() - 1 - step }];
            let wanted = |slot: usize| {
                let neighbors = if down { &slots[slot].above } else { &slots[slot].below };
                let sum: f64 = neighbors.iter().map(|&neighbor| position[neighbor]).sum();
                if neighbors.is_empty() { position[slot] } else { sum / neighbors.len() as f64 }
            };
            let mut keyed: Vec<(f64, usize)> = row.iter().map(|&slot| (wanted(slot), slot)).collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            *row = keyed.into_iter().map(|(_, slot)| slot).collect();
            note(row, &mut position);
        }
    }
}

/// Moves the slots of each row under and over their neighbors as far as there is room.
///
/// Each slot wishes for the mean center of its neighbors. Two passes over the row resolve overlapping wishes, one
/// that only moves to the right and one that only moves to the left. Both results keep the distances, and so does
/// their mean, which prefers neither side.
fn place(rows: &[Vec<usize>], slots: &mut [Slot]) {
    for row in rows {
        let mut x = 0.0;
        for &slot in row {
            slots[slot].center = x + slots[slot].width / 2.0;
            x += slots[slot].width + GAP;
        }
        // All rows are centered on one line.
        row.iter().for_each(|&slot| slots[slot].center -= (x - GAP) / 2.0);
    }
    for sweep in 0..16 {
        for step in 0..rows.len() {
            let row = &rows[if sweep % 2 == 0 { step } else { rows.len() - 1 - step }];
            let wanted: Vec<f64> = row.iter().map(|&slot| wish(slot, slots)).collect();
            let gap = |a: usize, b: usize, slots: &[Slot]| (slots[a].width + slots[b].width) / 2.0 + GAP;
            // As far left and as far right as the others allow; the mean keeps the distances.
            let mut left = wanted.clone();
            for index in 1..row.len() {
                left[index] = left[index].max(left[index - 1] + gap(row[index - 1], row[index], slots));
            }
            let mut right = wanted;
            for index in (1..row.len()).rev() {
                right[index - 1] =
                    right[index - 1].min(right[index] - gap(row[index - 1], row[index], slots));
            }
            for (index, &slot) in row.iter().enumerate() {
                slots[slot].center = (left[index] + right[index]) / 2.0;
            }
        }
    }
}

/// Returns the best place of a slot: amid its neighbors.
fn wish(slot: usize, slots: &[Slot]) -> f64 {
    let neighbors = slots[slot].above.iter().chain(&slots[slot].below);
    let (sum, count) =
        neighbors.fold((0.0, 0), |(sum, count), &other| (sum + slots[other].center, count + 1));
    if count == 0 { slots[slot].center } else { sum / f64::from(count) }
}

/// Converts the centers of slots to coordinates, adds the boxes that are set aside below the others, and determines
/// the size of the picture.
fn finish(view: View, slots: &[Slot], slot_of: &[usize], chains: &[Vec<usize>]) -> Picture {
    // An empty scope has no slots, and its ends are infinite.
    let left = slots.iter().map(|slot| slot.center - slot.width / 2.0).fold(f64::INFINITY, f64::min);
    let right = slots.iter().map(|slot| slot.center + slot.width / 2.0).fold(f64::NEG_INFINITY, f64::max);
    let left = if left.is_finite() { left } else { 0.0 };
    let top = |layer: usize| MARGIN + layer as f64 * (HEIGHT + LAYER_GAP);
    let rect = |slot: &Slot| Rect {
        x: slot.center - slot.width / 2.0 - left + MARGIN,
        y: top(slot.layer),
        width: slot.width,
        height: HEIGHT,
    };
    let mut places = vec![Rect::default(); view.boxes.len()];
    slots
        .iter()
        .filter_map(|slot| Some((slot.item?, rect(slot))))
        .for_each(|(item, rect)| places[item] = rect);
    let lines = view.edges.iter().zip(chains).map(|(edge, chain)| {
        let mut points = Vec::with_capacity(chain.len() * 2);
        for (index, &slot) in chain.iter().enumerate() {
            let rect = rect(&slots[slot]);
            let (first, last) = (index == 0, index + 1 == chain.len());
            if !first {
                points.push((rect.center(), rect.y));
            }
            if !last {
                points.push((rect.center(), rect.y + HEIGHT));
            }
        }
        // The edge was turned around in `lay_out`, because it goes back.
        if chain.first() != Some(&slot_of[edge.from]) {
            points.reverse();
        }
        points
    });
    let lines = lines.collect();
    let mut width = (right - left).max(0.0) + 2.0 * MARGIN;
    let layers = slots.iter().map(|slot| slot.layer + 1).max().unwrap_or(0);
    let mut height = if layers == 0 { MARGIN } else { top(layers) - LAYER_GAP + MARGIN };
    let aside = view.boxes.iter().any(|item| item.aside).then_some(height);
    if let Some(start) = aside {
        // In rows, because nothing connects these boxes and a layer would have no meaning for them.
        let (mut x, mut y) = (MARGIN, start + MARGIN + 12.0);
        for (item, place) in view.boxes.iter().zip(&mut places).filter(|(item, _)| item.aside) {
            let own = width_of(item);
            if x > MARGIN && x + own > width.max(ASIDE_WIDTH) - MARGIN {
                (x, y) = (MARGIN, y + HEIGHT + 12.0);
            }
            *place = Rect { x, y, width: own, height: HEIGHT };
            x += own + 12.0;
            // A single box may be wider than all others together.
            width = width.max(x + MARGIN - 12.0);
        }
        height = y + HEIGHT + MARGIN;
    }
    Picture { view, places, lines, width, height, aside }
}
