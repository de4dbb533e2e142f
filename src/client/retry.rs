//! How failed attempts are repeated, as the settings of the call say.

use reqwest::Method;

use crate::config::call::Call;
use crate::domain::retry::RetryPolicy;

/// When a call is repeated. Methods that RFC 9110 calls idempotent need no declaration.
pub(super) fn of_call(call: &Call, method: &Method) -> RetryPolicy {
    RetryPolicy { idempotent: call.idempotent || method.is_idempotent(), keyed: true, ..of_login(call) }
}

/// How a login is repeated. It always may be: it changes nothing but the clock of the lock-out, and only a rejection
/// does that.
pub(super) fn of_login(call: &Call) -> RetryPolicy {
    RetryPolicy {
        retries: call.retries,
        base: call.retry_base,
        cap: call.retry_cap,
        idempotent: true,
        keyed: false,
    }
}
