//! The login: four dialects of request, every shape of reply that the stacks in use are known to send.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Value, json};
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::envelope::Envelope;
use super::reply::{BodyEnd, Reply};
use super::token::{Stated, Token, moment, number};
use super::transport::Outgoing;
use crate::config::call::{ClientAuth, LoginDialect};
use crate::secret::Secret;

/// Where and as whom to log in.
#[derive(Clone, Debug)]
pub struct Login {
    /// The login URL.
    pub url: Url,
    /// Shape of the request.
    pub dialect: LoginDialect,
    /// Account name, or OAuth 2 client id.
    pub account: String,
    /// Password, or OAuth 2 client secret.
    pub secret: Secret,
    /// How an OAuth 2 client proves itself.
    pub client_auth: ClientAuth,
    /// OAuth 2 scope.
    pub scope: Option<String>,
    /// OAuth 2 audience.
    pub audience: Option<String>,
    /// Tenant of the account.
    pub tenant_id: Option<u64>,
    /// Device of the login.
    pub device_id: String,
}

/// What a login came to.
#[derive(Clone, Debug, PartialEq)]
pub enum LoginReply {
    /// A token.
    Granted(Token),
    /// The IAM does not accept the credential: asking again would only lock the account.
    Rejected(String),
    /// The IAM could not answer now.
    Unavailable(String),
    /// The reply is no answer to a login: wrong address, or something in between.
    Protocol(String),
}

/// The path of the login below `iam.base_url`.
pub fn login_path(dialect: LoginDialect) -> &'static str {
    match dialect {
        LoginDialect::PasswordV1 | LoginDialect::PasswordV2 => "/authn/login",
        LoginDialect::PasswordSimple => "/auth/login",
        LoginDialect::OAuth2ClientCredentials => "/oauth2/token",
    }
}

impl Login {
    /// What makes two logins the same attempt: everything that is sent, but the device. A part that is none differs
    /// from one that is empty.
    pub(super) fn credential(&self) -> Secret {
        let tenant = self.tenant_id.map(|id| id.to_string());
        let parts = [
            Some(self.url.as_str()),
            Some(self.dialect.as_str()),
            Some(&self.account),
            Some(self.secret.expose()),
            Some(self.client_auth.as_str()),
            self.scope.as_deref(),
            self.audience.as_deref(),
            tenant.as_deref(),
        ];
        let shown =
            parts.map(|part| part.map_or_else(|| "-".to_owned(), |text| format!("{}:{text}", text.len())));
        Secret::new(shown.join(" "))
    }

    /// The request. Every value goes through a JSON serializer or a form encoder, so that no character of a
    /// password can end its string.
    pub fn request(&self) -> Outgoing {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let (content_type, body) = match self.dialect {
            LoginDialect::OAuth2ClientCredentials => {
                if self.client_auth == ClientAuth::Basic {
                    headers.insert(AUTHORIZATION, self.basic());
                }
                ("application/x-www-form-urlencoded", self.form())
            }
            _ => ("application/json", self.json().to_string()),
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Outgoing { method: Method::POST, url: self.url.clone(), headers, body: Some(Bytes::from(body)) }
    }

    fn json(&self) -> Value {
        let mut credentials = json!({"username": self.account, "password": self.secret.expose()});
        if let (Some(tenant), Value::Object(fields)) = (self.tenant_id, &mut credentials) {
            fields.insert("tenant_id".to_owned(), tenant.into());
        }
        match self.dialect {
            LoginDialect::PasswordV1 => {
                json!({"method": "password", "credentials": credentials, "device_id": self.device_id})
            }
            LoginDialect::PasswordV2 => {
                json!({"auth_method": "password", "method_payload": credentials, "device_id": self.device_id})
            }
            LoginDialect::PasswordSimple | LoginDialect::OAuth2ClientCredentials => credentials,
        }
    }

    /// RFC 6749 §4.4.2.
    fn form(&self) -> String {
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        for (name, value) in [("scope", &self.scope), ("audience", &self.audience)] {
            if let Some(value) = value {
                form.append_pair(name, value);
            }
        }
        if self.client_auth == ClientAuth::Post {
            form.append_pair("client_id", &self.account).append_pair("client_secret", self.secret.expose());
        }
        form.finish()
    }

    /// RFC 6749 §2.3.1: id and secret are form-encoded before they are joined.
    fn basic(&self) -> HeaderValue {
        use base64::Engine;
        let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encode(&self.account), encode(self.secret.expose()));
        let text = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
        let mut value = HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("Basic"));
        value.set_sensitive(true);
        value
    }
}

