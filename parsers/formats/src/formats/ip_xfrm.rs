//! `ip xfrm policy` and `ip xfrm state`: what IPsec asks of packets, and its associations.
//!
//! Source of the format: iproute2 `ip/ipxfrm.c` (`xfrm_policy_info_print`, `xfrm_state_info_print`);
//! 2.6 to 6.x.
//!
//! ```text
//! src 10.0.0.0/24 dst 10.1.0.0/24 proto tcp dport 80
//!     dir out action block priority 100 ptype main
//!     mark 0x1/0xff
//!     tmpl src 192.0.2.1 dst 192.0.2.2
//!         proto esp reqid 5 mode tunnel
//!         level use
//!     if_id 0x7
//! ```
//!
//! ```text
//! src 192.0.2.1 dst 192.0.2.2
//!     proto esp spi 0x00000100 reqid 5 mode tunnel
//!     replay-window 0 flag af-unspec
//!     enc cbc(aes) 0x…
//!     sel src 0.0.0.0/0 dst 0.0.0.0/0
//! ```
//!
//! An action is printed where it is `block`, or with details. The keys of associations are not kept.
use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::xfrm::{IpsecPolicy, IpsecState, IpsecTemplate, Selector};
use tapline_core::records::{Batch, Field};
use tapline_core::request::{Request, Topic};
use tapline_core::span::Span;

use super::ip_route::network;
use crate::format::{Ends, Format, Per};
use crate::ip_command::{IpCommand, is_list};
use crate::keyed::{at, bare, name, set, token, typed};
use crate::lines::{Read, bodies, each_block, finish};
use crate::nomx::{Expected, Parsed, refuse};

pub(crate) static POLICY: Format = Format {
    id: FormatId("ip-xfrm-policy"),
    command: "ip xfrm policy",
    collect: &[Per::Host.run("ip xfrm policy"), Per::Namespace.run("ip xfrm policy")],
    claims: |command| {
        let filtered = !asked(command, "policy")?.is_empty();
        Some(Request::filtered(&[Topic::IpsecPolicies], filtered))
    },
    sniff: |head| if is_like(head, &["dir ", "socket "]) { 90 } else { 0 },
    read: |text, command| policies(text, command).map(Batch::from),
    ends: Ends::LINES,
};

pub(crate) static STATE: Format = Format {
    id: FormatId("ip-xfrm-state"),
    command: "ip xfrm state",
    // Old tools that would print keys do not know the word, and print nothing.
    collect: &[
        Per::Host.run("ip xfrm state list nokeys"),
        Per::Namespace.run("ip xfrm state list nokeys"),
    ],
    claims: |command| {
        let filtered = asked(command, "state")?.iter().any(|word| word != "nokeys");
        Some(Request::filtered(&[Topic::IpsecStates], filtered))
    },
    sniff: |head| if is_like(head, &["proto "]) { 90 } else { 0 },
    read: |text, command| states(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// The arguments of a listing.
fn asked<'a>(command: &'a Command, object: &str) -> Option<&'a [String]> {
    let ip = IpCommand::of(command).filter(|ip| ip.is("xfrm") && !ip.oneline)?;
    let (first, rest) = ip.args.split_first()?;
    if first.is_empty() || !object.starts_with(first.as_str()) {
        return None;
    }
    match rest.split_first() {
        None => Some(rest),
        Some((verb, rest)) => is_list(verb).then_some(rest),
    }
}

fn is_like(head: &str, second: &[&str]) -> bool {
    let mut lines = bodies(head).filter(|body| !body.is_empty());
    let first = lines.next().unwrap_or_default();
    let below = lines.next().unwrap_or_default();
    first.starts_with("src ")
        && first.contains(" dst ")
        && below.starts_with('\t')
        && second.iter().any(|word| below.trim_start().starts_with(word))
}

/// Reads all policies.
pub(crate) fn policies(text: &str, command: &Command) -> Outcome<Vec<IpsecPolicy>> {
    let mut out = Outcome::default();
    each_block(
        text,
        &mut out,
        |line| policy(text, line),
        |policy: &mut IpsecPolicy, line| of_policy(text, policy, line),
        |_, ()| {},
    );
    finish(text, &mut out);
    doubt(&mut out, asked(command, "policy").unwrap_or_default());
    out
}

