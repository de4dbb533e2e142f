//! The arguments of curl as a call.

use url::{Position, Url};

use super::{PROGRAM, Verdict, Word, changed_by_shell};
use crate::crontab::call::{self, Reading};
use crate::crontab::lint::secret_setting;

/// Options of curl that only say how it shows what it does, or what a call does anyway.
const SILENT: [&str; 11] = [
    "--silent",
    "--show-error",
    "--fail",
    "--fail-with-body",
    "--compressed",
    "--no-progress-meter",
    "--http1.1",
    "--ipv4",
    "--ipv6",
    "--retry-connrefused",
    "--no-buffer",
];
/// The same as letters, which may be joined.
const SILENT_LETTERS: &str = "sSfN46";
/// What a call can send.
const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// Headers that a call refuses, since it makes them itself or since they are secrets.
const REFUSED: [&str; 8] = [
    "proxy-authorization",
    "cookie",
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "expect",
    "x-api-key",
];
const REDIRECTS: &str = "it follows redirects (-L), which a call does not";

/// The arguments of curl as a call, and the server that they name.
pub(super) fn curl(words: &[Word<'_>], redirection: &str) -> Verdict<(String, String)> {
    let mut call = Curl::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if !word.text.starts_with('-') {
            call.url(word)?;
        } else if word.text.starts_with("--") {
            let (option, joined) = match word.text.split_once('=') {
                Some((option, value)) => (option, Some(Word { text: value.to_owned(), raw: word.raw })),
                None => (word.text.as_str(), None),
            };
            call.option(option, &mut || joined.clone().or_else(|| words.next().cloned()))?;
        } else {
            call.letters(word, &mut || words.next().cloned())?;
        }
    }
    call.finish(redirection)
}

/// The value of an option.
type Next<'a, 'b> = &'a mut dyn FnMut() -> Option<Word<'b>>;

#[derive(Default)]
struct Curl {
    method: Option<String>,
    data: Option<Body>,
    /// Whether a content type that is not JSON is stated.
    other_type: bool,
    globs: bool,
    no_globs: bool,
    options: Vec<String>,
    server: String,
    path: String,
}

struct Body {
    text: String,
    /// Whether `@FILE` is the body's file.
    file: bool,
}

impl Curl {
    fn url(&mut self, word: &Word<'_>) -> Verdict<()> {
        if !self.path.is_empty() {
            return Err("it has more than one URL".to_owned());
        }
        let Some((scheme @ ("http" | "https"), rest)) = word.text.split_once("://") else {
            return Err("it has a word that is no URL with http:// or https://".to_owned());
        };
        // A query is no pattern for files: none can begin with `http://`.
        if let Some(why) = changed_by_shell(&word.raw.replace('?', "x")) {
            return Err(why.to_owned());
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("a password is in its URL; put it into the configuration".to_owned());
        }
        // curl does not send what stands behind `#` either.
        let path = path.split('#').next().unwrap_or_default();
        self.globs = word.text.contains(['{', '}', '[', ']']);
        self.server = format!("{scheme}://{authority}");
        self.path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let url = Url::parse(&format!("{}{}", self.server, self.path)).ok();
        if self.path.starts_with("//") || url.is_none_or(|url| url[Position::BeforePath..] != self.path) {
            return Err("a call would write its URL in another way".to_owned());
        }
        Ok(())
    }

