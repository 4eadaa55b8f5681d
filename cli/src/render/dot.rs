//! The topology for Graphviz: a cluster per host, a cluster per namespace in it.
use std::io::{self, Write};

use tapline_topology::graph::Confidence;

use super::drawing::{Drawing, Item};

/// Writes the drawing.
pub(crate) fn render(out: &mut impl Write, drawing: &Drawing) -> io::Result<()> {
    writeln!(out, "digraph tapline {{")?;
    writeln!(out, "  rankdir=LR; compound=true;")?;
    writeln!(out, "  node [shape=box, style=rounded, fontname=\"sans-serif\", fontsize=10];")?;
    writeln!(out, "  edge [fontname=\"sans-serif\", fontsize=9, arrowsize=0.6];")?;
    for (n, cluster) in drawing.clusters.iter().enumerate() {
        let clustered = !cluster.label.is_empty();
        if clustered {
            writeln!(out, "  subgraph cluster_{n} {{")?;
            writeln!(out, "    label={}; style=bold;", quote(&cluster.label))?;
        }
        for (m, group) in cluster.groups.iter().enumerate() {
            if group.label.is_empty() {
                items(out, &group.items)?;
                continue;
            }
            writeln!(out, "    subgraph cluster_{n}_{m} {{")?;
            writeln!(out, "      label={}; style=dashed;", quote(&group.label))?;
            items(out, &group.items)?;
            writeln!(out, "    }}")?;
        }
        if clustered {
            writeln!(out, "  }}")?;
        }
    }
    for line in &drawing.lines {
        let mut attributes = Vec::new();
        if !line.label.is_empty() {
            attributes.push(format!("label={}", quote(&line.label)));
        }
        match line.confidence {
            Confidence::Proven => {}
            Confidence::Inferred => attributes.push("style=dashed".to_owned()),
            Confidence::Conventional => attributes.push("style=dotted".to_owned()),
        }
        if line.symmetric {
            attributes.push("dir=none".to_owned());
        }
        let attributes = match attributes.as_slice() {
            [] => String::new(),
            all => format!(" [{}]", all.join(", ")),
        };
        writeln!(out, "  n{} -> n{}{attributes};", line.from, line.to)?;
    }
    writeln!(out, "}}")
}

fn items(out: &mut impl Write, items: &[Item]) -> io::Result<()> {
    for item in items {
        let shape = match item.class {
            "vm" => ", style=\"rounded,filled\", fillcolor=\"#e8f0fe\"",
            "bridge" => ", shape=box3d, style=\"\"",
            "port" => ", style=\"\"",
            "remote" => ", style=\"rounded,dashed\"",
            _ => "",
        };
        let label: Vec<_> = item.lines.iter().map(|line| escape(line)).collect();
        writeln!(out, "      n{} [label=\"{}\"{shape}];", item.id, label.join("\\n"))?;
    }
    Ok(())
}

/// A quoted string of the DOT language.
fn quote(text: &str) -> String {
    format!("\"{}\"", escape(text))
}

/// Within quotes only the quote ends the string; a backslash would start an escape such as `\N`.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::drawing::{Cluster, Group, Line};

    #[test]
    fn hostile_names_stay_inside_their_quotes() {
        let item = |id, name: &str| Item { id, class: "device", lines: vec![name.to_owned()] };
        let group = Group { label: "a\"b".into(), items: vec![item(0, "x\\"), item(1, "\"];")] };
        let cluster = Cluster { label: "h".into(), groups: vec![group] };
        let line = Line {
            from: 0,
            to: 1,
            label: String::new(),
            confidence: Confidence::Inferred,
            symmetric: true,
        };
        let mut out = Vec::new();
        render(&mut out, &Drawing { clusters: vec![cluster], lines: vec![line] }).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains(r#"label="a\"b";"#), "{text}");
        assert!(text.contains(r#"n0 [label="x\\"];"#), "{text}");
        assert!(text.contains(r#"n1 [label="\"];"];"#), "{text}");
        assert!(text.contains("n0 -> n1 [style=dashed, dir=none];"), "{text}");
    }
}
