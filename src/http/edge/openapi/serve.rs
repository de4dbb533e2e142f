//! `/openapi.json`, and `/docs`, which shows it.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::edge::{Edge, Observer};

/// One file, which asks for nothing but the document.
const PAGE: &str = include_str!("docs.html");

/// The document as it is sent.
#[derive(Clone)]
pub(in crate::http::edge) struct Served(pub(in crate::http::edge) Bytes);

pub(in crate::http::edge) fn router() -> OpenApiRouter<Arc<Edge>> {
    OpenApiRouter::new().routes(routes!(openapi)).routes(routes!(docs))
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "observation",
    responses((status = 200, description = "OpenAPI 3.1.", body = serde_json::Value)),
    extensions(("x-unwrapped" = json!(true)))
)]
async fn openapi(_observer: Observer, Extension(document): Extension<Served>) -> Response {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")], document.0).into_response()
}

/// A page that shows this document.
#[utoipa::path(
    get, path = "/docs", tag = "observation",
    responses((status = 200, description = "HTML.", body = String, content_type = "text/html")),
    extensions(("x-unwrapped" = json!(true)))
)]
async fn docs(_observer: Observer) -> Response {
    let policy = policy(PAGE);
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, policy.as_str()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, PAGE).into_response()
}

/// Lets exactly the script and the style of the page run, by their digests, and nothing from elsewhere.
fn policy(page: &str) -> String {
    let inline = |tag: &str| {
        let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
        let text = page.split_once(&open).and_then(|(_, rest)| rest.split_once(&close));
        let text = text.map_or("", |(text, _)| text);
        format!("'sha256-{}'", STANDARD.encode(digest(&SHA256, text.as_bytes())))
    };
    format!(
        "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
        inline("script"),
        inline("style")
    )
}
