//! `ovs-ofctl show BRIDGE` and `ovs-ofctl dump-ports-desc BRIDGE`.
//!
//! Source of the format: Open vSwitch `lib/ofp-print.c` (`ofp_print_switch_features`),
//! `lib/ofp-port.c` (`ofputil_phy_port_format`); 1.4 to 3.x.
//!
//! ```text
//! OFPT_FEATURES_REPLY (xid=0x2): dpid:0000f64ae1e1d643
//! n_tables:254, n_buffers:0
//! capabilities: FLOW_STATS TABLE_STATS
//!  1(eth2): addr:1e:d1:09:67:2f:6d
//!      config:     0
//!      state:      0
//!  LOCAL(br0): addr:f6:4a:e1:e1:d6:43
//! OFPT_GET_CONFIG_REPLY (xid=0x4): frags=normal miss_send_len=0
//! ```
//!
//! From OpenFlow 1.3 the ports come in a reply of their own (`OFPST_PORT_DESC`), which is all that
//! `dump-ports-desc` prints.
use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::{Fate, Outcome};
use tapline_core::records::openflow::{OfPort, OfPortDesc, OfSwitch};
use tapline_core::records::{Batch, Field};
use tapline_core::request::Topic;
use tapline_core::span::{At, Span};

use super::openflow::{OvsCommand, is_log, port};
use crate::format::{Ends, Format, Per};
use crate::keyed::at;
use crate::lines::{Read, bodies, finish, one_line};
use crate::nomx::{Parsed, refuse};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("ovs-ofctl-show"),
    command: "ovs-ofctl show BRIDGE",
    collect: &[Per::Bridge.run("ovs-ofctl -O OpenFlow13 show {}")],
    claims: |command| {
        let asked = OvsCommand::of(command, "ovs-ofctl")?;
        matches!(asked.verb, "show" | "dump-ports-desc").then(|| asked.request(Topic::OfPorts))
    },
    sniff: |head| {
        let mut lines = bodies(head).filter(|body| !body.is_empty() && !is_log(body));
        match lines.next() {
            Some(line) if line.starts_with(FEATURES) && line.contains("dpid:") => 95,
            Some(line) if line.starts_with(PORTS) => 95,
            _ => 0,
        }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

const FEATURES: &str = "OFPT_FEATURES_REPLY (";
const PORTS: &str = "OFPST_PORT_DESC reply (";
const CONFIG: &str = "OFPT_GET_CONFIG_REPLY (";

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<OfSwitch>> {
    let asked = OvsCommand::of(command, "ovs-ofctl");
    let bridge = asked.as_ref().and_then(OvsCommand::bridge);
    let mut out: Outcome<()> = Outcome::default();
    let mut reader = Reader { text, bridge, records: Vec::new(), ends: false };
    for body in bodies(text) {
        if is_log(body) {
            out.lines.add(Fate::Ignored);
        } else {
            one_line(text, body, &mut out, &mut |line| reader.line(line));
        }
    }
    finish(text, &mut out);
    super::ethtool::doubt(&mut out);
    if !reader.ends && reader.records.iter().any(|record| record.dpid.is_some()) {
        let reason = "the end (`OFPT_GET_CONFIG_REPLY`) is missing".to_owned();
        out.completeness = out.completeness.and(Completeness::Partial(reason));
    }
    for record in &mut reader.records {
        if record.bridge.is_none() {
            let local = record.ports.iter().find(|port| port.port.value == OfPort::Local);
            record.bridge = local.map(|local| local.name.value.clone());
        }
    }
    let records = reader.records;
    out.map(|()| records)
}

struct Reader<'a> {
    text: &'a str,
    bridge: Option<Name>,
    records: Vec<OfSwitch>,
    /// The last line of `show` was seen.
    ends: bool,
}

