//! Rows that are one line each, and show by what they lack that they go on: flows, columns of a
//! database, tables of addresses.

/// Widths at which terminals end.
const WIDTHS: &[usize] = &[80, 100, 120, 132];

/// What stood between two lines that were one; `None` if they never were.
pub(super) fn broken(before: &str, line: &str) -> Option<&'static str> {
    if line.as_bytes().first().is_some_and(|b| b"0bcdfoplstx".contains(b))
        && is_end_of_ifconfig(before, line)
    {
        return Some(" ");
    }
    // Most lines are told by their first character.
    match before.bytes().find(|b| *b != b' ')? {
        b'c' if is_flow(before) => flow(before, line),
        b'a'..=b'z' | b'_' => column(before, line),
        b'0'..=b'9' | b'A' | b'D' => table(before, line),
        _ => None,
    }
}

/// A line of `ifconfig` that goes on at the margin, where none begins but the name of a device.
fn is_end_of_ifconfig(before: &str, line: &str) -> bool {
    const ENDS: &[&str] = &[
        "broadcast ",
        "carrier ",
        "collisions ",
        "destination ",
        "dropped ",
        "frame ",
        "overruns ",
        "prefixlen ",
        "scopeid ",
        "txqueuelen ",
    ];
    let begun = before.starts_with("    ") && line.len() < 80;
    let scope =
        || line.starts_with("0x") && line.contains('<') && before.trim_end().ends_with("scopeid");
    begun && (ENDS.iter().any(|end| line.starts_with(end)) || scope())
}

fn is_flow(line: &str) -> bool {
    line.trim_ascii_start().starts_with("cookie=0x")
}

/// A flow has actions at its end, and its fields stand behind commas.
fn flow(before: &str, line: &str) -> Option<&'static str> {
    let first = line.trim_start();
    let goes_on =
        !first.is_empty() && !is_flow(line) && !line.starts_with("  ") && !is_other(first);
    if !goes_on {
        return None;
    }
    let width = before.chars().count();
    if before.contains(" actions=") {
        // A terminal breaks within a word, mail between two of a list.
        let full = WIDTHS.contains(&width) && !first.contains(' ');
        return full.then_some("");
    }
    let is_field = first.contains('=') || before.ends_with(',') || WIDTHS.contains(&width);
    if !is_field {
        return None;
    }
    let apart = first.starts_with("actions=") || before.trim_end().ends_with(',') && width < 80;
    let apart = apart || before.ends_with(' ') || !WIDTHS.contains(&width);
    Some(if apart { " " } else { "" })
}

/// Whether a line is a prompt, a heading or another output.
fn is_other(line: &str) -> bool {
    let prompt = line.contains("# ") || line.contains("$ ") || line.contains('@');
    prompt || line.starts_with("NXST_") || line.starts_with("OFPST_") || line.starts_with("OFPT_")
}

/// A column of a database goes on until its quotation marks and brackets are closed:
/// `error               : "could not open`.
fn column(before: &str, line: &str) -> Option<&'static str> {
    // Names are padded to this width; of all others only an error runs over lines.
    const PADDED: usize = 20;
    let padded = before.as_bytes().get(PADDED) == Some(&b':');
    if !padded && !before.trim_ascii_start().starts_with("error: ") {
        return None;
    }
    // No key has a colon of its own.
    let (key, value) = before.split_at_checked(memchr::memchr(b':', before.as_bytes())?)?;
    let value = value.strip_prefix(": ")?;
    let name = key.trim_ascii();
    let is_key = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if !is_key || !is_open(value) {
        return None;
    }
    // The next column stands for itself.
    let next =
        line.split_once(": ").is_some_and(|(key, _)| key.len() >= PADDED && !key.contains('"'));
    let blank = line.trim().is_empty();
    let width = before.chars().count();
    let cut = WIDTHS.contains(&width) && !before.ends_with(' ');
    (!next && !blank).then_some(if cut { "" } else { " " })
}

/// Whether a quotation mark or a bracket is not closed.
fn is_open(value: &str) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0_i32, false, false);
    for c in value.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '{' | '[' if !quoted => depth += 1,
            '}' | ']' if !quoted => depth -= 1,
            _ => {}
        }
    }
    quoted || depth > 0
}

/// The last column of `arp -n` and `route -n`, which is the device.
fn table(before: &str, line: &str) -> Option<&'static str> {
    let word = line.trim_ascii();
    let one = !word.is_empty() && word.len() <= 15 && !word.contains(char::is_whitespace);
    if !one {
        return None;
    }
    let words: Vec<&str> = before.split_whitespace().collect();
    let is_ip = |word: &&str| word.parse::<std::net::IpAddr>().is_ok();
    let lacks = match words.as_slice() {
        ["Address", "HWtype", "HWaddress", "Flags", "Mask"]
        | ["Destination", "Gateway", "Genmask", "Flags", "Metric", "Ref", "Use"] => word == "Iface",
        [ip, "(incomplete)"] => is_ip(ip),
        [ip, "ether", mac, flags] => {
            is_ip(ip) && mac.len() == 17 && flags.bytes().all(|b| b.is_ascii_uppercase())
        }
        [to, via, mask, _, metric, _, uses] => {
            let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
            is_ip(to) && is_ip(via) && is_ip(mask) && number(metric) && number(uses)
        }
        _ => false,
    };
    lacks.then_some(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_go_on() {
        let flow = " cookie=0x1, duration=1s, table=0, n_packets=1, n_bytes=2,";
        let full =
            " cookie=0x1, duration=1s, table=0, n_packets=1, n_bytes=2, priority=10,in_port=9";
        let acts =
            " cookie=0x1, duration=1s, table=0, n_packets=1, n_bytes=2, priority=0 actions=NO";
        for (before, line, between) in [
            (flow, "priority=10,in_port=99 actions=drop", Some(" ")),
            (full, "9 actions=drop", Some("")),
            (acts, "RMAL", Some("")),
            (acts, " cookie=0x2, duration=1s", None),
            (acts, "[root@h ~]# ip a", None),
            (flow, " cookie=0x2, duration=1s", None),
            ("error               : \"could not open (No", "such device)\"", Some(" ")),
            ("external_ids        : {a=b, ", "c=d}", Some(" ")),
            ("external_ids        : {a=b}", "ifindex             : 3", None),
            ("            error: \"could not open (No", "such device)\"", Some(" ")),
            ("10.1.1.1                         (incomplete)", "  eth0", Some(" ")),
            ("10.1.1.7                 ether   00:11:22:33:44:55   C", "  eth0", Some(" ")),
            ("0.0.0.0 10.1.1.1 0.0.0.0 UG 100 0 0", "eth0", Some(" ")),
            ("Destination Gateway Genmask Flags Metric Ref Use", "Iface", Some(" ")),
            ("10.1.1.1 dev eth0", "eth0", None),
            ("        inet6 fe80::1  prefixlen 64  scopeid", "0x20<link>", Some(" ")),
            ("        unspec 00-00-00  ", "txqueuelen 100  (UNSPEC)", Some(" ")),
            ("        TX errors 0  dropped 0 overruns 0", "carrier 0  collisions 0", Some(" ")),
            ("    link/ether 52:54:00:00:00:01", "docker0: flags=4099<UP>", None),
        ] {
            assert_eq!(broken(before, line), between, "{before}|{line}");
        }
    }
}
