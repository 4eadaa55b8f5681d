"""Set-ups by chance for `make.py --random FIRST LAST`: each number is a host of a few bases, with one to three
things changed that people change or that break, and questions about it. The answers of `trace` are held
against what packets do in it; the files are made anew and are not kept. What contradicted once is kept as a
set-up of its own in `setups.py`."""
import random

from setups import BRIDGE, ROUTER, TUNNELLED_BRIDGES, ask

VLANS = """
ip link add br0 type bridge vlan_filtering 1
ip link set br0 up
ip link add va type veth peer name eth0 netns a
ip link add vb type veth peer name eth0 netns b
ip link set va master br0 up
ip link set vb master br0 up
bridge vlan add dev va vid 10 pvid untagged
bridge vlan add dev vb vid 10
ip -n b link set eth0 up
ip -n b link add link eth0 name eth0.10 type vlan id 10
ip -n b link set eth0.10 up
ip -n a addr add 192.0.2.1/24 dev eth0
ip -n b addr add 192.0.2.2/24 dev eth0.10
ip -n a link set eth0 up
"""
MACVLAN = """
ip link add p0 type dummy
ip link set p0 up
ip link add link p0 name eth0 netns a type macvlan mode bridge
ip link add link p0 name eth0 netns b type macvlan mode bridge
ip -n a addr add 192.0.2.1/24 dev eth0
ip -n b addr add 192.0.2.2/24 dev eth0
ip -n a link set eth0 up
ip -n b link set eth0 up
"""
# What is changed: at the ends, at a bridge, at a router, at two routers, at a tunnel.
L2 = [
 "ip netns exec b iptables -A INPUT -p tcp --dport 80 -j DROP",
 "ip netns exec b iptables -A INPUT -p udp -j REJECT",
 "ip netns exec b iptables -A INPUT -s 192.0.2.0/28 -p icmp -j DROP",
 "ip netns exec b iptables -P INPUT DROP; ip netns exec b iptables -A INPUT -m conntrack --ctstate NEW -p tcp --dport 80 -j ACCEPT",
 "ip netns exec a iptables -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT; ip netns exec a iptables -P INPUT DROP",
 "ip netns exec a iptables -P INPUT DROP",
 "ip netns exec b iptables -A OUTPUT -p icmp -j DROP",
 "ip netns exec b nft 'add table inet f; add chain inet f i { type filter hook input priority 0; policy drop; }; add rule inet f i tcp dport { 80, 443 } accept; add rule inet f i ct state established accept'",
 "ip netns exec b nft 'add table ip n; add chain ip n p { type nat hook prerouting priority -100; }; add rule ip n p tcp dport 8080 redirect to :80'",
 "ip netns exec b iptables -t nat -A PREROUTING -p tcp --dport 8080 -j REDIRECT --to-ports 80",
 "ip netns exec a iptables -t nat -A OUTPUT -d 203.0.113.9 -j DNAT --to-destination 192.0.2.2; ip -n a route add 203.0.113.9 dev eth0",
 "ip netns exec b ipset create bad hash:net; ip netns exec b ipset add bad 192.0.2.0/25; ip netns exec b iptables -A INPUT -m set --match-set bad src -p tcp -j DROP",
 "ip -n a neigh add 192.0.2.2 dev eth0 lladdr 02:00:00:00:00:77",
 "ip -n b route add blackhole 192.0.2.1/32",
 "ip -n a route add prohibit 192.0.2.2/32",
 "ip -n b rule add from 192.0.2.2 lookup 77",
 "ip -n b rule add from 192.0.2.2 lookup 77; ip -n b route add unreachable default table 77",
 "ip netns exec b sysctl -qw net.ipv4.icmp_echo_ignore_all=1",
 "ip -n b addr add 203.0.113.2/24 dev lo; ip -n a route add 203.0.113.0/24 via 192.0.2.2",
 "ip -n b addr add 203.0.113.2/24 dev lo",
 "ip -n b link set lo down",
 "ip netns exec b sysctl -qw net.ipv4.conf.all.arp_ignore=1",
 "ip -n b addr add 203.0.113.2/32 dev lo; ip -n a route add 203.0.113.2 dev eth0; ip netns exec b sysctl -qw net.ipv4.conf.all.arp_ignore=2",
 "ip -n a addr add 192.0.2.129/25 dev eth0",
 "ip netns exec a iptables -t raw -A OUTPUT -j NOTRACK; ip netns exec a iptables -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT; ip netns exec a iptables -P INPUT DROP",
 "ip netns exec a iptables -A OUTPUT -m addrtype --src-type LOCAL -p udp -j DROP",
 "ip netns exec b iptables -A INPUT -m conntrack --ctdir ORIGINAL -p udp -j DROP",
 "ip -n a link set eth0 mtu 1300",
 "ip -n b link set %(bdev)s mtu 1300",
]
BRIDGED = [
 "ebtables -A FORWARD -p IPv4 --ip-proto tcp --ip-dport 80 -j DROP",
 "ebtables -A FORWARD -p ARP --arp-op Reply -j DROP",
 "ebtables -A FORWARD -p ARP -i va -j DROP; ip -n a neigh add 192.0.2.2 dev eth0 lladdr $(ip -n b -br link show %(bdev)s | awk '{print $3}')",
 "ebtables -P FORWARD DROP; ebtables -A FORWARD -p ARP -j ACCEPT; ebtables -A FORWARD -p IPv4 -j ACCEPT",
 "bridge link set dev va learning off",
 "bridge link set dev vb flood off; bridge link set dev vb learning off",
 "bridge link set dev va isolated on",
 "sysctl -qw net.bridge.bridge-nf-call-iptables=1; iptables -A FORWARD -p udp -j DROP",
 "sysctl -qw net.bridge.bridge-nf-call-iptables=0; iptables -P FORWARD DROP",
 "sysctl -qw net.bridge.bridge-nf-call-iptables=1; iptables -P FORWARD DROP; iptables -A FORWARD -m physdev --physdev-in va -j ACCEPT",
 "sysctl -qw net.bridge.bridge-nf-call-iptables=1; iptables -P FORWARD DROP; iptables -A FORWARD -m physdev --physdev-in va -j ACCEPT; iptables -A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
 "nft 'add table bridge f; add chain bridge f w { type filter hook forward priority 0; }; add rule bridge f w ether type ip ip protocol icmp drop'",
 "ip link set br0 address 02:00:00:00:aa:01; ip addr add 192.0.2.2/24 dev br0",
 "bridge fdb add $(ip -n b -br link show %(bdev)s | awk '{print $3}') dev va master static",
 "ip link set vb down",
 "ip link set va nomaster",
]
ROUTED = [
 "iptables -P FORWARD DROP",
 "iptables -P FORWARD DROP; iptables -A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT; iptables -A FORWARD -i va -p tcp -m multiport --dports 22,80 -j ACCEPT",
 "iptables -P FORWARD DROP; iptables -A FORWARD -i va -o vb -j ACCEPT",
 "iptables -A FORWARD -s 192.0.2.1 -d 198.51.100.0/25 -p udp --dport 53 -j REJECT",
 "iptables -t nat -A POSTROUTING -o vb -j MASQUERADE",
 "iptables -t nat -A POSTROUTING -s 192.0.2.0/24 -j SNAT --to-source 198.51.100.77",
 "iptables -t nat -A POSTROUTING -s 192.0.2.0/24 -j SNAT --to-source 198.51.100.254; ip -n b route del default",
 "iptables -t nat -A PREROUTING -d 192.0.2.254 -p tcp --dport 8080 -j DNAT --to-destination 198.51.100.2:80",
 "iptables -t nat -A PREROUTING -d 192.0.2.254 -p tcp --dport 80 -j DNAT --to-destination 198.51.100.2; iptables -P FORWARD DROP; iptables -A FORWARD -m conntrack --ctstate DNAT -j ACCEPT; iptables -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT",
 "nft 'add table ip n; add map ip n m { type inet_service : ipv4_addr; elements = { 80 : 198.51.100.2, 53 : 198.51.100.9 }; }; add chain ip n p { type nat hook prerouting priority -100; }; add rule ip n p ip daddr 192.0.2.254 dnat to tcp dport map @m'",
 "nft 'add table inet f; add map inet f v { type inet_service : verdict; elements = { 80 : accept, 22 : drop }; }; add chain inet f w { type filter hook forward priority 0; policy drop; }; add rule inet f w ct state established accept; add rule inet f w tcp dport vmap @v'",
 "nft 'add table inet f; add chain inet f w { type filter hook forward priority 0; policy drop; }; add rule inet f w ct state vmap { established : accept, related : accept, invalid : drop }; add rule inet f w meta l4proto icmp accept'",
 "iptables -t nat -A PREROUTING -d 203.0.113.0/24 -j NETMAP --to 198.51.100.0/24",
 "ip rule add from 192.0.2.0/24 lookup 100 prio 100; ip route add 198.51.100.0/24 dev vb table 100",
 "ip rule add from 192.0.2.0/24 lookup 100 prio 100; ip route add blackhole default table 100",
 "ip rule add iif va lookup 100 prio 100; ip route add throw default table 100",
 "ip rule add to 198.51.100.0/24 prohibit prio 50",
 "iptables -t mangle -A PREROUTING -p tcp -j MARK --set-mark 7; ip rule add fwmark 7 lookup 100 prio 90; ip route add unreachable default table 100",
 "iptables -t mangle -A PREROUTING -p tcp --dport 22 -j MARK --set-mark 7; ip rule add fwmark 7 lookup 100 prio 90; ip route add unreachable default table 100",
 "ip route add blackhole 198.51.100.2/32",
 "ip route add 198.51.100.2/32 via 198.51.100.99 dev vb",
 "ip route del 198.51.100.0/24",
 "sysctl -qw net.ipv4.ip_forward=0",
 "sysctl -qw net.ipv4.conf.va.forwarding=0",
 "ip -n b route del default",
 "ip -n b route del default; ip -n b route add 192.0.2.0/28 via 198.51.100.254",
 "ip -n a route del default; ip -n a route add 198.51.100.0/25 via 192.0.2.254",
 "ip -n a route replace default via 192.0.2.253",
 "ip link set vb mtu 1300",
 "ip link set vb mtu 1300; ip -n b link set eth0 mtu 1300",
 "ip -n b link set eth0 down",
 "ip link set va down",
 "ip neigh add 198.51.100.2 dev vb lladdr 02:00:00:00:00:99",
 "sysctl -qw net.ipv4.conf.va.rp_filter=1; ip route del 192.0.2.0/24; ip route add 192.0.2.0/24 dev vb",
 "sysctl -qw net.ipv4.conf.va.rp_filter=1; ip -n a addr add 203.0.113.7/32 dev lo",
 "ip link add red type vrf table 10; ip link set red up; ip link set va master red",
 "ip link add red type vrf table 10; ip link set red up; ip link set va master red; ip link set vb master red",
 "ip link add red type vrf table 10; ip link set red up; ip link set va master red; ip route add 198.51.100.0/24 dev vb table 10; ip route add 192.0.2.0/24 dev va",
 "ipset create ok hash:ip,port; ipset add ok 198.51.100.2,tcp:80; iptables -P FORWARD DROP; iptables -A FORWARD -m set --match-set ok dst,dst -j ACCEPT; iptables -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT",
 "iptables -t raw -A PREROUTING -i va -j NOTRACK; iptables -t nat -A POSTROUTING -o vb -j MASQUERADE",
 "iptables -t raw -A PREROUTING -p tcp -j NOTRACK; iptables -P FORWARD DROP; iptables -A FORWARD -m conntrack --ctstate UNTRACKED -j ACCEPT",
 "iptables -A FORWARD -m addrtype --dst-type LOCAL -j DROP; iptables -A FORWARD -m addrtype ! --dst-type LOCAL -p icmp -j DROP",
 "iptables -A INPUT -p icmp -j DROP",
 "iptables -t mangle -A FORWARD -p udp -j DROP",
 "iptables -t nat -A OUTPUT -d 203.0.113.0/24 -j DNAT --to-destination 198.51.100.2",
 "ip addr add 192.0.2.2/24 dev va",
 "sysctl -qw net.ipv4.conf.va.proxy_arp=1; ip -n a addr del 192.0.2.1/24 dev eth0; ip -n a addr add 192.0.2.1/16 dev eth0",
 "ip -n a addr add 198.51.100.1/24 dev eth0; sysctl -qw net.ipv4.conf.va.proxy_arp=1",
 "ip route add 203.0.113.0/24 nexthop dev vb via 198.51.100.2 nexthop dev vb via 198.51.100.3; ip -n b addr add 203.0.113.2/24 dev lo",
 "tc qdisc add dev vb root netem loss 100%",
 "tc qdisc add dev va ingress; tc filter add dev va ingress protocol ip u32 match ip protocol 17 0xff action drop",
]


