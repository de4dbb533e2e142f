//! The body of a request: read only for a caller who may do what is asked, within a time, a size, and a sum of all bodies
//! that are under way.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use http_body::Body as _;

use super::error::{ApiError, codes};

/// Bytes of bodies that may be under way in all requests together, and at least that of one of them.
const ROOM: usize = 64 << 20;

/// When there may be room again.
const PAUSE: Duration = Duration::from_secs(1);

/// How many bytes of bodies are under way.
#[derive(Debug, Default)]
pub struct BodyRoom(AtomicUsize);

/// The room that one body has taken.
struct Taken<'a> {
    room: &'a BodyRoom,
    bytes: usize,
}

impl Taken<'_> {
    fn more(&mut self, bytes: usize) -> Result<(), ApiError> {
        let before = self.room.0.fetch_add(bytes, Ordering::AcqRel);
        self.bytes += bytes;
        // Whoever is alone has room for whatever its own limit allows.
        if before + bytes > ROOM && before + bytes > self.bytes {
            let message = "too many bodies are under way";
            let busy = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, codes::BUSY, message);
            return Err(busy.retry_after(PAUSE));
        }
        Ok(())
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.room.0.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// What a body may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyLimits {
    /// Bytes of one.
    pub(super) bytes: usize,
    /// How long it may take to arrive.
    pub(super) time: Duration,
}

/// Reads a body to its end.
pub(super) async fn read(body: Body, limits: BodyLimits, room: &BodyRoom) -> Result<Bytes, ApiError> {
    if body.size_hint().lower() > limits.bytes as u64 {
        return Err(too_large());
    }
    let taken = Taken { room, bytes: 0 };
    tokio::time::timeout(limits.time, collect(body, limits.bytes, taken)).await.unwrap_or_else(|_| {
        let message =
            format!("the body did not arrive within {}", crate::domain::duration::show(limits.time));
        Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, codes::BODY_LATE, message))
    })
}

async fn collect(mut body: Body, most: usize, mut taken: Taken<'_>) -> Result<Bytes, ApiError> {
    let (mut first, mut all) = (Bytes::new(), Vec::new());
    while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|error| ApiError::body(format!("the body cannot be read: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + all.len() + data.len() > most {
            return Err(too_large());
        }
        taken.more(data.len())?;
        // Most bodies are one piece, which need not be copied.
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            all.extend_from_slice(&std::mem::take(&mut first));
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.into() })
}

fn too_large() -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, codes::TOO_LARGE, "the body is too large")
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::task::{Context, Poll};

    use http_body::Frame;

    use super::*;

    /// Pieces of this length, and then nothing more for ever, or the end.
    struct Pieces {
        lengths: Vec<usize>,
        ends: bool,
    }

    impl http_body::Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.lengths.pop() {
                Some(length) => Poll::Ready(Some(Ok(Frame::data(vec![b'x'; length].into())))),
                None if self.ends => Poll::Ready(None),
                None => Poll::Pending,
            }
        }
    }

    const LIMITS: BodyLimits = BodyLimits { bytes: 100, time: Duration::from_secs(30) };

    async fn status(lengths: &[usize], ends: bool, room: &BodyRoom) -> Result<usize, u16> {
        let body = Body::new(Pieces { lengths: lengths.to_vec(), ends });
        let read = read(body, LIMITS, room).await;
        read.map(|bytes| bytes.len()).map_err(|error| error.status.as_u16())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_has_a_size_a_time_and_a_share_of_the_room() {
        let room = BodyRoom::default();
        assert_eq!(status(&[], true, &room).await, Ok(0));
        assert_eq!(status(&[40, 30, 30], true, &room).await, Ok(100));
        assert_eq!(status(&[40, 30, 31], true, &room).await, Err(413));
        assert_eq!(status(&[40], false, &room).await, Err(408));
        assert_eq!(room.0.load(Ordering::Acquire), 0, "all room was given back");
        let others = BodyRoom(AtomicUsize::new(ROOM - 50));
        assert_eq!(status(&[50], true, &others).await, Ok(50));
        assert_eq!(status(&[51], true, &others).await, Err(503));
        assert_eq!(others.0.load(Ordering::Acquire), ROOM - 50);
    }
}
