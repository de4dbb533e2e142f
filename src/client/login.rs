//! Where and as whom to log in, put together from settings and credential files when a token must be obtained.

use std::path::Path;

use url::Url;

use super::iam::{Login, login_path};
use super::identity::{ADDRESS, TokenIdentity};
use super::keeper::NoToken;
use super::{address, credentials};
use crate::config::call::{CallConfig, LoginDialect};
use crate::files::host_name;
use crate::secret::Secret;
use crate::secret::file::SecretFiles;

/// The address of the login.
///
/// # Errors
/// It is not configured, or not safe.
pub(super) fn url(config: &CallConfig) -> Result<Url, NoToken> {
    let iam = &config.iam;
    let text = match (&iam.login_url, &iam.base_url) {
        (Some(url), _) => url.0.clone(),
        (None, Some(base)) => format!("{}{}", base.0.trim_end_matches('/'), login_path(iam.dialect)),
        (None, None) => {
            let hint = "set IAM_BASE_URL or iam.base_url, for example https://iam.example.com/api/v1";
            return Err(missing(
                config,
                "base_url",
                "a login is needed and no IAM address is configured",
                hint,
            ));
        }
    };
    address::base(&text, config.call.allow_plaintext)
        .map_err(|error| NoToken::Misconfigured(format!("iam: {error}")))
}

/// The account, or the id of the OAuth 2 client; none when it is not configured.
///
/// # Errors
/// Its file is missing or unsafe.
pub(super) fn account(config: &CallConfig, directory: Option<&Path>) -> Result<Option<String>, NoToken> {
    let iam = &config.iam;
    if iam.dialect == LoginDialect::OAuth2ClientCredentials {
        return Ok(iam.client_id.clone());
    }
    let value = iam.username.clone().map(Secret::new);
    let account = secret(config, directory, "iam-username", iam.username_file.as_deref(), value)?;
    Ok(account.map(|account| account.expose().to_owned()))
}

fn secret(
    config: &CallConfig,
    directory: Option<&Path>,
    name: &str,
    file: Option<&Path>,
    value: Option<Secret>,
) -> Result<Option<Secret>, NoToken> {
    let name = config.credential_name(name);
    let files = SecretFiles {
        credentials: directory.map(Path::to_owned),
        allow_insecure: config.token.allow_insecure_permissions,
    };
    credentials::read(&files, &name, file, value).map_err(|error| {
        let refused = if error.source.is_missing() { NoToken::NoInput } else { NoToken::Misconfigured };
        refused(error.to_string())
    })
}

/// The plain names are the unnamed server's: a target with an IAM of its own takes nothing from them.
fn missing(config: &CallConfig, key: &str, what: &str, hint: &str) -> NoToken {
    NoToken::Misconfigured(match &config.credentials_of {
        None => format!("{what} (hint: {hint})"),
        Some(target) => format!(
            "targets.{target}.iam.{key} is not set (hint: a target that has any key of iam has all of its own)"
        ),
    })
}

impl TokenIdentity {
    /// What the configuration says, as far as it does: a token that is valid needs no account and no IAM. `directory`
    /// is `$CREDENTIALS_DIRECTORY`.
    ///
    /// # Errors
    /// The address of the API is none, so there is no place for a token to go.
    pub fn configured(config: &CallConfig, directory: Option<&Path>) -> Result<Self, NoToken> {
        // Whether plain http may be used is for the request to say.
        let api = address::base(&config.api.base_url.0, true)
            .map_err(|error| NoToken::Misconfigured(format!("api.base_url: {error}")))?;
        let mut identity = Self::for_api(&api);
        let iam = &config.iam;
        // A login that is not safe or not readable is not known; it is refused when one is needed.
        let (url, account) = (url(config).ok(), account(config, directory).ok().flatten());
        if url.is_none() && account.is_none() {
            return Ok(identity);
        }
        if let Some(url) = url {
            identity.add(ADDRESS, url.as_str());
        }
        if let Some(account) = account {
            identity.add("account", &account);
        }
        identity.add("dialect", iam.dialect.as_str());
        // Here none is a value of its own.
        identity.add("tenant", &iam.tenant_id.map(|id| id.to_string()).unwrap_or_default());
        identity.add("scope", iam.scope.as_deref().unwrap_or_default());
        identity.add("audience", iam.audience.as_deref().unwrap_or_default());
        Ok(identity)
    }
}

impl Login {
    /// The login, if it is configured; `directory` is `$CREDENTIALS_DIRECTORY`.
    ///
    /// # Errors
    /// What is missing or unsafe.
    pub fn configured(config: &CallConfig, directory: Option<&Path>) -> Result<Self, NoToken> {
        let iam = &config.iam;
        let url = url(config)?;
        let missing = |key, what, hint| missing(config, key, what, hint);
        let is_client = iam.dialect == LoginDialect::OAuth2ClientCredentials;
        let account = account(config, directory)?.ok_or_else(|| {
            if is_client {
                missing("client_id", "no OAuth 2 client is configured", "set IAM_CLIENT_ID or iam.client_id")
            } else {
                missing("username", "IAM_USERNAME is not set", "set it, iam.username, or iam.username_file")
            }
        })?;
        let secret = if is_client {
            let value = iam.client_secret.clone().map(|secret| secret.0);
            secret(config, directory, "iam-client-secret", iam.client_secret_file.as_deref(), value)?
                .ok_or_else(|| {
                    let hint = "set IAM_CLIENT_SECRET_FILE or iam.client_secret_file";
                    missing("client_secret_file", "no client secret is configured", hint)
                })?
        } else {
            let value = iam.password.clone().map(|secret| secret.0);
            secret(config, directory, "iam-password", iam.password_file.as_deref(), value)?.ok_or_else(
                || {
                    missing(
                        "password_file",
                        "IAM_PASSWORD is not set",
                        "prefer IAM_PASSWORD_FILE or iam.password_file, mode 0600",
                    )
                },
            )?
        };
        if let Some(reason) = flaw(&account) {
            return Err(NoToken::Misconfigured(format!("the account's name {account:?} {reason}")));
        }
        Ok(Self {
            url,
            dialect: iam.dialect,
            account,
            secret,
            client_auth: iam.client_auth,
            scope: iam.scope.clone(),
            audience: iam.audience.clone(),
            tenant_id: iam.tenant_id,
            device_id: iam.device_id.replace("$(hostname)", &host_name()),
        })
    }
}

/// What no name of an account has, and what a careless editor or shell adds to one. A password is never judged: there a
/// blank may be meant.
fn flaw(account: &str) -> Option<&'static str> {
    if account.trim() != account {
        return Some("begins or ends with a blank");
    }
    let invisible =
        |c: char| c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}');
    account.contains(invisible).then_some("holds a character that cannot be seen")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_with_what_nobody_sees_is_refused() {
        for account in ["robot", "运维&user", "a b", "DOMAIN\\user", "me@example.com"] {
            assert_eq!(flaw(account), None, "{account:?}");
        }
        for account in
            [" robot", "robot ", "robot\n", "robot\u{a0}", "\u{feff}robot", "ro\u{200b}bot", "a\nb", "a\0"]
        {
            assert!(flaw(account).is_some(), "{account:?}");
        }
    }
}
