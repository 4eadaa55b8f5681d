//! What a text of unknown origin looks like.
use super::{ansi, brief, is_header};

/// Confidence that it is `ip address`.
pub(super) fn address(head: &str) -> u8 {
    look(head).map_or(0, |addresses| if addresses { 95 } else { 0 })
}

/// Confidence that it is `ip link`.
pub(super) fn link(head: &str) -> u8 {
    look(head).map_or(0, |addresses| if addresses { 0 } else { 90 })
}

/// Whether there are addresses; `None` where it is neither command.
fn look(head: &str) -> Option<bool> {
    match ansi::strip(head) {
        Some(plain) => look_plain(&plain.text),
        None => look_plain(head),
    }
}

fn look_plain(head: &str) -> Option<bool> {
    let (mut devices, mut addresses) = (false, false);
    // Some lines of prose may come first, a whole page of it may not.
    for line in head.lines().take(200) {
        let margin = !line.starts_with([' ', '\t']);
        let line = line.trim();
        if margin && line.starts_with('[') && (line.len() == 1 || line.starts_with("[{")) {
            return json(head);
        }
        if is_header(line) {
            let rest = line.split_once(": ").map_or("", |pair| pair.1);
            let mut words = rest.split_whitespace();
            let (name, next) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            if name.ends_with(':') && next.starts_with('<') && words.next() == Some("mtu") {
                // `bridge link` has such lines, too, but without a queueing discipline.
                let bridge = rest.contains(" state ")
                    && ["forwarding", "disabled", "learning", "listening", "blocking"]
                        .iter()
                        .any(|it| rest.split_whitespace().any(|word| word == *it));
                if bridge && !rest.contains(" qdisc ") {
                    return None;
                }
                devices = true;
            } else if matches!(next, "inet" | "inet6") {
                return Some(true);
            }
        } else if devices && (line.starts_with("inet ") || line.starts_with("inet6 ")) {
            addresses = true;
        } else if margin && brief::is_brief(line) {
            let third = line.split_whitespace().nth(2);
            match third {
                Some(it) if it.contains('/') => return Some(true),
                Some(_) if line.contains('<') => return Some(false),
                _ => {}
            }
        }
    }
    devices.then_some(addresses)
}

/// `ip -j`: `bridge -j link` has names and indexes as well, but no operational state.
fn json(head: &str) -> Option<bool> {
    let has = |key: &str| head.contains(key);
    if !has("\"ifname\"") {
        return None;
    }
    if has("\"addr_info\"") {
        return Some(true);
    }
    (has("\"operstate\"") || has("\"link_type\"")).then_some(false)
}
