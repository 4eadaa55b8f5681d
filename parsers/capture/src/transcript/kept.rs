//! The lines of an output while it is read. An output may be most of a text of hundreds of
//! megabytes, so its lines are those of the text until one of them has to be changed.
use std::ops::Deref;

use crate::packing::Line;

/// Lines of an output.
pub(super) struct Kept<'a> {
    all: &'a [Line<'a>],
    /// The lines of the text, unless `own` holds them.
    from: usize,
    to: usize,
    own: Option<Vec<Line<'a>>>,
}

impl<'a> Kept<'a> {
    /// None yet.
    pub(super) const fn new(all: &'a [Line<'a>]) -> Self {
        Self { all, from: 0, to: 0, own: None }
    }

    /// Lines that are not simply those of the text.
    pub(super) const fn of(lines: Vec<Line<'a>>) -> Self {
        Self { all: &[], from: 0, to: 0, own: Some(lines) }
    }

    /// Adds the line of the text at an index, as it is.
    pub(super) fn keep(&mut self, at: usize) {
        if self.own.is_none() && (self.from == self.to || self.to == at) {
            self.from = if self.from == self.to { at } else { self.from };
            self.to = at + 1;
        } else if let Some(line) = self.all.get(at) {
            self.push(line.clone());
        }
    }

    /// Adds a line that was changed.
    pub(super) fn push(&mut self, line: Line<'a>) {
        let Self { all, from, to, own } = self;
        let kept = || all.get(*from..*to).unwrap_or_default().to_vec();
        own.get_or_insert_with(kept).push(line);
    }

    /// Takes the lines from an index on off the end.
    pub(super) fn split_off(&mut self, at: usize) -> Vec<Line<'a>> {
        let rest = self.get(at..).unwrap_or_default().to_vec();
        match &mut self.own {
            Some(own) => own.truncate(at),
            None => self.to = self.to.min(self.from + at),
        }
        rest
    }

    /// Takes the last line off.
    pub(super) fn pop(&mut self) {
        match &mut self.own {
            Some(own) => drop(own.pop()),
            None => self.to = self.to.saturating_sub(1).max(self.from),
        }
    }
}

impl<'a> Deref for Kept<'a> {
    type Target = [Line<'a>];

    fn deref(&self) -> &Self::Target {
        match &self.own {
            Some(own) => own,
            None => self.all.get(self.from..self.to).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Kept;
    use crate::packing;

    #[test]
    fn changed_lines_stand_among_those_of_the_text() {
        let lines = packing::unpack("a\nb\nc\nd\n");
        let mut kept = Kept::new(&lines);
        let shown = |kept: &Kept<'_>| kept.iter().map(|line| &*line.text).collect::<String>();
        kept.pop();
        kept.keep(1);
        kept.keep(2);
        kept.pop();
        assert_eq!(shown(&kept), "b");
        kept.keep(3);
        assert_eq!(shown(&kept), "bd");
        let mut changed = lines.first().cloned().unwrap();
        changed.empty();
        kept.push(changed);
        kept.pop();
        kept.keep(0);
        assert_eq!(shown(&kept), "bda");
    }
}
