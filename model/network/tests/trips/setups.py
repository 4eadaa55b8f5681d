"""The set-ups of `make.py`: commands of a shell that build a host, who listens where, and what is asked:
from which namespace, to which address, and the packet."""
SETUPS = []


def setup(name, commands, questions, listen=None, more=()):
    """Adds one; `more` are namespaces beside `a` and `b`."""
    SETUPS.append((name, commands, questions, listen or {}, more))


def ask(source, target, what="icmp", **more):
    """A question: `icmp`, `tcp/80`, `udp/53`."""
    return source, target, what, more

BRIDGE = """
ip link add br0 type bridge
ip link set br0 up
ip link add va type veth peer name eth0 netns a
ip link add vb type veth peer name eth0 netns b
ip link set va master br0 up
ip link set vb master br0 up
ip -n a addr add 192.0.2.1/24 dev eth0
ip -n b addr add 192.0.2.2/24 dev eth0
ip -n a link set eth0 up
ip -n b link set eth0 up
"""
ROUTER = """
ip link add va type veth peer name eth0 netns a
ip link add vb type veth peer name eth0 netns b
ip addr add 192.0.2.254/24 dev va
ip addr add 198.51.100.254/24 dev vb
ip link set va up
ip link set vb up
ip -n a addr add 192.0.2.1/24 dev eth0
ip -n b addr add 198.51.100.2/24 dev eth0
ip -n a link set eth0 up
ip -n b link set eth0 up
ip -n a route add default via 192.0.2.254
ip -n b route add default via 198.51.100.254
sysctl -qw net.ipv4.ip_forward=1
"""
TUNNEL = """
ip link add ua type veth peer name u netns a
ip link add ub type veth peer name u netns b
ip link add br0 type bridge
ip link set br0 up
ip link set ua master br0 up
ip link set ub master br0 up
ip -n a addr add 10.9.0.1/24 dev u
ip -n b addr add 10.9.0.2/24 dev u
ip -n a link set u up
ip -n b link set u up
ip -n a link add vx type vxlan id 7 dstport 4789 local 10.9.0.1 remote 10.9.0.2 dev u
ip -n b link add vx type vxlan id 7 dstport 4789 local 10.9.0.2 remote 10.9.0.1 dev u
"""
TUNNELLED_BRIDGES = """
ip link add ua type veth peer name u netns a
ip link add ub type veth peer name u netns b
ip link add br0 type bridge
ip link set br0 up
ip link set ua master br0 up
ip link set ub master br0 up
ip -n a addr add 10.9.0.1/24 dev u
ip -n b addr add 10.9.0.2/24 dev u
ip -n a link set u up
ip -n b link set u up
ip -n a link add vx type vxlan id 7 dstport 4789 local 10.9.0.1 remote 10.9.0.2 dev u
ip -n b link add vx type vxlan id 7 dstport 4789 local 10.9.0.2 remote 10.9.0.1 dev u

ip -n a link add bx type bridge
ip -n a link set vx master bx up
ip -n a link set bx up
ip -n b link add bx type bridge
ip -n b link set vx master bx up
ip -n b link set bx up
ip netns add c
ip netns add d
ip link set lo up
ip -n a link add pc type veth peer name eth0 netns c
ip -n b link add pd type veth peer name eth0 netns d
ip -n a link set pc master bx up
ip -n b link set pd master bx up
ip -n c addr add 192.0.2.1/24 dev eth0
ip -n d addr add 192.0.2.2/24 dev eth0
ip -n c link set eth0 up
ip -n d link set eth0 up
"""
PING = [ask("a", "192.0.2.2")]
ALL = [ask("a", "198.51.100.2", what) for what in ("icmp", "tcp/80", "udp/53")]
SERVES = {"b": "tcp:80 udp:53"}

setup("plain", BRIDGE,
      PING)
setup("bcast_flood_off", BRIDGE + """bridge link set dev vb bcast_flood off""",
      PING)
setup("bcast_off_back", BRIDGE + """bridge link set dev va bcast_flood off""",
      PING)
setup("flood_off", BRIDGE + """bridge link set dev vb flood off""",
      PING)
