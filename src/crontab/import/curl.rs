//! The arguments of curl as a call.

use super::PROGRAM;

/// Options of curl that only say how it shows what it does, or what a call does anyway.
const SILENT: [&str; 12] = [
    "--silent",
    "--show-error",
    "--fail",
    "--fail-with-body",
    "--compressed",
    "--no-progress-meter",
    "--http1.1",
    "--globoff",
    "--ipv4",
    "--ipv6",
    "--retry-connrefused",
    "--no-buffer",
];
/// The same as letters, which may be joined.
const SILENT_LETTERS: &str = "sSfgN46";

/// The arguments of curl as a call, and the server that they name.
pub(super) fn curl(words: &[String], redirection: &str) -> Result<(String, String), String> {
    let mut call = Curl::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (option, joined) = match word.split_once('=') {
            Some((option, value)) if option.starts_with("--") => (option, Some(value.to_owned())),
            _ => (word.as_str(), None),
        };
        let short = word.starts_with('-') && !word.starts_with("--") && word.len() > 1;
        if !word.starts_with('-') {
            call.url(word)?;
        } else if SILENT.contains(&option) || (short && word[1..].chars().all(|c| SILENT_LETTERS.contains(c)))
        {
        } else {
            let (option, joined) = match option {
                _ if short && word.len() > 2 => (&word[..2], Some(word[2..].to_owned())),
                _ => (option, joined),
            };
            let mut value = || {
                joined
                    .clone()
                    .or_else(|| words.next().cloned())
                    .ok_or_else(|| format!("{option} has no value"))
            };
            call.option(option, &mut value)?;
        }
    }
    call.finish(redirection)
}

#[derive(Default)]
struct Curl {
    method: Option<String>,
    data: Option<String>,
    options: Vec<String>,
    server: String,
    path: String,
}

impl Curl {
    fn url(&mut self, url: &str) -> Result<(), String> {
        if !self.path.is_empty() {
            return Err("it has more than one URL".to_owned());
        }
        let (scheme, rest) =
            url.split_once("://").ok_or_else(|| format!("{url:?} is no URL with http:// or https://"))?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("a password is in its URL; put it into the configuration".to_owned());
        }
        if !matches!(scheme, "http" | "https") || url.contains(['$', '`']) {
            return Err("the shell makes its URL".to_owned());
        }
        self.server = format!("{scheme}://{authority}");
        self.path = if path.is_empty() { "/".to_owned() } else { path.to_owned() };
        Ok(())
    }

    fn option(
        &mut self,
        option: &str,
        value: &mut dyn FnMut() -> Result<String, String>,
    ) -> Result<(), String> {
        match option {
            "-X" | "--request" => self.method = Some(value()?.to_ascii_uppercase()),
            "-d" | "--data" | "--data-raw" | "--data-binary" | "--json" => {
                if self.data.replace(value()?).is_some() {
                    return Err("it has more than one body".to_owned());
                }
            }
            "-H" | "--header" => self.header(&value()?)?,
            "-m" | "--max-time" => self.seconds("--timeout", &value()?),
            "--connect-timeout" => self.seconds("--connect-timeout", &value()?),
            "--retry" => self.options.extend(["--retries".to_owned(), value()?]),
            "--cacert" => self.options.extend(["--cacert".to_owned(), value()?]),
            "--url" => self.url(&value()?)?,
            "-o" | "--output" | "-w" | "--write-out" | "-A" | "--user-agent" | "--retry-delay"
            | "--retry-max-time" => {
                value()?;
            }
            "-u" | "--user" => return Err("a password is in it; put it into the configuration".to_owned()),
            "-k" | "--insecure" => return Err(
                "it accepts any certificate (-k); qs-api-call has no such option, give the CA with --cacert"
                    .to_owned(),
            ),
            other => return Err(format!("its option {other} is not known here")),
        }
        Ok(())
    }

    /// A call brings its token and its content type; both are left out.
    fn header(&mut self, header: &str) -> Result<(), String> {
        let name = header.split(':').next().unwrap_or_default().trim().to_ascii_lowercase();
        match name.as_str() {
            "authorization" | "content-type" | "accept" => Ok(()),
            _ if header.contains(['$', '`']) => Err(format!("the shell makes its header {name}")),
            _ => {
                self.options.extend(["-H".to_owned(), header.to_owned()]);
                Ok(())
            }
        }
    }

    fn seconds(&mut self, option: &str, value: &str) {
        self.options.extend([option.to_owned(), format!("{value}s")]);
    }

    fn finish(self, redirection: &str) -> Result<(String, String), String> {
        if self.path.is_empty() {
            return Err("it has no URL".to_owned());
        }
        if self.data.as_deref().is_some_and(|data| data.contains(['$', '`'])) {
            return Err("the shell makes its body".to_owned());
        }
        let mut words = vec![PROGRAM.to_owned()];
        let method =
            self.method.unwrap_or_else(|| if self.data.is_some() { "POST" } else { "GET" }.to_owned());
        if method != "POST" {
            words.extend(["-X".to_owned(), method]);
        }
        if let Some(data) = self.data {
            words.extend(["--data".to_owned(), data]);
        }
        words.extend(self.options);
        words.push(self.path);
        words.extend(log_file(redirection)?);
        let quoted: Result<Vec<String>, _> =
            words.iter().map(|word| shlex::try_quote(word).map(std::borrow::Cow::into_owned)).collect();
        Ok((quoted.map_err(|_| "a NUL byte is in it".to_owned())?.join(" "), self.server))
    }
}

/// The file that the output went to: now the log. Output that was thrown away needs none.
fn log_file(redirection: &str) -> Result<Option<String>, String> {
    let plain = redirection.replace("2>&1", "").replace("&>>", ">>").replace("&>", ">");
    let plain = plain.trim();
    if plain.is_empty() {
        return Ok(None);
    }
    let file = plain.trim_start_matches('>').trim();
    match file {
        "/dev/null" => Ok(None),
        _ if file.starts_with('/') && !file.contains([' ', '>', '<', '$', '"', '\'']) => {
            Ok(Some(file.to_owned()))
        }
        _ => Err(format!("its redirection {redirection} is not one into a log file")),
    }
}
