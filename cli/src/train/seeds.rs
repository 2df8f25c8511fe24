//! Seeds for random operations that have none.
//!
//! Each operation without a seed gets the given seed as the graph's, and its own number in the order of the file. Two
//! runs with one seed therefore draw the same numbers, and two operations of a graph draw different ones. Operations
//! with a seed of their own are unchanged.

use monitored_session::graph_def::proto::{AttrValue, GraphDef, NodeDef, Value};

/// Sets the seeds of each random operation without any to this seed and its position, as TensorFlow's graph-level seed does.
pub(crate) fn give_seeds(graph: &mut GraphDef, seed: i64) {
    let mut position = 0;
    graph.node.iter_mut().for_each(|node| give_seed(node, seed, &mut position));
    let functions = graph.library.iter_mut().flat_map(|library| &mut library.function);
    // Functions after the graph, so that the numbers of the graph do not depend on its functions.
    functions
        .flat_map(|function| &mut function.node_def)
        .for_each(|node| give_seed(node, seed, &mut position));
}

/// Sets the seeds of a node that has none. In graph files, a missing seed is 0 in both attributes.
fn give_seed(node: &mut NodeDef, seed: i64, position: &mut i64) {
    let is_open =
        |name: &str| matches!(node.attr.get(name).and_then(|attr| attr.value.as_ref()), Some(Value::Int(0)));
    // Both must be 0: an operation with either has a seed of its own.
    if !is_open("seed") || !is_open("seed2") {
        return;
    }
    *position += 1;
    for (name, value) in [("seed", seed), ("seed2", *position)] {
        node.attr.insert(name.to_owned(), AttrValue { value: Some(Value::Int(value)) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(seed: i64, seed2: i64) -> NodeDef {
        let attr = [("seed", seed), ("seed2", seed2)];
        let attr = attr.map(|(name, value)| (name.to_owned(), AttrValue { value: Some(Value::Int(value)) }));
        NodeDef { name: "r".into(), op: "RandomUniform".into(), attr: attr.into(), ..NodeDef::default() }
    }

    #[test]
    fn only_missing_seeds_are_set() {
        let mut graph = GraphDef { node: vec![node(0, 0), node(3, 0), node(0, 0)], ..GraphDef::default() };
        give_seeds(&mut graph, 9);
        assert_eq!(graph.node, [node(9, 1), node(3, 0), node(9, 2)]);
    }
}
