//! Takes secrets out of texts that others wrote.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::Secret;
use super::escapes::Text;
use super::forms::Form;

/// Removes known secrets from text that others wrote: a server may echo what it was sent, in any form. Secrets that are
/// learnt on the way are added by whoever shares it.
#[derive(Debug, Default)]
pub struct Redactor {
    configured: Vec<Known>,
    learnt: Mutex<VecDeque<Known>>,
}

/// A secret to look for.
#[derive(Debug)]
struct Known {
    plain: Form,
    /// Its other forms, made when there first is a text with a word that is long enough for one.
    encoded: OnceLock<Vec<Form>>,
}

impl Redactor {
    /// Shorter texts are not looked for: removing every `a` would destroy the message and betray the password.
    const SHORTEST: usize = 6;
    /// Most learnt secrets that are looked for: no call knows more tokens, and a process may live through many.
    const MOST: usize = 64;

    /// Looks for these from the beginning.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        Self { configured: secrets.into_iter().filter_map(Known::new).collect(), learnt: Mutex::default() }
    }

    /// Adds a secret to look for; the one that was added longest ago is forgotten when there are too many.
    pub fn add(&self, secret: &Secret) {
        let mut learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = self.configured.iter().chain(&*learnt).any(|known| known.secret() == secret);
        if let Some(known) = Known::new(secret).filter(|_| !is_known) {
            if learnt.len() == Self::MOST {
                learnt.pop_front();
            }
            learnt.push_back(known);
        }
    }

    /// The text without the secrets, however they are written in it.
    pub fn clean<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        // No form is shorter than the secret.
        let fits = |known: &&Known| known.secret().expose().len() <= text.len();
        let fitting: Vec<_> = self.configured.iter().chain(&*learnt).filter(fits).collect();
        if fitting.is_empty() {
            return Cow::Borrowed(text);
        }
        let (readable, mut found) = (Text::new(text), Vec::new());
        for known in fitting {
            known.plain.find(&readable, &mut found);
            if readable.longest_word >= known.secret().expose().len() {
                let encoded = known.encoded.get_or_init(|| Form::encoded(known.secret()));
                encoded.iter().for_each(|form| form.find(&readable, &mut found));
            }
        }
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        found.sort_unstable_by_key(|place| place.start);
        let (mut clean, mut end) = (String::with_capacity(text.len()), 0);
        for place in found {
            if place.start >= end {
                clean.push_str(&text[end..place.start]);
                clean.push_str("[redacted]");
            }
            end = end.max(place.end);
        }
        clean.push_str(&text[end..]);
        Cow::Owned(clean)
    }
}

impl Known {
    fn new(secret: &Secret) -> Option<Self> {
        let is_long = secret.expose().len() >= Redactor::SHORTEST;
        is_long.then(|| Self { plain: Form::plain(secret), encoded: OnceLock::new() })
    }

    fn secret(&self) -> &Secret {
        self.plain.text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redactor_removes_plain_and_escaped_forms() {
        let redactor = Redactor::default();
        redactor.add(&Secret::new("pa\"ss\nword"));
        redactor.add(&Secret::new("abc"));
        let cleaned = redactor.clean(
            r#"plain pa"ss
word, json pa\"ss\nword, abc"#,
        );
        assert_eq!(cleaned, "plain [redacted], json [redacted], abc");
    }

    #[test]
    fn a_redactor_forgets_the_oldest_token_and_nothing_that_is_configured() {
        let redactor = Redactor::new([&Secret::new("configured")]);
        for n in 0..=Redactor::MOST {
            redactor.add(&Secret::new(format!("token-{n:03}")));
            redactor.add(&Secret::new("configured"));
        }
        assert_eq!(redactor.clean("configured token-000 token-001"), "[redacted] token-000 [redacted]");
    }

    /// The secret in every form, alone and two of them over each other.
    fn writings(secret: &str) -> Vec<String> {
        let each = |write: fn(char) -> String| move |text: &str| text.chars().map(write).collect::<String>();
        let percent = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let json = |text: &str| serde_json::Value::from(text).to_string().trim_matches('"').to_owned();
        let units =
            |c: char| c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04X}")).collect();
        let ways: [&dyn Fn(&str) -> String; 6] = [
            &|text| text.to_owned(),
            &json,
            &percent,
            &|text| percent(text).to_lowercase(),
            &each(units),
            &each(|c| format!("&#{};", u32::from(c))),
        ];
        // What is in lower case must have had no capitals before.
        let secret = secret.to_lowercase();
        ways.iter().flat_map(|outer| ways.iter().map(|inner| outer(&inner(&secret)))).collect()
    }

    #[test]
    fn no_writing_of_a_secret_survives() {
        for secret in ["pa\"ss/wo+rd\n&<\\'%41", "密码 and more", "eyj.abc-_.sig=="] {
            let redactor = Redactor::default();
            redactor.add(&Secret::new(secret));
            for writing in writings(secret) {
                let quoted = serde_json::Value::from(secret).to_string();
                let text = format!("<{writing}> {quoted}");
                let clean = redactor.clean(&text);
                assert_eq!(clean.replace('"', ""), "<[redacted]> [redacted]", "{text}");
            }
        }
    }

    #[test]
    fn json_stays_json_when_its_strings_are_cleaned() {
        let redactor = Redactor::new([&Secret::new("tok/en+0123456789")]);
        let text =
            r#"{"tok\/en\u002b0123456789":["x tok%2Fen%2B0123456789 y"],"id":12345678901234567890123}"#;
        let clean = r#"{"[redacted]":["x [redacted] y"],"id":12345678901234567890123}"#;
        assert_eq!(redactor.clean(text), clean);
        assert!(matches!(redactor.clean(clean), Cow::Borrowed(_)), "what holds no secret is not touched");
    }

    proptest::proptest! {
        #[test]
        fn any_text_can_be_cleaned_and_any_secret_is_removed(
            secret in "[ -~\u{e9}\u{5bc6}]{6,20}", before in r"[ -~\\%&+]{0,20}", after in r"[ -~\\%&+]{0,20}"
        ) {
            let redactor = Redactor::new([&Secret::new(secret.as_str())]);
            for writing in [secret.clone(), serde_json::Value::from(secret.as_str()).to_string()] {
                let clean = redactor.clean(&format!("{before}{writing}{after}")).into_owned();
                proptest::prop_assert!(clean.contains("[redacted]"), "{}", clean);
            }
        }
    }
}
