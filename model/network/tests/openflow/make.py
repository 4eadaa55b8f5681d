#!/usr/bin/env python3
"""Makes the goldens of `openflow_proofs.rs`: random programs in a sandboxed ovs-vswitchd with the
dummy datapath, and what `ovs-appctl ofproto/trace` says of random packets. Needs the programs of
Open vSwitch 3.1 in PATH (or under OVS_ROOT) and python3; run it in this folder.

Each program is one file: the texts that would be captured, as a session, and behind a line of dashes
one packet a line: port, packet as a flow, the outputs (port and VLANs), and table/priority of every
flow that was looked up in the first bridge."""
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

PROGRAMS, PACKETS = 30, 230
ROOT = os.environ.get("OVS_ROOT", "")
PATHS = [f"{ROOT}/usr/bin", f"{ROOT}/usr/sbin", f"{ROOT}/usr/lib/openvswitch-switch",
         f"{ROOT}/usr/lib/openvswitch-common"] if ROOT else []
os.environ["PATH"] = ":".join(PATHS + [os.environ["PATH"]])
FOLDER = tempfile.mkdtemp(prefix="ovs-proof-")
for key in ("OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR", "OVS_SYSCONFDIR"):
    os.environ[key] = FOLDER
SCHEMA = f"{ROOT}/usr/share/openvswitch/vswitch.ovsschema"
MACS = [f"02:00:00:00:00:0{at}" for at in range(1, 8)]


def run(*words, check=True):
    done = subprocess.run(words, capture_output=True, text=True)
    if check and done.returncode:
        raise SystemExit(f"{words}: {done.stderr}")
    return done.stdout


def start():
    run("ovsdb-tool", "create", f"{FOLDER}/conf.db", SCHEMA)
    run("ovsdb-server", f"{FOLDER}/conf.db", f"--remote=punix:{FOLDER}/db.sock", "--detach",
        f"--pidfile={FOLDER}/ovsdb-server.pid", "--log-file", "--no-chdir")
    run("ovs-vsctl", "--no-wait", "init")
    run("ovs-vswitchd", f"unix:{FOLDER}/db.sock", "--enable-dummy=override", "--disable-system",
        "--detach", f"--pidfile={FOLDER}/ovs-vswitchd.pid", "--log-file", "--no-chdir")


def stop():
    for name in ("ovs-vswitchd", "ovsdb-server"):
        run("ovs-appctl", "-t", name, "exit", check=False)
    shutil.rmtree(FOLDER, ignore_errors=True)


def port_columns(dice):
    sort = dice.randrange(6)
    vid = dice.choice([5, 6, 7])
    trunks = dice.choice(["", f"trunks=5,{vid}" if vid != 5 else "trunks=5"])
    if sort == 0:
        return []
    if sort == 1:
        return [f"tag={vid}"]
    if sort == 2:
        return ["vlan_mode=trunk"] + ([trunks] if trunks else [])
    if sort == 3:
        return ["vlan_mode=native-tagged", f"tag={vid}"] + ([trunks] if trunks else [])
    if sort == 4:
        return ["vlan_mode=native-untagged", f"tag={vid}"] + ([trunks] if trunks else [])
    return [f"tag={vid}"]


def a_match(dice, table, ports):
    words = []
    if dice.random() < 0.4:
        words.append(f"in_port={dice.choice(ports)}")
    if dice.random() < 0.25:
        words.append(f"dl_vlan={dice.choice([5, 6, 7])}")
    elif dice.random() < 0.1:
        words.append("vlan_tci=0x0000/0x1fff")
    if dice.random() < 0.25:
        words.append(f"dl_dst={dice.choice(MACS + ['01:00:00:00:00:00/01:00:00:00:00:00'])}")
    if dice.random() < 0.1:
        words.append(f"dl_src={dice.choice(MACS)}")
    protocol = dice.random()
    if protocol < 0.15:
        words += ["tcp", f"tp_dst={dice.choice([22, 80])}"]
    elif protocol < 0.25:
        words += ["ip", f"nw_dst=10.0.{dice.choice([0, 1])}.0/24"]
    elif protocol < 0.32:
        words += ["arp", f"arp_tpa=10.0.0.{dice.randint(1, 3)}"]
    elif protocol < 0.38:
        words += ["udp", "tp_src=0x8000/0x8000"]
    if table and dice.random() < 0.25:
        words.append(f"reg{dice.choice([0, 6])}={dice.choice([1, 2])}")
    if table >= 3 and dice.random() < 0.3:
        words = [word for word in words if word not in ("arp",) and not word.startswith("arp_")]
        if not any(word in ("tcp", "udp", "ip") for word in words):
            words.append("ip")
        words.append(dice.choice(["ct_state=+new+trk", "ct_state=+est+trk", "ct_state=-trk"]))
    return words


