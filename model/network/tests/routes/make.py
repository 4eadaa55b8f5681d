#!/usr/bin/env python3
"""Makes the goldens of `route_proofs.rs`: real namespaces with random rules and tables, and what
`ip route get` says in them. Needs root, iproute2 and veth; run it in this folder.

Each set-up is one file: the texts that would be captured, as a session, and behind a line of dashes
one query a line: destination, source, incoming device, mark (each `-` where there is none), the type
of service where there is one, and what the kernel answers."""
import random
import subprocess
import sys

SETUPS, QUERIES = 56, 1100
ERRORS = {
    "Network is unreachable": "no-route",
    "No route to host": "unreachable",
    "Invalid argument": "blackhole",
    "Permission denied": "prohibit",
}


def run(*words, check=True, ns=None):
    line = (["ip", "netns", "exec", ns] if ns else []) + list(words)
    done = subprocess.run(line, capture_output=True, text=True)
    if check and done.returncode:
        raise SystemExit(f"{line}: {done.stderr}")
    return done


def more(dice, ip, family, net, gateway, devices, tables, plen):
    """What the first set-ups have not: next hop objects, types of service, many paths in IPv6, rules
    that refuse. Returns addresses behind these routes."""
    six = bool(family)
    targets = []
    for number in range(1, 4):
        at = dice.randrange(devices)
        ip("nexthop", "add", "id", str(number), "via", gateway(at), "dev", f"e{at}", check=False)
    ip("nexthop", "add", "id", "9", "group", "1/2", check=False)
    ip("nexthop", "add", "id", "10", "blackhole", *family, check=False)
    for _ in range(dice.randint(4, 8)):
        a, b = dice.randint(70, 71), dice.randint(0, 2)
        prefix = f"{net(a, b)}/64" if six else f"{net(a, b)}0/24"
        at, other = dice.randrange(devices), dice.randrange(devices)
        table = ["table", dice.choice(tables)]
        sort = dice.random()
        if sort < 0.4:
            words = [prefix, "nhid", str(dice.choice([1, 2, 3, 9, 10]))]
        elif sort < 0.6 and not six:
            words = [prefix, "tos", dice.choice(["0x10", "0x08", "0x04"]), "via", gateway(at), "dev", f"e{at}"]
        elif sort < 0.9:
            words = [prefix, "nexthop", "via", gateway(at), "dev", f"e{at}", "nexthop", "via", gateway(other), "dev", f"e{other}"]
        else:
            words = [prefix, "via", gateway(at), "dev", f"e{at}"]
        ip(*family, "route", "add", *words, *table, check=False)
        ip(*family, "route", "append", prefix, "via", gateway(other), "dev", f"e{other}", *table, check=False)
        targets.append(net(a, b) + str(dice.choice([1, 5, 9])))
    for _ in range(3):
        selector = dice.choice([["tos", "0x10"], ["tos", "0x08"], ["from", f"{net(40, 1)}7"], ["iif", "e0"],
                                ["to", targets[0]], ["fwmark", "0x2"]])
        what = dice.choice([["lookup", dice.choice(tables)], ["unreachable"], ["prohibit"], ["blackhole"],
                            ["lookup", "main", "suppress_prefixlength", str(dice.choice([0, plen - 1]))]])
        ip(*family, "rule", "add", *selector, *what, "priority", str(dice.randint(10, 33000)), check=False)
    return targets


