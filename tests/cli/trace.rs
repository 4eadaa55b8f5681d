//! `tapline trace`, `tapline reach` and `tapline verify`.
use super::{node2, root, run};

fn two_hosts() -> [String; 2] {
    ["node1", "node2"].map(|host| {
        let path = root().join(format!("corpus/sosreports/two-hosts/{host}.tar.xz"));
        path.to_string_lossy().into_owned()
    })
}

#[test]
fn a_guest_reaches_the_outside_through_the_router_of_another_host() {
    let [first, second] = two_hosts();
    let ran = run([
        "trace",
        &first,
        &second,
        "vm:instance-00000102",
        "outside",
        "--reverse",
        "--format",
        "minimal",
    ]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    let lines: Vec<&str> = ran.out.lines().map(str::trim).collect();
    assert_eq!(lines.first(), Some(&"yes: leaves-capture at node1 enp4s0f1"));
    let hops = [
        "node2 root tap5e6f7a8b-9c → qvb5e6f7a8b-9c",
        "node2 br-int qvo5e6f7a8b-9c → patch-tun [vlan – → 1]",
        "node2 br-tun patch-int → vxlan-0a0a0a01 [vlan 1 → –] [tun_id 0x0 → 0x41]",
        "node1 br-tun vxlan-0a0a0a02 → patch-int [vlan – → 1]",
        "node1 br-int patch-tun → qr-0fd24acc-81 [vlan 1 → –]",
        "node1 br-ex phy-br-ex → enp4s0f1 [vlan 4 → –]",
    ];
    let mut from = 0;
    for hop in hops {
        let at = lines.iter().skip(from).position(|line| *line == hop);
        from += at.unwrap_or_else(|| panic!("{hop} is not behind line {from} of\n{}", ran.out)) + 1;
    }
    assert!(ran.out.contains("reverse:\nyes: delivered at node2 tap5e6f7a8b-9c"), "{}", ran.out);
}

#[test]
fn every_hop_cites_its_line() {
    let ran = run(["trace", &node2(), "vm:instance-0000002d", "dhcp", "--format", "json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let json = ran.json();
    assert_eq!(json["schema"], "tapline.trace/1");
    assert_eq!((&json["reached"], &json["outcome"]), (&true.into(), &"delivered".into()));
    let hops = json["hops"].as_array().expect("hops");
    assert!(hops.len() > 4);
    for hop in hops {
        let cited = hop["evidence"].as_array().is_some_and(|all| !all.is_empty());
        let assumed = hop["certainty"] != "proven";
        assert!(cited || assumed, "{hop:#}");
    }
}

#[test]
fn what_is_not_reached_and_what_cannot_be_told_have_a_status_of_their_own() {
    let cut = run(["trace", &node2(), "vm:instance-0000002d", "outside"]);
    assert_eq!(cut.code, Some(1), "{}", cut.out);
    assert!(cut.out.starts_with("not reached: rejected at node2 qrouter-"), "{}", cut.out);
    let open = run(["trace", &node2(), "vm:instance-0000004b", "ip:192.168.1.200"]);
    assert_ne!(open.code, Some(0), "{}", open.out);
    let nobody = run(["trace", &node2(), "vm:nobody", "outside"]);
    assert_eq!(nobody.code, Some(2));
    assert!(nobody.err.contains("nothing is called vm:nobody"), "{}", nobody.err);
    let wrong = run(["trace", &node2()]);
    assert_eq!(wrong.code, Some(2));
}

#[test]
fn many_questions_are_answered_in_their_order() {
    let text = "{\"from\": \"vm:instance-0000002d\", \"to\": \"dhcp\"}\n\
                {\"from\": \"vm:nobody\", \"to\": \"dhcp\"}\nno question\n";
    let folder = super::Folder::new(&[("questions", text)]);
    let questions = folder.join("questions");
    let ran = run(["trace", &node2(), "--queries", &questions]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let lines: Vec<serde_json::Value> =
        ran.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["reached"], true);
    assert_eq!(lines[1]["error"], "nothing is called vm:nobody");
    assert!(lines[2]["error"].is_string());
}

#[test]
fn reach_lists_every_running_guest() {
    let [first, second] = two_hosts();
    let ran = run(["reach", &first, &second, "--format", "json"]);
    let json = ran.json();
    let rows = json["rows"].as_array().expect("rows");
    let of = |vm: &str| rows.iter().find(|row| row["vm"] == vm).expect("a row");
    for cell in ["gateway", "dhcp", "outside"] {
        let reached = &of("instance-00000102")["cells"][cell]["reached"];
        assert_eq!(*reached, true, "{cell}");
        // The address of the other is nowhere in its report, so no answer can be followed to it.
        let reached = &of("instance-00000101")["cells"][cell]["reached"];
        assert_ne!(*reached, false, "{cell}");
    }
    let junit = run(["reach", &first, &second, "--format", "junit"]);
    assert!(junit.out.contains("<testsuite name=\"node1\""), "{}", junit.out);
}

#[test]
fn megaflows_say_what_the_flows_say() {
    let [first, second] = two_hosts();
    let ran = run(["verify", &first, &second, "--format", "json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.out);
    let json = ran.json();
    assert_eq!(json["disagree"].as_array().map(Vec::len), Some(0));
}
