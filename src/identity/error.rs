//! Why a token does not count.

use std::time::Duration;

use thiserror::Error;

/// Why a token does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum VerifyError {
    /// It is no token.
    #[error("the text is no token")]
    Malformed,
    /// Its algorithm is not allowed, or is not the one of its key.
    #[error("the algorithm is not accepted")]
    Algorithm,
    /// It may only be accepted by who knows an extension (RFC 7515 `crit`); this server knows none.
    #[error("the token asks for an extension that is not known")]
    Critical,
    /// It is signed by a key that is not known.
    #[error("the signing key is not known")]
    UnknownKey,
    /// The signature is wrong.
    #[error("the signature is wrong")]
    Signature,
    /// Another issuer.
    #[error("the issuer is not the expected one")]
    Issuer,
    /// For someone else.
    #[error("the token is for another audience")]
    Audience,
    /// Its life is over.
    #[error("the token has expired")]
    Expired,
    /// Its life has not begun.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// A claim is missing or has the wrong form.
    #[error("a required claim is missing or malformed")]
    Claims,
    /// It belongs to no organisation.
    #[error("the claim tenant_id is required")]
    Tenant,
    /// It says of nobody that it is theirs.
    #[error("the claim sub, or user_id in its place, is required")]
    Nobody,
    /// It says of whom it is in a form that cannot be kept.
    #[error("the claim sub must have 1 to 255 characters, no space at its ends and no NUL")]
    Subject,
    /// Its header or its claims name a field twice: whoever checks it could see another value than whoever acts.
    #[error("a field of the token is given twice")]
    Ambiguous,
    /// Nobody can tell: the IAM has given no key that can be used. The token may be good.
    #[error("the keys of the IAM could not be fetched, or none of them can be used")]
    KeysUnavailable {
        /// When it is worth asking again.
        retry_after: Duration,
    },
}