def some_actions(dice, table, ports, groups):
    words = []
    for _ in range(dice.randint(0, 2)):
        words.append(dice.choice([
            f"load:{dice.choice([1, 2])}->NXM_NX_REG{dice.choice([0, 6])}[]",
            f"set_field:{dice.choice(MACS)}->eth_dst",
            f"mod_vlan_vid:{dice.choice([5, 6, 7])}", "strip_vlan",
            "move:NXM_NX_REG0[]->NXM_NX_REG6[]", "note:00.11.22",
            f"push_vlan:0x8100,set_field:{4096 + dice.choice([5, 6])}->vlan_vid",
            f"mod_dl_src:{dice.choice(MACS)}", "set_field:3->metadata",
        ]))
    end = dice.random()
    if end < 0.25:
        words.append("NORMAL")
    elif end < 0.45:
        words.append(f"output:{dice.choice(ports + [99, 'LOCAL'])}")
    elif end < 0.6 and table < 5:
        words.append(f"resubmit(,{dice.randint(table + 1, 6)})")
    elif end < 0.66 and table < 5:
        words += [f"resubmit(,{dice.randint(table + 1, 6)})", f"output:{dice.choice(ports)}"]
    elif end < 0.76 and table < 3:
        words.append(f"ct(table={dice.randint(3, 5)},zone={dice.choice([1, 2])})")
    elif end < 0.82:
        words.append(f"group:{dice.choice(groups)}")
    elif end < 0.86:
        words.append("IN_PORT")
    elif end < 0.9:
        words.append(f"clone(set_field:{dice.choice(MACS)}->eth_src,output:{dice.choice(ports)}),NORMAL")
    elif end < 0.93:
        words.append("FLOOD")
    else:
        words = ["drop"]
    return ",".join(words) or "drop"


def program(dice, ports):
    flows, groups = [], [1, 2]
    buckets = [",".join(["bucket=" + some(dice, ports) for _ in range(dice.randint(1, 3))])
               for _ in groups]
    lines = [f"group_id={number},type=all,{text}" for number, text in zip(groups, buckets)]
    for table in range(7):
        for _ in range(dice.randint(2, 7)):
            match = a_match(dice, table, ports)
            # Flows of one priority that overlap would leave the choice to the switch.
            priority = len(flows) + 10
            flows.append(f"table={table},priority={priority}," + ",".join(match + [""])
                         + "actions=" + some_actions(dice, table, ports, groups))
        if dice.random() < 0.8:
            flows.append(f"table={table},priority=0,actions="
                         + dice.choice(["NORMAL", "drop", f"resubmit(,{table + 1})" if table < 6 else "NORMAL"]))
    if dice.random() < 0.5:
        flows += [
            "table=0,priority=900,tcp,nw_src=10.0.0.1,actions=conjunction(7,1/2)",
            "table=0,priority=900,tcp,nw_src=10.0.0.2,actions=conjunction(7,1/2)",
            "table=0,priority=900,tcp,tp_dst=22,actions=conjunction(7,2/2)",
            f"table=0,priority=900,conj_id=7,tcp,actions=output:{dice.choice(ports)}",
        ]
    return flows, lines


def some(dice, ports):
    return dice.choice([f"output:{dice.choice(ports)}",
                        f"set_field:{dice.choice(MACS)}->eth_dst,output:{dice.choice(ports)}",
                        "strip_vlan,NORMAL", "resubmit(,6)"])


def a_packet(dice):
    words = [f"dl_src={dice.choice(MACS)}",
             f"dl_dst={dice.choice(MACS + ['ff:ff:ff:ff:ff:ff', '01:80:c2:00:00:02', '33:33:00:00:00:01'])}"]
    vlan = dice.random()
    if vlan < 0.45:
        words.append(f"dl_vlan={dice.choice([5, 6, 7, 8])}")
    sort = dice.random()
    source, to = f"10.0.0.{dice.randint(1, 3)}", f"10.0.{dice.choice([0, 1, 2])}.{dice.randint(1, 3)}"
    if sort < 0.35:
        return ["tcp"] + words + [f"nw_src={source}", f"nw_dst={to}", f"tp_src={dice.choice([40000, 1000])}",
                                  f"tp_dst={dice.choice([22, 80, 443])}"]
    if sort < 0.6:
        return ["udp"] + words + [f"nw_src={source}", f"nw_dst={to}", f"tp_src={dice.choice([40000, 1000])}", "tp_dst=53"]
    if sort < 0.75:
        return ["icmp"] + words + [f"nw_src={source}", f"nw_dst={to}", "icmp_type=8"]
    return ["arp"] + words + [f"arp_spa={source}", f"arp_tpa=10.0.0.{dice.randint(1, 3)}", "arp_op=1"]


