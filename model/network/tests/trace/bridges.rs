//! Frames on Linux bridges: addresses, what was learnt, settings of ports, VLANs.
use super::common::{BRIDGE, port};
use super::{FILTER, ask, two_on_a_bridge};

/// The MAC of the device in the second namespace, behind the port `vb`.
const FAR: &str = "02:00:00:00:0b:01";
/// A MAC that nobody has.
const OTHER: &str = "02:00:00:00:00:99";

/// What becomes of an echo request that comes into the bridge by the port `va`, and the hop where it
/// goes on or ends. The session is `text` with `more` behind.
fn crosses(text: &str, more: &str, to: &str, vlan: Option<u16>) -> (String, String) {
    let text = text.replace(
        "root@h1:~# ip netns exec a ip -d address\n",
        &format!("{more}root@h1:~# ip netns exec a ip -d address\n"),
    );
    let way = ask(&text, "if:va", "ns:b", |question| {
        let tag = vlan.map(|vlan| format!(",dl_vlan={vlan}")).unwrap_or_default();
        question.packet = Some(format!(
            "icmp,dl_src=02:00:00:00:0a:01,dl_dst={to}{tag},nw_src=192.0.2.1,nw_dst=192.0.2.2,\
             icmp_type=8,icmp_code=0"
        ));
    });
    let crossed = way.iter().find_map(|hop| hop.strip_prefix("linux-bridge "));
    let said = way.first().cloned().unwrap_or_default();
    (said, crossed.unwrap_or_default().to_owned())
}

/// The bridge with another text for its port `vb`.
fn with_port(options: &str) -> String {
    two_on_a_bridge(&port("forwarding").replace("cost 100", &format!("cost 100 {options}")))
}

#[test]
fn addresses_decide_where_a_bridge_passes_a_frame() {
    let text = two_on_a_bridge(&port("forwarding"));
    for (to, verdict, crossed) in [
        (FAR, "yes: delivered", "va > vb"),
        ("ff:ff:ff:ff:ff:ff", "yes: delivered", "va > vb"),
        // What is reserved passes as masks say, which the text does not print; pauses never do.
        ("01:80:c2:00:00:00", "unknown: unknown reserved-mac", "va > vb"),
        ("01:80:c2:00:00:01", "no: blackholed reserved-mac", ""),
        ("01:80:c2:00:00:0e", "unknown: unknown reserved-mac", "va > vb"),
        ("01:80:c2:00:00:10", "yes: delivered", "va > vb"),
        // The bridge's own, and those of its ports, go up into the host: what it does with the
        // one was not captured, and the other is not the address of the device that it comes from.
        ("52:54:00:00:01:02", "unknown", "va > br0"),
        ("52:54:00:00:01:04", "no: ", "va > br0"),
    ] {
        let (said, hop) = crosses(&text, "", to, None);
        assert!(said.starts_with(verdict), "{to}: {said}");
        assert_eq!(hop, crossed, "{to}");
    }
}

#[test]
fn masks_say_which_reserved_addresses_pass() {
    // Those of the port `va` and of the bridge, and whether spanning tree runs.
    let (group, lldp) = ("01:80:c2:00:00:00", "01:80:c2:00:00:0e");
    let lacp = "01:80:c2:00:00:02";
    for (stp, of_port, of_bridge, to, passes) in [
        (1, "0x0", "0", group, false),
        (0, "0x0", "0", group, true),
        (1, "0x1", "0", group, true),
        // The mask of the bridge counts for the others alone, which spanning tree has no part in.
        (1, "0x0", "0x1", group, false),
        (0, "0x0", "0", lldp, false),
        (0, "0x0", "0x4000", lldp, true),
        (0, "0x4000", "0", lldp, true),
        (1, "0x0", "0x4000", lacp, false),
        (1, "0x4", "0", lacp, true),
        (0, "0xffff", "0xffff", "01:80:c2:00:00:01", false),
    ] {
        let bridge = BRIDGE
            .replace("stp_state 1", &format!("stp_state {stp}"))
            .replace("vlan_filtering", &format!("group_fwd_mask {of_bridge} vlan_filtering"));
        let text = two_on_a_bridge(&port("forwarding")).replace(BRIDGE, &bridge);
        let masked = format!("cost 100 group_fwd_mask {of_port}\n");
        let text = text.replacen("cost 100\n", &masked, 1);
        let (said, _) = crosses(&text, "", to, None);
        let expected = if passes { "yes: delivered" } else { "no: blackholed reserved-mac" };
        assert!(said.starts_with(expected), "{stp} {of_port} {of_bridge} {to}: {said}");
    }
}

