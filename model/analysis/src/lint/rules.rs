//! All rules. A rule is `rules/<family>/<id>.rs`, its page `<id>.md` beside it, and the line in its
//! family that declares the module. [`ALL`] is made of the files while tapline is built.
use super::engine::rule::{Rule, Setting};

pub(crate) mod bond;
pub(crate) mod cap;
pub(crate) mod ipt;
pub(crate) mod k8s;
pub(crate) mod l3;
pub(crate) mod lbr;
pub(crate) mod mac;
pub(crate) mod mtu;
pub(crate) mod nic;
pub(crate) mod ns;
pub(crate) mod ovn;
pub(crate) mod ovs;
pub(crate) mod tun;
pub(crate) mod veth;
pub(crate) mod vm;
pub(crate) mod xhost;

pub(crate) use l3::gateway_unreachable::next_hops;

// `ALL`, made of the files in `rules/` by `build.rs`.
include!(concat!(env!("OUT_DIR"), "/all_rules.rs"));

/// The rules that ask for a setting.
pub fn asking(setting: Setting) -> impl Iterator<Item = &'static Rule> {
    ALL.iter().copied().filter(move |rule| rule.traits.asks.contains(&setting))
}

/// The rule with this code or id.
pub fn find(name: &str) -> Option<&'static Rule> {
    ALL.iter().copied().find(|it| it.code.eq_ignore_ascii_case(name) || it.id == name)
}
