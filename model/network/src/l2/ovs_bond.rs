//! Which member of a bond of Open vSwitch sends, and by which it takes what comes in, as `bond/show` and
//! the column `bond_active_slave` tell (ofproto/bond.c, `bond_choose_output_member` and
//! `bond_check_admissibility`).
//!
//! What the bridge has learnt names the bond by its first member, whichever it uses.
use std::collections::BTreeMap;

use tapline_core::capture::Source;
use tapline_core::ids::Mac;
use tapline_core::records::Field;
use tapline_core::records::appctl::OvsStatus;
use tapline_core::records::ovs::{OvsColumn, OvsPort};
use tapline_core::span::Evidence;
use tapline_topology::NodeId;

use crate::Network;

/// What is known of a bond.
#[derive(Clone, Debug, Default)]
pub(crate) struct OvsBond {
    mode: Option<String>,
    /// `negotiated`, `configured`, `off`.
    lacp: Option<String>,
    /// Whether each member is enabled, and its line.
    members: BTreeMap<NodeId, (bool, Evidence)>,
    /// The member in use, and what says so.
    active: Option<(NodeId, Evidence)>,
}

/// The member that a bond sends by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sends {
    pub(crate) member: NodeId,
    /// What says that it is this one; `None` where another may be it.
    pub(crate) evidence: Option<Evidence>,
}

impl OvsBond {
    /// From a block of `bond/show`.
    pub(super) fn of_status(network: &Network<'_>, source: &Source, status: &OvsStatus) -> Self {
        let field =
            |key| Field::find(&status.fields, key).map(|value| value.value.trim().to_owned());
        let mut bond =
            Self { mode: field("bond_mode"), lacp: field("lacp_status"), ..Self::default() };
        for member in &status.members {
            let name = &member.name.value;
            let Some(node) = network.topology.find_ovs_interface(source.host, name) else {
                continue;
            };
            let evidence = member.name.evidence(source.id);
            let enabled = member.states.iter().all(|state| state.value != "disabled");
            bond.members.insert(node, (enabled, evidence));
            if member.active {
                bond.active = Some((node, evidence));
            }
        }
        bond
    }

    /// From a row of the database: the mode, and the MAC of the member in use.
    pub(super) fn of_row(
        network: &Network<'_>,
        source: &Source,
        port: &OvsPort,
        columns: &[OvsColumn],
    ) -> Option<Self> {
        let column = |name: &str| columns.iter().find(|column| column.name == name);
        let node = network.topology.find_ovs_port(source.host, &port.name.value)?;
        let active = column("bond_active_slave").and_then(|column| {
            let mac: Mac = column.value.value.trim_matches('"').parse().ok()?;
            let members = network.topology.into(node, tapline_topology::EdgeKind::OvsInterfaceOf);
            let has = |id: &NodeId| {
                let own = network.ovs_interface(*id).and_then(|port| port.data.mac_in_use.as_ref());
                let device = network.device_of(*id);
                let of_device = device.and_then(|device| Some(device.data.mac.as_ref()?.value));
                own.map(|mac| mac.value).or(of_device) == Some(mac)
            };
            let mut having = members.into_iter().map(|(id, _)| id).filter(has);
            let first = having.next()?;
            having.next().is_none().then(|| (first, column.value.evidence(source.id)))
        });
        let mode =
            column("bond_mode").map(|column| column.value.value.trim_matches('"').to_owned());
        let mode = mode.filter(|mode| mode != "[]");
        let known = mode.is_some() || active.is_some();
        known.then(|| Self { mode, active, ..Self::default() })
    }

    /// What a better text tells counts, the other where that is silent.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            mode: self.mode.or(other.mode),
            lacp: self.lacp.or(other.lacp),
            active: self.active.or(other.active),
            members: if self.members.is_empty() { other.members } else { self.members },
        }
    }

    fn is_active_backup(&self) -> bool {
        self.mode.as_deref() == Some("active-backup")
    }

    /// The member that sends, of those that may.
    pub(crate) fn sends(
        &self,
        members: &[NodeId],
        works: impl Fn(NodeId) -> bool,
    ) -> Option<Sends> {
        let may: Vec<NodeId> = members
            .iter()
            .copied()
            .filter(|member| self.members.get(member).is_none_or(|(enabled, _)| *enabled))
            .filter(|member| works(*member))
            .collect();
        let active = self.active.filter(|(active, _)| may.contains(active));
        match (active, may.as_slice()) {
            (Some((member, evidence)), _) if self.is_active_backup() => {
                Some(Sends { member, evidence: Some(evidence) })
            }
            (_, [one]) => {
                let evidence = self.members.get(one).map(|(_, evidence)| *evidence);
                Some(Sends { member: *one, evidence })
            }
            (Some((member, _)), _) => Some(Sends { member, evidence: None }),
            (None, [first, ..]) => Some(Sends { member: *first, evidence: None }),
            (None, []) => None,
        }
    }

    /// What says that the bond drops what comes in by a member: one that waits, one that LACP has not
    /// enabled, or one that is not in use where all are meant.
    pub(crate) fn drops(&self, member: NodeId, to_all: bool) -> Option<Evidence> {
        let (enabled, line) = self.members.get(&member).copied()?;
        let is_active = self.active.map(|(active, _)| active == member);
        let drops = match self.lacp.as_deref() {
            Some("negotiated") => !enabled,
            Some("configured") => true,
            _ if self.is_active_backup() || to_all => is_active == Some(false),
            _ => false,
        };
        drops.then_some(line)
    }
}
