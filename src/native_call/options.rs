//! The strongest layer of the configuration: the options of the line.

use crate::config::call::{CallConfig, LogFormat};
use crate::config::{Bytes, Loaded, Origin, SecretText};
use crate::crontab::call_line::Common;
use crate::crontab::invocation::Invocation;
use crate::secret::Secret;

/// Options win over every other layer.
pub(super) fn apply(loaded: &mut Loaded<CallConfig>, invocation: &Invocation, common: &Common) {
    let Loaded { config, origins, own, .. } = loaded;
    let mut set = |given: bool, key: &'static str, option: &'static str| {
        if given {
            origins.insert(key, Origin::Flag(option));
            own.remove(key);
        }
    };
    macro_rules! option {
        ($given:expr, $section:ident.$key:ident, $option:literal) => {
            if let Some(value) = $given {
                config.$section.$key = value.into();
                set(true, concat!(stringify!($section), ".", stringify!($key)), $option);
            }
        };
    }
    let flag = |given: bool| given.then_some(true);
    option!(invocation.log_file.clone(), log.file, "LOG_FILE");
    option!(invocation.overlap, call.overlap, "--overlap");
    option!(invocation.jitter, call.jitter, "--jitter");
    option!(flag(invocation.jitter_fixed), call.jitter_fixed, "--jitter-fixed");
    option!(invocation.timeout, call.timeout, "--timeout");
    option!(invocation.connect_timeout, call.connect_timeout, "--connect-timeout");
    option!(invocation.attempt_timeout, call.attempt_timeout, "--attempt-timeout");
    option!(invocation.retries, call.retries, "--retries");
    option!(flag(invocation.idempotent), call.idempotent, "--idempotent");
    option!(invocation.max_body.map(Bytes), call.max_body, "--max-body");
    option!(flag(invocation.allow_plaintext), call.allow_plaintext, "--allow-plaintext");
    option!(flag(invocation.no_proxy), call.no_proxy, "--no-proxy");
    option!(flag(invocation.no_auth), call.no_auth, "--no-auth");
    option!(invocation.cacert.clone(), tls.cacert, "--cacert");
    option!(invocation.cert.clone(), tls.cert, "--cert");
    option!(invocation.key.clone(), tls.key, "--key");
    option!(common.state_dir.clone(), state.dir, "--state-dir");
    option!(
        flag(common.allow_insecure_permissions),
        token.allow_insecure_permissions,
        "--allow-insecure-permissions"
    );
    option!(invocation.ping_url.clone().map(|url| SecretText(Secret::new(url))), ping.url, "--ping-url");
    let codes = (!invocation.success_code.is_empty()).then(|| invocation.success_code.clone());
    option!(codes, call.success_codes, "--success-code");
    // The line says one of the two, and whatever a weaker layer says about the other is over.
    if invocation.ignore_body || !invocation.expect.is_empty() {
        option!(Some(invocation.expect.clone()), call.expect, "--expect");
        option!(Some(invocation.ignore_body), call.ignore_body, "--ignore-body");
    }
    let format = invocation.log_format.as_ref().and_then(|word| word.parse::<LogFormat>().ok());
    option!(format, log.format, "--log-format");
}