setup("neigh_bcast", BRIDGE + """ip -n a neigh add 192.0.2.2 lladdr ff:ff:ff:ff:ff:ff dev eth0""",
      [ask("a", "192.0.2.2"), ask("a", "192.0.2.2", "tcp/80"), ask("a", "192.0.2.2", "udp/53")], SERVES)
setup("neigh_mcast", BRIDGE + """ip -n a neigh add 192.0.2.2 lladdr 01:00:5e:00:00:05 dev eth0""",
      [ask("a", "192.0.2.2"), ask("a", "192.0.2.2", "tcp/80"), ask("a", "192.0.2.2", "udp/53")], SERVES)
setup("neigh_wrong", BRIDGE + """ip -n a neigh add 192.0.2.2 lladdr 02:00:00:00:00:99 dev eth0""",
      PING)
setup("reply_neigh_failed", BRIDGE + """ip -n b neigh add 192.0.2.1 lladdr 02:00:00:00:00:99 dev eth0""",
      PING)
setup("isolated", BRIDGE + """bridge link set dev va isolated on; bridge link set dev vb isolated on""",
      PING)
setup("noarp", BRIDGE + """ip -n b link set eth0 arp off""",
      PING)
setup("arp_ignore8", BRIDGE + """ip netns exec b sysctl -qw net.ipv4.conf.all.arp_ignore=8""",
      PING)
setup("down_br", BRIDGE + """ip link set br0 down""",
      PING)
setup("routed", ROUTER,
      ALL, SERVES)
setup("fwd_off", ROUTER + """sysctl -qw net.ipv4.ip_forward=0""",
      ALL, SERVES)
setup("fwd_neigh_bcast", ROUTER + """ip -n a neigh add 192.0.2.254 lladdr ff:ff:ff:ff:ff:ff dev eth0""",
      ALL, SERVES)
setup("r_neigh_bcast", ROUTER + """ip neigh add 198.51.100.2 lladdr ff:ff:ff:ff:ff:ff dev vb""",
      ALL, SERVES)
setup("rp_strict", ROUTER + """ip route add 192.0.2.1/32 dev vb; sysctl -qw net.ipv4.conf.all.rp_filter=1""",
      ALL, SERVES)
setup("nft_arp", BRIDGE + """ip netns exec b nft 'add table arp f'; ip netns exec b nft 'add chain arp f i { type filter hook input priority 0; policy drop; }'""",
      PING)
setup("nft_netdev", BRIDGE + """ip netns exec b nft 'add table netdev f'; ip netns exec b nft 'add chain netdev f i { type filter hook ingress device eth0 priority 0; policy drop; }'""",
      PING)
setup("nft_netdev_arp", BRIDGE + """ip netns exec b nft 'add table netdev f'; ip netns exec b nft 'add chain netdev f i { type filter hook ingress device eth0 priority 0; policy accept; ether type arp drop; }'""",
      PING)
setup("nft_bridge_arp", BRIDGE + """nft 'add table bridge f'; nft 'add chain bridge f i { type filter hook forward priority 0; policy accept; ether type arp drop; }'""",
      PING)
setup("drop_unicast", BRIDGE + """ip -n a neigh add 192.0.2.2 lladdr ff:ff:ff:ff:ff:ff dev eth0; ip netns exec b sysctl -qw net.ipv4.conf.all.drop_unicast_in_l2_multicast=1""",
      PING)
setup("v6_tentative", BRIDGE + """ip -n a addr add 2001:db8::1/64 dev eth0 nodad; ip -n b addr add 2001:db8::2/64 dev eth0 nodad""",
      [ask("a", "2001:db8::2"), ask("a", "2001:db8::2", "tcp/80")], SERVES)
setup("v6_dadfailed", BRIDGE + """ip -n a addr add 2001:db8::2/64 dev eth0 nodad
ip -n a addr add 2001:db8::1/64 dev eth0 nodad
ip netns exec b sysctl -qw net.ipv6.conf.eth0.accept_dad=1
ip -n b addr add 2001:db8::2/64 dev eth0
sleep 2
ip -n a addr del 2001:db8::2/64 dev eth0""",
      [ask("a", "2001:db8::2")])
