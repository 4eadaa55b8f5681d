//! Connections that flows commit to the connection tracker, for the answers to them: what
//! `ct(commit,nat(…))` made of the first packet of a connection is undone by every `ct(nat)` of the
//! same zone, and what `exec(…)` wrote there is read again.
use tapline_core::records::openflow::OfField;

use super::FlowPacket;

/// The fields that a translation may change: of both families, and the ports.
const FIELDS: [OfField; 6] = [
    OfField::IpSrc,
    OfField::IpDst,
    OfField::Ipv6Src,
    OfField::Ipv6Dst,
    OfField::TpSrc,
    OfField::TpDst,
];

/// What of [`FIELDS`] is known of a packet, in their order.
type Ends = [Option<u128>; FIELDS.len()];

/// A connection that flows commit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Committed {
    /// The zone of the connection tracker, where it is known.
    zone: Option<u128>,
    /// The ends of its first packet.
    before: Ends,
    /// The same behind the translation.
    after: Ends,
    mark: Option<u128>,
    label: Option<u128>,
}

impl Committed {
    pub(super) fn new(zone: Option<u128>, before: &FlowPacket, after: &FlowPacket) -> Self {
        let (mark, label) = (OfField::CtMark.whole(), OfField::CtLabel.whole());
        let (before, after, mark, label) =
            (ends(before), ends(after), after.known(mark), after.known(label));
        Self { zone, before, after, mark, label }
    }

    /// The mark or label of the connection.
    pub(super) fn value(&self, field: OfField) -> Option<u128> {
        if field == OfField::CtMark { self.mark } else { self.label }
    }
}

impl FlowPacket {
    /// The connection that it answers, where that was committed in a zone before: flows turn a ping
    /// into its answer, which then passes the zones that the ping has passed.
    pub(super) fn answers_itself(&self, zone: Option<u128>) -> Option<Committed> {
        let own = ends(self);
        let mut of_zone = self.committed.iter().filter(|one| zone.is_some() && one.zone == zone);
        of_zone.find(|one| reversed(one.after) == own).cloned()
    }

    /// The connection that it answers, where flows have committed it in a zone. The last commit
    /// counts.
    pub(super) fn answered(&self, zone: Option<u128>) -> Option<Committed> {
        let own = ends(self);
        let all = self.answers.as_ref()?.iter().rev();
        let mut of_zone = all.filter(|one| zone.is_some() && one.zone == zone);
        of_zone.find(|one| reversed(one.after) == own).cloned()
    }

    /// Gives an answer the ends that it had without the translation of its connection; whether it
    /// is known which.
    pub(super) fn untranslate(&mut self, zone: Option<u128>) -> bool {
        let (Some(known), Some(zone)) = (self.answers.clone(), zone) else { return false };
        let own = ends(self);
        if known.iter().any(|one| one.zone.is_none()) {
            return false;
        }
        let of_zone = known.iter().filter(|one| one.zone == Some(zone));
        let mut fitting = of_zone.filter(|one| reversed(one.after) == own);
        // What this zone did not translate it does not translate back.
        let Some(first) = fitting.next() else { return true };
        let back = reversed(first.before);
        if !fitting.all(|other| reversed(other.before) == back) {
            return false;
        }
        for (field, value) in FIELDS.into_iter().zip(back) {
            let is_ours = value.is_some() || self.known(field.whole()).is_some();
            if is_ours {
                self.put_part(field.whole(), value);
            }
        }
        true
    }
}

/// The ends of a packet. The ports are those of TCP, UDP and SCTP: ICMP has its type there.
fn ends(packet: &FlowPacket) -> Ends {
    let has_ports = packet
        .known(OfField::IpProto.whole())
        .is_some_and(|protocol| matches!(protocol, 6 | 17 | 132));
    FIELDS.map(|field| {
        let is_port = matches!(field, OfField::TpSrc | OfField::TpDst);
        (has_ports || !is_port).then(|| packet.known(field.whole())).flatten()
    })
}

/// The ends of the other direction.
fn reversed(ends: Ends) -> Ends {
    let [source, destination, source6, destination6, port, to_port] = ends;
    [destination, source, destination6, source6, to_port, port]
}
