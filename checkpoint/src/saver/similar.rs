//! Names that are meant when one is not found.

/// What helps when a checkpoint lacks these names: the nearest of those that it has, and the options that allow it.
pub(super) fn help(missing: &[String], stored: &[String]) -> String {
    /// So many names are answered; a model of another kind lacks thousands.
    const ANSWERED: usize = 3;
    let near = |name: &String| Some(format!("{:?} for {name:?}", nearest(name, stored)?));
    let near: Vec<String> = missing.iter().take(ANSWERED).filter_map(near).collect();
    let near = if near.is_empty() {
        String::new()
    } else {
        format!("; the nearest in the file: {}", near.join(", "))
    };
    format!("{near}; rename(..) maps names, allow_missing(true) keeps the initial values of what is missing")
}

/// The stored name that is nearest: the same but for its scope or a suffix, or else with few changes.
fn nearest<'n>(name: &str, stored: &'n [String]) -> Option<&'n str> {
    let last = |name: &str| name.rsplit('/').next().map(str::to_lowercase);
    let cost = |other: &String| match last(other) == last(name) {
        true => 0,
        false => 1 + changes(&name.to_lowercase(), &other.to_lowercase()),
    };
    let (cost, found) = stored.iter().map(|other| (cost(other), other)).min()?;
    (cost <= 1 + name.chars().count() / 3).then_some(found)
}

/// How many characters must be put in, taken out or replaced to make one name of the other.
fn changes(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_names_are_offered() {
        let stored = ["model/dense/kernel", "bias", "global_step"].map(str::to_owned);
        assert_eq!(nearest("dense/kernel", &stored), Some("model/dense/kernel"));
        assert_eq!(nearest("Bias", &stored), Some("bias"));
        assert_eq!(nearest("global_step_1", &stored), Some("global_step"));
        assert_eq!(nearest("embedding", &stored), None);
        let text = help(&["Bias".to_owned()], &stored);
        assert!(text.starts_with("; the nearest in the file: \"bias\" for \"Bias\"; rename"), "{text}");
    }
}
