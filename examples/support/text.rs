//! A text as numbers: one for each character that occurs in it.

/// The text that both language models learn: that of a license.
pub(crate) const TEXT: &str = include_str!("../../LICENSE-APACHE");

/// A text, and the characters behind its numbers.
pub(crate) struct Encoded {
    pub(crate) ids: Vec<i32>,
    pub(crate) characters: Vec<char>,
}

impl Encoded {
    /// Returns the text with runs of spaces and of line ends made one.
    pub(crate) fn new(text: &str) -> Encoded {
        let mut plain: Vec<char> = text.chars().collect();
        plain.dedup_by(|next, before| next.is_whitespace() && before.is_whitespace());
        let mut characters = plain.clone();
        characters.sort_unstable();
        characters.dedup();
        let ids = plain.iter().filter_map(|character| characters.binary_search(character).ok());
        Encoded { ids: ids.map(|id| id as i32).collect(), characters }
    }

    /// Returns the text of these numbers; of one that no character has, nothing.
    pub(crate) fn decode(&self, ids: &[i32]) -> String {
        ids.iter().filter_map(|&id| self.characters.get(usize::try_from(id).ok()?)).collect()
    }

    /// Returns the numbers of a text, without the characters that do not occur.
    pub(crate) fn encode(&self, text: &str) -> Vec<i32> {
        let id = |character: char| self.characters.binary_search(&character).ok();
        text.chars().filter_map(id).map(|id| id as i32).collect()
    }
}
