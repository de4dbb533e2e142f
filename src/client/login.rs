//! Where and as whom to log in, put together from settings and credential files when a token must be obtained.

use std::path::{Path, PathBuf};

use super::address;
use super::credentials::Credential;
use super::iam::{Login, login_path};
use super::keeper::NoToken;
use crate::config::SecretText;
use crate::config::call::{CallConfig, LoginDialect};
use crate::files::host_name;
use crate::secret::Secret;

impl Login {
    /// The login, if it is configured; `directory` is `$CREDENTIALS_DIRECTORY`.
    ///
    /// # Errors
    /// What is missing or unsafe.
    pub fn configured(config: &CallConfig, directory: Option<&Path>) -> Result<Self, NoToken> {
        let iam = &config.iam;
        let secret_of = |name, file: &Option<PathBuf>, value| {
            let credential = Credential {
                name,
                directory: directory.map(Path::to_owned),
                file: file.clone(),
                value,
                allow_insecure: config.token.allow_insecure_permissions,
            };
            match credential.read() {
                Ok(found) => Ok(found.map(|(secret, _)| secret)),
                Err(error) if error.source.is_missing() => Err(NoToken::NoInput(error.to_string())),
                Err(error) => Err(NoToken::Misconfigured(error.to_string())),
            }
        };
        let missing = |what: &str, hint: &str| NoToken::Misconfigured(format!("{what} (hint: {hint})"));
        let text = match (&iam.login_url, &iam.base_url) {
            (Some(url), _) => url.0.clone(),
            (None, Some(base)) => format!("{}{}", base.0.trim_end_matches('/'), login_path(iam.dialect)),
            (None, None) => {
                let hint = "set IAM_BASE_URL or iam.base_url, for example https://iam.example.com/api/v1";
                return Err(missing("a login is needed and no IAM address is configured", hint));
            }
        };
        let url = address::base(&text, config.call.allow_plaintext)
            .map_err(|error| NoToken::Misconfigured(format!("iam: {error}")))?;
        let oauth2 = iam.dialect == LoginDialect::OAuth2ClientCredentials;
        let account = if oauth2 {
            iam.client_id.clone()
        } else {
            let given = iam.username.clone().map(|name| SecretText(Secret::new(name)));
            secret_of("iam-username", &iam.username_file, given)?.map(|secret| secret.expose().to_owned())
        };
        let account = account.ok_or_else(|| {
            if oauth2 {
                missing("no OAuth 2 client is configured", "set IAM_CLIENT_ID or iam.client_id")
            } else {
                missing("IAM_USERNAME is not set", "set it, iam.username, or iam.username_file")
            }
        })?;
        let secret = if oauth2 {
            secret_of("iam-client-secret", &iam.client_secret_file, iam.client_secret.clone())?
        } else {
            secret_of("iam-password", &iam.password_file, iam.password.clone())?
        };
        let secret = secret.ok_or_else(|| {
            if oauth2 {
                missing(
                    "no client secret is configured",
                    "set IAM_CLIENT_SECRET_FILE or iam.client_secret_file",
                )
            } else {
                missing("IAM_PASSWORD is not set", "prefer IAM_PASSWORD_FILE or iam.password_file, mode 0600")
            }
        })?;
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
