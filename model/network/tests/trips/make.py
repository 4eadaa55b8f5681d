#!/usr/bin/env python3
"""Makes the goldens of `trip_proofs.rs`: hosts of namespaces, and whether real packets go there and back.
Needs root, iproute2, veth, bridges, vxlan, macvlan, iptables and nft; run it in this folder, with a name
for one set-up alone.

Each set-up is one file: the texts that would be captured, as a session, and behind a line of dashes one
question a line: from which namespace, to which address, what, the packet's source and size where they are
asked for, and whether an answer came. Each runs in namespaces of its own: nothing of the machine is
touched.

`--random FIRST LAST` makes hosts by chance (`random_setups.py`) as `random_*.txt`; these are looked at with
`cargo test -p tapline-network --test trip_proofs -- --nocapture` and thrown away again."""
import os
import subprocess
import sys
import time

import random_setups
import setups

LISTEN = """
import select, socket, sys
open_ = []
for word in sys.argv[1:]:
    proto, port = word.split(':')
    kind = socket.SOCK_STREAM if proto == 'tcp' else socket.SOCK_DGRAM
    one = socket.socket(socket.AF_INET6, kind)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    one.bind(('::', int(port)))
    if proto == 'tcp':
        one.listen(5)
    open_.append((proto, one))
print('up', flush=True)
while True:
    ready, _, _ = select.select([one for _, one in open_], [], [])
    for proto, one in open_:
        if one not in ready:
            continue
        if proto == 'tcp':
            one.accept()[0].close()
            continue
        data, sender = one.recvfrom(2000)
        try:
            one.sendto(data, sender)
        except OSError:
            pass  # No way back.
"""
CONNECT = """
import socket, sys
proto, host, port, source = sys.argv[1:5]
family = socket.AF_INET6 if ':' in host else socket.AF_INET
one = socket.socket(family, socket.SOCK_STREAM if proto == 'tcp' else socket.SOCK_DGRAM)
one.settimeout(3)
if source:
    one.bind((source, 0))
try:
    one.connect((host, int(port)))
    if proto == 'udp':
        one.send(b'?')
        one.recv(100)
    print('yes')
except OSError:
    print('no')
"""
SETTINGS = ["rp_filter", "forwarding", "arp_ignore", "proxy_arp", "route_localnet",
            "drop_unicast_in_l2_multicast"]


def run(*words, ns=None):
    line = (["ip", "netns", "exec", ns] if ns else []) + list(words)
    return subprocess.run(line, capture_output=True, text=True)


def session(namespaces, more=()):
    """What a person would capture; `more` are further commands."""
    texts = []

    def capture(ns, *words):
        done = run(*words, ns=ns)
        within = f"ip netns exec {ns} " if ns else ""
        texts.append(f"root@h1:~# {within}{' '.join(words)}\n{done.stdout}")

    capture(None, "ip", "netns")
    for ns in (None, *namespaces):
        devices = os.listdir("/sys/class/net") if not ns else run("ls", "/sys/class/net", ns=ns).stdout.split()
        keys = ["net.ipv4.icmp_echo_ignore_all", "net.ipv4.ip_default_ttl", "net.ipv4.ip_forward",
                "net.ipv6.conf.all.forwarding"]
        keys += [f"net.ipv4.conf.{device}.{key}" for device in ["all", *sorted(devices)] for key in SETTINGS]
        capture(ns, "ip", "-d", "address")
        for family in ("-4", "-6"):
            capture(ns, "ip", family, "route", "show", "table", "all")
            capture(ns, "ip", family, "rule")
        capture(ns, "ip", "neigh")
        capture(ns, "bridge", "fdb", "show")
        capture(ns, "iptables-save")
        capture(ns, "nft", "list", "ruleset")
        capture(ns, "sysctl", *keys)
        capture(ns, "ss", "-lnptu")
        for command in more:
            capture(ns, *command.split())
    return "".join(texts) + "root@h1:~# \n"


def answer(source, target, what, more):
    ns = None if source == "root" else source
    proto, _, port = what.partition("/")
    if proto == "icmp":
        words = ["ping", "-n", "-c1", "-W3"]
        if "src" in more:
            words += ["-I", more["src"]]
        if "size" in more:
            words += ["-M", "do", "-s", str(more["size"] - 28)]
        return "no" if run(*words, target, ns=ns).returncode else "yes"
    return run("python3", "-c", CONNECT, proto, target, port, more.get("src", ""), ns=ns).stdout.strip()


def make(name, commands, questions, listen, more):
    os.makedirs("/run/netns", exist_ok=True)
    for mount in (["-t", "tmpfs", "none", "/run/netns"], ["-t", "sysfs", "none", "/sys"]):
        run("mount", *mount)
    for ns in ("a", "b"):
        run("ip", "netns", "add", ns)
    run("ip", "link", "set", "lo", "up")
    for line in commands.strip().splitlines():
        done = subprocess.run(line, shell=True, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{name}: {line}: {done.stderr}")
    for ns in ("a", "b", *more):
        run("ip", "link", "set", "lo", "up", ns=ns)
    servers = []
    for ns, ports in listen.items():
        within = ["ip", "netns", "exec", ns] if ns != "root" else []
        line = [*within, "python3", "-c", LISTEN, *ports.split()]
        server = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
        server.stdout.readline()
        servers.append(server)
    time.sleep(2.5)  # Addresses are checked, and ports learn.
    by_chance = ("ipset list", "ebtables-save", "ip6tables-save", "tc qdisc show")
    text = session(("a", "b", *more), by_chance if name.startswith("random_") else ())
    answers = []
    for source, target, what, packet in questions:
        said = answer(source, target, what, packet)
        size = str(packet.get("size", ""))
        answers.append("\t".join((source, target, what, packet.get("src", ""), size, said)) + "\n")
    with open(f"{name}.txt", "w") as file:
        file.write(text + "-" * 20 + "\n" + "".join(answers))
    for server in servers:
        server.kill()
        server.wait()


def main():
    if sys.argv[1:2] == ["--within"]:
        name = sys.argv[2]
        known = next((one for one in setups.SETUPS if one[0] == name), None)
        make(*(known or random_setups.one(int(name.removeprefix("random_")))))
        return
    if sys.argv[1:2] == ["--random"]:
        wanted = [f"random_{seed}" for seed in range(int(sys.argv[2]), int(sys.argv[3]))]
    else:
        wanted = [name for name, *_ in setups.SETUPS if not sys.argv[1:] or name in sys.argv[1:]]
    for name in wanted:
        line = ["unshare", "--net", "--mount", "python3", "make.py", "--within", name]
        # Not every kernel knows all that chance asks for.
        subprocess.run(line, check=not name.startswith("random_"))


main()
