use super::*;

fn one(line: &str) -> (String, String) {
    let it = parse_one(line).unwrap_or_else(|| panic!("no command in {line:?}"));
    (it.command.to_string(), it.netns.to_string())
}

#[test]
fn wrapping_comes_off() {
    for (line, command, netns) in [
        ("sudo -u root /usr/sbin/ip a", "ip a", "root"),
        ("LC_ALL=C timeout -k 5 30 /sbin/brctl show 2>&1", "brctl show", "root"),
        ("sudo ip netns exec qrouter-1 ip route", "ip route", "qrouter-1"),
        ("ip net e blue ip -c a", "ip a", "blue"),
        ("ip -n blue -d link", "ip -d link", "blue"),
        ("ip -d -netns blue link", "ip -d link", "blue"),
        ("bridge -n blue fdb show", "bridge fdb show", "blue"),
        ("nsenter -t 4711 -n ip a", "ip a", "pid:4711"),
        ("nsenter -nt 4711 ip a", "ip a", "pid:4711"),
        ("nsenter --net=/run/netns/blue -- ip a", "ip a", "blue"),
        ("nsenter -t 1 -n ip a", "ip a", "root"),
        ("sudo nsenter --net=/proc/4711/ns/net ip a", "ip a", "pid:4711"),
        ("nsenter --net=/proc/1/ns/net ip a", "ip a", "root"),
        ("docker exec -it -u root ovs_vswitchd ovs-vsctl show", "ovs-vsctl show", "root"),
        ("docker exec web ip a", "ip a", "docker:web"),
        ("kubectl exec -n shop web-0 -c app -- ip a", "ip a", "root"),
        ("sudo bash -c 'ip a | cat'", "ip a", "root"),
        ("ip vrf exec red ip r", "ip r", "root"),
        ("cd /tmp; ip a", "ip a", "root"),
        ("ip a # all of them", "ip a", "root"),
        ("busybox ip a", "ip a", "root"),
        ("su -c 'ip a'", "ip a", "root"),
        ("unshare -rn ip a", "ip a", "unshare"),
        ("pct exec 102 -- ip a", "ip a", "pct:102"),
        ("docker-compose exec -T web ip a", "ip a", "docker:web"),
        ("docker run --rm -v /a:/b alpine ip a", "ip a", "docker:alpine"),
        ("docker run --rm --name box alpine ip a", "ip a", "docker:box"),
        ("docker run --net host alpine ip a", "ip a", "root"),
    ] {
        assert_eq!(one(line), (command.to_owned(), netns.to_owned()), "{line}");
    }
}

#[test]
fn other_machines_are_named() {
    for (line, machine) in [
        ("ssh kvm9 -- ip a", "kvm9"),
        ("sshpass -p x ssh root@kvm9 ip a", "kvm9"),
        ("oc debug node/w1 -- chroot /host ip a", "w1"),
        ("minikube ssh -- ip a", "minikube"),
        ("vagrant ssh web -c 'ip a'", "web"),
        ("multipass exec web -- ip a", "web"),
        ("machinectl shell root@web /sbin/ip a", "web"),
    ] {
        let run = parse_one(line).unwrap_or_else(|| panic!("{line}"));
        assert_eq!(run.host.as_deref(), Some(machine), "{line}");
        assert_eq!(run.command.to_string(), "ip a", "{line}");
    }
    assert!(runs_elsewhere("sudo salt kvm9 cmd.run 'ip a'") && !runs_elsewhere("sudo ip a"));
}

#[test]
fn pipes_and_redirections_are_told() {
    let grep = parse_one("ip a | grep -A2 tap").unwrap();
    assert_eq!(grep.partial.as_deref(), Some("filtered by `grep -A2 tap`"));
    assert_eq!(parse_one("ip a | less").unwrap().partial, None);
    assert!(parse_one("ip a > /tmp/x").unwrap().elsewhere);
    assert!(!parse_one("ip a 2>/dev/null").unwrap().elsewhere);
    assert!(parse_one("ip a 2>/dev/null").unwrap().hushed);
    assert!(parse_one("ip a &>/dev/null").unwrap().hushed);
    assert!(!parse_one("ip a 2>&1").unwrap().hushed);
    assert!(parse_one("ip -o l | awk '{print $2}'").is_none());
    let counted = parse("sudo ip a | wc -l").pop().unwrap();
    assert_eq!(counted.reshaped.as_deref(), Some("sudo ip a | wc -l"));
    assert_eq!(parse("ip a; ip r").len(), 2);
    for line in
        ["(ip a; ip r) 2>&1", "{ ip a; ip r; }", "sudo bash -c 'ip a; ip r'", "( ip a && ip r )"]
    {
        let all: Vec<_> = parse(line).iter().map(|one| one.command.to_string()).collect();
        assert_eq!(all, ["ip a", "ip r"], "{line}");
    }
    let over = parse("ssh -t root@cmp1 'ip a; ip r'");
    assert_eq!(over.iter().map(|one| one.host.as_deref()).collect::<Vec<_>>(), [Some("cmp1"); 2]);
    // However deep it goes, it ends.
    parse(&"(".repeat(100_000));
    parse(&"sh -c ".repeat(10_000));
    assert!(parse("for i in 1 2; do ip a; done").is_empty());
    assert!(parse_one("ip -all netns exec ip a").unwrap().everywhere);
}

#[test]
fn ssh_names_the_host() {
    let it = parse_one("ssh -o X=Y root@node7 'sudo ip a'").unwrap();
    assert_eq!((it.host.as_deref(), it.command.to_string().as_str()), (Some("node7"), "ip a"));
    for line in ["kubectl exec -it web-0 -- ip a", "oc exec -n shop pod/web-0 -- ip a"] {
        let it = parse_one(line).unwrap();
        assert_eq!((it.host.as_deref(), it.netns.is_root()), (Some("web-0"), true), "{line}");
    }
}
