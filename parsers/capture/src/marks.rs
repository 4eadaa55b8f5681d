//! What texts say of the machine and the time, read without parsing them: ids, dates, MACs.
use std::collections::BTreeSet;

use tapline_core::capture::{Command, Moment};
use tapline_core::ids::{Mac, is_nic};
use tapline_core::records::Batch;
use tapline_core::records::host::Fact;
use tapline_formats::registry;

/// Where the kernel shows the UUID of the hardware.
pub(crate) const PRODUCT_UUID: &str = "/sys/class/dmi/id/product_uuid";

/// Where Open vSwitch keeps its `system-id`.
pub(crate) const SYSTEM_ID: &str = "/etc/openvswitch/system-id.conf";

/// Ids that vendors leave in all of their machines.
const NO_UUIDS: &[&str] = &[
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "03000200-0400-0500-0006-000700080009",
    "12345678-1234-5678-90ab-cddeefaabbcc",
    "00020003-0004-0005-0006-000700080009",
    "fefefefe-fefe-fefe-fefe-fefefefefefe",
];

/// The UUID in the output of `dmidecode`, or alone in a text.
pub(crate) fn dmi_uuid(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes.get(..bytes.len().min(1 << 20))?);
    let mut lines = text.lines().map(str::trim);
    let words = lines.find_map(|line| match line.strip_prefix("UUID:") {
        Some(uuid) => Some(uuid.trim()),
        None => is_uuid(line).then_some(line),
    });
    let uuid = words.filter(|word| is_uuid(word))?.to_ascii_lowercase();
    (!NO_UUIDS.contains(&uuid.as_str())).then_some(uuid)
}

/// Whether a text is a UUID.
pub(crate) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// A file that holds an id and nothing else.
pub(crate) fn id_file(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let id = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))?;
    is_id(id).then(|| id.to_owned())
}

/// An id is one word.
fn is_id(id: &str) -> bool {
    const LONGEST: usize = 128;
    !id.is_empty()
        && id.len() <= LONGEST
        && id.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':'))
}

/// Whether the output of a command may hold the `system-id` of Open vSwitch.
pub(crate) fn may_hold_system_id(command: &Command) -> bool {
    match command.program() {
        "ovs-vsctl" => command.args().iter().any(|word| word.eq_ignore_ascii_case("open_vswitch")),
        "ovsdb-client" => command.args().iter().any(|word| word == "dump"),
        "cat" => command.path().is_some_and(|path| {
            path.starts_with("/etc/openvswitch/") || path.starts_with("/var/lib/openvswitch/")
        }),
        _ => false,
    }
}

/// The last `system-id` that a text tells: `system-id="…"`, `system-id=…`, `"system-id","…"`. A
/// database on disk is a log, in which later lines win.
pub(crate) fn system_id(bytes: &[u8]) -> Option<String> {
    const KEY: &[u8] = b"system-id";
    let mut end = bytes.len();
    while let Some(at) = memchr::memmem::rfind(bytes.get(..end)?, KEY) {
        let after = bytes.get(at + KEY.len()..)?;
        if let Some(id) = value_after(after) {
            return Some(id);
        }
        end = at;
    }
    None
}

/// `ovs-vsctl get Open_vSwitch . external_ids:system-id` prints the quoted value alone.
pub(crate) fn quoted_id(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    let id = text.strip_prefix('"')?.strip_suffix('"')?;
    is_id(id).then(|| id.to_owned())
}

/// The value behind a key, after quotes and one separator.
fn value_after(bytes: &[u8]) -> Option<String> {
    let head = bytes.get(..bytes.len().min(256))?;
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches(['\\', '"']);
    let rest = text.strip_prefix(['=', ',', ':'])?;
    let rest = rest.trim_start_matches([' ', '\\', '"']);
    let id: String = rest.chars().take_while(|&c| !",}\"\\ \n\r\t]".contains(c)).collect();
    is_id(&id).then_some(id)
}