setup("v6_disabled", BRIDGE + """ip -n a addr add 2001:db8::1/64 dev eth0 nodad; ip -n b addr add 2001:db8::2/64 dev eth0 nodad; ip netns exec b sysctl -qw net.ipv6.conf.all.disable_ipv6=1""",
      [ask("a", "2001:db8::2")])
setup("loop127", BRIDGE,
      [ask("a", "127.0.0.2"), ask("a", "127.0.0.1"), ask("a", "127.5.5.5", "tcp/80")], {"a": "tcp:80"})
setup("udp_rules", BRIDGE + """ip -n b addr add 192.0.2.3/24 dev eth0
ip -n b rule add from 192.0.2.3 lookup 100
ip -n b route add blackhole default table 100""",
      [ask("a", "192.0.2.3", "udp/53"), ask("a", "192.0.2.3", "tcp/80"), ask("a", "192.0.2.3")], SERVES)
setup("nocarrier_addr", ROUTER + """ip link add d0 type bridge; ip addr add 203.0.113.1/24 dev d0; ip link set d0 up""",
      [ask("a", "203.0.113.1"), ask("a", "203.0.113.9")])
setup("mtu_small", BRIDGE + """ip -n b link set eth0 mtu 1400; ip link set vb mtu 1400""",
      [ask("a", "192.0.2.2", size=1450), ask("a", "192.0.2.2", size=1400), ask("a", "192.0.2.2", size=1401)])
setup("proxy_arp", ROUTER + """ip -n a addr flush dev eth0
ip -n a addr add 198.51.100.1/24 dev eth0
ip addr del 192.0.2.254/24 dev va
ip route add 198.51.100.1/32 dev va
sysctl -qw net.ipv4.conf.va.proxy_arp=1
sysctl -qw net.ipv4.conf.vb.proxy_arp=1""",
      [ask("a", "198.51.100.2"), ask("a", "198.51.100.77"), ask("b", "198.51.100.1")])
setup("proxy_arp_noroute", ROUTER + """ip -n a addr flush dev eth0
ip -n a addr add 198.51.100.1/16 dev eth0
ip addr del 192.0.2.254/24 dev va
ip route add 198.51.100.1/32 dev va
sysctl -qw net.ipv4.conf.va.proxy_arp=1""",
      [ask("a", "198.51.101.7"), ask("a", "198.51.100.2"), ask("a", "198.51.100.254")])
setup("vx_plain", TUNNEL + """ip -n a addr add 192.0.2.1/24 dev vx; ip -n b addr add 192.0.2.2/24 dev vx; ip -n a link set vx up; ip -n b link set vx up""",
      PING)
setup("vx_vni", """
ip link add ua type veth peer name u netns a
ip link add ub type veth peer name u netns b
ip link add br0 type bridge
ip link set br0 up
ip link set ua master br0 up
ip link set ub master br0 up
ip -n a addr add 10.9.0.1/24 dev u
ip -n b addr add 10.9.0.2/24 dev u
ip -n a link set u up
ip -n b link set u up
ip -n a link add vx type vxlan id 7 dstport 4789 local 10.9.0.1 remote 10.9.0.2 dev u
ip -n b link add vx type vxlan id 8 dstport 4789 local 10.9.0.2 remote 10.9.0.1 dev u
ip -n a addr add 192.0.2.1/24 dev vx; ip -n b addr add 192.0.2.2/24 dev vx; ip -n a link set vx up; ip -n b link set vx up""",
      PING)
setup("vx_bridge", TUNNELLED_BRIDGES,
      [ask("c", "192.0.2.2")], more=("c", "d"))
setup("vx_bridge_vxdown", TUNNELLED_BRIDGES + """ip -n b link set vx down""",
      [ask("c", "192.0.2.2")], more=("c", "d"))
setup("vx_bridge_fw", TUNNELLED_BRIDGES + """ip netns exec b iptables -A INPUT -p udp --dport 4789 -j DROP""",
      [ask("c", "192.0.2.2")], more=("c", "d"))
