//! The login: four dialects of request, every shape of reply that the stacks in use are known to send.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Value, json};
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::bearer::bearer;
use super::envelope::Envelope;
use super::judge::{Flaw, flaw};
use super::reply::Reply;
use super::token::{Stated, Token, moment, number};
use super::transport::Outgoing;
use crate::config::call::{ClientAuth, LoginDialect};
use crate::domain::code::Code;
use crate::secret::Secret;

/// Most bytes of the reply to a login that are read: `call.max_body` is about what is called, and a small one must not cut
/// off the token.
const LONGEST_REPLY: u64 = 1 << 20;

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
        let (body, longest_reply) = (Some(Bytes::from(body)), Some(LONGEST_REPLY));
        Outgoing { body, longest_reply, ..Outgoing::bare(Method::POST, self.url.clone(), headers) }
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

/// Reads the IAM's reply; `accepted` are the envelope codes that mean success. No part of it but its code and message is
/// ever repeated: it may hold the token.
pub fn read(reply: &Reply, accepted: &[Code], now: Timestamp) -> LoginReply {
    let json = reply.json();
    let envelope = match &json {
        Ok(Some(json)) => Envelope::of(json, accepted),
        _ => Envelope::default(),
    };
    let status = format!("HTTP {}", reply.status);
    match reply.status {
        200..=299 => {}
        400 | 401 | 403 | 423 => return LoginReply::Rejected(envelope.behind(&status)),
        408 | 425 | 429 | 500.. => return LoginReply::Unavailable(envelope.behind(&status)),
        _ => {
            let said = envelope.behind(&status);
            return LoginReply::Protocol(format!("{said} (hint: check iam.base_url and iam.dialect)"));
        }
    }
    match flaw(reply, json.as_ref().err()) {
        Some(Flaw::Cut(how)) => return LoginReply::Unavailable(format!("{status}, but {how}")),
        Some(Flaw::Unusable(what)) => return LoginReply::Protocol(format!("{status}, but {what}")),
        None => {}
    }
    let grant = match &json {
        Ok(Some(json)) => grant(json, reply.server_now(), now),
        _ => Err("the reply is no JSON object".to_owned()),
    };
    match (grant, &envelope.refusal) {
        (Ok(token), None) => LoginReply::Granted(token),
        (Err(_), Some(_)) if envelope.is_unavailable() => LoginReply::Unavailable(envelope.refused(&status)),
        // Who was granted a token gave the right password: that must not be held against the account.
        (Ok(_), Some(_)) => LoginReply::Protocol(format!(
            "{}, although there is a token in it (hint: --success-code or call.success_codes, if that means success)",
            envelope.refused(&status)
        )),
        (Err(_), Some(_)) => LoginReply::Rejected(envelope.refused(&status)),
        (Err(reason), None) => LoginReply::Protocol(format!("{status}, but {reason}")),
    }
}

fn grant(json: &Value, server_now: Option<Timestamp>, now: Timestamp) -> Result<Token, String> {
    let places = [Some(json), json.get("data")];
    let field = |name: &str| {
        places.iter().flatten().find_map(|place| place.get(name).filter(|value| !value.is_null()))
    };
    let secret = token(json)?;
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
    Ok(Token::issued(secret, now, stated))
}