/// Reads the IAM's reply. No part of it but its code and message is ever repeated: it may hold the token.
pub fn read(reply: &Reply, now: Timestamp) -> LoginReply {
    let json = reply.json();
    let envelope = json.as_ref().ok().and_then(Option::as_ref).map(Envelope::of).unwrap_or_default();
    let said = || envelope.behind(&format!("HTTP {}", reply.status));
    match reply.status {
        200..=299 => {}
        400 | 401 | 403 | 423 => return LoginReply::Rejected(said()),
        408 | 425 | 429 | 500.. => return LoginReply::Unavailable(said()),
        _ => return LoginReply::Protocol(format!("{} (hint: check iam.base_url and iam.dialect)", said())),
    }
    if let BodyEnd::Cut(how) = &reply.end {
        return LoginReply::Unavailable(format!("HTTP {}, but the reply was cut: {how}", reply.status));
    }
    if !envelope.succeeds(&[0, 200]) {
        return LoginReply::Rejected(said());
    }
    match json {
        Ok(Some(json)) => match grant(&json, reply.server_now(), now) {
            Ok(token) => LoginReply::Granted(token),
            Err(reason) => LoginReply::Protocol(format!("HTTP {}, but {reason}", reply.status)),
        },
        _ => LoginReply::Protocol(format!("HTTP {}, but the reply is no JSON object", reply.status)),
    }
}