setup("vx_bridge_vni", """
ip link add ua type veth peer name u netns a
ip link add ub type veth peer name u netns b
ip link add br0 type bridge
ip link set br0 up
ip link set ua master br0 up
ip link set ub master br0 up
ip -n a addr add 10.9.0.1/24 dev u
ip -n b addr add 10.9.0.2/24 dev u
ip -n a link set u up
ip -n b link set u up
ip -n a link add vx type vxlan id 7 dstport 4789 local 10.9.0.1 remote 10.9.0.2 dev u
ip -n b link add vx type vxlan id 8 dstport 4789 local 10.9.0.2 remote 10.9.0.1 dev u

ip -n a link add bx type bridge
ip -n a link set vx master bx up
ip -n a link set bx up
ip -n b link add bx type bridge
ip -n b link set vx master bx up
ip -n b link set bx up
ip netns add c
ip netns add d
ip link set lo up
ip -n a link add pc type veth peer name eth0 netns c
ip -n b link add pd type veth peer name eth0 netns d
ip -n a link set pc master bx up
ip -n b link set pd master bx up
ip -n c addr add 192.0.2.1/24 dev eth0
ip -n d addr add 192.0.2.2/24 dev eth0
ip -n c link set eth0 up
ip -n d link set eth0 up
""",
      [ask("c", "192.0.2.2")], more=("c", "d"))
setup("vx_bridge_noremote", """
ip link add ua type veth peer name u netns a
ip link add ub type veth peer name u netns b
ip link add br0 type bridge
ip link set br0 up
ip link set ua master br0 up
ip link set ub master br0 up
ip -n a addr add 10.9.0.1/24 dev u
ip -n b addr add 10.9.0.2/24 dev u
ip -n a link set u up
ip -n b link set u up
ip -n a link add vx type vxlan id 7 dstport 4789 local 10.9.0.1 remote 10.9.0.2 dev u
ip -n b link add vx type vxlan id 7 dstport 4789 local 10.9.0.2 dev u

ip -n a link add bx type bridge
ip -n a link set vx master bx up
ip -n a link set bx up
ip -n b link add bx type bridge
ip -n b link set vx master bx up
ip -n b link set bx up
ip netns add c
ip netns add d
ip link set lo up
ip -n a link add pc type veth peer name eth0 netns c
ip -n b link add pd type veth peer name eth0 netns d
ip -n a link set pc master bx up
ip -n b link set pd master bx up
ip -n c addr add 192.0.2.1/24 dev eth0
ip -n d addr add 192.0.2.2/24 dev eth0
ip -n c link set eth0 up
ip -n d link set eth0 up
""",
      [ask("c", "192.0.2.2")], more=("c", "d"))
setup("vx_bridge_mtu", TUNNELLED_BRIDGES,
      [ask("c", "192.0.2.2", size=1450), ask("c", "192.0.2.2", size=1451)], more=("c", "d"))
setup("vx_moved", TUNNEL + """
ip netns add c
ip -n a link set vx netns c
ip -n c link set vx up
ip -n c addr add 192.0.2.1/24 dev vx
ip -n b addr add 192.0.2.2/24 dev vx
ip -n b link set vx up""",
      [ask("c", "192.0.2.2")], more=("c",))
setup("udp_rules2", BRIDGE + """ip -n b rule add from 192.0.2.2 lookup 100
ip -n b route add blackhole default table 100""",
      [ask("a", "192.0.2.2", "udp/53"), ask("a", "192.0.2.2", "tcp/80"), ask("a", "192.0.2.2")], SERVES)
setup("lo_subnet", BRIDGE + """ip -n b addr add 203.0.113.1/24 dev lo; ip -n a route add 203.0.113.0/24 via 192.0.2.2""",
      [ask("a", "203.0.113.1"), ask("a", "203.0.113.77"), ask("a", "203.0.113.77", "tcp/80")], SERVES)
setup("l2_hostaddr", BRIDGE + """ip addr add 192.0.2.250/24 dev br0""",
      [ask("a", "192.0.2.250"), ask("root", "192.0.2.2")])
