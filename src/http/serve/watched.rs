//! The stream of a connection, which tells the table when bytes come, when none are taken, and when all are.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::table::Entry;

/// A connection's stream.
#[derive(Debug)]
pub(super) struct Watched {
    stream: TcpStream,
    entry: Arc<Entry>,
    /// The other side sends no more.
    ended: bool,
    /// This side has sent all, and the other side may go on sending for a while.
    closing: Option<bool>,
}

impl Watched {
    pub(super) fn new(stream: TcpStream, entry: Arc<Entry>) -> Self {
        Self { stream, entry, ended: false, closing: None }
    }

    fn wrote(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Pending => self.entry.state.stalled(),
            Poll::Ready(_) => self.entry.state.flows(),
        }
        written
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() == before {
            self.ended = true;
        } else {
            self.entry.state.heard();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.entry.state.flushed();
        Poll::Ready(Ok(()))
    }

    /// Says that this side sends no more. A socket that is closed while the other side's bytes lie in it unread is
    /// reset, and a reset takes the reply from whoever has not read it yet: so what still comes is read, for a while
    /// that the table ends.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let linger = if let Some(linger) = self.closing {
            linger
        } else {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            let linger = self.entry.state.closing() && !self.ended;
            *self.closing.insert(linger)
        };
        if !linger {
            return Poll::Ready(Ok(()));
        }
        let mut space = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut space);
            let read = ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