/// Reads all associations.
pub(crate) fn states(text: &str, command: &Command) -> Outcome<Vec<IpsecState>> {
    let mut out = Outcome::default();
    each_block(
        text,
        &mut out,
        |line| state(text, line),
        |state: &mut IpsecState, line| of_state(text, state, line),
        |_, ()| {},
    );
    finish(text, &mut out);
    let args = asked(command, "state").unwrap_or_default();
    doubt(&mut out, if args == ["nokeys"] { &[] } else { args });
    out
}

fn doubt<T>(out: &mut Outcome<T>, args: &[String]) {
    if !args.is_empty() {
        let partial = Completeness::Partial(format!("filtered: {}", args.join(" ")));
        out.completeness = std::mem::take(&mut out.completeness).and(partial);
    }
}

/// A prefix or an address behind a key.
fn prefix<'a>(input: &'a str, key: &str) -> Parsed<'a, ipnet::IpNet> {
    let what = "an address or a prefix";
    let (rest, word) = token(input)?;
    if word != key {
        return refuse(input, what);
    }
    let (rest, shown) = token(rest)?;
    match network(shown) {
        Some(net) => Ok((rest, net)),
        None => Err(nom::Err::Error(Expected { at: shown, what })),
    }
}

/// `src A dst B proto tcp dport 80 dev eth0`
fn selector<'a>(text: &str, input: &'a str) -> Parsed<'a, Selector> {
    let (rest, src) = prefix(input, "src")?;
    let (mut input, dst) = prefix(rest, "dst")?;
    let mut found =
        Selector { src, dst, proto: None, sport: None, dport: None, dev: None, other: Vec::new() };
    while let Ok((rest, key)) = token(input) {
        input = match key {
            "proto" => set(&mut found.proto, bare(rest, "a protocol after `proto`")?),
            "sport" => set(&mut found.sport, typed(rest, "a port after `sport`")?),
            "dport" => set(&mut found.dport, typed(rest, "a port after `dport`")?),
            "dev" => set(&mut found.dev, name(text, rest, "a device after `dev`")?),
            "type" | "code" | "key" | "uid" => {
                let (rest, value) = name(text, rest, "a value")?;
                found.other.push(Field { key: key.into(), value });
                rest
            }
            _ => return refuse(input, "a condition such as `proto` or `dport`"),
        };
    }
    Ok((input, found))
}

fn policy<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<IpsecPolicy>> {
    let (rest, selector) = selector(text, line)?;
    let policy = IpsecPolicy {
        at: Span::of(text, line),
        selector,
        dir: None,
        socket: false,
        blocks: false,
        priority: 0,
        mark: None,
        if_id: None,
        templates: Vec::new(),
        other: Vec::new(),
    };
    Ok((rest, Read::Took(policy)))
}

/// A line below the selector of a policy.
fn of_policy<'a>(text: &str, policy: &mut IpsecPolicy, line: &'a str) -> Parsed<'a, Read<()>> {
    let (mut input, first) = token(line.trim_start())?;
    match first {
        "dir" | "socket" => {
            let (rest, dir) = name(text, input, "`in`, `out` or `fwd`")?;
            policy.dir = Some(dir);
            policy.socket = first == "socket";
            input = rest;
            while let Ok((rest, key)) = token(input) {
                let (after, value) = bare(rest, "a value")?;
                match key {
                    "action" => policy.blocks = value == "block",
                    "priority" => policy.priority = typed(rest, "a number after `priority`")?.1,
                    // The rest are flags.
                    "flag" => {
                        input = "";
                        continue;
                    }
                    _ => policy.other.push(Field {
                        key: key.into(),
                        value: at(text, crate::keyed::before(rest, after)),
                    }),
                }
                input = after;
            }
        }
        "mark" => input = set(&mut policy.mark, name(text, input, "a mark and its mask")?),
        "if_id" => {
            let (rest, shown) = bare(input, "a number after `if_id`")?;
            policy.if_id = number(&shown);
            input = rest;
        }
        "tmpl" => {
            let (rest, src) = prefix(input, "src")?;
            let (rest, dst) = prefix(rest, "dst")?;
            policy.templates.push(IpsecTemplate {
                src: src.addr(),
                dst: dst.addr(),
                proto: None,
                reqid: None,
                mode: None,
                optional: false,
            });
            input = rest;
        }
        "proto" | "level" => {
            let Some(template) = policy.templates.last_mut() else {
                return refuse(line, "`tmpl` above this line");
            };
            (input, ()) = of_template(template, line)?;
        }
        "offload" | "crypto" | "security" => {
            policy.other.push(Field { key: first.into(), value: at(text, input.trim_end()) });
            input = "";
        }
        _ if is_aside(first) => return Ok(("", Read::Ignored)),
        _ => return refuse(line, "`dir`, `tmpl`, `mark` or another part of a policy"),
    }
    Ok((input, Read::Took(())))
}

