//! The arguments of curl as a call.

use url::{Position, Url};

use super::words::{Word, changed_by_shell};
use super::{PROGRAM, Verdict};
use crate::crontab::call::{self, Reading};
use crate::crontab::lint::secret_setting;

/// Options of curl that only say how it shows what it does, or what a call does anyway.
const SILENT: &str = "--silent --show-error --fail --fail-with-body --compressed --no-progress-meter \
    --http1.1 --retry-connrefused --no-buffer";
/// The same as letters, which may be joined.
const SILENT_LETTERS: &str = "sSfN";
/// What a call can send.
const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// Headers that a call refuses, since it makes them itself or since they are secrets.
const REFUSED: &str =
    "proxy-authorization cookie host content-length transfer-encoding connection expect x-api-key";
/// Letters that stand for an option with a value, and those that stand for one without.
const WITH_VALUE: [(char, &str); 8] = [
    ('X', "--request"),
    ('d', "--data"),
    ('H', "--header"),
    ('m', "--max-time"),
    ('o', "--output"),
    ('w', "--write-out"),
    ('A', "--user-agent"),
    ('u', "--user"),
];
const WITHOUT_VALUE: [(char, &str); 5] =
    [('g', "--globoff"), ('L', "--location"), ('k', "--insecure"), ('4', "--ipv4"), ('6', "--ipv6")];

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

const NO_URL: &str = "it has a word that is no URL with http:// or https://";

fn leave_if(condition: bool, why: &str) -> Verdict<()> {
    if condition { Err(why.to_owned()) } else { Ok(()) }
}

/// The value of an option.
type Next<'a, 'b> = &'a mut dyn FnMut() -> Option<Word<'b>>;

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own, not a state")]
struct Curl {
    method: Option<String>,
    data: Option<String>,
    /// Whether the body is that of a file: `@FILE`.
    from_file: bool,
    /// Whether a content type that is not JSON is stated.
    other_type: bool,
    globs: bool,
    no_globs: bool,
    options: Vec<String>,
    server: String,
    path: String,
}

impl Curl {
    fn url(&mut self, word: &Word<'_>) -> Verdict<()> {
        leave_if(!self.path.is_empty(), "it has more than one URL")?;
        let Some((scheme @ ("http" | "https"), rest)) = word.text.split_once("://") else {
            return Err(NO_URL.to_owned());
        };
        // A query is no pattern for files: none can begin with `http://`.
        changed_by_shell(&word.raw.replace('?', "x")).map_or(Ok(()), Err)?;
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        leave_if(authority.contains('@'), "a password is in its URL; put it into the configuration")?;
        // curl does not send what stands behind `#` either.
        let path = path.split('#').next().unwrap_or_default();
        self.globs = word.text.contains(['{', '}', '[', ']']);
        self.server = format!("{scheme}://{authority}");
        self.path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let url = Url::parse(&format!("{}{}", self.server, self.path)).ok();
        let differs = url.is_none_or(|url| url[Position::BeforePath..] != self.path);
        leave_if(self.path.starts_with("//") || differs, "a call would write its URL in another way")
    }

