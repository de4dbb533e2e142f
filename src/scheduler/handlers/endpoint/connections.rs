//! Connections that outlive a call: one transport for each way of connecting, kept for the next call that connects so.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::client::transport::{Transport, TransportOptions};
use crate::client::{Client, ClientSettings};
use crate::clock::SharedClock;
use crate::config::UrlText;
use crate::native_call::settings::Settings;

/// How long a connection is kept that nobody uses. Servers close theirs after 2 s, 5 s or more, and tasks begin at whole
/// seconds: a request that met the closing would end as unknown. What begins together or every second still shares them.
const IDLE: Duration = Duration::from_millis(1500);

/// Most ways of connecting that are kept.
const MOST: usize = 64;

/// The transports so far.
#[derive(Default)]
pub(super) struct Connections(Mutex<Vec<(Way, Arc<Transport>)>>);

impl Connections {
    /// A client with these settings, over the connections of everybody who connects in the same way.
    pub(super) fn client(&self, settings: &Settings, clock: SharedClock) -> Client {
        let mut settings = settings.of_client(false);
        settings.transport.keep_idle = Some(IDLE);
        Client::over(self.transport(&settings), settings, clock)
    }

    fn transport(&self, settings: &ClientSettings) -> Arc<Transport> {
        let way = Way::of(settings);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, transport)) = kept.iter().find(|(other, _)| *other == way) {
            return Arc::clone(transport);
        }
        if kept.len() >= MOST {
            kept.retain(|(_, transport)| Arc::strong_count(transport) > 1);
        }
        let transport = Arc::new(Transport::new(settings.transport.clone()));
        kept.push((way, Arc::clone(&transport)));
        transport
    }
}

/// What makes a connection another one.
#[derive(PartialEq)]
struct Way {
    options: TransportOptions,
    /// Servers are kept apart: one that asks for a client certificate says nothing about another.
    servers: [Option<UrlText>; 3],
    /// Certificates and keys as they are now: new ones count for the next call.
    files: Vec<Option<Version>>,
}

impl Way {
    fn of(settings: &ClientSettings) -> Self {
        let (api, iam) = (&settings.config.api, &settings.config.iam);
        Self {
            options: settings.transport.clone(),
            servers: [Some(api.base_url.clone()), iam.base_url.clone(), iam.login_url.clone()],
            files: settings.transport.files().map(version).collect(),
        }
    }
}

/// Which file it is, and when it was written.
type Version = (u64, u64, i64, i64);

fn version(path: &Path) -> Option<Version> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.dev(), file.ino(), file.mtime(), file.mtime_nsec()))
}
