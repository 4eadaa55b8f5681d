"""Sets of rules for `make.py`, and packets that may meet them. Together they use every match and
target of iptables that neutron, docker, libvirt and Kubernetes write, and the like of nft."""
import random

V4 = {"from": ["192.0.2.7", "192.0.2.8", "192.0.2.200"], "to": ["10.2.0.2", "10.2.0.9", "10.3.0.5"],
      "own": ["10.1.0.1", "10.2.0.1"], "near": "10.1.0.2"}
V6 = {"from": ["2001:db8:f::7", "2001:db8:f::8", "2001:db8:f::200"], "to": ["2001:db8:2::2", "2001:db8:2::9", "2001:db8:3::5"],
      "own": ["2001:db8:1::1", "2001:db8:2::1"], "near": "2001:db8:1::2"}

# Each line: what it is called, the rules, and more of the set.
FILTER = [
    ("devices", ["-A FORWARD -i e0 -j ACCEPT", "-A FORWARD ! -i e0 -j DROP", "-A FORWARD -o e+ -j ACCEPT", "-A INPUT -i e+ -j ACCEPT",
                 "-A INPUT -i e1 -j DROP", "-A OUTPUT -o e1 -j ACCEPT", "-A OUTPUT ! -o e1 -j DROP"]),
    ("wild devices", ["-A FORWARD -i x+ -j DROP", "-A FORWARD -i e+ -o e1+ -j ACCEPT", "-A FORWARD -o + -j DROP", "-P FORWARD DROP"]),
    ("addresses", ["-A FORWARD -s {f0} -j ACCEPT", "-A FORWARD ! -s {fnet} -j DROP", "-A FORWARD -d {t0} -j DROP",
                   "-A FORWARD ! -d {tnet} -j ACCEPT", "-A FORWARD -s {fnet} -d {t1} -j REJECT", "-A FORWARD -j DROP"]),
    ("ranges", ["-A FORWARD -m iprange --src-range {f0}-{f1} -j ACCEPT", "-A FORWARD -m iprange ! --dst-range {t0}-{t1} -j DROP"]),
    ("protocols", ["-A FORWARD -p tcp -j ACCEPT", "-A FORWARD -p udp -j DROP", "-A FORWARD -p gre -j ACCEPT", "-A FORWARD ! -p {icmp} -j DROP",
                   "-A FORWARD -p {icmp} -j ACCEPT"]),
    ("ports", ["-A FORWARD -p tcp -m tcp --dport 22 -j ACCEPT", "-A FORWARD -p tcp -m tcp --dport 80:90 -j DROP",
               "-A FORWARD -p udp -m udp ! --sport 40000 -j DROP", "-A FORWARD -p udp -m udp --sport 1024: -j ACCEPT",
               "-A FORWARD -p tcp -m tcp --sport :1023 -j DROP", "-A FORWARD -p tcp ! --dport 443"]),
    ("multiport", ["-A FORWARD -p tcp -m multiport --dports 22,80,443 -j ACCEPT", "-A FORWARD -p udp -m multiport --sports 53,5000:5010 -j DROP",
                   "-A FORWARD -p tcp -m multiport ! --ports 5000:5010 -j DROP", "-A FORWARD -p udp -m multiport --ports 53 -j ACCEPT"]),
    ("flags", ["-A FORWARD -p tcp --syn -j ACCEPT", "-A FORWARD -p tcp --tcp-flags RST RST -j DROP", "-A FORWARD -p tcp ! --syn -m state --state NEW -j DROP",
               "-A FORWARD -p tcp --tcp-flags ALL FIN,PSH,URG -j DROP"]),
    ("icmp", ["-A FORWARD -p {icmp} -m {icmpm} --{icmpt} echo-request -j ACCEPT", "-A FORWARD -p {icmp} -m {icmpm} ! --{icmpt} 3 -j DROP"]),
    ("states", ["-A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT", "-A FORWARD -m conntrack --ctstate INVALID -j DROP",
                "-A FORWARD -m conntrack --ctstate NEW -p tcp --dport 22 -j ACCEPT", "-A FORWARD -m conntrack ! --ctstate NEW -j DROP",
                "-P FORWARD DROP"], {"states": True}),
    ("old states", ["-A FORWARD -m state --state ESTABLISHED -j ACCEPT", "-A FORWARD -m state --state NEW -j ACCEPT", "-A INPUT -m state --state NEW -j DROP"],
     {"states": True}),
    ("directions", ["-A FORWARD -m conntrack --ctdir ORIGINAL -j ACCEPT", "-A FORWARD -m conntrack --ctdir REPLY -j ACCEPT"], {"states": True}),
    ("marks", ["-t mangle -A PREROUTING -p tcp -j MARK --set-mark 0x5", "-t mangle -A PREROUTING -p udp -j MARK --set-xmark 0x10/0xf0",
               "-t mangle -A PREROUTING -s {f0} -j MARK --or-mark 0x100", "-t mangle -A PREROUTING -d {t1} -j MARK --and-mark 0xfff0",
               "-t mangle -A PREROUTING -d {t2} -j MARK --xor-mark 0x1", "-A FORWARD -m mark --mark 0x5 -j ACCEPT", "-A FORWARD -m mark --mark 0x100/0x100 -j DROP",
               "-A FORWARD -m mark ! --mark 0x10/0xf0 -j ACCEPT"]),
    ("connmarks", ["-t mangle -A PREROUTING -j CONNMARK --restore-mark", "-t mangle -A PREROUTING -m mark --mark 0 -p tcp -j MARK --set-mark 0x7",
                   "-t mangle -A POSTROUTING -j CONNMARK --save-mark --nfmask 0xf --ctmask 0xf", "-A FORWARD -m connmark --mark 0x7 -j ACCEPT",
                   "-A FORWARD -m mark --mark 0x7 -j ACCEPT", "-A FORWARD -p udp -j CONNMARK --set-mark 0x9", "-A FORWARD -m connmark --mark 0x9/0xf -j ACCEPT"],
     {"states": True}),
    ("own marks", ["-A OUTPUT -m mark --mark 0x3 -j ACCEPT", "-A OUTPUT -m mark --mark 0x1/0x1 -j DROP", "-t mangle -A OUTPUT -p udp -j MARK --set-mark 0x3"],
     {"own": True}),
    ("kinds of addresses", ["-A INPUT -m addrtype --dst-type LOCAL -j ACCEPT", "-A FORWARD -m addrtype --dst-type LOCAL -j DROP", "-A FORWARD -m addrtype ! --dst-type LOCAL -j ACCEPT",
                            "-A OUTPUT -m addrtype --src-type LOCAL -j ACCEPT", "-A INPUT -m addrtype --src-type UNICAST"]),
    ("sets", ["-A FORWARD -m set --match-set known src -j ACCEPT", "-A FORWARD -m set ! --match-set known src -j DROP"],
     {"sets4": ["create known hash:ip", "add known 192.0.2.7"], "sets6": ["create known hash:ip family inet6", "add known 2001:db8:f::7"]}),
    ("MACs", ["-A FORWARD -m mac --mac-source 02:00:00:00:01:02 -j ACCEPT", "-A FORWARD -m mac ! --mac-source 02:00:00:00:01:02 -j DROP",
              "-A INPUT -m mac --mac-source 02:00:00:00:01:77 -j DROP"], {"macs": True}),
    ("comments", ["-A FORWARD -p tcp -m comment --comment one -j ACCEPT", "-A FORWARD -m comment --comment two", "-A FORWARD -p udp -m comment --comment three -j DROP"]),
    ("limits", ["-A FORWARD -p tcp -m limit --limit 100/sec -j ACCEPT", "-A FORWARD -p udp -m limit --limit 100/sec", "-A FORWARD -p udp -j DROP"]),
    ("statistics", ["-A FORWARD -p tcp -m statistic --mode nth --every 2 --packet 0 -j ACCEPT", "-A FORWARD -p udp -m statistic --mode random --probability 0.5 -j MARK --set-mark 1",
                    "-A FORWARD -j ACCEPT"], {"no MARK in filter": True}),
    ("owners", ["-A OUTPUT -m owner --uid-owner 0 -j ACCEPT", "-A OUTPUT -p tcp -j DROP", "-A OUTPUT -m owner --gid-owner 7 -j DROP"], {"own": True}),
    ("rejects", ["-A FORWARD -p tcp -j REJECT --reject-with tcp-reset", "-A FORWARD -p udp -j REJECT", "-A INPUT -p tcp -j REJECT --reject-with {prohibited}",
                 "-A INPUT -j REJECT"]),
    ("chains", ["-N a", "-N b", "-N c", "-A FORWARD -p tcp -j a", "-A FORWARD -s {f0} -g b", "-A FORWARD -j c", "-A FORWARD -j DROP", "-A a -p tcp --dport 22 -j ACCEPT",
                "-A a -p tcp --dport 80 -j RETURN", "-A a -p tcp --dport 443 -j b", "-A a -d {t1} -j DROP", "-A b -p udp -j RETURN", "-A b -p tcp -j b2",
                "-A b -j ACCEPT", "-A c -d {t0} -j RETURN", "-A c -p udp -j ACCEPT"], {"chains": ["b2"]}),
    ("goto", ["-N a", "-N b", "-A FORWARD -j a", "-A FORWARD -p udp -j DROP", "-A a -p udp -g b", "-A a -p tcp -j ACCEPT", "-A b -d {t0} -j ACCEPT", "-A b -j RETURN"]),
    ("logs", ["-A FORWARD -p tcp -j LOG --log-prefix tcp", "-A FORWARD -j NFLOG --nflog-group 5", "-A FORWARD -p tcp -j ACCEPT", "-A INPUT -j LOG"]),
    ("no tracking", ["-t raw -A PREROUTING -p tcp -j CT --notrack", "-t raw -A PREROUTING -p udp --dport 53 -j {notrack}", "-A FORWARD -m conntrack --ctstate UNTRACKED -j ACCEPT",
                     "-A FORWARD -m conntrack --ctstate NEW -j ACCEPT", "-A FORWARD -j DROP"]),
    ("helpers", ["-t raw -A PREROUTING -p tcp --dport 22 -j CT --helper ftp", "-t raw -A PREROUTING -p udp -j CT --zone 5", "-A FORWARD -m conntrack --ctstate NEW -j ACCEPT"]),
    ("TPROXY", ["-t mangle -A PREROUTING -p tcp --dport 80 -j TPROXY --on-port 99 --tproxy-mark 0x1/0x1", "-t mangle -A PREROUTING -p tcp -j MARK --set-mark 0x2",
                "-A FORWARD -m mark --mark 0x2 -j ACCEPT", "-A FORWARD -p udp -j DROP"]),
    ("lengths and more", ["-A FORWARD -m length --length 0:20 -j DROP", "-A FORWARD -m ttl --ttl-gt 10 -j ACCEPT", "-A FORWARD -m dscp --dscp 0x0a -j DROP",
                          "-A FORWARD -m u32 --u32 0>>22&0x3C@0&0xFFFF=22 -j DROP"], {"only": 4}),
    ("policies", ["-P INPUT DROP", "-P FORWARD DROP", "-P OUTPUT DROP", "-A INPUT -p udp -j ACCEPT", "-A FORWARD -p tcp --dport 80 -j ACCEPT", "-A OUTPUT -p tcp -j ACCEPT"]),
    ("DNAT", ["-t nat -A PREROUTING -d {own1} -p tcp --dport 80 -j DNAT --to-destination {t0d}8080", "-t nat -A PREROUTING -d {own1} -j DNAT --to-destination {t1}",
              "-t nat -A OUTPUT -d {t2} -j DNAT --to-destination {t1}", "-A FORWARD -m conntrack --ctstate DNAT -j ACCEPT", "-A FORWARD -j DROP"], {"states": True, "to own": True}),
    ("SNAT", ["-t nat -A POSTROUTING -s {f0} -o e1 -j SNAT --to-source {own1}", "-t nat -A POSTROUTING -s {nearnet} -j SNAT --to-source {own1}", "-t nat -A POSTROUTING -o e0 -j SNAT --to-source {own0}",
              "-A FORWARD -m conntrack --ctstate SNAT -j ACCEPT", "-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT"], {"states": True}),
    ("MASQUERADE", ["-t nat -A POSTROUTING -o e1 -p tcp -j MASQUERADE", "-t nat -A POSTROUTING ! -o e1 -j ACCEPT", "-t nat -A POSTROUTING -d {t2} -j MASQUERADE"],
     {"states": True}),
    ("REDIRECT", ["-t nat -A PREROUTING -i e0 -p tcp --dport 80 -j REDIRECT --to-ports 9697", "-t nat -A OUTPUT -p tcp --dport 80 -j REDIRECT --to-ports 9697",
                  "-A INPUT -p tcp --dport 9697 -j ACCEPT", "-A INPUT -p tcp -j DROP", "-A FORWARD -p tcp --dport 22 -j ACCEPT", "-t nat -A PREROUTING -p udp -j REDIRECT"]),
    ("NETMAP", ["-t nat -A PREROUTING -d {t2net} -j NETMAP --to {t2map}", "-t nat -A POSTROUTING -s {fnet} -j NETMAP --to {fmap}", "-A FORWARD -d {t2map} -j ACCEPT", "-A FORWARD -s {f0} -j DROP"],
     {"states": True}),
    ("nat goes on", ["-t nat -N svc", "-t nat -N sep", "-t nat -A PREROUTING -j svc", "-t nat -A svc -d {own1} -p tcp --dport 80 -j sep", "-t nat -A sep -s {t0} -j MARK --set-mark 1",
                     "-t nat -A sep -p tcp -j DNAT --to-destination {t0d}80", "-t nat -A POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN", "-t nat -A POSTROUTING -j MASQUERADE"],
     {"to own": True, "no MARK in nat": True}),
    ("neutron's router", ["-N neutron-l3-agent-scope", "-N neutron-l3-agent-FORWARD", "-A FORWARD -j neutron-l3-agent-FORWARD", "-A neutron-l3-agent-FORWARD -j neutron-l3-agent-scope",
                          "-A neutron-l3-agent-scope -o e1 -m mark ! --mark 0x4000000/0xffff0000 -j DROP", "-t mangle -A PREROUTING -i e0 -p tcp -j MARK --set-xmark 0x4000000/0xffff0000",
                          "-t mangle -A PREROUTING -m connmark ! --mark 0x0/0xffff0000 -j CONNMARK --restore-mark --nfmask 0xffff0000 --ctmask 0xffff0000",
                          "-t nat -A PREROUTING -d 169.254.169.254/32 -i e+ -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 9697",
                          "-t nat -A POSTROUTING ! -o e1 -m conntrack ! --ctstate DNAT -j ACCEPT", "-t nat -A POSTROUTING -o e1 -j SNAT --to-source 10.2.0.1",
                          "-t nat -A POSTROUTING -m mark ! --mark 0x2/0xffff -m conntrack --ctstate DNAT -j SNAT --to-source 10.2.0.1",
                          "-A INPUT -m mark --mark 0x1/0xffff -j ACCEPT", "-A INPUT -p tcp -m tcp --dport 9697 -j DROP"], {"only": 4, "to": ["169.254.169.254"]}),
]