setup("l2_mac_dup", BRIDGE + """ip -n a link set eth0 down
ip -n a link set eth0 address $(ip netns exec b cat /sys/class/net/eth0/address)
ip -n a link set eth0 up""",
      PING)
setup("l2_macvlan_bridge", """
ip link add va type veth peer name vx
ip link set va up
ip link set vx up
ip link add m1 link va netns a type macvlan mode bridge
ip link add m2 link va netns b type macvlan mode bridge
ip -n a addr add 192.0.2.1/24 dev m1
ip -n b addr add 192.0.2.2/24 dev m2
ip -n a link set m1 up
ip -n b link set m2 up
""",
      PING)
setup("l2_macvlan_private", """
ip link add va type veth peer name vx
ip link set va up
ip link set vx up
ip link add m1 link va netns a type macvlan mode private
ip link add m2 link va netns b type macvlan mode private
ip -n a addr add 192.0.2.1/24 dev m1
ip -n b addr add 192.0.2.2/24 dev m2
ip -n a link set m1 up
ip -n b link set m2 up
""",
      PING)
setup("l2_macvlan_host", """
ip link add va type veth peer name vx
ip link set va up
ip link set vx up
ip addr add 192.0.2.9/24 dev va
ip link add m1 link va netns a type macvlan mode bridge
ip -n a addr add 192.0.2.1/24 dev m1
ip -n a link set m1 up
""",
      [ask("a", "192.0.2.9")])
setup("l2_peer_down", BRIDGE + """ip -n b link set eth0 down""",
      PING)
setup("l2_port_down", BRIDGE + """ip link set vb down""",
      PING)
setup("l2_two_bridges", """
ip link add br0 type bridge
ip link add br1 type bridge
ip link set br0 up
ip link set br1 up
ip link add p0 type veth peer name p1
ip link set p0 master br0 up
ip link set p1 master br1 up
ip link add va type veth peer name eth0 netns a
ip link add vb type veth peer name eth0 netns b
ip link set va master br0 up
ip link set vb master br1 up
ip -n a addr add 192.0.2.1/24 dev eth0
ip -n b addr add 192.0.2.2/24 dev eth0
ip -n a link set eth0 up
ip -n b link set eth0 up
""",
      PING)
setup("l3_onlink_gw", ROUTER + """ip -n a route replace default via 192.0.2.253""",
      ALL, SERVES)
setup("l3_no_return", ROUTER + """ip -n b route del default""",
      ALL, SERVES)
setup("l3_blackhole", ROUTER + """ip route add blackhole 198.51.100.2/32""",
      ALL, SERVES)
setup("l3_prohibit_src", ROUTER + """ip rule add from 192.0.2.1 prohibit""",
      ALL, SERVES)
setup("l3_table", ROUTER + """ip rule add iif va lookup 77
ip route add unreachable default table 77""",
      ALL, SERVES)
setup("l3_throw", ROUTER + """ip rule add iif va lookup 77 pref 100
ip route add throw default table 77""",
      ALL, SERVES)
setup("l3_metric", ROUTER + """ip route add 198.51.100.2/32 via 192.0.2.77 metric 10
ip route add 198.51.100.2/32 dev vb metric 5""",
      ALL, SERVES)
setup("l3_fwd_dev_off", ROUTER + """sysctl -qw net.ipv4.conf.va.forwarding=0""",
      ALL, SERVES)
setup("l3_fwd_dev_off_out", ROUTER + """sysctl -qw net.ipv4.conf.vb.forwarding=0""",
      ALL, SERVES)
setup("l3_icmp_ignore", ROUTER + """ip netns exec b sysctl -qw net.ipv4.icmp_echo_ignore_all=1""",
      ALL, SERVES)
setup("l3_ttl", ROUTER + """ip netns exec a sysctl -qw net.ipv4.ip_default_ttl=1""",
      ALL, SERVES)
setup("l3_rp_loose", ROUTER + """ip route add 192.0.2.1/32 dev vb
sysctl -qw net.ipv4.conf.all.rp_filter=2""",
      ALL, SERVES)
