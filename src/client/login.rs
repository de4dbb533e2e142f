//! Where and as whom to log in, put together from settings and credential files when a token must be obtained.

use std::path::{Path, PathBuf};

use super::iam::{Login, login_path};
use super::keeper::NoToken;
use super::{address, credentials};
use crate::config::call::{CallConfig, LoginDialect};
use crate::files::host_name;
use crate::secret::Secret;
use crate::secret::file::SecretFiles;

impl Login {
    /// The login, if it is configured; `directory` is `$CREDENTIALS_DIRECTORY`.
    ///
    /// # Errors
    /// What is missing or unsafe.
    pub fn configured(config: &CallConfig, directory: Option<&Path>) -> Result<Self, NoToken> {
        let iam = &config.iam;
        let files = SecretFiles {
            credentials: directory.map(Path::to_owned),
            allow_insecure: config.token.allow_insecure_permissions,
        };
        let secret_of = |name: &str, file: &Option<PathBuf>, value| {
            let name = config.credential_name(name);
            credentials::read(&files, &name, file.as_deref(), value).map_err(|error| {
                let refused =
                    if error.source.is_missing() { NoToken::NoInput } else { NoToken::Misconfigured };
                refused(error.to_string())
            })
        };
        // The plain names are the unnamed server's: a target with an IAM of its own takes nothing from them.
        let missing = |key: &str, what: &str, hint: &str| {
            NoToken::Misconfigured(match &config.credentials_of {
                None => format!("{what} (hint: {hint})"),
                Some(target) => format!(
                    "targets.{target}.iam.{key} is not set (hint: a target that has any key of iam has all of its own)"
                ),
            })
        };
        let text = match (&iam.login_url, &iam.base_url) {
            (Some(url), _) => url.0.clone(),
            (None, Some(base)) => format!("{}{}", base.0.trim_end_matches('/'), login_path(iam.dialect)),
            (None, None) => {
                let hint = "set IAM_BASE_URL or iam.base_url, for example https://iam.example.com/api/v1";
                return Err(missing("base_url", "a login is needed and no IAM address is configured", hint));
            }
        };
        let url = address::base(&text, config.call.allow_plaintext)
            .map_err(|error| NoToken::Misconfigured(format!("iam: {error}")))?;
        let (account, secret) = if iam.dialect == LoginDialect::OAuth2ClientCredentials {
            let account = iam.client_id.clone().ok_or_else(|| {
                missing("client_id", "no OAuth 2 client is configured", "set IAM_CLIENT_ID or iam.client_id")
            })?;
            let value = iam.client_secret.clone().map(|secret| secret.0);
            let secret =
                secret_of("iam-client-secret", &iam.client_secret_file, value)?.ok_or_else(|| {
                    let hint = "set IAM_CLIENT_SECRET_FILE or iam.client_secret_file";
                    missing("client_secret_file", "no client secret is configured", hint)
                })?;
            (account, secret)
        } else {
            let value = iam.username.clone().map(Secret::new);
            let account = secret_of("iam-username", &iam.username_file, value)?.ok_or_else(|| {
                missing("username", "IAM_USERNAME is not set", "set it, iam.username, or iam.username_file")
            })?;
            let value = iam.password.clone().map(|secret| secret.0);
            let secret = secret_of("iam-password", &iam.password_file, value)?.ok_or_else(|| {
                missing(
                    "password_file",
                    "IAM_PASSWORD is not set",
                    "prefer IAM_PASSWORD_FILE or iam.password_file, mode 0600",
                )
            })?;
            (account.expose().to_owned(), secret)
        };
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