impl<'a> Reader<'a> {
    fn line(&mut self, line: &'a str) -> Parsed<'a, Read<()>> {
        let took = Ok(("", Read::Took(())));
        if line.starts_with(FEATURES) {
            let Some((_, dpid)) = line.split_once("dpid:") else {
                return refuse(line, "`dpid:` and a number");
            };
            if dpid.is_empty() || !dpid.bytes().all(|b| b.is_ascii_hexdigit()) {
                return refuse(dpid, "16 hexadecimal digits after `dpid:`");
            }
            self.begin(line, Some(at(self.text, dpid)));
            return took;
        }
        if line.starts_with(PORTS) {
            // Behind the features it is about the same bridge.
            if !self
                .records
                .last()
                .is_some_and(|record| record.dpid.is_some() && record.ports.is_empty())
            {
                self.begin(line, None);
            }
            return took;
        }
        let text = self.text;
        let Some(switch) = self.records.last_mut() else {
            return refuse(line, "`OFPT_FEATURES_REPLY` or `OFPST_PORT_DESC` above this line");
        };
        if line.starts_with(CONFIG) {
            let (_, said) = line.split_once("): ").unwrap_or_default();
            switch.other.extend(words(text, said, '='));
            self.ends = true;
            return took;
        }
        let content = line.trim_start();
        if let Some((head, addr)) = content.rsplit_once("): addr:") {
            let Some((number, name)) = head.split_once('(') else {
                return refuse(line, "a port such as `1(eth0): addr:`");
            };
            let Ok(mac) = addr.parse() else { return refuse(addr, "a MAC after `addr:`") };
            let number = At::new(port(number), Span::of(text, number));
            if matches!(number.value, OfPort::Name(_)) {
                return refuse(content, "the number of a port, or LOCAL");
            }
            switch.ports.push(OfPortDesc {
                at: Span::of(text, line),
                port: number,
                name: at(text, name),
                addr: Some(At::new(mac, Span::of(text, addr))),
                config: Vec::new(),
                state: Vec::new(),
                other: Vec::new(),
            });
            return took;
        }
        let Some((key, value)) = content.split_once(':') else {
            return refuse(line, "`key: value`");
        };
        let value = value.trim_start();
        if content.len() < line.len() {
            let Some(port) = switch.ports.last_mut() else {
                return refuse(line, "a port above this line");
            };
            match key {
                "config" => port.config = flags(text, value),
                "state" => port.state = flags(text, value),
                "current" | "advertised" | "supported" | "peer" | "speed" => {
                    port.other.push(Field { key: key.into(), value: at(text, value) });
                }
                _ => return refuse(line, "`config:`, `state:`, `speed:` or another port detail"),
            }
            return took;
        }
        match key {
            "n_tables" => switch.other.extend(words(text, content, ':')),
            "capabilities" | "actions" => {
                switch.other.push(Field { key: key.into(), value: at(text, value) });
            }
            _ => return refuse(line, "`n_tables:`, `capabilities:`, `actions:` or a port"),
        }
        took
    }

    fn begin(&mut self, line: &str, dpid: Option<At<Name>>) {
        self.ends = false;
        self.records.push(OfSwitch {
            at: Span::of(self.text, line),
            bridge: self.bridge.clone(),
            dpid,
            ports: Vec::new(),
            other: Vec::new(),
        });
    }
}

/// Words of `config:` and `state:`; `0` is none.
fn flags(text: &str, value: &str) -> Vec<At<Name>> {
    value.split_whitespace().filter(|word| *word != "0").map(|word| at(text, word)).collect()
}

/// `n_tables:254, n_buffers:0`, `frags=normal miss_send_len=0`.
fn words(text: &str, line: &str, joint: char) -> Vec<Field> {
    line.split([',', ' '])
        .filter_map(|part| part.split_once(joint))
        .map(|(key, value)| Field { key: key.into(), value: at(text, value) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOW: &str = "OFPT_FEATURES_REPLY (OF1.3) (xid=0x2): dpid:0000f64ae1e1d643\n\
        n_tables:254, n_buffers:0\ncapabilities: FLOW_STATS TABLE_STATS\n\
        OFPST_PORT_DESC reply (OF1.3) (xid=0x3):\n 1(eth2): addr:1e:d1:09:67:2f:6d\n     \
        config:     0\n     state:      LIVE\n     current:    10GB-FD COPPER\n     \
        speed: 10000 Mbps now, 0 Mbps max\n LOCAL(br0): addr:f6:4a:e1:e1:d6:43\n     \
        config:     PORT_DOWN NO_FWD\n     state:      LINK_DOWN\n";
    const END: &str = "OFPT_GET_CONFIG_REPLY (OF1.3) (xid=0x5): frags=normal miss_send_len=0\n";

    fn reads(text: &str) -> Outcome<Vec<OfSwitch>> {
        parse(text, &Command::new("ovs-ofctl -O OpenFlow13 show br-x"))
    }

    #[test]
    fn ports_belong_to_their_bridge() {
        let text = format!("{SHOW}{END}");
        let out = reads(&text);
        assert_eq!((out.lines.read, out.lines.unread), (13, 0));
        assert!(out.completeness.is_complete());
        let [it] = out.records.as_slice() else { panic!("{out:?}") };
        assert_eq!(it.bridge.as_deref(), Some("br-x"));
        assert_eq!(it.dpid.as_ref().unwrap().as_str(), "0000f64ae1e1d643");
        let other: Vec<_> =
            it.other.iter().map(|other| (&*other.key, other.value.as_str())).collect();
        assert_eq!(
            other,
            [
                ("n_tables", "254"),
                ("n_buffers", "0"),
                ("capabilities", "FLOW_STATS TABLE_STATS"),
                ("frags", "normal"),
                ("miss_send_len", "0"),
            ]
        );
        let [eth2, local] = it.ports.as_slice() else { panic!("{out:?}") };
        assert_eq!((&eth2.port.value, eth2.name.as_str()), (&OfPort::Number(1), "eth2"));
        assert_eq!(text.get(eth2.addr.unwrap().span.range()), Some("1e:d1:09:67:2f:6d"));
        assert!(eth2.config.is_empty() && eth2.state[0].value == "LIVE");
        assert_eq!(eth2.other[0].value.as_str(), "10GB-FD COPPER");
        assert_eq!(local.port.value, OfPort::Local);
        let config: Vec<_> = local.config.iter().map(|config| config.as_str()).collect();
        assert_eq!(config, ["PORT_DOWN", "NO_FWD"]);
    }

    #[test]
    fn a_port_list_stands_alone() {
        let text = "OFPST_PORT_DESC reply (xid=0x2):\n LOCAL(br1): addr:f6:4a:e1:e1:d6:43\n";
        let out = parse(text, &Command::new(""));
        assert!(out.completeness.is_complete());
        assert_eq!(out.records[0].bridge.as_deref(), Some("br1"));
        assert_eq!(out.records[0].dpid, None);
    }

    #[test]
    fn what_is_cut_or_broken_is_told() {
        assert!(matches!(reads(SHOW).completeness, Completeness::Partial(_)));
        let out = reads(&format!("{SHOW} 2(x): addr:zz\n{END}"));
        assert_eq!(out.lines.unread, 1);
        for text in
            ["", "ovs-ofctl: br0 is not a bridge or a socket\n", " 1(a): addr:02:00:00:00:00:01\n"]
        {
            assert!(reads(text).completeness.is_failed(), "{text}");
        }
        let claims = |line: &str| FORMAT.reads(&Command::new(line));
        assert!(claims("ovs-ofctl dump-ports-desc br0") && claims("ovs-ofctl show br0"));
        assert!(!claims("ovs-ofctl dump-ports br0") && !claims("ovs-vsctl show"));
        assert!((FORMAT.sniff)(SHOW) > 90);
    }
}
