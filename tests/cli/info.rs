//! `tapline info`, and `show` of a host.
use super::{Folder, HEALTHY, SESSION, node2, root, run};

#[test]
fn a_host_fits_a_screen() {
    let faults = root().join("corpus/lab/faults").display().to_string();
    let ran = run(["info", &faults]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert!(ran.out.lines().count() <= 60, "{}", ran.out);
    insta::assert_snapshot!(ran.out);
    // A host of 500 VMs fits it too.
    let many = root().join("corpus/lab/scale-500").display().to_string();
    let ran = run(["info", &many]);
    assert!(ran.out.lines().count() <= 60, "{}", ran.out);
    assert!(ran.out.contains("500 VMs: "), "{}", ran.out);
}

#[test]
fn show_of_a_host_is_the_same() {
    let (info, show) = (run(["info", &node2()]), run(["show", &node2(), "node2"]));
    assert_eq!((show.code, &show.out), (Some(0), &info.out));
}

#[test]
fn what_was_not_captured_is_not_guessed() {
    let folder = Folder::new(&[("session.txt", HEALTHY)]);
    let ran = run(["info", &folder.join("session.txt")]);
    insta::assert_snapshot!(ran.shown(&folder));
}

#[test]
fn json_has_its_places() {
    let folder = Folder::new(&[("session.txt", SESSION)]);
    let path = folder.join("session.txt");
    let document = run(["info", "--format", "json", &path]).json();
    assert_eq!(document["schema"], "tapline.info/1");
    let host = &document["hosts"][0];
    assert_eq!((&host["host"], &host["ovs"]["value"]), (&"lab7".into(), &"2.5.0".into()));
    assert_eq!(host["ovs"]["at"]["line"], 12);
    assert_eq!(host["captured"], serde_json::Value::Null);
    assert_eq!(host["nics"][0]["addresses"][0], "192.0.2.7/24");
    assert_eq!(host["broken"][0]["code"], "OVS-001");
    assert_eq!(host["roles"].as_array().map(Vec::len), Some(0));
    let asked = host["roles_unknown"].as_array().expect("commands");
    assert!(asked.iter().any(|command| command == "virsh list --all"), "{asked:?}");
}

/// What a host is, by one command and its output.
fn roles(command: &str, output: &str) -> Vec<String> {
    let session = format!("[root@lab9 ~]# {command}\n{output}[root@lab9 ~]#\n");
    let folder = Folder::new(&[("session.txt", &session)]);
    let document = run(["info", "--format", "json", &folder.join("session.txt")]).json();
    let all = document["hosts"][0]["roles"].as_array().cloned().unwrap_or_default();
    // Each has its line.
    assert!(all.iter().all(|role| role["at"]["line"].is_u64()), "{all:?}");
    all.iter().filter_map(|role| role["name"].as_str().map(str::to_owned)).collect()
}

#[test]
fn what_a_host_is_follows_from_what_was_captured() {
    let link = |name: &str| {
        format!(
            "3: {name}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP mode DEFAULT group \
             default qlen 1000\n    link/ether 02:42:5d:6a:51:03 brd ff:ff:ff:ff:ff:ff\n"
        )
    };
    let chains = "*nat\n:PREROUTING ACCEPT [0:0]\n:KUBE-SERVICES - [0:0]\nCOMMIT\n";
    let database = "_uuid               : 0b7c1e52-31a0-4f0e-9d55-6a4f6a1b2c3d\n\
        external_ids        : {ovn-encap-ip=\"10.0.0.1\", ovn-remote=\"tcp:10.0.0.9:6642\"}\n\
        ovs_version         : \"3.1.0\"\n";
    let uname = "Linux lab9 6.8.12-4-pve #1 SMP PREEMPT_DYNAMIC x86_64 GNU/Linux\n";
    let driver = |name: &str| format!("driver: {name}\nversion: 1.0\nbus-info: 0000:03:00.0\n");
    let domain = |kind: &str| {
        format!(
            "<domain type='{kind}' id='1'>\n  <name>web</name>\n  <devices>\n  </devices>\n</domain>\n"
        )
    };
    for (command, output, expected) in [
        ("ip link", link("docker0"), &["docker host"][..]),
        ("ip link", link("lxdbr0"), &["LXD host"]),
        ("ip link", link("docker1"), &[]),
        ("iptables-save", chains.to_owned(), &["Kubernetes node"]),
        ("iptables-save", chains.replace("KUBE-SERVICES", "MY-SERVICES"), &[]),
        ("ovs-vsctl list Open_vSwitch", database.to_owned(), &["OVN chassis"]),
        ("ovs-vsctl list Open_vSwitch", database.replace("ovn-", "my-"), &[]),
        ("uname -a", uname.to_owned(), &["Proxmox VE node"]),
        ("uname -a", uname.replace("-pve", ""), &[]),
        ("ethtool -i eth0", driver("vmxnet3"), &["virtual machine"]),
        ("ethtool -i eth0", driver("virtio_net"), &["machine with virtio NICs"]),
        ("ethtool -i eth0", driver("ixgbe"), &[]),
        ("virsh dumpxml web", domain("kvm"), &["KVM host"]),
        ("virsh dumpxml web", domain("qemu"), &[]),
    ] {
        assert_eq!(roles(command, &output), expected, "{command}: {output}");
    }
}
