//! Words that the style does not use, and the first words of sentences that have no verb.

/// Words and phrases, each with the one to use instead. A place that needs one of them states the reason in a comment.
pub(crate) const AVOIDED: [(&str, &str); 30] = [
    ("anew", "again, recreated"),
    ("as if nothing had happened", "without a trace"),
    ("behaviour", "behavior"),
    ("behaviours", "behaviors"),
    ("beside", "alongside, next to"),
    ("by and by", "gradually"),
    ("colour", "color"),
    ("comes round", "is loop-carried"),
    ("finalise", "finalize"),
    ("finalised", "finalized"),
    ("finalises", "finalizes"),
    ("for want of", "because there is no"),
    ("in the place of", "instead of"),
    ("initialisation", "initialization"),
    ("initialise", "initialize"),
    ("initialised", "initialized"),
    ("initialiser", "initializer"),
    ("initialises", "initializes"),
    ("licence", "license"),
    ("mistake", "error"),
    ("mistakes", "errors"),
    ("normalise", "normalize"),
    ("optimise", "optimize"),
    ("optimised", "optimized"),
    ("put off", "deferred"),
    ("rehearsal", "dry run"),
    ("so many", "n, a number"),
    ("so much", "n, an amount"),
    ("told", "reported, passed"),
    ("uninitialised", "uninitialized"),
];

/// Words with which documentation does not begin.
const HEADLESS: [&str; 9] = ["How", "That", "What", "When", "Where", "Whether", "Which", "Who", "Why"];

/// Returns true if documentation that begins with this line has no verb or noun at its head.
pub(crate) fn is_headless(line: &str) -> bool {
    let word = line.split(|letter: char| !letter.is_alphabetic()).next().unwrap_or_default();
    HEADLESS.contains(&word)
}

/// Returns the avoided words in a line. Names count as the words that they consist of.
pub(crate) fn avoided(line: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let words: Vec<String> = line
        .split(|letter: char| !letter.is_alphabetic())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    // Spaces at both ends, so that the first and the last word are found, too.
    let line = format!(" {} ", words.join(" "));
    AVOIDED.into_iter().filter(move |(word, _)| line.contains(&format!(" {word} ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_words_decide_what_is_headless() {
        assert!(is_headless("Whether it runs."));
        assert!(!is_headless("Returns what runs."));
        assert!(!is_headless("Whatever runs."));
    }

    #[test]
    fn words_are_found_in_text_and_in_names() {
        let found = |line| avoided(line).map(|(word, _)| word).collect::<Vec<_>>();
        assert_eq!(found("fn looks_every_so_many_steps() {"), ["so many"]);
        assert_eq!(found("/// The licence, Beside it."), ["beside", "licence"]);
        assert_eq!(found("besides, an_untold story"), Vec::<&str>::new());
    }
}
