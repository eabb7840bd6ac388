//! The socket of one client under HTTP, which informs the watchdog of the connection. After it is closed,
//! further bytes of the client are read for a while, because an unread request would make the system discard
//! the last answer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::activity::ConnectionActivity;

/// How long a closed connection is still read, and how many bytes are discarded.
const LINGER_MAX: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: usize = 2 << 20;
const LINGER_PIECE_BYTES: usize = 4096;

pub struct ClientStream<S> {
    stream: S,
    activity: Arc<ConnectionActivity>,
    linger: Option<SocketLinger>,
}

struct SocketLinger {
    end: Pin<Box<Sleep>>,
    bytes_left: usize,
}

impl<S> ClientStream<S> {
    pub fn new(stream: S, activity: Arc<ConnectionActivity>) -> Self {
        ClientStream { stream, activity, linger: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ClientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if polled.is_ready() && buffer.filled().len() > before {
            self.activity.read();
        }
        polled
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ClientStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.note(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
        }
        let linger = this.linger.get_or_insert_with(|| SocketLinger {
            end: Box::pin(sleep(LINGER_MAX)),
            bytes_left: LINGER_BYTES_MAX,
        });
        linger.poll(&mut this.stream, context).map(Ok)
    }
}

impl<S> ClientStream<S> {
    fn note(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match polled {
            Poll::Ready(Ok(bytes)) => self.activity.written(bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.activity.blocked(),
        }
        polled
    }
}

impl SocketLinger {
    /// Reads until the client closes its side, or the limits are reached.
    fn poll<S: AsyncRead + Unpin>(&mut self, stream: &mut S, context: &mut Context<'_>) -> Poll<()> {
        let mut piece = [0; LINGER_PIECE_BYTES];
        while self.bytes_left > 0 && self.end.as_mut().poll(context).is_pending() {
            let mut buffer = ReadBuf::new(&mut piece);
            let read = ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer));
            match buffer.filled().len() {
                0 => return Poll::Ready(()),
                _ if read.is_err() => return Poll::Ready(()),
                bytes => self.bytes_left = self.bytes_left.saturating_sub(bytes),
            }
        }
        Poll::Ready(())
    }
}
