//! `virsh domiflist`: interfaces of one domain. Which domain, only the command says.
//!
//! Source of the format: libvirt `tools/virsh-domain-monitor.c` (`cmdDomIflist`); 0.9.13 to 11.
//!
//! ```text
//!  Interface        Type     Source   Model    MAC
//! ----------------------------------------------------------------
//!  tap2ad2ab0d-f0   bridge   br-int   virtio   fa:16:3e:11:22:34
//! ```
//!
//! A value that is not set is `-`. Sources may hold blanks, the other columns do not. A heading
//! alone is a complete answer.
use tapline_core::capture::{Command, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::Batch;
use tapline_core::records::libvirt::DomainInterface;
use tapline_core::request::Request;
use tapline_core::span::{At, Span};

use super::virsh;
use crate::format::{Ends, Format, Per};
use crate::lines::{Read, bodies, each_line, finish, never_empty};
use crate::nomx::{Parsed, refuse, word};
use crate::ovsdb::doubt_unread;

pub(crate) static FORMAT: Format = Format {
    id: FormatId("virsh-domiflist"),
    command: "virsh domiflist",
    collect: &[Per::Domain.run("virsh -r domiflist {}")],
    claims: |command| {
        let args = virsh::args_of(command, "domiflist")?;
        Some(Request::default().about(virsh::named_in(args)))
    },
    sniff: |head| if bodies(head).take(8).any(is_heading) { 95 } else { 0 },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// Words may be translated, `MAC` is not.
fn is_heading(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words.next() == Some("Interface")
        && words.next_back().is_some_and(|back| back.starts_with("MAC"))
        && words.count() == 3
}

/// Five words right above a rule of dashes, in whatever language; the last is not a MAC address.
fn is_heading_above(text: &str, line: &str) -> bool {
    let after = text.get(Span::of(text, line).end as usize..).unwrap_or_default();
    let next = after.trim_start_matches([' ', '\t', '\r']).strip_prefix('\n');
    next.and_then(|next| next.lines().next()).is_some_and(virsh::is_rule)
        && line.split_whitespace().count() >= 5
        && line.contains("MAC")
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<DomainInterface>> {
    let mut out = Outcome::default();
    each_line(text, &mut out, |line| {
        let carries_nothing = virsh::is_decoration(line)
            || virsh::prompt(line).is_some()
            || is_heading(line)
            || is_heading_above(text, line);
        if carries_nothing { Ok(("", Read::Ignored)) } else { row(text, line) }
    });
    finish(text, &mut out);
    doubt_unread(&mut out);
    if !command.argv.iter().any(|argv| argv == "-q" || argv == "--quiet") {
        never_empty(&mut out, "a heading");
    }
    out
}

/// Target and type from the left, MAC and model from the right; the source is what is between.
fn row<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<DomainInterface>> {
    let (rest, target) = word(line.trim_start())?;
    let (rest, kind) = word(rest.trim_start())?;
    let mut columns = rest.rsplitn(2, char::is_whitespace);
    let mac = columns.next().unwrap_or_default();
    let rest = columns.next().unwrap_or_default().trim_end();
    let mut columns = rest.rsplitn(2, char::is_whitespace);
    let model = columns.next().unwrap_or_default();
    let source = columns.next().unwrap_or_default().trim();
    let address = match mac {
        "-" => None,
        mac => match mac.parse() {
            Ok(address) => Some(At::new(address, Span::of(text, mac))),
            Err(_) => return refuse(mac, "a MAC address at the end of the line"),
        },
    };
    if source.is_empty() || model.is_empty() {
        return refuse(line, "interface, type, source, model and MAC");
    }
    let at = |part: &str| At::new(part.into(), Span::of(text, part));
    let set = |part| Some(part).filter(|it| *it != "-").map(at);
    let record = DomainInterface {
        at: Span::of(text, line),
        target: set(target),
        kind: at(kind),
        source: set(source),
        model: set(model),
        mac: address,
    };
    Ok(("", Read::Took(record)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Outcome<Vec<DomainInterface>> {
        parse(text, &Command::new("virsh domiflist vm"))
    }

    #[test]
    fn rows_are_split_from_both_ends() {
        let text = " Interface   Type      Source     Model    MAC\n-------------------\n \
                    tap0        bridge    br-int     virtio   fa:16:3e:11:22:34\n \
                    -           network   my net 1   -        52:54:00:aa:bb:01\n\
                    vnet1      ethernet   -          e1000       52:54:00:aa:bb:02\n\n";
        let out = read(text);
        assert_eq!((out.lines.read, out.lines.ignored, out.lines.unread), (3, 2, 0));
        let [first, second, third] = out.records.as_slice() else { panic!() };
        assert_eq!(
            (first.target.as_ref().unwrap().as_str(), first.kind.as_str()),
            ("tap0", "bridge")
        );
        assert_eq!(first.mac.unwrap().to_string(), "fa:16:3e:11:22:34");
        assert_eq!((&second.target, &second.model), (&None, &None));
        assert_eq!(second.source.as_ref().unwrap().as_str(), "my net 1");
        assert_eq!(third.source, None);
        assert_eq!((FORMAT.sniff)(text), 95);
    }

    #[test]
    fn no_interfaces_is_an_answer_and_an_error_is_none() {
        let heading =
            " Interface   Type   Source   Model   MAC\n-------------------------------\n\n";
        assert!(read(heading).completeness.is_complete());
        assert!(read("error: failed to get domain 'x'\n").completeness.is_failed());
        assert!(read("\n").completeness.is_failed());
        let out = read(" a b c\n tap0 bridge br0 virtio nomac\n");
        assert_eq!((out.records.len(), out.lines.unread), (0, 2));
        assert!(out.completeness.is_failed());
    }
}
