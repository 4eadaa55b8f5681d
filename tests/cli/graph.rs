//! `tapline graph`.
use std::collections::BTreeSet;

use super::{Folder, SESSION, fields, node2, run};

#[test]
fn text_is_a_tree_of_vms_namespaces_and_bridges() {
    let folder = Folder::new(&[("session.txt", SESSION)]);
    let ran = run(["graph", &folder.join("session.txt")]);
    insta::assert_snapshot!(ran.shown(&folder), @"
    lab7
    ├─ namespace root
    │  ├─ lo (loopback, mtu 65536, 127.0.0.1/8)
    │  └─ eth0 (physical NIC, mtu 1500, 192.0.2.7/24)
    └─ br-int (OVS bridge)
       ├─ br-int (internal)
       └─ qvo11111111-11 (tag 7, could not open network device qvo11111111-11 (No such device))
    exit status Some(0)
    ");
}

#[test]
fn json_edges_lead_from_node_to_node() {
    let ran = run(["graph", "--format", "json", &node2()]);
    assert_eq!(ran.code, Some(0));
    let document = ran.json();
    assert_eq!(document["schema"], "tapline.graph/1");
    let ids: Vec<_> = document["nodes"]
        .as_array()
        .expect("an array")
        .iter()
        .map(|expect| expect["id"].as_str().expect("a string").to_owned())
        .collect();
    let unique: BTreeSet<_> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len());
    let tap = "system-id:4ece5774-21aa-4ff6-8e7e-343983396eee:node2/netdev/root/tap85bcbfb0-bc"
        .to_owned();
    assert!(unique.contains(&tap), "{ids:?}");
    for edge in document["edges"].as_array().expect("an array") {
        assert_eq!(fields(edge), ["from", "to", "kind", "confidence", "witnesses"]);
        for end in ["from", "to"] {
            assert!(unique.contains(&edge[end].as_str().expect("a string").to_owned()), "{edge}");
        }
    }
}

#[test]
fn focus_draws_the_neighbourhood_only() {
    let all = run(["graph", "--format", "json", &node2()]).json();
    let args = ["graph", "--format", "json", "--focus", "tap85bcbfb0-bc", "--depth", "1"];
    let some = run(args.into_iter().chain([node2().as_str()])).json();
    let count = |it: &serde_json::Value| it["nodes"].as_array().expect("an array").len();
    assert!(count(&some) >= 3 && count(&some) < count(&all) / 4, "{}", count(&some));
}

#[test]
fn an_unknown_focus_is_an_error_with_a_guess() {
    let ran = run(["graph", "--focus", "tap85bcbfb0-bd", &node2()]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("did you mean tap85bcbfb0-bc"), "{}", ran.err);
}

#[test]
fn dot_and_mermaid_have_clusters() {
    let dot = run(["graph", "--format", "dot", &node2()]).out;
    assert!(dot.starts_with("digraph tapline {") && dot.ends_with("}\n"), "{dot}");
    assert!(dot.contains("subgraph cluster_0 {\n    label=\"node2"), "{dot}");
    assert_eq!(dot.matches('{').count(), dot.matches('}').count());
    let mermaid = run(["graph", "--format", "mermaid", &node2()]).out;
    assert!(mermaid.starts_with("flowchart LR\n  subgraph h0[\"node2"), "{mermaid}");
    assert_eq!(
        mermaid.matches("subgraph").count(),
        mermaid.lines().filter(|line| line.trim() == "end").count()
    );
}

/// The numbers of boxes and rows, of lines, and the page of a picture.
fn measure(svg: &str) -> (usize, usize, [u32; 2]) {
    let document = roxmltree::Document::parse(svg).unwrap_or_else(|why| panic!("{why}\n{svg}"));
    let of_class = |class: &str| {
        let is_one = |node: &roxmltree::Node<'_, '_>| {
            let classes = node.attribute("class").unwrap_or_default();
            node.has_attribute("data-at") && classes.split(' ').any(|it| it == class)
        };
        document.descendants().filter(is_one).count()
    };
    let side = |name| document.root_element().attribute(name).unwrap().parse().unwrap();
    (of_class("card") + of_class("row"), of_class("wire"), [side("width"), side("height")])
}

fn svg_of(input: &str) -> String {
    let ran = run(["graph", "--format", "svg", input]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{input}");
    ran.out
}

#[test]
fn the_picture_of_a_small_capture() {
    let folder = Folder::new(&[("session.txt", SESSION)]);
    for form in ["svg", "dot", "mermaid"] {
        let ran = run(["graph", "--format", form, &folder.join("session.txt")]);
        insta::assert_snapshot!(format!("picture_{form}"), ran.shown(&folder));
    }
}

#[test]
fn the_picture_of_two_hosts() {
    let both = super::root().join("corpus/lab/two-hosts").display().to_string();
    insta::assert_snapshot!(run(["graph", "--format", "mermaid", &both]).out);
}

#[test]
fn pictures_of_all_captures_are_well_formed_and_fit_a_page() {
    for folder in ["captures", "lab", "sosreports", "posts", "sessions"] {
        let entries = std::fs::read_dir(super::root().join("corpus").join(folder)).unwrap();
        for entry in entries.flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|end| end == "snap" || end == "yaml") {
                continue;
            }
            let input = path.display().to_string();
            let ran = run(["graph", "--format", "svg", &input]);
            if ran.code != Some(0) {
                continue;
            }
            let (_, _, [width, height]) = measure(&ran.out);
            assert!(width <= 4_000 && height <= 4_000, "{input}: {width} × {height}");
        }
    }
}

