//! Addresses that a browser opens and that run nothing there: testees are sent to them.

use url::{ParseError, Url};

use super::statistics::check_key;

/// Reads an address of http or https.
///
/// # Errors
/// What was expected.
pub fn read(text: &str) -> Result<Url, String> {
    let expected = || "expected a URL such as https://collect.example.com/entry".to_owned();
    if !is_read_as_written(text) {
        return Err(expected());
    }
    let url = Url::parse(text).map_err(|_| expected())?;
    let is_web = matches!(url.scheme(), "http" | "https") && url.host_str().is_some();
    if is_web { Ok(url) } else { Err(expected()) }
}

/// Checks an address that is kept as it was written: of http or https, or one without a scheme, which the page that shows
/// it completes.
///
/// # Errors
/// What was expected.
pub fn check(text: &str, longest: usize) -> Result<(), String> {
    check_key(text, longest)?;
    // Two slashes of either kind begin the name of another host.
    let names_host = text.chars().take_while(|c| matches!(c, '/' | '\\')).count() > 1;
    if !names_host
        && is_read_as_written(text)
        && matches!(Url::parse(text), Err(ParseError::RelativeUrlWithoutBase))
    {
        return Ok(());
    }
    read(text).map(drop)
}

/// The parser would drop line breaks and percent-encode spaces, and so read something else than was written.
fn is_read_as_written(text: &str) -> bool {
    !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_browser_opens_is_an_address() {
        assert!(read("https://c.example/entry?a=b#c").is_ok() && read("http://127.0.0.1:80/").is_ok());
        for relative in ["/entry", "c.example/entry", "u"] {
            assert!(read(relative).is_err() && check(relative, 500).is_ok(), "{relative:?}");
        }
        for bad in [
            "",
            "ftp://c.example/",
            "mailto:a@b",
            "javascript:alert(1)",
            "java\nscript:alert(1)",
            "data:text/html,x",
            "//c.example/",
            "/\\c.example/",
            "https://",
            "https://c.example/a b",
            "https://c.example/\t",
            " https://c.example/",
        ] {
            assert!(read(bad).is_err() && check(bad, 500).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_address_is_as_long_in_every_script() {
        let longest = format!("https://c.example/{}", "问".repeat(482));
        assert_eq!(check(&longest, 500), Ok(()));
        assert!(check(&format!("{longest}问"), 500).unwrap_err().contains("longer than 500"));
    }
}
