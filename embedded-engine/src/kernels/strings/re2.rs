//! RE2's regular expressions in the syntax of the `regex` crate.
//!
//! TensorFlow's patterns are RE2's. The library here is close to it, but reads a few forms otherwise, and lacks
//! some:
//!
//! | pattern | RE2 | the library |
//! | --- | --- | --- |
//! | `\d`, `\s`, `\w`, `\b` | ASCII; `\s` without the vertical tab | Unicode |
//! | `[a&&b]`, `[a--b]`, `[a~~b]`, `[[a]` | characters and ranges | operations on classes, nested classes |
//! | `\<`, `\>` | the characters | ends of words |
//! | `\Q...\E`, `\C`, `\123`, `a{b` | literal text, any byte, an octal number, a brace | errors |
//! | `a**`, `(?x)`, `(?u)` | errors | accepted |
//!
//! The translation therefore writes each literal, class and group again, so that the library sees no form with two
//! meanings. Unicode's case folding and classes such as `\pL` are the library's. It knows more names of such
//! classes than RE2, which are accepted, and refuses surrogates such as `\x{d800}`, which match nothing in RE2.
//!
//! # Examples
//!
//! ```text
//! RE2                 the library
//! \w+\s               [0-9A-Za-z_]+[\t\n\f\r\x20]
//! \bnew\b            (?-u:\b)new(?-u:\b)
//! [a&&b]              [a\x{26}\x{26}b]
//! \Qa.b\E            a\x{2e}b
//! ```
//!
//! # Cost
//!
//! A pattern is translated in one pass when its plan is compiled, or in the step if it is an input. The library
//! compiles the result; matching takes time in proportion to the text, for every pattern.

use std::fmt::Write as _;

/// The largest number of repetitions that RE2 accepts.
const MOST_REPETITIONS: u32 = 1000;

/// Returns a pattern of RE2 in the library's syntax, or what is wrong with it, in RE2's words.
///
/// Parentheses and operators without an operand are left to the library, which refuses them, too.
pub(super) fn translated(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    // The repetition operator right before, which must not be repeated.
    let mut operator = "";
    while let Some(first) = rest.chars().next() {
        let repetition = match first {
            '*' | '+' | '?' => 1,
            '{' => repetition(rest)?,
            _ => 0,
        };
        if repetition > 0 {
            // A question mark makes any operator lazy.
            let is_lazy = rest[repetition..].starts_with('?');
            let (own, after) = rest.split_at(repetition + usize::from(is_lazy));
            if !operator.is_empty() {
                return Err(format!("bad repetition operator: {operator}{own}"));
            }
            out.push_str(own);
            (operator, rest) = (own, after);
            continue;
        }
        operator = "";
        rest = match first {
            '\\' => escape(rest, &mut out)?,
            '[' => class(rest, &mut out)?,
            '(' => group(rest, &mut out)?,
            '.' | '|' | ')' | '^' | '$' => {
                out.push(first);
                &rest[1..]
            }
            _ => {
                literal(first, &mut out);
                &rest[first.len_utf8()..]
            }
        };
    }
    Ok(out)
}

/// Appends one character that stands for itself, also inside of a class.
fn literal(character: char, out: &mut String) {
    if character.is_ascii_alphanumeric() || !character.is_ascii() {
        out.push(character);
    } else {
        // Unlike an escaped character, a number has one meaning everywhere.
        _ = write!(out, "\\x{{{:x}}}", u32::from(character));
    }
}

/// Returns the length of the repetition `{n}`, `{n,}` or `{n,m}` that a text begins with; 0 if it begins with a
/// brace that is a character.
fn repetition(text: &str) -> Result<usize, String> {
    let Some(end) = text.find('}') else { return Ok(0) };
    let (least, most) = match text[1..end].split_once(',') {
        Some((least, "")) => (least, None),
        Some((least, most)) => (least, Some(most)),
        None => (&text[1..end], None),
    };
    let is_number = |text: &str| {
        let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_digits && (text == "0" || !text.starts_with('0'))
    };
    if !is_number(least) || !most.is_none_or(is_number) {
        return Ok(0);
    }
    let number = |text: &str| text.parse().ok().filter(|&number: &u32| number <= MOST_REPETITIONS);
    match (number(least), most.map(number)) {
        (Some(_), None) => Ok(end + 1),
        (Some(least), Some(Some(most))) if least <= most => Ok(end + 1),
        _ => Err(format!("invalid repetition size: {}", &text[..=end])),
    }
}

