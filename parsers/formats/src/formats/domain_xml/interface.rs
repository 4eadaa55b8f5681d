//! One `<interface>` of a domain.
use roxmltree::{Attribute, Node};
use tapline_core::Name;
use tapline_core::outcome::{Problem, ProblemKind};
use tapline_core::records::Field;
use tapline_core::records::libvirt::DomainNic;
use tapline_core::span::{At, Span};

use super::domain::{problem, stray_text};
use crate::xml::Place;

/// Levels of elements that are looked into.
const DEPTH: usize = 8;

/// Reads an `<interface>`. What no field holds goes to `other`.
pub(super) fn read(place: Place<'_>, node: Node<'_, '_>, problems: &mut Vec<Problem>) -> DomainNic {
    let mut nic = DomainNic { at: place.span(node.range()), ..DomainNic::default() };
    match node.attribute_node("type") {
        Some(kind) => nic.kind = At::new(kind.value().into(), place.value(&kind)),
        None => {
            nic.kind.span = place.tag(node);
            let what = "expected the type of the interface";
            problems.push(problem(ProblemKind::BadValue, nic.kind.span, what));
        }
    }
    let mut reader = Reader { place, nic, problems };
    for attribute in node.attributes().filter(|attribute| attribute.name() != "type") {
        let (value, span) = (attribute.value(), place.value(&attribute));
        reader.keep(format!("@{}", attribute.name()), value, span);
    }
    stray_text(place, node, reader.problems);
    for child in node.children().filter(Node::is_element) {
        reader.child(child, "", DEPTH);
    }
    reader.nic
}

/// `0000:00:03.0` of the attributes `domain`, `bus`, `slot` and `function`.
pub(super) fn pci_address(node: Node<'_, '_>) -> Option<Name> {
    let part = |name, absent: Option<u32>| match node.attribute(name) {
        None => absent,
        Some(value) => match value.strip_prefix("0x").or_else(|| value.strip_prefix("0X")) {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => value.parse().ok(),
        },
    };
    let (domain, bus) = (part("domain", Some(0))?, part("bus", None)?);
    let (slot, function) = (part("slot", None)?, part("function", Some(0))?);
    Some(format!("{domain:04x}:{bus:02x}:{slot:02x}.{function:x}").into())
}

struct Reader<'t, 'p> {
    place: Place<'t>,
    nic: DomainNic,
    problems: &'p mut Vec<Problem>,
}

impl Reader<'_, '_> {
    /// Reads an element below `above`, which is a path that ends with a slash, or empty.
    fn child(&mut self, node: Node<'_, '_>, above: &str, depth: usize) {
        let path = format!("{above}{}", node.tag_name().name());
        let is_pci = self.pci(node, &path);
        let mut says_nothing = true;
        for attribute in node.attributes() {
            says_nothing = false;
            if is_pci && is_pci_part(attribute.name()) {
                continue;
            }
            self.attribute(&path, &attribute);
        }
        if let Some((value, span)) = self.place.text(node) {
            says_nothing = false;
            self.keep(path.clone(), value, span);
        }
        let below = format!("{path}/");
        for child in node.children().filter(Node::is_element) {
            says_nothing = false;
            if depth == 0 {
                let span = self.place.tag(child);
                let what = "element is nested too deeply to be read";
                self.problems.push(problem(ProblemKind::Limit, span, what));
                break;
            }
            self.child(child, &below, depth - 1);
        }
        if says_nothing {
            let span = self.place.tag(node);
            self.keep(path, "", span);
        }
    }

    /// A PCI address, whose attributes make one value. Whether it was one.
    fn pci(&mut self, node: Node<'_, '_>, path: &str) -> bool {
        let field = match path {
            "address" => &mut self.nic.address,
            "source/address" | "actual/source/address" => &mut self.nic.source_pci,
            _ => return false,
        };
        // Addresses of passed-through devices may come without their type.
        let is_pci = match node.attribute("type") {
            Some(kind) => kind == "pci",
            None => node.has_attribute("slot"),
        };
        if !is_pci || field.is_some() {
            return false;
        }
        let span = self.place.span(node.range());
        // `<address type='pci'/>` asks libvirt to choose.
        if !node.has_attribute("slot") {
            return false;
        }
        *field = pci_address(node).map(|address| At::new(address, span));
        if field.is_none() {
            self.problems.push(problem(ProblemKind::BadValue, span, "expected a PCI address"));
        }
        field.is_some()
    }

