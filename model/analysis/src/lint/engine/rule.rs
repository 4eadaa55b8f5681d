//! What a rule says of itself. All tables over rules are derived from it.
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::ctx::Ctx;
use super::finding::{Confidence, Severity};
use super::verdicts::Verdicts;

/// What a rule says of itself: fixed for built-in rules, read from a file for those of users.
pub type Text = Cow<'static, str>;

/// A lint rule: data and one function.
#[derive(Debug)]
pub struct Rule {
    /// Stable code: `OVS-001`. Never reused.
    pub code: Text,
    /// Stable id in kebab-case; says what is wrong.
    pub id: Text,
    /// One line: what it finds.
    pub summary: Text,
    /// The severity of its findings, where nothing lowers it.
    pub severity: Severity,
    /// The confidence of its findings, where nothing lowers it.
    pub confidence: Confidence,
    /// Its page in Markdown: `tapline explain`, the documentation, and tests.
    pub page: Text,
    /// What it has to do with other rules, with settings and with paths.
    pub traits: Traits,
    /// Looks at everything that it is about and gives a verdict on each.
    pub check: Check,
}

/// What a rule does.
pub enum Check {
    /// The function of a built-in rule.
    BuiltIn(fn(&Ctx<'_>, &mut Verdicts)),
    /// The check of a rule that a user wrote, made while the program runs.
    Own(Box<OwnCheck>),
}

/// What a rule that a user wrote does.
pub type OwnCheck = dyn Fn(&Ctx<'_>, &mut Verdicts) + Send + Sync;

impl Check {
    /// Gives a verdict on everything that the rule is about.
    pub(crate) fn run(&self, ctx: &Ctx<'_>, out: &mut Verdicts) {
        match self {
            Self::BuiltIn(check) => check(ctx, out),
            Self::Own(check) => check(ctx, out),
        }
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BuiltIn(_) => "BuiltIn",
            Self::Own(_) => "Own",
        })
    }
}

/// A rule that several places refer to. It dereferences to the rule.
#[derive(Clone, Debug)]
pub enum RuleRef {
    /// A built-in rule.
    BuiltIn(&'static Rule),
    /// A rule that a user wrote.
    Own(Arc<Rule>),
}

impl Deref for RuleRef {
    type Target = Rule;
    fn deref(&self) -> &Rule {
        match self {
            Self::BuiltIn(rule) => rule,
            Self::Own(rule) => rule,
        }
    }
}

impl From<&'static Rule> for RuleRef {
    fn from(rule: &'static Rule) -> Self {
        Self::BuiltIn(rule)
    }
}

impl From<&&'static Rule> for RuleRef {
    fn from(rule: &&'static Rule) -> Self {
        Self::BuiltIn(rule)
    }
}

impl From<&Self> for RuleRef {
    fn from(rule: &Self) -> Self {
        rule.clone()
    }
}

/// A rule is its code.
impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.code == other.code
    }
}

impl Eq for Rule {}

/// What a rule has to do with other rules, with settings and with paths.
#[derive(Clone, Copy, Debug)]
pub struct Traits {
    /// Where its findings stand above the ground; `None` for rules of users, which come last.
    pub place: Option<Place>,
    /// Where its findings stand that speak of a whole population (most ports of a bridge, most
    /// VMs of a host); `None` where they stand with the others.
    pub population_place: Option<Place>,
    /// Where its findings stand that say of a device that it is switched off; `None` where they
    /// stand with the others.
    pub switched_off_place: Option<Place>,
    /// How valuable it is to a person who looks for the cause of an outage: the lower the better.
    pub rank: u16,
    /// It belongs to the core: tapline says so when it is turned off.
    pub core: bool,
    /// Software without which it has nothing to look at.
    pub about: &'static [Software],
    /// It says that a device is down, which the profile of a machine may expect.
    pub reports_down: bool,
    /// Where on a path its errors stop frames.
    pub cuts: &'static [Cut],
    /// Settings that it asks for, beside those that all rules heed.
    pub asks: &'static [Setting],
    /// What its findings may follow from.
    pub after: &'static [After],
}

impl Traits {
    /// Those of a rule that stands alone.
    pub const NONE: Self = Self {
        place: None,
        population_place: None,
        switched_off_place: None,
        rank: u16::MAX,
        core: false,
        about: &[],
        reports_down: false,
        cuts: &[],
        asks: &[],
        after: &[],
    };
}

/// The place of a rule above the ground. Causes stand below what follows from them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// The layer.
    pub layer: Layer,
    /// The place in the layer: the lower the nearer to the ground.
    pub order: u16,
}

