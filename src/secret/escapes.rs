//! What an escape in a text stands for: of JSON, of a URL, of HTML, and each of them escaped again.

use std::ops::Range;

/// Characters that begin an escape, and the plus that stands for a blank.
const LEADS: [char; 4] = ['\\', '%', '&', '+'];
/// How many times over an escape may itself be escaped: JSON in a string of JSON in a query.
const LAYERS: u8 = 3;
/// The names of characters in HTML that are known.
const NAMES: [(&str, char); 9] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("plus", '+'),
    ("sol", '/'),
    ("equals", '='),
    ("nbsp", ' '),
];

/// A character and where its writing ends.
type Reading = (char, usize);

/// A text and every way to read it. Most texts hold no escape at all, and cost next to nothing.
pub(super) struct Text<'a> {
    /// As it is.
    pub plain: &'a str,
    /// The length of the longest word of base64 or hexadecimal that may be in it.
    pub longest_word: usize,
    /// Where an escape may begin, and what it may stand for.
    escaped: Vec<(usize, Vec<Reading>)>,
}

impl<'a> Text<'a> {
    /// Reads it.
    pub(super) fn new(plain: &'a str) -> Self {
        if !plain.contains(LEADS) {
            let words = plain.as_bytes().split(|byte| !is_base64(*byte));
            let longest_word = words.map(<[u8]>::len).max().unwrap_or(0);
            return Self { plain, longest_word, escaped: Vec::new() };
        }
        let leads = plain.char_indices().filter(|(_, c)| LEADS.contains(c));
        let escaped = leads.map(|(at, _)| (at, readings(plain, at, LAYERS))).collect();
        Self { plain, longest_word: plain.len(), escaped }
    }

    /// The first place from `from` on where `text` is written.
    pub(super) fn find(&self, text: &str, from: usize) -> Option<Range<usize>> {
        if self.escaped.is_empty() {
            let start = from + self.plain[from..].find(text)?;
            return Some(start..start + text.len());
        }
        let first = text.chars().next()?;
        let begins = |(_, here): &(usize, char)| *here == first || LEADS.contains(here);
        self.plain[from..].char_indices().filter(begins).find_map(|(at, _)| {
            let start = from + at;
            self.ends(start, text).into_iter().max().map(|end| start..end)
        })
    }

    /// Every end of a writing of `text` that begins at `start`.
    fn ends(&self, start: usize, text: &str) -> Vec<usize> {
        let mut places = vec![start];
        for c in text.chars() {
            let mut next = Vec::new();
            for place in places {
                if self.plain[place..].starts_with(c) {
                    next.push(place + c.len_utf8());
                }
                if let Ok(index) = self.escaped.binary_search_by_key(&place, |(at, _)| *at) {
                    let (_, readings) = &self.escaped[index];
                    next.extend(readings.iter().filter(|(read, _)| *read == c).map(|(_, end)| *end));
                }
            }
            if next.is_empty() {
                return next;
            }
            next.sort_unstable();
            next.dedup();
            places = next;
        }
        places
    }
}

/// Whether a byte can be one of base64, in either alphabet.
pub(super) fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte)
}

/// What the text may stand for at `at`: first the character that is there, last what is left of all escapes.
fn readings(text: &str, at: usize, layers: u8) -> Vec<Reading> {
    let Some(here) = text[at..].chars().next() else { return Vec::new() };
    if layers == 0 || !LEADS.contains(&here) {
        return vec![(here, at + here.len_utf8())];
    }
    let mut all = readings(text, at, layers - 1);
    for (lead, after) in all.clone() {
        match lead {
            '+' => all.push((' ', after)),
            '%' => all.extend(percent(text, after, layers - 1)),
            '&' => all.extend(entity(text, after, layers - 1)),
            '\\' => all.extend(
                readings(text, after, layers - 1)
                    .into_iter()
                    .filter_map(|(c, end)| backslash(text, c, end, layers - 1)),
            ),
            _ => {}
        }
    }
    let mut kept: Vec<Reading> = Vec::with_capacity(all.len());
    for reading in all {
        if !kept.contains(&reading) {
            kept.push(reading);
        }
    }
    kept
}

/// What is left of all escapes at `at`.
fn plain(text: &str, at: usize, layers: u8) -> Option<Reading> {
    let here = text[at..].chars().next()?;
    if LEADS.contains(&here) { readings(text, at, layers).pop() } else { Some((here, at + here.len_utf8())) }
}

/// The end of `lead` at `at`, when all escapes of it are gone.
fn lead(text: &str, at: usize, lead: char, layers: u8) -> Option<usize> {
    readings(text, at, layers).into_iter().rfind(|(c, _)| *c == lead).map(|(_, end)| end)
}

/// So many hexadecimal digits.
fn hex(text: &str, at: usize, digits: u8, layers: u8) -> Option<(u32, usize)> {
    let (mut number, mut end) = (0, at);
    for _ in 0..digits {
        let (c, next) = plain(text, end, layers)?;
        number = number * 16 + c.to_digit(16)?;
        end = next;
    }
    Some((number, end))
}

