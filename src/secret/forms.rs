//! The forms in which a text betrays a secret: as it is, in hexadecimal, and in base64 at any offset; each of them may be
//! escaped.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::Secret;
use super::escapes::{Text, is_base64};
use crate::domain::hex::hex;

/// One text that betrays the secret.
#[derive(Debug)]
pub(super) struct Form {
    text: Secret,
    /// It stands inside a longer word of base64, whose other characters betray the rest of its bytes.
    is_inner: bool,
}

impl Form {
    /// The secret as it is.
    pub(super) fn plain(secret: &Secret) -> Self {
        Self { text: secret.clone(), is_inner: false }
    }

    /// What is looked for.
    pub(super) fn text(&self) -> &Secret {
        &self.text
    }

    /// Every other form of it. None is shorter than the secret; escapes are no forms: they are seen through.
    pub(super) fn encoded(secret: &Secret) -> Vec<Self> {
        let plain = secret.expose();
        let hex = hex(plain.as_bytes());
        let mut forms = vec![(hex.to_uppercase(), false), (hex, false)];
        // A client encodes its secret for a form before it encodes the pair in base64 (RFC 6749 §2.3.1).
        let for_a_form: String = url::form_urlencoded::byte_serialize(plain.as_bytes()).collect();
        let texts = [Some(plain), Some(for_a_form.as_str()).filter(|text| *text != plain)];
        for word in
            texts.into_iter().flatten().flat_map(|text| (0..3).map(|before| inner_base64(text, before)))
        {
            let for_urls = word.replace('+', "-").replace('/', "_");
            if for_urls != word {
                forms.push((for_urls, true));
            }
            forms.push((word, true));
        }
        forms.into_iter().map(|(text, is_inner)| Self { text: Secret::new(text), is_inner }).collect()
    }

    /// Adds every place of `text` where it stands.
    pub(super) fn find(&self, text: &Text, found: &mut Vec<Range<usize>>) {
        let mut from = 0;
        while let Some(place) = text.find(self.text.expose(), from) {
            let place = if self.is_inner { whole_word(text.plain, place) } else { place };
            from = place.end;
            found.push(place);
        }
    }
}

/// The characters of base64 that `text` alone decides when `before` bytes stand before it, and any behind it.
fn inner_base64(text: &str, before: usize) -> String {
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(text.as_bytes());
    let whole = STANDARD_NO_PAD.encode(&bytes);
    // Six bits a character: those that hold a bit of another byte are left out.
    whole[(before * 8).div_ceil(6)..bytes.len() * 8 / 6].to_owned()
}

/// The word of base64 around `inner`; an escape before it is no part of it.
fn whole_word(text: &str, inner: Range<usize>) -> Range<usize> {
    let in_word = |c: &&u8| is_base64(**c);
    let before = &text.as_bytes()[..inner.start];
    let mut start = inner.start - before.iter().rev().take_while(in_word).count();
    if start > 0 && matches!(before[start - 1], b'\\' | b'%') && start < inner.start {
        let escape = match (before[start - 1], before[start]) {
            (b'\\', b'u') => 5,
            (b'\\', _) => 1,
            _ => 2,
        };
        start = inner.start.min(start + escape);
    }
    let end = inner.end + text.as_bytes()[inner.end..].iter().take_while(in_word).count();
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    /// The text with every place of the secret's forms marked.
    fn marked(secret: &str, text: &str) -> String {
        let mut found = Vec::new();
        let secret = Secret::new(secret);
        for form in std::iter::once(Form::plain(&secret)).chain(Form::encoded(&secret)) {
            form.find(&Text::new(text), &mut found);
        }
        let mut marked = text.to_owned();
        found.sort_unstable_by_key(|place| place.start);
        found.dedup();
        for place in found.into_iter().rev() {
            marked.replace_range(place, "#");
        }
        marked
    }

    #[test]
    fn a_secret_in_base64_is_found_at_every_offset_with_the_whole_word() {
        for before in ["", "u", "us", "user:", "a longer name:"] {
            for after in ["", "x", "xy", "\u{fe}\u{ff}more"] {
                for secret in ["s3cret", "s3cr3t-Passw0rd", "\u{5bc6}\u{7801}??>>"] {
                    let pair = format!("{before}{secret}{after}");
                    for word in [STANDARD.encode(&pair), URL_SAFE_NO_PAD.encode(&pair)] {
                        assert_eq!(marked(secret, &format!("Basic {word}.")), "Basic #.", "{pair} {word}");
                    }
                }
            }
        }
        let form: String = url::form_urlencoded::byte_serialize(b"p@ss/word").collect();
        assert_eq!(marked("p@ss/word", &STANDARD.encode(format!("client:{form}"))), "#");
        assert_eq!(marked("s3cret", &hex(b"x s3cret y").to_uppercase()), "7820#2079");
    }

    #[test]
    fn a_word_of_base64_ends_where_an_escape_begins() {
        let word = STANDARD.encode("user:s3cret");
        let text = format!(r"a\n{word}\nb\u000a{word}%0A{word}");
        assert_eq!(marked("s3cret", &text), r"a\n#\nb\u000a#%0A#");
    }
}
