//! Whether spanning tree runs in a bridge.
use std::collections::BTreeMap;

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::ovs::OvsRow;
use tapline_core::span::Evidence;
use tapline_topology::NodeId;

use crate::Network;

/// Whether spanning tree runs, by bridge, and the place that says it.
#[derive(Debug, Default)]
pub struct SpanningTrees {
    linux: BTreeMap<(HostId, Netns, Name), (bool, Evidence)>,
    ovs: BTreeMap<(HostId, Name), (bool, Evidence)>,
}

impl SpanningTrees {
    /// Gathers it from `brctl show` and the rows of OVS.
    pub(crate) fn new(network: &Network<'_>) -> Self {
        let mut all = Self::default();
        for (source, bridges) in network.bridge_texts() {
            for bridge in bridges {
                let Some(stp) = &bridge.stp else { continue };
                let key = (source.host, source.netns.clone(), bridge.name.value.clone());
                all.linux.entry(key).or_insert((stp.value, stp.evidence(source.id)));
            }
        }
        for (source, rows) in network.ovs_texts() {
            for row in rows {
                let OvsRow::Bridge(bridge) = &row.row else { continue };
                let rapid = row.columns.iter().find(|column| column.name == "rstp_enable");
                let rapid = rapid.map(|column| column.value.clone().map(|value| value == "true"));
                if let Some(stp) = rapid.filter(|rapid| rapid.value).or(bridge.stp) {
                    let key = (source.host, bridge.name.value.clone());
                    all.ovs.entry(key).or_insert((stp.value, stp.evidence(source.id)));
                }
            }
        }
        all
    }

    /// Whether spanning tree runs in a bridge, and the place that says it.
    pub fn of(&self, network: &Network<'_>, bridge: NodeId) -> Option<(bool, Evidence)> {
        if let Some(bridge) = network.ovs_bridge(bridge) {
            return self.ovs.get(&(bridge.host, bridge.name().into())).copied();
        }
        let bridge = network.netdev(bridge)?;
        let by_ip = bridge.records.iter().find_map(|seen| {
            let stp = seen.record.kind_data.bridge.as_ref()?.stp.as_ref()?;
            Some((stp.value, stp.evidence(seen.source)))
        });
        by_ip.or_else(|| {
            let key = (bridge.host, bridge.netns().clone(), bridge.name().into());
            self.linux.get(&key).copied()
        })
    }
}