    /// Letters that may be joined: the first one that takes a value takes the rest of the word, or the next one.
    fn letters(&mut self, word: &Word<'_>, next: Next<'_, '_>) -> Verdict<()> {
        if word.text == "-" {
            return Err("it has a word that is no URL with http:// or https://".to_owned());
        }
        for (at, letter) in word.text.char_indices().skip(1) {
            if SILENT_LETTERS.contains(letter) {
                continue;
            }
            let option = match letter {
                'g' => "--globoff",
                'L' => "--location",
                'X' => "--request",
                'd' => "--data",
                'H' => "--header",
                'm' => "--max-time",
                'o' => "--output",
                'w' => "--write-out",
                'A' => "--user-agent",
                'u' => "--user",
                'k' => "--insecure",
                other => return Err(format!("its option -{other} is not known here")),
            };
            if matches!(letter, 'g' | 'L' | 'k') {
                self.option(option, &mut || None)?;
                continue;
            }
            let rest = &word.text[at + letter.len_utf8()..];
            let joined = (!rest.is_empty()).then(|| Word { text: rest.to_owned(), raw: word.raw });
            return match joined {
                Some(joined) => self.option(option, &mut || Some(joined.clone())),
                None => {
                    self.option(option, &mut || next().map(|word| Word { text: word.text, raw: word.raw }))
                }
            };
        }
        Ok(())
    }

    fn option(&mut self, option: &str, next: Next<'_, '_>) -> Verdict<()> {
        if SILENT.contains(&option) {
            return Ok(());
        }
        let missing = || format!("its option {option} has no value");
        if option == "--header" {
            return self.header(&next().ok_or_else(missing)?);
        }
        if option == "--url" {
            return self.url(&next().ok_or_else(missing)?);
        }
        let mut value = || {
            let word = next().ok_or_else(missing)?;
            changed_by_shell(word.raw).map_or(Ok(word.text), |why| Err(why.to_owned()))
        };
        match option {
            "--request" => {
                let method = value()?;
                if !METHODS.contains(&method.as_str()) {
                    return Err(format!("its method is none of {}", METHODS.join(", ")));
                }
                self.method = Some(method);
            }
            "--data" | "--data-raw" | "--data-binary" | "--json" => {
                let text = value()?;
                let file = option != "--data-raw" && text.starts_with('@');
                if self.data.replace(Body { text, file }).is_some() {
                    return Err("it has more than one body".to_owned());
                }
            }
            "--max-time" => self.seconds("--timeout", &value()?)?,
            "--connect-timeout" => self.seconds("--connect-timeout", &value()?)?,
            "--retry" => match value()?.parse::<u32>() {
                Ok(retries) => self.options.extend(["--retries".to_owned(), retries.to_string()]),
                Err(_) => return Err("its --retry is no number".to_owned()),
            },
            "--cacert" => self.options.extend(["--cacert".to_owned(), value()?]),
            "--output" => {
                if value()? != "/dev/null" {
                    return Err("it writes the reply to a file (-o)".to_owned());
                }
            }
            "--write-out" | "--user-agent" | "--retry-delay" | "--retry-max-time" => {
                value()?;
            }
            "--globoff" => self.no_globs = true,
            "--location" | "--location-trusted" => return Err(REDIRECTS.to_owned()),
            "--user" => return Err("a password is in it; put it into the configuration".to_owned()),
            "--insecure" => return Err(
                "it accepts any certificate (-k); qs-api-call has no such option, give the CA with --cacert"
                    .to_owned(),
            ),
            other => return Err(format!("its option {other} is not known here")),
        }
        Ok(())
    }

    /// A call brings its token and its content type; both are left out.
    fn header(&mut self, word: &Word<'_>) -> Verdict<()> {
        let Some((name, value)) = word.text.split_once(':') else {
            return Err("a header of it has no colon".to_owned());
        };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        let changed = changed_by_shell(word.raw);
        match name.as_str() {
            "authorization" => {
                let bearer = value.split_once(' ').is_some_and(|(kind, token)| {
                    kind.eq_ignore_ascii_case("bearer") && !token.trim().is_empty()
                });
                if !bearer {
                    return Err("it has another credential than a token".to_owned());
                }
                if changed.is_some() && !word.is_one_word() {
                    return Err("the shell may make several words of its header authorization".to_owned());
                }
            }
            "content-type" => {
                let kind = value.split(';').next().unwrap_or_default().trim();
                self.other_type |= !kind.eq_ignore_ascii_case("application/json");
                if changed.is_some() && !word.is_one_word() {
                    return Err("the shell may make several words of its header content-type".to_owned());
                }
            }
            _ if changed.is_some() => return Err("the shell makes a header of it".to_owned()),
            "accept" => {
                if !matches!(value, "*/*" | "application/json") {
                    return Err("it wants another reply than JSON (Accept)".to_owned());
                }
            }
            _ if REFUSED.contains(&name.as_str()) || secret_setting(&name, value) => {
                return Err("it has a header that is a secret or that a call makes by itself".to_owned());
            }
            _ if value.is_empty() || name.is_empty() || name.starts_with('@') => {
                return Err("a header of it has no name or no value".to_owned());
            }
            _ => self.options.extend(["-H".to_owned(), word.text.clone()]),
        }
        Ok(())
    }