/// What `date` or `timedatectl` printed. A time of a zone whose name means several, or is not known,
/// is taken as it stands: it is compared with times of the same machine only.
pub(crate) fn date(command: &Command, text: &str) -> Option<Moment> {
    let epoch = |text: &str| {
        let format = registry::by_command(command)?;
        let Batch::HostFacts(facts) = (format.read)(text, command).records else { return None };
        facts.into_iter().find_map(|fact| match fact.fact {
            Fact::Date { epoch, .. } => epoch,
            _ => None,
        })
    };
    if let Some(epoch) = epoch(text) {
        return Some(Moment::at(epoch));
    }
    let is_zone = |word: &str| {
        let letters = (3..=5).contains(&word.len())
            && word.bytes().all(|b| b.is_ascii_uppercase())
            && !matches!(word, "AM" | "PM");
        let offset = word.len() >= 3 && word.starts_with(['+', '-']);
        letters || offset && word.bytes().skip(1).all(|b| b.is_ascii_digit())
    };
    let words = text.lines().next()?.split_whitespace();
    let words: Vec<&str> = words.map(|word| if is_zone(word) { "UTC" } else { word }).collect();
    let ahead = text.lines().next()?.split_whitespace().find_map(ahead_of_utc).unwrap_or(0);
    epoch(&words.join(" ")).map(|epoch| Moment::at(epoch - ahead))
}

/// When `iptables-save` ran: `# Generated by iptables-save v1.8.9 on Sun Nov 29 12:00:00 2026`.
pub(crate) fn listed(bytes: &[u8]) -> Option<Moment> {
    let head = bytes.get(..bytes.len().min(256))?;
    let head = String::from_utf8_lossy(head);
    let line = head.lines().find(|line| line.starts_with("# Generated by "))?;
    let words: Vec<&str> = line.split_once(" on ")?.1.split_whitespace().collect();
    let [day, month, date, time, year] = words.as_slice() else { return None };
    self::date(&Command::new("date"), &format!("{day} {month} {date} {time} UTC {year}"))
}