setup("l3_martian", ROUTER + """ip addr add 203.0.113.9/32 dev lo
ip -n a addr add 203.0.113.9/32 dev lo""",
      [ask("a", "198.51.100.2", src="203.0.113.9")])
setup("l3_local_other_if", ROUTER,
      [ask("a", "198.51.100.254"), ask("b", "192.0.2.254")])
setup("l3_loopback_addr", ROUTER + """ip addr add 203.0.113.9/32 dev lo""",
      [ask("a", "203.0.113.9")])
setup("l3_mtu_frag_df", ROUTER + """ip link set vb mtu 1400
ip -n b link set eth0 mtu 1400""",
      [ask("a", "198.51.100.2", size=1400), ask("a", "198.51.100.2", size=1401)])
setup("l3_src_no_route_back", ROUTER + """ip -n a addr add 10.7.7.7/32 dev lo""",
      [ask("a", "198.51.100.2", src="10.7.7.7")])
setup("l3_v6", ROUTER + """ip addr add 2001:db8:1::fe/64 dev va nodad
ip addr add 2001:db8:2::fe/64 dev vb nodad
ip -n a addr add 2001:db8:1::1/64 dev eth0 nodad
ip -n b addr add 2001:db8:2::2/64 dev eth0 nodad
ip -n a route add default via 2001:db8:1::fe
ip -n b route add default via 2001:db8:2::fe
sysctl -qw net.ipv6.conf.all.forwarding=1""",
      [ask("a", "2001:db8:2::2"), ask("a", "2001:db8:2::2", "tcp/80")], SERVES)
setup("l3_v6_fwd_off", ROUTER + """ip addr add 2001:db8:1::fe/64 dev va nodad
ip addr add 2001:db8:2::fe/64 dev vb nodad
ip -n a addr add 2001:db8:1::1/64 dev eth0 nodad
ip -n b addr add 2001:db8:2::2/64 dev eth0 nodad
ip -n a route add default via 2001:db8:1::fe
ip -n b route add default via 2001:db8:2::fe
sysctl -qw net.ipv6.conf.all.forwarding=0""",
      [ask("a", "2001:db8:2::2")])
setup("l3_v6_nd_filtered", BRIDGE + """ip -n a addr add 2001:db8::1/64 dev eth0 nodad
ip -n b addr add 2001:db8::2/64 dev eth0 nodad
ip netns exec b nft 'add table ip6 f; add chain ip6 f i { type filter hook input priority 0; policy drop; }; add rule ip6 f i tcp dport 80 accept; add rule ip6 f i icmpv6 type echo-request accept' """,
      [ask("a", "2001:db8::2"), ask("a", "2001:db8::2", "tcp/80")], SERVES)
setup("l3_v6_nd_allowed", BRIDGE + """ip -n a addr add 2001:db8::1/64 dev eth0 nodad
ip -n b addr add 2001:db8::2/64 dev eth0 nodad
ip netns exec b nft 'add table ip6 f; add chain ip6 f i { type filter hook input priority 0; policy drop; }; add rule ip6 f i icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, echo-request } accept' """,
      [ask("a", "2001:db8::2"), ask("a", "2001:db8::2", "tcp/80")], SERVES)
setup("nf_forward_drop", ROUTER + """iptables -P FORWARD DROP; iptables -A FORWARD -p tcp --dport 80 -j ACCEPT; iptables -A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT""",
      ALL, SERVES)
setup("nf_forward_drop_noest", ROUTER + """iptables -P FORWARD DROP; iptables -A FORWARD -p tcp --dport 80 -j ACCEPT""",
      ALL, SERVES)
setup("nf_input_icmp", ROUTER + """ip netns exec b iptables -A INPUT -p icmp -j DROP""",
      ALL, SERVES)
setup("nf_reject", ROUTER + """iptables -A FORWARD -p udp -j REJECT""",
      ALL, SERVES)
setup("nf_output", ROUTER + """ip netns exec a iptables -A OUTPUT -d 198.51.100.0/24 -p tcp -j DROP""",
      ALL, SERVES)
