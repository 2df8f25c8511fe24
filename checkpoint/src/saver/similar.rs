//! Names that are meant when one is not found.

use tensor::text::nearest;

/// Returns advice for names that a checkpoint lacks: the most similar stored names, and the options that help.
pub(super) fn help(missing: &[String], stored: &[String]) -> String {
    /// The number of names for which a suggestion is made. A model of another kind lacks thousands.
    const ANSWERED: usize = 3;
    let near =
        |name: &String| Some(format!("{:?} for {name:?}", nearest(name, stored.iter().map(String::as_str))?));
    let near: Vec<String> = missing.iter().take(ANSWERED).filter_map(near).collect();
    let near = if near.is_empty() {
        String::new()
    } else {
        format!("; the nearest in the file: {}", near.join(", "))
    };
    format!("{near}; rename(..) maps names, allow_missing(true) keeps the initial values of missing ones")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_names_are_offered() {
        let stored = ["model/dense/kernel", "bias", "global_step"].map(str::to_owned);
        let text = help(&["Bias".to_owned()], &stored);
        assert!(text.starts_with("; the nearest in the file: \"bias\" for \"Bias\"; rename"), "{text}");
    }
}