#[test]
fn forwarding_tables_say_where_a_frame_goes() {
    let text = two_on_a_bridge(&port("forwarding"));
    let hairpin = text.replacen("cost 100", "cost 100 hairpin on", 1);
    let fdb =
        |netns: &str, entry: &str| format!("root@h1:~# {netns}bridge fdb show\n{OTHER} {entry}\n");
    for (text, more, crossed) in [
        (&text, fdb("", "dev br0 master br0 permanent"), "va > br0"),
        (&text, fdb("", "dev vb vlan 1 master br0 permanent"), "va > br0"),
        // An entry of the device is none of the bridge, and each bridge has its own table.
        (&text, fdb("", "dev vb self permanent"), "va > vb"),
        (&text, fdb("", "dev vb master br9 permanent"), "va > vb"),
        (&text, fdb("ip netns exec a ", "dev br0 master br0 permanent"), "va > vb"),
        (&text, fdb("", "dev vb master br0"), "va > vb"),
        (&text, fdb("", "dev va master br0"), "no: blackholed fdb-points-back"),
        (&text, fdb("", "dev va master br9"), "va > vb"),
        (&text, fdb("ip netns exec a ", "dev va master br0"), "va > vb"),
        (&hairpin, fdb("", "dev va master br0"), "va > va"),
    ] {
        let (said, hop) = crosses(text, &more, OTHER, None);
        let found = if hop.is_empty() { &said } else { &hop };
        assert!(found.starts_with(crossed), "{more}: {said} {hop}");
    }
}

#[test]
fn settings_of_a_port_keep_floods_from_it() {
    let (all, group) = ("ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:05");
    let learnt = format!("root@h1:~# bridge fdb show\n{FAR} dev vb master br0\n");
    for (options, more, to, arrives) in [
        ("flood on", "", FAR, true),
        ("flood off", "", FAR, false),
        ("flood off", learnt.as_str(), FAR, true),
        ("flood off", "", all, true),
        ("flood off", "", group, true),
        ("mcast_flood off", "", FAR, true),
        ("mcast_flood off", "", group, false),
        ("mcast_flood off", "", all, true),
        ("bcast_flood off", "", all, false),
        ("bcast_flood off", "", group, true),
        ("isolated on", "", FAR, true),
    ] {
        let (said, _) = crosses(&with_port(options), more, to, None);
        assert_eq!(said.starts_with("yes: delivered"), arrives, "{options} {more} {to}: {said}");
    }
    let isolated = with_port("isolated on").replacen("cost 100\n", "cost 100 isolated on\n", 1);
    let (said, _) = crosses(&isolated, "", FAR, None);
    assert!(said.starts_with("no: blackholed"), "{said}");
}

#[test]
fn groups_reach_ports_that_get_no_floods_where_somebody_asks_for_them() {
    // The port gets none; what the host does with its own copy was not captured.
    const HOST: &str = "unknown: unknown not-captured";
    let (all, local) = ("33:33:00:00:00:01", "01:00:5e:00:00:05");
    let (group, other) = ("33:33:ff:00:00:02", "01:00:5e:01:02:03");
    for (snooping, to, expected) in [
        ("mcast_snooping 0 ", group, HOST),
        ("mcast_snooping 1 ", group, "unknown: unknown mcast-flood-off"),
        ("", group, "unknown: unknown mcast-flood-off"),
        ("mcast_snooping 0 ", other, HOST),
        ("mcast_snooping 1 ", other, "unknown: unknown mcast-flood-off"),
        // Groups that everybody is in are flooded whatever is snooped, and so is what is no IP.
        ("mcast_snooping 1 ", all, HOST),
        ("mcast_snooping 1 ", local, HOST),
        ("mcast_snooping 1 ", "01:1b:19:00:00:00", HOST),
    ] {
        let bridge = BRIDGE.replace("vlan_filtering", &format!("{snooping}vlan_filtering"));
        let text = with_port("mcast_flood off").replace(BRIDGE, &bridge);
        let (said, _) = crosses(&text, "", to, None);
        assert!(said.starts_with(expected), "{snooping}{to}: {said}");
    }
}

/// The two namespaces with addresses of IPv6 alone.
fn with_six(text: &str) -> String {
    let filter = FILTER.replace("iptables-save", "ip6tables-save");
    let filters = ["a", "b"]
        .map(|netns| format!("root@h1:~# ip netns exec {netns} ip6tables-save\n{filter}"));
    let mut text = text
        .replace("-iptables = 0\n", "-iptables = 0\nnet.bridge.bridge-nf-call-ip6tables = 0\n")
        .replace(
            "root@h1:~# ip netns exec b sysctl",
            &format!("{}root@h1:~# ip netns exec b sysctl", filters.concat()),
        );
    for at in [1, 2] {
        text = text
            .replace(
                &format!("inet 192.0.2.{at}/24 brd 192.0.2.255 scope global eth0"),
                &format!("inet6 2001:db8::{at}/64 scope global nodad"),
            )
            .replace(
                &format!("192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.{at} \n"),
                &format!(
                    "2001:db8::/64 dev eth0 proto kernel metric 256 pref medium\nlocal 2001:db8::{at} dev eth0 \
                     table local proto kernel metric 0 pref medium\n"
                ),
            );
    }
    text
}