#[test]
fn five_hundred_vms_are_one_readable_page() {
    let many = super::root().join("corpus/lab/scale-500").display().to_string();
    let svg = svg_of(&many);
    let (things, lines, [width, height]) = measure(&svg);
    assert!(svg.contains(">500 VMs<") && svg.contains(">20 namespaces<"), "{svg}");
    assert!(things < 30 && lines < 12, "{things} things, {lines} lines");
    assert!(width < 2_500 && height < 1_000, "{width} × {height}");
    let mermaid = run(["graph", "--format", "mermaid", &many]).out;
    assert!(mermaid.contains("500 VMs") && mermaid.len() < 10_000, "{}", mermaid.len());
}

#[test]
fn pictures_are_the_same_each_time() {
    let lab = |name: &str| super::root().join("corpus/lab").join(name).display().to_string();
    let faults = svg_of(&lab("faults"));
    assert_eq!(faults, svg_of(&lab("faults")));
    assert!(faults.contains("badge-error") && faults.contains(">TUN-001<"), "{faults}");
}

#[test]
fn a_tunnel_leads_from_host_to_host() {
    let both = super::root().join("corpus/lab/two-hosts").display().to_string();
    let dot = run(["graph", "--format", "dot", &both]).out;
    let (first, second) = dot.split_once("subgraph cluster_1 {").expect("two hosts");
    let tunnel = dot.lines().find(|line| line.contains("label=\"tunnel\"")).expect("a tunnel");
    let ends: Vec<&str> = tunnel.trim().split(" [").next().unwrap().split(" -> ").collect();
    assert!(first.contains(&format!("{} [", ends[0])), "{tunnel}");
    assert!(second.contains(&format!("{} [", ends[1])), "{tunnel}");
}

#[test]
fn a_focus_is_drawn_whole_with_its_siblings_folded() {
    let many = super::root().join("corpus/lab/scale-500").display().to_string();
    let svg = run(["graph", "--format", "svg", "--focus", "instance-00000100", &many]).out;
    for word in
        ["instance-00000100", "qbr10000000-00", "br-int", "br-tun", "enp4s0f0", "10.10.10.1"]
    {
        assert!(svg.contains(&format!(">{word}<")), "{word}: {svg}");
    }
    assert!(svg.contains(">519 other ports<") && svg.contains("card vm focus"), "{svg}");
}

#[test]
fn what_nothing_uses_is_counted_and_drawn_when_asked() {
    let text = "[root@lab7 ~]# ip link\n\
        1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN\n\
        2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq state UP\n\
        3: dummy7: <BROADCAST,NOARP> mtu 1500 qdisc noop state DOWN\n";
    let folder = Folder::new(&[("session.txt", text)]);
    let session = folder.join("session.txt");
    let svg = svg_of(&session);
    assert!(svg.contains("left out: 1 thing that nothing uses"), "{svg}");
    assert!(svg.contains(">eth0<") && !svg.contains(">dummy7<"), "{svg}");
    let svg = run(["graph", "--format", "svg", "--unused", &session]).out;
    assert!(svg.contains(">dummy7<"), "{svg}");
}

#[test]
fn hostile_names_stay_text() {
    let name = "</text></svg><script>alert(1)</script>";
    let long = "n".repeat(300);
    let names = [name, "a\"b'c&amp;d", "x\u{202e}gnp", "`*_#;[]{}()|", "]]>", "<!--", &long];
    let mut text = String::from(
        "[root@lab7 ~]# ovs-vsctl show\n0b7c1e52-31a0-4f0e-9d55-6a4f6a1b2c3d\n    Bridge br-int\n",
    );
    for name in names {
        let quoted = serde_json::to_string(name).unwrap();
        text.push_str(&format!("        Port {quoted}\n            Interface {quoted}\n"));
    }
    let folder = Folder::new(&[("session.txt", &text)]);
    let session = folder.join("session.txt");
    let svg = svg_of(&session);
    let document = roxmltree::Document::parse(&svg).unwrap();
    assert!(svg.contains("&lt;/text&gt;"), "{svg}");
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        let known = ["svg", "style", "rect", "g", "title", "text", "path", "circle"];
        assert!(known.contains(&node.tag_name().name()), "{}", node.tag_name().name());
        for attribute in node.attributes() {
            assert!(!attribute.name().starts_with("on") && attribute.name() != "href");
        }
    }
    assert!(!svg.contains('\u{202e}'), "{svg}");
    let mermaid = run(["graph", "--format", "mermaid", &session]).out;
    assert!(!mermaid.contains("<script") && !mermaid.contains('\u{202e}'), "{mermaid}");
    let dot = run(["graph", "--format", "dot", &session]).out;
    for line in dot.lines() {
        let quotes = line.replace("\\\\", "").replace("\\\"", "").matches('"').count();
        assert!(quotes % 2 == 0, "{line}");
    }
}
