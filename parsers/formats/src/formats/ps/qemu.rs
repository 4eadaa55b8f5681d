//! The command line of qemu, as far as it concerns NICs.
//!
//! Source: qemu `qemu-options.hx`, `util/qemu-option.c`; libvirt `src/qemu/qemu_command.c`, which
//! passes JSON from qemu 6.2 on.
use std::borrow::Cow;
use std::collections::HashMap;

use tapline_core::Name;
use tapline_core::outcome::{Problem, ProblemKind};
use tapline_core::records::libvirt::{QemuNic, QemuProcess};
use tapline_core::span::{At, Span};

use crate::json_object::Object;

/// Reads the arguments.
pub(super) fn arguments(
    text: &str,
    arguments: &str,
    record: &mut QemuProcess,
    problems: &mut Vec<Problem>,
) {
    // Host ends of the NICs, by their id: they may come before or after them.
    let mut backends: HashMap<Name, At<Name>> = HashMap::new();
    for (option, value) in options(arguments) {
        match option {
            "name" => record.name = name(text, value),
            "uuid" if !value.is_empty() => {
                record.uuid = Some(At::new(value.into(), Span::of(text, value)));
            }
            "device" | "netdev" | "nic" | "net" => match Values::of(text, value) {
                Some(values) if option == "netdev" => {
                    if let (Some(id), Some(ifname)) = (values.get("id"), values.get("ifname")) {
                        backends.insert(id.value.clone(), ifname.clone());
                    }
                }
                Some(values) => add_nic(option, &values, record, problems),
                // The end of the line is missing, or it was not qemu's own notation.
                None => record.cut = true,
            },
            _ => {}
        }
    }
    for nic in &mut record.nics {
        if let Some(ifname) = nic.netdev.as_ref().and_then(|id| backends.get(id)) {
            nic.ifname = Some(ifname.clone());
        }
    }
}

/// Adds the NIC of `-device`, `-nic`, `-net nic`; `-net tap` is the host end of the NIC before.
fn add_nic(option: &str, values: &Values, record: &mut QemuProcess, problems: &mut Vec<Problem>) {
    let first = values.first.as_ref().map(|first| first.as_str());
    if option == "net" && first != Some("nic") {
        let open = record.nics.last_mut().filter(|it| it.ifname.is_none());
        if let (Some(nic), Some(ifname)) = (open, values.get("ifname")) {
            nic.ifname = Some(ifname.clone());
        }
        return;
    }
    let mac = values.get("mac").or_else(|| values.get("macaddr"));
    if option == "device" && mac.is_none() && values.get("netdev").is_none() {
        return;
    }
    let address = mac.and_then(|mac| match mac.value.parse() {
        Ok(address) => Some(At::new(address, mac.span)),
        Err(_) => {
            let message = "expected a MAC address".to_owned();
            problems.push(Problem { kind: ProblemKind::BadValue, message, span: mac.span });
            None
        }
    });
    let model =
        if option == "device" { values.first.clone() } else { values.get("model").cloned() };
    record.nics.push(QemuNic {
        mac: address,
        ifname: values.get("ifname").cloned(),
        netdev: values.get("netdev").map(|it| it.value.clone()),
        model: model.map(|model| model.value),
    });
}

/// Options and their values: a value may hold blanks (`-name guest=my vm,…`), and ends where the
/// next option begins.
fn options(arguments: &str) -> impl Iterator<Item = (&str, &str)> {
    let starts_option = |text: &str| {
        text.strip_prefix(" -")
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()))
    };
    let mut at = arguments
        .match_indices(" -")
        .filter(move |(at, _)| arguments.get(*at..).is_some_and(starts_option))
        .map(|(at, _)| at)
        .peekable();
    std::iter::from_fn(move || {
        let start = at.next()?;
        let end = at.peek().copied().unwrap_or(arguments.len());
        let option = arguments.get(start + 2..end)?;
        let (name, value) = option.split_once(' ').unwrap_or((option, end_of(option)));
        Some((name, value.trim()))
    })
}

/// The name of `-name guest=NAME,debug-threads=on` or `-name NAME`.
fn name(text: &str, value: &str) -> Option<At<Name>> {
    let values = Values::plain(text, value, "guest");
    values.get("guest").filter(|it| !it.is_empty()).cloned()
}

/// The values of one option.
struct Values {
    /// The one without a key: a driver, a type.
    first: Option<At<Name>>,
    keyed: Vec<(Name, At<Name>)>,
}

impl Values {
    /// Reads `driver,key=value,…` or a JSON object; `None` where the object is broken.
    fn of(text: &str, value: &str) -> Option<Self> {
        if !value.starts_with('{') {
            let mut all = Self::plain(text, value, "");
            let first = all.keyed.iter().position(|keyed| keyed.0.is_empty());
            all.first = first.map(|at| all.keyed.remove(at).1);
            return Some(all);
        }
        let mut object = Object::parse(text, value).ok()?;
        let first = object.name("driver").or_else(|| object.name("type"));
        let keyed = object.rest().into_iter().map(|it| (it.key, it.value)).collect();
        Some(Self { first, keyed })
    }

    /// Reads `key=value,…`; the first part without a key is that of `implied`. A comma within a
    /// value is doubled.
    fn plain(text: &str, value: &str, implied: &str) -> Self {
        let mut keyed = Vec::new();
        for (nth, part) in parts(value).enumerate() {
            let (key, value) = match part.split_once('=') {
                Some((key, value)) => (key, value),
                None if nth == 0 => (implied, part),
                None => (part, end_of(part)),
            };
            let span = Span::of(text, value);
            let value = if value.contains(",,") {
                Cow::Owned(value.replace(",,", ","))
            } else {
                Cow::Borrowed(value)
            };
            keyed.push((key.into(), At::new(Name::new(&value), span)));
        }
        Self { first: None, keyed }
    }

    fn get(&self, key: &str) -> Option<&At<Name>> {
        self.keyed.iter().find(|keyed| keyed.0 == key).map(|keyed| &keyed.1)
    }
}

/// The empty slice at the end: a value that is not there still has a place.
fn end_of(part: &str) -> &str {
    part.get(part.len()..).unwrap_or(part)
}

/// Splits at commas that are not doubled.
fn parts(value: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let text = rest?;
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(found) = bytes.get(at..).and_then(|it| memchr::memchr(b',', it)) {
            let comma = at + found;
            if bytes.get(comma + 1) == Some(&b',') {
                at = comma + 2;
                continue;
            }
            rest = text.get(comma + 1..);
            return text.get(..comma);
        }
        rest = None;
        Some(text)
    })
}
