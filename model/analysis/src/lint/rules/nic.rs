//! Rules about NICs.
pub(crate) mod link_flapping;
pub(crate) mod lro_on_forwarding;
pub(crate) mod nic_drop_counters;
pub(crate) mod nic_duplex_speed;
pub(crate) mod nic_error_counters;
pub(crate) mod promisc_unexpected;
pub(crate) mod sriov_vf_misconfig;
pub(crate) mod uplink_link_down;

use tapline_core::capture::HostId;
use tapline_network::nics::Nics;

use crate::lint::Finding;

/// Cites how long the host has been up, or says that it is not known.
fn cite_uptime(nics: &Nics<'_>, host: HostId, finding: &mut Finding) {
    match nics.uptime_line(host) {
        Some(line) => finding.context(line, "how long the host has been up"),
        None => finding
            .note("counted since the device or the host was started, whenever that was (`uptime`)"),
    };
}
