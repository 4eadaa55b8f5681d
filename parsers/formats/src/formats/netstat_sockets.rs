//! `netstat -tulpn`, `netstat -W -neopa` and their kin: sockets that listen or are connected.
//!
//! Source of the format: net-tools `netstat.c` (`tcp_do_one`, `udp_do_one`, `raw_do_one`,
//! `finish_this_one`); 1.60 to 2.10.
//!
//! ```text
//! Active Internet connections (servers and established)
//! Proto Recv-Q Send-Q Local Address   Foreign Address  State   User  Inode    PID/Program name  Timer
//! tcp        0      0 127.0.0.1:6640  0.0.0.0:*        LISTEN  0     5464616  51/ovsdb-server   off (0.00/0/0)
//! udp        0      0 0.0.0.0:67      0.0.0.0:*                0     5469476  201/dnsmasq       off (0.00/0/0)
//! ```
//!
//! A socket of UDP that is not connected has no state. `User` and `Inode` are printed with `-e`, the
//! program with `-p`, the timer with `-o`. Sockets of files (`Active UNIX domain sockets`) and of
//! other families follow in blocks of their own; they say nothing of networks.
use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::socket::Socket;
use tapline_core::records::{Batch, Field};
use tapline_core::request::Request;
use tapline_core::span::{At, Span};

use crate::format::{Ends, Format};
use crate::keyed::at;
use crate::lines::{Read, bodies, each_line, finish, never_empty};
use crate::nomx::{Parsed, refuse};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("netstat-sockets"),
    command: "netstat -W -neopa",
    // `ss` says the same, and more hosts have it.
    collect: &[],
    claims: |command| lists_sockets(command).then(Request::default),
    sniff: |head| if bodies(head).take(2).any(|line| line.starts_with(HEADING)) { 95 } else { 0 },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// How the block of sockets of the Internet begins.
const HEADING: &str = "Active Internet connections";

