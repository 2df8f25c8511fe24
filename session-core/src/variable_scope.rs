//! Scopes in which variables are shared.

use crate::Graph;
use rustc_hash::FxHashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Selects whether a request for a variable creates it or finds an existing one: the `reuse` argument of
/// `tf.variable_scope`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reuse {
    /// Creates variables: `reuse=None`. An existing variable is a build error. Within a scope that reuses,
    /// that scope decides.
    #[default]
    No,
    /// Finds variables: `reuse=True`. A missing variable is a build error.
    Yes,
    /// Finds existing variables and creates missing ones: `tf.AUTO_REUSE`.
    Auto,
}

/// The variable scope of a handle.
#[derive(Debug, Default)]
pub(crate) struct VariableScope {
    /// The name without a final `/`. Empty at the root.
    name: String,
    reuse: Reuse,
    /// The names of layers that were made unique. The lock guards nothing else.
    taken: Mutex<FxHashSet<String>>,
}

impl VariableScope {
    fn child(&self, name: &str, reuse: Reuse) -> VariableScope {
        // `None` inherits, as in TensorFlow: an inner scope cannot undo the reuse of an outer one.
        let reuse = if reuse == Reuse::No { self.reuse } else { reuse };
        VariableScope { name: self.full(name), reuse, taken: Mutex::default() }
    }

    fn full(&self, name: &str) -> String {
        match (self.name.as_str(), name) {
            ("", name) | (name, "") => name.to_owned(),
            (scope, name) => format!("{scope}/{name}"),
        }
    }

    /// Returns the name itself, or with the first free suffix if layers use it.
    fn unique(&self, name: &str) -> String {
        // Not the names of the graph: a second model that shares the variables must find the same layers
        // again.
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut candidate = name.to_owned();
        let mut suffix = 0;
        while taken.contains(&candidate) {
            suffix += 1;
            candidate = format!("{name}_{suffix}");
        }
        taken.insert(candidate.clone());
        candidate
    }
}

impl Graph {
    /// Returns a handle whose variables have a scope of their own and can be shared by `get_variable` and by
    /// layers, as in `tf.variable_scope`. Operations go into a name scope of the same name, which is made
    /// unique; variables keep the original name, so that a model that is built twice shares its variables. An
    /// empty name stays in the current scope.
    ///
    /// Unnamed layers are numbered from the start in each handle returned, so that a model that is built
    /// again finds its layers.
    ///
    /// ```
    /// use session_core::{Graph, Reuse};
    /// let graph = Graph::new();
    /// let training = graph.variable_scope("model", Reuse::Auto);
    /// let evaluation = graph.variable_scope("model", Reuse::Auto);
    /// assert_eq!((training.scope_name(), evaluation.scope_name()), ("model/", "model_1/"));
    /// assert_eq!(evaluation.variable_name("w").as_deref(), Some("model/w")); // in both
    /// ```
    #[must_use]
    pub fn variable_scope(&self, name: &str, reuse: Reuse) -> Graph {
        let scope = match &self.context.variables {
            Some(outer) => outer.child(name, reuse),
            None => VariableScope::default().child(name, reuse),
        };
        let inside = if name.is_empty() { self.clone() } else { self.scope(name) };
        inside.with_context(|context| context.variables = Some(Arc::new(scope)))
    }

    /// Returns the scope of a function that creates operations and variables, such as a layer:
    /// [`composite`](Graph::composite), plus a variable scope of the same name, made unique within its
    /// parent, if the handle is in a variable scope.
    #[must_use]
    pub fn layer_scope(&self, default: &str) -> Graph {
        let inner = self.composite(default);
        let Some(outer) = &self.context.variables else { return inner };
        let name = match self.pending_name() {
            // A name that was given is not made unique, so two layers of one name share their variables.
            Some(given) => given.to_owned(),
            None => outer.unique(default),
        };
        // Layers inherit the mode of the scope around them.
        let scope = outer.child(&name, Reuse::No);
        inner.with_context(|context| context.variables = Some(Arc::new(scope)))
    }

    /// Returns the full name of a variable in the variable scope of the handle, or `None` outside of any.
    ///
    /// ```
    /// use session_core::{Graph, Reuse};
    /// let scope = Graph::new().variable_scope("model", Reuse::No);
    /// assert_eq!(scope.variable_name("w").as_deref(), Some("model/w"));
    /// ```
    #[must_use]
    pub fn variable_name(&self, name: &str) -> Option<String> {
        self.context.variables.as_ref().map(|scope| scope.full(name))
    }

    /// Returns the reuse mode of the variable scope of the handle. Outside of any scope, variables are
    /// created.
    ///
    /// ```
    /// use session_core::{Graph, Reuse};
    /// assert_eq!(Graph::new().variable_scope("model", Reuse::Auto).reuse(), Reuse::Auto);
    /// ```
    #[must_use]
    pub fn reuse(&self) -> Reuse {
        self.context.variables.as_ref().map(|scope| scope.reuse).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(graph: &Graph) -> String {
        graph.variable_name("w").unwrap()
    }

    #[test]
    fn names_follow_variable_scopes_and_not_name_scopes() {
        let graph = Graph::new();
        assert_eq!(graph.variable_name("w"), None);
        let outer = graph.scope("tower").variable_scope("outer", Reuse::No);
        assert_eq!((outer.scope_name(), variable(&outer).as_str()), ("tower/outer/", "outer/w"));
        let inner = outer.scope("names_only").variable_scope("inner", Reuse::No);
        assert_eq!(variable(&inner), "outer/inner/w");
        assert_eq!(variable(&graph.variable_scope("", Reuse::Auto)), "w");
        assert_eq!(inner.root().variable_name("w"), None);
    }

    #[test]
    fn reuse_is_inherited() {
        let graph = Graph::new();
        let shared = graph.variable_scope("a", Reuse::Auto);
        assert_eq!(shared.variable_scope("b", Reuse::No).reuse(), Reuse::Auto);
        assert_eq!(shared.variable_scope("b", Reuse::Yes).reuse(), Reuse::Yes);
        assert_eq!(shared.variable_scope("", Reuse::Yes).variable_name("w").as_deref(), Some("a/w"));
        assert_eq!((graph.reuse(), shared.layer_scope("dense").reuse()), (Reuse::No, Reuse::Auto));
    }

    #[test]
    fn layers_are_numbered_in_each_handle_of_a_scope() {
        let graph = Graph::new();
        for _ in 0..2 {
            let scope = graph.variable_scope("model", Reuse::Auto);
            let layers = [scope.layer_scope("dense"), scope.layer_scope("dense")];
            assert_eq!(layers.each_ref().map(variable), ["model/dense/w", "model/dense_1/w"]);
            let given = scope.named("logits");
            assert_eq!(variable(&given.layer_scope("dense")), "model/logits/w");
            assert_eq!(
                variable(&given.layer_scope("dense")),
                "model/logits/w",
                "a name that is given is kept"
            );
        }
        assert_eq!(graph.layer_scope("dense").variable_name("w"), None);
    }
}