def make(number):
    dice = random.Random(number)
    six = number % 4 == 3
    ns, far = "proof", "proof-far"
    for name in (ns, far):
        run("ip", "netns", "del", name, check=False)
        run("ip", "netns", "add", name)
    ip = lambda *words, check=True: run("ip", *words, check=check, ns=ns)
    family = ["-6"] if six else []
    net = (lambda a, b: f"2001:db8:{a:x}:{b:x}::") if six else (lambda a, b: f"10.{a}.{b}.")
    plen = 64 if six else 24
    devices = dice.randint(2, 4)
    ip("link", "set", "lo", "up")
    for at in range(devices):
        run("ip", "link", "add", f"e{at}", "netns", ns, "type", "veth", "peer", f"f{at}", "netns", far)
        run("ip", "link", "set", f"f{at}", "up", ns=far)
        if not six:
            run("sysctl", "-qw", f"net.ipv4.conf.e{at}.rp_filter=0", ns=ns)
        else:
            run("sysctl", "-qw", f"net.ipv6.conf.e{at}.accept_dad=0", ns=ns)
        ip("link", "set", f"e{at}", "up")
        address = net(number, at) + "1"
        extra = ["nodad"] if six else []
        ip("address", "add", f"{address}/{plen}", "dev", f"e{at}", *extra)
    for key in ("net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0",
                "net.ipv6.conf.all.forwarding=1"):
        run("sysctl", "-qw", key, ns=ns)
    gateway = lambda at: net(number, at) + str(dice.randint(2, 9))
    targets = []
    tables = ["main"] + [str(100 + at) for at in range(dice.randint(1, 4))]
    for table in tables:
        for _ in range(dice.randint(2, 9)):
            a, b = dice.randint(60, 63), dice.randint(0, 3)
            if six:
                prefix = dice.choice([f"{net(a, b)}/64", f"2001:db8:{a:x}::/48", f"{net(a, b)}5/128", "default"])
            else:
                prefix = dice.choice([f"{net(a, b)}0/24", f"10.{a}.0.0/16", f"{net(a, b)}5/32", f"{net(a, b)}0/28", "default"])
            metric = dice.choice([[], [], ["metric", str(dice.randint(1, 300))]])
            sort = dice.random()
            at = dice.randrange(devices)
            if sort < 0.62:
                words = [prefix, "via", gateway(at), "dev", f"e{at}"]
            elif sort < 0.72:
                words = [prefix, "dev", f"e{at}"]
            elif sort < 0.80 and devices > 1:
                other = (at + 1) % devices
                words = [prefix, "nexthop", "via", gateway(at), "dev", f"e{at}", "nexthop", "via",
                         gateway(other), "dev", f"e{other}"]
            else:
                words = [dice.choice(["blackhole", "unreachable", "prohibit", "throw"]), prefix]
            ip(*family, "route", "add", *words, "table", table, *metric, check=False)
        targets += [net(dice.randint(60, 63), dice.randint(0, 3)) + str(dice.choice([1, 5, 9, 40, 77]))
                    for _ in range(9)]
    for _ in range(dice.randint(1, 7)):
        selector = []
        if dice.random() < 0.35:
            selector += ["from", dice.choice([f"{net(number, 0)}{'' if six else '0'}/{plen}",
                                              net(40, 1) + "7", "all"])]
        if dice.random() < 0.3:
            a = dice.randint(60, 63)
            selector += ["to", f"2001:db8:{a:x}::/48" if six else f"10.{a}.0.0/16"]
        if dice.random() < 0.3:
            selector += ["iif", f"e{dice.randrange(devices)}"]
        if dice.random() < 0.25:
            selector += ["fwmark", dice.choice(["0x1", "0x2/0x2", "5"])]
        if selector and dice.random() < 0.1:
            selector = ["not"] + selector
        action = dice.random()
        if action < 0.8:
            what = ["lookup", dice.choice(tables)]
            if dice.random() < 0.2:
                what += ["suppress_prefixlength", str(dice.choice([0, 16]))]
        else:
            what = [dice.choice(["blackhole", "unreachable", "prohibit"])]
        ip(*family, "rule", "add", *selector, *what, "priority", str(dice.randint(10, 33000)), check=False)
    if number > 40:
        targets += more(dice, ip, family, net, gateway, devices, tables, plen)
    session = ""
    for words in (["-d", "address"], ["rule"], ["-6", "rule"], ["route", "show", "table", "all"],
                  ["-6", "route", "show", "table", "all"]):
        session += f"root@h1:~# ip {' '.join(words)}\n{ip(*words).stdout}"
    session += "root@h1:~# \n"
    targets += [net(number, at) + str(host) for at in range(devices) for host in (1, 7)]
    sources = [net(number, at) + "1" for at in range(devices)]
    foreign = [net(40, 1) + "7", net(40, 2) + "8", net(number, 0) + "66"]
    lines = []
    for _ in range(QUERIES):
        to, mark = dice.choice(targets), dice.choice(["-", "-", "1", "2", "5"])
        tos = dice.choice([0, 0, 8, 16]) if number > 40 else 0
        words, source, iif = ["ip", *family, "-o", "route", "get", to], "-", "-"
        if dice.random() < 0.5:
            iif, source = f"e{dice.randrange(devices)}", dice.choice(foreign)
            words += ["from", source, "iif", iif]
        elif dice.random() < 0.4:
            source = dice.choice(sources)
            words += ["from", source]
        if mark != "-":
            words += ["mark", mark]
        if tos:
            words += ["tos", hex(tos)]
        done = run(*words, check=False, ns=ns)
        if done.returncode:
            error = done.stderr.strip().removeprefix("RTNETLINK answers: ")
            answer = ERRORS.get(error, error)
        else:
            said = done.stdout.split()
            if said[0] in ("blackhole", "unreachable", "prohibit", "local", "broadcast"):
                answer = said[0]
            else:
                dev = said[said.index("dev") + 1]
                answer = f"{said[said.index('via') + 1] if 'via' in said else 'link'} {dev}"
        service = f"tos {tos}\t" if tos else ""
        lines.append(f"{to}\t{source}\t{iif}\t{mark}\t{service}{answer}\n")
    with open(f"setup-{number:02}.txt", "w") as file:
        file.write(session + "-" * 20 + "\n" + "".join(sorted(set(lines))))
    for name in (ns, far):
        run("ip", "netns", "del", name, check=False)
    return len(set(lines))


if __name__ == "__main__":
    some = [int(word) for word in sys.argv[1:]] or range(1, SETUPS + 1)
    print(sum(make(number) for number in some))
