//! Names become addresses in a thread of their own. The runtime's own way ends the program when the system allows no
//! further thread; here that is a failure like any other, before anything was sent.

use std::net::{SocketAddr, ToSocketAddrs};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::oneshot;

/// The system's resolver, `getaddrinfo`.
pub(super) struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (tell, told) = oneshot::channel();
        let host = name.as_str().to_owned();
        let lookup = move || {
            // Nobody waits any more when the deadline came first.
            drop(tell.send((host.as_str(), 0).to_socket_addrs().map(Vec::from_iter)));
        };
        let thread = std::thread::Builder::new().name("lookup".to_owned()).spawn(lookup);
        Box::pin(async move {
            thread.map_err(|error| format!("no thread for the lookup: {error}"))?;
            let found: Vec<SocketAddr> = told.await??;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
