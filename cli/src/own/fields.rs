//! The fields that a condition may ask for.
use tapline_topology::Topic;

/// Fields of every node.
pub(super) const COMMON: &[&str] = &["kind", "name", "host", "netns"];

/// Each kind of node that a rule may be about, with its own fields: those of `tapline graph
/// --format json`, with `_` for `-`.
pub(super) static KINDS: &[(&str, &[&str])] = &[
    ("address", &["ip", "prefix"]),
    ("host", &["kernel", "system_id"]),
    (
        "netdev",
        &[
            "type",
            "index",
            "state",
            "mtu",
            "mac",
            "master",
            "captured",
            "addresses",
            "flags",
            "admin_up",
            "carrier",
            "usable",
        ],
    ),
    ("netns", &["nsid", "captured"]),
    ("ovs-bridge", &["fail_mode", "datapath_type", "controllers"]),
    (
        "ovs-interface",
        &["bridge", "type", "error", "ofport", "peer", "local_ip", "remote_ip", "key"],
    ),
    ("ovs-port", &["bridge", "tag", "trunks", "vlan_mode"]),
    ("route-table", &["routes"]),
    ("tunnel-endpoint", &["type", "local", "remote", "dst_port", "key"]),
    ("vm", &["state", "nova_name", "uuid", "id"]),
    ("vm-nic", &["mac", "target", "bridge", "interface_id", "type"]),
];

/// The fields of a kind.
pub(super) fn of(kind: &str) -> &'static [&'static str] {
    KINDS.iter().find(|it| it.0 == kind).map_or(&[], |kind| kind.1)
}

/// What has to be captured for a field of this kind to be known not to be there.
pub(super) fn topics(kind: &str) -> &'static [Topic] {
    match kind {
        "address" => &[Topic::Addresses],
        "netdev" => &[Topic::Links, Topic::LinkDetails, Topic::Addresses],
        "netns" => &[Topic::NetnsList],
        "ovs-bridge" => &[Topic::Ovs],
        "ovs-interface" | "tunnel-endpoint" => &[Topic::Ovs, Topic::OvsInterfaces],
        "ovs-port" => &[Topic::Ovs],
        "route-table" => &[Topic::AllRoutes],
        "vm" => &[Topic::Domains],
        "vm-nic" => &[Topic::DomainXml],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::snapshot;
    use crate::render::node::attributes;

    #[test]
    fn every_attribute_is_a_field() {
        let show = "4ece5774-21aa-4ff6-8e7e-343983396eee\n    Bridge br-int\n        \
            fail_mode: secure\n        Port \"vxlan-1\"\n            tag: 7\n            \
            Interface \"vxlan-1\"\n                type: vxlan\n                \
            options: {key=flow, local_ip=\"192.0.2.1\", remote_ip=\"192.0.2.2\"}\n";
        let link = "2: eth0: <UP> mtu 1500 qdisc mq master br0 state UP qlen 1000\n    \
            link/ether 52:54:00:aa:bb:01 brd ff:ff:ff:ff:ff:ff\n    inet 192.0.2.1/24 scope global \
            eth0\n";
        let snapshot = snapshot(&[("a", "ovs-vsctl show", show), ("b", "ip -d address", link)]);
        let topology = tapline_topology::build(&snapshot);
        let mut seen = 0;
        for (id, node) in topology.nodes() {
            for (name, _) in attributes(&topology, id) {
                let known = of(node.data.kind()).contains(&name.replace('-', "_").as_str());
                assert!(known || node.data.kind() == "remote-host", "{} {name}", node.data.kind());
                seen += 1;
            }
        }
        assert!(seen > 10, "{seen}");
    }
}
