//! L1 · A text that never shows itself: no `Display`, no `Deref`, a `Debug` without content, wiped on drop.

pub mod file;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};

/// A password, token or client secret.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes the text in.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The text itself. Every call of this is a place where it could leak.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

/// Removes known secrets from text that others wrote: a server may echo what it was sent. Secrets that are learnt on the
/// way are added by whoever shares it.
#[derive(Debug, Default)]
pub struct Redactor {
    configured: Vec<Secret>,
    learnt: Mutex<VecDeque<Secret>>,
}

impl Redactor {
    /// Shorter texts are not looked for: removing every `a` would destroy the message and betray the password.
    const SHORTEST: usize = 6;
    /// Most learnt forms that are looked for: no call knows more tokens, and a process may live through many.
    const MOST: usize = 64;

    /// Looks for these from the beginning.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let configured = secrets.into_iter().flat_map(Self::forms).collect();
        Self { configured, learnt: Mutex::default() }
    }

    /// Adds a secret to look for; the one that was added longest ago is forgotten when there are too many.
    pub fn add(&self, secret: &Secret) {
        let mut learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        for form in Self::forms(secret) {
            if !self.configured.contains(&form) && !learnt.contains(&form) {
                if learnt.len() == Self::MOST {
                    learnt.pop_front();
                }
                learnt.push_back(form);
            }
        }
    }

    /// The text without the secrets.
    pub fn clean<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut clean = Cow::Borrowed(text);
        let learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        for secret in self.configured.iter().chain(&*learnt) {
            if clean.contains(secret.expose()) {
                clean = Cow::Owned(clean.replace(secret.expose(), "[redacted]"));
            }
        }
        clean
    }

    /// A secret as it is and, where that differs, as JSON would escape it.
    fn forms(secret: &Secret) -> impl Iterator<Item = Secret> {
        let escaped = serde_json::Value::from(secret.expose()).to_string();
        let escaped = &escaped[1..escaped.len() - 1];
        let escaped = (escaped != secret.expose()).then(|| Secret::new(escaped));
        let forms = std::iter::once(secret.clone()).chain(escaped);
        forms.filter(|form| form.expose().len() >= Self::SHORTEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_text() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?} {:#?}", Some(&secret)), "[secret] Some(\n    [secret],\n)");
        assert_eq!(secret.expose(), "hunter2");
    }

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
}
