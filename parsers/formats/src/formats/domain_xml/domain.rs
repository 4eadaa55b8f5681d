//! One `<domain>`, whole or broken.
use roxmltree::{Document, Node};
use tapline_core::outcome::{Problem, ProblemKind};
use tapline_core::records::Field;
use tapline_core::records::libvirt::Domain;
use tapline_core::span::{At, Span};

use super::interface::{self, pci_address};
use crate::xml::{self, Place, TagKind, Tags};

/// The namespace of nova's metadata, up to its version.
const NOVA: &str = "http://openstack.org/xmlns/libvirt/nova/";

/// Levels of elements that metadata may have.
const DEPTH: usize = 8;

/// Reads `<domain>`, or the `<domstatus>` around it.
///
/// `None` where a `<domstatus>` holds no domain.
pub(super) fn read(
    place: Place<'_>,
    root: Node<'_, '_>,
    problems: &mut Vec<Problem>,
) -> Option<Domain> {
    let mut record = Domain::default();
    let node = opening(place, root, &mut record, problems)?;
    stray_text(place, node, problems);
    for child in node.children().filter(Node::is_element) {
        match child.tag_name().name() {
            "name" => record.name = text(place, child),
            "uuid" => record.uuid = text(place, child),
            "metadata" => {
                let mut all = child.descendants();
                if let Some(instance) = all.find(|it| is_nova(*it)) {
                    nova(place, instance, &mut record);
                }
            }
            "devices" => {
                stray_text(place, child, problems);
                for device in child.children().filter(Node::is_element) {
                    add_device(place, device, &mut record, problems);
                }
            }
            _ => {}
        }
    }
    Some(record)
}

/// Reads what is whole in a broken domain. Spans of what was read go to `whole`.
///
/// `None` where nothing can be read.
pub(super) fn salvage(
    place: Place<'_>,
    problems: &mut Vec<Problem>,
    whole: &mut Vec<Span>,
) -> Option<Domain> {
    let mut record = Domain::default();
    let mut found = false;
    let mut in_domain = false;
    let mut in_devices = false;
    let mut begun: Option<(&str, usize)> = None;
    for tag in Tags::of(place.slice) {
        let is_open = tag.kind == TagKind::Open;
        match tag.name {
            "domain" | "domstatus" if is_open => {
                in_domain |= tag.name == "domain";
                let slice = place.slice.get(tag.start..tag.end).unwrap_or_default();
                let inner = Place { text: place.text, slice };
                // As an empty element; the offsets stay what they are.
                let alone = slice.strip_suffix('>').map(|rest| format!("{rest}/>"));
                if let Some(Ok(document)) = alone.as_deref().map(xml::element) {
                    attributes(inner, document.root_element(), &mut record, problems);
                    record.at = Span::of(place.text, slice);
                    whole.push(record.at);
                }
                continue;
            }
            "devices" if is_open => in_devices = true,
            _ => {}
        }
        let wanted = match tag.name {
            "name" | "uuid" => in_domain && !in_devices,
            "interface" | "hostdev" => in_devices,
            name => name.ends_with(":instance"),
        };
        let slice = match (tag.kind, begun) {
            (TagKind::Empty, _) if wanted => place.slice.get(tag.start..tag.end),
            (TagKind::Open, _) if wanted => {
                begun = Some((tag.name, tag.start));
                continue;
            }
            (TagKind::Close, Some((name, start))) if name == tag.name => {
                begun = None;
                place.slice.get(start..tag.end)
            }
            _ => continue,
        };
        let Some((slice, document)) =
            slice.and_then(|slice| Some((slice, xml::element(slice).ok()?)))
        else {
            continue;
        };
        found |= take(Place { text: place.text, slice }, &document, &mut record, problems);
        whole.push(Span::of(place.text, slice));
    }
    found.then_some(record)
}

/// Adds one whole element of a broken domain. Whether it says anything.
fn take(
    place: Place<'_>,
    document: &Document<'_>,
    record: &mut Domain,
    problems: &mut Vec<Problem>,
) -> bool {
    let root = document.root_element();
    match root.tag_name().name() {
        "name" if record.name.is_none() => record.name = text(place, root),
        "uuid" if record.uuid.is_none() => record.uuid = text(place, root),
        "interface" | "hostdev" => add_device(place, root, record, problems),
        _ if is_nova(root) => nova(place, root, record),
        _ => return false,
    }
    true
}

/// Reads the attributes of the root; gives the `<domain>`.
fn opening<'n, 'd>(
    place: Place<'_>,
    root: Node<'n, 'd>,
    record: &mut Domain,
    problems: &mut Vec<Problem>,
) -> Option<Node<'n, 'd>> {
    attributes(place, root, record, problems);
    record.at = place.tag(root);
    if root.tag_name().name() == "domain" {
        return Some(root);
    }
    let node = root.children().find(|child| child.tag_name().name() == "domain");
    if let Some(node) = node {
        attributes(place, node, record, problems);
        record.at = place.tag(node);
    } else {
        let what = "<domstatus> holds no <domain>";
        problems.push(problem(ProblemKind::UnreadLine, record.at, what));
    }
    node
}

