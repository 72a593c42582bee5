//! Reading through one buffer that wipes itself, until somebody cancels or it is enough.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};

use zeroize::Zeroizing;

use super::MOST_BYTES;

/// What is read at a time.
const BLOCK: usize = 1 << 16;

/// Why reading ends before the end.
#[derive(Debug)]
pub(super) enum Stop {
    /// Nobody waits for it any more.
    Cancelled,
    /// The system refuses.
    System(io::Error),
    /// It cannot be read, and why.
    Unread(String),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// Where bytes come from.
pub(super) trait Source {
    /// As many bytes as come at once; none at the end.
    fn more(&mut self, into: &mut [u8]) -> Result<usize, Stop>;
}

/// Bytes of a file or of memory.
pub(super) struct Input<'a, R> {
    inner: R,
    buffer: Zeroizing<Vec<u8>>,
    start: usize,
    end: usize,
    left: u64,
    /// What may still come out of what is compressed in it, of all streams together.
    unpacked_left: u64,
    cancelled: &'a AtomicBool,
}

impl<'a, R: Read> Input<'a, R> {
    pub(super) fn new(inner: R, cancelled: &'a AtomicBool) -> Self {
        let buffer = Zeroizing::new(vec![0; BLOCK]);
        Self { inner, buffer, start: 0, end: 0, left: MOST_BYTES, unpacked_left: MOST_BYTES, cancelled }
    }

    /// Counts what came out of a compressed stream.
    pub(super) fn unpacked(&mut self, bytes: u64) -> Result<(), Stop> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Stop::Cancelled);
        }
        let enough = || Stop::Unread("only the first GiB of what is compressed in it was read".to_owned());
        self.unpacked_left = self.unpacked_left.checked_sub(bytes).ok_or_else(enough)?;
        Ok(())
    }

    /// What is there; none at the end. `least` bytes of it, if there are so many left.
    pub(super) fn peek(&mut self, least: usize) -> Result<&[u8], Stop> {
        while self.end - self.start < least.min(BLOCK) {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.cancelled.load(Ordering::Relaxed) {
                return Err(Stop::Cancelled);
            }
            match self.inner.read(&mut self.buffer[self.end..]) {
                Ok(0) => break,
                Ok(read) => {
                    self.end += read;
                    self.left = self
                        .left
                        .checked_sub(read as u64)
                        .ok_or_else(|| Stop::Unread("only its first GiB was read".to_owned()))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(&self.buffer[self.start..self.end])
    }

    pub(super) fn consume(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.end);
    }

    /// Passes over bytes; false where there are not so many.
    pub(super) fn skip(&mut self, mut bytes: u64) -> Result<bool, Stop> {
        while bytes > 0 {
            let there = self.peek(1)?.len() as u64;
            if there == 0 {
                return Ok(false);
            }
            let now = there.min(bytes);
            self.consume(now as usize);
            bytes -= now;
        }
        Ok(true)
    }

    /// Takes exactly so many bytes; nothing where there are fewer.
    pub(super) fn take<const N: usize>(&mut self) -> Result<Option<[u8; N]>, Stop> {
        let taken = self.peek(N)?.first_chunk::<N>().copied();
        if taken.is_some() {
            self.consume(N);
        }
        Ok(taken)
    }
}

impl<R: Read> Source for Input<'_, R> {
    fn more(&mut self, into: &mut [u8]) -> Result<usize, Stop> {
        let there = self.peek(1)?;
        let now = there.len().min(into.len());
        into[..now].copy_from_slice(&there[..now]);
        self.consume(now);
        Ok(now)
    }
}

/// The next so many bytes of an input.
pub(super) struct Part<'a, 'b, R> {
    pub(super) input: &'a mut Input<'b, R>,
    pub(super) left: u64,
}

impl<R: Read> Source for Part<'_, '_, R> {
    fn more(&mut self, into: &mut [u8]) -> Result<usize, Stop> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(into.len());
        let read = self.input.more(&mut into[..most])?;
        self.left -= read as u64;
        Ok(read)
    }
}