setup("nf_snat", ROUTER + """ip -n b route del default; iptables -t nat -A POSTROUTING -o vb -j MASQUERADE""",
      ALL, SERVES)
setup("nf_snat_wrong_if", ROUTER + """ip -n b route del default; iptables -t nat -A POSTROUTING -o va -j MASQUERADE""",
      ALL, SERVES)
setup("nf_dnat", ROUTER + """ip addr add 203.0.113.5/32 dev lo; iptables -t nat -A PREROUTING -d 203.0.113.5 -j DNAT --to-destination 198.51.100.2""",
      [ask("a", "203.0.113.5"), ask("a", "203.0.113.5", "tcp/80")], SERVES)
setup("nf_dnat_port", ROUTER + """iptables -t nat -A PREROUTING -d 192.0.2.254 -p tcp --dport 8080 -j DNAT --to-destination 198.51.100.2:80""",
      [ask("a", "192.0.2.254", "tcp/8080"), ask("a", "192.0.2.254", "tcp/80")], SERVES)
setup("nf_redirect", ROUTER + """iptables -t nat -A PREROUTING -i va -p tcp --dport 8080 -j REDIRECT --to-ports 80""",
      [ask("a", "198.51.100.2", "tcp/8080")], {"root": "tcp:80"})
setup("nf_redirect_nolisten", ROUTER + """iptables -t nat -A PREROUTING -i va -p tcp --dport 8080 -j REDIRECT --to-ports 81""",
      [ask("a", "198.51.100.2", "tcp/8080")], {"root": "tcp:80"})
setup("nf_mark_route", ROUTER + """iptables -t mangle -A PREROUTING -i va -p tcp -j MARK --set-mark 5; ip rule add fwmark 5 lookup 55; ip route add blackhole default table 55""",
      ALL, SERVES)
setup("nf_hairpin_dnat", ROUTER + """ip netns exec a true; iptables -t nat -A PREROUTING -d 192.0.2.254 -p tcp --dport 8080 -j DNAT --to-destination 192.0.2.1:80""",
      [ask("a", "192.0.2.254", "tcp/8080")], {"a": "tcp:80"})
setup("nf_hairpin_masq", ROUTER + """iptables -t nat -A PREROUTING -d 192.0.2.254 -p tcp --dport 8080 -j DNAT --to-destination 192.0.2.1:80; iptables -t nat -A POSTROUTING -s 192.0.2.0/24 -d 192.0.2.1 -j MASQUERADE""",
      [ask("a", "192.0.2.254", "tcp/8080")], {"a": "tcp:80"})
setup("nf_netmap", ROUTER + """iptables -t nat -A PREROUTING -d 203.0.113.0/24 -j NETMAP --to 198.51.100.0/24""",
      [ask("a", "203.0.113.2")])
setup("nf_notrack_snat", ROUTER + """ip -n b route del default; iptables -t nat -A POSTROUTING -o vb -j MASQUERADE; iptables -t raw -A PREROUTING -i va -j CT --notrack""",
      ALL, SERVES)
setup("nft_set", ROUTER + """nft 'add table ip f; add set ip f s { type ipv4_addr; elements = { 192.0.2.1 } }; add chain ip f c { type filter hook forward priority 0; }; add rule ip f c ip saddr @s drop'""",
      ALL, SERVES)
setup("nft_vmap", ROUTER + """nft 'add table ip f; add chain ip f c { type filter hook forward priority 0; }; add rule ip f c ip protocol vmap { tcp : drop, udp : accept }'""",
      ALL, SERVES)
setup("nft_inet_prio", ROUTER + """nft 'add table inet f; add chain inet f c { type filter hook forward priority 10; policy drop; }; add chain inet f d { type filter hook forward priority -10; policy accept; }; add rule inet f d accept'""",
      ALL, SERVES)
setup("nft_ct_state", ROUTER + """nft 'add table inet f; add chain inet f c { type filter hook forward priority 0; policy drop; }; add rule inet f c ct state established,related accept; add rule inet f c iifname "va" oifname "vb" accept'""",
      [ask("a", "198.51.100.2"), ask("a", "198.51.100.2", "tcp/80"), ask("a", "198.51.100.2", "udp/53"), ask("b", "192.0.2.1")], SERVES)