/// The attributes of `<domain>` and `<domstatus>`.
fn attributes(
    place: Place<'_>,
    node: Node<'_, '_>,
    record: &mut Domain,
    problems: &mut Vec<Problem>,
) {
    let is_status = node.tag_name().name() == "domstatus";
    record.live |= is_status;
    for attribute in node.attributes() {
        let (value, span) = (attribute.value(), place.value(&attribute));
        let mut number = |what| match value.parse() {
            Ok(number) => Some(At::new(number, span)),
            Err(_) => {
                problems.push(problem(ProblemKind::BadValue, span, what));
                None
            }
        };
        match (is_status, attribute.name()) {
            (true, "state") => record.state = Some(At::new(value.into(), span)),
            (true, "pid") => {
                record.pid = number("expected a process id").map(|number| number.value);
            }
            (false, "type") => record.hypervisor = Some(value.into()),
            (false, "id") => {
                record.id = number("expected the id of a running domain");
                record.live = true;
            }
            _ => {}
        }
    }
}

/// A device: interfaces and passed-through PCI devices matter here.
fn add_device(
    place: Place<'_>,
    device: Node<'_, '_>,
    record: &mut Domain,
    problems: &mut Vec<Problem>,
) {
    match device.tag_name().name() {
        "interface" => record.nics.push(interface::read(place, device, problems)),
        "hostdev" if device.attribute("type") == Some("pci") => {
            let source = device.children().find(|child| child.tag_name().name() == "source");
            let mut inner = source.into_iter().flat_map(|source| source.children());
            let Some(address) = inner.find(|inner| inner.tag_name().name() == "address") else {
                return;
            };
            match pci_address(address) {
                Some(pci) => record.hostdevs.push(At::new(pci, place.span(address.range()))),
                None => problems.push(problem(
                    ProblemKind::BadValue,
                    place.span(address.range()),
                    "expected a PCI address",
                )),
            }
        }
        _ => {}
    }
}

/// Whether this is nova's description of the instance; the prefix is free.
fn is_nova(node: Node<'_, '_>) -> bool {
    let tag = node.tag_name();
    tag.name() == "instance" && tag.namespace().is_some_and(|namespace| namespace.starts_with(NOVA))
}

/// Reads nova's description of the instance.
fn nova(place: Place<'_>, instance: Node<'_, '_>, record: &mut Domain) {
    for child in instance.children().filter(Node::is_element) {
        if child.tag_name().name() == "name" && record.nova_name.is_none() {
            record.nova_name = text(place, child);
        } else {
            flatten(place, child, "", DEPTH, &mut record.nova);
        }
    }
}

/// Values of an element and of those in it, by their path: `flavor/@name`, `flavor/memory`.
fn flatten(place: Place<'_>, node: Node<'_, '_>, above: &str, depth: usize, to: &mut Vec<Field>) {
    let path = match above {
        "" => node.tag_name().name().to_owned(),
        above => format!("{above}/{}", node.tag_name().name()),
    };
    for attribute in node.attributes() {
        let value = At::new(attribute.value().into(), place.value(&attribute));
        to.push(Field { key: format!("{path}/@{}", attribute.name()).into(), value });
    }
    if let Some(value) = text(place, node) {
        to.push(Field { key: path.as_str().into(), value });
    }
    if depth > 0 {
        for child in node.children().filter(Node::is_element) {
            flatten(place, child, &path, depth - 1, to);
        }
    }
}

/// The text of an element.
fn text(place: Place<'_>, node: Node<'_, '_>) -> Option<At<tapline_core::Name>> {
    place.text(node).map(|(value, span)| At::new(value.into(), span))
}

/// Text where only elements belong: something was left out, or written in between.
pub(super) fn stray_text(place: Place<'_>, node: Node<'_, '_>, problems: &mut Vec<Problem>) {
    for child in node.children().filter(Node::is_text) {
        let raw = place.slice.get(child.range()).unwrap_or_default().trim();
        if !raw.is_empty() {
            let elided = raw.trim_matches(['.', '…', '[', ']', ' ']).is_empty();
            let (kind, what) = if elided {
                (ProblemKind::Truncated, "part of the domain was left out")
            } else {
                // libvirt passes over such text: a template that was not filled in.
                (ProblemKind::TrailingText, "text between the elements of the domain")
            };
            problems.push(problem(kind, Span::of(place.text, raw), what));
        }
    }
}

/// A problem.
pub(super) fn problem(kind: ProblemKind, span: Span, message: impl Into<String>) -> Problem {
    Problem { kind, message: message.into(), span }
}
