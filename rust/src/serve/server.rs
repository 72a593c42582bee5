//! The listener, its connections and their end.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::LocalSet;

use super::answer::Answer;
use super::call::Call;
use super::wire::Wire;

/// What a client may take.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// How long a connection may take to send a whole head; also how long it may idle between requests.
    /// Apache, in front of most REDCap servers, allows 5 seconds.
    pub(crate) head_time: Duration,
    /// How long a whole request body may take.
    pub(crate) body_time: Duration,
    /// How many bytes a request body may have.
    pub(crate) body_bytes: usize,
    /// How long a client may leave an answer unread.
    pub(crate) write_time: Duration,
    /// How many connections are served at a time; more wait in the listener's queue.
    pub(crate) connections: usize,
    /// How long open requests have to finish once the server is told to stop.
    pub(crate) grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_time: Duration::from_secs(5),
            body_time: Duration::from_secs(30),
            body_bytes: 32 << 20,
            write_time: Duration::from_secs(30),
            connections: 256,
            grace: Duration::from_secs(1),
        }
    }
}

/// Runs a server's future on this thread, on a runtime of its own.
///
/// # Errors
/// When the system gives no runtime (no descriptors left).
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(LocalSet::new().block_on(&runtime, future))
}

/// Answers the connections of a listener until `stop` is ready, then lets open requests finish within the
/// grace time. Runs inside [`block_on`].
///
/// # Errors
/// When the listener is not on loopback, or cannot be used.
pub(crate) async fn serve<H, F>(
    listener: std::net::TcpListener,
    limits: Limits,
    stop: impl Future<Output = ()>,
    handler: H,
) -> io::Result<()>
where
    H: Fn(Call) -> F + 'static,
    F: Future<Output = Answer> + 'static,
{
    if !listener.local_addr()?.ip().is_loopback() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the listener is not on a loopback address"));
    }
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let handler = Rc::new(handler);
    let places = Arc::new(Semaphore::new(limits.connections));
    let (stopping, stopped) = watch::channel(false);
    let mut stop = std::pin::pin!(stop);
    let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    loop {
        let (stream, peer, place) = tokio::select! {
            biased;
            () = &mut stop => break,
            next = accept(&listener, &places) => match next {
                Some(next) => next,
                None => break,
            },
        };
        let (handler, limits, stopped) = (Rc::clone(&handler), limits.clone(), stopped.clone());
        tokio::task::spawn_local(async move {
            connection(stream, peer, &limits, stopped, &*handler).await;
            drop(place);
        });
    }
    drop(listener);
    stopping.send_replace(true);
    // Every connection gives its place back when it ends. Whatever is left after the grace time is dropped
    // with the runtime.
    let _ = tokio::time::timeout(limits.grace, places.acquire_many(all)).await;
    Ok(())
}

/// The next connection, once there is a place for it. `None` only if the server itself is gone.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return Some((stream, peer, place)),
            // Out of descriptors, or the client has already gone: neither is a reason to end.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn connection<H, F>(
    stream: TcpStream,
    peer: SocketAddr,
    limits: &Limits,
    mut stopped: watch::Receiver<bool>,
    handler: &H,
) where
    H: Fn(Call) -> F,
    F: Future<Output = Answer>,
{
    // Small answers go out at once; without it a slow answer's pieces are held back. Failing is harmless.
    let _ = stream.set_nodelay(true);
    let wire = Wire::new(stream, limits.write_time);
    let side = wire.share();
    let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        let (head, body) = request.into_parts();
        let call = Call { head, peer, body: Some(body), body_bytes: limits.body_bytes, body_time: limits.body_time };
        let answer = handler(call);
        let mut side = side.share();
        async move {
            match answer.await {
                Answer::Http(response) => Ok(response),
                Answer::Raw(raw) => {
                    let _ = side.play(raw).await;
                    // An error from the service makes hyper end the connection without a word of its own.
                    Err(io::Error::other("the raw answer is complete"))
                }
            }
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(wire), service);
    let mut served = std::pin::pin!(served);
    tokio::select! {
        _ = served.as_mut() => return,
        _ = stopped.wait_for(|stopped| *stopped) => served.as_mut().graceful_shutdown(),
    }
    let _ = served.await;
}
