//! Words that name nobody: those of programs and of their output.
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// What the readers look for, made of their code by `cargo dev docs`.
const OF_FORMATS: &str = include_str!("words.txt");

/// What programs and habits put into names of devices, bridges, namespaces and logical ports.
const OF_PROGRAMS: &str = "
    lo eth em en ens enp eno enx np ib wl ww usb rndis sit ip tun tap tunl tnl gre gretap erspan ipip
    vti dummy ifb bond team bonding teaming vlan vxlan geneve genev sys sw ovs system netdev dpdk vport
    br bridge virbr nic vnet vhu vfr qvo qvb qbr qr qg ha sg fg fpr rfp brq qrouter qdhcp qlbaas snat
    fip ovnmeta ovntest neutron provnet lrp cr localnet localport patch phy int ex ext external internal
    provider physnet physnets data mgmt management tenant trunk public private storage net network ovn k
    mp stor rtos rtoj jtor gr join transit switch router node default cni flannel cali cilium lxc weave
    kube ipvs nodelocaldns docker podman veth cbr lxd lxdbr lxcbr fwbr fwln fwpr vmbr pve macvtap macvlan
    ipvlan ipoib nat wan lan dmz loop pair peer port uplink active backup standby master slave primary
    secondary meta metadata dhcp agent qos l d s p f n v u m a b c x y z o t r i e g h j w q host pod
    gateway gw vip vrrp keepalived haproxy vm guest instance tpt tpi spt spi ns to rep pf vf sriov
    physical integration tunnel tunnels overlay underlay sandbox container rename bonded wlan openvswitch
    root self mcast unknown chassisredirect container_id svc service cluster local localdomain com org
    lag vlanned p2p ovsbond ovsbr bondbr
";

static FORMATS: LazyLock<BTreeSet<&str>> = LazyLock::new(|| OF_FORMATS.lines().collect());
static PROGRAMS: LazyLock<BTreeSet<&str>> =
    LazyLock::new(|| OF_PROGRAMS.split_whitespace().chain(FORMATS.iter().copied()).collect());

/// Whether a whole name is a word that outputs have, too: replaced, they would say something else.
pub(crate) fn is_of_formats(name: &str) -> bool {
    FORMATS.contains(name.to_lowercase().as_str())
}

/// Whether a word, in small letters, stays in the name of a device.
pub(crate) fn is_of_programs(word: &str) -> bool {
    PROGRAMS.contains(word)
}

/// All of them.
pub(crate) fn all() -> BTreeSet<&'static str> {
    PROGRAMS.clone()
}
