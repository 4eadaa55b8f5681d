//! Which end of a wire is nearer to the wire of the host.
use tapline_topology::EdgeKind;

use super::draft::Draft;
use super::{Column, Kind, Spot, Tie};

/// Turns each wire so that it leads from guests towards the wire.
pub(super) fn towards_wire(draft: &mut Draft<'_, '_>) {
    let mut wires = std::mem::take(&mut draft.wires);
    for wire in &mut wires {
        let turn = match wire.tie {
            Tie::Edge(EdgeKind::EnslavedTo) => {
                // The bond of a bridge lies behind it, and so does a NIC that is a box of its own.
                matches!(kind(draft, wire.from), Some(Kind::Bond | Kind::Nic))
            }
            Tie::Edge(EdgeKind::DeviceOf) => column(draft, wire.to) == Some(Column::Wire),
            Tie::Edge(EdgeKind::VethPeer | EdgeKind::PatchPeer) => {
                depth(draft, wire.from) > depth(draft, wire.to)
            }
            _ => false,
        };
        if turn {
            std::mem::swap(&mut wire.from, &mut wire.to);
        }
    }
    draft.wires = wires;
}

fn kind(draft: &Draft<'_, '_>, spot: Spot) -> Option<Kind> {
    draft.cards.get(spot.card).map(|card| card.kind)
}

/// The side of a bridge that a port of it is on.
fn column(draft: &Draft<'_, '_>, spot: Spot) -> Option<Column> {
    let of_bridge = matches!(kind(draft, spot), Some(Kind::Bridge | Kind::Switch | Kind::Bond));
    draft.row(spot).filter(|_| of_bridge).map(|row| row.column)
}

/// A port towards the wire leads on to one towards guests; a namespace is where frames begin.
fn depth(draft: &Draft<'_, '_>, spot: Spot) -> u8 {
    match (column(draft, spot), kind(draft, spot)) {
        (Some(Column::Wire), _) => 0,
        (_, Some(Kind::Netns | Kind::Vm)) => 1,
        (None, _) => 2,
        (Some(Column::Guests), _) => 3,
    }
}
