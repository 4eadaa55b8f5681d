use super::*;
use tapline_core::records::Field;

fn read(text: &str) -> Outcome<Vec<Domain>> {
    parse(text, &Command::new("virsh dumpxml x"))
}

/// Nothing was left over.
fn clean(text: &str) -> Vec<Domain> {
    let out = read(text);
    assert_eq!((out.lines.unread, out.problems.len()), (0, 0), "{:?}", out.problems);
    out.records
}

fn in_domain(nics: &str) -> String {
    format!(
        "<domain type='kvm' id='3'>\n <name>vm</name>\n <devices>\n{nics}\n </devices>\n</domain>\n"
    )
}

fn nic(xml: &str) -> DomainNic {
    clean(&in_domain(xml)).pop().and_then(|mut it| it.nics.pop()).unwrap()
}

fn other<'a>(nic: &'a DomainNic, key: &str) -> Option<&'a str> {
    Field::find(&nic.other, key).map(|it| it.as_str())
}

#[test]
fn a_nova_instance_is_read_with_its_places() {
    let text = "<!--\nWARNING: do not edit\n-->\n\n<domain type='kvm' id='7'>\n  <name>instance-00000001</name>\n  \
        <uuid>c1d0</uuid>\n  <metadata>\n    <n:instance xmlns:n=\"http://openstack.org/xmlns/libvirt/nova/1.1\">\n      \
        <n:name>web &amp; db</n:name>\n      <n:flavor name=\"m1\">\n        <n:memory>512</n:memory>\n      </n:flavor>\n      \
        <n:owner><n:project uuid=\"p1\">admin</n:project></n:owner>\n    </n:instance>\n  </metadata>\n  <devices>\n    \
        <interface type='bridge'>\n      <mac address='fa:16:3e:00:00:01'/>\n      <source bridge='qbr1'/>\n      \
        <target dev='tap1'/>\n      <model type='virtio'/>\n      <mtu size='1450'/>\n      <link state='down'/>\n      \
        <alias name='net0'/>\n      <address type='pci' domain='0x0000' bus='0x00' slot='0x03' function='0x0' multifunction='on'/>\n    \
        </interface>\n    <hostdev mode='subsystem' type='pci' managed='yes'>\n      <source>\n        \
        <address domain='0x0000' bus='0x06' slot='0x12' function='0x5'/>\n      </source>\n    </hostdev>\n  </devices>\n</domain>\n";
    let out = read(text);
    assert_eq!((out.lines.unread, out.lines.ignored), (0, 3));
    assert_eq!(out.lines.total, out.lines.read + 3);
    assert_eq!(out.completeness, Completeness::Complete);
    let vm = &out.records[0];
    let quote = |span: Span| text.get(span.range()).unwrap();
    assert_eq!(quote(vm.at), "<domain type='kvm' id='7'>");
    assert_eq!(vm.name.as_ref().map(|name| quote(name.span)), Some("instance-00000001"));
    let nova = vm.nova_name.as_ref().unwrap();
    assert_eq!((nova.as_str(), quote(nova.span)), ("web & db", "web &amp; db"));
    let keys: Vec<_> =
        vm.nova.iter().map(|nova| (nova.key.as_str(), nova.value.as_str())).collect();
    assert_eq!(
        keys,
        [
            ("flavor/@name", "m1"),
            ("flavor/memory", "512"),
            ("owner/project/@uuid", "p1"),
            ("owner/project", "admin")
        ]
    );
    assert!(vm.live);
    assert_eq!(vm.hostdevs[0].as_str(), "0000:06:12.5");
    let nic = &vm.nics[0];
    assert_eq!(quote(nic.kind.span), "bridge");
    assert_eq!(nic.target.as_ref().map(|target| quote(target.span)), Some("tap1"));
    assert_eq!(nic.address.as_ref().map(|address| address.as_str()), Some("0000:00:03.0"));
    assert_eq!(nic.mtu.as_ref().map(|mtu| mtu.value), Some(1450));
    assert_eq!(other(nic, "address/@multifunction"), Some("on"));
}

