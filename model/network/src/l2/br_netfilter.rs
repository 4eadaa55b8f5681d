//! Bridged packets of IP before the packet filter of their namespace, which sees them where
//! `br_netfilter` shows them to it (net/bridge/br_netfilter_hooks.c; sysctl
//! `net.bridge.bridge-nf-call-iptables`, and `nf_call_iptables` of a single bridge, ip-link(8)).
use tapline_core::ids::{Mac, Netns};
use tapline_core::need::Need;
use tapline_core::records::filter::ConnStates;
use tapline_core::records::route::Family;
use tapline_topology::NodeId;
use tapline_topology::graph::{Netdev, NetdevKind};

use super::{Block, Why};
use crate::filter::{Address, Device, Packet, Verdict};
use crate::{Answer, Item, Network, texts};

impl<'a> Network<'a> {
    /// Whether the packet filter sees the packets of a family that a Linux bridge passes on.
    pub(crate) fn shows_to_filter(
        &self,
        bridge: Item<'a, Netdev<'a>>,
        family: Family,
    ) -> Answer<bool> {
        let key = match family {
            Family::Inet => "net.bridge.bridge-nf-call-iptables",
            Family::Inet6 => "net.bridge.bridge-nf-call-ip6tables",
        };
        let own = bridge.data.records.iter().find_map(|seen| {
            let data = seen.record.kind_data.bridge.as_ref()?;
            data.nf_call_iptables.as_ref().map(|set| set.value)
        });
        if own == Some(true) {
            return Answer::Known(true);
        }
        let settings = self.kernel_settings();
        let of_netns = settings.get(&(bridge.host, bridge.netns(), key));
        match of_netns.or_else(|| settings.get(&(bridge.host, &Netns::Root, key))) {
            Some(setting) => Answer::Known(setting.value == 1),
            // `sysctl -a` lists no key of a module that is not loaded.
            None if texts::all_settings(self, bridge.host).is_some() => Answer::Known(false),
            None => Answer::Unknown(vec![Need::command("sysctl").with(key)]),
        }
    }

    /// The rule or policy that stops every new connection of IPv4 from one port of a Linux bridge to
    /// another: of TCP, UDP and pings, but for what asks for an address.
    pub(crate) fn filtered_as_ip(
        &self,
        from: NodeId,
        to: NodeId,
        sender: Option<Mac>,
    ) -> Option<Block> {
        const HOOK: &str = "FORWARD";
        const ICMP: u8 = 1;
        const TCP: u8 = 6;
        const UDP: u8 = 17;
        let bridge = self.master(from).filter(|bridge| bridge.kind == NetdevKind::Bridge)?;
        if self.master(to).map(|other| other.id) != Some(bridge.id) {
            return None;
        }
        let place = (bridge.host, bridge.netns());
        let steps = self.filters().steps(place, Family::Inet, HOOK, &["mangle", "filter"]);
        if steps.is_empty() || self.shows_to_filter(bridge, Family::Inet) != Answer::Known(true) {
            return None;
        }
        let device = |port: NodeId| Some(Device::Known(self.netdev(port)?.name().into()));
        let usual = Packet {
            source: Address::Specified,
            mac_source: sender,
            in_device: Device::Known(bridge.name().into()),
            out_device: Device::Known(bridge.name().into()),
            in_port: device(from)?,
            out_port: device(to)?,
            state: Some(ConnStates::NEW),
            to_host: Some(false),
            ..Packet::unknown(Family::Inet)
        };
        let stop = |packet: &Packet| {
            steps.iter().filter(|step| !step.nat).find_map(|step| {
                let judgement = step.asked.evaluate(HOOK, packet)?;
                let stops = matches!(judgement.verdict(), Verdict::Drop | Verdict::Reject);
                judgement.stop().filter(|_| stops)?.evidence
            })
        };
        let of_any = stop(&usual);
        let of_each = || {
            let kinds =
                [TCP, UDP, ICMP].map(|kind| Packet { protocol: Some(kind), ..usual.clone() });
            let mut each = kinds.iter().map(stop);
            let first = each.next()??;
            each.all(|other| other.is_some()).then_some(first)
        };
        let evidence = of_any.or_else(of_each)?;
        Some(Block { why: Why::Filtered(format!("{HOOK} (IPv4)").into()), evidence })
    }
}
