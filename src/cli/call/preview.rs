//! `--dry-run`: what would be sent.

use reqwest::header::AUTHORIZATION;
use serde_json::{Map, Value, json};

use crate::cli::output::{Failure, Output};
use crate::client::Request;
use crate::native_call::settings::Settings;
use crate::secret::Secret;

/// Shows the request with every header that is made for it. The token is not read for it, and not shown.
pub(super) fn show(
    request: &Request,
    settings: &Settings,
    as_json: bool,
    output: Output,
) -> Result<(), Failure> {
    let stand_in = Secret::new("token");
    let outgoing = request.outgoing((!settings.config().call.no_auth).then_some(&stand_in));
    let token = format!("Bearer [token of {}]", settings.token_path.display());
    let headers = outgoing.headers.iter().map(|(name, value)| {
        let value = if name == AUTHORIZATION {
            token.clone()
        } else {
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        };
        (name.as_str(), value)
    });
    let body = outgoing.body.as_ref().map(|body| String::from_utf8_lossy(body).into_owned());
    if as_json {
        // A header that is given twice is sent twice.
        let mut object: Map<String, Value> = Map::new();
        for (name, value) in headers {
            match object.get_mut(name) {
                Some(Value::Array(values)) => values.push(value.into()),
                Some(first) => *first = json!([first.take(), value]),
                None => drop(object.insert(name.to_owned(), value.into())),
            }
        }
        let (method, url) = (outgoing.method.as_str(), outgoing.url.as_str());
        return output.json(&json!({"method": method, "url": url, "headers": object, "body": body}));
    }
    let mut lines = vec![format!("{} {}", outgoing.method, outgoing.url)];
    lines.extend(headers.map(|(name, value)| format!("{name}: {value}")));
    if let Some(body) = body {
        lines.extend([String::new(), body]);
    }
    output.data(&lines.join("\n"))
}
