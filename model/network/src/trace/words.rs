//! The closed lists of words that a trace speaks in: outcomes, reasons, how sure a hop is.
use std::fmt;

/// Declares an enum whose variants have one public word each, with all of them in a list.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident: $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $name {
            $($(#[$of])* $variant,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The public word.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// What becomes of a packet, or of a copy of it.
    Outcome {
        /// It reaches a guest, or the stack of a captured namespace.
        Delivered: "delivered",
        /// It leaves to a neighbour that is known and was not captured.
        DeliveredOnLink: "delivered-on-link",
        /// It leaves what was captured, rightly so far.
        LeavesCapture: "leaves-capture",
        /// A rule drops it.
        Dropped: "dropped",
        /// It is refused, and its sender is told.
        Rejected: "rejected",
        /// It is lost without a rule.
        Blackholed: "blackholed",
        /// It comes back to where it was.
        Loops: "loops",
        /// It goes to a set of places.
        Flooded: "flooded",
        /// What was captured does not tell.
        Unknown: "unknown",
        /// Captures contradict each other where it matters.
        Disputed: "disputed",
        /// What was asked for names several things.
        Ambiguous: "ambiguous",
    }
}

words! {
    /// Why a packet does not arrive, or why that cannot be told.
    Reason {
        /// A device is administratively down.
        IfAdminDown: "if-admin-down",
        /// A device has no carrier.
        IfNoCarrier: "if-no-carrier",
        /// Spanning tree holds a port.
        StpBlocking: "stp-blocking",
        /// A port of a Linux bridge is not in the VLAN.
        BridgeVlanNotMember: "bridge-vlan-not-member",
        /// An access port got a tagged frame.
        OvsAccessGotTagged: "ovs-access-got-tagged",
        /// A trunk does not carry the VLAN.
        OvsVlanNotTrunked: "ovs-vlan-not-trunked",
        /// The port is on the VLAN of ports that are not wired.
        DeadVlan: "dead-vlan-4095",
        /// The destination is an address that bridges keep for themselves.
        ReservedMac: "reserved-mac",
        /// The destination was learnt at the port that the frame came from.
        FdbPointsBack: "fdb-points-back",
        /// The port is reserved for a mirror.
        MirrorPort: "mirror-port",
        /// A patch port has no peer.
        PatchPeerMissing: "patch-peer-missing",
        /// A veth has no other end.
        VethPeerMissing: "veth-peer-missing",
        /// No flow matches.
        OfNoMatch: "of-no-match",
        /// A flow drops it.
        OfDrop: "of-drop",
        /// A flow sends it to a port that does not exist.
        OfOutputNonexistent: "of-output-nonexistent",
        /// A setting of a port keeps frames from it: `NO_FWD`, `NO_RECV`.
        OfPortConfig: "of-port-config",
        /// A flow sends it to the port that it came from.
        OfSameInPort: "of-same-in-port",
        /// It goes back to tables without an end.
        OfDepthLimit: "of-depth-limit",
        /// Its connection is not valid.
        CtInvalid: "ct-invalid",
        /// A security group lets nothing like it out.
        SgEgressDeny: "sg-egress-deny",
        /// A security group lets nothing like it in.
        SgIngressDeny: "sg-ingress-deny",
        /// ARP for an address that is not the sender's.
        ArpSpoof: "arp-spoof",
        /// A MAC or an address that is not the sender's.
        MacSpoof: "mac-spoof",
        /// There is no route to the far end of a tunnel.
        TunnelNoRoute: "tunnel-no-route",
        /// The far end of a tunnel is the host itself.
        TunnelOwnAddress: "tunnel-own-address",
        /// The far end has no tunnel back.
        TunnelNoReverse: "tunnel-no-reverse",
        /// The far end does not know the key of the tunnel.
        VniUnknownAtPeer: "vni-unknown-at-peer",
        /// A switch drops what is too long without a word.
        MtuExceededL2: "mtu-exceeded-l2",
        /// A router refuses what is too long and must not be cut.
        MtuDfL3: "mtu-df-l3",
        /// No route.
        NoRoute: "no-route",
        /// A route of type blackhole.
        RouteBlackhole: "route-blackhole",
        /// A route or rule of type unreachable.
        RouteUnreachable: "route-unreachable",
        /// A route or rule of type prohibit.
        RouteProhibit: "route-prohibit",
        /// Nothing behind a route of type throw.
        RouteThrowExhausted: "route-throw-exhausted",
        /// The way back leads by another device.
        RpFilter: "rp-filter",
        /// The namespace does not forward.
        ForwardingDisabled: "forwarding-disabled",
        /// The next hop did not answer.
        NeighFailed: "neigh-failed",
        /// The next hop is not known.
        NeighAbsent: "neigh-absent",
        /// A packet filter drops it.
        NfDrop: "nf-drop",
        /// A packet filter refuses it.
        NfReject: "nf-reject",
        /// A filter of tc drops it.
        TcDrop: "tc-drop",
        /// The queue of a device loses all packets.
        QueueLoss: "queue-loss",
        /// A policy of IPsec drops it.
        IpsecDrop: "ipsec-drop",
        /// IPsec protects it, or decides about it.
        Ipsec: "ipsec",
        /// The router waits here: another node is the active one.
        HaStandby: "ha-standby",
        /// It is for nobody here, and is not forwarded.
        NotLocalNoForward: "not-local-no-forward",
        /// Nobody listens.
        NoListener: "no-listener",
        /// An answer comes from another address or port than was asked.
        AnswerNotTranslated: "answer-not-translated",
        /// A setting keeps the host from answering pings.
        EchoIgnored: "echo-ignored",
        /// A bond takes nothing from a member that it does not use.
        BondBackup: "bond-backup",
        /// A BPF program decides.
        Ebpf: "ebpf",
        /// Hardware decides.
        Offload: "offload",
        /// A text that would tell was not captured.
        NotCaptured: "not-captured",
        /// Its source is an address of the receiver, loopback, broadcast or zero.
        Martian: "martian",
        /// A port gets nothing that is sent to a group, unless somebody behind it asked for that.
        McastFloodOff: "mcast-flood-off",
        /// No other port carries the VLAN.
        L2DeadEnd: "l2-dead-end",
        /// Nobody captured has the address, although its segment was captured whole.
        AddressNotOwned: "address-not-owned",
        /// The MAC of a neighbour is not that of its owner.
        NeighWrong: "neigh-wrong",
        /// It was forwarded too often.
        TtlExceeded: "ttl-exceeded",
        /// The guest's NIC has another MAC.
        GuestIgnores: "guest-ignores",
        /// The guest does not run.
        GuestOff: "guest-off",
        /// What a rule, a flow or an action does is not modelled.
        NotModelled: "not-modelled",
        /// More steps, copies or branches than are followed.
        Limit: "limit",
        /// An address or a port that the question leaves open decides.
        PacketOpen: "packet-open",
        /// It would pass what the question takes away.
        Without: "without",
    }
}

words! {
    /// How sure a hop is. From worst to best.
    Certainty {
        /// Captures contradict each other.
        Disputed: "disputed",
        /// Nothing says it; the trace needs it.
        Assumed: "assumed",
        /// It follows from what is unique in the captures, but not by construction.
        Inferred: "inferred",
        /// Stated by what implements it.
        Proven: "proven",
    }
}

impl Reason {
    /// A few words for people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::IfAdminDown => "the device is down",
            Self::IfNoCarrier => "the device has no carrier",
            Self::StpBlocking => "spanning tree holds the port",
            Self::BridgeVlanNotMember => "the port of the bridge is not in the VLAN",
            Self::OvsAccessGotTagged => "the access port takes no tagged frames",
            Self::OvsVlanNotTrunked => "the port does not carry the VLAN",
            Self::DeadVlan => "the port is on the dead VLAN 4095: the agent has not wired it",
            Self::ReservedMac => "bridges do not forward this address",
            Self::FdbPointsBack => {
                "the destination was learnt at the port that the frame came from"
            }
            Self::MirrorPort => "the port is reserved for a mirror",
            Self::PatchPeerMissing => "the patch port has no peer",
            Self::VethPeerMissing => "the veth has no other end",
            Self::OfNoMatch => "no flow matches",
            Self::OfDrop => "a flow drops it",
            Self::OfOutputNonexistent => "a flow sends it to a port that does not exist",
            Self::OfPortConfig => "OVS is set not to use the port",
            Self::OfSameInPort => "a flow sends it to the port that it came from",
            Self::OfDepthLimit => "the packet goes back to tables without an end",
            Self::CtInvalid => "its connection is not valid",
            Self::SgEgressDeny => "no rule of its security groups lets it out",
            Self::SgIngressDeny => "no rule of its security groups lets it in",
            Self::ArpSpoof => "ARP for an address that is not the port's",
            Self::MacSpoof => "a MAC or an address that is not the port's",
            Self::TunnelNoRoute => "there is no route to the far end of the tunnel",
            Self::TunnelOwnAddress => "the far end of the tunnel is the host itself",
            Self::TunnelNoReverse => "the far host has no tunnel back",
            Self::VniUnknownAtPeer => "the far host does not know the tunnel key",
            Self::MtuExceededL2 => "the frame is longer than the MTU, and a switch says nothing",
            Self::MtuDfL3 => "the packet is longer than the MTU and must not be cut",
            Self::NoRoute => "no route",
            Self::RouteBlackhole => "the route is a blackhole",
            Self::RouteUnreachable => "the route says unreachable",
            Self::RouteProhibit => "the route says prohibit",
            Self::RouteThrowExhausted => "nothing follows a route of type throw",
            Self::RpFilter => "rp_filter: the way back leads by another device",
            Self::ForwardingDisabled => "forwarding is off",
            Self::NeighFailed => "the next hop did not answer",
            Self::NeighAbsent => "the next hop is not among the neighbours",
            Self::NfDrop => "a rule of the packet filter drops it",
            Self::NfReject => "a rule of the packet filter rejects it",
            Self::TcDrop => "a filter of tc drops it",
            Self::QueueLoss => "the queue of the device loses every packet",
            Self::IpsecDrop => "a policy of IPsec drops it",
            Self::Ipsec => "a policy of IPsec decides, which is not followed",
            Self::HaStandby => "the router waits here; another node is the active one",
            Self::NotLocalNoForward => "it is for nobody here and is not forwarded",
            Self::NoListener => "nobody listens on the port",
            Self::AnswerNotTranslated => {
                "the answer comes from another address or port than was asked: it passes by what translated the question"
            }
            Self::EchoIgnored => "the host is set not to answer pings",
            Self::BondBackup => "the bond does not use this member",
            Self::Ebpf => "a BPF program decides, which is not modelled",
            Self::Offload => "a NIC switches the frames of the guest itself",
            Self::NotCaptured => "a text that would tell was not captured",
            Self::Martian => "its source is not possible here",
            Self::McastFloodOff => "the port gets no frames to groups (mcast_flood off)",
            Self::L2DeadEnd => "the frame has nowhere to go from here",
            Self::AddressNotOwned => "nobody on the segment has the address",
            Self::NeighWrong => "the MAC of the neighbour is not its owner's",
            Self::TtlExceeded => "its time to live is over",
            Self::GuestIgnores => "the NIC of the guest has another MAC",
            Self::GuestOff => "the guest does not run",
            Self::NotModelled => "what decides here is not modelled",
            Self::Limit => "more steps than are followed",
            Self::PacketOpen => "the question leaves open what decides here",
            Self::Without => "it would pass what is taken away",
        }
    }
}
