//! The operations in a server's OpenAPI document.

use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::source;
use crate::cli::output::Failure;
use crate::client::transport::Outgoing;
use crate::config::Env;
use crate::crontab::call_line::Common;
use crate::crontab::invocation::Invocation;
use crate::crontab::lint::Endpoint;
use crate::domain::exit::Exit;
use crate::native_call::settings::Settings;

const PATIENCE: Duration = Duration::from_secs(10);
const METHODS: [&str; 7] = ["get", "put", "post", "delete", "options", "head", "patch"];

/// Reads a document from a file or a URL.
pub(super) async fn endpoints(place: &str, env: &Env) -> Result<Vec<Endpoint>, Failure> {
    let content = match Url::parse(place) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => fetch(url, env).await?,
        _ => source::bytes(Path::new(place))?,
    };
    let wrong = |what: String| {
        Failure::new(Exit::Config, format!("{place}: {what}"))
            .with_hint("an OpenAPI 3 document in JSON is needed")
    };
    let document: Value = serde_json::from_slice(&content).map_err(|error| wrong(error.to_string()))?;
    let paths = document.get("paths").and_then(Value::as_object);
    let paths = paths.ok_or_else(|| wrong("it has no paths".to_owned()))?;
    let operations = paths.iter().flat_map(|(path, item)| {
        let methods = METHODS.iter().filter(|method| item.get(method).is_some());
        methods.map(move |method| Endpoint { method: method.to_ascii_uppercase(), path: path.clone() })
    });
    let endpoints: Vec<Endpoint> = operations.collect();
    if endpoints.is_empty() {
        return Err(wrong("it has no operations".to_owned()));
    }
    Ok(endpoints)
}

/// Asks without a token: where the document needs one, `qs-apiserver openapi` prints it.
async fn fetch(url: Url, env: &Env) -> Result<Vec<u8>, Failure> {
    let settings = Settings::resolve(env, &Invocation::default(), &Common::default())?;
    let outgoing = Outgoing::bare(Method::GET, url.clone(), HeaderMap::new());
    let reply = settings
        .transport()
        .send(outgoing, Instant::now() + PATIENCE)
        .await
        .map_err(|failure| Failure::new(Exit::TryLater, format!("{url}: {failure}")))?;
    if reply.status != 200 {
        return Err(Failure::new(Exit::TryLater, format!("{url}: HTTP {}", reply.status))
            .with_hint("`qs-apiserver openapi` prints the document without a server"));
    }
    Ok(reply.body)
}