# Rules that ask sets of the kernel, which are captured too (`listed`: the command).
SETS = [
    ("addresses", ["-A FORWARD -m set --match-set known src -j ACCEPT", "-A FORWARD -m set ! --match-set known dst -j DROP", "-A FORWARD -m set --match-set none src -j DROP"],
     {"listed": "list", "sets": ["create known hash:ip", "create none hash:ip", "add known 192.0.2.7", "add known 10.2.0.9"]}),
    ("prefixes with holes", ["-A FORWARD -m set --match-set nets src -j ACCEPT", "-A FORWARD -m set --match-set nets dst -j DROP"],
     {"listed": "save", "sets": ["create nets hash:net", "add nets 192.0.2.0/24", "add nets 192.0.2.8/32 nomatch", "add nets 10.2.0.0/28 nomatch", "add nets 10.2.0.2"]}),
    ("addresses and ports", ["-A FORWARD -m set --match-set web dst,dst -j ACCEPT", "-A FORWARD -m set --match-set web src,dst -j DROP", "-A FORWARD -m set --match-set web dst",
                             "-A FORWARD -m set --match-set web src,src -j DROP"],
     {"listed": "list", "sets": ["create web hash:ip,port", "add web 10.2.0.2,tcp:22", "add web 10.2.0.9,tcp:80-90", "add web 10.2.0.2,udp:53", "add web 192.0.2.7,udp:53",
                                 "add web 10.2.0.9,icmp:echo-request", "add web 192.0.2.8,gre:0", "add web 192.0.2.200,udp:5005"]}),
    ("ports", ["-A FORWARD -m set --match-set ports dst -j ACCEPT", "-A FORWARD -m set --match-set ports src -j DROP"],
     {"listed": "list", "sets": ["create ports bitmap:port range 0-9000", "add ports 22", "add ports 53", "add ports 5000-5010"]}),
    ("lists and devices", ["-A FORWARD -m set --match-set all src -j ACCEPT", "-A FORWARD -m set --match-set ifs src,src -j DROP", "-A FORWARD -m set --match-set ifs dst,dst -j ACCEPT"],
     {"listed": "save", "sets": ["create one hash:ip", "add one 192.0.2.7", "create two hash:net", "add two 192.0.2.128/25", "create all list:set", "add all one", "add all two",
                                 "create ifs hash:net,iface", "add ifs 192.0.2.8,e0", "add ifs 10.2.0.0/24,e1", "add ifs 10.3.0.0/16,e0"]}),
    ("six", ["-A FORWARD -m set --match-set known src,dst -j ACCEPT", "-A FORWARD -m set --match-set nets dst -j DROP", "-A FORWARD -m set ! --match-set nets src -j ACCEPT"],
     {"listed": "list", "six": True, "sets": ["create known hash:ip,port family inet6", "add known 2001:db8:f::7,tcp:22", "add known 2001:db8:f::8,udp:53", "create nets hash:net family inet6",
                                              "add nets 2001:db8:2::/64", "add nets 2001:db8:2::2 nomatch", "add nets 2001:db8:f::/126"]}),
    ("masks", ["-A FORWARD -m set --match-set nm src -j ACCEPT", "-A FORWARD -m set --match-set nm dst -j DROP"],
     {"listed": "save", "sets": ["create nm hash:ip netmask 29", "add nm 192.0.2.5", "add nm 10.2.0.2", "add nm 10.3.0.200"]}),
]

