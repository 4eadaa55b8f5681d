//! What a format says of itself.
//!
//! Everything that other parts of tapline have to know of a format is a field here, so that none
//! of it can be forgotten: a format that does not say it does not compile.
use tapline_core::capture::{Command, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::Batch;
use tapline_core::request::Request;

/// One format: what it reads, and how.
#[derive(Debug)]
pub struct Format {
    /// Its id: kebab-case, the name of its file and of its folder in the corpus.
    pub id: FormatId,
    /// The command as a person types it: what "not captured" asks for.
    pub command: &'static str,
    /// The commands by which `tapline collect` gathers it; none where it is not worth it.
    pub collect: &'static [Gather],
    /// Whether it reads the output of this command, and what the command asks for. Wrapping
    /// (`sudo`, `ip netns exec NS`, absolute paths) is already gone; a copied file is `cat PATH`.
    pub claims: fn(&Command) -> Option<Request>,
    /// How sure the text itself is to be of this format, 0 to 100, from its first lines (at most
    /// 4 KiB). Above 50 is a match; the highest wins.
    pub sniff: fn(&str) -> u8,
    /// The reader.
    pub read: fn(&str, &Command) -> Outcome<Batch>,
    /// How its output ends.
    pub ends: Ends,
}

impl Format {
    /// Whether it reads the output of `command`.
    pub fn reads(&self, command: &Command) -> bool {
        (self.claims)(command).is_some()
    }
}

/// One command of `tapline collect`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gather {
    /// What it is about.
    pub per: Per,
    /// Its words, separated by blanks; of [`Per::File`] the pattern. `{}` stands for the bridge,
    /// domain or device.
    pub argv: &'static str,
}

/// What a command is about: it is run for each of these.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Per {
    /// The host: once.
    Host,
    /// A named network namespace: inside it.
    Namespace,
    /// An OVS bridge.
    Bridge,
    /// A libvirt domain.
    Domain,
    /// A network of libvirt.
    Network,
    /// A network device of the root namespace other than `lo`.
    Device,
    /// A network device of hardware.
    Nic,
    /// A host that serves the databases of OVN: once.
    Central,
    /// A pattern of files whose text is copied.
    File,
}

impl Per {
    /// A command that is run for each of these.
    pub(crate) const fn run(self, argv: &'static str) -> Gather {
        Gather { per: self, argv }
    }
}

/// How the output of a format ends, where it may be cut off.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// Whether a record begins with this line: what is cut off belongs to the last one.
    pub begins: fn(&str) -> bool,
    /// Whether nothing can be missing after this last line.
    pub closes: fn(&str) -> bool,
    /// Whether this last line, though a line end stands behind it, surely breaks off within: it lacks
    /// what every such line has.
    pub torn: fn(&str) -> bool,
}

impl Ends {
    /// One record per line that is not indented; nothing tells the last line from a shortened one.
    pub(crate) const LINES: Self = Self {
        begins: |line| line.starts_with(|c: char| !c.is_whitespace()),
        closes: |_| false,
        torn: |_| false,
    };

    /// One short line, which anybody may write without an end.
    pub(crate) const FACT: Self = Self { closes: |_| true, ..Self::LINES };
}

/// Whether a word is the beginning of one of these, and none of them.
pub(crate) fn is_begun(word: &str, known: &[&str]) -> bool {
    !word.is_empty() && !known.contains(&word) && known.iter().any(|known| known.starts_with(word))
}

/// The last word of a line.
pub(crate) fn last_word(line: &str) -> &str {
    // A document may be one line of megabytes.
    let blank = memchr::memrchr2(b' ', b'\t', line.as_bytes());
    let tail = blank.and_then(|at| line.get(at + 1..)).unwrap_or(line);
    let other = |b: u8| !b.is_ascii() || matches!(b, b'\n' | 0x0b | 0x0c | b'\r');
    // Without a way out of the loop many bytes are looked at at once.
    if !tail.bytes().fold(false, |found, b| found | other(b)) {
        return tail;
    }
    tail.rsplit(char::is_whitespace).next().unwrap_or(tail)
}