CHAIN = """
ip netns add r
ip link set lo up
ip link add va type veth peer name eth0 netns a
ip link add vr type veth peer name ul netns r
ip -n r link add dn type veth peer name eth0 netns b
ip addr add 192.0.2.254/24 dev va
ip addr add 10.0.0.1/30 dev vr
ip -n r addr add 10.0.0.2/30 dev ul
ip -n r addr add 198.51.100.254/24 dev dn
ip link set va up
ip link set vr up
ip -n r link set ul up
ip -n r link set dn up
ip -n a addr add 192.0.2.1/24 dev eth0
ip -n b addr add 198.51.100.2/24 dev eth0
ip -n a link set eth0 up
ip -n b link set eth0 up
ip -n a route add default via 192.0.2.254
ip -n b route add default via 198.51.100.254
ip route add default via 10.0.0.2
ip -n r route add default via 10.0.0.1
sysctl -qw net.ipv4.ip_forward=1
ip netns exec r sysctl -qw net.ipv4.ip_forward=1
"""
CHAINED = [
 "ip -n r route del default",
 "ip -n r route del default; ip -n r route add 192.0.2.0/25 via 10.0.0.1",
 "ip netns exec r iptables -t nat -A POSTROUTING -o ul -j MASQUERADE",
 "iptables -t nat -A POSTROUTING -o vr -j MASQUERADE; ip -n r route del default",
 "iptables -t nat -A POSTROUTING -o vr -j MASQUERADE; ip netns exec r iptables -P FORWARD DROP; ip netns exec r iptables -A FORWARD -s 10.0.0.1 -j ACCEPT; ip netns exec r iptables -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT",
 "ip netns exec r iptables -t nat -A PREROUTING -i ul -d 10.0.0.2 -p tcp --dport 80 -j DNAT --to-destination 198.51.100.2",
 "ip netns exec r iptables -t nat -A PREROUTING -i ul -d 203.0.113.2 -j DNAT --to-destination 198.51.100.2",
 "ip netns exec r iptables -t nat -A PREROUTING -i ul -d 203.0.113.2 -j DNAT --to-destination 198.51.100.2; ip netns exec r iptables -t nat -A POSTROUTING -s 198.51.100.2 -o ul -j SNAT --to-source 203.0.113.2",
 "ip netns exec r sysctl -qw net.ipv4.ip_forward=0",
 "ip netns exec r sysctl -qw net.ipv4.conf.ul.rp_filter=1; ip -n r route del default; ip -n r route add 192.0.2.0/24 via 198.51.100.77",
 "ip link set vr mtu 1200",
 "ip -n r link set ul mtu 1200; ip link set vr mtu 1200",
 "ip -n r link set ul mtu 1200",
 "ip route del default; ip route add 198.51.100.0/24 via 10.0.0.2; ip route add 203.0.113.0/24 via 10.0.0.2",
 "ip netns exec r iptables -A FORWARD -m set --match-set nope src -j DROP",
 "ip netns exec r ipset create nope hash:ip; ip netns exec r ipset add nope 192.0.2.1; ip netns exec r iptables -A FORWARD -m set --match-set nope src -p udp -j DROP",
 "ip netns exec r iptables -A FORWARD -m ttl --ttl-lt 63 -j DROP",
 "ip netns exec r iptables -A FORWARD -m conntrack --ctstate NEW -i dn -j REJECT",
 "ip netns exec r nft 'add table ip n; add chain ip n p { type nat hook postrouting priority 100; }; add rule ip n p oifname dn masquerade'; ip -n b route del default",
 "ip netns exec r nft 'add table inet f; add chain inet f w { type filter hook forward priority 0; policy accept; }; add rule inet f w ip saddr 192.0.2.0/24 tcp dport != 80 drop'",
 "ip netns exec r ip link add red type vrf table 10; ip -n r link set red up; ip -n r link set dn master red",
 "ip netns exec r ip link add red type vrf table 10; ip -n r link set red up; ip -n r link set dn master red; ip -n r link set ul master red; ip -n r route add default via 10.0.0.1 table 10",
 "ip -n r rule add from 192.0.2.0/24 blackhole",
 "ip -n r rule add to 192.0.2.0/24 lookup 55; ip -n r route add unreachable default table 55",
 "ip -n r addr del 10.0.0.2/30 dev ul; ip -n r addr add 10.0.0.6/30 dev ul",
 "ip -n b addr add 203.0.113.2/24 dev lo; ip -n r route add 203.0.113.0/24 via 198.51.100.2",
 "ip -n b addr add 203.0.113.2/24 dev lo",
 "ip route add 203.0.113.0/24 dev vr; ip netns exec r sysctl -qw net.ipv4.conf.ul.proxy_arp=1; ip -n r route add 203.0.113.0/24 via 198.51.100.2; ip -n b addr add 203.0.113.2/24 dev lo",
]
OVERLAY = [
 "ip -n b link set vx down", "ip -n a link set u mtu 1400", "ip -n a link set pc mtu 1400; ip -n c link set eth0 mtu 1400; ip -n a link set vx mtu 1400; ip -n b link set vx mtu 1400; ip -n b link set pd mtu 1400; ip -n d link set eth0 mtu 1400",
 "ip -n b addr del 10.9.0.2/24 dev u; ip -n b addr add 10.9.0.3/24 dev u", "ip -n b link del vx; ip -n b link add vx type vxlan id 8 dstport 4789 local 10.9.0.2 remote 10.9.0.1 dev u; ip -n b link set vx master bx up",
 "ip -n b link del vx; ip -n b link add vx type vxlan id 7 dstport 8472 local 10.9.0.2 remote 10.9.0.1 dev u; ip -n b link set vx master bx up",
 "ip netns exec b iptables -A INPUT -p udp --dport 4789 -j DROP", "ip netns exec a iptables -A OUTPUT -p udp --dport 4789 -j DROP", "ip netns exec b iptables -P INPUT DROP; ip netns exec b iptables -A INPUT -p udp --dport 4789 -s 10.9.0.1 -j ACCEPT",
 "ip -n b link set pd nomaster", "ip -n b link set bx down", "ip -n a link set vx nomaster", "ip -n a link set bx type bridge vlan_filtering 1", "ip -n a link set bx type bridge vlan_filtering 1; ip netns exec a bridge vlan add dev pc vid 5 pvid untagged; ip netns exec a bridge vlan del dev pc vid 1",
 "ip netns exec a bridge link set dev pc isolated on; ip netns exec a bridge link set dev vx isolated on", "ip link set ub nomaster", "ip netns exec d iptables -A INPUT -p tcp --dport 80 -j DROP", "ip netns exec a bridge fdb del 00:00:00:00:00:00 dev vx; ip netns exec a bridge fdb append 00:00:00:00:00:00 dev vx dst 10.9.0.9",
 "ip -n a link del vx; ip -n a link add vx type vxlan id 7 dstport 4789 local 10.9.0.1 nolearning; ip -n a link set vx master bx up; ip netns exec a bridge fdb append 00:00:00:00:00:00 dev vx dst 10.9.0.2",
 "ip -n c addr del 192.0.2.1/24 dev eth0; ip -n c addr add 192.0.2.1/32 dev eth0", "ip -n b neigh add 10.9.0.1 lladdr 02:00:00:00:00:66 dev u", "ip -n a route add unreachable 10.9.0.2/32", "ip netns exec a bridge link set dev vx learning off", "ip netns exec b tc qdisc add dev u root netem loss 100%",
]

