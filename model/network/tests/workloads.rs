//! What devices serve, as sessions and lists tell.
#![expect(clippy::unwrap_used, clippy::string_slice, reason = "a test may panic")]
use tapline_capture::{Input, Options};
use tapline_network::Network;
use tapline_network::environment::Environment;

const LO: &str = "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN mode DEFAULT\n    \
                  link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n";
const PODS: &str = "POD ID              CREATED             STATE               NAME                NAMESPACE           ATTEMPT             RUNTIME\n";
const SANDBOX: &str = "3f2a1b4c5d6e70123456789abcdef0123456789abcdef0123456789abcdef012";

/// A device of the host, the other end of which is elsewhere.
fn device(index: u32, name: &str, peer: u32) -> String {
    format!(
        "{index}: {name}@if{peer}: <BROADCAST,UP,LOWER_UP> mtu 1450 qdisc noqueue state UP mode DEFAULT\n    \
         link/ether ee:ee:ee:ee:ee:ee brd ff:ff:ff:ff:ff:ff link-netnsid 0\n"
    )
}

/// `device: what it serves`, with `?` where that is not proven.
fn served(session: &str) -> Vec<String> {
    let input = Input::Text("session".to_owned(), session.to_owned());
    let captured = tapline_capture::open(&[input], &Options::default()).unwrap();
    let snapshot = tapline_formats::read(captured);
    let topology = tapline_topology::build(&snapshot);
    let environment = Environment::default();
    let network = Network::new(&topology, None, &environment);
    let of_devices = network.netdevs().filter_map(|device| {
        let workload = network.workloads().of(device.id)?;
        let sign = if workload.is_proven() { "" } else { "? " };
        assert!(!workload.is_named() || !workload.is_proven() || !workload.lines.is_empty());
        Some(format!("{}: {sign}{workload}", device.name()))
    });
    of_devices.collect()
}

/// A session of these commands and outputs.
fn session(outputs: &[(&str, String)]) -> String {
    let lines = outputs
        .iter()
        .map(|(command, output)| format!("[root@wrk1 ~]# {command}\n{output}"))
        .collect::<Vec<_>>();
    lines.concat() + "[root@wrk1 ~]# \n"
}

#[test]
fn calico_names_devices_by_a_hash_of_the_pod() {
    // The first digits of the SHA-1 of `shop.web-0`.
    let links =
        format!("{LO}{}{}", device(7, "calia4fc3c48bd8", 3), device(8, "cali00000000000", 3));
    let by = |command: &str, list: String| {
        served(&session(&[("ip link", links.clone()), (command, list)]))
    };
    let wide = "NAMESPACE   NAME    READY   STATUS    RESTARTS   AGE   IP           NODE    NOMINATED NODE   READINESS GATES\n\
                shop        web-0   1/1     Running   0          9d    10.244.1.5   wrk1    <none>           <none>\n";
    let short =
        "NAME    READY   STATUS    RESTARTS   AGE\nweb-0   1/1     Running   0          9d\n";
    let ready = format!(
        "{PODS}{}       2 days ago          Ready               web-0               shop                0                   (default)\n",
        &SANDBOX[..13]
    );
    let wanted = ["calia4fc3c48bd8: pod shop/web-0"];
    assert_eq!(by("kubectl get pods -A -o wide", wide.to_owned()), wanted);
    assert_eq!(by("kubectl -n shop get pods", short.to_owned()), wanted);
    assert_eq!(by("crictl pods", ready), wanted);
    // Of which namespace they are, is not said.
    assert_eq!(by("kubectl get pods", short.to_owned()), [""; 0]);
    // Other prefixes are of other software.
    let eni = session(&[
        ("ip link", format!("{LO}{}", device(7, "enia4fc3c48bd8", 3))),
        ("kubectl get po -n shop", short.to_owned()),
    ]);
    assert_eq!(served(&eni), ["enia4fc3c48bd8: pod shop/web-0"]);
    let veth = session(&[
        ("ip link", format!("{LO}{}", device(7, "vetha4fc3c48bd8", 3))),
        ("kubectl get po -n shop", short.to_owned()),
    ]);
    assert_eq!(served(&veth), [""; 0]);
}