/// The layers, from the ground up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Layer {
    /// What was captured.
    Capture,
    /// Daemons and agents that make everything else.
    Daemon,
    /// NICs and bonds.
    Physical,
    /// Namespaces as such.
    Namespace,
    /// Tunnels that exclude each other: the switch can make only one of them.
    TunnelConflict,
    /// Devices and ports.
    L2Device,
    /// Which bridge a device is in.
    L2Membership,
    /// Provider bridges: their uplinks, and the patches to them.
    ProviderBridge,
    /// VLANs and flows of switches.
    TagsAndFlows,
    /// Ports of namespaces.
    NamespacePort,
    /// Addresses as such.
    Addressing,
    /// Tunnels.
    Tunnel,
    /// OVN's databases.
    Ovn,
    /// MTUs.
    Mtu,
    /// Routes, routers, neighbours.
    L3,
    /// Packet filters.
    Firewall,
    /// What only shows that something is wrong.
    Symptom,
}

/// Software that a rule may be about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Software {
    /// What neutron makes, with any driver.
    Neutron,
    /// What neutron's Open vSwitch agent makes.
    NeutronAgent,
    /// OVN.
    Ovn,
    /// Kubernetes.
    Kubernetes,
}

/// Where on a path a fault stops frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// Between a port and its switch.
    ToSwitch,
    /// Behind the switch: at a patch, a tunnel or an uplink.
    BehindSwitch,
}

/// What a finding follows from: any finding of `roots` that passes `only` explains any finding of
/// the declaring rule that passes `of`, where one of `joins` holds.
#[derive(Clone, Copy, Debug)]
pub struct After {
    /// The rules that explain.
    pub roots: &'static [&'static Rule],
    /// Which of their findings.
    pub only: Which,
    /// What both findings must have in common.
    pub joins: &'static [Join],
    /// Which findings of the declaring rule.
    pub of: Which,
}

impl After {
    /// Any finding of `roots`, any finding of the declaring rule.
    pub(crate) const fn new(roots: &'static [&'static Rule], joins: &'static [Join]) -> Self {
        Self { roots, only: Which::Any, joins, of: Which::Any }
    }

    /// Only these findings of the roots.
    pub(crate) const fn only(mut self, only: Which) -> Self {
        self.only = only;
        self
    }

    /// Only these findings of the declaring rule.
    pub(crate) const fn of(mut self, of: Which) -> Self {
        self.of = of;
        self
    }
}

/// What two findings have in common where one explains the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Join {
    /// The host.
    Host,
    /// An OVS or Linux bridge.
    Bridge,
    /// A device or port of the same name.
    Device,
    /// A device or port of the same name, or of the same neutron port.
    Port,
    /// The namespace.
    Netns,
    /// An address, on this host.
    Address,
    /// An address, whatever the host.
    AnyAddress,
    /// The VM, whatever the host.
    Vm,
    /// A captured host that both are about, whatever the host that they are on.
    Peer,
    /// What the symptom is about hangs on what the root is about.
    Above,
}

/// Some of the findings of a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Which {
    /// All.
    Any,
    /// Those that stand for most ports of a bridge or most objects of a host.
    Population,
    /// Those about the integration bridge, whose controller is the agent.
    IntegrationBridge,
    /// A patch to a port that does not exist.
    AbsentPeer,
    /// A patch to a port that is patched elsewhere.
    PresentPeer,
    /// What an agent began and did not finish.
    Unfinished,
    /// A fault of the host itself, not of a namespace on it.
    RootNamespace,
    /// A port that lives in the namespace of a router, of floating addresses or of a DHCP server.
    NamespacePort,
    /// What a namespace lacks for want of a port.
    WithoutPort,
    /// Flows that join the integration bridge with a provider bridge.
    Provider,
    /// A device that is switched off, though it is there.
    SwitchedOff,
    /// The port of a router, or of the namespace of floating addresses, in the external network.
    GatewayPort,
}

/// A setting that some rules ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Setting {
    /// `env.l2pop`
    L2pop,
    /// `env.firewall`
    Firewall,
    /// `env.config_drive_only`
    ConfigDriveOnly,
    /// `env.physnet_mtu`
    PhysnetMtu,
    /// `env.expected_bridges`
    ExpectedBridges,
    /// `env.hosts_in_mesh`
    HostsInMesh,
    /// `thresholds.counter_ratio`
    CounterRatio,
    /// `thresholds.counter_min`
    CounterMin,
    /// `thresholds.neigh_ratio`
    NeighRatio,
    /// `thresholds.link_flaps`
    LinkFlaps,
    /// `thresholds.orphan_warn`
    OrphanWarn,
}

