//! `ifconfig` and `netstat -i` of net-tools: what people pasted before `ip`.
//!
//! Source of the format: net-tools `lib/interface.c` (`ife_print_long`, `ife_print_short`), 1.60 and
//! 2.x; busybox prints as 1.60 does.
//!
//! ```text
//! eth0: flags=4163<UP,BROADCAST,RUNNING,MULTICAST>  mtu 1500
//!         inet 192.0.2.7  netmask 255.255.255.0  broadcast 192.0.2.255
//!         ether 52:54:00:00:00:07  txqueuelen 1000  (Ethernet)
//!
//! eth0      Link encap:Ethernet  HWaddr 52:54:00:00:00:07
//!           inet addr:192.0.2.7  Bcast:192.0.2.255  Mask:255.255.255.0
//!           UP BROADCAST RUNNING MULTICAST  MTU:1500  Metric:1
//! ```
//!
//! Without `-a` both list only devices that are up. Flags are kept in the words of `ip`, which has
//! `NO-CARRIER` for up without `RUNNING` and hides the word itself (`print_link_flags`). An alias
//! such as `eth0:1` is an address of `eth0` with that label. Version 1.60 cuts names after nine
//! characters.
mod lines;
mod table;

use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::{Fate, Outcome};
use tapline_core::records::Batch;
use tapline_core::records::link::{Link, ONLY_UP};
use tapline_core::request::Request;
use tapline_core::span::{At, Span};

use crate::format::{Ends, Format};
use crate::lines::{Read, bodies, finish, never_empty, one_line, orphan};
use crate::nomx::{Parsed, refuse};

/// `ifconfig`.
pub(crate) static IFCONFIG: Format = Format {
    id: FormatId("ifconfig"),
    command: "ifconfig -a",
    collect: &[],
    claims: |command| asked(command).filter(|_| !is_table(command)).map(request),
    sniff: |head| if bodies(head).take(3).any(|line| header(line).is_some()) { 90 } else { 0 },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// `netstat -i`, `ifconfig -s`.
pub(crate) static TABLE: Format = Format {
    id: FormatId("netstat-i"),
    command: "netstat -i -a",
    collect: &[],
    claims: |command| asked(command).filter(|_| is_table(command)).map(request),
    sniff: |head| if bodies(head).take(3).any(table::is_heading) { 90 } else { 0 },
    read: |text, command| table::parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// What was asked for: all devices, those that are up, or one.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Asked {
    All,
    Up,
    One(String),
}

fn request(asked: Asked) -> Request {
    match asked {
        Asked::All => Request::default(),
        Asked::Up => Request::filtered(&[], true),
        Asked::One(name) => Request::filtered(&[], true).about(Some(&name)),
    }
}

/// What a command line that lists asks for; `None` for one that changes something.
fn asked(command: &Command) -> Option<Asked> {
    let netstat = match command.program() {
        "ifconfig" => false,
        "netstat" => true,
        _ => return None,
    };
    let (mut asked, mut shows) = (Asked::Up, !netstat);
    for word in command.args() {
        match word.strip_prefix('-') {
            None if netstat || asked != Asked::Up => return None,
            None => asked = Asked::One(word.clone()),
            Some("-interfaces" | "interfaces") => shows = true,
            Some("-all") => asked = Asked::All,
            Some(letters) => {
                let known = if netstat { "iaevn" } else { "asv" };
                if letters.is_empty() || !letters.chars().all(|c| known.contains(c)) {
                    return None;
                }
                shows |= letters.contains('i');
                if letters.contains('a') {
                    asked = Asked::All;
                }
            }
        }
    }
    shows.then_some(asked)
}

/// Whether the output is a table: `netstat -i`, `ifconfig -s`.
fn is_table(command: &Command) -> bool {
    let has = |letter: char| {
        command
            .args()
            .iter()
            .any(|arg| arg.starts_with('-') && !arg.starts_with("--") && arg.contains(letter))
    };
    match command.program() {
        // With `-e` it is that of `ifconfig`.
        "netstat" => !has('e'),
        _ => has('s'),
    }
}

/// Ends both readers: what the command leaves out.
fn ended(text: &str, command: &Command, out: &mut Outcome<Vec<Link>>) {
    finish(text, out);
    let asked = asked(command).unwrap_or(Asked::Up);
    if asked == Asked::All {
        never_empty(out, "a device lo");
    }
    let partial = match asked {
        Asked::All => return,
        Asked::Up => ONLY_UP.to_owned(),
        Asked::One(name) => format!("shows only `{name}`"),
    };
    out.completeness = std::mem::take(&mut out.completeness).and(Completeness::Partial(partial));
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<Link>> {
    let mut out = Outcome::default();
    let mut reader = Reader { text, links: Vec::new(), open: None };
    let mut over = false;
    for body in bodies(text) {
        // What was typed, and the output of what was typed next.
        over |= is_other_prompt(body);
        if over || is_typed(body) {
            out.lines.add(if body.is_empty() { Fate::Blank } else { Fate::Ignored });
            reader.open = None;
            continue;
        }
        if body.starts_with("Infiniband hardware address can be incorrect!") {
            // In the midst of the device that it is about.
            out.lines.add(Fate::Ignored);
            continue;
        }
        let indented = body.starts_with([' ', '\t']);
        if body.is_empty() {
            one_line::<_, ()>(text, body, &mut out, &mut |line| refuse(line, ""));
        } else if indented && reader.open.is_none() {
            orphan(text, body, &mut out);
        } else {
            one_line(text, body, &mut out, &mut |line| reader.line(line, indented));
        }
    }
    let mut out = out.map(|()| reader.links);
    ended(text, command, &mut out);
    out
}

/// The command itself, with or without a prompt.
fn is_typed(line: &str) -> bool {
    let words = line.trim_start_matches(['#', '$', ' ']);
    words == "ifconfig" || words.starts_with("ifconfig ")
}

/// The prompt of another shell with a command: `mininet> h1 ping h2`.
fn is_other_prompt(line: &str) -> bool {
    line.split_once("> ").is_some_and(|(name, typed)| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric()) && !typed.is_empty()
    })
}

