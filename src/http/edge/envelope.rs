//! The one form of every reply: `{"code":200,"message":"success","data":…,"request_id":…}`.
//!
//! A handler answers with a [`Reply`] or an [`ApiError`]; `frame` knows the request's id and writes it out. So what
//! never reaches a handler (an unknown path, a deadline, a panic) has the same form.

use axum::Extension;
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

use super::ApiError;

/// The code of every success.
const SUCCESS: u32 = 200;

/// What a handler answers.
pub type Answer = Result<Reply, ApiError>;

/// The reply to a request that was done.
#[derive(Clone, Debug)]
pub struct Reply {
    status: StatusCode,
    data: Option<Value>,
    headers: HeaderMap,
}

impl Reply {
    /// A reply with this data.
    pub fn new(data: impl Serialize) -> Self {
        // What is sent are plain structures of ours, which always have a JSON form.
        Self { status: StatusCode::OK, data: serde_json::to_value(data).ok(), headers: HeaderMap::new() }
    }

    /// With another status than 200.
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// With this header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let message = "success".to_owned();
        let contents = Contents { code: SUCCESS, message, data: self.data, cause: None };
        (self.status, self.headers, Extension(contents)).into_response()
    }
}

/// What will stand in the envelope of a response whose body is not written yet.
#[derive(Clone, Debug)]
pub(super) struct Contents {
    pub(super) code: u32,
    pub(super) message: String,
    pub(super) data: Option<Value>,
    /// For the log alone.
    pub(super) cause: Option<String>,
}

/// Writes the envelope, unless the handler wrote a body of its own. What is left is for the log.
pub(super) fn write(response: &mut Response, request_id: &str) -> Option<String> {
    let Contents { code, message, data, cause } = response.extensions_mut().remove()?;
    let mut envelope = json!({ "code": code, "message": message });
    if let Some(data) = data {
        envelope["data"] = data;
    }
    envelope["request_id"] = request_id.into();
    *response.body_mut() = Body::from(envelope.to_string());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    cause
}
