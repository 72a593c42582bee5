//! Takes the chunks of one download after the other, tells how far it is, and can go back to where the last one
//! ended.
//!
//! What is large is worked off on a helper thread of the I/O thread, so that reading from the network goes on meanwhile
//! and other operations are not held up. The I/O thread gathers pieces and waits where too many of them lie ready.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use super::csv::Reader;
use super::growth;
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::redcap::{Sink, Waiting, is_out_of_memory, memory, out_of_memory};

/// The pause between two words about the progress.
const PAUSE: Duration = Duration::from_millis(100);

/// How much of the end of what came is looked at for the words of a server without memory.
const TAIL: usize = 2048;

/// So much of a download is worked off at once: for less a thread does not pay.
const AT_ONCE: usize = 256 * 1024;

/// What is handed to the helper thread in one piece.
const PIECE: usize = 256 * 1024;

/// How many pieces may lie ready before the network has to wait.
const READY: usize = 8;

/// What becomes of a body.
pub(super) trait Target: Send {
    /// Takes a chunk, which `reader` reads.
    fn take(&mut self, reader: &mut Reader, chunk: &[u8]) -> Result<()>;

    /// The error for a body that ends in the middle of a line.
    fn cut_short(&self) -> Error;

    /// What has come is kept; a new body begins.
    fn keep(&mut self);

    /// Goes back to what was kept; the body begins anew.
    fn back(&mut self) -> Result<()>;

    /// The rows so far.
    fn rows(&self) -> u64;

    /// From now on the ids of the records are remembered, where they are not there anyway.
    fn watch(&mut self) {}
}

/// One download after the other, into a target.
pub(super) struct Intake<T> {
    ctx: Ctx,
    shared: Arc<Shared<T>>,
    /// The way to the helper thread, once there is one.
    pieces: Option<mpsc::UnboundedSender<Piece>>,
    /// The piece that is being gathered.
    piece: Vec<u8>,
    /// How many downloads were begun: a piece of an earlier one counts for nothing.
    turn: u64,
    /// Bytes that may still be worked off at once.
    at_once: usize,
    bytes: u64,
    kept: u64,
    told: Duration,
    /// The connection says that the body is whole.
    whole: bool,
}

/// A piece of a download, with the number of the download.
type Piece = (u64, Vec<u8>);

/// What the I/O thread and the helper thread share.
struct Shared<T> {
    /// Held for one piece at most.
    work: Mutex<Work<T>>,
    /// Pieces that were handed over and are not worked off.
    ready: AtomicUsize,
    rows: AtomicU64,
    /// The helper met an error, which stands in `work`.
    failed: AtomicBool,
    /// The helper has ended, with the last piece or by a fault of ours.
    ended: AtomicBool,
    /// A piece was worked off.
    progress: Notify,
    /// Buffers to be used again.
    spare: Mutex<Vec<Vec<u8>>>,
}

/// The target, and what is read of the body that comes.
struct Work<T> {
    /// There until the end.
    target: Option<T>,
    reader: Reader,
    tail: Vec<u8>,
    turn: u64,
    error: Option<Error>,
}

