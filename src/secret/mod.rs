//! L1 · A text that never shows itself: no `Display`, no `Deref`, a `Debug` without content, wiped on drop.

pub mod file;

use std::borrow::Cow;
use std::fmt;

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

/// Removes known secrets from text that others wrote: a server may echo what it was sent.
#[derive(Clone, Debug, Default)]
pub struct Redactor(Vec<Secret>);

impl Redactor {
    /// Shorter texts are not looked for: removing every `a` would destroy the message and betray the password.
    const SHORTEST: usize = 6;

    /// Adds a secret to look for, as it is and as JSON would escape it.
    pub fn add(&mut self, secret: &Secret) {
        let escaped = serde_json::Value::from(secret.expose()).to_string();
        let escaped = Secret::new(&escaped[1..escaped.len() - 1]);
        for form in [secret.clone(), escaped] {
            if form.expose().len() >= Self::SHORTEST && !self.0.contains(&form) {
                self.0.push(form);
            }
        }
    }

    /// The text without the secrets.
    pub fn clean<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut clean = Cow::Borrowed(text);
        for secret in &self.0 {
            if clean.contains(secret.expose()) {
                clean = Cow::Owned(clean.replace(secret.expose(), "[redacted]"));
            }
        }
        clean
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
        let mut redactor = Redactor::default();
        redactor.add(&Secret::new("pa\"ss\nword"));
        redactor.add(&Secret::new("abc"));
        let cleaned = redactor.clean(
            r#"plain pa"ss
word, json pa\"ss\nword, abc"#,
        );
        assert_eq!(cleaned, "plain [redacted], json [redacted], abc");
    }
}