    /// An attribute of the element at `path`.
    fn attribute(&mut self, path: &str, attribute: &Attribute<'_, '_>) {
        let (value, span) = (attribute.value(), self.place.value(attribute));
        // What libvirt chose for a network interface says where it really is.
        let element = path.strip_prefix("actual/").unwrap_or(path);
        let nic = &mut self.nic;
        let is_vhost = nic.kind.as_str() == "vhostuser";
        let taken = match (element, attribute.name()) {
            ("actual", "type") => Ok(false),
            ("mac", "address") => parsed(&mut nic.mac, value, span, "a MAC address"),
            ("source", "bridge") => Ok(put(&mut nic.bridge, value, span)),
            ("source", "network") => Ok(put(&mut nic.network, value, span)),
            ("source", "dev") => Ok(put(&mut nic.source_dev, value, span)),
            ("source", "path") if is_vhost => Ok(put(&mut nic.source_dev, value, span)),
            ("source", "mode") => Ok(put(&mut nic.source_mode, value, span)),
            ("target", "dev") => Ok(put(&mut nic.target, value, span)),
            ("virtualport", "type") => Ok(put(&mut nic.virtualport, value, span)),
            ("virtualport/parameters", "interfaceid") => {
                Ok(put(&mut nic.interface_id, value, span))
            }
            ("model", "type") => Ok(put(&mut nic.model, value, span)),
            ("mtu", "size") => parsed(&mut nic.mtu, value, span, "a number of bytes"),
            ("link", "state") => Ok(put(&mut nic.link_state, value, span)),
            ("alias", "name") => Ok(put(&mut nic.alias, value, span)),
            ("vlan", "trunk") if value == "yes" || value == "no" => {
                nic.vlan_trunk |= value == "yes";
                Ok(true)
            }
            ("vlan/tag", "id") => {
                let mut tag = None;
                let taken = parsed(&mut tag, value, span, "a VLAN id");
                // The same tags stand in what libvirt chose.
                let known = tag.as_ref().is_some_and(|tag| nic.vlans.contains(tag));
                nic.vlans.extend(tag.filter(|_| !known));
                taken
            }
            _ => Ok(false),
        };
        match taken {
            Ok(true) => return,
            Ok(false) => {}
            Err(what) => {
                self.problems.push(problem(
                    ProblemKind::BadValue,
                    span,
                    format!("expected {what}"),
                ));
            }
        }
        self.keep(format!("{path}/@{}", attribute.name()), value, span);
    }

    fn keep(&mut self, key: String, value: &str, span: Span) {
        self.nic.other.push(Field { key: key.into(), value: At::new(value.into(), span) });
    }
}

fn is_pci_part(attribute: &str) -> bool {
    matches!(attribute, "type" | "domain" | "bus" | "slot" | "function")
}

/// Fills a field that is empty still. An empty value is none.
fn put(field: &mut Option<At<Name>>, value: &str, span: Span) -> bool {
    if value.is_empty() || field.as_ref().is_some_and(|field| field.as_str() != value) {
        return false;
    }
    field.get_or_insert_with(|| At::new(value.into(), span));
    true
}

/// Fills a field with a value that has a form.
fn parsed<T: std::str::FromStr + PartialEq>(
    field: &mut Option<At<T>>,
    value: &str,
    span: Span,
    what: &'static str,
) -> Result<bool, &'static str> {
    let value = value.parse().map_err(|_| what)?;
    if field.as_ref().is_some_and(|field| field.value != value) {
        return Ok(false);
    }
    field.get_or_insert_with(|| At::new(value, span));
    Ok(true)
}