impl<T: Target + 'static> Intake<T> {
    pub(super) fn new(ctx: &Ctx, target: T) -> Self {
        let told = ctx.clock.elapsed();
        let work = Work { target: Some(target), reader: Reader::new(), tail: Vec::new(), turn: 0, error: None };
        let shared = Shared {
            work: Mutex::new(work),
            ready: AtomicUsize::new(0),
            rows: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            progress: Notify::new(),
            spare: Mutex::default(),
        };
        Self {
            ctx: ctx.clone(),
            shared: Arc::new(shared),
            pieces: None,
            piece: Vec::new(),
            turn: 0,
            at_once: AT_ONCE,
            bytes: 0,
            kept: 0,
            told,
            whole: false,
        }
    }

    /// From now on the target remembers the ids of the records.
    pub(super) fn watch(&self) -> Result<()> {
        self.shared.with(|work| {
            work.target()?.watch();
            Ok(())
        })
    }

    /// What the last body brought, in bytes, and the rows of all.
    pub(super) fn brought(&self) -> Result<(u64, u64)> {
        let rows = self.shared.with(|work| Ok(work.target()?.rows()))?;
        Ok((self.bytes - self.kept, rows))
    }

    /// The bytes of data, and what became of them.
    pub(super) fn finish(mut self) -> Result<(u64, T)> {
        self.pieces = None;
        let target = self.shared.with(|work| Ok(work.target.take()))?;
        Ok((self.bytes, target.ok_or_else(lost)?))
    }

    /// Keeps what has come, for a new body.
    pub(super) fn keep(&mut self) -> Result<()> {
        self.kept = self.bytes;
        self.renew(|target| {
            target.keep();
            Ok(())
        })
    }

    /// Goes back to what was kept.
    pub(super) fn back(&mut self) -> Result<()> {
        self.bytes = self.kept;
        self.renew(T::back)
    }

    /// A new body begins: what is left of the one before counts for nothing.
    fn renew(&mut self, turn: impl FnOnce(&mut T) -> Result<()>) -> Result<()> {
        self.turn += 1;
        self.whole = false;
        self.piece.clear();
        self.at_once = AT_ONCE;
        self.shared.with(|work| {
            work.turn = self.turn;
            work.reader = Reader::new();
            work.tail.clear();
            work.error = None;
            self.shared.failed.store(false, Ordering::SeqCst);
            turn(work.target()?)
        })
    }

    /// Hands the piece that was gathered to the helper thread, which is started if there is none.
    fn hand_over(&mut self) {
        if self.piece.is_empty() {
            return;
        }
        let spare = self.shared.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let piece = std::mem::replace(&mut self.piece, spare.unwrap_or_default());
        let pieces = self.pieces.get_or_insert_with(|| {
            let (pieces, coming) = mpsc::unbounded_channel();
            let helper = Helper(Arc::clone(&self.shared));
            // One of the I/O thread's helpers: no signal reaches it, and its end is waited for with that of the others.
            tokio::task::spawn_blocking(move || helper.work(coming));
            pieces
        });
        self.shared.ready.fetch_add(1, Ordering::SeqCst);
        // A helper that has ended says so by `ended`.
        let _ = pieces.send((self.turn, piece));
    }

    fn tell(&mut self) {
        let now = self.ctx.clock.elapsed();
        if now.saturating_sub(self.told) >= PAUSE {
            self.told = now;
            self.ctx.log.progress(self.bytes, self.shared.rows.load(Ordering::Relaxed));
        }
    }
}

impl<T: Target + 'static> Sink for Intake<T> {
    fn restart(&mut self) -> bool {
        self.back().is_ok()
    }

    fn take(&mut self, chunk: &[u8]) -> Result<()> {
        self.bytes += chunk.len() as u64;
        let at_once = chunk.len().min(self.at_once);
        self.at_once -= at_once;
        let (now, mut later) = chunk.split_at(at_once);
        if !now.is_empty() {
            self.shared.with(|work| work.take(now))?;
            self.shared.count();
        }
        while !later.is_empty() {
            if self.piece.capacity() == 0 {
                self.piece.reserve_exact(PIECE);
            }
            let (fits, rest) = later.split_at(later.len().min(PIECE - self.piece.len()));
            self.piece.extend_from_slice(fits);
            later = rest;
            if self.piece.len() == PIECE {
                self.hand_over();
            }
        }
        if self.shared.failed.load(Ordering::SeqCst) {
            return self.shared.with(|work| {
                // What else lies ready is not read on.
                work.turn += 1;
                work.error.take().map_or(Ok(()), Err)
            });
        }
        self.tell();
        Ok(())
    }

    fn wait(&mut self, all: bool) -> Option<Waiting> {
        if all {
            self.hand_over();
        }
        let most = if all { 0 } else { READY };
        if self.shared.is_down_to(most) {
            return None;
        }
        let shared = Arc::clone(&self.shared);
        Some(Box::pin(async move {
            while !shared.is_down_to(most) {
                shared.progress.notified().await;
            }
        }))
    }

    fn whole(&mut self) {
        self.whole = true;
    }

    fn end(&mut self) -> Result<()> {
        let unended = self.shared.with(|work| {
            if let Some(error) = work.error.take() {
                return Err(error);
            }
            // The helper met a fault of ours.
            if self.shared.ready.load(Ordering::SeqCst) > 0 {
                return Err(lost());
            }
            if work.reader.is_complete() {
                return Ok(false);
            }
            let error = work.target()?.cut_short();
            let error = work.why(&[], error);
            // A server that stops in the middle of a line ends the body as it should all the same: that the line has
            // all its cells is not all there is to say.
            if self.whole && !is_out_of_memory(&error) && work.ends_all_the_same() { Ok(true) } else { Err(error) }
        })?;
        if unended {
            self.ctx.log.warning(
                "the answer has no line end behind its last row: look whether the last value of that row is whole",
            );
        }
        Ok(())
    }
}

