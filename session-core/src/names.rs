//! Legal names and the resolution of clashes.

use rustc_hash::FxHashMap;

/// The names in use, ignoring case, with the next suffix to try for each (S-6).
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    used: FxHashMap<String, usize>,
}

impl Names {
    /// Marks a name as used, even if it already was.
    pub(crate) fn take(&mut self, name: &str) {
        // An entry with a higher suffix stays: resetting it would only repeat the search.
        self.used.entry(name.to_lowercase()).or_insert(1);
    }

    /// Returns the name itself, or with the first free suffix `_1`, `_2`, and so on. The requested case is
    /// kept.
    pub(crate) fn unique(&mut self, name: &str) -> String {
        // As in TensorFlow, `Foo` and `foo` count as one name.
        let key = name.to_lowercase();
        let Some(mut suffix) = self.used.get(&key).copied() else {
            self.used.insert(key, 1);
            return name.to_owned();
        };
        loop {
            // Compared in lower case, returned in the requested one.
            let candidate = format!("{key}_{suffix}");
            suffix += 1;
            if !self.used.contains_key(&candidate) {
                self.used.insert(candidate, 1);
                // Remembered, so that the n-th use of a name does not try all n suffixes again.
                self.used.insert(key, suffix);
                return format!("{name}_{}", suffix - 1);
            }
        }
    }
}

/// Returns true if the text can be the name of an operation (S-8) or of a scope, whose later characters it
/// follows.
pub(crate) fn is_legal(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '.')
        && characters.all(|c| c.is_ascii_alphanumeric() || "_.\\/>-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_6_names_are_unique_ignoring_case() {
        let mut names = Names::default();
        assert_eq!(names.unique("Foo"), "Foo");
        assert_eq!(names.unique("foo"), "foo_1");
        assert_eq!(names.unique("Foo"), "Foo_2");
        assert_eq!(names.unique("foo_1"), "foo_1_1");
        assert_eq!(names.unique("bar_1"), "bar_1");
        assert_eq!(names.unique("bar"), "bar");
        assert_eq!(names.unique("bar"), "bar_2", "bar_1 is taken");
    }

    #[test]
    fn s_8_only_legal_names_are_accepted() {
        for name in ["a", "Z9", ".x", "7up", "a/b_c.d\\e>f-g"] {
            assert!(is_legal(name), "{name}");
        }
        for name in ["", "_a", "/a", "a b", "a:0", "ä", "^a", "-x"] {
            assert!(!is_legal(name), "{name}");
        }
    }
}