/// `proto esp spi 0x00000000(0) reqid 5(0x00000005) mode tunnel`, `level use share any`
fn of_template<'a>(template: &mut IpsecTemplate, line: &'a str) -> Parsed<'a, ()> {
    let mut input = line.trim_start();
    while let Ok((rest, key)) = token(input) {
        let (after, value) = bare(rest, "a value")?;
        match key {
            "proto" => template.proto = Some(value),
            "reqid" => template.reqid = number(&value),
            "mode" => template.mode = Some(value),
            "level" => template.optional = value == "use",
            _ => {}
        }
        input = after;
    }
    Ok((input, ()))
}

fn state<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<IpsecState>> {
    let (rest, selector) = selector(text, line)?;
    let whole = |net: ipnet::IpNet| net.prefix_len() == net.max_prefix_len();
    if !whole(selector.src) || !whole(selector.dst) {
        return refuse(line, "the addresses of both ends");
    }
    let state = IpsecState {
        at: Span::of(text, line),
        src: selector.src.addr(),
        dst: selector.dst.addr(),
        proto: None,
        spi: None,
        reqid: None,
        mode: None,
        other: Vec::new(),
    };
    Ok((rest, Read::Took(state)))
}

/// A line below the ends of an association.
fn of_state<'a>(text: &str, state: &mut IpsecState, line: &'a str) -> Parsed<'a, Read<()>> {
    let (rest, first) = token(line.trim_start())?;
    match first {
        "proto" => {
            let mut input = line.trim_start();
            while let Ok((rest, key)) = token(input) {
                let (after, value) = bare(rest, "a value")?;
                match key {
                    "proto" => state.proto = Some(value),
                    "spi" => state.spi = Some(value),
                    "reqid" => state.reqid = number(&value),
                    "mode" => state.mode = Some(value),
                    _ => {}
                }
                input = after;
            }
        }
        // The name of the method, without its key.
        "enc" | "auth" | "auth-trunc" | "aead" | "comp" => {
            let (_, method) = name(text, rest, "a method")?;
            state.other.push(Field { key: first.into(), value: method });
        }
        "mark" | "if_id" | "sel" | "encap" | "dir" | "output-mark" | "set-mark" | "flag"
        | "crypto" | "replay-window" | "offload" | "coa" | "tfcpad" | "pcpu-num" | "security" => {
            state.other.push(Field { key: first.into(), value: at(text, rest.trim_end()) });
        }
        _ if is_aside(first) => return Ok(("", Read::Ignored)),
        _ => return refuse(line, "`proto`, `enc`, `sel` or another part of an association"),
    }
    Ok(("", Read::Took(())))
}

/// Lifetimes, counters and masks.
fn is_aside(first: &str) -> bool {
    const WORDS: &[&str] = &[
        "lifetime",
        "limit:",
        "expire",
        "add",
        "enc-mask",
        "stats:",
        "replay-window",
        "seq-hi",
        "anti-replay",
        "lastused",
        "seq",
        "seq:",
        "oseq",
        "bitmap",
        "bitmap-length",
        "iptfs-opts",
    ];
    WORDS.contains(&first)
        || first.starts_with(|c: char| c.is_ascii_digit())
            && (first.contains('(') || first.starts_with("0x") || first.len() == 8)
}