/// Which device the next lines are about.
#[derive(Clone, Copy)]
struct Open<'a> {
    link: usize,
    /// The name with its alias, if it has one.
    label: Option<&'a str>,
}

struct Reader<'a> {
    text: &'a str,
    links: Vec<Link>,
    open: Option<Open<'a>>,
}

impl<'a> Reader<'a> {
    fn line(&mut self, line: &'a str, indented: bool) -> Parsed<'a, Read<()>> {
        if !indented {
            self.open = None;
            let Some((full, rest)) = header(line) else {
                return refuse(line, "a device, such as `eth0: flags=…` or `eth0  Link encap:…`");
            };
            self.start(full, line);
            return self.below(rest.trim_start());
        }
        self.below(line.trim_start())
    }

    /// A device begins, or an alias of one.
    fn start(&mut self, full: &'a str, line: &'a str) {
        let name = full.split(':').next().unwrap_or(full);
        let label = (name.len() < full.len()).then_some(full);
        // Of the alias only: there may be many devices.
        let known = label.and_then(|_| self.links.iter().rposition(|link| *link.name == name));
        let link = known.unwrap_or(self.links.len());
        if known.is_none() {
            let at = At::new(Name::new(name), Span::of(self.text, name));
            self.links.push(Link::named(Span::of(self.text, line), at));
        }
        self.open = Some(Open { link, label });
    }

    fn below(&mut self, line: &'a str) -> Parsed<'a, Read<()>> {
        let Some(open) = self.open else { return refuse(line, "a device above this line") };
        let Some(link) = self.links.get_mut(open.link) else {
            return refuse(line, "a device above this line");
        };
        lines::read(self.text, line, link, open.label)
    }
}

/// The name of the device, with its alias, and the rest of a heading; `None` for another line.
fn header(line: &str) -> Option<(&str, &str)> {
    if line.starts_with([' ', '\t']) {
        return None;
    }
    if let Some((name, rest)) = line.split_once(": flags=") {
        let flags = rest.trim_start_matches(|it: char| it.is_ascii_hexdigit());
        let is = flags.starts_with('<') && !name.contains(char::is_whitespace);
        let from = name.len() + 2;
        return line.get(from..).filter(|_| is).map(|rest| (name, rest));
    }
    let (name, rest) = line.split_once("Link encap:")?;
    let from = name.len();
    let name = name.trim_end();
    let is = !name.is_empty() && !name.contains(char::is_whitespace) && !rest.is_empty();
    line.get(from..).filter(|_| is).map(|rest| (name, rest))
}

#[cfg(test)]
mod tests {
    use tapline_core::ids::Mac;

    use super::*;

    const NEW: &str = "\
eth0: flags=4163<UP,BROADCAST,RUNNING,MULTICAST>  mtu 1500
        inet 192.0.2.7  netmask 255.255.255.0  broadcast 192.0.2.255
        inet6 fe80::5054:ff:fe00:7  prefixlen 64  scopeid 0x20<link>
        inet6 2001:db8::7  prefixlen 48  scopeid 0x0<global>
        ether 52:54:00:00:00:07  txqueuelen 1000  (Ethernet)
        RX packets 317  bytes 33996 (33.1 KiB)
        RX errors 1  dropped 2  overruns 3  frame 4
        TX packets 103  bytes 10998 (10.7 KiB)
        TX errors 5  dropped 6 overruns 7  carrier 8  collisions 9
        device memory 0xdcb00000-dcbfffff

eth0:1: flags=4163<UP,BROADCAST,RUNNING,MULTICAST>  mtu 1500
        inet 192.0.2.8  netmask 255.255.255.0  broadcast 192.0.2.255
        ether 52:54:00:00:00:07  txqueuelen 1000  (Ethernet)

bond0: flags=5123<UP,BROADCAST,MASTER,MULTICAST>  mtu 9000
        ether 52:54:00:00:00:08  txqueuelen 1000  (Ethernet)

tun0: flags=4305<UP,POINTOPOINT,RUNNING,NOARP,MULTICAST>  mtu 1500
        inet 10.8.0.6  netmask 255.255.255.255  destination 10.8.0.5
        unspec 00-00-00-00-00-00-00-00-00-00-00-00-00-00-00-00  txqueuelen 100  (UNSPEC)

lo: flags=73<UP,LOOPBACK,RUNNING>  mtu 65536
        inet 127.0.0.1  netmask 255.0.0.0
        loop  txqueuelen 1000  (Local Loopback)
";

    const OLD: &str = "\
eth0      Link encap:Ethernet  HWaddr 52:54:00:00:00:07
          inet addr:192.0.2.7  Bcast:192.0.2.255  Mask:255.255.255.0
          inet6 addr: fe80::5054:ff:fe00:7/64 Scope:Link
          UP BROADCAST RUNNING MULTICAST  MTU:1500  Metric:1
          RX packets:317 errors:1 dropped:2 overruns:3 frame:4
          TX packets:103 errors:5 dropped:6 overruns:7 carrier:8
          collisions:9 txqueuelen:1000
          RX bytes:33996 (33.9 KB)  TX bytes:10998 (10.9 KB)
          Interrupt:16 Memory:dcb00000-dcc00000

eth0:1    Link encap:Ethernet  HWaddr 52:54:00:00:00:07
          inet addr:192.0.2.8  Bcast:192.0.2.255  Mask:255.255.255.0
          UP BROADCAST RUNNING MULTICAST  MTU:1500  Metric:1

eth1      Link encap:Ethernet  HWaddr 52:54:00:00:00:09
          BROADCAST MULTICAST  MTU:1500  Metric:1

lo        Link encap:Local Loopback
          inet addr:127.0.0.1  Mask:255.0.0.0
          UP LOOPBACK RUNNING  MTU:65536  Metric:1
";

    fn read(text: &str, command: &str) -> Outcome<Vec<Link>> {
        parse(text, &Command::new(command))
    }

    fn link<'a>(out: &'a Outcome<Vec<Link>>, name: &str) -> &'a Link {
        out.records.iter().find(|link| *link.name == name).unwrap()
    }

