//! The topology as a Mermaid flowchart.
use std::io::{self, Write};

use tapline_topology::graph::Confidence;

use super::drawing::{Drawing, Item};

/// Writes the drawing.
pub(crate) fn render(out: &mut impl Write, drawing: &Drawing) -> io::Result<()> {
    writeln!(out, "flowchart LR")?;
    for (n, cluster) in drawing.clusters.iter().enumerate() {
        let clustered = !cluster.label.is_empty();
        if clustered {
            writeln!(out, "  subgraph h{n}[\"{}\"]", escape(&cluster.label))?;
        }
        for (m, group) in cluster.groups.iter().enumerate() {
            if group.label.is_empty() {
                items(out, &group.items)?;
                continue;
            }
            writeln!(out, "    subgraph h{n}s{m}[\"{}\"]", escape(&group.label))?;
            items(out, &group.items)?;
            writeln!(out, "    end")?;
        }
        if clustered {
            writeln!(out, "  end")?;
        }
    }
    for line in &drawing.lines {
        let arrow = match (line.confidence, line.symmetric) {
            (Confidence::Proven, true) => "---",
            (Confidence::Proven, false) => "-->",
            (_, true) => "-.-",
            (_, false) => "-.->",
        };
        let label = match line.label.as_str() {
            "" => String::new(),
            label => format!("|\"{}\"|", escape(label)),
        };
        writeln!(out, "  n{} {arrow}{label} n{}", line.from, line.to)?;
    }
    Ok(())
}

fn items(out: &mut impl Write, items: &[Item]) -> io::Result<()> {
    for item in items {
        let label: Vec<_> = item.lines.iter().map(|line| escape(line)).collect();
        let label = label.join("<br/>");
        let (open, close) = match item.class {
            "vm" => ("([", "])"),
            "bridge" => ("[[", "]]"),
            "remote" => ("((", "))"),
            _ => ("[", "]"),
        };
        writeln!(out, "      n{}{open}\"{label}\"{close}", item.id)?;
    }
    Ok(())
}

/// Mermaid labels are HTML with `#…;` for entities: everything that means something to either is
/// written as a number.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '#' | '<' | '>' | '&' | ';' | '`' | '\\' | '[' | ']' | '{' | '}' | '(' | ')'
            | '|' | '\'' => escaped.push_str(&format!("#{};", u32::from(c))),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_does_not_survive() {
        assert_eq!(escape("<img src=x>\"]"), "#60;img src=x#62;#34;#93;");
        assert_eq!(escape("qvo85bcbfb0-bc"), "qvo85bcbfb0-bc");
    }
}
