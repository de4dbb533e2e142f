//! The one form of every reply: `{"code":200,"message":"success","data":…,"request_id":…}`.
//!
//! A handler answers with an [`Envelope`]; `request::frame` adds the request id and writes it out. So what never
//! reaches a handler (an unknown path, a deadline, a panic) has the same form.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;

/// The code of every success.
const SUCCESS: u32 = 200;

/// A reply that is not written yet.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    pub(super) status: StatusCode,
    pub(super) code: u32,
    pub(super) message: String,
    pub(super) data: Option<Value>,
    pub(super) headers: HeaderMap,
    /// For the log, never for the caller.
    pub(super) cause: Option<String>,
}

#[derive(Serialize)]
struct Written<'a> {
    code: u32,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
    request_id: &'a str,
}

impl Envelope {
    pub(super) fn success(data: impl Serialize) -> Self {
        Self {
            status: StatusCode::OK,
            code: SUCCESS,
            message: "success".to_owned(),
            data: None,
            headers: HeaderMap::new(),
            cause: None,
        }
        .data(data)
    }

    pub(super) fn error(status: StatusCode, code: u32, message: String) -> Self {
        Self { status, code, message, data: None, headers: HeaderMap::new(), cause: None }
    }

    pub(super) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub(super) fn data(mut self, data: impl Serialize) -> Self {
        // What is sent are plain structures of ours, which always have a JSON form.
        self.data = serde_json::to_value(data).ok();
        self
    }

    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Self {
        // What stands in headers are numbers, words and paths of ours.
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Writes it out under this request id.
    pub(super) fn write(self, request_id: &str) -> Response {
        let written =
            Written { code: self.code, message: &self.message, data: self.data.as_ref(), request_id };
        // A number, texts and a value that is JSON already: nothing that could fail.
        let body = serde_json::to_vec(&written).unwrap_or_default();
        let mut response = (self.status, self.headers, Body::from(body)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

impl IntoResponse for Envelope {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
