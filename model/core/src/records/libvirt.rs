//! Virtual machines: `virsh list`, domain XML, `virsh domiflist`, qemu processes.
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use super::Field;
use crate::Name;
use crate::ids::Mac;
use crate::span::{At, Span};

/// One row of `virsh list`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct DomainState {
    /// The line.
    #[serde(skip)]
    pub at: Span,
    /// Id of a running domain; changes with every start.
    pub id: Option<At<u32>>,
    /// Name; `--uuid` alone does not print it.
    pub name: Option<At<Name>>,
    /// UUID (`--uuid`).
    pub uuid: Option<At<Name>>,
    /// `running`, `idle`, `paused`, `in shutdown`, `shut off`, `crashed`, `pmsuspended`, …
    pub state: Option<At<Name>>,
    /// Title (`--title`).
    pub title: Option<At<Name>>,
}

/// One domain as XML.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Domain {
    /// The `<domain>` tag.
    #[serde(skip)]
    pub at: Span,
    /// Name. An XML fragment of `virsh edit` may hold interfaces only.
    pub name: Option<At<Name>>,
    /// UUID.
    pub uuid: Option<At<Name>>,
    /// Id of the running domain (`<domain id='…'>`).
    pub id: Option<At<u32>>,
    /// Hypervisor type: `kvm`, `qemu`, …
    pub hypervisor: Option<Name>,
    /// The XML describes a running domain: it has an id, or is a `<domstatus>`.
    pub live: bool,
    /// State of a `<domstatus>`: `running`, `paused`, …
    pub state: Option<At<Name>>,
    /// Process of a `<domstatus>`.
    pub pid: Option<u32>,
    /// `nova:name`.
    pub nova_name: Option<At<Name>>,
    /// Other nova metadata: flavor, owner, image, …
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nova: Vec<Field>,
    /// Its network interfaces, in order.
    pub nics: Vec<DomainNic>,
    /// PCI addresses of passed-through devices (`<hostdev>`), which may be NICs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hostdevs: Vec<At<Name>>,
}

/// One `<interface>` of a domain.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct DomainNic {
    /// The whole element.
    #[serde(skip)]
    pub at: Span,
    /// `bridge`, `network`, `ethernet`, `direct`, `vhostuser`, `hostdev`, `user`, …
    #[serde(rename = "type")]
    pub kind: At<Name>,
    /// Guest MAC.
    pub mac: Option<At<Mac>>,
    /// `<source bridge=…>`.
    pub bridge: Option<At<Name>>,
    /// `<source network=…>`.
    pub network: Option<At<Name>>,
    /// `<source dev=…>`, or the socket path of vhost-user.
    pub source_dev: Option<At<Name>>,
    /// `<source mode=…>` of macvtap and vhost-user.
    pub source_mode: Option<At<Name>>,
    /// PCI address of a passed-through NIC.
    pub source_pci: Option<At<Name>>,
    /// `<target dev=…>`: the device on the host.
    pub target: Option<At<Name>>,
    /// `<virtualport type=…>`: `openvswitch`, `midonet`, `802.1Qbh`, …
    pub virtualport: Option<At<Name>>,
    /// `interfaceid` of the virtual port: the neutron port.
    pub interface_id: Option<At<Name>>,
    /// `<model type=…>`.
    pub model: Option<At<Name>>,
    /// `<mtu size=…>` in bytes.
    pub mtu: Option<At<u32>>,
    /// `<link state=…>`: `up` or `down`.
    pub link_state: Option<At<Name>>,
    /// `<vlan>`: tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vlans: Vec<At<u16>>,
    /// `<vlan trunk='yes'>`.
    pub vlan_trunk: bool,
    /// `<alias name=…>`: `net0`.
    pub alias: Option<At<Name>>,
    /// Guest PCI address: `0000:00:03.0`.
    pub address: Option<At<Name>>,
    /// Elements and attributes that no field above holds, as `element/@attribute`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<Field>,
}

/// One row of `virsh domiflist`: the domain is known from the command only.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct DomainInterface {
    /// The line.
    #[serde(skip)]
    pub at: Span,
    /// Device on the host; `-` of a domain that is off is `None`.
    pub target: Option<At<Name>>,
    /// `bridge`, `network`, …
    #[serde(rename = "type")]
    pub kind: At<Name>,
    /// Bridge, network or device.
    pub source: Option<At<Name>>,
    /// Guest model.
    pub model: Option<At<Name>>,
    /// Guest MAC.
    pub mac: Option<At<Mac>>,
}

