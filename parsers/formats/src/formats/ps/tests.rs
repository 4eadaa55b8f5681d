use super::*;
use tapline_core::records::libvirt::QemuNic;

const HEADING: &str = "USER  PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND\n";

fn read(text: &str) -> Outcome<Vec<QemuProcess>> {
    parse(text, &Command::new("ps aux"))
}

/// MAC, device on the host, id and model of each NIC.
fn nics(of: &QemuProcess) -> Vec<String> {
    let show = |it: &QemuNic| {
        let mac = it.mac.as_ref().map(|mac| mac.to_string()).unwrap_or_default();
        let ifname = it.ifname.as_ref().map(|ifname| ifname.to_string()).unwrap_or_default();
        let word = |name: &Option<Name>| name.clone().unwrap_or_default();
        format!("{mac} {ifname} {} {}", word(&it.netdev), word(&it.model))
    };
    of.nics.iter().map(show).collect()
}

#[test]
fn nics_of_all_notations_are_read() {
    let text = format!(
        "{HEADING}root 1 0 0 1 1 ? Ss 13:02 0:00 /sbin/init\n\
         qemu 20 0 0 1 1 ? Sl 13:02 0:05 /usr/libexec/qemu-kvm -name guest=my vm,,1,debug-threads=on -S \
         -uuid u-1 -netdev tap,fd=30,id=hostnet0,vhost=on \
         -device virtio-net-pci,netdev=hostnet0,id=net0,mac=fa:16:3e:00:00:01,bus=pci.0 \
         -device virtio-blk-pci,drive=d0\n\
         qemu 21 0 0 1 1 ? Sl 13:02 0:05 /usr/bin/qemu-system-x86_64 -name vm2 \
         -device {{\"driver\":\"virtio-net-pci\",\"netdev\":\"h1\",\"mac\":\"fa:16:3e:00:00:02\"}} \
         -netdev {{\"type\":\"tap\",\"ifname\":\"tap2\",\"id\":\"h1\"}} \
         -nic tap,ifname=tap3,mac=fa:16:3e:00:00:03,model=e1000 -net nic,macaddr=fa:16:3e:00:00:04 -net tap,ifname=tap4\n"
    );
    let out = read(&text);
    assert_eq!((out.lines.read, out.lines.ignored, out.lines.unread), (2, 2, 0));
    assert!(out.problems.is_empty() && out.completeness.is_complete());
    let [first, second] = out.records.as_slice() else { panic!() };
    let name = first.name.as_ref().unwrap();
    assert_eq!(
        (first.pid, name.as_str(), text.get(name.span.range()).unwrap()),
        (Some(20), "my vm,1", "my vm,,1")
    );
    assert_eq!(first.uuid.as_ref().unwrap().as_str(), "u-1");
    assert_eq!(nics(first), ["fa:16:3e:00:00:01  hostnet0 virtio-net-pci"]);
    assert_eq!(second.name.as_ref().unwrap().as_str(), "vm2");
    assert_eq!(
        nics(second),
        [
            "fa:16:3e:00:00:02 tap2 h1 virtio-net-pci",
            "fa:16:3e:00:00:03 tap3  e1000",
            "fa:16:3e:00:00:04 tap4  "
        ]
    );
}

#[test]
fn columns_are_those_of_the_heading() {
    let long = "F S UID PID PPID LWP C NLWP PRI NI ADDR SZ WCHAN STIME TTY TIME CMD\n\
                6 S qemu 7 1 7 0 2 80 0 - 9 - 13:02 ? 00:00:01 /usr/bin/qemu-system-arm -name a\n\
                1 S qemu 7 1 8 0 2 80 0 - 9 - 13:02 ? 00:00:01 /usr/bin/qemu-system-arm -name a\n";
    let started = "F S PID STARTED TT TIME CMD\n\
                   4 S 9 Thu Feb 10 16:19:27 2022 ? 00:00:02 /usr/bin/kvm -name b\n";
    let tree = "USER PID %CPU COMMAND\nroot 4 0.0  \\_ sh\nroot 5 0.0  |   \\_ qemu-kvm -name c\nroot - 0.0 -\n";
    let begun = Some("Thu Feb 10 16:19:27 2022");
    for (text, name, pid, since) in
        [(long, "a", 7, Some("13:02")), (started, "b", 9, begun), (tree, "c", 5, None)]
    {
        let out = read(text);
        let told = out.records.first().and_then(|record| record.started.as_ref());
        assert_eq!(told.map(|told| told.as_str()), since);
        let shown: Vec<_> = out
            .records
            .iter()
            .map(|record| (record.name.as_ref().unwrap().as_str(), record.pid))
            .collect();
        assert_eq!(shown, [(name, Some(pid))]);
        assert_eq!(out.lines.unread, 0);
    }
}

#[test]
fn a_search_and_a_mention_are_not_qemu() {
    let text = "root 31 0.0 0.0 1 1 pts/0 S+ 13:05 0:00 grep qemu-system-x86_64\n\
                qemu 20 1.0 0.1 1 1 ? Sl Feb10 12:05 /usr/bin/qemu-system-x86_64 -name a\n";
    let out = read(text);
    assert_eq!((out.records.len(), out.records[0].pid, out.lines.unread), (1, Some(20), 0));
    assert!(matches!(out.completeness, Completeness::Partial(_)));
}

#[test]
fn cut_off_command_lines_leave_nics_unknown() {
    let wide = |pid: u32| {
        let line = format!(
            "qemu {pid} 0 0 1 1 ? Sl 13:02 0:05 qemu-kvm -name vm{pid} -S -uuid {}",
            "u".repeat(80)
        );
        format!("{}\n", line.get(..80).unwrap())
    };
    let text = format!("{HEADING}{}{}", wide(20), wide(21));
    assert!(parse(&text, &Command::new("ps auxww")).records.iter().all(|record| !record.cut));
    let out = read(&text);
    assert!(out.records.iter().all(|record| record.cut && record.nics.is_empty()));
    assert!(matches!(out.completeness, Completeness::Partial(_)));
    let comm = "PID USER COMMAND CGROUP\n 7 qemu qemu-kvm /machine\n";
    assert!(read(comm).records[0].cut);
    let json =
        format!("{HEADING}qemu 20 0 0 1 1 ? Sl 13:02 0:05 qemu-kvm -device {{\"driver\":\"virt\n");
    assert!(read(&json).records[0].cut);
}

#[test]
fn what_is_no_process_is_a_problem() {
    let out = read(&format!(
        "{HEADING}prose without numbers\nqemu 20 0 0 1 1 ? S 1:2 0:05 kvm -device e1000,mac=xx\n"
    ));
    assert_eq!((out.records.len(), out.lines.unread, out.problems.len()), (1, 1, 2));
}
