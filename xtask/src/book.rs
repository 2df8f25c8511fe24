//! The guide: its links, and its pages as a book.

use crate::shell::{exists, root, say, section};
use anyhow::{Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the guide in `docs/` with mdbook, after a check of all links.
pub(crate) fn book() -> Result<()> {
    links()?;
    if !exists("mdbook", &["--version"]) {
        bail!("mdbook is not installed: run cargo install mdbook, then cargo xtask book again");
    }
    let mut mdbook = Command::new("mdbook");
    mdbook.args(["build", "docs"]).current_dir(root());
    section("book", mdbook)?;
    say("    the book is in target/book/index.html");
    Ok(())
}

/// Fails if a relative link of a Markdown file leads nowhere, or if the guide's table of contents misses a page.
pub(crate) fn links() -> Result<()> {
    let mut pages = Vec::new();
    collect(&root(), &mut pages)?;
    let (mut count, mut problems) = (0, Vec::new());
    for page in &pages {
        let text = fs::read_to_string(page)?;
        for target in targets(&text) {
            count += 1;
            if let Some(problem) = problem(page, target) {
                problems.push(format!("{}: the link '{target}' {problem}", shown(page)));
            }
        }
    }
    let summary = fs::read_to_string(root().join("docs/SUMMARY.md"))?;
    let listed = targets(&summary);
    for page in pages.iter().filter(|page| page.parent() == Some(&root().join("docs"))) {
        let name = page.file_name().unwrap_or_default().to_string_lossy();
        if name != "SUMMARY.md" && !listed.contains(&&*name) {
            problems.push(format!("{} is not in docs/SUMMARY.md", shown(page)));
        }
    }
    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    say(&format!("links: {count} relative links of {} Markdown files lead somewhere", pages.len()));
    Ok(())
}

/// Returns a path as messages show it: relative to the workspace.
fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Adds the Markdown files below a folder, except those of build folders and fixtures.
fn collect(folder: &Path, pages: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // `shared` is material from outside that a checkout may contain.
        if name.starts_with('.') || ["target", "node_modules", "shared", "fixtures"].contains(&&*name) {
            continue;
        }
        if path.is_dir() && !path.is_symlink() {
            collect(&path, pages)?;
        } else if name.ends_with(".md") {
            pages.push(path);
        }
    }
    pages.sort();
    Ok(())
}

/// Returns the relative targets of links and images outside of code.
fn targets(text: &str) -> Vec<&str> {
    let mut targets = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        // Every second part is between backticks, so it is code.
        for (index, part) in line.split('`').enumerate() {
            // The text of a link may be code: its target then starts the next part.
            let first = (index % 2 == 0 && part.starts_with("](")).then(|| &part[2..]);
            let others = if index % 2 == 0 { part.split("](").skip(1) } else { "".split("](").skip(1) };
            for rest in first.into_iter().chain(others) {
                targets.extend(rest.split_once(')').map(|(target, _)| target));
            }
            for attribute in ["src=\"", "srcset=\"", "href=\""] {
                let values = part.split(attribute).skip(1);
                targets.extend(values.filter_map(|rest| rest.split_once('"').map(|(target, _)| target)));
            }
        }
    }
    targets.sort_unstable();
    targets.dedup();
    // Links with a scheme leave the project; rustdoc checks those to items.
    targets.retain(|target| !target.contains(':') && !target.is_empty());
    targets
}

/// Returns the reason why a link of a page leads nowhere.
fn problem(page: &Path, target: &str) -> Option<String> {
    let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    let path = if file.is_empty() { page.to_owned() } else { page.parent()?.join(file) };
    if !path.exists() {
        return Some("leads to a file that does not exist".to_owned());
    }
    let anchor = anchor.filter(|_| path.extension().is_some_and(|extension| extension == "md"))?;
    let text = fs::read_to_string(&path).ok()?;
    let known = text.lines().filter(|line| line.starts_with('#')).any(|line| slug(line) == anchor);
    (!known).then(|| format!("names a heading that {} does not have", shown(&path)))
}

/// Returns the anchor of a heading, as GitHub and mdbook form it.
fn slug(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_found_outside_of_code() {
        let text = "a [b](c.md#d) `[x](no.md)` [`code`](e.md) ![i](f.png)\n```text\n[y](no.md)\n```\n<img src=\"g.png\">\n[h](https://a.b/c)";
        assert_eq!(targets(text), ["c.md#d", "e.md", "f.png", "g.png"]);
    }

    #[test]
    fn missing_files_and_headings_are_reported() {
        let page = root().join("README.md");
        assert_eq!(problem(&page, "docs/SUMMARY.md"), None);
        assert!(problem(&page, "docs/nowhere.md").is_some_and(|text| text.contains("does not exist")));
        assert_eq!(problem(&page, "CONTRIBUTING.md#adding-a-hook"), None);
        assert!(problem(&page, "CONTRIBUTING.md#adding-a-moon").is_some_and(|text| text.contains("heading")));
    }

    #[test]
    fn anchors_are_formed_like_on_github() {
        assert_eq!(
            slug("## MonitoredTrainingSession: `scoped` form"),
            "monitoredtrainingsession-scoped-form"
        );
    }

    #[test]
    fn all_links_lead_somewhere() {
        links().expect("relative links");
    }
}
