//! The bodies of a request and of its reply, which tell the table how far they are.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use super::table::Entry;

/// The body of a request, as long as it arrives.
pub(super) struct Arriving {
    body: Incoming,
    entry: Arc<Entry>,
}

impl Arriving {
    /// What the handler gets.
    pub(super) fn body(body: Incoming, entry: Arc<Entry>) -> Body {
        if body.is_end_stream() { Body::empty() } else { Body::new(Self { body, entry }) }
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            self.entry.state.await_body();
            return Poll::Pending;
        };
        let state = &self.entry.state;
        if frame.is_none() || self.body.is_end_stream() {
            state.body_ended();
        }
        // A connection that was ended has no handler any more: this task is about to be dropped.
        if state.has_body() { Poll::Ready(frame) } else { Poll::Pending }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a reply, until all of it is handed over.
pub(super) struct Leaving {
    body: Body,
    entry: Arc<Entry>,
}

impl Leaving {
    pub(super) fn new(body: Body, entry: Arc<Entry>) -> Self {
        Self { body, entry }
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.entry.state.handed_over();
    }
}

impl HttpBody for Leaving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
