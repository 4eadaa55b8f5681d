//! Outputs without the name of a host that cannot be of one machine: two whole lists of devices that
//! have no NIC in common, two databases of Open vSwitch.
use std::collections::{BTreeMap, BTreeSet};

use tapline_core::capture::FormatId;
use tapline_core::ids::Mac;

use crate::host::{Draft, Piece};
use crate::marks;

/// What a text says of the machine that it is of.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Traits {
    macs: BTreeSet<Mac>,
    /// The id of the database, which stands on the first line.
    switch: Option<String>,
}

impl Traits {
    pub(super) fn of(piece: &Piece) -> Self {
        const LISTS: &[FormatId] = &[FormatId("ip-link"), FormatId("ip-address")];
        let mut traits = Self::default();
        if !piece.netns.is_root() {
            return traits;
        }
        if LISTS.contains(&piece.format) {
            traits.macs = marks::macs(&piece.text);
        } else if piece.format == FormatId("ovs-vsctl-show") {
            let first = piece.text.lines().map(str::trim).find(|line| !line.is_empty());
            traits.switch = first.filter(|line| marks::is_uuid(line)).map(str::to_owned);
        }
        traits
    }

    /// Whether both cannot be of one machine.
    pub(super) fn excludes(&self, other: &Self) -> bool {
        let macs = !self.macs.is_empty() && !other.macs.is_empty();
        let switches = self.switch.is_some() && other.switch.is_some();
        macs && self.macs.is_disjoint(&other.macs) || switches && self.switch != other.switch
    }

    /// Whether something is in both.
    fn shares(&self, other: &Self) -> bool {
        !self.macs.is_disjoint(&other.macs) || self.switch.is_some() && self.switch == other.switch
    }

    fn learn(&mut self, other: Self) {
        self.macs.extend(other.macs);
        self.switch = self.switch.take().or(other.switch);
    }
}

/// Moves what is of a second machine, and what follows it, to a host of its own.
pub(super) fn part(sessions: &mut BTreeMap<(String, String), Draft>) {
    let mut more = BTreeMap::new();
    for ((member, _), draft) in sessions.iter_mut().filter(|(_, draft)| draft.said.is_none()) {
        let mut machines: Vec<(Traits, Vec<Piece>)> = vec![(Traits::default(), Vec::new())];
        let mut at = 0;
        for piece in draft.pieces.drain(..) {
            let traits = Traits::of(&piece);
            if machines.get(at).is_some_and(|(known, _)| known.excludes(&traits)) {
                let again = machines.iter().position(|(known, _)| known.shares(&traits));
                at = again.unwrap_or(machines.len());
            }
            if at == machines.len() {
                machines.push((Traits::default(), Vec::new()));
            }
            if let Some((known, pieces)) = machines.get_mut(at) {
                known.learn(traits);
                pieces.push(piece);
            }
        }
        for ((_, pieces), n) in machines.into_iter().zip(1..) {
            if n == 1 {
                draft.pieces = pieces;
                continue;
            }
            let name = format!("{}-{n}", draft.fallback);
            let of_machine = Draft {
                fallback: name.clone(),
                session: true,
                used: 1,
                pieces,
                ..Draft::default()
            };
            more.insert((member.clone(), name), of_machine);
        }
    }
    sessions.extend(more);
}
