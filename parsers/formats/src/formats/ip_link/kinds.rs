//! Typed details of device kinds, the same from text and from JSON.
use std::net::IpAddr;
use std::str::FromStr;

use tapline_core::Name;
use tapline_core::records::link::{BondData, BridgeData, KindData, Tunnel, Vlan};
use tapline_core::span::{At, Span};

use super::fail;
use crate::nomx::Expected;

/// The kind of one device, while its fields go by.
pub(super) struct Kind<'a> {
    family: Family,
    /// `protocol` of a VLAN comes before its id.
    protocol: Option<&'a str>,
}

/// Kinds with the same typed details.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Vlan,
    Tunnel,
    Bridge,
    Bond,
    Mode,
    Tun,
    Vrf,
    /// No typed details.
    Other,
}

impl<'a> Kind<'a> {
    pub(super) fn new(kind: &str) -> Self {
        let family = match kind {
            "vlan" => Family::Vlan,
            "vxlan" | "geneve" | "gre" | "gretap" | "ip6gre" | "ip6gretap" | "erspan"
            | "ip6erspan" | "ipip" | "sit" | "ip6tnl" | "vti" | "vti6" | "bareudp" | "amt" => {
                Family::Tunnel
            }
            "bridge" => Family::Bridge,
            "bond" => Family::Bond,
            "macvlan" | "macvtap" | "ipvlan" | "ipvtap" => Family::Mode,
            "tun" => Family::Tun,
            "vrf" => Family::Vrf,
            _ => Family::Other,
        };
        Self { family, protocol: None }
    }

    /// Puts `value` where it belongs; `false` where no typed field holds it.
    pub(super) fn set(
        &mut self,
        text: &str,
        data: &mut KindData,
        key: &str,
        value: &'a str,
    ) -> Result<bool, nom::Err<Expected<'a>>> {
        let at = || Span::of(text, value);
        match (self.family, key) {
            (Family::Vlan, "protocol") => {
                self.protocol = Some(value);
                if let Some(vlan) = &mut data.vlan {
                    vlan.protocol = Some(value.into());
                }
            }
            (Family::Vlan, "id") => {
                let protocol = self.protocol.map(Name::new);
                data.vlan = Some(Vlan { protocol, id: read(text, value, "a VLAN id")? });
            }
            (Family::Tunnel, _) => return tunnel(text, data, key, value),
            (Family::Bridge, _) => return bridge(text, data, key, value),
            (Family::Bond, "mode") => {
                bond_of(data).mode = Some(At::new(value.into(), at()));
            }
            (Family::Bond, "active_slave") => {
                bond_of(data).active_slave = Some(At::new(value.into(), at()));
            }
            (Family::Bond, "miimon") => {
                bond_of(data).miimon = Some(read(text, value, "milliseconds")?.value);
            }
            (Family::Mode, "mode") => data.mode = Some(At::new(value.into(), at())),
            (Family::Tun, "type") => data.tun_type = Some(At::new(value.into(), at())),
            (Family::Vrf, "table") => {
                data.vrf_table = Some(read(text, value, "the number of a table")?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn bond_of(data: &mut KindData) -> &mut BondData {
    data.bond.get_or_insert_default()
}

fn tunnel_of(data: &mut KindData) -> &mut Tunnel {
    data.tunnel.get_or_insert_default()
}

fn bridge_of(data: &mut KindData) -> &mut BridgeData {
    data.bridge.get_or_insert_default()
}

fn tunnel<'a>(
    text: &str,
    data: &mut KindData,
    key: &str,
    value: &'a str,
) -> Result<bool, nom::Err<Expected<'a>>> {
    match key {
        "id" => tunnel_of(data).id = Some(read(text, value, "a tunnel id")?),
        // JSON has a value, text has none.
        "external" => tunnel_of(data).external = value != "false",
        "local" => {
            let local = endpoint(text, value)?;
            tunnel_of(data).local = local;
        }
        "remote" | "group" => {
            let remote = endpoint(text, value)?;
            tunnel_of(data).remote = remote;
        }
        "dev" => tunnel_of(data).dev = Some(At::new(value.into(), Span::of(text, value))),
        "dstport" => tunnel_of(data).dstport = Some(read(text, value, "a port number")?),
        "key" | "ikey" | "okey" => {
            let tunnel = tunnel_of(data);
            let at = Span::of(text, value);
            // Keys of both directions, where they differ: `1/2`.
            tunnel.key = Some(match tunnel.key.take() {
                Some(old) if old.as_str() != value => {
                    At::new(format!("{}/{value}", old.value).into(), old.span.to(at))
                }
                Some(old) => old,
                None => At::new(value.into(), at),
            });
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// An address, or `any`.
fn endpoint<'a>(text: &str, value: &'a str) -> Result<Option<At<IpAddr>>, nom::Err<Expected<'a>>> {
    if matches!(value, "any" | "unknown") {
        return Ok(None);
    }
    read(text, value, "an IP address or `any`").map(Some)
}

fn bridge<'a>(
    text: &str,
    data: &mut KindData,
    key: &str,
    value: &'a str,
) -> Result<bool, nom::Err<Expected<'a>>> {
    match key {
        "vlan_filtering" => bridge_of(data).vlan_filtering = Some(switch(text, value)?),
        // 2 is STP in user space.
        "stp_state" => {
            let state: At<u32> = read(text, value, "a number")?;
            bridge_of(data).stp = Some(state.map(|state| state != 0));
        }
        "ageing_time" => bridge_of(data).ageing_time = Some(read(text, value, "a number")?),
        "bridge_id" => bridge_of(data).bridge_id = Some(value.into()),
        "vlan_default_pvid" => bridge_of(data).default_pvid = Some(read(text, value, "a VLAN id")?),
        "nf_call_iptables" => bridge_of(data).nf_call_iptables = Some(switch(text, value)?),
        _ => return Ok(false),
    }
    Ok(true)
}

/// `0` or `1`.
fn switch<'a>(text: &str, value: &'a str) -> Result<At<bool>, nom::Err<Expected<'a>>> {
    let on = match value {
        "0" | "off" | "false" => false,
        "1" | "on" | "true" => true,
        _ => return Err(fail(value, "0 or 1")),
    };
    Ok(At::new(on, Span::of(text, value)))
}

