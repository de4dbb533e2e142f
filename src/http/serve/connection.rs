//! One connection, from its place in the table to its end.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::header::{CONNECTION, HeaderValue};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::bodies::{Arriving, Leaving};
use super::table::Place;
use super::watched::Watched;

/// Most bytes of a request's head, and of what is read or written ahead. A token and a long query fit well; what is
/// longer is answered with 431.
const MAX_HEAD: usize = 32 * 1024;

/// Carries a connection until it ends; once `ending` says so, its current request is the last one. Answers why the last
/// head was refused, if it was no request: the library has answered it, and no handler has seen it.
pub(super) async fn attend(
    stream: TcpStream,
    place: Place,
    router: Router,
    mut ending: watch::Receiver<bool>,
) -> Option<&'static str> {
    // A reply is written at once; waiting for more of it only makes it late. A socket that refuses is slower.
    let _ = stream.set_nodelay(true);
    let entry = Arc::clone(&place.entry);
    let io = TokioIo::new(Watched::new(stream, Arc::clone(&entry)));
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| {
        let (router, entry) = (router.clone(), Arc::clone(&entry));
        async move {
            let has_body = !http_body::Body::is_end_stream(request.body());
            if !entry.state.begin(has_body) {
                // The task of a connection that gave way is dropped here; its request was not begun.
                std::future::pending::<()>().await;
            }
            let request = request.map(|body| Arriving::body(body, Arc::clone(&entry)));
            let Ok(mut reply) = router.call(request).await;
            if entry.state.is_unread() {
                // What follows would be the rest of this request, so whoever sends it must not send another one.
                reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            entry.state.answered();
            Ok::<_, Infallible>(reply.map(|body| Leaving::new(body, entry)))
        }
    });
    // The table knows how long heads take, so no connection needs a timer.
    let connection =
        http1::Builder::new().header_read_timeout(None).max_buf_size(MAX_HEAD).serve_connection(io, service);
    let mut connection = pin!(connection);
    // An order to end, or the end of whoever could give one.
    let ordered = async { drop(ending.wait_for(|ending| *ending).await) };
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = ordered => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    let refused = ended.err().and_then(|error| {
        tracing::debug!(%error, "a connection broke");
        match (error.is_parse_too_large(), error.is_parse()) {
            (true, _) => Some("too_long"),
            (false, true) => Some("malformed"),
            (false, false) => None,
        }
    });
    drop(place);
    refused
}