BRIDGE = [
    ("physdev", ["-A FORWARD -m physdev --physdev-in p0 --physdev-is-bridged -j ACCEPT", "-A FORWARD -m physdev --physdev-out p0 --physdev-is-bridged -j DROP",
                 "-A FORWARD -m physdev --physdev-is-in -j ACCEPT", "-A FORWARD -i br0 -j DROP"]),
    ("neutron's ports", ["-N sg", "-N ip0", "-N op0", "-N sp0", "-A FORWARD -m physdev --physdev-out p1 --physdev-is-bridged -j sg", "-A FORWARD -m physdev --physdev-in p0 --physdev-is-bridged -j sg",
                         "-A sg -m physdev --physdev-out p1 --physdev-is-bridged -j ip0", "-A sg -m physdev --physdev-in p0 --physdev-is-bridged -j op0", "-A sg -j ACCEPT",
                         "-A ip0 -m state --state RELATED,ESTABLISHED -j RETURN", "-A ip0 -p tcp --dport 22 -j RETURN", "-A ip0 -m state --state INVALID -j DROP", "-A ip0 -p udp -j DROP",
                         "-A op0 -j sp0", "-A op0 -p udp --dport 67 -j DROP", "-A op0 -j RETURN", "-A sp0 -s 10.5.0.2 -m mac --mac-source 02:00:00:00:03:02 -j RETURN", "-A sp0 -j DROP"],
     {"states": True, "macs": True}),
    ("bridge as device", ["-A FORWARD -i br0 -o br0 -j ACCEPT", "-A FORWARD -i p0 -j DROP", "-A FORWARD ! -i br0 -j DROP", "-t mangle -A PREROUTING -i br0 -m physdev --physdev-in p0 -j MARK --set-mark 1",
                          "-t mangle -A POSTROUTING -m physdev --physdev-out p1 -j MARK --set-mark 2", "-A FORWARD -m mark --mark 1 -j ACCEPT"]),
    ("zones", ["-t raw -A PREROUTING -m physdev --physdev-in p0 -j CT --zone 4", "-t raw -A PREROUTING -i br0 -j CT --zone 4", "-A FORWARD -m conntrack --ctstate NEW -p tcp -j ACCEPT", "-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT",
               "-A FORWARD -j DROP"], {"states": True}),
]

