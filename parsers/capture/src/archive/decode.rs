//! Compression undone, and how much came out of how little.
use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use liblzma::bufread::XzDecoder;
use liblzma::stream::{MtStreamBuilder, Stream};

use crate::container::Kind;

/// Most memory that a compressed file may ask for, to undo it.
const MEMORY: u64 = 512 << 20;

/// Memory for undoing blocks of xz side by side.
const PARALLEL_MEMORY: u64 = 64 << 20;

/// Undoes a compression; all streams or members of it, one after the other.
pub(super) fn decoder<'a>(
    kind: Kind,
    read: impl BufRead + 'a,
    parallel: bool,
) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match kind {
        Kind::Xz => Box::new(Xz::new(read, parallel)?),
        Kind::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(read)),
        Kind::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(read)),
        Kind::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(read)?),
        _ => Box::new(read),
    })
}

/// xz streams, one after the other.
///
/// The decoder that works on several blocks at a time knows one stream only, so streams are
/// chained here. sos 3.6 to 4.1 writes such blocks; for others it is as fast as the plain one.
struct Xz<R> {
    stream: Option<XzDecoder<R>>,
    parallel: bool,
}

impl<R: BufRead> Xz<R> {
    fn new(read: R, parallel: bool) -> io::Result<Self> {
        Ok(Self { stream: Some(XzDecoder::new_stream(read, stream(parallel)?)), parallel })
    }
}

/// A decoder of one stream.
fn stream(parallel: bool) -> io::Result<Stream> {
    let threads = thread::available_parallelism().map_or(1, |parallelism| parallelism.get().min(8));
    let threads = if parallel { u32::try_from(threads).unwrap_or(1) } else { 1 };
    let made = MtStreamBuilder::new()
        .threads(threads)
        .memlimit_threading(PARALLEL_MEMORY)
        .memlimit_stop(MEMORY)
        .decoder();
    Ok(made?)
}

impl<R: BufRead> Read for Xz<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.stream {
            let n = decoder.read(to)?;
            if n > 0 || to.is_empty() {
                return Ok(n);
            }
            let Some(done) = self.stream.take() else { break };
            let mut rest = done.into_inner();
            // Streams may be padded with zeros.
            let more = loop {
                let buffer = rest.fill_buf()?;
                if buffer.is_empty() {
                    break false;
                }
                let zeros = buffer.iter().take_while(|&&b| b == 0).count();
                if zeros < buffer.len() {
                    rest.consume(zeros);
                    break true;
                }
                rest.consume(zeros);
            };
            if more {
                self.stream = Some(XzDecoder::new_stream(rest, stream(self.parallel)?));
            }
        }
        Ok(0)
    }
}

/// Counts compressed bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Counter(Arc<AtomicU64>);

impl Counter {
    /// A reader whose bytes are counted.
    pub(super) fn of<R: Read>(&self, read: R) -> Counted<R> {
        Counted { read, counter: self.clone() }
    }
}

/// A reader whose bytes are counted.
pub(super) struct Counted<R> {
    read: R,
    counter: Counter,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let n = self.read.read(to)?;
        self.counter.0.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// Stops what grows out of all proportion.
pub(super) struct Guard<R> {
    read: R,
    counter: Counter,
    out: u64,
    ratio: u64,
}

impl<R: Read> Guard<R> {
    pub(super) fn new(read: R, counter: Counter, ratio: u64) -> Self {
        Self { read, counter, out: 0, ratio }
    }
}

impl<R: Read> Read for Guard<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        /// So much may come out of anything.
        const FREE: u64 = 64 << 20;
        let n = self.read.read(to)?;
        self.out += n as u64;
        let paid = self.counter.0.load(Ordering::Relaxed).saturating_mul(self.ratio);
        if self.out > FREE && self.out > paid {
            return Err(io::Error::other(Ratio(self.ratio)));
        }
        Ok(n)
    }
}

/// More came out than the limit allows.
#[derive(Debug)]
struct Ratio(u64);

impl std::fmt::Display for Ratio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ratio = self.0;
        write!(
            f,
            "more than {ratio} bytes come out of each compressed byte; the rest was not read \
             (raise --max-ratio)"
        )
    }
}
impl std::error::Error for Ratio {}

/// Whether the limit on the ratio ended reading.
pub(super) fn is_ratio(error: &io::Error) -> bool {
    error.get_ref().and_then(|it| it.downcast_ref::<Ratio>()).is_some()
}