/// The character of `%2F` or `%E5%AF%86`, behind its first `%`; a byte that begins no UTF-8 is one of Latin-1.
fn percent(text: &str, at: usize, layers: u8) -> Option<Reading> {
    let byte = |at| hex(text, at, 2, layers).and_then(|(byte, end)| Some((u8::try_from(byte).ok()?, end)));
    let (first, after) = byte(at)?;
    let (mut bytes, mut end) = (vec![first], after);
    for _ in 1..4 {
        if let Ok(c) = std::str::from_utf8(&bytes) {
            return Some((c.chars().next()?, end));
        }
        let Some((byte, next)) = lead(text, end, '%', layers).and_then(byte) else { break };
        bytes.push(byte);
        end = next;
    }
    match std::str::from_utf8(&bytes) {
        Ok(c) => Some((c.chars().next()?, end)),
        Err(_) => Some((char::from(first), after)),
    }
}

/// The character of `\n`, `\/`, `\x2F` or `\u002F`, behind its backslash and the character after that.
fn backslash(text: &str, c: char, at: usize, layers: u8) -> Option<Reading> {
    Some(match c {
        'n' => ('\n', at),
        'r' => ('\r', at),
        't' => ('\t', at),
        'b' => ('\u{8}', at),
        'f' => ('\u{c}', at),
        'x' => hex(text, at, 2, layers).and_then(|(number, end)| Some((char::from_u32(number)?, end)))?,
        'u' => {
            let (first, end) = hex(text, at, 4, layers)?;
            if let Some(c) = char::from_u32(first) {
                return Some((c, end));
            }
            // One half of a character beyond the first plane.
            let second = lead(text, end, '\\', layers).and_then(|at| lead(text, at, 'u', layers))?;
            let (second, end) = hex(text, second, 4, layers)?;
            let units = [u16::try_from(first).ok()?, u16::try_from(second).ok()?];
            (char::decode_utf16(units).next()?.ok()?, end)
        }
        c if !c.is_alphanumeric() => (c, at),
        _ => return None,
    })
}

/// The character of `&amp;`, `&#43;` or `&#x2b;`, behind its `&`.
fn entity(text: &str, at: usize, layers: u8) -> Option<Reading> {
    let (mut name, mut end) = (String::new(), at);
    loop {
        let (c, next) = plain(text, end, layers)?;
        end = next;
        match c {
            ';' => break,
            // No name is longer than the longest number.
            '#' | 'A'..='Z' | 'a'..='z' | '0'..='9' if name.len() < 9 => name.push(c.to_ascii_lowercase()),
            _ => return None,
        }
    }
    let c = match name.strip_prefix('#') {
        Some(number) => {
            let hex = number.strip_prefix('x').map(|digits| u32::from_str_radix(digits, 16));
            char::from_u32(hex.unwrap_or_else(|| number.parse()).ok()?)?
        }
        None => NAMES.iter().find(|(known, _)| *known == name)?.1,
    };
    Some((c, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_escape_is_seen_through() {
        for (writing, is) in [
            ("a/b", "a/b"),
            (r"a\/b", "a/b"),
            (r"\u0061\u002F\u0062", "a/b"),
            (r"a\u002fb", "a/b"),
            (r"a\\/b", "a/b"),
            (r"a\\u002Fb", "a/b"),
            (r"a\x2Fb", "a/b"),
            ("a%2Fb", "a/b"),
            ("a%2fb", "a/b"),
            ("%61%2F%62", "a/b"),
            ("a%252Fb", "a/b"),
            ("a%25252Fb", "a/b"),
            ("a%5C%2Fb", "a/b"),
            ("a%5cu002Fb", "a/b"),
            ("a&#47;b", "a/b"),
            ("a&#x2F;b", "a/b"),
            ("a&amp;#47;b", "a/b"),
            ("a%26%2347%3Bb", "a/b"),
            (r"a\u0026#47;b", "a/b"),
            (r"a\u00252Fb", "a/b"),
            ("a+b", "a b"),
            ("a%20b", "a b"),
            (r"密\u7801", "密码"),
            ("%E5%AF%86%E7%A0%81", "密码"),
            ("%25E5%25AF%2586码", "密码"),
            (r"\ud83d\uDE00", "😀"),
            ("&#x1F600;", "😀"),
            ("%E9", "é"),
            (r#"\\\"x\\\""#, "\"x\""),
            (r"a\\nb", "a\nb"),
            (r"a\b", r"a\b"),
            ("100%", "100%"),
            ("50%25", "50%25"),
            ("50%25", "50%"),
            ("a&b;", "a&b;"),
        ] {
            assert!(Text::new(writing).ends(0, is).contains(&writing.len()), "{writing} is {is}");
        }
        for writing in [r"\u00", "%", "%4", "&#;", "&#99999999999;", r"\ud83d", r"\", "&amp", "%F0%9F"] {
            assert!(Text::new(writing).ends(0, "x").is_empty(), "{writing}");
        }
    }
}
