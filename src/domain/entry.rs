//! The address of a task's entry: `{base}?token={token}&task_id={id}`.

use url::Url;

use super::plan_task::TaskEntry;
use super::web_address;

/// Longest base: with token and task the address still fits its column of 500 characters.
const MAX_BASE: usize = 400;

/// Makes entries below one base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryBase(Url);

impl EntryBase {
    /// Reads the base.
    ///
    /// # Errors
    /// What was expected.
    pub fn new(base: &str) -> Result<Self, String> {
        let url = web_address::read(base)?;
        if url.as_str().len() > MAX_BASE {
            return Err(format!("expected at most {MAX_BASE} characters"));
        }
        Ok(Self(url))
    }

    /// The entry of a task. A query of the base stays in front.
    pub fn entry(&self, task_id: i64, token: String) -> TaskEntry {
        let mut url = self.0.clone();
        url.query_pairs_mut().append_pair("token", &token).append_pair("task_id", &task_id.to_string());
        TaskEntry { token, url: url.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_and_task_join_the_base() {
        for (base, url) in [
            ("https://c.example/entry", "https://c.example/entry?token=t-1&task_id=42"),
            ("https://c.example/entry?lang=zh", "https://c.example/entry?lang=zh&token=t-1&task_id=42"),
            ("https://c.example/entry?", "https://c.example/entry?token=t-1&task_id=42"),
            ("http://127.0.0.1:80/e#top", "http://127.0.0.1/e?token=t-1&task_id=42#top"),
        ] {
            let entry = EntryBase::new(base).unwrap().entry(42, "t-1".to_owned());
            assert_eq!((entry.url.as_str(), entry.token.as_str()), (url, "t-1"), "{base}");
        }
    }

    #[test]
    fn a_base_must_be_a_web_address_that_leaves_room() {
        for base in ["/entry", "c.example/entry", "ftp://c.example/", "mailto:a@b"] {
            assert!(EntryBase::new(base).unwrap_err().starts_with("expected a URL"), "{base:?}");
        }
        assert!(EntryBase::new("").is_err() && EntryBase::new(" https://c.example").is_err());
        let long = format!("https://c.example/{}", "a".repeat(400));
        assert_eq!(EntryBase::new(&long), Err("expected at most 400 characters".to_owned()));
        let longest = EntryBase::new(&long[..400]).unwrap();
        assert!(longest.entry(i64::MAX, "t".repeat(36)).url.len() <= 500);
    }
}