    /// Letters that may be joined: the first one that takes a value takes the rest of the word, or the next one.
    fn letters<'w>(&mut self, word: &Word<'w>, next: Next<'_, 'w>) -> Verdict<()> {
        leave_if(word.text == "-", NO_URL)?;
        for (at, letter) in word.text.char_indices().skip(1) {
            if SILENT_LETTERS.contains(letter) {
                continue;
            }
            let of_letter = |(known, option): &(char, &'static str)| (*known == letter).then_some(*option);
            if let Some(option) = WITHOUT_VALUE.iter().find_map(of_letter) {
                self.option(option, &mut || None)?;
                continue;
            }
            let option = WITH_VALUE.iter().find_map(of_letter);
            let option = option.ok_or_else(|| format!("its option -{letter} is not known here"))?;
            let rest = &word.text[at + letter.len_utf8()..];
            let joined = (!rest.is_empty()).then(|| Word { text: rest.to_owned(), raw: word.raw });
            return self.option(option, &mut || joined.clone().or_else(&mut *next));
        }
        Ok(())
    }

    fn option(&mut self, option: &str, next: Next<'_, '_>) -> Verdict<()> {
        if SILENT.split(' ').any(|silent| silent == option) {
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
                let known = METHODS.contains(&method.as_str());
                leave_if(!known, &format!("its method is none of {}", METHODS.join(", ")))?;
                self.method = Some(method);
            }
            "--data" | "--data-raw" | "--data-binary" | "--json" => {
                let text = value()?;
                self.from_file = option != "--data-raw" && text.starts_with('@');
                leave_if(self.data.replace(text).is_some(), "it has more than one body")?;
            }
            "--max-time" => self.seconds("--timeout", &value()?)?,
            "--connect-timeout" => self.seconds("--connect-timeout", &value()?)?,
            "--retry" => {
                let retries = value()?.parse::<u32>().map_err(|_| "its --retry is no number")?;
                self.options.extend(["--retries".to_owned(), retries.to_string()]);
            }
            "--cacert" => self.options.extend(["--cacert".to_owned(), value()?]),
            "--output" => leave_if(value()? != "/dev/null", "it writes the reply to a file (-o)")?,
            "--write-out" => drop(value()?),
            "--user-agent" => {
                let agent = value()?;
                leave_if(agent.trim().is_empty(), "it sends no User-Agent (-A ''), and a call sends one")?;
                self.options.extend(["-H".to_owned(), format!("User-Agent: {agent}")]);
            }
            // Zero is curl's own back-off, and a call has one.
            "--retry-delay" => leave_if(
                value()? != "0",
                "its pause between attempts (--retry-delay) is no option of a call; call.retry_base and call.retry_cap are settings",
            )?,
            "--retry-max-time" => leave_if(
                value()? != "0",
                "its limit for all attempts (--retry-max-time) and its limit for one are one budget in a call; give --timeout and --attempt-timeout",
            )?,
            "--ipv4" | "--ipv6" => {
                Err("it asks for one kind of address (-4 or -6), and a call takes what it can reach")?;
            }
            "--globoff" => self.no_globs = true,
            "--location" | "--location-trusted" => Err("it follows redirects (-L), which a call does not")?,
            "--user" => Err("a password is in it; put it into the configuration")?,
            "--insecure" => Err(
                "it accepts any certificate (-k); qs-api-call has no such option, give the CA with --cacert",
            )?,
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
        let changed = changed_by_shell(word.raw).is_some();
        let several = format!("the shell may make several words of its header {name}");
        match name.as_str() {
            "authorization" => {
                let bearer = value.split_once(' ').is_some_and(|(kind, token)| {
                    kind.eq_ignore_ascii_case("bearer") && !token.trim().is_empty()
                });
                leave_if(!bearer, "it has another credential than a token")?;
                leave_if(changed && !word.is_one_word(), &several)
            }
            "content-type" => {
                let kind = value.split(';').next().unwrap_or_default().trim();
                self.other_type |= !kind.eq_ignore_ascii_case("application/json");
                leave_if(changed && !word.is_one_word(), &several)
            }
            _ if changed => Err("the shell makes a header of it".to_owned()),
            "accept" => {
                let json = matches!(value, "*/*" | "application/json");
                leave_if(!json, "it wants another reply than JSON (Accept)")
            }
            _ => {
                let refused =
                    REFUSED.split(' ').any(|refused| refused == name) || secret_setting(&name, value);
                leave_if(refused, "it has a header that is a secret or that a call makes by itself")?;
                let empty = value.is_empty() || name.is_empty() || name.starts_with('@');
                leave_if(empty, "a header of it has no name or no value")?;
                self.options.extend(["-H".to_owned(), word.text.clone()]);
                Ok(())
            }
        }
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
        leave_if(self.other_type, "its content type is not JSON")?;
        let Some(text) = &self.data else { return Ok(()) };
        let stdin = self.from_file && matches!(text.as_str(), "@-" | "@");
        leave_if(stdin, "its body is read from standard input")?;
        let json = self.from_file || serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        leave_if(!json, "its body is not JSON")
    }

    fn finish(self, redirection: &str) -> Verdict<(String, String)> {
        leave_if(self.path.is_empty(), "it has no URL")?;
        leave_if(self.globs && !self.no_globs, "curl makes several calls of a URL with {} or []")?;
        self.body()?;
        let mut words = vec![PROGRAM.to_owned()];
        let default = if self.data.is_some() { "POST" } else { "GET" };
        let method = self.method.unwrap_or_else(|| default.to_owned());
        if method != "POST" {
            words.extend(["-X".to_owned(), method.clone()]);
        }
        words.extend(self.data.iter().flat_map(|data| ["--data".to_owned(), data.clone()]));
        words.extend(self.options);
        words.push(self.path.clone());
        words.extend(log_file(redirection)?);
        let command = shlex::try_join(words.iter().map(String::as_str)).map_err(|_| "a NUL byte is in it")?;
        // What was written must mean what was meant.
        let Reading::Call(read) = call::read(&command) else {
            return Err("a call would not take its arguments".to_owned());
        };
        let invocation = &read.line.invocation;
        let unchanged = read.arguments == words[1..]
            && invocation.endpoint.as_ref() == Some(&self.path)
            && invocation.data == self.data
            && invocation.method() == method;
        leave_if(!unchanged, "a call would read its arguments in another way")?;
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