/// Translates the group, or the flags, that a text begins with, and returns what follows its opening part.
///
/// Names of groups are dropped, since a rewrite knows only numbers.
fn group<'t>(text: &'t str, out: &mut String) -> Result<&'t str, String> {
    let Some(inner) = text.strip_prefix("(?") else {
        out.push('(');
        return Ok(&text[1..]);
    };
    if let Some(named) = inner.strip_prefix("P<") {
        let (name, rest) =
            named.split_once('>').ok_or_else(|| format!("invalid named capture group: {text}"))?;
        if name.is_empty() || !name.chars().all(|c| c == '_' || c.is_alphanumeric() || !c.is_ascii()) {
            return Err(format!("invalid named capture group: (?P<{name}>"));
        }
        out.push('(');
        return Ok(rest);
    }
    let (mut on, mut off, mut is_negated) = (String::new(), String::new(), false);
    for (at, character) in inner.char_indices() {
        let refused = || Err(format!("invalid perl operator: (?{}", &inner[..at + character.len_utf8()]));
        match character {
            'i' | 'm' | 's' | 'U' => {
                // The last mention counts.
                on.retain(|flag| flag != character);
                off.retain(|flag| flag != character);
                if is_negated { off.push(character) } else { on.push(character) }
            }
            '-' if !is_negated => is_negated = true,
            ')' | ':' => {
                if is_negated && off.is_empty() {
                    return refused();
                }
                let dash = if off.is_empty() { "" } else { "-" };
                // Without flags only a group is left, which may be empty.
                let end = match character {
                    ')' if on.is_empty() && off.is_empty() => ":)",
                    ')' => ")",
                    _ => ":",
                };
                _ = write!(out, "(?{on}{dash}{off}{end}");
                return Ok(&inner[at + 1..]);
            }
            _ => return refused(),
        }
    }
    Err(format!("missing ): {text}"))
}

/// Returns the library's class for one of Perl's.
fn perl(name: char) -> Option<&'static str> {
    Some(match name {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        's' => "[\\t\\n\\f\\r\\x20]",
        'S' => "[^\\t\\n\\f\\r\\x20]",
        'w' => "[0-9A-Za-z_]",
        'W' => "[^0-9A-Za-z_]",
        _ => return None,
    })
}

/// Translates the escape sequence that a text outside of a class begins with, and returns what follows.
fn escape<'t>(text: &'t str, out: &mut String) -> Result<&'t str, String> {
    let Some(name) = text[1..].chars().next() else { return Err("trailing \\".to_owned()) };
    let same = match name {
        'A' => "\\A",
        'z' => "\\z",
        'b' => "(?-u:\\b)",
        'B' => "(?-u:\\B)",
        'C' => "(?s-u:.)",
        'p' | 'P' => return property(text, out),
        'Q' => {
            let quoted = &text[2..];
            let (quoted, rest) = quoted.split_once("\\E").unwrap_or((quoted, ""));
            quoted.chars().for_each(|character| literal(character, out));
            return Ok(rest);
        }
        _ => match perl(name) {
            Some(class) => class,
            None => {
                let (character, rest) = escaped(text)?;
                literal(character, out);
                return Ok(rest);
            }
        },
    };
    out.push_str(same);
    Ok(&text[2..])
}

/// Translates the Unicode class, such as `\pL`, `\p{Greek}` or `\P{^L}`, that a text begins with, and returns
/// what follows.
fn property<'t>(text: &'t str, out: &mut String) -> Result<&'t str, String> {
    let wrong = || format!("invalid character class range: {text}");
    let inner = &text[2..];
    let (name, rest) = match inner.strip_prefix('{') {
        Some(inner) => inner.split_once('}').ok_or_else(wrong)?,
        None => inner.split_at(inner.chars().next().ok_or_else(wrong)?.len_utf8()),
    };
    let positive = name.strip_prefix('^');
    let is_negated = text.starts_with("\\P") != positive.is_some();
    let name = positive.unwrap_or(name);
    if name.is_empty() || !name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric()) {
        return Err(wrong());
    }
    _ = write!(out, "\\{}{{{name}}}", if is_negated { 'P' } else { 'p' });
    Ok(rest)
}

/// Returns the character of the escape sequence that a text begins with, and what follows.
fn escaped(text: &str) -> Result<(char, &str), String> {
    let mut after = text[1..].chars();
    let Some(name) = after.next() else { return Err("trailing \\".to_owned()) };
    let wrong = || format!("invalid escape sequence: \\{name}");
    let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
    let character = match name {
        'a' => '\u{7}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '0'..='7' => {
            let digits = text[1..].bytes().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
            // A single digit would be a reference to a group, which RE2 does not have.
            if digits == 1 && name != '0' {
                return Err(wrong());
            }
            let (digits, rest) = text[1..].split_at(digits);
            return Ok((number(digits, 8).ok_or_else(wrong)?, rest));
        }
        'x' => {
            let inner = after.as_str();
            let parts = match inner.strip_prefix('{') {
                Some(inner) => inner.split_once('}'),
                None => inner.split_at_checked(2),
            };
            let (digits, rest) = parts.ok_or_else(wrong)?;
            // `from_str_radix` would accept a sign.
            let character =
                number(digits, 16).filter(|_| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
            return Ok((character.ok_or_else(wrong)?, rest));
        }
        other if other.is_ascii() && !other.is_ascii_alphanumeric() => other,
        _ => return Err(wrong()),
    };
    Ok((character, after.as_str()))
}

/// The names between `[:` and `:]`.
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

