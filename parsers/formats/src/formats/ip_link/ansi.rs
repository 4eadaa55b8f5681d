//! Colour escapes (`ip -c`): taken out for reading, put back into the spans.
use tapline_core::records::link::{Address, Link, Vf};
use tapline_core::span::{At, Span};

/// A text without escape sequences, and the way back to the text that had them.
pub(in crate::formats) struct Plain {
    /// The text that is left.
    pub(in crate::formats) text: String,
    /// For each piece kept: where it starts here, and where it stood.
    pieces: Vec<(u32, u32)>,
}

impl Plain {
    /// The place in the text with escapes.
    pub(in crate::formats) fn original(&self, span: Span) -> Span {
        // The end is that of the last byte: escapes behind it are not part of it.
        let end = if span.end > span.start { self.offset(span.end - 1) + 1 } else { span.end };
        let start = self.offset(span.start);
        Span { start, end: end.max(start) }
    }

    fn offset(&self, at: u32) -> u32 {
        let after = self.pieces.partition_point(|&(here, _)| here <= at);
        let piece = after.checked_sub(1).and_then(|sub| self.pieces.get(sub));
        piece.map_or(at, |&(here, there)| there + (at - here))
    }
}

/// `text` without escape sequences; `None` where it has none.
pub(in crate::formats) fn strip(text: &str) -> Option<Plain> {
    memchr::memchr(ESCAPE, text.as_bytes())?;
    let mut plain = Plain { text: String::with_capacity(text.len()), pieces: Vec::new() };
    let mut rest = text;
    while !rest.is_empty() {
        let end = memchr::memchr(ESCAPE, rest.as_bytes()).unwrap_or(rest.len());
        let (kept, escape) = rest.split_at_checked(end)?;
        if !kept.is_empty() {
            let here = u32::try_from(plain.text.len()).ok()?;
            plain.pieces.push((here, Span::of(text, kept).start));
            plain.text.push_str(kept);
        }
        rest = after_escape(escape);
    }
    Some(plain)
}

const ESCAPE: u8 = 0x1b;

/// What follows the escape sequence that `text` starts with.
fn after_escape(text: &str) -> &str {
    let mut chars = text.chars();
    if chars.next().is_none() {
        return "";
    }
    match chars.clone().next() {
        // CSI: parameters, then one final character.
        Some('[') => {
            chars.next();
            // A broken sequence ends where the line ends.
            while let Some(it @ '\x20'..='\x7e') = chars.clone().next() {
                chars.next();
                if it >= '@' {
                    break;
                }
            }
        }
        // A two-character sequence.
        Some('\x20'..='\x7e') => {
            chars.next();
        }
        _ => {}
    }
    chars.as_str()
}

/// Shows every span of a device to `f`.
pub(super) fn each_span(link: &mut Link, mut f: impl FnMut(&mut Span)) {
    fn at<T>(it: Option<&mut At<T>>, f: &mut impl FnMut(&mut Span)) {
        if let Some(it) = it {
            f(&mut it.span);
        }
    }
    let f = &mut f;
    f(&mut link.at);
    f(&mut link.name.span);
    f(&mut link.flags.span);
    at(link.lower.as_mut(), f);
    at(link.lower_netns.as_mut(), f);
    at(link.mtu.as_mut(), f);
    at(link.master.as_mut(), f);
    at(link.state.as_mut(), f);
    at(link.mac.as_mut(), f);
    at(link.address.as_mut(), f);
    at(link.permanent_mac.as_mut(), f);
    at(link.kind.as_mut(), f);
    at(link.slave_kind.as_mut(), f);
    at(link.slave_state.as_mut(), f);
    at(link.alias.as_mut(), f);
    link.altnames.iter_mut().for_each(|altname| f(&mut altname.span));
    if let Some(stats) = &mut link.stats {
        f(&mut stats.at);
    }
    link.other.move_spans(&mut *f);
    for Address { at, other, .. } in &mut link.addresses {
        f(at);
        other.move_spans(&mut *f);
    }
    for Vf { at, other, .. } in &mut link.vfs {
        f(at);
        other.move_spans(&mut *f);
    }
    let data = &mut link.kind_data;
    if let Some(vlan) = &mut data.vlan {
        f(&mut vlan.id.span);
    }
    if let Some(tunnel) = &mut data.tunnel {
        at(tunnel.id.as_mut(), f);
        at(tunnel.local.as_mut(), f);
        at(tunnel.remote.as_mut(), f);
        at(tunnel.dev.as_mut(), f);
        at(tunnel.dstport.as_mut(), f);
        at(tunnel.key.as_mut(), f);
    }
    if let Some(bridge) = &mut data.bridge {
        at(bridge.vlan_filtering.as_mut(), f);
        at(bridge.stp.as_mut(), f);
        at(bridge.ageing_time.as_mut(), f);
        at(bridge.default_pvid.as_mut(), f);
        at(bridge.nf_call_iptables.as_mut(), f);
    }
    if let Some(bond) = &mut data.bond {
        at(bond.mode.as_mut(), f);
        at(bond.active_slave.as_mut(), f);
    }
    at(data.mode.as_mut(), f);
    at(data.tun_type.as_mut(), f);
    at(data.vrf_table.as_mut(), f);
}