#[test]
fn every_type_of_interface_keeps_what_it_says() {
    let it = nic(
        "<interface type='direct'><source dev='eth0' mode='bridge'/><target dev='macvtap0'/></interface>",
    );
    assert_eq!(it.source_dev.as_ref().unwrap().as_str(), "eth0");
    assert_eq!(it.source_mode.as_ref().unwrap().as_str(), "bridge");

    let it = nic(
        "<interface type='vhostuser'><source type='unix' path='/run/v0' mode='server'/></interface>",
    );
    assert_eq!(it.source_dev.as_ref().unwrap().as_str(), "/run/v0");
    assert_eq!(other(&it, "source/@type"), Some("unix"));

    let it = nic(
        "<interface type='hostdev' managed='yes'><source><address type='pci' domain='0x0000' bus='0x5e' \
         slot='0x0a' function='0x3'/></source><vlan><tag id='42'/></vlan></interface>",
    );
    assert_eq!(it.source_pci.as_ref().unwrap().as_str(), "0000:5e:0a.3");
    assert_eq!((it.vlans[0].value, other(&it, "@managed")), (42, Some("yes")));

    let it = nic(
        "<interface type='network'><source network='n' portid='p' bridge='virbr0'/><vlan trunk='yes'>\
         <tag id='1' nativeMode='tagged'/><tag id='2'/></vlan><virtualport type='openvswitch'>\
         <parameters interfaceid='u-1' profileid='pf'/></virtualport><filterref filter='f'>\
         <parameter name='IP' value='10.0.0.1'/></filterref><bandwidth/></interface>",
    );
    assert_eq!(
        (it.network.as_ref().unwrap().as_str(), it.bridge.as_ref().unwrap().as_str()),
        ("n", "virbr0")
    );
    assert_eq!((it.vlan_trunk, it.vlans.len()), (true, 2));
    assert_eq!(it.interface_id.as_ref().unwrap().as_str(), "u-1");
    assert_eq!(other(&it, "virtualport/parameters/@profileid"), Some("pf"));
    assert_eq!(other(&it, "filterref/parameter/@value"), Some("10.0.0.1"));
    assert_eq!(other(&it, "bandwidth"), Some(""));
    assert_eq!(other(&it, "vlan/tag/@nativeMode"), Some("tagged"));

    let it = nic(
        "<interface type='udp'><source address='127.0.0.1' port='1'><local address='127.0.0.2' port='2'/></source></interface>",
    );
    assert_eq!(other(&it, "source/local/@port"), Some("2"));

    let it = nic("<interface type='ethernet'><target dev='' managed='no'/></interface>");
    assert_eq!((it.target.as_ref(), other(&it, "target/@managed")), (None, Some("no")));
}

#[test]
fn a_status_file_is_live_and_says_what_libvirt_chose() {
    let text = "<domstatus state='paused' reason='user' pid='17'>\n <domain type='kvm' id='2'>\n  <name>a</name>\n  <devices>\n   \
        <interface type='network'>\n    <source network='n'/>\n    <actual type='bridge'>\n     <source bridge='br0'/>\n    </actual>\n   \
        </interface>\n  </devices>\n </domain>\n</domstatus>\n";
    let all = clean(text);
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].pid, all[0].live), (Some(17), true));
    assert_eq!(all[0].state.as_ref().unwrap().as_str(), "paused");
    assert_eq!(all[0].nics[0].bridge.as_ref().unwrap().as_str(), "br0");
    assert_eq!(other(&all[0].nics[0], "actual/@type"), Some("bridge"));
}

