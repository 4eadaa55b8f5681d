//! What a person says of the machines because captures cannot tell it. Plain data.
use std::collections::{BTreeMap, BTreeSet};

use globset::{GlobBuilder, GlobMatcher};
use serde::Serialize;
use tapline_topology::names;

/// What sort of machines these are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// OpenStack with neutron's Open vSwitch agent.
    OpenstackOvs,
    /// OpenStack with OVN.
    OpenstackOvn,
    /// Virtual machines without a cloud.
    Libvirt,
    /// A Kubernetes node.
    K8s,
    /// Containers of LXD or Incus.
    Lxd,
    /// None of these.
    Generic,
}

impl Profile {
    /// As it is written in a configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenstackOvs => "openstack-ovs",
            Self::OpenstackOvn => "openstack-ovn",
            Self::Libvirt => "libvirt",
            Self::K8s => "k8s",
            Self::Lxd => "lxd",
            Self::Generic => "generic",
        }
    }

    /// Names of devices that are down on such machines by design. `*` stands for any characters.
    pub fn expects_down(self) -> &'static [&'static str] {
        match self {
            Self::OpenstackOvs | Self::OpenstackOvn => &[
                names::INTEGRATION_BRIDGE,
                names::TUNNEL_BRIDGE,
                "br-ex",
                "tbr-*",
                "pb*",
                "ovs-system",
                "virbr0*",
            ],
            Self::Libvirt => &["virbr*", "ovs-system"],
            Self::K8s => {
                &["docker0", "cni0", "kube-ipvs0", "nodelocaldns", "dummy*", "tunl0", "ovs-system"]
            }
            Self::Lxd => &["lxdbr*", "incusbr*", "docker0"],
            Self::Generic => &[],
        }
    }

    /// Whether neutron's Open vSwitch agent works on such machines.
    pub fn has_ovs_agent(self) -> bool {
        self == Self::OpenstackOvs
    }
}

/// How security groups are enforced.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Firewall {
    /// By iptables on a Linux bridge between the tap and the switch.
    Hybrid,
    /// By flows of Open vSwitch.
    Native,
    /// Not at all.
    None,
}

/// Facts that captures cannot tell. Empty and `None` are *not said*.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// l2population: tunnels are made where they are needed, so a half mesh is no fault.
    pub l2pop: Option<bool>,
    /// How security groups are enforced.
    pub firewall: Option<Firewall>,
    /// Guests get their metadata from a config drive only.
    pub config_drive_only: Option<bool>,
    /// MTU of physical networks, in bytes.
    pub physnet_mtu: BTreeMap<String, u32>,
    /// Bridges that every host should have.
    pub expected_bridges: Vec<String>,
    /// Hosts that belong to the tunnel mesh, captured or not.
    pub hosts_in_mesh: Vec<Glob>,
    /// Groups of names that are one host.
    pub same_host: Vec<Vec<String>>,
}

/// A pattern of names: `*` and `?` stand for any characters, `[ab]` and `{one,two}` for one of
/// several.
#[derive(Clone, Debug)]
pub struct Glob {
    matcher: GlobMatcher,
    /// Names that fit besides.
    also: BTreeSet<String>,
}

impl Glob {
    /// Reads a pattern; says why it is none.
    pub fn new(pattern: &str) -> Result<Self, String> {
        let glob = GlobBuilder::new(pattern).build().map_err(|build| build.kind().to_string())?;
        Ok(Self { matcher: glob.compile_matcher(), also: BTreeSet::new() })
    }

    /// Whether a name fits.
    pub fn matches(&self, name: &str) -> bool {
        self.matcher.is_match(name) || self.also.contains(name)
    }

    /// The same pattern, which these names fit, too.
    #[must_use]
    pub fn or_one_of(self, names: BTreeSet<String>) -> Self {
        Self { also: names, ..self }
    }

    /// As it was written.
    pub fn pattern(&self) -> &str {
        self.matcher.glob().glob()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_written_as_they_serialize() {
        for (profile, word, down) in [
            (Profile::OpenstackOvs, "openstack-ovs", Some("br-tun")),
            (Profile::OpenstackOvn, "openstack-ovn", Some("br-tun")),
            (Profile::Libvirt, "libvirt", Some("virbr*")),
            (Profile::K8s, "k8s", Some("tunl0")),
            (Profile::Lxd, "lxd", Some("lxdbr*")),
            (Profile::Generic, "generic", None),
        ] {
            assert_eq!(profile.as_str(), word);
            assert_eq!(
                down.is_some_and(|name| profile.expects_down().contains(&name)),
                down.is_some()
            );
            assert_eq!(profile.expects_down().is_empty(), down.is_none());
            assert_eq!(profile.has_ovs_agent(), profile == Profile::OpenstackOvs);
        }
    }
}