setup("vx_underlay_mtu", TUNNELLED_BRIDGES + """ip -n a link set u mtu 1400; ip -n b link set u mtu 1400; ip link set ua mtu 1400; ip link set ub mtu 1400""",
      [ask("c", "192.0.2.2", size=1350), ask("c", "192.0.2.2", size=1400)], more=("c", "d"))
setup("vx_underlay_noarp", TUNNELLED_BRIDGES + """ip -n b addr del 10.9.0.2/24 dev u""",
      [ask("c", "192.0.2.2")], more=("c", "d"))
setup("vx_fdb_only", """
ip link add ua type veth peer name u netns a
ip link add ub type veth peer name u netns b
ip link add br0 type bridge
ip link set br0 up
ip link set ua master br0 up
ip link set ub master br0 up
ip -n a addr add 10.9.0.1/24 dev u
ip -n b addr add 10.9.0.2/24 dev u
ip -n a link set u up
ip -n b link set u up
ip -n a link add vx type vxlan id 7 dstport 4789 local 10.9.0.1 nolearning dev u
ip -n b link add vx type vxlan id 7 dstport 4789 local 10.9.0.2 dev u

ip -n a link add bx type bridge
ip -n a link set vx master bx up
ip -n a link set bx up
ip -n b link add bx type bridge
ip -n b link set vx master bx up
ip -n b link set bx up
ip netns add c
ip netns add d
ip link set lo up
ip -n a link add pc type veth peer name eth0 netns c
ip -n b link add pd type veth peer name eth0 netns d
ip -n a link set pc master bx up
ip -n b link set pd master bx up
ip -n c addr add 192.0.2.1/24 dev eth0
ip -n d addr add 192.0.2.2/24 dev eth0
ip -n c link set eth0 up
ip -n d link set eth0 up
bridge -n a fdb append 00:00:00:00:00:00 dev vx dst 10.9.0.2; bridge -n b fdb append 00:00:00:00:00:00 dev vx dst 10.9.0.1""",
      [ask("c", "192.0.2.2")], more=("c", "d"))
setup("vx_fdb_one_side", """
ip link add ua type veth peer name u netns a
ip link add ub type veth peer name u netns b
ip link add br0 type bridge
ip link set br0 up
ip link set ua master br0 up
ip link set ub master br0 up
ip -n a addr add 10.9.0.1/24 dev u
ip -n b addr add 10.9.0.2/24 dev u
ip -n a link set u up
ip -n b link set u up
ip -n a link add vx type vxlan id 7 dstport 4789 local 10.9.0.1 nolearning dev u
ip -n b link add vx type vxlan id 7 dstport 4789 local 10.9.0.2 nolearning dev u

ip -n a link add bx type bridge
ip -n a link set vx master bx up
ip -n a link set bx up
ip -n b link add bx type bridge
ip -n b link set vx master bx up
ip -n b link set bx up
ip netns add c
ip netns add d
ip link set lo up
ip -n a link add pc type veth peer name eth0 netns c
ip -n b link add pd type veth peer name eth0 netns d
ip -n a link set pc master bx up
ip -n b link set pd master bx up
ip -n c addr add 192.0.2.1/24 dev eth0
ip -n d addr add 192.0.2.2/24 dev eth0
ip -n c link set eth0 up
ip -n d link set eth0 up
bridge -n a fdb append 00:00:00:00:00:00 dev vx dst 10.9.0.2""",
      [ask("c", "192.0.2.2")], more=("c", "d"))
# Broadcasts go where the entry of no address says, not to the far end that the device was made with.
setup("vxlan_default_elsewhere", TUNNELLED_BRIDGES + """
ip netns exec a bridge fdb del 00:00:00:00:00:00 dev vx
ip netns exec a bridge fdb append 00:00:00:00:00:00 dev vx dst 10.9.0.9
""",
      [ask("c", "192.0.2.2"), ask("d", "192.0.2.1")], {}, ("c", "d"))