/// One qemu process of a `ps` listing: an independent witness of a running domain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct QemuProcess {
    /// The line.
    #[serde(skip)]
    pub at: Span,
    /// Process id, where the listing has it.
    pub pid: Option<u32>,
    /// When it was started, as printed: `13:02`, `Nov26`, `Thu Feb 10 16:19:27 2022`.
    pub started: Option<At<Name>>,
    /// `-name guest=…`.
    pub name: Option<At<Name>>,
    /// `-uuid`.
    pub uuid: Option<At<Name>>,
    /// The NICs of its command line.
    pub nics: Vec<QemuNic>,
    /// The listing does not show the whole command line: NICs may be missing.
    pub cut: bool,
}

/// One NIC of a qemu command line.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct QemuNic {
    /// `mac=` of `-device`.
    pub mac: Option<At<Mac>>,
    /// `ifname=` of `-netdev tap`; libvirt passes an open file (`fd=`) instead.
    pub ifname: Option<At<Name>>,
    /// `-netdev` id: `hostnet0`.
    pub netdev: Option<Name>,
    /// Device model: `virtio-net-pci`.
    pub model: Option<Name>,
}

/// One row of `virsh net-list`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NetworkState {
    /// Its line.
    #[serde(skip)]
    pub at: Span,
    /// Name.
    pub name: Option<At<Name>>,
    /// UUID, with `--uuid`.
    pub uuid: Option<At<Name>>,
    /// Its state as printed.
    pub state: Option<At<Name>>,
    /// Whether it is active; `None` where the word is not English.
    pub active: Option<At<bool>>,
    /// Whether it is started with the daemon.
    pub autostart: Option<bool>,
    /// Whether it outlives being stopped.
    pub persistent: Option<bool>,
}

/// A network of libvirt.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Network {
    /// Its element.
    #[serde(skip)]
    pub at: Span,
    /// Name.
    pub name: Option<At<Name>>,
    /// UUID.
    pub uuid: Option<At<Name>>,
    /// Its bridge.
    pub bridge: Option<At<Name>>,
    /// Whether the bridge has spanning tree.
    pub stp: Option<bool>,
    /// `nat`, `route`, `bridge`, `open`, …; `None` of an isolated network.
    pub forward: Option<At<Name>>,
    /// The device that it is forwarded to.
    pub forward_dev: Option<At<Name>>,
    /// MAC address of the bridge.
    pub mac: Option<At<Mac>>,
    /// MTU of the bridge.
    pub mtu: Option<At<u32>>,
    /// `openvswitch`, `midonet`.
    pub virtualport: Option<At<Name>>,
    /// VLANs of its ports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vlans: Vec<At<u16>>,
    /// Names of its port groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub portgroups: Vec<At<Name>>,
    /// Addresses of the host on it, with what dnsmasq hands out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<NetworkAddress>,
}

/// An address of the host on a network of libvirt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NetworkAddress {
    /// Its opening tag.
    #[serde(skip)]
    pub at: Span,
    /// The address.
    pub ip: IpAddr,
    /// Prefix length.
    pub prefix: Option<u8>,
    /// What DHCP hands out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<NetworkRange>,
    /// What DHCP reserves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub leases: Vec<NetworkLease>,
}

/// Addresses that DHCP hands out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NetworkRange {
    /// Its tag.
    #[serde(skip)]
    pub at: Span,
    /// The first.
    pub start: IpAddr,
    /// The last.
    pub end: IpAddr,
}

/// An address that DHCP reserves for one guest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NetworkLease {
    /// Its tag.
    #[serde(skip)]
    pub at: Span,
    /// MAC address of the guest.
    pub mac: Option<Mac>,
    /// Name of the guest.
    pub name: Option<Name>,
    /// The address.
    pub ip: IpAddr,
}

/// One address of a guest, as `virsh domifaddr` prints it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct DomainAddress {
    /// Its line.
    #[serde(skip)]
    pub at: Span,
    /// The device: that of the host, or within the guest where its agent answered.
    pub dev: Option<At<Name>>,
    /// MAC address.
    pub mac: Option<At<Mac>>,
    /// The address; `None` where it has none.
    pub address: Option<At<IpNet>>,
}