fn grant(json: &Value, server_now: Option<Timestamp>, now: Timestamp) -> Result<Token, String> {
    let places = [Some(json), json.get("data")];
    let field = |name: &str| {
        places.iter().flatten().find_map(|place| place.get(name).filter(|value| !value.is_null()))
    };
    let token = field("token")
        .and_then(Value::as_str)
        .or_else(|| field("access_token").and_then(Value::as_str))
        .or_else(|| json.get("data").and_then(Value::as_str))
        .map(str::trim)
        .filter(|token| !token.is_empty())
        .ok_or("there is no token in it")?;
    if token.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return Err("its token holds characters that no token has".to_owned());
    }
    if let Some(kind) =
        field("token_type").and_then(Value::as_str).filter(|kind| !kind.eq_ignore_ascii_case("bearer"))
    {
        return Err(format!("its token_type is {:?}, not Bearer", kind.chars().take(20).collect::<String>()));
    }
    let stated = Stated {
        life: field("expires_in").and_then(number).map(SignedDuration::from_secs),
        end: ["expires_at", "expire"].into_iter().filter_map(|name| field(name).and_then(moment)).min(),
        server_now,
    };
    Ok(Token::issued(Secret::new(token), now, stated))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-20T23:00:00Z".parse().unwrap()
    }

    fn reply(json: &Value) -> Reply {
        Reply::of(200, "application/json", &json.to_string())
    }

    pub(in crate::client) fn login(dialect: LoginDialect) -> Login {
        Login {
            url: "https://iam.example/login".parse().unwrap(),
            dialect,
            account: "运维&user".to_owned(),
            secret: Secret::new("p\"a\\s$s`w&o|r%d'\n密码"),
            client_auth: ClientAuth::Basic,
            scope: Some("a b".to_owned()),
            audience: None,
            tenant_id: Some(1),
            device_id: "d".to_owned(),
        }
    }

    fn body(login: &Login) -> String {
        String::from_utf8(login.request().body.unwrap().to_vec()).unwrap()
    }

    #[test]
    fn every_dialect_carries_the_password_unharmed() {
        let credentials =
            json!({"username": "运维&user", "password": "p\"a\\s$s`w&o|r%d'\n密码", "tenant_id": 1});
        for (dialect, expected) in [
            (
                LoginDialect::PasswordV1,
                json!({"method": "password", "credentials": credentials, "device_id": "d"}),
            ),
            (
                LoginDialect::PasswordV2,
                json!({"auth_method": "password", "method_payload": credentials, "device_id": "d"}),
            ),
            (LoginDialect::PasswordSimple, credentials.clone()),
        ] {
            let sent: Value = serde_json::from_str(&body(&login(dialect))).unwrap();
            assert_eq!(sent, expected);
        }
    }

    #[test]
    fn oauth2_encodes_before_it_joins() {
        let basic = login(LoginDialect::OAuth2ClientCredentials);
        assert_eq!(body(&basic), "grant_type=client_credentials&scope=a+b");
        let header = &basic.request().headers[AUTHORIZATION];
        assert!(header.is_sensitive());
        let post = Login { client_auth: ClientAuth::Post, ..basic };
        assert!(body(&post).contains("client_secret=p%22a%5Cs%24s%60w%26o%7Cr%25d%27%0A%E5%AF%86%E7%A0%81"));
        assert!(!post.request().headers.contains_key(AUTHORIZATION));
    }

    #[test]
    fn a_token_is_found_wherever_it_is() {
        for json in [
            json!({"token": "T"}),
            json!({"access_token": "T", "token_type": "bearer"}),
            json!({"code": 0, "message": "success", "data": {"access_token": "T", "token_type": "Bearer"}}),
            json!({"code": 200, "data": {"token": "T"}, "msg": ""}),
            json!({"code": 200, "data": "T"}),
            json!({"token": null, "data": {"token": " T\n"}}),
        ] {
            let LoginReply::Granted(token) = read(&reply(&json), now()) else { panic!("{json}") };
            assert_eq!((token.secret.expose(), token.expires_at), ("T", None), "{json}");
        }
    }

    #[test]
    fn an_expiry_is_read_in_every_form() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let quarter = at("2026-11-20T23:15:00Z");
        for (field, value, expected) in [
            ("expires_in", json!(900), quarter),
            ("expires_in", json!("900"), quarter),
            ("expires_in", json!(900.7), quarter),
            ("expires_at", json!(quarter.as_second()), quarter),
            ("expires_at", json!(quarter.as_millisecond()), quarter),
            ("expires_at", json!("2026-11-20T23:15:00Z"), quarter),
            ("expire", json!("2026-11-21T07:15:00+08:00"), quarter),
            ("expire", json!("Fri, 20 Nov 2026 23:15:00 GMT"), quarter),
        ] {
            let inside = json!({"code": 0, "data": {"access_token": "T", field: value}});
            for json in [json!({"access_token": "T", field: value}), inside] {
                let LoginReply::Granted(token) = read(&reply(&json), now()) else { panic!("{json}") };
                assert_eq!(token.expires_at, Some(expected), "{json}");
            }
        }
        for json in [json!({"token": "T", "expires_at": null}), json!({"token": "T", "expires_in": "soon"})] {
            let LoginReply::Granted(token) = read(&reply(&json), now()) else { panic!("{json}") };
            assert_eq!(token.expires_at, None, "{json}");
        }
    }

    #[test]
    fn what_is_no_grant_is_told_apart() {
        let rejected = |reply: &Reply| matches!(read(reply, now()), LoginReply::Rejected(_));
        let unavailable = |reply: &Reply| matches!(read(reply, now()), LoginReply::Unavailable(_));
        let protocol = |reply: &Reply| matches!(read(reply, now()), LoginReply::Protocol(_));
        for status in [400, 401, 403, 423] {
            assert!(rejected(&Reply::of(status, "application/json", r#"{"code":102001}"#)), "{status}");
        }
        assert!(rejected(&reply(&json!({"code": 401, "message": "incorrect Username or Password"}))));
        for status in [408, 429, 500, 502, 503] {
            assert!(unavailable(&Reply::of(status, "", "")), "{status}");
        }
        let html = Reply::of(200, "text/html", "<html>");
        for reply in [Reply::of(302, "", ""), Reply::of(404, "", ""), html, reply(&json!({"code": 0}))] {
            assert!(protocol(&reply), "{reply:?}");
        }
        for json in [
            json!({"access_token": ""}),
            json!({"access_token": "T", "token_type": "MAC"}),
            json!({"access_token": "a b"}),
            json!({"access_token": 5}),
        ] {
            assert!(protocol(&reply(&json)), "{json}");
        }
    }

    #[test]
    fn nothing_of_a_reply_but_code_and_message_is_repeated() {
        let odd = json!({"code": 0, "result": {"jwt": "s3cret-token"}});
        let shown = format!("{:?}", read(&reply(&odd), now()));
        assert!(!shown.contains("s3cret-token"), "{shown}");
    }
}
