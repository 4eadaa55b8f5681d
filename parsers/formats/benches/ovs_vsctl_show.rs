//! How fast `ovs-vsctl show` of a host with 10,000 ports is read.
use std::fmt::Write as _;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use tapline_core::capture::Command;
use tapline_formats::registry;

fn main() {
    divan::main();
}

/// An integration bridge with `ports` taps, each with a VLAN, and as many tunnels as one in ten.
fn text(ports: u32) -> String {
    let mut text = String::from("5e0be6ad-0b12-4a8c-a6a5-0a3e1de5a1a6\n    Bridge br-int\n");
    text.push_str("        fail_mode: secure\n        datapath_type: system\n");
    for n in 0..ports {
        let _ = writeln!(
            text,
            "        Port qvo{n:08x}-01\n            tag: {}\n            Interface qvo{n:08x}-01",
            n % 4094 + 1
        );
        if n % 10 == 0 {
            let _ = writeln!(
                text,
                "        Port vxlan-{n:08x}\n            Interface vxlan-{n:08x}\n\
                 {0:16}type: vxlan\n{0:16}options: {{in_key=flow, local_ip=\"10.0.0.1\", \
                 out_key=flow, remote_ip=\"10.0.1.{1}\"}}",
                "",
                n % 250
            );
        }
    }
    text.push_str("    ovs_version: \"2.17.9\"\n");
    text
}

#[divan::bench(args = [100, 10_000])]
fn show(bencher: Bencher<'_, '_>, ports: u32) {
    let text = text(ports);
    let command = Command::new("ovs-vsctl show");
    let Some(format) = registry::by_command(&command) else { return };
    bencher
        .counter(BytesCount::of_str(&text))
        .bench(|| (format.read)(black_box(&text), black_box(&command)));
}