#[test]
fn several_domains_and_a_prompt_are_told_apart() {
    let one = "<domain type='kvm'>\n  <name>a</name>\n</domain>\n";
    let two = one.replace(">a<", ">b<");
    let out =
        read(&format!("virsh # dumpxml a\n{one}\n<?xml version='1.0'?>\n{two}[root@n ~]# \n"));
    let names: Vec<_> =
        out.records.iter().map(|record| record.name.as_ref().unwrap().as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!((out.lines.read, out.lines.ignored, out.lines.unread), (6, 2, 1));
    assert!(!out.completeness.is_failed());
}

#[test]
fn interfaces_alone_make_a_domain_that_the_command_names() {
    let text = "<interface type='bridge'>\n <source bridge='a'/>\n</interface>\n...\n\
                <interface type='bridge'>\n <source bridge='b'/>\n</interface>\n";
    let named = |command: &str| {
        let domain = parse(text, &Command::new(command)).records.remove(0);
        (
            domain.name.map(|name| name.value.to_string()),
            domain.id.map(|id| id.value),
            domain.uuid.map(|uuid| uuid.value.to_string()),
        )
    };
    assert_eq!(named("virsh dumpxml --inactive vm"), (Some("vm".to_owned()), None, None));
    assert_eq!(named("virsh dumpxml 7"), (None, Some(7), None));
    let uuid = "5c212f64-66bf-56ce-a43d-d62d102abfe9";
    assert_eq!(named(&format!("virsh dumpxml {uuid}")), (None, None, Some(uuid.to_owned())));
    let out = parse(text, &Command::new("virsh dumpxml"));
    assert_eq!(
        (out.records.len(), out.records[0].nics.len(), out.records[0].name.is_none()),
        (1, 2, true)
    );
    assert_eq!((out.lines.read, out.lines.unread), (6, 1));
    assert!(matches!(out.completeness, Completeness::Partial(_)));
}

#[test]
fn of_a_truncated_domain_what_is_whole_is_read() {
    let text = "<domain type='kvm' id='9'>\n <name>a</name>\n <devices>\n  <interface type='bridge'>\n   <target dev='t0'/>\n  \
        </interface>\n  <interface type='bridge'>\n   <target dev=";
    let out = read(text);
    let vm = &out.records[0];
    assert_eq!(
        (vm.nics.len(), vm.id.as_ref().unwrap().value, vm.name.as_ref().unwrap().as_str()),
        (1, 9, "a")
    );
    assert_eq!((out.lines.read, out.lines.unread), (5, 3));
    assert_eq!(out.problems[0].kind, ProblemKind::Truncated);
    assert!(matches!(out.completeness, Completeness::Partial(_)));
}

#[test]
fn of_malformed_xml_what_is_whole_is_read() {
    let text = in_domain("<disk a=b/>\n<interface type='user'/>\n");
    let out = read(&text);
    assert_eq!(out.records[0].nics.len(), 1);
    assert_eq!(text.get(out.problems[0].span.range()), Some("<disk a=b/>"));
    assert!(matches!(out.completeness, Completeness::Partial(_)));
    let out = read("<domain type='kvm'");
    assert!(out.completeness.is_failed());
}

#[test]
fn what_is_elided_makes_the_domain_partial() {
    let out = read(&in_domain("  ...\n<interface type='user'/>\n"));
    assert_eq!((out.records[0].nics.len(), out.lines.unread), (1, 1));
    assert!(matches!(out.completeness, Completeness::Partial(_)));
}

#[test]
fn values_that_cannot_be_read_are_problems() {
    let out = read(&in_domain(
        "<interface type='user'>\n<mac address='no'/>\n<mtu size='big'/>\n</interface>",
    ));
    let said: Vec<_> = out.problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(said, ["expected a MAC address", "expected a number of bytes"]);
    assert_eq!(out.lines.unread, 0);
    assert_eq!(other(&out.records[0].nics[0], "mtu/@size"), Some("big"));
}

#[test]
fn other_documents_are_not_domains() {
    let out = read(
        "<network>\n <name>n</name>\n <forward><interface dev='eth0'/></forward>\n</network>\n",
    );
    assert!(out.records.is_empty() && out.completeness.is_failed());
    assert_eq!((out.lines.unread, out.problems.len()), (4, 1));
    assert!(read("error: failed to get domain 'x'\n\n").completeness.is_failed());
    assert!(read("").completeness.is_failed());
}

#[test]
fn files_are_claimed_by_their_folder() {
    let claims = |line: &str| FORMAT.reads(&Command::new(line));
    assert!(claims("virsh -r dumpxml vm --inactive"));
    assert!(claims("cat /etc/libvirt/qemu/a.xml"));
    assert!(claims("cat /var/run/libvirt/qemu/a.xml"));
    assert!(claims(
        "cat /var/lib/config-data/puppet-generated/nova_libvirt/etc/libvirt/qemu/a.xml"
    ));
    assert!(!claims("cat /etc/libvirt/qemu/networks/default.xml"));
    assert!(!claims("virsh net-dumpxml default"));
}

#[test]
fn the_first_tag_tells_what_it_is() {
    assert_eq!(sniff("<!-- w -->\n<domain type='kvm'>"), 95);
    assert_eq!(sniff("[r@h ~]# \n<domstatus state='running' type='x'>"), 95);
    assert_eq!(sniff("usage: virsh dumpxml <domain>"), 0);
    assert_eq!(sniff("<network>"), 0);
}
