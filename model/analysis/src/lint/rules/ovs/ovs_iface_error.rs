use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need;
use tapline_core::records::ovs::{OvsRow, lookup};
use tapline_core::span::Evidence;
use tapline_topology::coverage::Searched;
use tapline_topology::graph::{Fact, OvsInterface};
use tapline_topology::{Presence, Topic, names};

use crate::lint::{Ctx, Finding, Severity, Verdicts, declare_rule};
use tapline_network::defs;
use tapline_network::{Item, User};

declare_rule! {
    code: "OVS-001",
    id: "ovs-iface-error",
    summary: "OVS could not create an interface",
    severity: Error,
    confidence: Proven,
    page: "ovs_iface_error.md",
    layer: (L2Device, 40),
    rank: 10,
    core: true,
    about: [],
    cuts: [ToSwitch, BehindSwitch],
    asks: [],
    after: [
        [vm::vm_target_missing] by [Port],
        // The switch reports an error on a patch that leads nowhere.
        [ovs::ovs_patch_peer_broken] by [Device],
        [tun::tun_duplicate_endpoint, tun::tun_udp_port_conflict] by [Device],
        [vm::vm_target_missing] if Population by [Port],
        [ns::netns_handle_stale] by [Netns],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for interface in ctx.ovs_interfaces() {
        let error = interface.data.error.as_ref().filter(|error| !error.value.is_empty());
        match error {
            Some(error) => report(ctx, out, interface, error),
            None => out.clean(),
        }
    }
    for host in ctx.hosts_without_ovs_capture() {
        out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
    }
}

fn report(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    interface: Item<'_, OvsInterface>,
    error: &Fact<tapline_core::Name>,
) {
    let (host, name) = (interface.host, interface.name());
    let cause = Cause::of(&error.value);
    let finding = out.fault(ctx, host, interface.id, cause.message(&error.value));
    finding.primary(error.evidence, "reported here");
    match cause {
        Cause::NoDevice(_) => {
            describe_device(ctx, finding, host, name);
            lower_for_user(ctx, finding, host, name);
            finding.next(format!("ovs-vsctl list interface {name}"));
            finding.next(format!("ip -d link show {name}"));
        }
        Cause::Unsupported(_) => {
            finding.next(format!("ovs-vsctl get interface {name} type error"));
            finding.next("ovs-vsctl get Open_vSwitch . iface_types datapath_types");
        }
        Cause::NotAdded(reason) => not_added(ctx, finding, interface, reason),
        Cause::Patch => {
            finding.next(format!("ovs-vsctl get interface {name} options"));
        }
        Cause::Other => {
            finding.next(format!("ovs-vsctl list interface {name}"));
        }
    }
}

/// Why the bridge did not take a device that exists.
fn not_added(
    ctx: &Ctx<'_>,
    finding: &mut Finding,
    interface: Item<'_, OvsInterface>,
    reason: &str,
) {
    let name = interface.name();
    match (reason, interface.kind.as_str()) {
        ("File exists", "internal") => {
            // The switch makes the device of an internal port itself.
            let own = if name == interface.bridge { "the bridge" } else { "the port" };
            finding.note(format!(
                "a device called {name} exists already: {own} has the name of a NIC, bond or bridge of the host, and needs a name of its own"
            ));
            if let Some(place) = mapping_to(ctx, interface.host, name) {
                finding.context(place, "a mapping names a bridge, not the NIC");
            }
            finding.next(format!("ip -d link show {name}"));
            finding.next(format!("ovs-vsctl iface-to-br {name}"));
        }
        ("File exists", kind) if !defs::tunnel_port(kind).is_empty() || kind == "gre" => {
            finding.note("another port has the same tunnel key, or the kernel device exists");
            finding.next("ovs-appctl ofproto/list-tunnels");
            finding.next(format!("ip -d link show type {kind}"));
        }
        ("Address already in use", kind) if !defs::tunnel_port(kind).is_empty() => {
            let port = interface.data.option("dst_port").map(|option| option.value.as_str());
            let port = port.unwrap_or_else(|| defs::tunnel_port(kind));
            finding.note(format!("something else on the host holds UDP port {port}"));
            finding.next(format!("ss -lnup 'sport = :{port}'"));
            finding.next(format!("ip -d link show type {kind}"));
        }
        ("Invalid argument", "" | "system") if fallback_of(name).is_some() => {
            let kind = fallback_of(name).unwrap_or_default();
            finding.note(format!(
                "the port has no type, so OVS takes the kernel's device {name}, which exists beside every tunnel of that kind and cannot be a port: for a tunnel set type={kind}"
            ));
            finding.next(format!(
                "ovs-vsctl set interface {name} type={kind} options:remote_ip=ADDRESS"
            ));
        }
        ("File exists", _) => {
            finding.note("another port has the device, or a device of this name exists already");
            finding.next(format!("ip -d link show {name}"));
            finding.next(format!("ovs-vsctl list interface {name}"));
        }
        _ => {
            finding.next(format!("ovs-vsctl list interface {name}"));
        }
    }
}

/// The tunnel that a port of this name is meant for, where it is the name of a device that the
/// kernel makes for itself (`gre0`), or that people give to tunnels (`vxlan0`, `geneve1`).
fn fallback_of(name: &str) -> Option<&'static str> {
    let stem = name.trim_end_matches(|digit: char| digit.is_ascii_digit());
    match stem {
        "gre" | "gretap" => Some("gre"),
        "erspan" => Some("erspan"),
        "vxlan" => Some("vxlan"),
        "geneve" | "genev_sys_" => Some("geneve"),
        _ => None,
    }
}