#[test]
fn ovn_kubernetes_writes_the_pod_to_its_interface() {
    let name = &SANDBOX[..15];
    let links = format!("{LO}{}", device(7, name, 3));
    let ids = |ids: &str| {
        format!(
            "_uuid               : 11111111-2222-3333-4444-555555555555\nexternal_ids        : {{{ids}}}\n\
             name                : \"{name}\"\nofport              : 7\ntype                : \"\"\n"
        )
    };
    let row = |id: &str, pod: &str| {
        format!(
            "{PODS}{id}       2 days ago          Ready               {pod}               shop                0                   (default)\n"
        )
    };
    let with = |more: &[(&str, String)]| {
        let mut all = vec![("ip link", links.clone())];
        all.extend(more.iter().cloned());
        served(&session(&all))
    };
    let sandbox = format!("sandbox=\"{SANDBOX}\"");
    let pod = [format!("{name}: pod shop/web-0")];
    let both = ids(&format!("iface-id=shop_web-0, {sandbox}"));
    assert_eq!(with(&[("ovs-vsctl list interface", both)]), pod);
    // The id alone leads to the list, with the name of the device or of the database.
    let list = row(&SANDBOX[..13], "web-0");
    assert_eq!(
        with(&[("ovs-vsctl list interface", ids(&sandbox)), ("crictl pods", list.clone())]),
        pod
    );
    assert_eq!(with(&[("crictl pods", list)]), pod);
    assert_eq!(with(&[("crictl pods", row("77aa1b4c5d6e7", "web-0"))]), [""; 0]);
    let id = [format!("{name}: pod {}", &SANDBOX[..12])];
    assert_eq!(with(&[("ovs-vsctl list interface", ids(&sandbox))]), id);
    // An id of a port of neutron is no pod.
    let port = ids("iface-id=\"85bcbfb0-bc1f-4e0c-9f3a-000000000000\"");
    assert_eq!(with(&[("ovs-vsctl list interface", port)]), [""; 0]);
}

#[test]
fn containers_are_behind_the_other_end_of_a_pair() {
    let inner = "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN\n    \
                 link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n\
                 11: eth0@if12: <BROADCAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP\n    \
                 link/ether 02:42:ac:11:00:02 brd ff:ff:ff:ff:ff:ff link-netnsid 0\n";
    let ps = "CONTAINER ID   IMAGE     COMMAND   CREATED       STATUS       PORTS     NAMES\n\
              aaaaaaaaaaaa   nginx     \"nginx\"   2 hours ago   Up 2 hours   80/tcp    web\n\
              bbbbbbbbbbbb   nginx     \"nginx\"   2 hours ago   Up 2 hours   80/tcp    store\n";
    let outer = format!("{LO}{}", device(12, "veth99aa", 11));
    let with = |enter: &str, list: Option<&str>| {
        let mut all = vec![("ip link", outer.clone()), (enter, inner.to_owned())];
        all.extend(list.map(|list| ("docker ps", list.to_owned())));
        served(&session(&all))
    };
    // Other namespaces may have a pair of the same numbers.
    assert_eq!(
        with("docker exec web ip a", Some(ps)),
        ["veth99aa: ? container web (aaaaaaaaaaaa)"]
    );
    assert_eq!(
        with("docker exec aaaaaaaaaaaa ip a", Some(ps)),
        ["veth99aa: ? container web (aaaaaaaaaaaa)"]
    );
    assert_eq!(with("docker exec web ip a", None), ["veth99aa: ? container web"]);
    assert_eq!(with("ip netns exec blue ip a", Some(ps)), [""; 0]);
}

#[test]
fn platforms_number_their_guests() {
    let links = format!("{LO}{}{}", device(7, "veth102i0", 3), device(8, "vif5.0", 3));
    let list = "VMID       Status     Lock         Name                \n102        running                 db                  \n";
    let text = session(&[("ip link", links), ("pct list", list.to_owned())]);
    assert_eq!(
        served(&text),
        ["veth102i0: NIC 0 of CT 102 db (Proxmox VE)", "vif5.0: NIC 0 of domain 5 (Xen)"]
    );
}

#[test]
fn guests_of_proxmox_are_named_by_their_lists() {
    let links = format!("{LO}{}", device(7, "fwpr102p0", 3));
    let machines = "      VMID NAME                 STATUS     MEM(MB)    BOOTDISK(GB) PID       \n       \
                    102 web                  running    2048              32.00 1234      \n";
    let containers = "VMID       Status     Lock         Name                \n102        running                 db                  \n";
    for (command, list, told) in [
        ("qm list", machines, "fwpr102p0: NIC 0 of VM 102 web (Proxmox VE)"),
        ("pct list", containers, "fwpr102p0: NIC 0 of CT 102 db (Proxmox VE)"),
        ("uname -r", "6.8.12-1-pve\n", "fwpr102p0: NIC 0 of guest 102 (Proxmox VE)"),
    ] {
        let text = session(&[("ip link", links.clone()), (command, list.to_owned())]);
        assert_eq!(served(&text), [told], "{command}");
    }
}

#[test]
fn containers_are_entered_by_the_tools_that_run_them() {
    let inner = "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN\n    \
                 link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n\
                 11: eth0@if12: <BROADCAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP\n    \
                 link/ether 02:42:ac:11:00:02 brd ff:ff:ff:ff:ff:ff link-netnsid 0\n";
    let outer = format!("{LO}{}", device(12, "veth99aa", 11));
    for (enter, told) in [
        ("lxc exec web -- ip a", &["veth99aa: ? container web"][..]),
        ("incus exec web -- ip a", &["veth99aa: ? container web"]),
        ("pct exec 102 -- ip a", &["veth99aa: ? container CT 102"]),
        ("podman exec web ip a", &["veth99aa: ? container web"]),
    ] {
        let text = session(&[("ip link", outer.clone()), (enter, inner.to_owned())]);
        assert_eq!(served(&text), told, "{enter}");
    }
}