/// Whether the options ask for sockets, and for others than those of files alone.
fn lists_sockets(command: &Command) -> bool {
    const OTHER: [char; 8] = ['r', 'i', 's', 'g', 'M', 'c', 'x', 'h'];
    let other = |arg: &String| match arg.strip_prefix("--") {
        Some(long) => !matches!(
            long,
            "tcp"
                | "udp"
                | "numeric"
                | "listening"
                | "all"
                | "programs"
                | "extend"
                | "wide"
                | "inet"
                | "inet6"
                | "timers"
                | "raw"
        ),
        None => !arg.starts_with('-') || arg.contains(OTHER),
    };
    command.program() == "netstat" && !command.args().iter().any(other)
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<Socket>> {
    let mut out = Outcome::default();
    let mut columns = Columns::default();
    let mut of_internet = true;
    each_line(text, &mut out, |line| {
        if line.starts_with("Active ") {
            of_internet = line.starts_with(HEADING);
            return Ok(("", Read::Ignored));
        }
        if line.starts_with("Proto ") {
            columns = Columns { user: line.contains("User"), timer: line.contains("Timer") };
            return Ok(("", Read::Ignored));
        }
        if !of_internet || line.starts_with('(') {
            // `(Not all processes could be identified, …)`
            return Ok(("", Read::Ignored));
        }
        row(text, line, columns)
    });
    finish(text, &mut out);
    never_empty(&mut out, "a heading");
    let has = |short: char, long: &str| {
        command.args().iter().any(|arg| match arg.strip_prefix("--") {
            Some(word) => word == long,
            None => arg.contains(short),
        })
    };
    let (tcp, udp) = (has('t', "tcp"), has('u', "udp"));
    // Without these, only connections are listed.
    let listeners = has('a', "all") || has('l', "listening");
    if !listeners || tcp != udp || has('4', "inet") || has('6', "inet6") {
        let partial = Completeness::Partial("shows a part of the sockets".to_owned());
        out.completeness = std::mem::take(&mut out.completeness).and(partial);
    }
    out
}

/// Which columns there are beside those of every output.
#[derive(Clone, Copy, Default, Debug)]
struct Columns {
    user: bool,
    timer: bool,
}

const STATES: &[&str] = &[
    "LISTEN",
    "ESTABLISHED",
    "TIME_WAIT",
    "CLOSE_WAIT",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "LAST_ACK",
    "CLOSING",
    "CLOSE",
    "UNKNOWN",
];

fn row<'a>(text: &str, line: &'a str, columns: Columns) -> Parsed<'a, Read<Socket>> {
    let what = "a protocol, two queues, a local and a foreign address";
    let mut words = line.split_whitespace().peekable();
    let protocol = words.next().unwrap_or_default();
    // `udplite6`, `raw`, `sctp`, …
    if !protocol.starts_with(|letter: char| letter.is_ascii_lowercase()) {
        return refuse(line, what);
    }
    let mut queue = || words.next()?.parse::<u64>().ok();
    let (Some(receive), Some(send)) = (queue(), queue()) else { return refuse(line, what) };
    let (Some(local), Some(peer)) = (words.next(), words.next()) else { return refuse(line, what) };
    let (Some((address, port)), true) = (local.rsplit_once(':'), peer.contains(':')) else {
        return refuse(line, what);
    };
    let raw_state = |word: &&str| protocol.starts_with("raw") && word.len() < 3;
    let state = words.next_if(|word| STATES.contains(word) || raw_state(word));
    let mut other = Vec::new();
    if columns.user {
        for key in ["user", "inode"] {
            if let Some(word) = words.next() {
                other.push(Field { key: key.into(), value: at(text, word) });
            }
        }
    }
    let mut processes = Vec::new();
    if let Some((pid, name)) = words.peek().and_then(|word| word.split_once('/'))
        && pid.bytes().all(|byte| byte.is_ascii_digit())
    {
        processes.push(at(text, name));
        words.next();
    }
    let rest = words.next().map(|first| Span::of(text, first).start);
    if let (true, Some(start)) = (columns.timer, rest) {
        let from = usize::try_from(start.saturating_sub(Span::of(text, line).start)).unwrap_or(0);
        let timer = line.get(from..).unwrap_or_default().trim_end();
        other.push(Field { key: "timer".into(), value: at(text, timer) });
    }
    Ok((
        "",
        Read::Took(Socket {
            at: Span::of(text, line),
            protocol: Some(at(text, protocol)),
            state: state.map(Name::from),
            receive_queue: receive,
            send_queue: send,
            address: At::new(address.into(), Span::of(text, address)),
            port: At::new(port.into(), Span::of(text, port)),
            peer: Some(peer).filter(|peer| !peer.ends_with(":*")).map(|peer| at(text, peer)),
            processes,
            other,
        }),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(socket: &Socket) -> String {
        let names: Vec<_> = socket.processes.iter().map(|name| name.as_str()).collect();
        format!(
            "{} {} {}:{} {}",
            socket.protocol.as_ref().unwrap().as_str(),
            socket.state.as_deref().unwrap_or("-"),
            *socket.address,
            *socket.port,
            names.join(",")
        )
    }

    #[test]
    fn columns_follow_the_heading() {
        let text = "Active Internet connections (servers and established)\n\
            Proto Recv-Q Send-Q Local Address           Foreign Address         State       User       Inode      PID/Program name     Timer\n\
            tcp        0      0 127.0.0.1:6640          0.0.0.0:*               LISTEN      0          5464616    51/ovsdb-server      off (0.00/0/0)\n\
            tcp6       0      0 :::22                   :::*                    LISTEN      0          1          7/sshd: /usr/sbin    off (0.00/0/0)\n\
            udp        0      0 0.0.0.0:67              0.0.0.0:*                           0          5469476    201/dnsmasq          off (0.00/0/0)\n\
            raw        0      0 0.0.0.0:112             0.0.0.0:*               7           0          9          8/keepalived         off (0.00/0/0)\n\
            Active UNIX domain sockets (servers and established)\n\
            Proto RefCnt Flags       Type       State         I-Node   PID/Program name     Path\n\
            unix  3      [ ]         STREAM     CONNECTED     5469652  109/libvirtd         \n";
        let out = parse(text, &Command::new("netstat -W -neopa"));
        assert_eq!(out.problems, []);
        assert!(out.completeness.is_complete());
        assert_eq!(
            out.records.iter().map(show).collect::<Vec<_>>(),
            [
                "tcp LISTEN 127.0.0.1:6640 ovsdb-server",
                "tcp6 LISTEN :::22 sshd:",
                "udp - 0.0.0.0:67 dnsmasq",
                "raw 7 0.0.0.0:112 keepalived"
            ]
        );
        let timer = Field::find(&out.records[0].other, "timer").unwrap();
        assert_eq!(timer.value, "off (0.00/0/0)");
    }

    #[test]
    fn what_was_asked_for_says_whether_all_are_there() {
        let text = "Active Internet connections (only servers)\n\
            Proto Recv-Q Send-Q Local Address           Foreign Address         State\n\
            udp        0      0 0.0.0.0:68              0.0.0.0:*\n";
        for (command, complete) in [
            ("netstat -tulpn", true),
            ("netstat -an", true),
            ("netstat -tlpn", false),
            ("netstat -n", false),
            ("netstat --tcp --udp --listening", true),
            ("netstat -4 -tulpn", false),
        ] {
            let command = Command::new(command);
            assert!(lists_sockets(&command), "{command:?}");
            let out = parse(text, &command);
            assert_eq!(out.records.len(), 1);
            assert_eq!(out.completeness.is_complete(), complete, "{command:?}");
        }
        for other in
            ["netstat -rn", "netstat -i", "netstat -s", "netstat -x", "netstat -agn", "ss -an"]
        {
            assert!(!lists_sockets(&Command::new(other)), "{other}");
        }
    }

    #[test]
    fn what_is_no_socket_is_a_problem() {
        let text = "Active Internet connections (only servers)\n\
            Proto Recv-Q Send-Q Local Address           Foreign Address         State\n\
            tcp        x      0 0.0.0.0:22              0.0.0.0:*               LISTEN\n\
            tcp        0      0 0.0.0.0:22              0.0.0.0:*               LISTEN\n";
        let out = parse(text, &Command::new("netstat -tulpn"));
        assert_eq!((out.records.len(), out.problems.len()), (1, 1));
    }
}