fn read<'a, T: FromStr>(
    text: &str,
    value: &'a str,
    what: &'static str,
) -> Result<At<T>, nom::Err<Expected<'a>>> {
    match value.parse() {
        Ok(it) => Ok(At::new(it, Span::of(text, value))),
        Err(_) => Err(fail(value, what)),
    }
}

/// Whether `kind` is a kind of device that the kernel or a common module has.
pub(super) fn is_known(kind: &str) -> bool {
    matches!(
        kind,
        "veth"
            | "bridge"
            | "openvswitch"
            | "tun"
            | "vlan"
            | "vxlan"
            | "geneve"
            | "bond"
            | "gre"
            | "gretap"
            | "ip6gre"
            | "ip6gretap"
            | "erspan"
            | "ip6erspan"
            | "ipip"
            | "sit"
            | "ip6tnl"
            | "vti"
            | "vti6"
            | "bareudp"
            | "amt"
            | "gtp"
            | "macvlan"
            | "macvtap"
            | "ipvlan"
            | "ipvtap"
            | "vrf"
            | "dummy"
            | "team"
            | "hsr"
            | "macsec"
            | "xfrm"
            | "wireguard"
            | "ifb"
            | "nlmon"
            | "vsockmon"
            | "can"
            | "vcan"
            | "vxcan"
            | "ipoib"
            | "netkit"
            | "netdevsim"
            | "batadv"
            | "dsa"
            | "lowpan"
            | "rmnet"
            | "virt_wifi"
            | "wwan"
            | "cfhsi"
            | "ovpn"
    )
}
