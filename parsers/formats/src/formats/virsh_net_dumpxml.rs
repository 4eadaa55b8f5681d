//! Networks of libvirt as XML: `virsh net-dumpxml`, `/etc/libvirt/qemu/networks/*.xml`.
//!
//! Source of the format: libvirt `docs/schemas/network.rng`, `src/conf/network_conf.c`
//! (`virNetworkDefFormatBuf`); 0.9 to 11.
//!
//! ```text
//! <network>
//!   <name>default</name>
//!   <forward mode='nat'/>
//!   <bridge name='virbr0' stp='on' delay='0'/>
//!   <ip address='192.168.122.1' netmask='255.255.255.0'>
//!     <dhcp><range start='192.168.122.2' end='192.168.122.254'/></dhcp>
//!   </ip>
//! </network>
//! ```
//!
//! A network without `<forward>` is isolated. The file begins with a comment that it is generated.
use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use roxmltree::Node;
use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::{Fate, Outcome, ProblemKind};
use tapline_core::records::Batch;
use tapline_core::records::libvirt::{Network, NetworkAddress, NetworkLease, NetworkRange};
use tapline_core::request::Request;
use tapline_core::span::{At, Span};

use super::virsh;
use crate::format::{Ends, Format, Per};
use crate::lines::{finish, tool_error};
use crate::xml::{self, Place, TagKind, Tags};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("virsh-net-dumpxml"),
    command: "virsh net-dumpxml NETWORK",
    collect: &[Per::Network.run("virsh -r net-dumpxml {}")],
    claims: |command| {
        let shown = virsh::args_of(command, "net-dumpxml");
        if let Some(args) = shown.or_else(|| virsh::args_of(command, "net-edit")) {
            return Some(Request::default().about(virsh::named_in(args)));
        }
        command.path().is_some_and(is_network_file).then(Request::default)
    },
    sniff: |head| {
        let leads = head.trim_start().starts_with('<');
        let network = Tags::of(head).next().is_some_and(|tag| tag.name == "network");
        if leads && network { 95 } else { 0 }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends {
        // One document.
        begins: |_| false,
        closes: |last| last.trim() == "</network>",
        ..Ends::LINES
    },
};

/// `/etc/libvirt/qemu/networks/NAME.xml`, and the state below `/var/lib/libvirt/network`.
fn is_network_file(path: &str) -> bool {
    path.rsplit_once('/').is_some_and(|(folder, file)| {
        file.strip_suffix(".xml").is_some_and(|rest| !rest.is_empty())
            && (folder.ends_with("etc/libvirt/qemu/networks")
                || folder.ends_with("lib/libvirt/network")
                || folder.ends_with("run/libvirt/network"))
    })
}

/// Reads the whole text: one network after another.
pub(crate) fn parse(text: &str, _: &Command) -> Outcome<Vec<Network>> {
    let mut out = Outcome::default();
    let mut from = 0;
    let mut partial = None;
    while let Some((start, end, closed)) = next_network(text, from) {
        around(text, from..start, &mut out);
        let slice = text.get(start..end).unwrap_or_default();
        let place = Place { text, slice };
        let span = Span::of(text, slice);
        let read = match xml::element(slice) {
            Ok(document) => {
                out.records.push(network(place, document.root_element()));
                true
            }
            Err(broken) => {
                let (kind, why) = if broken.limit {
                    (ProblemKind::Limit, broken.message)
                } else if closed {
                    (ProblemKind::UnreadLine, format!("broken XML: {}", broken.message))
                } else {
                    (ProblemKind::Truncated, "<network> has no closing tag".to_owned())
                };
                out.problem(kind, span, why.clone());
                partial = Some(why);
                false
            }
        };
        for line in slice.lines() {
            let fate = if read { Fate::Read } else { Fate::Unread };
            out.lines.add(if line.trim().is_empty() { Fate::Blank } else { fate });
        }
        from = end;
    }
    around(text, from..text.len(), &mut out);
    out.completeness = match partial {
        Some(why) if out.records.is_empty() => Completeness::Failed(why),
        Some(why) => Completeness::Partial(why),
        None => Completeness::Complete,
    };
    finish(text, &mut out);
    if out.records.is_empty() && !out.completeness.is_failed() {
        out.completeness = Completeness::Failed("there is no network in the text".to_owned());
    }
    out
}