    #[test]
    fn both_dialects_give_the_same_device() {
        for (text, addresses) in [(NEW, 4), (OLD, 3)] {
            let out = read(text, "ifconfig -a");
            assert_eq!(out.problems, [], "{text}");
            assert!(out.completeness.is_complete());
            let eth0 = link(&out, "eth0");
            assert_eq!(
                eth0.mac.as_ref().unwrap().value,
                "52:54:00:00:00:07".parse::<Mac>().unwrap()
            );
            assert_eq!(eth0.mtu.as_ref().unwrap().value, 1500);
            assert_eq!(eth0.link_type.as_deref(), Some("ether"));
            assert!(eth0.has_flag("UP") && eth0.has_flag("LOWER_UP") && !eth0.has_flag("RUNNING"));
            assert_eq!(eth0.addresses.len(), addresses);
            let first = &eth0.addresses[0];
            assert_eq!((first.ip.to_string().as_str(), first.prefix), ("192.0.2.7", 24));
            assert_eq!(first.broadcast.unwrap().to_string(), "192.0.2.255");
            let alias = eth0.addresses.last().unwrap();
            assert_eq!(
                (alias.ip.to_string().as_str(), alias.label.as_deref()),
                ("192.0.2.8", Some("eth0:1"))
            );
            let stats = eth0.stats.as_ref().unwrap();
            let count =
                |all: &[(Name, u64)], name: &str| all.iter().find(|it| it.0 == name).map(|it| it.1);
            assert_eq!(count(&stats.rx, "packets"), Some(317));
            assert_eq!(count(&stats.rx, "bytes"), Some(33996));
            assert_eq!(count(&stats.rx, "dropped"), Some(2));
            assert_eq!(count(&stats.tx, "bytes"), Some(10998));
            assert_eq!(count(&stats.tx, "carrier"), Some(8));
            assert_eq!(count(&stats.tx, "collsns"), Some(9));
            assert_eq!(link(&out, "lo").link_type.as_deref(), Some("loopback"));
        }
    }