NFT = [
    ("families", "table inet f {\n chain fw { type filter hook forward priority filter; policy drop;\n  ct state established,related counter accept\n  ct state invalid counter drop\n"
                 "  meta l4proto icmp counter accept\n  tcp dport { 22, 80-90 } counter accept\n  udp sport 53 counter drop\n  ip saddr 192.0.2.0/25 udp dport 53 counter accept\n  ip6 saddr 2001:db8:f::7 counter accept\n  counter\n }\n}\n", {"states": True}),
    ("maps", "table ip f {\n chain fw { type filter hook forward priority 0; policy accept;\n  ip protocol vmap { tcp : jump t, udp : goto u }\n  counter drop\n }\n chain t {\n  tcp dport 22 counter accept\n  tcp dport 80 counter return\n  counter\n }\n"
             " chain u {\n  ip daddr 10.2.0.2 counter accept\n  counter return\n }\n}\n"),
    ("named sets", "table ip f {\n set good { type ipv4_addr; flags interval; elements = { 192.0.2.7, 192.0.2.64/26 } }\n set web { type inet_service; elements = { 80, 443 } }\n set ifs { type ifname; elements = { e0 } }\n"
                   " chain fw { type filter hook forward priority filter; policy accept;\n  iifname @ifs ip saddr @good counter accept\n  tcp dport @web counter drop\n  tcp dport != @web counter accept\n  ip saddr != @good counter drop\n }\n}\n"),
    ("devices", "table inet f {\n chain fw { type filter hook forward priority filter; policy accept;\n  iifname \"e*\" oifname \"e1\" counter\n  iifname { \"e0\", \"x\" } counter\n  oif \"e1\" counter\n  iif \"e1\" counter drop\n  meta l4proto { tcp, udp } counter accept\n }\n"
                " chain in { type filter hook input priority filter; policy drop;\n  iifname != \"e0\" counter drop\n  fib daddr type local counter accept\n }\n chain out { type filter hook output priority filter; policy accept;\n  oifname \"e1\" tcp dport 22 counter drop\n }\n}\n"),
    ("marks", "table ip f {\n chain pre { type filter hook prerouting priority mangle; policy accept;\n  tcp dport 80 meta mark set 0x5 counter\n  udp dport 53 counter ct mark set 0x7\n  ct mark 0x7 counter meta mark set ct mark\n }\n"
              " chain fw { type filter hook forward priority filter; policy accept;\n  meta mark 0x5 counter accept\n  mark & 0x3 == 0x3 counter drop\n  ct mark != 0 counter drop\n }\n}\n"),
    ("nat", "table ip n {\n chain pre { type nat hook prerouting priority dstnat; policy accept;\n  ip daddr 10.2.0.1 tcp dport 80 counter dnat to 10.2.0.2:8080\n  ip daddr 10.2.0.1 udp dport 53 counter dnat to 10.2.0.9\n  tcp dport 443 counter redirect to :9697\n }\n"
            " chain post { type nat hook postrouting priority srcnat; policy accept;\n  ip saddr 192.0.2.7 counter snat to 10.2.0.1\n  oifname \"e1\" meta l4proto udp counter masquerade\n  counter\n }\n}\n"
            "table ip f {\n chain fw { type filter hook forward priority filter; policy accept;\n  ct status dnat counter accept\n  ip daddr 10.2.0.2 tcp dport 8080 counter\n }\n}\n", {"to own": True, "states": True}),
    ("priorities", "table ip a {\n chain x { type filter hook forward priority filter + 10; policy accept;\n  tcp dport 22 counter drop\n  counter accept\n }\n chain y { type filter hook forward priority filter - 5; policy accept;\n  tcp dport 22 counter accept\n  tcp dport 80 counter drop\n }\n"
                   " chain z { type filter hook prerouting priority raw; policy accept;\n  udp dport 53 counter notrack\n }\n}\ntable inet b {\n chain x { type filter hook forward priority filter; policy accept;\n  ct state untracked counter accept\n  ct state new counter\n  ip protocol udp counter\n }\n}\n"),
    ("rejects", "table inet f {\n chain fw { type filter hook forward priority filter; policy accept;\n  tcp dport 22 counter reject with tcp reset\n  udp dport 53 counter reject\n  tcp flags syn / fin,syn,rst,ack counter accept\n  tcp flags & (rst | ack) == rst counter drop\n"
                "  icmp type echo-request counter accept\n  meta nfproto ipv6 counter drop\n  limit rate 100/second counter accept\n }\n}\n"),
    ("logs", "table ip f {\n chain fw { type filter hook forward priority filter; policy accept;\n  tcp dport 22 counter log prefix \"ssh\" accept\n  udp dport 53 log counter drop\n  ip saddr 192.0.2.7-192.0.2.8 counter\n  ether saddr 02:00:00:00:01:77 counter drop\n  th dport 80 counter accept\n"
             "  ip dscp 10 counter\n  ip ttl 63 counter\n  meta length < 30 counter drop\n }\n}\n", {"macs": True}),
    ("concatenations", "table ip f {\n set pairs { type ipv4_addr . inet_service; elements = { 10.2.0.2 . 22, 10.2.0.9 . 80 } }\n map verd { type inet_service : verdict; elements = { 22 : accept, 53 : drop } }\n"
                       " chain fw { type filter hook forward priority filter; policy accept;\n  ip daddr . tcp dport @pairs counter accept\n  counter tcp dport vmap @verd\n  ip saddr . ip daddr { 192.0.2.7 . 10.2.0.2 } counter drop\n  counter\n }\n}\n"),
]