impl Setting {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::L2pop,
        Self::Firewall,
        Self::ConfigDriveOnly,
        Self::PhysnetMtu,
        Self::ExpectedBridges,
        Self::HostsInMesh,
        Self::CounterRatio,
        Self::CounterMin,
        Self::NeighRatio,
        Self::LinkFlaps,
        Self::OrphanWarn,
    ];

    /// As a configuration writes it.
    pub fn key(self) -> &'static str {
        match self {
            Self::L2pop => "env.l2pop",
            Self::Firewall => "env.firewall",
            Self::ConfigDriveOnly => "env.config_drive_only",
            Self::PhysnetMtu => "env.physnet_mtu",
            Self::ExpectedBridges => "env.expected_bridges",
            Self::HostsInMesh => "env.hosts_in_mesh",
            Self::CounterRatio => "thresholds.counter_ratio",
            Self::CounterMin => "thresholds.counter_min",
            Self::NeighRatio => "thresholds.neigh_ratio",
            Self::LinkFlaps => "thresholds.link_flaps",
            Self::OrphanWarn => "thresholds.orphan_warn",
        }
    }
}

/// Declares `RULE`, the rule of a file; its `check` function and its page stand beside it.
///
/// - `layer`: the layer and the place in it; causes stand below what follows from them.
/// - `population`: the same for findings that stand for a whole population, where it differs.
/// - `switched_off`: the same for findings that say of a device that it is switched off.
/// - `rank`: how much it helps to find the cause of an outage, lower is better.
/// - `core`: tapline says so when the rule is turned off. Left out: `false`.
/// - `about`: software without which it has nothing to look at.
/// - `reports_down`: it says that a device is down. Left out: `false`.
/// - `cuts`: where on a path its errors stop frames.
/// - `asks`: settings that it asks for.
/// - `after`: what its findings may follow from:
///   `[family::rule, …] if WHICH by [JOIN, …] for WHICH`; `if` says which findings of those rules,
///   `for` which of this rule's, `by` what both must have in common.
macro_rules! declare_rule {
    (
        $(#[$doc:meta])*
        code: $code:literal,
        id: $id:literal,
        summary: $summary:literal,
        severity: $severity:ident,
        confidence: $confidence:ident,
        page: $page:literal,
        layer: ($layer:ident, $order:literal),
        $(population: ($population:ident, $population_order:literal),)?
        $(switched_off: ($switched_off:ident, $switched_off_order:literal),)?
        rank: $rank:literal,
        $(core: $core:literal,)?
        about: [$($about:ident),*],
        $(reports_down: $reports_down:literal,)?
        cuts: [$($cut:ident),*],
        asks: [$($ask:ident),*],
        after: [$(
            [$($family:ident :: $root:ident),+ $(,)?]
            $(if $only:ident)?
            by [$($join:ident),+]
            $(for $of:ident)?
        ),* $(,)?] $(,)?
    ) => {
        $(#[$doc])*
        pub(crate) static RULE: $crate::lint::Rule = {
            use std::borrow::Cow;

            use $crate::lint::engine::{finding, rule};
            rule::Rule {
                code: Cow::Borrowed($code),
                id: Cow::Borrowed($id),
                summary: Cow::Borrowed($summary),
                severity: finding::Severity::$severity,
                confidence: finding::Confidence::$confidence,
                page: Cow::Borrowed(include_str!($page)),
                traits: rule::Traits {
                    place: Some(rule::Place { layer: rule::Layer::$layer, order: $order }),
                    $(population_place: Some(rule::Place {
                        layer: rule::Layer::$population,
                        order: $population_order,
                    }),)?
                    $(switched_off_place: Some(rule::Place {
                        layer: rule::Layer::$switched_off,
                        order: $switched_off_order,
                    }),)?
                    rank: $rank,
                    $(core: $core,)?
                    about: &[$(rule::Software::$about),*],
                    $(reports_down: $reports_down,)?
                    cuts: &[$(rule::Cut::$cut),*],
                    asks: &[$(rule::Setting::$ask),*],
                    after: &[$(
                        rule::After::new(
                            &[$(&$crate::lint::rules::$family::$root::RULE),+],
                            &[$(rule::Join::$join),+],
                        )
                        $(.only(rule::Which::$only))?
                        $(.of(rule::Which::$of))?
                    ),*],
                    ..rule::Traits::NONE
                },
                check: rule::Check::BuiltIn(check),
            }
        };
    };
}
pub(crate) use declare_rule;
