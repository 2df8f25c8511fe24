//! Escaping of text from files for display.

use std::fmt::{self, Write};

/// Displays text that comes from a file, such as a name, without anything that affects how a terminal renders
/// it: control characters (including line breaks and escape sequences), marks that change the writing
/// direction, and invisible marks. They are written as Rust escapes.
/// ```
/// use tensor::text::escaped;
/// assert_eq!(escaped("w\u{1b}[2J\n").to_string(), "w\\u{1b}[2J\\n");
/// assert_eq!(escaped("gr\u{f6}\u{df}e \u{1f600}").to_string(), "gr\u{f6}\u{df}e \u{1f600}");
/// ```
pub fn escaped<T: fmt::Display>(text: T) -> Escaped<T> {
    Escaped(text)
}

/// The result of [`escaped`].
#[derive(Clone, Copy, Debug)]
pub struct Escaped<T>(T);

impl<T: fmt::Display> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Padding counts the characters of the result, so the text must be complete before it is padded.
        if f.width().is_some() || f.precision().is_some() {
            let mut text = String::new();
            write!(Escaping(&mut text), "{}", self.0)?;
            return f.pad(&text);
        }
        write!(Escaping(f), "{}", self.0)
    }
}

/// A writer that escapes what passes through it.
struct Escaping<W>(W);

impl<W: Write> Write for Escaping<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_unfit) {
            let (plain, unfit) = rest.split_at(at);
            self.0.write_str(plain)?;
            let mut chars = unfit.chars();
            chars.next().into_iter().flat_map(char::escape_default).try_for_each(|c| self.0.write_char(c))?;
            rest = chars.as_str();
        }
        self.0.write_str(rest)
    }
}

/// Returns true for a character that [`escaped`] escapes.
#[must_use]
pub fn is_unfit(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' // invisible marks and direction marks
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Returns the known name that is nearest to one that was not found: the same but for its scope or case, or else with few
/// changes; `None` when all are far from it.
///
/// ```
/// use tensor::text::nearest;
/// let known = ["model/dense/kernel", "bias", "global_step"];
/// assert_eq!(nearest("dense/kernel", known), Some("model/dense/kernel"));
/// assert_eq!(nearest("Bias", known), Some("bias"));
/// assert_eq!(nearest("embedding", known), None);
/// ```
pub fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let last = |name: &str| name.rsplit('/').next().map(str::to_lowercase);
    let (lower, wanted) = (name.to_lowercase(), last(name));
    let length = name.chars().count();
    let limit = 1 + length / 3;
    let cost = |other: &str| match last(other) == wanted {
        true => 0,
        // Texts that differ in length by `n` differ by at least `n` changes.
        false if other.chars().count().abs_diff(length) > limit => usize::MAX,
        false => 1 + changes(&lower, &other.to_lowercase()),
    };
    // Of names at the same distance the first in the alphabet, so that a message does not depend on the order
    // of a map.
    let (cost, found) = known.into_iter().map(|other| (cost(other), other)).min()?;
    (cost <= limit).then_some(found)
}

/// Returns the edit distance of two names: the number of characters to insert, remove or replace, and of pairs of neighbors to
/// exchange.
fn changes(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let (mut two_above, mut row) = (above.clone(), above.clone());
    for i in 0..a.len() {
        row[0] = i + 1;
        for j in 0..b.len() {
            let replaced = above[j] + usize::from(a[i] != b[j]);
            row[j + 1] = replaced.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                row[j + 1] = row[j + 1].min(two_above[j - 1] + 1);
            }
        }
        // Rotates three rows instead of keeping the table: names of ops can be long, and many are compared.
        std::mem::swap(&mut two_above, &mut above);
        std::mem::swap(&mut above, &mut row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_names_are_found() {
        let known = ["model/dense/kernel", "bias", "global_step"];
        assert_eq!(nearest("global_step_1", known), Some("global_step"));
        assert_eq!(nearest("lsot", ["lots", "lost", "toll"]), Some("lost"));
        assert_eq!((changes("kernel", "kenrel"), changes("ab", ""), changes("ca", "abc")), (1, 2, 3));
        assert_eq!(nearest("", known), None);
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn only_text_reaches_a_terminal() {
        let text = "a\x1b]0;x\x07\r\n\t\u{9b}31m\u{202e}b\u{2066}c\u{feff}\u{7f}";
        let shown = escaped(text).to_string();
        assert!(!shown.chars().any(is_unfit), "{shown:?}");
        assert_eq!(shown, "a\\u{1b}]0;x\\u{7}\\r\\n\\t\\u{9b}31m\\u{202e}b\\u{2066}c\\u{feff}\\u{7f}");
    }

    #[test]
    fn shown_text_has_the_requested_width() {
        assert_eq!(format!("[{:6}]", escaped("a\n")), "[a\\n   ]");
        assert_eq!(format!("{}", escaped(std::path::Path::new("x y").display())), "x y");
    }
}