/// `5`, `0x5`, `5(0x00000005)`
fn number(shown: &Name) -> Option<u32> {
    let bare = shown.split('(').next().unwrap_or(shown);
    match bare.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => bare.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_have_a_selector_and_templates() {
        let text = "\
src 10.0.0.0/24 dst 10.1.0.0/24 \n\tdir in action block priority 0 ptype main \n\
src 10.0.0.0/24 dst 10.1.0.0/24 proto tcp dport 80 \n\tdir out priority 100 ptype main \n\
\ttmpl src 192.0.2.1 dst 192.0.2.2\n\t\tproto esp reqid 5 mode tunnel\n\
src ::/0 dst ::/0 \n\tsocket in priority 0 ptype main \n\
src 10.0.0.0/24 dst 10.1.0.0/24 uid 0\n\
\tdir fwd action allow index 2 priority 5 ptype main share any flag  (0x00000000)\n\
\tlifetime config:\n\t  limit: soft (INF)(bytes), hard (INF)(bytes)\n\
\t  expire add: soft 0(sec), hard 0(sec)\n\tlifetime current:\n\t  0(bytes), 0(packets)\n\
\t  add 2026-11-30 16:28:01 use -\n\tmark 0x1/0xff \n\
\ttmpl src 192.0.2.1 dst 192.0.2.2\n\
\t\tproto esp spi 0x00000000(0) reqid 5(0x00000005) mode tunnel\n\t\tlevel use share any \n\
\t\tenc-mask ffffffff auth-mask ffffffff comp-mask ffffffff\n\tif_id 0x7\n";
        let out = policies(text, &Command::new("ip -d -s xfrm policy"));
        assert_eq!(out.problems, []);
        assert!(out.completeness.is_complete());
        let [block, out_one, socket, fwd] = out.records.as_slice() else { panic!() };
        let dir = |policy: &IpsecPolicy| policy.dir.as_ref().unwrap().value.to_string();
        assert_eq!((dir(block).as_str(), block.blocks), ("in", true));
        assert_eq!((dir(out_one).as_str(), out_one.blocks, out_one.priority), ("out", false, 100));
        assert_eq!(
            (out_one.selector.dport, out_one.selector.proto.as_deref()),
            (Some(80), Some("tcp"))
        );
        let [template] = out_one.templates.as_slice() else { panic!() };
        assert_eq!(
            (template.reqid, template.mode.as_deref(), template.optional),
            (Some(5), Some("tunnel"), false)
        );
        assert!(socket.socket && !fwd.socket);
        assert!(fwd.templates[0].optional);
        assert_eq!((fwd.if_id, fwd.mark.as_ref().unwrap().value.as_str()), (Some(7), "0x1/0xff"));
        assert_eq!((fwd.templates[0].reqid, dir(fwd).as_str()), (Some(5), "fwd"));
    }

    #[test]
    fn keys_of_associations_are_not_kept() {
        let text = "src 192.0.2.1 dst 192.0.2.2\n\tproto esp spi 0x00000100 reqid 5 mode tunnel\n\
\treplay-window 0 flag af-unspec\n\tauth-trunc hmac(sha1) 0x0011223344 96\n\tenc cbc(aes) 0x00aabbccdd\n\
\tanti-replay context: seq 0x0, oseq 0x0, bitmap 0x00000000\n\tif_id 0x2\n\
\tsel src 0.0.0.0/0 dst 0.0.0.0/0 \n";
        let out = states(text, &Command::new("ip xfrm state"));
        assert_eq!(out.problems, []);
        let [state] = out.records.as_slice() else { panic!() };
        assert_eq!((state.spi.as_deref(), state.reqid), (Some("0x00000100"), Some(5)));
        let shown = format!("{state:?}");
        assert!(!shown.contains("0x0011223344") && !shown.contains("0x00aabbccdd"), "{shown}");
        assert!(shown.contains("cbc(aes)"));
    }

    #[test]
    fn what_is_neither_is_a_problem_and_filters_leave_a_part() {
        let out = policies("src 10.0.0.0/24\n\tdir in\n", &Command::new("ip xfrm policy"));
        assert_eq!(out.lines.unread, 2, "{:?}", out.problems);
        let out = policies(
            "src 10.0.0.0/24 dst 10.1.0.0/24\n\tdir in priority 0\n\tprose is here\n",
            &Command::new("ip xfrm policy"),
        );
        assert_eq!((out.records.len(), out.lines.unread), (1, 1));
        for (line, is_claimed) in [
            ("ip xfrm policy", true),
            ("ip -s x p ls", true),
            ("ip xfrm policy flush", false),
            ("ip xfrm state", false),
            ("ip -o xfrm policy", false),
        ] {
            assert_eq!((POLICY.claims)(&Command::new(line)).is_some(), is_claimed, "{line}");
        }
        let part = (POLICY.claims)(&Command::new("ip xfrm policy list dir out")).unwrap();
        assert!(!part.is_whole(Topic::IpsecPolicies));
        let whole = (STATE.claims)(&Command::new("ip xfrm state list nokeys")).unwrap();
        assert!(whole.is_whole(Topic::IpsecStates));
    }
}