/// Where OVN's mapping of physical networks names this bridge.
fn mapping_to(ctx: &Ctx<'_>, host: HostId, bridge: &str) -> Option<Evidence> {
    ctx.ovs_texts().filter(|(source, _)| source.host == host).find_map(|(source, rows)| {
        rows.iter().find_map(|row| {
            let OvsRow::OpenVswitch(database) = &row.row else { return None };
            let value = lookup(&database.external_ids, "ovn-bridge-mappings")?;
            let mut bridges = value.value.split(',').filter_map(|pair| pair.split_once(':'));
            bridges.any(|(_, mapped)| mapped.trim() == bridge).then(|| value.evidence(source.id))
        })
    })
}

/// What OVS complains about, told from the words of `bridge.c` and `netdev-vport.c`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cause<'t> {
    /// The device could not be opened; the reason of the operating system.
    NoDevice(&'t str),
    /// Neither the switch nor its kernel knows such an interface; the reason of the operating
    /// system.
    Unsupported(&'t str),
    /// The device is there, but the bridge did not take it.
    NotAdded(&'t str),
    /// A patch without a usable peer.
    Patch,
    /// Anything else.
    Other,
}

impl<'t> Cause<'t> {
    fn of(error: &'t str) -> Self {
        let reason = error.rsplit_once('(').and_then(|(_, it)| it.strip_suffix(')'));
        let reason = reason.unwrap_or(error);
        let unsupported =
            ["Address family not supported", "Operation not supported", "Protocol not supported"];
        if unsupported.iter().any(|unsupported| reason.starts_with(unsupported)) {
            Self::Unsupported(reason)
        } else if error.starts_with("could not open network device") {
            Self::NoDevice(reason)
        } else if error.starts_with("could not add network device") {
            Self::NotAdded(reason)
        } else if error.starts_with("No usable peer") || error.contains("patch type") {
            Self::Patch
        } else {
            Self::Other
        }
    }

    fn message(self, error: &str) -> String {
        match self {
            Self::NoDevice(reason) => format!("OVS could not open the device: {reason}"),
            Self::Unsupported(reason) => {
                format!("OVS could not make an interface of this type: {reason}")
            }
            Self::NotAdded(reason) => {
                format!("OVS could not add the device to its bridge: {reason}")
            }
            Self::Patch => {
                format!("OVS could not connect the patch port: {}", error.trim_end_matches('.'))
            }
            Self::Other => format!("OVS reports an error on this interface: {error}"),
        }
    }
}

/// Says where the device is, if it is anywhere; else what was searched in vain.
fn describe_device(ctx: &Ctx<'_>, finding: &mut Finding, host: HostId, name: &str) {
    // A hybrid port is a veth pair: the other end says whether the pair was ever made.
    let partner = name.strip_prefix("qvo").map(|rest| format!("qvb{rest}"));
    let mut nowhere: Option<Searched> = None;
    for name in std::iter::once(name).chain(partner.as_deref()) {
        match defs::presence(ctx, host, name) {
            Presence::Yes(device) => {
                let Some(device) = ctx.netdev(device) else { continue };
                finding.note(format!(
                    "{name} exists in namespace {} of a capture: it came later, or lives where OVS does not look",
                    device.netns()
                ));
                if let Some(place) = device.place() {
                    finding.context(place, "the device");
                }
            }
            Presence::No(searched) => match &mut nowhere {
                Some(first) => first.keys.extend(searched.keys),
                None => nowhere = Some(searched),
            },
            Presence::Unknown(_) => {}
        }
    }
    if let Some(searched) = nowhere {
        finding.absent(searched);
    }
}

/// A port whose VM is off has no device, and OVS says so: no fault.
fn lower_for_user(ctx: &Ctx<'_>, finding: &mut Finding, host: HostId, name: &str) {
    if names::port_prefix(name).is_none() && !name.starts_with("vnet") {
        return;
    }
    match ctx.user_of(host, name) {
        User::Running(vm) => {
            if let Some(state) = ctx.state_of(vm) {
                finding.context(state.evidence, "the VM that needs it");
            }
            if let Some(vm) = ctx.vm(vm) {
                finding.next(format!("virsh domiflist {}", vm.name()));
            }
        }
        User::Off(vm) => {
            finding.at_most(Severity::Info);
            if let Some(state) = ctx.state_of(vm) {
                finding.context(state.evidence, "its VM does not run");
            }
            finding.note("the device appears when the VM starts");
        }
        User::Nobody => {
            finding
                .note("no VM of this host uses the port: a leftover, or one that failed to start");
        }
        User::Unknown(missing) => {
            finding
                .note(format!("which VM uses the port is not known: run {}", need::list(&missing)));
            // A tap comes and goes with its VM; a host without any word of VMs tells
            // nothing of whether one should be there.
            let listed = ctx.captured(host, &Netns::Root, Topic::Domains);
            if !listed || !name.starts_with("qvo") {
                finding.at_most(Severity::Warning);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_by_the_words_of_the_switch() {
        let open = "could not open network device qvo7ef1c0aa-12 (No such device)";
        assert_eq!(Cause::of(open), Cause::NoDevice("No such device"));
        let family =
            "could not open network device stt0 (Address family not supported by protocol)";
        assert!(matches!(Cause::of(family), Cause::Unsupported(_)));
        let add = "could not add network device vxlan1 to ofproto (File exists)";
        assert_eq!(Cause::of(add), Cause::NotAdded("File exists"));
        assert_eq!(Cause::of("No usable peer 'a' exists in 'system' datapath."), Cause::Patch);
        assert_eq!(Cause::of("stt0: stt type requires valid 'remote_ip' argument"), Cause::Other);
        assert_eq!(Cause::of("("), Cause::Other);
    }
}
