//! What the layers below refuse, as failures of the program: exit code, message, hint.

use crate::cli::output::Failure;
use crate::client::RequestError;
use crate::client::keeper::NoToken;
use crate::client::transport::TransportError;
use crate::crontab::call_line::COMMANDS;
use crate::domain::exit::Exit;
use crate::domain::nearest::nearest;
use crate::journal::CannotCreate;

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        let failure = Self::new(error.outcome().exit(), error.to_string());
        match &error {
            RequestError::NoEndpoint => failure.with_hint("see qs-api-call --help"),
            RequestError::NoPath(endpoint) => failure.with_hint(of_endpoint(endpoint)),
            RequestError::RefusedHeader(_) => failure
                .with_hint("the command line of a process is public; the token comes from the token file"),
            RequestError::NotJson { .. } => {
                failure.with_hint("quote it for the shell, or write it to a file and give --data @FILE")
            }
            _ => failure,
        }
    }
}

/// A word that is no path is probably a mistyped command.
fn of_endpoint(endpoint: &str) -> String {
    match nearest(endpoint, COMMANDS.into_iter().filter(|command| *command != "help")) {
        Some(command) => format!("did you mean the command `{command}`?"),
        None if endpoint.contains("://") => "the host belongs into API_BASE_URL or api.base_url".to_owned(),
        None => "for example /api/v1/statistics/sync/daily".to_owned(),
    }
}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Self {
        Self::new(error.outcome().exit(), error.to_string())
    }
}

impl From<NoToken> for Failure {
    fn from(error: NoToken) -> Self {
        Self::new(error.outcome().exit(), error.to_string())
    }
}

impl From<CannotCreate> for Failure {
    fn from(error: CannotCreate) -> Self {
        Self::new(Exit::CannotCreate, error.to_string())
            .with_hint("create it for this user, or choose another with the log argument or --state-dir")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_command_is_recognised() {
        assert_eq!(of_endpoint("statsu"), "did you mean the command `status`?");
        assert_eq!(of_endpoint("crontba"), "did you mean the command `crontab`?");
        assert_eq!(of_endpoint("http://x/y"), "the host belongs into API_BASE_URL or api.base_url");
        assert!(of_endpoint("api/v1").contains("for example"));
    }
}