# Maps of nft that are named, and maps of addresses.
MAPS = [
    ("maps of addresses", "table ip n {\n map back { type inet_service : ipv4_addr . inet_service; elements = { 53 : 10.2.0.9 . 5353, 5005 : 10.2.0.2 . 5006 } }\n"
                          " map svc { type ipv4_addr . inet_proto . inet_service : verdict; elements = { 10.2.0.1 . tcp . 443 : goto api, 10.1.0.1 . udp . 67 : drop } }\n"
                          " chain api {\n  meta l4proto tcp counter dnat to 10.2.0.2:6443\n }\n"
                          " chain pre { type nat hook prerouting priority dstnat; policy accept;\n  counter ip daddr . meta l4proto . th dport vmap @svc\n"
                          "  ip daddr 10.2.0.1 counter dnat to tcp dport map { 80 : 10.2.0.2, 22 : 10.2.0.9 }\n"
                          "  ip daddr 10.1.0.1 counter dnat ip addr . port to udp dport map @back\n  counter\n }\n}\n"
                          "table ip f {\n map who { type ipv4_addr : verdict; flags interval; elements = { 192.0.2.0/28 : accept, 192.0.2.128/25 : jump far } }\n"
                          " chain far {\n  tcp dport 22 counter drop\n  counter\n }\n"
                          " chain fw { type filter hook forward priority filter; policy accept;\n  counter ip saddr vmap @who\n  ct status dnat counter accept\n  counter\n }\n}\n", {"to own": True}),
]