#[test]
fn neighbour_discovery_is_sent_to_a_group() {
    for (snooping, options, expected) in [
        ("mcast_snooping 1 ", "mcast_flood on", "yes: delivered"),
        ("mcast_snooping 0 ", "mcast_flood off", "no: rejected"),
        ("mcast_snooping 1 ", "mcast_flood off", "unknown: unknown mcast-flood-off"),
        ("mcast_snooping 1 ", "bcast_flood off", "yes: delivered"),
    ] {
        let bridge = BRIDGE.replace("vlan_filtering", &format!("{snooping}vlan_filtering"));
        let text = with_six(&with_port(options).replace(BRIDGE, &bridge));
        let way = ask(&text, "ns:a", "ip:2001:db8::2", |_| {});
        assert!(way[0].starts_with(expected), "{snooping}{options}: {way:#?}");
    }
}

#[test]
fn filters_of_ipv6_are_known_by_their_own_texts() {
    let whole = with_six(&two_on_a_bridge(&port("forwarding")));
    let way = ask(&whole, "ns:a", "ip:2001:db8::2", |_| {});
    assert!(way[0].starts_with("yes: delivered"), "{way:#?}");
    // Those of IPv4, and of the other namespace, say nothing.
    for netns in ["a", "b"] {
        let command = format!("root@h1:~# ip netns exec {netns} ip6tables-save\n");
        let at = whole.find(&command).unwrap();
        let (before, after) = whole.split_at(at);
        let (_, behind) = after.split_once("COMMIT\n").unwrap();
        let way = ask(&format!("{before}{behind}"), "ns:a", "ip:2001:db8::2", |_| {});
        assert!(way[0].starts_with("unknown: unknown not-captured"), "without {netns}: {way:#?}");
    }
}

#[test]
fn bridges_that_tell_vlans_apart_pass_members() {
    let text = two_on_a_bridge(&port("forwarding"))
        .replace(BRIDGE, &BRIDGE.replace("vlan_filtering 0", "vlan_filtering 1"));
    let own = "10 PVID Egress Untagged";
    for (va, vb, more, vlan, expected) in [
        (own, own, "", None, "yes: delivered"),
        (own, "20 PVID Egress Untagged", "", None, "no: "),
        // With its tag no address of the namespace takes it.
        (own, "10", "", None, "no: "),
        (own, own, "", Some(10), "yes: delivered"),
        (own, own, "", Some(20), "no: blackholed bridge-vlan-not-member"),
        ("10", own, "", None, "no: blackholed bridge-vlan-not-member"),
        ("10", own, "", Some(10), "yes: delivered"),
        ("10-20", "15 PVID Egress Untagged", "", Some(15), "yes: delivered"),
        // What was learnt counts in its own VLAN.
        (own, own, "vlan 10 ", None, "no: blackholed fdb-points-back"),
        (own, own, "vlan 20 ", None, "yes: delivered"),
    ] {
        let fdb = format!("{FAR} dev va {more}master br0\n");
        let vlans = format!(
            "root@h1:~# bridge vlan show\nport              vlan-id\nbr0               10 PVID Egress \
             Untagged\nva                {va}\nvb                {vb}\nroot@h1:~# bridge fdb show\n{}",
            if more.is_empty() { "" } else { &fdb }
        );
        let (said, _) = crosses(&text, &vlans, FAR, vlan);
        assert!(said.starts_with(expected), "{va} | {vb} | {more} | {vlan:?}: {said}");
    }
    // Without a list nothing is known.
    let (said, _) = crosses(&text, "", FAR, None);
    assert!(said.starts_with("unknown"), "{said}");
}

#[test]
fn the_host_hears_a_bridge_in_its_own_vlans() {
    let text = two_on_a_bridge(&port("forwarding"))
        .replace(BRIDGE, &BRIDGE.replace("vlan_filtering 0", "vlan_filtering 1"));
    let own = "52:54:00:00:01:02";
    for (br0, verdict, crossed) in [
        ("10 PVID Egress Untagged", "unknown", "va > br0"),
        ("10", "no: ", "va > br0 vlan:  > 10"),
        ("20 PVID Egress Untagged", "no: blackholed bridge-vlan-not-member", ""),
    ] {
        let vlans = format!(
            "root@h1:~# bridge vlan show\nport              vlan-id\nbr0               {br0}\nva                10 \
             PVID Egress Untagged\nvb                10 PVID Egress Untagged\n"
        );
        let (said, hop) = crosses(&text, &vlans, own, None);
        assert!(said.starts_with(verdict), "{br0}: {said}");
        assert_eq!(hop, crossed, "{br0}");
    }
}
