//! The scanner: it reads the sources of a crate line by line and counts documentation, comments, and code.

use super::words::{avoided, is_headless};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// The folders of a crate that are scanned.
const FOLDERS: [&str; 5] = ["src", "tests", "benches", "examples", "docs"];

/// The counts of one crate. Tests, benchmarks, and examples count for words alone.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// Lines that hold code.
    pub(crate) code: usize,
    /// Lines of documentation, pages that the crate includes among them.
    pub(crate) docs: usize,
    /// Lines of comments.
    pub(crate) comments: usize,
    /// Public functions, types, traits, and macros.
    pub(crate) items: usize,
    /// The number of items with an example.
    pub(crate) examples: usize,
    /// The items that have none, with their places.
    pub(crate) without: Vec<String>,
    /// Documentation without a verb or noun at its head.
    pub(crate) headless: Vec<String>,
    /// Avoided words, with what to use instead.
    pub(crate) words: Vec<String>,
}

impl Source {
    /// Scans the folder of a crate, without the folders of the other crates in it.
    pub(crate) fn scan(root: &Path, folder: &Path, others: &[&Path]) -> Result<Source> {
        let mut source = Source::default();
        source.folder(root, folder, folder, others)?;
        Ok(source)
    }

    /// Adds the counts of a folder and the folders in it.
    fn folder(&mut self, root: &Path, krate: &Path, folder: &Path, others: &[&Path]) -> Result<()> {
        let entries =
            fs::read_dir(folder).with_context(|| format!("{} cannot be listed", folder.display()))?;
        let mut paths: Vec<_> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        // In order, so that the lists do not depend on the file system.
        paths.sort();
        for path in paths {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() {
                // The folder of the facade is the top of the workspace and holds much that is not its own.
                if folder == krate && !FOLDERS.contains(&name) || others.contains(&path.as_path()) {
                    continue;
                }
                self.folder(root, krate, &path, others)?;
                continue;
            }
            let is_code = name.ends_with(".rs");
            // The list of avoided words is the one place that has to name them.
            if !is_code && !name.ends_with(".md") || path.ends_with("docs/words.rs") {
                continue;
            }
            let text =
                fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
            let place = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            for (number, line) in text.lines().enumerate() {
                let found = avoided(line);
                self.words.extend(
                    found.map(|(word, better)| format!("{place}:{}: '{word}': {better}", number + 1)),
                );
            }
            let is_test = path.file_stem().is_some_and(|stem| stem == "tests");
            if is_code && !is_test && path.starts_with(krate.join("src")) {
                self.file(&text, &path, &place)?;
            }
        }
        Ok(())
    }

    /// Counts the lines of a source file.
    fn file(&mut self, text: &str, path: &Path, place: &str) -> Result<()> {
        let mut lines = text.lines().enumerate().peekable();
        let mut documentation: Vec<&str> = Vec::new();
        let mut inner: Vec<&str> = Vec::new();
        let mut hidden = false;
        // The indentation of the public trait whose methods are being read.
        let mut in_trait: Option<usize> = None;
        while let Some((number, line)) = lines.next() {
            let indent = line.len() - line.trim_start().len();
            let line = line.trim();
            if let Some(text) = line.strip_prefix("//!") {
                self.docs += 1;
                if inner.is_empty() {
                    self.head(text, place, number);
                }
                inner.push(text);
            } else if let Some(text) = line.strip_prefix("///") {
                self.docs += 1;
                if documentation.is_empty() {
                    self.head(text, place, number);
                }
                documentation.push(text);
            } else if line.starts_with("//") {
                self.comments += 1;
            } else if line.is_empty() {
            } else if line == "#[cfg(test)]" {
                skip_item(&mut lines);
                documentation.clear();
            } else if let Some(page) = included(line) {
                let page = path.parent().unwrap_or(path).join(page);
                let text = fs::read_to_string(&page)
                    .with_context(|| format!("{place} includes {}, which cannot be read", page.display()))?;
                self.docs += text.lines().filter(|line| !line.trim().is_empty()).count();
            } else if line.starts_with("#[") || line.starts_with("#![") {
                self.code += 1;
                hidden |= line.contains("doc(hidden)");
                // An attribute may take several lines.
                let mut end = line;
                while !end.ends_with(']')
                    && let Some((_, next)) = lines.next()
                {
                    self.code += 1;
                    end = next.trim();
                }
            } else {
                self.code += 1;
                if in_trait == Some(indent) {
                    in_trait = None;
                }
                // The formatter indents the methods of a trait by four.
                if let Some(kind) = public(line, in_trait.is_some_and(|outer| indent == outer + 4))
                    && !hidden
                {
                    self.items += 1;
                    if has_example(&documentation) {
                        self.examples += 1;
                    } else {
                        self.without.push(format!("{place}:{}: {line}", number + 1));
                    }
                    if kind == "trait" && !line.ends_with('}') {
                        in_trait = Some(indent);
                    }
                }
                hidden = false;
                documentation.clear();
            }
        }
        Ok(())
    }