    #[test]
    fn flags_are_those_of_ip() {
        let out = read(NEW, "ifconfig -a");
        let bond = link(&out, "bond0");
        assert!(
            bond.has_flag("MASTER") && bond.has_flag("NO-CARRIER") && !bond.has_flag("LOWER_UP")
        );
        let tun = link(&out, "tun0");
        assert_eq!(tun.addresses[0].peer.unwrap().to_string(), "10.8.0.5");
        let out = read(OLD, "ifconfig -a");
        let down = link(&out, "eth1");
        assert!(!down.has_flag("UP") && !down.has_flag("NO-CARRIER"));
    }

    #[test]
    fn without_a_only_what_is_up_is_listed() {
        for (command, reason) in [
            ("ifconfig", ONLY_UP),
            ("ifconfig -v", ONLY_UP),
            ("ifconfig eth0", "shows only `eth0`"),
        ] {
            let out = read(OLD, command);
            assert_eq!(out.completeness, Completeness::Partial(reason.to_owned()), "{command}");
        }
    }

    #[test]
    fn only_what_lists_is_claimed() {
        for line in ["ifconfig", "ifconfig -a", "ifconfig eth0", "netstat -ie"] {
            assert!(IFCONFIG.reads(&Command::new(line)), "{line}");
        }
        for line in ["netstat -i", "netstat -ian", "ifconfig -s -a"] {
            assert!(TABLE.reads(&Command::new(line)), "{line}");
        }
        for line in
            ["ifconfig eth0 up", "ifconfig eth0 10.0.0.1/8", "netstat -rn", "netstat -i -p tcp"]
        {
            let command = Command::new(line);
            assert!(!IFCONFIG.reads(&command) && !TABLE.reads(&command), "{line}");
        }
    }

    #[test]
    fn the_table_has_flags_and_counters() {
        let text = "Kernel Interface table\n\
            Iface      MTU    RX-OK RX-ERR RX-DRP RX-OVR    TX-OK TX-ERR TX-DRP TX-OVR Flg\n\
            eth0      1500      245      1      0 0           197      0      2      0 BMRU\n\
            eth0:vip  9000      - no statistics available -                        BMRU\n\
            bond0     1500        0      0      0 0             0      0      0      0 BMmU\n";
        let out = table::parse(text, &Command::new("netstat -i"));
        assert_eq!(out.problems, []);
        assert_eq!(out.records.len(), 2);
        assert!(link(&out, "eth0").has_flag("LOWER_UP"));
        assert!(
            link(&out, "bond0").has_flag("NO-CARRIER") && link(&out, "bond0").has_flag("MASTER")
        );
        assert_eq!(out.completeness, Completeness::Partial(ONLY_UP.to_owned()));
    }

    #[test]
    fn a_remark_about_an_address_does_not_end_the_device() {
        let text = "ib0: flags=4163<UP,BROADCAST,RUNNING,MULTICAST>  mtu 2044\n\
            Infiniband hardware address can be incorrect! Please read BUGS section in ifconfig(8).\n        \
            infiniband 80:00:02:08:FE:80:00:00:00:00:00:00:00:00:00:00:00:00:00:00  txqueuelen 256  (InfiniBand)\n        \
            RX packets 7  bytes 0 (0.0 B)\n";
        let out = read(text, "ifconfig -a");
        assert_eq!(out.problems, []);
        let received = link(&out, "ib0").stats.as_ref().map(|stats| stats.rx.clone());
        assert!(received.is_some_and(|rx| rx.contains(&("packets".into(), 7))));
    }

    #[test]
    fn what_is_no_device_is_a_problem() {
        for text in
            ["hello\n", "        inet 192.0.2.7\n", "eth0: flags=1<UP>  mtu 1500\nend of output\n"]
        {
            let out = read(text, "ifconfig -a");
            assert_eq!(out.lines.unread, 1, "{text}");
        }
        let out =
            read("eth9: error fetching interface information: Device not found\n", "ifconfig eth9");
        assert!(out.completeness.is_failed());
    }
}