def whats(dice, many):
    pool = ["icmp", "tcp/80", "udp/53", "tcp/22", "tcp/8080"]
    return dice.sample(pool, many)

def one(seed):
    """One set-up: a host of one namespace between two below 1000, more hosts and tunnels from there on."""
    dice = random.Random(seed)
    if seed >= 1000:
        return other(seed, dice)
    kind = dice.choice(["router"] * 5 + ["bridge"] * 3 + ["vlans", "macvlan"])
    if kind == "router":
        base, pool, to, bdev = ROUTER, ROUTED + [m for m in L2 if "192.0.2.2" not in m and "203.0.113" not in m], ["198.51.100.2"] * 5 + ["192.0.2.254", "203.0.113.2", "198.51.100.254"], "eth0"
    elif kind == "macvlan":
        base, pool, to, bdev = MACVLAN, L2, ["192.0.2.2"] * 4 + ["203.0.113.2", "203.0.113.9"], "eth0"
    else:
        bdev = "eth0.10" if kind == "vlans" else "eth0"
        base, pool, to = (VLANS if kind == "vlans" else BRIDGE), L2 + BRIDGED * 2, ["192.0.2.2"] * 5 + ["203.0.113.2", "203.0.113.9"]
    picks = dice.sample(pool, dice.choice([1, 1, 2, 2, 3]))
    lines = base.strip().splitlines() + ["true " + "; " + p.replace("%(bdev)s", bdev) + "; true" for p in picks]
    asks = []
    for target in dict.fromkeys(dice.choices(to, k=4)):
        for what in whats(dice, 3):
            asks.append(ask("a", target, what))
        asks.append(ask("a", target, "icmp", size=1400))
    for what in whats(dice, 2):
        asks.append(ask("b", "192.0.2.1", what))
        asks.append(ask("root", dice.choice(to), what))
    return f"random_{seed}", "\n".join(lines), asks, {"b": "tcp:80 udp:53", "a": "tcp:22"}, ()

