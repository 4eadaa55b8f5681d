//! Virtual functions of NICs that were handed over to VMs: their NIC is the wire of the VM.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
mod common;

use common::{link, session, with_network};
use tapline_network::path::Paths;

const MAC: &str = "52:54:00:55:55:55";

/// A host with a NIC that lists these functions, and a VM that was given one and wants this VLAN.
fn host(functions: &[&str], vlan: &str) -> String {
    let lines: Vec<String> = functions
        .iter()
        .zip(0..)
        .map(|(function, number)| format!("    vf {number}     link/ether {function}\n"))
        .collect();
    let lines = lines.concat();
    let xml = format!(
        "virsh dumpxml vm1
<domain type='kvm' id='1'>
  <name>vm1</name>
  <uuid>a8282f87-1111-4222-8333-444455556666</uuid>
  <devices>
    <interface type='hostdev' managed='yes'>
      <mac address='{MAC}'/>
      <source>
        <address type='pci' domain='0x0000' bus='0x03' slot='0x10' function='0x0'/>
      </source>
      {vlan}
    </interface>
  </devices>
</domain>"
    );
    session(&[link(2, "ens1f0", "", &lines), link(3, "ens1f1", "", "")], &xml)
}

#[test]
fn functions_lead_a_vm_to_their_nic() {
    let function = |more: &str| format!("{MAC} brd ff:ff:ff:ff:ff:ff, {more}");
    let other = "52:54:00:55:55:56 brd ff:ff:ff:ff:ff:ff, link-state auto";
    let vlan = "<vlan><tag id='50'/></vlan>";
    for (functions, vlan, told) in [
        (vec![function("vlan 50, link-state auto")], vlan, "ens1f0"),
        (vec![function("link-state auto, trust off")], "", "ens1f0"),
        // `ip` of iproute2 before 4.20.
        (vec![format!("{MAC}, vlan 50, spoof checking on, link-state auto")], vlan, "ens1f0"),
        (vec![other.to_owned(), function("link-state enable")], "", "ens1f0"),
        (vec![function("link-state disable")], "", "ens1f0: its virtual function has no link"),
        (
            vec![function("vlan 60, link-state auto")],
            vlan,
            "ens1f0: its virtual function is not in VLAN 50",
        ),
        (vec![function("link-state auto")], vlan, "ens1f0: its virtual function is not in VLAN 50"),
        // Nobody's, or that of two.
        (vec![other.to_owned()], "", ""),
        (vec![function("link-state auto"), function("link-state auto")], "", ""),
    ] {
        let lines: Vec<&str> = functions.iter().map(String::as_str).collect();
        with_network(&host(&lines, vlan), |network| {
            let nic = network.vm_nics().next().unwrap();
            let path = Paths::new(network).down(nic.id);
            let shown = path.hops.iter().map(|hop| {
                let name = &network.topology.node(hop.node).unwrap().name;
                match hop.block() {
                    Some(block) => format!("{name}: {}", block.why),
                    None => name.to_string(),
                }
            });
            assert_eq!(shown.collect::<Vec<_>>().concat(), told, "{functions:?} {vlan}");
            // What hangs on the NIC is found from there too.
            if !told.is_empty() {
                let above = Paths::new(network).up(path.hops.first().unwrap().node);
                assert!(above.nodes().contains(&nic.id));
            }
        });
    }
}