/// Where the next `<network>` stands, and whether it is closed.
fn next_network(text: &str, from: usize) -> Option<(usize, usize, bool)> {
    let rest = text.get(from..)?;
    let mut tags = Tags::of(rest);
    let open = tags.find(|tag| tag.name == "network" && tag.kind != TagKind::Close)?;
    if open.kind == TagKind::Empty {
        return Some((from + open.start, from + open.end, true));
    }
    let close = tags.find(|tag| tag.name == "network" && tag.kind == TagKind::Close);
    Some((from + open.start, close.map_or(text.len(), |tag| from + tag.end), close.is_some()))
}

/// The text between networks: comments, prompts, complaints, elements around them.
fn around(text: &str, range: std::ops::Range<usize>, out: &mut Outcome<Vec<Network>>) {
    let mut in_comment = false;
    // What shares its line with a network is counted with it.
    let after = usize::from(range.start > 0);
    let part = text.get(range).unwrap_or_default();
    let shared = usize::from(!part.ends_with('\n') && !part.is_empty());
    let lines: Vec<&str> = part.lines().collect();
    let last = lines.len().saturating_sub(if out.lines.total == 0 || !part.contains('\n') {
        0
    } else {
        shared
    });
    for (number, line) in lines.iter().enumerate() {
        let line = line.trim();
        if line.is_empty() {
            if number >= after && number < last {
                out.lines.add(Fate::Blank);
            }
            continue;
        }
        in_comment |= line.starts_with("<!--");
        let nothing = in_comment
            || line.starts_with("<?xml")
            || matches!(line, "<networkstatus>" | "</networkstatus>")
            || line.starts_with("<class_id ")
            || line.starts_with("<floor ")
            || virsh::prompt(line).is_some()
            || virsh::is_decoration(line);
        in_comment &= !line.contains("-->");
        if nothing {
            out.lines.add(Fate::Ignored);
        } else if let Some(reason) = tool_error(line) {
            out.problem(ProblemKind::ToolError, Span::of(text, line), reason);
            out.lines.add(Fate::Ignored);
        } else {
            let what = "text outside of the network";
            out.problem(ProblemKind::UnreadLine, Span::of(text, line), what);
            out.lines.add(Fate::Unread);
        }
    }
}

fn network(place: Place<'_>, root: Node<'_, '_>) -> Network {
    let mut network = Network { at: place.span(root.range()), ..Network::default() };
    for node in root.children().filter(Node::is_element) {
        match node.tag_name().name() {
            "name" => network.name = content(place, node),
            "uuid" => network.uuid = content(place, node),
            "forward" => {
                network.forward = Some(attribute(place, node, "mode").unwrap_or_else(|| {
                    // The mode that libvirt takes where none is given.
                    At::new(Name::const_new("nat"), place.tag(node))
                }));
                network.forward_dev = attribute(place, node, "dev").or_else(|| {
                    let mut inner = node.children().filter(|child| child.has_tag_name("interface"));
                    inner.find_map(|inner| attribute(place, inner, "dev"))
                });
            }
            "bridge" => {
                network.bridge = attribute(place, node, "name");
                network.stp = node.attribute("stp").map(|attribute| attribute == "on");
            }
            "mac" => network.mac = parsed(place, node, "address"),
            "mtu" => network.mtu = parsed(place, node, "size"),
            "virtualport" => network.virtualport = attribute(place, node, "type"),
            "vlan" => {
                let tags = node.children().filter(|child| child.has_tag_name("tag"));
                network.vlans.extend(tags.filter_map(|tag| parsed(place, tag, "id")));
            }
            "portgroup" => network.portgroups.extend(attribute(place, node, "name")),
            "ip" => network.addresses.extend(address(place, node)),
            _ => {}
        }
    }
    network
}

/// `<ip address='…' netmask='…'>` with its DHCP ranges and fixed leases.
fn address(place: Place<'_>, node: Node<'_, '_>) -> Option<NetworkAddress> {
    let ip: At<IpAddr> = parsed(place, node, "address")?;
    let mask = node.attribute("netmask").and_then(|attribute| attribute.parse::<Ipv4Addr>().ok());
    let mask = mask.and_then(|mask| Ipv4Net::with_netmask(Ipv4Addr::UNSPECIFIED, mask).ok());
    let prefix = node.attribute("prefix").and_then(|attribute| attribute.parse().ok());
    let mut found = NetworkAddress {
        at: place.tag(node),
        ip: ip.value,
        prefix: prefix.or(mask.map(|net| net.prefix_len())),
        ranges: Vec::new(),
        leases: Vec::new(),
    };
    for dhcp in node.children().filter(|child| child.has_tag_name("dhcp")) {
        for entry in dhcp.children().filter(Node::is_element) {
            let at = place.tag(entry);
            let ip = |name| entry.attribute(name).and_then(|attribute| attribute.parse().ok());
            match (entry.tag_name().name(), ip("start"), ip("end"), ip("ip")) {
                ("range", Some(start), Some(end), _) => {
                    found.ranges.push(NetworkRange { at, start, end });
                }
                ("host", _, _, Some(ip)) => found.leases.push(NetworkLease {
                    at,
                    mac: entry.attribute("mac").and_then(|attribute| attribute.parse().ok()),
                    name: entry.attribute("name").map(Name::from),
                    ip,
                }),
                _ => {}
            }
        }
    }
    Some(found)
}

