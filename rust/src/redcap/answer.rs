//! Where the data of a good answer goes.

use std::pin::Pin;

use zeroize::Zeroizing;

use crate::error::{Error, Kind, Result};

/// Until a sink is ready.
pub(crate) type Waiting = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Takes the data of a good answer, chunk by chunk, unaltered.
pub(crate) trait Sink: Send {
    /// A new try begins: forgets what an earlier one brought. False where that is not possible; then a try
    /// that brought data is not made again.
    fn restart(&mut self) -> bool;

    /// The head of a good answer has come: the file's name that stands in it, scrubbed, and as unsafe as the server
    /// wrote it.
    fn begin(&mut self, _name: Option<&str>) -> Result<()> {
        Ok(())
    }

    /// Takes the next chunk.
    fn take(&mut self, chunk: &[u8]) -> Result<()>;

    /// What is to be waited for before the next chunk; with `all`, before [`Sink::end`]: a sink may work beside the
    /// I/O thread.
    fn wait(&mut self, all: bool) -> Option<Waiting> {
        let _ = all;
        None
    }

    /// The connection proves that the body ended where the server meant it to. Said before [`Sink::end`], if at all.
    fn whole(&mut self) {}

    /// The answer is complete, as far as the connection can tell.
    fn end(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Collects a body in memory, up to a bound.
pub(super) struct Collected {
    body: Zeroizing<Vec<u8>>,
    most: usize,
}

impl Collected {
    pub(super) fn new(most: usize) -> Self {
        Self { body: Zeroizing::new(Vec::new()), most }
    }

    pub(super) fn finish(self) -> Zeroizing<Vec<u8>> {
        self.body
    }
}

impl Sink for Collected {
    fn restart(&mut self) -> bool {
        self.body.clear();
        true
    }

    fn take(&mut self, chunk: &[u8]) -> Result<()> {
        if self.body.len() + chunk.len() > self.most {
            return Err(Error::new(Kind::NotRedcap, "the answer is far larger than REDCap's answer to this would be")
                .hint("check `redcap_uri`: the API address ends in `/api/`"));
        }
        self.body.try_reserve(chunk.len()).map_err(|_| Error::memory())?;
        self.body.extend_from_slice(chunk);
        Ok(())
    }
}
