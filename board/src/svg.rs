//! The parts that all drawings share.

/// Begins a drawing of this width and height, in pixels, with its title, style and background. The caller closes the
/// element.
pub(crate) fn begin([width, height]: [f64; 2], title: &str, style: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\"><title>{}</title><style>{style}</style>\
         <rect id=\"back\" width=\"100%\" height=\"100%\"/>",
        escaped(title)
    )
}

/// Escapes a text for the content or an attribute of an XML element. Characters that XML cannot represent become
/// U+FFFD.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Line ends would break the single line of a title in some viewers.
            '\n' | '\t' => out.push(' '),
            _ if character.is_control() || matches!(character, '\u{fffe}' | '\u{ffff}') => {
                out.push('\u{fffd}')
            }
            _ => out.push(character),
        }
    }
    out
}