/// Translates the class that a text begins with, and returns what follows.
fn class<'t>(text: &'t str, out: &mut String) -> Result<&'t str, String> {
    let missing = || format!("missing ]: {text}");
    out.push('[');
    let mut rest = &text[1..];
    if let Some(inner) = rest.strip_prefix('^') {
        out.push('^');
        rest = inner;
    }
    // A bracket in the first place is a character.
    let mut is_first = true;
    while is_first || !rest.starts_with(']') {
        is_first = false;
        if let Some(inner) = rest.strip_prefix("[:")
            && let Some((name, after)) = inner.split_once(":]")
        {
            if !POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
                return Err(format!("invalid character class range: [:{name}:]"));
            }
            _ = write!(out, "[:{name}:]");
            rest = after;
            continue;
        }
        let name = rest.strip_prefix('\\').and_then(|rest| rest.chars().next());
        if let Some(class) = name.and_then(perl) {
            out.push_str(class);
            rest = &rest[2..];
            continue;
        }
        if matches!(name, Some('p' | 'P')) {
            rest = property(rest, out)?;
            continue;
        }
        let start = rest;
        let (low, after) = member(rest).ok_or_else(missing)??;
        rest = after;
        literal(low, out);
        // A hyphen before the end is a character.
        if let Some(inner) = rest.strip_prefix('-')
            && !inner.starts_with(']')
        {
            let (high, after) = member(inner).ok_or_else(missing)??;
            if high < low {
                let range = &start[..start.len() - after.len()];
                return Err(format!("invalid character class range: {range}"));
            }
            out.push('-');
            literal(high, out);
            rest = after;
        }
    }
    out.push(']');
    Ok(&rest[1..])
}

/// Returns the character of a class that a text begins with, and what follows; nothing at the end of the text.
fn member(text: &str) -> Option<Result<(char, &str), String>> {
    let first = text.chars().next()?;
    Some(if first == '\\' { escaped(text) } else { Ok((first, &text[first.len_utf8()..])) })
}

#[cfg(test)]
mod tests {
    use super::translated;

    #[test]
    fn patterns_are_translated() {
        for (pattern, expected) in [
            (r"a\d", "a[0-9]"),
            (r"\bx\B", r"(?-u:\b)x(?-u:\B)"),
            (r"\Qa.\E*", r"a\x{2e}*"),
            (r"\Qa\", r"a\x{5c}"),
            (r"\<br\>", r"\x{3c}br\x{3e}"),
            (r"\123\0", r"S\x{0}"),
            ("a{b}{2}", r"a\x{7b}b\x{7d}{2}"),
            ("a{,2}", r"a\x{7b}\x{2c}2\x{7d}"),
            ("[a-c&&b]", r"[a-c\x{26}\x{26}b]"),
            ("[+--]", r"[\x{2b}-\x{2d}]"),
            ("[][a]", r"[\x{5d}\x{5b}a]"),
            (r"[^\W-]", r"[^[^0-9A-Za-z_]\x{2d}]"),
            ("[[:^alpha:]x]", "[[:^alpha:]x]"),
            ("[[:a]", r"[\x{5b}\x{3a}a]"),
            (r"\P{^Greek}\pL", r"\p{Greek}\p{L}"),
            ("(?P<name>a)(?ii-s:b)(?)", "(a)(?i-s:b)(?:)"),
            (r"\x41\x{e9}é", "Aéé"),
        ] {
            assert_eq!(translated(pattern).as_deref(), Ok(expected), "{pattern}");
        }
    }

    #[test]
    fn errors_are_those_of_re2() {
        for (pattern, expected) in [
            (r"\1", r"invalid escape sequence: \1"),
            (r"\8", r"invalid escape sequence: \8"),
            (r"\h", r"invalid escape sequence: \h"),
            (r"\é", r"invalid escape sequence: \é"),
            (r"\x6", r"invalid escape sequence: \x"),
            (r"\x{+6}", r"invalid escape sequence: \x"),
            (r"\", r"trailing \"),
            (r"[\b]", r"invalid escape sequence: \b"),
            ("[a-\\d]", r"invalid escape sequence: \d"),
            ("[b-a]", "invalid character class range: b-a"),
            ("[[:foo:]]", "invalid character class range: [:foo:]"),
            ("[^a", "missing ]: [^a"),
            ("[]", "missing ]: []"),
            ("a**", "bad repetition operator: **"),
            ("a+??", "bad repetition operator: +??"),
            ("a{2}{3}", "bad repetition operator: {2}{3}"),
            ("a{1001}", "invalid repetition size: {1001}"),
            ("a{2,1}", "invalid repetition size: {2,1}"),
            ("(?x)a", "invalid perl operator: (?x"),
            ("(?i-)a", "invalid perl operator: (?i-)"),
            ("(?<n>a)", "invalid perl operator: (?<"),
            ("(?P<a-b>a)", "invalid named capture group: (?P<a-b>"),
            (r"\p{L", r"invalid character class range: \p{L"),
        ] {
            assert_eq!(translated(pattern).unwrap_err(), expected, "{pattern}");
        }
    }
}
