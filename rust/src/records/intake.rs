//! Takes the chunks of one download after the other, tells how far it is, and can go back to where the last one
//! ended.

use std::time::Duration;

use super::csv::Reader;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::redcap::{Sink, memory, out_of_memory};

/// The pause between two words about the progress.
const PAUSE: Duration = Duration::from_millis(100);

/// How much of the end of what came is looked at for the words of a server without memory.
const TAIL: usize = 2048;

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
}

/// One download after the other, into a target.
pub(super) struct Intake<T> {
    ctx: Ctx,
    pub(super) target: T,
    reader: Reader,
    bytes: u64,
    kept: u64,
    tail: Vec<u8>,
    told: Duration,
}

impl<T: Target> Intake<T> {
    pub(super) fn new(ctx: &Ctx, target: T) -> Self {
        let told = ctx.clock.elapsed();
        Self { ctx: ctx.clone(), target, reader: Reader::new(), bytes: 0, kept: 0, tail: Vec::new(), told }
    }

    /// The bytes of data so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Keeps what has come, for a new body.
    pub(super) fn keep(&mut self) {
        self.target.keep();
        self.kept = self.bytes;
        self.renew();
    }

    /// Goes back to what was kept.
    pub(super) fn back(&mut self) -> Result<()> {
        self.bytes = self.kept;
        self.renew();
        self.target.back()
    }

    fn renew(&mut self) {
        self.reader = Reader::new();
        self.tail.clear();
    }

    /// A server that runs out of memory on the way says so in the middle of the data.
    fn why(&self, chunk: &[u8], error: Error) -> Error {
        if memory(&[&self.tail, chunk].concat()) { out_of_memory() } else { error }
    }
}

impl<T: Target> Sink for Intake<T> {
    fn restart(&mut self) -> bool {
        self.back().is_ok()
    }

    fn take(&mut self, chunk: &[u8]) -> Result<()> {
        self.bytes += chunk.len() as u64;
        if let Err(error) = self.target.take(&mut self.reader, chunk) {
            return Err(self.why(chunk, error));
        }
        let fresh = &chunk[chunk.len().saturating_sub(TAIL)..];
        let surplus = (self.tail.len() + fresh.len()).saturating_sub(TAIL);
        self.tail.drain(..surplus);
        self.tail.extend_from_slice(fresh);
        let now = self.ctx.clock.elapsed();
        if now.saturating_sub(self.told) >= PAUSE {
            self.told = now;
            self.ctx.log.progress(self.bytes, self.target.rows());
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        if self.reader.is_complete() { Ok(()) } else { Err(self.why(&[], self.target.cut_short())) }
    }
}
