#!/usr/bin/env python3
"""Makes the goldens of `filter_proofs.rs`: packet filters of real namespaces, real packets, and the
rules whose counters they move. Needs root, iproute2, veth, iptables (both backends), ip6tables,
nft, conntrack and ipset; run it in this folder.

Each set of rules is one file: the texts that would be captured, as a session, and behind a line of
dashes one packet a line: where it is put in, the packet as a flow, the state of its connection
(`new`, `est`, or `answer` for the answer to it), the lines of the session whose counters it moves,
and what arrives at the far end (`-` where nothing does)."""
import os
import random
import socket
import struct
import subprocess
import sys
import time

import rulesets

HOST, NEAR, FAR = "pf-host", "pf-near", "pf-far"
MACS = {"e0": "02:00:00:00:01:01", "f0": "02:00:00:00:01:02", "e1": "02:00:00:00:02:01",
        "f1": "02:00:00:00:02:02", "p0": "02:00:00:00:03:01", "q0": "02:00:00:00:03:02",
        "p1": "02:00:00:00:04:01", "q1": "02:00:00:00:04:02"}
FLAGS = {"syn": 0x02, "ack": 0x10, "rst": 0x04, "synack": 0x12, "xmas": 0x29}
PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "icmp6": 58, "gre": 47, "sctp": 132}
LIBC = __import__("ctypes").CDLL(None, use_errno=True)


def run(*words, ns=None, check=True, stdin=None):
    line = (["ip", "netns", "exec", ns] if ns else []) + list(words)
    done = subprocess.run(line, capture_output=True, text=True, input=stdin)
    if check and done.returncode:
        raise SystemExit(f"{line}: {done.stderr}")
    return done.stdout


def enter(ns):
    """Enters a namespace for as long as it takes to make a socket."""
    handle = os.open(f"/run/netns/{ns}" if ns else "/proc/1/ns/net", os.O_RDONLY)
    if LIBC.setns(handle, 0x40000000):
        raise SystemExit(f"setns {ns}")
    os.close(handle)