def words(six):
    pool = V6 if six else V4
    f, t, own = pool["from"], pool["to"], pool["own"]
    named = {"f0": f[0], "f1": f[1], "t0": t[0], "t1": t[1], "t2": t[2], "own0": own[0], "own1": own[1]}
    if six:
        named.update(fnet="2001:db8:f::/124", tnet="2001:db8:2::/64", nearnet="2001:db8:1::/64", t0d=f"[{t[0]}]:", t2net="2001:db8:3::/64",
                     t2map="2001:db8:3:1::/64", fmap="2001:db8:2::/64", icmp="icmpv6", icmpm="icmp6", icmpt="icmpv6-type", prohibited="icmp6-adm-prohibited")
    else:
        named.update(fnet="192.0.2.0/25", tnet="10.2.0.0/24", nearnet="10.1.0.0/24", t0d=f"{t[0]}:", t2net="10.3.0.0/24", t2map="10.3.1.0/24",
                     fmap="10.2.0.0/25", icmp="icmp", icmpm="icmp", icmpt="icmp-type", prohibited="icmp-admin-prohibited")
    return named


def filled(rules, six, backend, more):
    lines = []
    # NOTRACK is of the old backend.
    named = {**words(six), "notrack": "NOTRACK" if backend == "legacy" else "CT --notrack"}
    for rule in [f"-N {chain}" for chain in more.get("chains", [])] + rules:
        if "-j MARK" in rule and "-t mangle" not in rule:
            continue
        lines.append(rule.format(**named))
    return lines


