//! `ss -lntup` and its kin: sockets that listen or are connected.
//!
//! Source of the format: iproute2 `misc/ss.c` (`sock_state_print`, `inet_addr_print`,
//! `proc_ctx_print`); 3.x to 6.x.
//!
//! ```text
//! Netid State  Recv-Q Send-Q Local Address:Port Peer Address:Port Process
//! udp   UNCONN 0      0            0.0.0.0:4789      0.0.0.0:*
//! tcp   LISTEN 0      128             [::]:22           [::]:*     users:(("sshd",pid=7,fd=4))
//! ```
//!
//! `Netid` is missing where one protocol was asked for, `State` where one state was. The columns
//! follow from the heading; without it from the words.
use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::socket::Socket;
use tapline_core::records::{Batch, Field};
use tapline_core::request::Request;
use tapline_core::span::{At, Span};

use crate::format::{Ends, Format, Per};
use crate::keyed::at;
use crate::lines::{Read, bodies, each_line, finish, never_empty};
use crate::nomx::{Parsed, refuse};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("ss"),
    command: "ss -lntup",
    collect: &[Per::Host.run("ss -lntup")],
    claims: |command| {
        // Without a protocol all families are listed, sockets of files among them.
        let protocol = |text: &String| {
            !text.starts_with("--") && text.contains(['t', 'u'])
                || text == "--tcp"
                || text == "--udp"
        };
        let is = command.program() == "ss"
            && command.args().iter().all(|arg| arg.starts_with('-'))
            && command.args().iter().any(protocol)
            && !is_summary(command);
        is.then(Request::default)
    },
    sniff: |head| if bodies(head).take(3).any(is_heading) { 95 } else { 0 },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// `-s` prints counts only, `-K` closes sockets.
fn is_summary(command: &Command) -> bool {
    let flag = |letter: char| {
        move |text: &String| {
            text.starts_with('-') && !text.starts_with("--") && text.contains(letter)
        }
    };
    command.args().iter().any(flag('s'))
        || command.args().iter().any(flag('K'))
        || command.args().iter().any(|arg| arg == "--summary" || arg == "--kill")
}

/// With `Netid`, with `State`, or with neither.
fn is_heading(line: &str) -> bool {
    line.contains("Recv-Q") && line.contains("Send-Q") && line.contains("Local Address:Port")
}

