//! What a session is taken apart into.
use tapline_core::capture::LinePlace;
use tapline_formats::registry;

use crate::command::Invocation;

/// One command and its output.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Block {
    /// The host that the prompt names.
    pub(crate) host: Option<String>,
    /// What was run.
    pub(crate) run: Invocation,
    /// One-based line of the first line of output.
    pub(crate) first_line: u32,
    /// The output, without its packing.
    pub(crate) text: String,
    /// Where each line of it stands, unless they follow one another from the first on.
    pub(crate) places: Vec<LinePlace>,
    /// Why it may not be all.
    pub(crate) partial: Option<String>,
    /// Nothing but its content says what it is.
    pub(crate) by_content: bool,
    /// It is of a machine that was entered from another: no other text is its.
    pub(crate) entered: bool,
}

impl Block {
    /// One-based line of its last line.
    pub(super) fn last_line(&self) -> Option<u32> {
        let lines = || u32::try_from(self.text.lines().count()).ok()?.checked_sub(1);
        let last = self.places.last().map(|place| place.line);
        last.or_else(|| self.first_line.checked_add(lines()?))
    }
}

/// A command of a session that nothing reads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Unclaimed {
    /// One-based line.
    pub(crate) line: u32,
    pub(crate) command: String,
}

/// A session taken apart.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Transcript {
    /// Commands that a format reads.
    pub(crate) blocks: Vec<Block>,
    /// Commands that nothing reads.
    pub(crate) unclaimed: u64,
    /// Those of them whose output was pasted and that show the network.
    pub(crate) left_out: Vec<Unclaimed>,
    /// Lines with several commands that formats read, whose outputs run into one another: one-based
    /// line, and the commands.
    pub(crate) mixed: Vec<(u32, Vec<String>)>,
    /// Prompts that only a shell prints, with a known command: what makes a text a session.
    pub(crate) sure: usize,
    /// A command of it ran on another machine or in a container, in a way that is not understood.
    pub(crate) elsewhere: bool,
    /// The text is packed: quoted, fenced, numbered.
    pub(crate) packed: bool,
    /// The first and last lines of what looks like output and is none that is known.
    pub(crate) loose: Vec<(u32, u32)>,
    /// Of a text that is too long so many bytes were read.
    pub(crate) read_to: Option<usize>,
}

impl Transcript {
    /// How many commands it has.
    pub(crate) fn commands(&self) -> u64 {
        self.blocks.len() as u64 + self.unclaimed
    }

    /// Whether it is one output and nothing besides, as far as its content tells.
    pub(crate) fn is_one_output(&self) -> bool {
        let format =
            |block: &Block| registry::by_command(&block.run.command).map(|command| command.id);
        let first = self.blocks.first().and_then(format);
        let alike = self.blocks.iter().all(|block| block.by_content && format(block) == first);
        first.is_some() && alike && !self.packed && self.sure == 0
    }
}