def random_rules(dice, six):
    """Any of all that."""
    named = words(six)
    chains = ["FORWARD"] + [f"c{at}" for at in range(dice.randint(1, 4))]
    lines = [f"-N {chain}" for chain in chains[1:]]
    if dice.random() < 0.5:
        lines.append(f"-P FORWARD {dice.choice(['DROP', 'ACCEPT'])}")
    match = [[], ["-i e0"], ["-i e1"], ["-o e+"], ["! -o e1"], [f"-s {named['f0']}"], [f"! -s {named['fnet']}"], [f"-d {named['t0']}"], [f"-d {named['tnet']}"],
             ["-p tcp"], ["-p udp"], ["-p tcp --dport 22"], ["-p tcp --dport 80:443"], ["-p udp --dport 53"], ["-p tcp -m multiport --dports 22,443"],
             ["-m conntrack --ctstate NEW"], ["-m conntrack --ctstate ESTABLISHED"], ["-m mark --mark 0x1/0x1"], ["-m mark ! --mark 0x2/0x2"], ["-m addrtype --dst-type LOCAL"],
             ["-p tcp --syn"], ["-m connmark --mark 0x1/0x1"], ["-m comment --comment x"], [f"! -d {named['t1']}"]]
    for _ in range(dice.randint(2, 6)):
        table = "mangle"
        words_ = dice.choice([one for one in match if "-o" not in " ".join(one)])
        target = dice.choice(["MARK --set-mark 0x1", "MARK --or-mark 0x2", "MARK --set-xmark 0x3/0x3", "CONNMARK --save-mark", "CONNMARK --set-mark 0x1", "CONNMARK --restore-mark"])
        lines.append(f"-t {table} -A PREROUTING {' '.join(words_)} -j {target}")
    for at, chain in enumerate(chains):
        for _ in range(dice.randint(2, 6)):
            later = chains[at + 1:]
            targets = ["ACCEPT", "DROP", "RETURN", "LOG", ""] + [f"chain {one}" for one in later] * 2
            target = dice.choice(targets)
            verb = f"-{dice.choice('jjg')} {target.split()[1]}" if target.startswith("chain") else f"-j {target}" if target else ""
            lines.append(f"-A {chain} {' '.join(dice.choice(match))} {verb}")
    return lines