/// The first of the places where a token can be that holds one.
fn token(json: &Value) -> Result<Secret, String> {
    let data = json.get("data");
    let named = ["token", "access_token"].into_iter();
    let named = named.flat_map(|name| [json.get(name), data.and_then(|data| data.get(name))]);
    let mut why = "there is no token in it".to_owned();
    for text in named.chain([data]).flatten().filter_map(Value::as_str) {
        match bearer(text) {
            Ok(Some(secret)) => return Ok(secret),
            Ok(None) => {}
            Err(reason) => why = format!("of its token, {reason}"),
        }
    }
    Err(why)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-20T23:00:00Z".parse().unwrap()
    }

    fn accepted() -> [Code; 3] {
        [Code::Number(0), Code::Number(200), Code::Word("OK".to_owned())]
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
            json!({"token": "Bearer T"}),
            json!({"token": "\u{feff}T"}),
            json!({"token": "", "access_token": "T"}),
            json!({"token": " ", "data": {"access_token": "T"}}),
            json!({"token": "no token", "access_token": "T"}),
            json!({"code": "OK", "success": true, "data": "bearer T"}),
        ] {
            let LoginReply::Granted(token) = read(&reply(&json), &accepted(), now()) else {
                panic!("{json}")
            };
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
                let LoginReply::Granted(token) = read(&reply(&json), &accepted(), now()) else {
                    panic!("{json}")
                };
                assert_eq!(token.expires_at, Some(expected), "{json}");
            }
        }
        let later = quarter.as_second() + 900;
        for json in [
            json!({"token": "T", "expires_in": 900, "expires_at": later}),
            json!({"token": "T", "expires_in": 1800, "expires_at": quarter.as_second(), "expire": later}),
        ] {
            let LoginReply::Granted(token) = read(&reply(&json), &accepted(), now()) else {
                panic!("{json}")
            };
            assert_eq!(token.expires_at, Some(quarter), "the earliest counts: {json}");
        }
        for json in [json!({"token": "T", "expires_at": null}), json!({"token": "T", "expires_in": "soon"})] {
            let LoginReply::Granted(token) = read(&reply(&json), &accepted(), now()) else {
                panic!("{json}")
            };
            assert_eq!(token.expires_at, None, "{json}");
        }
    }

    #[test]
    fn what_is_no_grant_is_told_apart() {
        let rejected = |reply: &Reply| matches!(read(reply, &accepted(), now()), LoginReply::Rejected(_));
        let unavailable =
            |reply: &Reply| matches!(read(reply, &accepted(), now()), LoginReply::Unavailable(_));
        let protocol = |reply: &Reply| matches!(read(reply, &accepted(), now()), LoginReply::Protocol(_));
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
    fn a_refusal_inside_a_200_is_a_rejection_with_its_reason() {
        for (json, says) in [
            (json!({"code": 102_001, "message": "wrong"}), "code 102001: wrong"),
            (json!({"code": 500, "msg": "wrong"}), "code 500: wrong"),
            (json!({"error": "invalid_client", "error_description": "wrong"}), "error invalid_client: wrong"),
            (json!({"success": false, "message": "wrong"}), "success is false: wrong"),
            (json!({"status": "error", "msg": "wrong"}), "status is error: wrong"),
            (json!({"errcode": 40013, "errmsg": "wrong"}), "errcode 40013: wrong"),
            (json!({"success": false, "token": "", "data": "wrong password"}), "success is false"),
        ] {
            let expected = LoginReply::Rejected(format!("HTTP 200, {says}"));
            assert_eq!(read(&reply(&json), &accepted(), now()), expected, "{json}");
        }
        let busy = json!({"errcode": -1, "errmsg": "system busy"});
        let expected = LoginReply::Unavailable("HTTP 200, errcode -1: system busy".to_owned());
        assert_eq!(read(&reply(&busy), &accepted(), now()), expected);
    }

    #[test]
    fn a_token_beside_a_code_that_is_not_known_is_not_held_against_the_account() {
        let json = json!({"code": 20_000, "data": {"token": "s3cret-token"}});
        let LoginReply::Protocol(says) = read(&reply(&json), &accepted(), now()) else { panic!("no grant") };
        assert!(says.contains("code 20000") && says.contains("--success-code"), "{says}");
        assert!(!says.contains("s3cret"), "{says}");
        let granted = read(&reply(&json), &[Code::Number(20_000)], now());
        assert!(matches!(granted, LoginReply::Granted(_)), "{granted:?}");
    }

    #[test]
    fn nothing_of_a_reply_but_code_and_message_is_repeated() {
        let odd = json!({"code": 0, "result": {"jwt": "s3cret-token"}});
        let shown = format!("{:?}", read(&reply(&odd), &accepted(), now()));
        assert!(!shown.contains("s3cret-token"), "{shown}");
    }
}
