//! Figures on documentation: how much there is, how it begins, and which words it uses. A table holds them, so that no
//! crate gets worse. The claims of the README are held as well: each names a test or a command.

mod claims;
mod source;
mod words;

use crate::shell::{members, root, say};
use anyhow::{Context, Result, bail};
use source::Source;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// The file that holds the figures reached.
const TABLE: &str = "docs/documentation.tsv";

/// The text for other arguments.
const USAGE: &str = "docs takes --stats, --check, --write, or --places CRATE";

/// The figures of one crate.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Figures {
    /// Documentation that begins with an interrogative instead of a verb or a noun.
    headless: usize,
    /// Words that the style does not use, in sources, tests, and Markdown.
    words: usize,
    /// Lines of documentation per line of code.
    docs: f64,
    /// The share of public functions, types, traits, and macros that have an example.
    examples: f64,
    /// Lines of comments per line of code.
    comments: f64,
}

impl Figures {
    /// Computes the figures of a source.
    fn of(source: &Source) -> Figures {
        let ratio = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
        Figures {
            headless: source.headless.len(),
            words: source.words.len(),
            docs: ratio(source.docs, source.code),
            examples: ratio(source.examples, source.items),
            comments: ratio(source.comments, source.code),
        }
    }

    /// Parses the columns after the name of a crate.
    fn parse(columns: &str) -> Option<Figures> {
        let mut columns = columns.split('\t');
        Some(Figures {
            headless: columns.next()?.parse().ok()?,
            words: columns.next()?.parse().ok()?,
            docs: columns.next()?.parse().ok()?,
            examples: columns.next()?.parse().ok()?,
            comments: columns.next()?.parse().ok()?,
        })
    }

    /// Returns the line of the table. It rounds shares down, so that a few lines of code do not fail the check.
    fn line(&self, name: &str) -> String {
        let [docs, examples, comments] =
            [(self.docs, 100.0), (self.examples, 100.0), (self.comments, 1000.0)]
                .map(|(share, steps)| (share * steps).floor() / steps);
        format!("{name}\t{}\t{}\t{docs:.2}\t{examples:.2}\t{comments:.3}\n", self.headless, self.words)
    }

    /// Returns a sentence for each figure that is worse than the one held.
    fn worse(&self, held: &Figures, name: &str) -> Vec<String> {
        let mut problems = Vec::new();
        let counts = [
            ("headless first sentences", self.headless, held.headless),
            ("words that the style does not use", self.words, held.words),
        ];
        for (figure, found, held) in counts {
            if found > held {
                problems.push(format!(
                    "{name} has {found} {figure}, at most {held} are allowed: cargo xtask docs --places {name}"
                ));
            }
        }
        let shares = [
            ("lines of documentation per line of code", self.docs, held.docs),
            ("of its public items with an example", self.examples, held.examples),
            ("lines of comments per line of code", self.comments, held.comments),
        ];
        for (figure, found, held) in shares {
            if found < held {
                problems.push(format!("{name} has {found:.3} {figure}, at least {held} is required"));
            }
        }
        problems
    }
}

/// Prints the figures, checks them against the table, or writes the table.
pub(crate) fn docs(arguments: &[String]) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--stats"] => print(&sources()?),
        ["--check"] => check(),
        ["--write"] => fs::write(root().join(TABLE), table(&sources()?))
            .with_context(|| format!("{TABLE} cannot be written")),
        ["--places", name] => places(name),
        _ => bail!(USAGE),
    }
}