def all_sets():
    sets = []
    for at, (name, rules, *more) in enumerate(FILTER):
        more = more[0] if more else {}
        for six in (False, True) if more.get("only") != 4 and at % 3 == 0 else (False,):
            backend = "nft" if at % 2 else "legacy"
            sets.append({"name": name, "six": six, "backend": backend, "rules": filled(rules, six, backend, more), **more,
                         "sets": more.get("sets6" if six else "sets4", [])})
    for name, rules, *more in BRIDGE:
        more = more[0] if more else {}
        sets.append({"name": name, "bridge": True, "backend": "legacy", "rules": rules, **more, "sets": []})
    for name, text, *more in NFT:
        sets.append({"name": name, "nft": text, "families": "inet" in text, **(more[0] if more else {})})
    for seed in range(16):
        dice = random.Random(1000 + seed)
        six = seed % 4 == 3
        sets.append({"name": f"random {seed}", "six": six, "backend": "nft" if seed % 2 else "legacy", "rules": random_rules(dice, six), "states": True})
    for at, (name, rules, more) in enumerate(SETS):
        sets.append({"name": name, "six": False, "backend": "nft" if at % 2 else "legacy", "rules": rules, **more})
    for name, text, more in MAPS:
        sets.append({"name": name, "nft": text, "families": False, "many": True, **more})
    return sets


def packets(dice, rules):
    """Where each is put in, the packet, and the state of its connection."""
    out = []
    for at in range(24 if "listed" in rules or "many" in rules else 12 if "random" in rules["name"] else 9):
        six = rules.get("six") or rules.get("families") and at % 3 == 2
        pool = V6 if six else V4
        proto = dice.choice(["tcp", "tcp", "tcp", "udp", "udp", "icmp6" if six else "icmp", "gre" if dice.random() < 0.4 else "udp"])
        packet = {"proto": proto}
        if proto in ("tcp", "udp"):
            packet["dport"] = dice.choice([22, 80, 85, 443, 5005, 8080] if proto == "tcp" else [53, 67, 5005, 53])
            packet["sport"] = dice.choice([40000, 40000, 53, 5005, 1000])
        if proto == "tcp":
            packet["flags"] = dice.choice(["syn", "syn", "syn", "ack", "rst", "xmas"])
        if proto in ("icmp", "icmp6"):
            packet["icmp"] = (128 if six else 8, 0)
        state = "new"
        if rules.get("bridge"):
            there = dice.random() < 0.7
            start = "if:p0" if there else "if:p1"
            packet["src"], packet["dst"] = ("10.5.0.2", "10.5.0.3") if there else ("10.5.0.3", "10.5.0.2")
            if rules.get("states") and there:
                state = dice.choice(["new", "est", "answer"])
        else:
            sort = dice.random()
            if rules.get("own") or sort < 0.15:
                start = "ns:root"
                packet["src"], packet["dst"] = pool["own"][1], dice.choice(pool["to"])
                packet["mark"] = dice.choice([0, 0, 3, 1])
            elif sort < 0.35 or rules.get("to own") and sort < 0.7:
                start, packet["src"] = "if:e0", dice.choice(pool["from"])
                packet["dst"] = dice.choice(pool["own"])
            else:
                start, packet["src"] = "if:e0", dice.choice(pool["from"])
                packet["dst"] = dice.choice(pool["to"] + rules.get("to", []) * 3)
            if start == "if:e0" and packet["dst"] not in pool["own"] and dice.random() < 0.15:
                start = "if:e1"
                packet["dst"] = pool["near"]
            if rules.get("states") and start == "if:e0" and dice.random() < 0.6:
                # Its answers have to find the way back.
                packet["src"], state = pool["near"], dice.choice(["est", "answer"])
        if state != "new" and proto == "tcp":
            packet["flags"] = "syn"
        if rules.get("macs") and start.startswith("if") and dice.random() < 0.4:
            packet["mac"] = "02:00:00:00:01:77"
        if dice.random() < 0.15:
            packet["tos"] = 40
        out.append((start, packet, state))
    return out
