//! What is wrong with the certificate of a server, in a sentence that names the host and says what to do.

use std::path::Path;

use jiff::Timestamp;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, OtherError};

/// Where the CAs that are trusted come from.
const TRUST: &str = "--cacert, tls.cacert or SSL_CERT_FILE";
/// What a certificate of the first version lacks.
const VERSION_3: &str =
    "it needs version 3, which openssl writes when an extension such as subjectAltName is asked for";

/// Why the certificate that `peer` showed is not accepted, and a hint.
pub(super) fn certificate(flaw: &CertificateError, peer: &str) -> String {
    use CertificateError as Flaw;
    let of = |what: String, hint: &str| format!("the certificate of {peer} {what} (hint: {hint})");
    let clock = "is the clock of this machine right?";
    match flaw {
        Flaw::UnknownIssuer => of(
            "is from a CA that is not trusted".to_owned(),
            &format!(
                "give the PEM file of its CA by {TRUST}; a server must send the certificates in between"
            ),
        ),
        Flaw::Expired => of("has expired".to_owned(), clock),
        Flaw::ExpiredContext { not_after, .. } => of(format!("expired at {}", show(*not_after)), clock),
        Flaw::NotValidYet => of("is not valid yet".to_owned(), clock),
        Flaw::NotValidYetContext { not_before, .. } => {
            of(format!("is not valid before {}", show(*not_before)), clock)
        }
        Flaw::NotValidForName => of(
            "is for another name".to_owned(),
            "call the server by a name that is in it; a common name (CN) does not count",
        ),
        Flaw::NotValidForNameContext { presented, .. } if presented.is_empty() => of(
            "is for no name at all".to_owned(),
            "it needs a subjectAltName; a common name (CN) does not count",
        ),
        Flaw::NotValidForNameContext { presented, .. } => of(
            format!("is for other names: {}", presented.join(", ")),
            "call the server by a name that is in it",
        ),
        Flaw::Revoked => of("was revoked".to_owned(), "the server needs a new one"),
        Flaw::BadSignature => of(
            "has a signature that is not of the CA that is trusted".to_owned(),
            &format!("is the file of {TRUST} the one of its CA, and not of an older one of the same name?"),
        ),
        Flaw::BadEncoding => of("cannot be read".to_owned(), "the server needs another one"),
        Flaw::InvalidPurpose | Flaw::InvalidPurposeContext { .. } => {
            of("is not one for servers".to_owned(), "it needs the extended key usage serverAuth")
        }
        Flaw::Other(other) if is_of_ca(other) => of(
            "is that of a CA, and not of a server".to_owned(),
            "a self-signed certificate is trusted only without CA:TRUE (openssl req -addext basicConstraints=critical,CA:FALSE)",
        ),
        Flaw::Other(other) if is_version_1(other) => of("is of X.509 version 1".to_owned(), VERSION_3),
        other => of(format!("is not accepted: {other}"), &format!("trusted CAs are given by {TRUST}")),
    }
}

/// Why a server ends the connection that wants a certificate of ours; `own` is the one that it was shown.
pub(super) fn identity(alert: AlertDescription, own: Option<&Path>) -> String {
    match own {
        None => format!(
            "it wants a client certificate ({alert:?}) (hint: tls.cert and tls.key, or --cert and --key)"
        ),
        Some(path) => format!("it does not accept the client certificate {} ({alert:?})", path.display()),
    }
}

/// Why our own certificate cannot be shown.
pub(super) fn of_client(flaw: &CertificateError) -> String {
    match flaw {
        CertificateError::Other(other) if is_version_1(other) => {
            format!("it is of X.509 version 1 (hint: {VERSION_3})")
        }
        other => other.to_string(),
    }
}

// The library that checks certificates has errors of its own, of which only the names can be seen from here.

fn is_of_ca(other: &OtherError) -> bool {
    format!("{other:?}").contains("CaUsedAsEndEntity")
}

fn is_version_1(other: &OtherError) -> bool {
    format!("{other:?}").contains("UnsupportedCertVersion")
}

/// A moment as people write it; one that no calendar has is shown as its seconds.
fn show(at: UnixTime) -> String {
    let seconds = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::pki_types::ServerName;

    use super::*;

    #[test]
    fn every_flaw_names_the_host_and_a_fix() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let expected = ServerName::try_from("api.example").unwrap();
        let names = |presented: &[&str]| CertificateError::NotValidForNameContext {
            expected: expected.clone(),
            presented: presented.iter().map(ToString::to_string).collect(),
        };
        for (flaw, says) in [
            (CertificateError::UnknownIssuer, "a CA that is not trusted"),
            (CertificateError::Expired, "has expired"),
            (
                CertificateError::ExpiredContext { time: at(2), not_after: at(1) },
                "expired at 1970-01-01T00:00:01Z",
            ),
            (CertificateError::NotValidYet, "not valid yet"),
            (
                CertificateError::NotValidYetContext { time: at(2), not_before: at(86_400) },
                "not valid before 1970-01-02T00:00:00Z",
            ),
            (CertificateError::NotValidForName, "another name"),
            (names(&[]), "no name at all"),
            (names(&["a.example", "b.example"]), "a.example, b.example"),
            (CertificateError::Revoked, "revoked"),
            (CertificateError::BadSignature, "signature"),
            (CertificateError::BadEncoding, "cannot be read"),
            (CertificateError::InvalidPurpose, "serverAuth"),
            (CertificateError::UnknownRevocationStatus, "not accepted"),
        ] {
            let text = certificate(&flaw, "api.example");
            assert!(text.starts_with("the certificate of api.example "), "{text}");
            assert!(text.contains(says) && text.contains("(hint: "), "{text}");
        }
    }
}