def sockets():
    """Sockets that see and send frames, by device, and those that send packets of the host."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    all_ = {}
    for ns, devices in ((NEAR, ("f0", "q0")), (FAR, ("f1", "q1"))):
        enter(ns)
        for device in devices:
            one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            one.bind((device, 0))
            one.setblocking(False)
            all_[device] = one
    enter(HOST)
    all_[4] = socket.socket(socket.AF_INET, socket.SOCK_RAW, 255)
    all_[6] = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 255)
    all_[6].setsockopt(41, 36, 1)  # IPV6_HDRINCL
    LIBC.setns(home, 0x40000000)
    os.close(home)
    return all_


def build(rules):
    """Namespaces without traffic of their own: no addresses of links, no answers, no ARP."""
    for ns in (HOST, NEAR, FAR):
        run("ip", "netns", "del", ns, check=False)
        run("ip", "netns", "add", ns)
        run("ip", "link", "set", "lo", "up", ns=ns)
    ip = lambda *words: run("ip", *words, ns=HOST)
    for own, other, ns in (("e0", "f0", NEAR), ("e1", "f1", FAR), ("p0", "q0", NEAR), ("p1", "q1", FAR)):
        run("ip", "link", "add", own, "netns", HOST, "address", MACS[own], "type", "veth",
            "peer", other, "netns", ns, "address", MACS[other])
        run("ip", "link", "set", own, "addrgenmode", "none", ns=HOST)
        run("ip", "link", "set", other, "addrgenmode", "none", ns=ns)
        run("ip", "link", "set", other, "up", ns=ns)
    for ns in (NEAR, FAR):
        # What arrives there is seen before it is thrown away.
        run("nft", "-f", "-", ns=ns, stdin="table inet quiet {\nchain c {\n"
            "type filter hook prerouting priority -400; policy drop;\n}\n}\n")
    for key in ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", "net.ipv4.conf.all.rp_filter=0",
                "net.ipv4.conf.e0.rp_filter=0", "net.ipv4.conf.e1.rp_filter=0",
                "net.ipv4.icmp_echo_ignore_all=1", "net.ipv6.icmp.echo_ignore_all=1"):
        run("sysctl", "-qw", key, ns=HOST)
    for device in ("e0", "e1"):
        ip("link", "set", device, "up")
    for words in (("10.1.0.1/24", "e0"), ("10.2.0.1/24", "e1"), ("2001:db8:1::1/64", "e0"), ("2001:db8:2::1/64", "e1")):
        extra = ["nodad"] if ":" in words[0] else []
        ip("address", "add", words[0], "dev", words[1], *extra)
    for address, device, other in (("10.1.0.2", "e0", "f0"), ("10.1.0.9", "e0", "f0"), ("10.2.0.2", "e1", "f1"),
                                   ("10.2.0.9", "e1", "f1"), ("2001:db8:1::2", "e0", "f0"),
                                   ("2001:db8:2::2", "e1", "f1"), ("2001:db8:2::9", "e1", "f1")):
        ip("neigh", "add", address, "dev", device, "lladdr", MACS[other], "nud", "permanent")
    ip("route", "add", "10.3.0.0/16", "via", "10.2.0.2")
    ip("-6", "route", "add", "2001:db8:3::/48", "via", "2001:db8:2::2")
    if rules.get("bridge"):
        ip("link", "add", "br0", "type", "bridge", "stp_state", "0", "mcast_snooping", "0")
        ip("link", "set", "br0", "addrgenmode", "none")
        for port in ("p0", "p1"):
            ip("link", "set", port, "master", "br0")
            ip("link", "set", port, "up")
        ip("link", "set", "br0", "up")
        # A bridge that has not seen a MAC floods; it is to know both.
        run("bridge", "fdb", "add", MACS["q0"], "dev", "p0", "master", "static", ns=HOST)
        run("bridge", "fdb", "add", MACS["q1"], "dev", "p1", "master", "static", ns=HOST)
        run("sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1", ns=HOST)
    for line in rules.get("sets", []):
        run("ipset", *line.split(), ns=HOST)
    if "nft" in rules:
        run("nft", "-f", "-", ns=HOST, stdin=rules["nft"])
    tool = "nft" if rules.get("backend") == "nft" else "legacy"
    for line in rules.get("rules", []):
        program = "ip6tables" if rules.get("six") else "iptables"
        run(f"{program}-{tool}", *line.split(), ns=HOST)


def filters(rules):
    """The texts of the filters, with their counters."""
    tool = "nft" if rules.get("backend") == "nft" else "legacy"
    all_ = [(f"{program}-save -c", run(f"{program}-{tool}-save", "-c", ns=HOST)) for program in ("iptables", "ip6tables")]
    return all_ + [("nft list ruleset", run("nft", "list", "ruleset", ns=HOST))]


def session(rules):
    """The session, and the first line of each text of the filters in it."""
    text = ""
    commands = ["ip -d address", "ip rule", "ip -6 rule", "ip route show table all", "ip -6 route show table all",
                "ip neigh", "ip -6 neigh", "bridge fdb show"]
    for command in commands:
        text += f"root@h1:~# {command}\n{run(*command.split(), ns=HOST)}"
    keys = ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"]
    keys += [f"net.ipv4.conf.{device}.{key}" for device in ("all", "e0", "e1")
             for key in ("forwarding", "rp_filter", "route_localnet", "src_valid_mark")]
    keys += [f"net.bridge.bridge-nf-call-{program}" for program in ("iptables", "ip6tables")]
    text += f"root@h1:~# sysctl {' '.join(keys)}\n{run('sysctl', *keys, ns=HOST)}"
    if "listed" in rules:
        text += f"root@h1:~# ipset {rules['listed']}\n{run('ipset', rules['listed'], ns=HOST)}"
    first = {}
    for command, output in filters(rules):
        text += f"root@h1:~# {command}\n"
        first[command] = text.count("\n") + 1
        text += output
    return text + "root@h1:~# \n", first


def counted(lines):
    """What each line counts. The new backend of iptables does not count for policies."""
    out = []
    new = any("(nf_tables)" in line for line in lines)
    for line in lines:
        if line.startswith("["):
            out.append(line.split("]")[0])
        elif line.startswith(":") and not new:
            out.append(line.rsplit("[", 1)[-1])
        elif "counter packets" in line:
            out.append(line.split("counter packets", 1)[1].split()[0])
        else:
            out.append("")
    return out


def moved(rules, first, before, after):
    lines = []
    for (command, old), (_, new) in zip(before, after):
        if command.startswith("nft") != ("nft" in rules):
            continue  # what iptables-nft made is printed twice
        old, new = old.splitlines(), new.splitlines()
        if len(old) != len(new):
            raise SystemExit(f"{command}: other lines\n{old}\n{new}")
        pairs = zip(counted(old), counted(new))
        lines += [first[command] + at for at, (was, now) in enumerate(pairs) if was != now]
    return lines


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def inet(address):
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def raw(packet):
    """The bytes of an IP packet."""
    six = ":" in packet["src"]
    proto = PROTOCOLS[packet["proto"]]
    source, target = inet(packet["src"]), inet(packet["dst"])
    sport, dport = packet.get("sport", 40000), packet.get("dport", 0)
    data = b"x" * packet.get("more", 8)
    if packet["proto"] == "tcp":
        seq, ack = packet.get("seq", (1, 0))
        body = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 5 << 4, FLAGS[packet["flags"]], 5000, 0, 0)
        at = 16
    elif packet["proto"] == "udp":
        body, at = struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data, 6
    elif packet["proto"] in ("icmp", "icmp6"):
        body, at = struct.pack("!BBHHH", *packet["icmp"], 0, 7, 1) + data, 2
    elif packet["proto"] == "gre":
        body, at = struct.pack("!HH", 0, 0x0800) + data, None
    else:
        body, at = struct.pack("!HHII", sport, dport, 0, 0) + data, None
    if at is not None:
        pseudo = b"" if packet["proto"] == "icmp" else source + target + struct.pack("!IHBB", len(body), 0, 0, proto)
        body = body[:at] + struct.pack("!H", checksum(pseudo + body)) + body[at + 2:]
    tos = packet.get("tos", 0)
    if six:
        return struct.pack("!IHBB", 6 << 28 | tos << 20, len(body), proto, 64) + source + target + body
    head = struct.pack("!BBHHHBBH", 0x45, tos, 20 + len(body), 1, 0x4000, 64, proto, 0) + source + target
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def parse(frame):
    """Ends of a packet in a frame: source, destination, and ports or None."""
    kind = struct.unpack("!H", frame[12:14])[0]
    if kind == 0x0800:
        head = (frame[14] & 15) * 4
        proto, source, target, rest = frame[23], frame[26:30], frame[30:34], frame[14 + head:]
        family = socket.AF_INET
    elif kind == 0x86dd:
        proto, source, target, rest = frame[20], frame[22:38], frame[38:54], frame[54:]
        family = socket.AF_INET6
    else:
        return None
    ends = [socket.inet_ntop(family, source), socket.inet_ntop(family, target)]
    ports = list(struct.unpack("!HH", rest[:4])) if proto in (6, 17, 132) else [None, None]
    return ends + ports


def drain(socks):
    for device in ("f0", "f1", "q0", "q1"):
        try:
            while True:
                socks[device].recv(4096)
        except BlockingIOError:
            pass


def arrived(socks):
    """What arrived: the device, and the ends of the packet."""
    for device in ("f1", "q1", "f0", "q0"):
        try:
            while True:
                frame, where = socks[device].recvfrom(4096)
                ends = parse(frame)
                # Reports of multicast are of the namespaces themselves.
                if ends and where[2] != socket.PACKET_OUTGOING and not frame[0] & 1:
                    return device, ends
        except BlockingIOError:
            pass
    return None


def send(socks, start, packet, macs=None):
    data = raw(packet)
    if start == "ns:root":
        six = ":" in packet["dst"]
        one = socks[6 if six else 4]
        one.setsockopt(socket.SOL_SOCKET, 36, packet.get("mark", 0))
        try:
            one.sendto(data, (packet["dst"], 0))
        except OSError:
            pass  # a rule forbids it
    else:
        kind = b"\x86\xdd" if ":" in packet["dst"] else b"\x08\0"
        own = {"if:e0": "e0", "if:e1": "e1"}.get(start)
        peer = {"if:e0": "f0", "if:e1": "f1", "if:p0": "q0", "if:p1": "q1"}[start]
        source, target = macs or (packet.get("mac", MACS[peer]), MACS[own] if own else
                                  MACS["q1" if peer == "q0" else "q0"])
        parse_mac = lambda mac: bytes(int(part, 16) for part in mac.split(":"))
        socks[peer].send(parse_mac(target) + parse_mac(source) + kind + data)
    time.sleep(0.012)


def flow(start, packet):
    """The packet as a flow."""
    six = ":" in packet["src"]
    proto = packet["proto"]
    if proto in ("tcp", "udp", "sctp") and six:
        words = [proto + "6"]
    elif proto in PROTOCOLS and proto not in ("gre",):
        words = [proto]
    else:
        words = ["ipv6" if six else "ip", f"nw_proto={PROTOCOLS[proto]}"]
    words += [f"{'ipv6' if six else 'nw'}_src={packet['src']}", f"{'ipv6' if six else 'nw'}_dst={packet['dst']}", "nw_ttl=64"]
    if proto in ("tcp", "udp", "sctp"):
        words += [f"tp_src={packet.get('sport', 40000)}", f"tp_dst={packet.get('dport', 0)}"]
    if proto == "tcp":
        words.append(f"tcp_flags={FLAGS[packet['flags']]:#x}")
    if proto in ("icmp", "icmp6"):
        words += [f"icmp_type={packet['icmp'][0]}", f"icmp_code={packet['icmp'][1]}"]
    if packet.get("tos"):
        words.append(f"nw_tos={packet['tos']}")
    if packet.get("mark"):
        words.append(f"pkt_mark={packet['mark']:#x}")
    if start != "ns:root":
        peer = {"if:e0": "f0", "if:e1": "f1", "if:p0": "q0", "if:p1": "q1"}[start]
        to = {"if:e0": "e0", "if:e1": "e1", "if:p0": "q1", "if:p1": "q0"}[start]
        words += [f"dl_src={packet.get('mac', MACS[peer])}", f"dl_dst={MACS[to]}"]
    return ",".join(words)


def opposite(ends, packet, **more):
    """The answer to a packet, as it arrived."""
    source, target, sport, dport = ends
    back = {**packet, "src": target, "dst": source, **more}
    if sport is not None:
        back.update(sport=dport, dport=sport)
    back.pop("mac", None)
    return back


def probe(socks, rules, first, start, packet, state):
    """Sends a packet, and what has to be before it; returns a line of the golden."""
    run("conntrack", "-F", ns=HOST, check=False)
    drain(socks)
    if state != "new":
        early = {**packet, "flags": "syn"} if packet["proto"] == "tcp" else packet
        send(socks, start, early)
        there = arrived(socks)
        if there is None or there[0] not in ("f1", "q1"):
            return None
        more = {"flags": "synack", "seq": (1, 2)} if packet["proto"] == "tcp" else {}
        if packet["proto"] in ("icmp", "icmp6"):
            more = {"icmp": (0, 0) if packet["proto"] == "icmp" else (129, 0)}
        answer = opposite(there[1], packet, **more)
        back = {"f1": "if:e1", "q1": "if:p1"}[there[0]]
        if state == "answer":
            start_, packet_ = back, answer
        else:
            send(socks, back, answer)
            start_ = start
            packet_ = {**packet, "flags": "ack", "seq": (2, 2)} if packet["proto"] == "tcp" else packet
            packet = packet_
        drain(socks)
    else:
        start_, packet_ = start, packet
    before = filters(rules)
    send(socks, start_, packet_)
    after = filters(rules)
    lines = moved(rules, first, before, after)
    there = arrived(socks)
    if there:
        device, (source, target, sport, dport) = there
        ends = f"{source}>{target}" if sport is None else f"{source} {sport}>{target} {dport}"
        end = f"{device} {ends}"
    else:
        end = "-"
    return f"{start}\t{flow(start, packet)}\t{state}\t{','.join(map(str, lines))}\t{end}\n"


def make(number, rules):
    dice = random.Random(number)
    build(rules)
    text, first = session(rules)
    socks = sockets()
    for _ in range(20):
        time.sleep(0.3)
        before = filters(rules)
        time.sleep(0.3)
        if not moved(rules, first, before, filters(rules)):
            break
    else:
        raise SystemExit(f"set {number}: something else sends packets")
    lines = []
    for start, packet, state in rulesets.packets(dice, rules):
        line = probe(socks, rules, first, start, packet, state)
        if line and line not in lines:
            lines.append(line)
    for one in socks.values():
        one.close()
    with open(f"set-{number:02}.txt", "w") as file:
        file.write(text + "-" * 20 + "\n" + "".join(lines))
    for ns in (HOST, NEAR, FAR):
        run("ip", "netns", "del", ns, check=False)
    return len(lines)


if __name__ == "__main__":
    known = rulesets.all_sets()
    some = [int(word) for word in sys.argv[1:]] or range(1, len(known) + 1)
    print(len(known), "sets,", sum(make(number, known[number - 1]) for number in some), "packets")
