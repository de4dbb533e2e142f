//! The words that settings of a call may be.

use crate::config::field::word_fields;
use crate::domain::word::words;

words! {
    /// Shape of the login request and its default path.
    #[derive(Default)]
    pub enum LoginDialect: "login dialect" {
        /// `{method, credentials: {username, password}, device_id}` at `/authn/login`.
        #[default]
        PasswordV1 = "password-v1",
        /// `{username, password}` at the login URL.
        PasswordSimple = "password-simple",
        /// `{auth_method, method_payload: {username, password}, device_id}` at `/authn/login`.
        PasswordV2 = "password-v2",
        /// RFC 6749 §4.4 at `/oauth2/token`.
        OAuth2ClientCredentials = "oauth2-client-credentials",
    }
}

words! {
    /// How an OAuth 2 client proves itself (RFC 6749 §2.3.1).
    #[derive(Default)]
    pub enum ClientAuth: "client authentication" {
        /// In the `Authorization` header.
        #[default]
        Basic = "basic",
        /// In the form.
        Post = "post",
    }
}

words! {
    /// Shape of a log line.
    #[derive(Default)]
    pub enum LogFormat: "log format" {
        /// `[2026-11-20 23:00:00] message key=value …`, as the scripts wrote.
        #[default]
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

word_fields!(LoginDialect, ClientAuth, LogFormat);