impl<T> Drop for Intake<T> {
    /// Failed or cancelled: what lies ready is not worked off any more, and what became of the rest is gone now, not
    /// when the helper comes to it: nobody may find half a file.
    fn drop(&mut self) {
        self.pieces = None;
        if let Ok(mut work) = self.shared.work.lock() {
            work.turn += 1;
            work.target = None;
        }
    }
}

impl<T: Target> Shared<T> {
    fn with<R>(&self, what: impl FnOnce(&mut Work<T>) -> Result<R>) -> Result<R> {
        // Poisoned: the helper met a fault of ours in the middle of a piece.
        what(&mut *self.work.lock().map_err(|_| lost())?)
    }

    fn is_down_to(&self, most: usize) -> bool {
        self.ready.load(Ordering::SeqCst) <= most
            || self.failed.load(Ordering::SeqCst)
            || self.ended.load(Ordering::SeqCst)
    }

    /// How many rows there are now.
    fn count(&self) {
        let rows = self.with(|work| Ok(work.target()?.rows()));
        self.rows.store(rows.unwrap_or(0), Ordering::Relaxed);
    }
}

impl<T: Target> Work<T> {
    fn target(&mut self) -> Result<&mut T> {
        self.target.as_mut().ok_or_else(lost)
    }

    fn take(&mut self, chunk: &[u8]) -> Result<()> {
        let target = self.target.as_mut().ok_or_else(lost)?;
        // What found no place is told first: whatever else was wrong may be so for that reason.
        let taken = target.take(&mut self.reader, chunk);
        growth::whole()?;
        if let Err(error) = taken {
            return Err(self.why(chunk, error));
        }
        let fresh = &chunk[chunk.len().saturating_sub(TAIL)..];
        let surplus = (self.tail.len() + fresh.len()).saturating_sub(TAIL);
        self.tail.drain(..surplus);
        self.tail.extend_from_slice(fresh);
        Ok(())
    }

    /// Ends the last line for a server that did not. False where it is no whole line.
    fn ends_all_the_same(&mut self) -> bool {
        let Some(target) = &mut self.target else { return false };
        let before = target.rows();
        self.reader.lacks_line_end() && target.take(&mut self.reader, b"\n").is_ok() && target.rows() > before
    }

    /// A server that runs out of memory on the way says so in the middle of the data.
    fn why(&self, chunk: &[u8], error: Error) -> Error {
        if memory(&[&self.tail, chunk].concat()) { out_of_memory() } else { error }
    }
}

/// The helper thread's end of what is shared. When it is dropped, by a fault of ours too, nobody waits for it longer.
struct Helper<T>(Arc<Shared<T>>);

impl<T: Target> Helper<T> {
    fn work(self, mut pieces: mpsc::UnboundedReceiver<Piece>) {
        let shared = &self.0;
        while let Some((turn, mut piece)) = pieces.blocking_recv() {
            let worked = shared.with(|work| {
                if work.turn == turn && work.error.is_none() {
                    if let Err(error) = work.take(&piece) {
                        work.error = Some(error);
                        shared.failed.store(true, Ordering::SeqCst);
                    }
                    shared.rows.store(work.target()?.rows(), Ordering::Relaxed);
                }
                Ok(())
            });
            if worked.is_err() {
                return;
            }
            piece.clear();
            shared.spare.lock().unwrap_or_else(PoisonError::into_inner).push(piece);
            shared.ready.fetch_sub(1, Ordering::SeqCst);
            shared.progress.notify_one();
        }
    }
}

impl<T> Drop for Helper<T> {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::SeqCst);
        self.0.progress.notify_one();
    }
}

fn lost() -> Error {
    Error::new(Kind::Internal, "internal error in reading an export")
}