fn content(place: Place<'_>, node: Node<'_, '_>) -> Option<At<Name>> {
    place.text(node).map(|(value, span)| At::new(value.into(), span))
}

fn attribute(place: Place<'_>, node: Node<'_, '_>, name: &str) -> Option<At<Name>> {
    node.attribute_node(name).map(|node| At::new(node.value().into(), place.value(&node)))
}

fn parsed<T: std::str::FromStr>(place: Place<'_>, node: Node<'_, '_>, name: &str) -> Option<At<T>> {
    let attribute = node.attribute_node(name)?;
    Some(At::new(attribute.value().parse().ok()?, place.value(&attribute)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAT: &str = "\
<!--
WARNING: THIS IS AN AUTO-GENERATED FILE.
-->
<network connections='1'>
  <name>default</name>
  <uuid>9a05da11-e96b-47f3-8253-a3a482e445f5</uuid>
  <forward mode='nat'>
    <nat><port start='1024' end='65535'/></nat>
  </forward>
  <bridge name='virbr7' stp='on' delay='0'/>
  <mtu size='1400'/>
  <mac address='52:54:00:0a:cd:21'/>
  <ip address='192.0.2.1' netmask='255.255.255.0'>
    <dhcp>
      <range start='192.0.2.2' end='192.0.2.254'/>
      <host mac='52:54:00:00:00:07' name='a' ip='192.0.2.7'/>
    </dhcp>
  </ip>
  <ip family='ipv6' address='2001:db8::1' prefix='64'/>
</network>
";

    fn read(text: &str) -> Outcome<Vec<Network>> {
        parse(text, &Command::new("virsh net-dumpxml default"))
    }

    #[test]
    fn a_network_has_its_bridge_and_addresses() {
        let out = read(NAT);
        assert_eq!(out.problems, []);
        assert!(out.completeness.is_complete());
        assert_eq!(out.lines.read + out.lines.ignored, out.lines.total);
        let [network] = out.records.as_slice() else { panic!("{out:?}") };
        assert_eq!(network.name.as_ref().unwrap().as_str(), "default");
        assert_eq!(network.bridge.as_ref().unwrap().as_str(), "virbr7");
        assert_eq!(network.forward.as_ref().unwrap().as_str(), "nat");
        assert_eq!(network.mtu.as_ref().unwrap().value, 1400);
        let [four, six] = network.addresses.as_slice() else { panic!() };
        assert_eq!((four.prefix, four.ranges.len(), four.leases.len()), (Some(24), 1, 1));
        assert_eq!(six.prefix, Some(64));
    }

    #[test]
    fn several_networks_and_modes() {
        let text = "<network><name>a</name><bridge name='br0'/></network>\n\n<network>\n<name>b</name>\n\
                    <forward dev='eth0' mode='route'><interface dev='eth0'/></forward>\n\
                    <virtualport type='openvswitch'/>\n<vlan trunk='yes'><tag id='5'/><tag id='6'/></vlan>\n</network>\n";
        let out = read(text);
        assert_eq!(out.problems, []);
        let [a, b] = out.records.as_slice() else { panic!("{out:?}") };
        assert_eq!(a.forward, None);
        assert_eq!(b.forward_dev.as_ref().unwrap().as_str(), "eth0");
        assert_eq!(b.vlans.iter().map(|vlan| vlan.value).collect::<Vec<u16>>(), [5, 6]);
    }

    #[test]
    fn what_is_broken_is_told() {
        // What `virsh net-edit` says when its editor is left.
        let unchanged = read("Network router XML configuration not changed.\n");
        assert!(unchanged.completeness.is_failed() && unchanged.lines.unread == 0);
        for text in [
            "<network>\n  <name>a</name>\n",
            "<network><name>a</nam></network>\n",
            "error: failed to get network 'x'\n",
            "<domain type='kvm'><name>a</name></domain>\n",
            "",
        ] {
            let out = read(text);
            assert!(out.completeness.is_failed() && out.records.is_empty(), "{text}{out:?}");
        }
    }
}