/// Seconds that a zone is ahead of UTC: `+0530`, `-03`, `CEST`.
fn ahead_of_utc(zone: &str) -> Option<i64> {
    // Only names that mean one zone: `CST` is Chicago's and China's.
    const HOURS: &[(&str, i64)] = &[
        ("AEDT", 11),
        ("AEST", 10),
        ("CEST", 2),
        ("CET", 1),
        ("EDT", -4),
        ("EEST", 3),
        ("EET", 2),
        ("EST", -5),
        ("GMT", 0),
        ("JST", 9),
        ("KST", 9),
        ("MDT", -6),
        ("MSK", 3),
        ("MST", -7),
        ("PDT", -7),
        ("PST", -8),
        ("WEST", 1),
        ("WET", 0),
    ];
    if let Some((_, hours)) = HOURS.iter().find(|(name, _)| *name == zone) {
        return Some(hours * 3600);
    }
    let digits = zone.strip_prefix(['+', '-'])?;
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let number = |from: usize, to: usize| digits.get(from..to)?.parse::<i64>().ok();
    let (hours, minutes) = match digits.len() {
        2 => (number(0, 2)?, 0),
        4 => (number(0, 2)?, number(2, 4)?),
        _ => return None,
    };
    (hours < 15 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Seconds since the epoch as a moment.
pub(crate) fn moment(seconds: f64) -> Option<Moment> {
    // Far beyond any clock, and far within the range of the type.
    let sane = seconds.is_finite() && (0.0..1e11).contains(&seconds);
    #[expect(clippy::cast_possible_truncation, reason = "just bounded")]
    sane.then(|| Moment::at(seconds as i64))
}

/// The day, or the time, in the name of an archive: `sosreport-node2-2026-11-22-cqenbgo`,
/// `tapline-node2-20261122T130600Z`, `sosreport-node2-20261122130600`, `scc_node2_261122_1306`.
pub(crate) fn day_in(name: &str) -> Option<Moment> {
    let number = |text: &str| text.parse::<i64>().ok();
    let parts: Vec<&str> = name.split(['-', '_', '.']).collect();
    let is = |text: &str, len: usize| text.len() == len && text.bytes().all(|b| b.is_ascii_digit());
    for window in parts.windows(3) {
        if let [year, month, day] = window
            && is(year, 4)
            && is(month, 2)
            && is(day, 2)
        {
            return Moment::on_day(number(year)?, number(month)?, number(day)?);
        }
    }
    for part in &parts {
        let digits: String = part.chars().filter(|&c| c != 'T' && c != 'Z').collect();
        if !is(&digits, 14) && !is(&digits, 8) {
            continue;
        }
        let at = |from: usize, to: usize| digits.get(from..to).and_then(number);
        let Some(day) = Moment::on_day(at(0, 4)?, at(4, 6)?, at(6, 8)?) else { continue };
        return match (at(8, 10), at(10, 12), at(12, 14)) {
            (Some(h @ 0..24), Some(m @ 0..60), Some(s @ 0..60)) => {
                Some(Moment::at(day.epoch + h * 3600 + m * 60 + s))
            }
            _ => Some(day),
        };
    }
    for window in parts.windows(2) {
        if let [day, time] = window
            && is(day, 6)
            && is(time, 4)
            && name.starts_with("scc_")
        {
            let at = |text: &str, from: usize| text.get(from..from + 2).and_then(number);
            let of_day = Moment::on_day(2000 + at(day, 0)?, at(day, 2)?, at(day, 4)?)?;
            let minutes = at(time, 0)? * 60 + at(time, 2)?;
            return Some(Moment::at(of_day.epoch + minutes * 60));
        }
    }
    None
}

/// The MACs of a whole list of devices, one that begins with the loopback device: of the NICs, or,
/// where none is called like one, of all. Bridges of cloned images have one MAC on all hosts.
pub(crate) fn macs(text: &str) -> BTreeSet<Mac> {
    let head = text.get(..text.floor_char_boundary(4096)).unwrap_or(text);
    if !head.lines().any(|line| line.starts_with("1: lo:")) {
        return BTreeSet::new();
    }
    // A set is made of sorted values in one go.
    let (mut of_nics, mut all) = (Vec::new(), Vec::new());
    let found = memchr::memmem::find_iter(text.as_bytes(), b"link/ether ");
    for at in found {
        let mac = text.get(at + "link/ether ".len()..).and_then(|rest| rest.get(..17));
        let Some(mac) = mac.and_then(|mac| mac.parse::<Mac>().ok()).filter(|mac| !mac.is_zero())
        else {
            continue;
        };
        // The name is on the line before.
        let before = text.get(..at).unwrap_or_default().trim_ascii_end();
        let start = memchr::memrchr(b'\n', before.as_bytes()).map_or(0, |end| end + 1);
        if before.get(start..).and_then(name_in_head).is_some_and(is_nic) {
            of_nics.push(mac);
        }
        all.push(mac);
    }
    let mut found = if of_nics.is_empty() { all } else { of_nics };
    found.sort_unstable();
    found.into_iter().collect()
}

/// The name in `2: eth0: <…> …`.
fn name_in_head(line: &str) -> Option<&str> {
    let colon = |text: &str| memchr::memchr(b':', text.as_bytes());
    let rest = line.get(colon(line)?..)?.strip_prefix(": ")?;
    rest.get(..colon(rest)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uuid_of_the_hardware() {
        let text = "# dmidecode 3.3\nHandle 0x0001\nSystem Information\n\tSerial Number: x\n\
                    \tUUID: 4C4C4544-0043-3010-8052-B4C04F564231\n";
        let uuid = Some("4c4c4544-0043-3010-8052-b4c04f564231".to_owned());
        assert_eq!(dmi_uuid(text.as_bytes()), uuid);
        assert_eq!(dmi_uuid(b"4c4c4544-0043-3010-8052-b4c04f564231\n"), uuid);
        for none in ["\tUUID: Not Settable\n", "UUID: 03000200-0400-0500-0006-000700080009", ""] {
            assert_eq!(dmi_uuid(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn the_id_of_the_switch() {
        let id = "9ff3a1b2-1c44-4a6f-8d11-000000000001";
        for text in [
            format!("external_ids : {{hostname=node2, system-id=\"{id}\"}}\n"),
            format!("{{hostname=node2, system-id={id}}}\n"),
            format!("{{\"external_ids\":[\"map\",[[\"system-id\",\"{id}\"]]]}}\n"),
            format!("[[\"system-id\",\"older\"]]\n[[\"system-id\",\"{id}\"]]\n"),
        ] {
            assert_eq!(system_id(text.as_bytes()).as_deref(), Some(id), "{text}");
        }
        for none in ["", "{}", "ovs-vsctl: no key system-id in Open_vSwitch record\n", "system-id="]
        {
            assert_eq!(system_id(none.as_bytes()), None, "{none}");
        }
        assert_eq!(quoted_id(format!("\"{id}\"\n").as_bytes()).as_deref(), Some(id));
        assert_eq!(id_file(format!("# made by x\n{id}\n").as_bytes()).as_deref(), Some(id));
        let holds = |line: &str| may_hold_system_id(&Command::new(line));
        assert!(holds("ovs-vsctl get Open_vSwitch . external_ids:system-id"));
        assert!(holds("ovs-vsctl -t 5 list open_vswitch"));
        assert!(!holds("ovs-vsctl list interface"));
    }

    #[test]
    fn names_of_archives_tell_the_time() {
        for (name, shown) in [
            ("sosreport-node2-node2-2026-11-22-cqenbgo", "2026-11-22"),
            ("sosreport-node2-20261122130605", "2026-11-22 13:06"),
            ("tapline-node2-20261122T130605Z", "2026-11-22 13:06"),
            ("scc_node2_261122_1306", "2026-11-22 13:06"),
            ("sos-20261122", "2026-11-22"),
        ] {
            assert_eq!(day_in(name).map(|day| day.to_string()).as_deref(), Some(shown), "{name}");
        }
        for name in ["node2", "node-2026", "sos-4.0", "10-11-12", "99999999", "vm-12345678"] {
            assert_eq!(day_in(name), None, "{name}");
        }
    }

    #[test]
    fn dates_of_any_zone() {
        let command = Command::new("date");
        for (text, shown) in [
            ("Wed Mar  4 10:00:00 UTC 2026\n", Some("2026-03-04 10:00")),
            ("Wed Mar  4 10:00:00 CET 2026\n", Some("2026-03-04 09:00")),
            ("Wed Mar  4 10:00:00 AM CEST 2026\n", Some("2026-03-04 08:00")),
            ("Wed Mar  4 10:00:00 +03 2026\n", Some("2026-03-04 07:00")),
            ("Wed Mar  4 10:00:00 -0330 2026\n", Some("2026-03-04 13:30")),
            ("Wed Mar  4 10:00:00 CST 2026\n", Some("2026-03-04 10:00")),
            ("bash: date: command not found\n", None),
        ] {
            assert_eq!(
                date(&command, text).map(|date| date.to_string()).as_deref(),
                shown,
                "{text}"
            );
        }
    }

    #[test]
    fn only_whole_lists_have_macs() {
        let device =
            "2: eth0: <UP> mtu 1500\n    link/ether 52:54:00:00:00:01 brd ff:ff:ff:ff:ff:ff\n";
        assert_eq!(macs(device).len(), 0);
        assert_eq!(macs(&format!("1: lo: <LOOPBACK> mtu 65536\n{device}")).len(), 1);
    }
}
