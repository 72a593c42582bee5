//! Undoing `deflate`: what gzip, zlib and zip have in common.

use std::io::Read;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_PARSE_ZLIB_HEADER};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};
use zeroize::Zeroizing;

use super::input::{Input, Source, Stop};

/// What was undone and may be repeated; a power of two.
const WINDOW: usize = 1 << 15;

/// One compressed stream of an input, to its own end.
pub(super) struct Inflate<'a, 'b, R> {
    input: &'a mut Input<'b, R>,
    state: Box<DecompressorOxide>,
    window: Zeroizing<Vec<u8>>,
    /// Where the next byte goes, and how many before it were not handed on yet.
    at: usize,
    waiting: usize,
    zlib: bool,
    done: bool,
}

impl<'a, 'b, R: Read> Inflate<'a, 'b, R> {
    /// `zlib`: with the two bytes before it and the four behind it.
    pub(super) fn new(input: &'a mut Input<'b, R>, zlib: bool) -> Self {
        let window = Zeroizing::new(vec![0; WINDOW]);
        Self { input, state: Box::default(), window, at: 0, waiting: 0, zlib, done: false }
    }
}

impl<R: Read> Source for Inflate<'_, '_, R> {
    fn more(&mut self, into: &mut [u8]) -> Result<usize, Stop> {
        while self.waiting == 0 && !self.done {
            let compressed = self.input.peek(1)?;
            let more = if compressed.is_empty() { 0 } else { TINFL_FLAG_HAS_MORE_INPUT };
            let flags = more | if self.zlib { TINFL_FLAG_PARSE_ZLIB_HEADER } else { 0 };
            let (status, read, written) = decompress(&mut self.state, compressed, &mut self.window, self.at, flags);
            let ended = compressed.is_empty() && written == 0;
            self.input.consume(read);
            self.at = (self.at + written) % WINDOW;
            self.waiting = written;
            self.input.unpacked(written as u64)?;
            match status {
                TINFLStatus::Done => self.done = true,
                TINFLStatus::NeedsMoreInput | TINFLStatus::HasMoreOutput if !ended => {}
                _ => return Err(Stop::Unread("what is compressed in it is damaged".to_owned())),
            }
        }
        // What waits may go round the end of the window.
        let from = (self.at + WINDOW - self.waiting) % WINDOW;
        let now = self.waiting.min(into.len()).min(WINDOW - from);
        into[..now].copy_from_slice(&self.window[from..from + now]);
        self.waiting -= now;
        Ok(now)
    }
}