/// Fails if a crate is worse than its row of the table.
pub(crate) fn check() -> Result<()> {
    let table = fs::read_to_string(root().join(TABLE)).with_context(|| format!("{TABLE} cannot be read"))?;
    let held: BTreeMap<&str, Figures> = table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let row = line.split_once('\t').and_then(|(name, rest)| Some((name, Figures::parse(rest)?)));
            row.with_context(|| format!("{TABLE}: '{line}' is not a crate with five figures"))
        })
        .collect::<Result<_>>()?;
    let sources = sources()?;
    let mut problems = Vec::new();
    for (name, source) in &sources {
        match held.get(name.as_str()) {
            Some(held) => problems.extend(Figures::of(source).worse(held, name)),
            None => problems.push(format!("{name} is not in {TABLE}: cargo xtask docs --write")),
        }
    }
    // A crate that was renamed must not lose its row unnoticed.
    let gone = held.keys().filter(|name| !sources.contains_key(**name));
    problems.extend(gone.map(|name| format!("{TABLE} has {name}, which is not a crate of the workspace")));
    if !problems.is_empty() {
        bail!("documentation:\n  {}", problems.join("\n  "));
    }
    let claims = claims::check(&root())?;
    say(&format!(
        "documentation: {} crates are at least as good as {TABLE} requires, and {claims} claims are shown",
        sources.len()
    ));
    Ok(())
}

/// Scans all crates of the workspace.
fn sources() -> Result<BTreeMap<String, Source>> {
    let metadata = members()?;
    let folders: BTreeMap<String, PathBuf> = metadata
        .packages
        .iter()
        .filter_map(|package| {
            let folder = package.manifest_path.parent()?;
            Some((package.name.to_string(), folder.as_std_path().to_owned()))
        })
        .collect();
    let mut sources = BTreeMap::new();
    for (name, folder) in &folders {
        let others: Vec<&Path> =
            folders.values().filter(|other| *other != folder).map(PathBuf::as_path).collect();
        sources.insert(name.clone(), Source::scan(&root(), folder, &others)?);
    }
    Ok(sources)
}

/// Returns the text of the table.
fn table(sources: &BTreeMap<String, Source>) -> String {
    let mut text = String::from(
        "# Figures on documentation below which no crate may fall: cargo xtask docs --write\n\
         # crate\theadless first sentences\twords that the style does not use\tlines of documentation per line of code\t\
         share of public items with an example\tlines of comments per line of code\n",
    );
    text.extend(sources.iter().map(|(name, source)| Figures::of(source).line(name)));
    text
}

/// Prints the figures of each crate.
fn print(sources: &BTreeMap<String, Source>) -> Result<()> {
    let mut text = format!(
        "{:<18} {:>8} {:>6} {:>10} {:>16} {:>10}\n",
        "crate", "headless", "words", "docs/code", "examples", "comments"
    );
    for (name, source) in sources {
        let figures = Figures::of(source);
        let examples = format!("{}/{} {:.2}", source.examples, source.items, figures.examples);
        writeln!(
            text,
            "{name:<18} {:>8} {:>6} {:>10.3} {examples:>16} {:>10.4}",
            figures.headless, figures.words, figures.docs, figures.comments
        )?;
    }
    say(&text);
    Ok(())
}

/// Prints the places that a crate's counts refer to.
fn places(name: &str) -> Result<()> {
    let sources = sources()?;
    let source = sources.get(name).with_context(|| format!("the workspace has no crate {name}"))?;
    let mut text = String::new();
    for place in &source.headless {
        writeln!(text, "headless {place}")?;
    }
    for place in &source.words {
        writeln!(text, "word {place}")?;
    }
    for place in &source.without {
        writeln!(text, "no example {place}")?;
    }
    say(&text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELD: Figures = Figures { headless: 2, words: 0, docs: 0.35, examples: 0.5, comments: 0.03 };

    #[test]
    fn equal_figures_pass_and_each_worse_one_is_reported() {
        assert!(HELD.worse(&HELD, "a").is_empty());
        let worse = Figures { headless: 3, words: 1, docs: 0.349, examples: 0.4, comments: 0.02 };
        let problems = worse.worse(&HELD, "a");
        assert_eq!(problems.len(), 5);
        assert!(problems[0].starts_with("a has 3 headless first sentences, at most 2"), "{problems:?}");
    }

    #[test]
    fn a_line_of_the_table_rounds_down_and_is_read_back() {
        let figures = Figures { docs: 0.3599, ..HELD };
        let line = figures.line("a");
        let (name, rest) = line.trim_end().split_once('\t').unwrap();
        assert_eq!((name, Figures::parse(rest)), ("a", Some(HELD)));
        assert_eq!(Figures::parse("1\t2\t0.3"), None);
    }
}