    /// Notes documentation whose first line has no verb or noun at its head.
    fn head(&mut self, text: &str, place: &str, number: usize) {
        if is_headless(text.trim()) {
            self.headless.push(format!("{place}:{}: {}", number + 1, text.trim()));
        }
    }
}

/// Skips the item after `#[cfg(test)]`: to the brace that closes it, or to its semicolon.
fn skip_item<'a>(lines: &mut impl Iterator<Item = (usize, &'a str)>) {
    let mut closing = None;
    for (_, line) in lines {
        match &closing {
            Some(closing) if line == closing => return,
            Some(_) => {}
            None if line.trim_start().starts_with("#[") => {}
            // The formatter puts the closing brace below the beginning of the item.
            None if line.ends_with('{') => {
                let indent = line.len() - line.trim_start().len();
                closing = Some(format!("{}}}", &line[..indent]));
            }
            None if line.ends_with(';') || line.ends_with(',') || line.ends_with('}') => return,
            None => {}
        }
    }
}

/// Returns the page that a line includes as documentation.
fn included(line: &str) -> Option<&str> {
    line.strip_prefix("#![doc = include_str!(\"")?.strip_suffix("\")]")
}

/// Returns the keyword of the public item that begins in this line. The methods of a public trait are public.
fn public(line: &str, is_method: bool) -> Option<&str> {
    let mut words = line.split_whitespace().peekable();
    let is_public = words.next_if_eq(&"pub").is_some();
    while words.next_if(|word| ["const", "unsafe", "async", "extern", "\"C\""].contains(word)).is_some() {}
    let keyword = words.next()?;
    let kinds = ["fn", "struct", "enum", "trait", "union", "type"];
    let counts = is_public && kinds.contains(&keyword) || is_method && keyword == "fn";
    counts.then_some(keyword)
}

/// Returns true if documentation has an example that is compiled.
fn has_example(documentation: &[&str]) -> bool {
    let fences = documentation.iter().filter_map(|line| line.trim().strip_prefix("```"));
    // Every second fence closes an example.
    fences.step_by(2).any(|info| !info.contains("ignore") && !info.contains("text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(text: &str) -> Source {
        let mut source = Source::default();
        source.file(text, Path::new("src/lib.rs"), "src/lib.rs").unwrap();
        source
    }

    #[test]
    fn lines_are_counted_by_what_they_hold() {
        let source = scanned(
            "//! A crate.\n\n// Why.\n/// Whether it is.\n#[derive(Debug)]\npub struct A {\n    a: u32,\n}\n\
             #[cfg(test)]\nmod tests {\n    /// What.\n    fn a() {\n    }\n}\n",
        );
        assert_eq!((source.docs, source.comments, source.code, source.items), (2, 1, 4, 1));
        assert_eq!(source.headless, ["src/lib.rs:4: Whether it is."]);
    }

    #[test]
    fn public_functions_types_and_methods_of_public_traits_are_items() {
        let source = scanned(
            "/// ```\n/// a();\n/// ```\npub const fn a() {}\n/// B.\npub trait B {\n    /// C.\n    fn c() {\n    }\n}\n\
             pub(crate) fn d() {}\nfn e() {}\npub const F: u32 = 0;\n#[doc(hidden)]\npub fn g() {}\n",
        );
        assert_eq!((source.items, source.examples), (3, 1));
        assert_eq!(source.without, ["src/lib.rs:6: pub trait B {", "src/lib.rs:8: fn c() {"]);
    }

    #[test]
    fn an_example_that_is_not_compiled_does_not_count() {
        assert!(has_example(&[" ```", " a();", " ```"]));
        assert!(has_example(&[" ```no_run", " a();", " ```"]));
        assert!(!has_example(&[" ```ignore", " a();", " ```"]));
        assert!(!has_example(&[" ```text", " a", " ```", " b"]));
    }
}