    fn seconds(&mut self, option: &str, value: &str) -> Verdict<()> {
        match value.parse::<f64>() {
            Ok(seconds) if seconds.is_finite() && seconds > 0.0 => {
                self.options.extend([option.to_owned(), format!("{value}s")]);
                Ok(())
            }
            Ok(0.0) => Err(format!("it has no limit where a call has its {option} (0)")),
            _ => Err(format!("its limit for {option} is no number of seconds")),
        }
    }

    fn body(&self) -> Verdict<()> {
        if self.other_type {
            return Err("its content type is not JSON".to_owned());
        }
        match &self.data {
            Some(body) if body.file && matches!(body.text.as_str(), "@-" | "@") => {
                Err("its body is read from standard input".to_owned())
            }
            Some(body)
                if !body.file && serde_json::from_str::<serde::de::IgnoredAny>(&body.text).is_err() =>
            {
                Err("its body is not JSON".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn finish(self, redirection: &str) -> Verdict<(String, String)> {
        if self.path.is_empty() {
            return Err("it has no URL".to_owned());
        }
        if self.globs && !self.no_globs {
            return Err("curl makes several calls of a URL with {} or []".to_owned());
        }
        self.body()?;
        let mut words = vec![PROGRAM.to_owned()];
        let default = if self.data.is_some() { "POST" } else { "GET" };
        let method = self.method.unwrap_or_else(|| default.to_owned());
        if method != "POST" {
            words.extend(["-X".to_owned(), method.clone()]);
        }
        let data = self.data.map(|body| body.text);
        words.extend(data.iter().flat_map(|data| ["--data".to_owned(), data.clone()]));
        words.extend(self.options);
        words.push(self.path.clone());
        words.extend(log_file(redirection)?);
        let quoted: Result<Vec<String>, _> =
            words.iter().map(|word| shlex::try_quote(word).map(std::borrow::Cow::into_owned)).collect();
        let command = quoted.map_err(|_| "a NUL byte is in it".to_owned())?.join(" ");
        // What was written must mean what was meant.
        let Reading::Call(read) = call::read(&command) else {
            return Err("a call would not take its arguments".to_owned());
        };
        let invocation = &read.line.invocation;
        if read.arguments != words[1..]
            || invocation.endpoint.as_ref() != Some(&self.path)
            || invocation.data != data
            || invocation.method() != method
        {
            return Err("a call would read its arguments in another way".to_owned());
        }
        Ok((command, self.server))
    }
}

/// The file that the output went to: now the log. Output that was thrown away needs none.
fn log_file(redirection: &str) -> Verdict<Option<String>> {
    let plain: Vec<&str> = redirection.split_whitespace().filter(|word| *word != "2>&1").collect();
    let plain = plain.join(" ");
    if plain.is_empty() {
        return Ok(None);
    }
    let plain = plain.strip_prefix('&').unwrap_or(&plain);
    let file = plain.strip_prefix(">>").or_else(|| plain.strip_prefix('>')).unwrap_or_default().trim();
    let fixed = |c: char| c.is_alphanumeric() || "/._-+@:,=".contains(c);
    match file {
        "/dev/null" => Ok(None),
        _ if file.starts_with('/') && file.chars().all(fixed) => Ok(Some(file.to_owned())),
        // The words are not repeated: arguments may stand behind a redirection.
        _ => Err("its redirection is not one into a log file".to_owned()),
    }
}