def other(seed, dice):
    """Two routers in a row, or two bridges joined by a tunnel."""
    if dice.random() < 0.6:
        base, pool = CHAIN, CHAINED * 2 + [m for m in ROUTED if "vb" not in m and "mangle" not in m] + [m for m in L2 if "192.0.2.2" not in m and "203.0.113" not in m]
        to, start, back, more, listen = ["198.51.100.2"] * 4 + ["203.0.113.2", "10.0.0.2", "192.0.2.254"], "a", ("b", "192.0.2.1"), ("r",), {"b": "tcp:80 udp:53", "a": "tcp:22"}
    else:
        base, pool = TUNNELLED_BRIDGES, OVERLAY
        to, start, back, more, listen = ["192.0.2.2"] * 3, "c", ("d", "192.0.2.1"), ("c", "d"), {"d": "tcp:80 udp:53", "c": "tcp:22"}
    picks = dice.sample(pool, dice.choice([1, 1, 2, 2, 3]))
    lines = base.strip().splitlines() + ["true; " + p.replace("%(bdev)s", "eth0") + "; true" for p in picks]
    asks = []
    for target in dict.fromkeys(dice.choices(to, k=4)):
        for what in whats(dice, 3):
            asks.append(ask(start, target, what))
        asks.append(ask(start, target, "icmp", size=1440))
    for what in whats(dice, 2):
        asks.append(ask(back[0], back[1], what))
        if base == CHAIN:
            asks.append(ask("root", dice.choice(to), what))
            asks.append(ask("r", dice.choice(to), what))
    return f"random_{seed}", "\n".join(line for line in lines if line), asks, listen, more
