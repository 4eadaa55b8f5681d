//! Lines that hang below one another.
use std::io::{self, Write};

/// One line and what hangs below it.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    pub(crate) text: String,
    pub(crate) below: Vec<Tree>,
}

impl Tree {
    /// A line below which nothing hangs.
    pub(crate) fn leaf(text: impl Into<String>) -> Self {
        Self { text: text.into(), below: Vec::new() }
    }

    /// Writes the tree, every line behind `indent`.
    pub(crate) fn write(&self, out: &mut impl Write, indent: &str) -> io::Result<()> {
        writeln!(out, "{indent}{}", self.text)?;
        branches(out, &self.below, indent)
    }
}

fn branches(out: &mut impl Write, trees: &[Tree], indent: &str) -> io::Result<()> {
    for (n, tree) in trees.iter().enumerate() {
        let last = n + 1 == trees.len();
        let (branch, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        writeln!(out, "{indent}{branch}{}", tree.text)?;
        branches(out, &tree.below, &format!("{indent}{below}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_line_up() {
        let leaf = Tree::leaf;
        let inner = Tree { text: "b".into(), below: vec![leaf("c"), leaf("d")] };
        let tree = Tree { text: "a".into(), below: vec![inner, leaf("e")] };
        let mut out = Vec::new();
        tree.write(&mut out, "  ").unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "  a\n  ├─ b\n  │  ├─ c\n  │  └─ d\n  └─ e\n");
    }
}