/// Which columns there are.
#[derive(Clone, Copy, Debug)]
struct Columns {
    netid: bool,
    state: bool,
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<Socket>> {
    let mut out = Outcome::default();
    let mut columns = None;
    each_line(text, &mut out, |line| {
        if is_heading(line) {
            columns =
                Some(Columns { netid: line.contains("Netid"), state: line.contains("State") });
            return Ok(("", Read::Ignored));
        }
        if line.starts_with([' ', '\t']) && line.contains(':') && columns.is_some() {
            // `-i` and `-o` print details below a socket.
            return Ok(("", Read::Ignored));
        }
        row(text, line, columns)
    });
    finish(text, &mut out);
    let quiet = command.args().iter().any(|arg| arg == "-H" || arg == "--no-header");
    if !quiet {
        never_empty(&mut out, "a heading");
    }
    let all = |letters: &[char]| {
        letters.iter().all(|letter| {
            command.args().iter().any(|arg| !arg.starts_with("--") && arg.contains(*letter))
        })
    };
    // Without options only connected sockets are listed; every option picks some.
    if !(all(&['t', 'u']) && (all(&['l']) || all(&['a']))) {
        let partial = Completeness::Partial("shows a part of the sockets".to_owned());
        out.completeness = std::mem::take(&mut out.completeness).and(partial);
    }
    out
}

fn row<'a>(text: &str, line: &'a str, columns: Option<Columns>) -> Parsed<'a, Read<Socket>> {
    const STATES: &[&str] = &[
        "LISTEN",
        "UNCONN",
        "ESTAB",
        "TIME-WAIT",
        "CLOSE-WAIT",
        "SYN-SENT",
        "SYN-RECV",
        "FIN-WAIT-1",
        "FIN-WAIT-2",
        "LAST-ACK",
        "CLOSING",
        "CLOSED",
    ];
    let what = "a state, two queues, a local and a peer address";
    let words: Vec<&str> = line.split_whitespace().collect();
    let columns = columns.unwrap_or_else(|| {
        let is_state = |at: usize| words.get(at).is_some_and(|it| STATES.contains(it));
        Columns { netid: is_state(1), state: is_state(0) || is_state(1) }
    });
    let mut words = words.into_iter();
    let netid = if columns.netid { words.next() } else { None };
    let state = if columns.state { words.next() } else { None };
    if state.is_some_and(|state| !STATES.contains(&state)) {
        return refuse(line, what);
    }
    let mut queue = || words.next()?.parse::<u64>().ok();
    let (Some(receive), Some(send)) = (queue(), queue()) else { return refuse(line, what) };
    let (Some(local), Some(peer)) = (words.next(), words.next()) else { return refuse(line, what) };
    let (Some((address, port)), true) = (local.rsplit_once(':'), peer.contains(':')) else {
        return refuse(line, what);
    };
    let mut socket = Socket {
        at: Span::of(text, line),
        protocol: netid.map(|netid| at(text, netid)),
        state: state.map(Name::from),
        receive_queue: receive,
        send_queue: send,
        // `127.0.0.53%lo`, `[fe80::1]%eth0`.
        address: At::new(address.into(), Span::of(text, address)),
        port: At::new(port.into(), Span::of(text, port)),
        peer: Some(peer).filter(|it| !it.ends_with(":*")).map(|it| at(text, it)),
        processes: Vec::new(),
        other: Vec::new(),
    };
    for word in words {
        match word.strip_prefix("users:((") {
            Some(users) => {
                let names = users.split("),(").filter_map(|it| it.split('"').nth(1));
                socket.processes.extend(names.map(|name| at(text, name)));
            }
            None => {
                let (key, value) =
                    word.split_once(':').unwrap_or_else(|| word.split_at(word.len()));
                socket.other.push(Field { key: key.into(), value: at(text, value) });
            }
        }
    }
    socket.processes.dedup_by(|a, b| a.value == b.value);
    Ok(("", Read::Took(socket)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, command: &str) -> Outcome<Vec<Socket>> {
        parse(text, &Command::new(command))
    }

    #[test]
    fn listeners_have_ports_and_processes() {
        let text = "Netid State  Recv-Q Send-Q Local Address:Port Peer Address:Port Process\n\
            udp   UNCONN 0      0            0.0.0.0:4789      0.0.0.0:*\n\
            udp   UNCONN 0      0      127.0.0.53%lo:53        0.0.0.0:*     users:((\"resolved\",pid=7,fd=12))\n\
            tcp   LISTEN 0      128             [::]:22           [::]:*     users:((\"sshd\",pid=7,fd=4),(\"sshd\",pid=8,fd=4))\n";
        let out = read(text, "ss -lntup");
        assert_eq!(out.problems, []);
        assert!(out.completeness.is_complete());
        let show = |it: &Socket| {
            let all: Vec<_> = it.processes.iter().map(|process| process.as_str()).collect();
            format!(
                "{} {}:{} {}",
                it.protocol.as_ref().unwrap().as_str(),
                *it.address,
                *it.port,
                all.join(",")
            )
        };
        assert_eq!(
            out.records.iter().map(show).collect::<Vec<_>>(),
            ["udp 0.0.0.0:4789 ", "udp 127.0.0.53%lo:53 resolved", "tcp [::]:22 sshd"]
        );
    }

    #[test]
    fn columns_follow_the_heading_or_the_words() {
        let text =
            "State  Recv-Q Send-Q Local Address:Port Peer Address:Port\nLISTEN 0 5 *:80 *:*\n";
        assert_eq!(read(text, "ss -lnt").records.len(), 1);
        assert!(!read(text, "ss -lnt").completeness.is_complete());
        let out = read("LISTEN 0 5 *:80 *:*\nESTAB 0 0 192.0.2.7:22 192.0.2.1:50000\n", "ss -Hant");
        assert_eq!((out.records.len(), out.problems.len()), (2, 0));
        assert_eq!(out.records[1].peer.as_ref().unwrap().as_str(), "192.0.2.1:50000");
    }

    #[test]
    fn words_behind_the_peer_are_kept() {
        let text = "tcp LISTEN 0 5 *:80 *:* ino:7 sk:a <->\n";
        let out = read(text, "ss -lntupe");
        assert_eq!((out.records.len(), out.problems.len(), out.records[0].other.len()), (1, 0, 3));
    }

    #[test]
    fn foreign_lines_are_problems() {
        for text in ["hello\n", "tcp LISTEN x y *:80 *:*\n", "tcp LISTEN 0 0 nothing here\n"] {
            assert_eq!(read(text, "ss -lntup").lines.unread, 1, "{text}");
        }
        assert!(FORMAT.reads(&Command::new("ss -lntup")));
        for line in ["ss", "ss -s", "ss -peaonmi", "ss -K dst 192.0.2.1", "ss state listening"] {
            assert!(!FORMAT.reads(&Command::new(line)), "{line}");
        }
    }
}
