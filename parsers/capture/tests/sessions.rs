//! Pasted sessions: composed here, and those of others beside the project.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
#![expect(clippy::disallowed_methods, reason = "tests write their inputs")]
use std::path::Path;

use tapline_capture::{Input, Options, open};
use tapline_core::capture::Captured;

/// Host, namespace, line and command of each text.
fn show(captured: &Captured) -> Vec<String> {
    captured
        .sources
        .iter()
        .map(|source| {
            let host = &captured.hosts[source.host.0 as usize];
            format!("{} {} {}:{}", host.name, source.netns, source.first_line, source.command)
        })
        .collect()
}

fn read(path: &Path) -> Captured {
    open(&[Input::Path(path.to_owned())], &Options::default()).unwrap()
}

#[test]
fn sessions_of_one_host_are_one_host() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["one.txt", "two.txt"].map(|name| {
        let path = folder.path().join(name);
        std::fs::write(&path, "[root@node2.example.org ~]# ip netns\nblue\n[root@x ~]# \n")
            .unwrap();
        Input::Path(path)
    });
    let captured = open(&paths, &Options::default()).unwrap();
    assert_eq!(show(&captured), ["node2 root 2:ip netns", "node2 root 2:ip netns"]);
    assert_eq!(captured.hosts.first().map(|host| host.inputs.len()), Some(2));
}

#[test]
fn one_output_with_its_command() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    std::fs::write(&path, "blue\n").unwrap();
    let given = tapline_core::capture::Command::new("sudo ip netns exec red ip netns | grep b");
    let options = Options { command: Some(given), ..Options::default() };
    let captured = open(&[Input::Path(path)], &options).unwrap();
    assert_eq!(show(&captured), ["x red 1:ip netns"]);
    assert!(!captured.sources.iter().any(|source| source.completeness.is_complete()));
}

#[test]
#[ignore = "reads ../shared/captures, which is not part of the repository"]
fn sessions_from_the_field() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = here.join("../../../shared/captures/sessions");
    let router = "qrouter-8800b853-2938-4ecc-89ce-a7189f78ef0c";
    let dhcp = "qdhcp-624031b6-981c-480c-94ee-f9459d1c07ed";
    for (name, expected) in [
        (
            "pub-node2-compute-walkthrough.txt",
            vec![
                "node2 root 2:virsh list".to_owned(),
                "node2 root 9:ip a".to_owned(),
                "node2 root 14:brctl show".to_owned(),
                "node2 root 25:ethtool -S qvo85bcbfb0-bc".to_owned(),
                "node2 root 28:ethtool -S qvb85bcbfb0-bc".to_owned(),
                "node2 root 31:ovs-vsctl show".to_owned(),
            ],
        ),
        (
            "pub-hyhive-dhcp-vrouter-namespaces.txt",
            vec![
                "hyhive01 root 2:ip netns ls".to_owned(),
                format!("hyhive01 {dhcp} 5:ip a"),
                "hyhive02 root 20:ip netns ls".to_owned(),
                format!("hyhive02 {router} 23:ip a"),
                format!("hyhive02 {router} 42:route"),
            ],
        ),
        (
            "pub-compute-node-hybrid.txt",
            vec![
                "compute-node root 2:ovs-vsctl show".to_owned(),
                "compute-node root 45:brctl show".to_owned(),
            ],
        ),
        ("kubeovn-001.txt", {
            let of = |text: &str| format!("kubeovn-001 root {text}");
            vec![
                of("2:ip a"),
                of("16:ip rule"),
                of("23:ip route show table 100"),
                of("28:iptables -t nat -L -n -v"),
            ]
        }),
    ] {
        assert_eq!(show(&read(&folder.join(name))), expected, "{name}");
    }
}
