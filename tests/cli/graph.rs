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
    let tap =
        "system-id:4ece5774-21aa-4ff6-8e7e-343983396eee/netdev/root/tap85bcbfb0-bc".to_owned();
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
    assert!(dot.contains("subgraph cluster_0 {\n    label=\"node2\""), "{dot}");
    assert_eq!(dot.matches('{').count(), dot.matches('}').count());
    let mermaid = run(["graph", "--format", "mermaid", &node2()]).out;
    assert!(mermaid.starts_with("flowchart LR\n  subgraph h0[\"node2\"]"), "{mermaid}");
    assert_eq!(
        mermaid.matches("subgraph").count(),
        mermaid.lines().filter(|line| line.trim() == "end").count()
    );
}