def outputs(text, vlans):
    """Ports and VLANs by the datapath's actions of all passes."""
    found, tags = set(), list(vlans)
    for actions in text:
        depth, part, parts = 0, "", []
        for c in actions:
            depth += (c == "(") - (c == ")")
            if c == "," and not depth:
                parts.append(part)
                part = ""
            else:
                part += c
        for word in parts + [part]:
            if word.startswith("push_vlan"):
                tags.insert(0, int(re.search(r"vid=(\d+)", word)[1]))
            elif word == "pop_vlan":
                tags = tags[1:]
            elif re.fullmatch(r"[a-z]+\d*[a-z0-9-]*", word) and word != "drop":
                found.add(" ".join([word] + [str(tag) for tag in tags]))
            elif word.startswith("clone("):
                inner, _ = outputs([word[6:-1]], tags)
                found |= inner
    return found, tags


def make(number):
    dice = random.Random(1000 + number)
    bridges = ["br0", "br1"] if number % 3 == 0 else ["br0"]
    for bridge in ("br0", "br1"):
        run("ovs-vsctl", "--if-exists", "del-br", bridge)
    count = dice.randint(4, 6)
    for at, bridge in enumerate(bridges):
        run("ovs-vsctl", "add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=dummy",
            "fail_mode=secure")
        for port in range(1, count + 1 - 2 * at):
            name = f"{'pq'[at]}{port}"
            run("ovs-vsctl", "add-port", bridge, name, *port_columns(dice), "--", "set", "interface",
                name, "type=dummy", f"ofport_request={port}")
    if len(bridges) == 2:
        for bridge, own, peer in (("br0", "to-br1", "to-br0"), ("br1", "to-br0", "to-br1")):
            run("ovs-vsctl", "add-port", bridge, own, "--", "set", "interface", own, "type=patch",
                f"options:peer={peer}", "ofport_request=50")
    ports = list(range(1, count + 1)) + ([50] if len(bridges) == 2 else [])
    flows, groups = program(dice, ports)
    for line in groups:
        run("ovs-ofctl", "-O", "OpenFlow13", "add-group", "br0", line)
    with open(f"{FOLDER}/flows", "w") as file:
        file.write("\n".join(flows) + "\n")
    for line in flows:
        done = subprocess.run(["ovs-ofctl", "-O", "OpenFlow13", "add-flow", "br0", line], capture_output=True)
        del done
    if len(bridges) == 2:
        run("ovs-ofctl", "add-flow", "br1", dice.choice(["actions=NORMAL", "dl_vlan=6,actions=mod_vlan_vid:7,NORMAL"]))
    run("ovs-appctl", "fdb/flush", check=False)
    for mac in MACS[:4]:
        run("ovs-appctl", "fdb/add", "br0", f"p{dice.randint(1, count)}", str(dice.choice([0, 5, 6, 7])), mac)
    session = ""
    commands = [["ovs-vsctl", "show"], ["ovs-vsctl", "list", "port"], ["ovs-vsctl", "list", "interface"]]
    for bridge in bridges:
        commands += [["ovs-ofctl", "-O", "OpenFlow13", "dump-flows", bridge],
                     ["ovs-ofctl", "-O", "OpenFlow13", "dump-groups", bridge],
                     ["ovs-ofctl", "-O", "OpenFlow13", "show", bridge], ["ovs-appctl", "fdb/show", bridge]]
    for words in commands:
        session += f"root@h1:~# {' '.join(words)}\n{run(*words)}"
    session += "root@h1:~# \n"
    lines = []
    for _ in range(PACKETS):
        port, packet = dice.randint(1, count), a_packet(dice)
        text = ",".join(packet)
        said = run("ovs-appctl", "ofproto/trace", "--names", "br0", f"in_port={port},{text}", check=False)
        if "Datapath actions" not in said or "rror" in said.split("Datapath actions")[0]:
            continue
        vlans = [int(vid) for vid in re.findall(r"dl_vlan=(\d+)", text)]
        actions = re.findall(r"^Datapath actions: (.*)$", said, re.M)
        found, _ = outputs(actions, vlans)
        tables = sorted(set(re.findall(r"^ *(\d+)\. .*?priority (\d+)", said.split('bridge("br1")')[0], re.M)),
                        key=lambda pair: (int(pair[0]), int(pair[1])))
        lines.append(f"p{port}\t{text}\t{';'.join(sorted(found)) or 'drop'}\t"
                     f"{','.join('/'.join(pair) for pair in tables)}\n")
    with open(f"program-{number:02}.txt", "w") as file:
        file.write(session + "-" * 20 + "\n" + "".join(lines))
    return len(lines)


if __name__ == "__main__":
    some_numbers = [int(word) for word in sys.argv[1:]] or range(1, PROGRAMS + 1)
    start()
    try:
        print(sum(make(number) for number in some_numbers))
    finally:
        stop()
