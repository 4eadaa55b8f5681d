//! Where one output ends and another begins, told by first lines that only one format prints.
use tapline_core::capture::Command;
use tapline_formats::registry::{self, Format};

use super::close::text_of;
use crate::command::Invocation;
use crate::packing::Line;

/// An output found by what it says, from one line to before another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) format: &'static Format,
}

/// The outputs that begin in these lines. Each goes on to the next one.
pub(super) fn segments(lines: &[Line<'_>]) -> Vec<Segment> {
    let mut found: Vec<Segment> = Vec::new();
    for at in 0..lines.len() {
        if let (Some(before), Some(line)) = (found.last(), lines.get(at))
            && goes_on(before.format, &line.text)
        {
            continue;
        }
        let Some(format) = begins(lines, at) else { continue };
        if let Some(before) = found.last_mut() {
            let again = is_first(lines.get(at).map_or("", |line| line.text.trim_start()));
            if family(before.format) == family(format) && !again
                || family(before.format) != family(format) && is_read(before.format, lines, at)
            {
                continue;
            }
            before.to = at;
        }
        found.push(Segment { from: at, to: lines.len(), format });
    }
    found
}

/// The outputs of several commands that were run in this order: command, first line, and the line
/// behind the last.
pub(super) fn assign(runs: &[Invocation], lines: &[Line<'_>]) -> Vec<(Invocation, usize, usize)> {
    let mut parts: Vec<(Invocation, usize, usize)> = Vec::new();
    let mut next = 0;
    let mut skipped = None;
    for segment in segments(lines) {
        let fits = |run: &&Invocation| {
            let named = registry::by_command(&run.command);
            named.is_some_and(|named| family(named) == family(segment.format))
        };
        let later = runs.get(next..).unwrap_or_default();
        let Some(at) = later.iter().position(|run| fits(&run)) else { continue };
        if parts.is_empty() && at == 1 && segment.from > 0 {
            skipped = later.first().map(|run| (run.clone(), 0, segment.from));
        }
        parts.extend(later.get(at).map(|run| (run.clone(), segment.from, segment.to)));
        next += at + 1;
    }
    // What stands before the first output that is known is that of the only command before.
    parts.splice(0..0, skipped);
    parts
}

/// The format whose output unmistakably begins at a line.
pub(super) fn begins(lines: &[Line<'_>], at: usize) -> Option<&'static Format> {
    const SEEN: usize = 12;
    let first = lines.get(at)?;
    let next = lines.get(at + 1).map_or("", |line| &line.text);
    if !may_begin(first.text.trim(), next.trim()) {
        return None;
    }
    let indent = first.text.len() - first.text.trim_start_matches(' ').len();
    // A table of libvirt and a fragment of a list keep their indentation. What another output directly
    // below says is not to be taken for this one: the fewer lines, the less of it.
    for seen in [SEEN, 3, 1] {
        for indent in [indent, 0] {
            let mut text = String::new();
            // What stands behind a blank line may be another output.
            for line in lines.iter().skip(at).take(seen).take_while(|line| !line.is_blank()) {
                text.push_str(line.dedent(indent));
                text.push('\n');
            }
            if let Some(format) = registry::by_content(&text) {
                if reads_first(format, &text) {
                    return Some(format);
                }
            } else if seen == SEEN && indent == 0 {
                return None;
            }
        }
    }
    None
}

/// Whether a format understands the first line of a text.
fn reads_first(format: &Format, text: &str) -> bool {
    let first = text.find('\n').unwrap_or(text.len());
    let out = (format.read)(text, &Command::new(format.command));
    !out.problems.iter().any(|problem| (problem.span.start as usize) < first)
}

/// Whether a format reads what stands at a line, up to the next blank one, as its own.
pub(super) fn is_read(format: &Format, lines: &[Line<'_>], at: usize) -> bool {
    const SEEN: usize = 30;
    let command = Command::new(format.command);
    let mut text = String::new();
    for line in lines.iter().skip(at).take(SEEN).take_while(|line| !line.is_blank()) {
        text.push_str(&line.text);
        text.push('\n');
    }
    let read = |text: &str| {
        let out = (format.read)(text, &command);
        let is = !out.completeness.is_failed() && out.lines.read > 0;
        is && out.lines.unread * 2 < out.lines.total
    };
    // A reader that takes anything cannot tell.
    read(&text) && !read("Such is no output, but a remark about it.\n")
}

/// Whether a format reads what stands at a line as more of the output that begins at another: what has no
/// meaning alone.
pub(super) fn reads_on(format: &Format, lines: &[Line<'_>], from: usize, at: usize) -> bool {
    const SEEN: usize = 30;
    const LONGEST: usize = 400;
    if at.saturating_sub(from) > LONGEST {
        return false;
    }
    let rest = lines.get(at..).unwrap_or_default();
    let more = rest.iter().take(SEEN).take_while(|line| !line.is_blank()).count();
    let command = Command::new(format.command);
    let read = |to: usize| {
        let text = text_of(lines.get(from..to).unwrap_or_default());
        let lines = (format.read)(&text, &command).lines;
        (lines.read, lines.unread)
    };
    let (before, after) = (read(at), read(at + more));
    let (gained, lost) = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
    gained > 0 && lost * 2 < gained
}

/// Where within the output of one command that of another begins, which its format does not read.
pub(super) fn intruder(format: &Format, lines: &[Line<'_>]) -> Option<usize> {
    let is_other = |at: usize| {
        begins_other(format, lines, at)
            && !is_read(format, lines, at)
            && !reads_on(format, lines, 0, at)
    };
    (1..lines.len()).find(|at| is_other(*at))
}

/// Whether the output of another format begins at a line. That it is none is seen at little cost.
pub(super) fn begins_other(format: &Format, lines: &[Line<'_>], at: usize) -> bool {
    let Some(line) = lines.get(at) else { return false };
    let own = family(format);
    heads(&line.text).is_some_and(|families| !families.contains(&own))
        && begins(lines, at).is_some_and(|other| family(other) != own)
}

/// The formats of which a line is the first, whatever it stands in: heads that nothing else prints.
fn heads(line: &str) -> Option<&'static [&'static str]> {
    const HEADS: &[(&str, &[&str])] = &[
        ("1: lo", &["ip-link"]),
        ("bridge name\t", &["brctl-show"]),
        ("Kernel I", &["route", "netstat-i"]),
        ("Ethernet Channel", &["proc-net-bonding"]),
        ("Settings for ", &["ethtool"]),
        ("*filter", &["iptables-save"]),
        ("*nat", &["iptables-save"]),
        ("*mangle", &["iptables-save"]),
        ("*raw", &["iptables-save"]),
        (" Id ", &["virsh-list"]),
        (" Interface ", &["virsh-domiflist"]),
        ("Interface ", &["virsh-domiflist"]),
        ("Chain INPUT", &["iptables-list"]),
        ("Chain PREROUTING", &["iptables-list"]),
        ("NXST_FLOW", &["ovs-ofctl-dump-flows"]),
        ("OFPST_FLOW", &["ovs-ofctl-dump-flows"]),
        ("Address ", &["arp"]),
        ("default via ", &["ip-route"]),
        ("default dev ", &["ip-route"]),
    ];
    let first = line.as_bytes().first()?;
    if is_uuid(line.trim_ascii_end()) {
        return Some(&["ovs-vsctl-show"]);
    }
    if !b"1bKES* ICNOAd".contains(first) {
        return None;
    }
    HEADS.iter().find(|(head, _)| line.starts_with(head)).map(|(_, families)| *families)
}

/// Formats that show the same thing: what one prints never ends the other.
pub(super) fn family(format: &Format) -> &'static str {
    match format.id.0 {
        "ip-address" | "ip-link" => "ip-link",
        "ovs-ofctl-show" | "ovs-ofctl-dump-ports-desc" => "ovs-ofctl-show",
        id => id,
    }
}

/// Whether a line is surely one more of the output before, at little cost.
fn goes_on(format: &Format, line: &str) -> bool {
    match family(format) {
        "ip-link" => line.contains(": <") && !is_first(line.trim_start()),
        "bridge-fdb" => is_mac(line.trim_start()),
        _ => false,
    }
}

/// Whether a line begins a list that holds it once.
fn is_first(line: &str) -> bool {
    line.starts_with("1: lo") || line.starts_with("bridge name") || is_uuid(line)
}

/// A first look at a line and the next: most lines begin nothing.
fn may_begin(line: &str, next: &str) -> bool {
    const HEADS: &[&str] = &[
        "bridge name",
        "# Generated by",
        "*filter",
        "*nat",
        "*mangle",
        "*raw",
        "Chain ",
        "table ",
        "Kernel IP",
        "Kernel Interface",
        "Iface ",
        "Address ",
        "net.ipv4.",
        "net.ipv6.",
        "net.bridge.",
        "group_id=",
        "recirc_id(",
        "system@",
        "netdev@",
        "<network",
        "<domstatus",
        "default via ",
        "default dev ",
        "NXST_",
        "OFPST_",
        "OFPT_",
        "cookie=",
        "<domain",
        "Settings for ",
        "driver: ",
        "Features for ",
        "Ring parameters",
        "NIC statistics",
        "Ethernet Channel",
        "_uuid ",
        "Port table",
        "switch ",
        "router ",
        "Chassis ",
        "---- bond",
        "Bridge ",
        "Manager ",
        "[{",
        "{\"",
        "-P ",
        "* eth",
        "* ens",
        "* eno",
    ];
    let Some(first) = line.chars().next() else { return false };
    if first.is_ascii_digit() {
        let numbered = line.split_once(": ").is_some_and(|(number, rest)| {
            number.bytes().all(|b| b.is_ascii_digit())
                && (rest.contains(": <") || rest.starts_with("from "))
        });
        let rule = line.contains(":\tfrom ");
        let route = line.contains(" dev ") || line.contains(" via ");
        return numbered || rule || route || is_uuid(line) || is_mac(line);
    }
    let table = next.len() >= 20 && next.bytes().all(|b| b == b'-');
    let columns = (line.starts_with("port") || line.starts_with("Port"))
        && line.to_ascii_lowercase().contains("vlan");
    let ifconfig = line.contains(": flags=") || line.contains("Link encap:");
    table
        || columns
        || ifconfig
        || is_uuid(line)
        || is_mac(line)
        || HEADS.iter().any(|head| line.starts_with(head))
}

fn is_uuid(line: &str) -> bool {
    let dashes = [8, 13, 18, 23];
    line.len() == 36
        && line
            .bytes()
            .enumerate()
            .all(|(at, b)| if dashes.contains(&at) { b == b'-' } else { b.is_ascii_hexdigit() })
}

fn is_mac(line: &str) -> bool {
    let word = line.split(' ').next().unwrap_or_default();
    word.len() == 17
        && word.split(':').count() == 6
        && word.bytes().all(|b| b == b':' || b.is_ascii_hexdigit())
}
