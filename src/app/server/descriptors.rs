//! How many connections the descriptors of this process suffice for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::app::stop;
use crate::cli::output::Failure;
use crate::config::server::FEWEST_CONNECTIONS;
use crate::domain::exit::Exit;

/// Most connections, unless more are asked for: so many cost little memory, whatever they send.
const USUAL: u64 = 8_192;

/// Descriptors for the log, the runtime, the IAM and what else is opened for a moment.
const BESIDE: u64 = 64;

/// Raises the limit of descriptors as far as this process may, as servers do, and answers it.
pub(super) fn raise() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    // Where the kernel refuses, the old limit remains, and is what counts.
    let limit = if setrlimit(Resource::Nofile, raised).is_ok() { maximum } else { current };
    limit.unwrap_or(u64::MAX)
}

/// How many connections there may be with so many descriptors, of which the stores may have `stores`.
///
/// # Errors
/// More are asked for than there can be, or there cannot be enough.
pub(super) fn connections(asked: Option<u32>, descriptors: u64, stores: u64) -> Result<usize, Failure> {
    let beside = stores.saturating_add(BESIDE);
    let most = descriptors.saturating_sub(beside);
    let raise = "raise the limit: LimitNOFILE= in a unit of systemd, ulimit -n in a shell";
    if most < u64::from(FEWEST_CONNECTIONS) {
        let message = format!(
            "this process may open {descriptors} files and sockets, which leaves {most} for connections, at least \
             {FEWEST_CONNECTIONS} are needed"
        );
        return Err(stop(Exit::Config, message).with_hint(raise));
    }
    let number = match asked.map(u64::from) {
        Some(asked) if asked > most => {
            let message = format!(
                "server.max_connections: {asked} is too much: this process may open {descriptors} files and sockets, \
                 of which {beside} are kept for stores, log and IAM"
            );
            return Err(stop(Exit::Config, message).with_hint(format!("at most {most}, or {raise}")));
        }
        Some(asked) => asked,
        None => most.min(USUAL),
    };
    Ok(usize::try_from(number).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_lies_below_the_descriptors() {
        for (asked, descriptors, found) in [
            (None, 256, Some(160)),
            (None, 20_000, Some(8_192)),
            (Some(15_000), 20_000, Some(15_000)),
            (Some(160), 256, Some(160)),
            (Some(161), 256, None),
            (None, 111, None),
            (None, u64::MAX, Some(8_192)),
        ] {
            assert_eq!(connections(asked, descriptors, 32).ok(), found, "{asked:?} {descriptors}");
        }
    }

    #[test]
    fn a_refusal_names_key_value_and_what_would_do() {
        let refused = connections(Some(1_000), 256, 32).unwrap_err();
        assert_eq!(refused.exit, Exit::Config);
        assert!(refused.message.starts_with("server.max_connections: 1000 is too much"), "{refused:?}");
        assert!(refused.hint.unwrap().starts_with("at most 160, or raise the limit"));
    }
}
