//! The socket of one connection, shared between hyper and a handler's raw answer.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::answer::{End, Piece, Raw};

/// A socket whose writes may stall only for so long. The clone of a wire is the same socket.
pub(super) struct Wire {
    stream: Rc<TcpStream>,
    patience: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, patience: Duration) -> Self {
        Self { stream: Rc::new(stream), patience, stalled: None }
    }

    /// The same socket again, for a raw answer behind hyper's back.
    pub(super) fn share(&self) -> Self {
        Self { stream: Rc::clone(&self.stream), patience: self.patience, stalled: None }
    }

    /// Writes a raw answer. The caller drops the connection afterwards.
    pub(super) async fn play(&mut self, raw: Raw) -> io::Result<()> {
        for piece in raw.pieces {
            match piece {
                Piece::Bytes(bytes) => self.send(&bytes).await?,
                Piece::Slowly { bytes, by, pause } => {
                    for part in bytes.chunks(by.max(1)) {
                        self.send(part).await?;
                        tokio::time::sleep(pause).await;
                    }
                }
                Piece::Forever(bytes) => loop {
                    self.send(&bytes).await?;
                    // A socket that always takes more must not keep the other connections waiting.
                    tokio::task::yield_now().await;
                },
            }
        }
        match raw.end {
            End::Close => Ok(()),
            End::Reset => self.stream.set_zero_linger(),
        }
    }

    /// Writes once the socket takes something; an error when it has taken nothing for too long.
    fn poll_with(
        &mut self,
        cx: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.stream.poll_write_ready(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => {
                    let patience = self.patience;
                    let sleep = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
                    return match sleep.as_mut().poll(cx) {
                        Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                        Poll::Pending => Poll::Pending,
                    };
                }
            }
            match write(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => {
                    self.stalled = None;
                    return Poll::Ready(done);
                }
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        use tokio::io::AsyncWriteExt;
        self.write_all(bytes).await
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            std::task::ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_read(buf.initialize_unfilled()) {
                Ok(n) => {
                    buf.advance(n);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_with(cx, |stream| stream.try_write(buf))
    }

    /// Large bodies go out as they lie; hyper would otherwise copy them behind the head first.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_with(cx, |stream| stream.try_write_vectored(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Nothing to do: the socket closes when the connection's task drops it.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
