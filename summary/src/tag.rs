//! Names of values.

/// Makes a tag of any name by TensorFlow 1's rule: every character other than letters, digits and
/// `-`, `/`, `_`, `.` becomes `_`, and slashes in front are dropped.
///
/// ```
/// assert_eq!(summary::clean_tag("/train loss"), "train_loss");
/// ```
#[must_use]
pub fn clean_tag(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-/_.".contains(c);
    let tag: String = name.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
    tag.trim_start_matches('/').to_owned()
}

/// Returns the tags of the values of a batch: `<name>/<kind>` if at most one was requested, otherwise with a
/// number each, also when there is only one.
pub(crate) fn of_batch(name: &str, kind: &str, max: usize, count: usize) -> Vec<String> {
    if max == 1 {
        return vec![format!("{name}/{kind}"); count];
    }
    (0..count).map(|number| format!("{name}/{kind}/{number}")).collect()
}
