//! Chunks of bytes from one thread to another.
use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

/// Bytes in a chunk.
pub(super) const CHUNK: usize = 256 << 10;

/// Chunks on the way at a time.
const DEPTH: usize = 8;

/// The end that writes.
pub(super) struct In {
    chunks: SyncSender<io::Result<Vec<u8>>>,
    empties: Receiver<Vec<u8>>,
}

/// The end that reads.
pub(super) struct Out {
    chunks: Receiver<io::Result<Vec<u8>>>,
    empties: Sender<Vec<u8>>,
    chunk: Vec<u8>,
    at: usize,
    done: bool,
}

/// A pipe.
pub(super) fn new() -> (In, Out) {
    let (chunks, reader) = sync_channel(DEPTH);
    let (empties, recycled) = channel();
    let out = Out { chunks: reader, empties, chunk: Vec::new(), at: 0, done: false };
    (In { chunks, empties: recycled }, out)
}

impl In {
    /// Sends all that can be read, then the error that ended it. Ends early when nobody listens.
    pub(super) fn pump(self, mut read: impl Read) {
        loop {
            let mut chunk = self.empties.try_recv().unwrap_or_default();
            chunk.resize(CHUNK, 0);
            let mut filled = 0;
            let mut failed = None;
            while let Some(rest) = chunk.get_mut(filled..).filter(|it| !it.is_empty()) {
                match read.read(rest) {
                    Ok(0) => break,
                    Ok(n) => filled += n,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
            }
            let full = filled == CHUNK;
            chunk.truncate(filled);
            if filled > 0 && self.chunks.send(Ok(chunk)).is_err() {
                return;
            }
            if let Some(error) = failed {
                self.fail(error);
                return;
            }
            if !full {
                return;
            }
        }
    }

    /// Sends an error alone.
    pub(super) fn fail(self, error: io::Error) {
        // Nobody may be listening any more: then nobody misses it.
        let _ = self.chunks.send(Err(error));
    }
}

impl BufRead for Out {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at >= self.chunk.len() && !self.done {
            match self.chunks.recv() {
                Ok(Ok(chunk)) => {
                    let empty = std::mem::replace(&mut self.chunk, chunk);
                    self.at = 0;
                    let _ = self.empties.send(empty);
                }
                Ok(Err(error)) => {
                    self.done = true;
                    return Err(error);
                }
                Err(_) => self.done = true,
            }
        }
        Ok(self.chunk.get(self.at..).unwrap_or_default())
    }

    fn consume(&mut self, n: usize) {
        self.at = (self.at + n).min(self.chunk.len());
    }
}

impl Read for Out {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(to)?;
        self.consume(n);
        Ok(n)
    }
}
