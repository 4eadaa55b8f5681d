//! Where two tools were asked the same of one host, their records must agree: `ip route` with
//! `route -n` and `netstat -rn`, `ip netns` with `ip netns list-id`.
#![expect(clippy::disallowed_methods, reason = "tests read their cases from files")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]
use std::path::Path;

use tapline_core::capture::Command;
use tapline_core::records::Batch;
use tapline_core::records::route::{Gateway, Route};
use tapline_formats::registry;
use tapline_tests::Hosts;

fn read(folder: &Path, file: &str, command: &str) -> Option<Batch> {
    let text = std::fs::read_to_string(folder.join(file)).ok()?;
    let command = Command::new(command);
    Some((registry::by_command(&command).unwrap().read)(&text, &command).records)
}

/// Destination, gateway, device and metric of a unicast route.
type Shown = (String, String, String, Option<u32>);

fn shown(batch: Option<Batch>) -> Option<Vec<Shown>> {
    let Some(Batch::Routes(all)) = batch else { return None };
    let one = |route: &Route| {
        let hop = route.nexthops.first();
        let via = route.via.as_ref().or(hop.and_then(|hop| hop.via.as_ref()));
        let dev = route.dev.as_ref().or(hop.and_then(|hop| hop.dev.as_ref()));
        (
            route
                .destination
                .as_ref()
                .map_or("default".to_owned(), |destination| destination.to_string()),
            via.map_or(String::new(), |via| match &via.value {
                Gateway::Ip(ip) => ip.to_string(),
                Gateway::Name(name) => name.to_string(),
            }),
            dev.map_or(String::new(), |dev| dev.to_string()),
            route.metric,
        )
    };
    let mut all: Vec<_> = all.iter().filter(|it| it.kind == "unicast").map(one).collect();
    all.sort();
    Some(all)
}

#[test]
fn routes_agree() {
    let hosts = Hosts::unpack().unwrap();
    let mut compared = 0;
    for host in hosts.folders().unwrap() {
        let mut prefixes = vec![String::new()];
        for entry in std::fs::read_dir(&host).unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            prefixes.extend(name.strip_suffix("_ip_route").map(|rest| format!("{rest}_")));
        }
        prefixes.sort();
        for prefix in prefixes {
            let of = |file: &str, command| shown(read(&host, &format!("{prefix}{file}"), command));
            let place = || format!("{} {prefix}", host.display());
            let (Some(mut ip), Some(route)) =
                (of("ip_route", "ip route"), of("route_-n", "route -n"))
            else {
                continue;
            };
            // net-tools prints a metric of nought where `ip` prints none.
            for it in &mut ip {
                it.3 = it.3.or(Some(0));
            }
            assert_eq!(ip, route, "{}", place());
            compared += ip.len();
            if let Some(netstat) = of("netstat_-rn", "netstat -rn") {
                for it in &mut ip {
                    it.3 = None;
                }
                ip.sort();
                assert_eq!(ip, netstat, "{}", place());
            }
        }
    }
    assert!(compared > 50, "only {compared} routes compared");
}

#[test]
fn namespace_ids_agree() {
    let hosts = Hosts::unpack().unwrap();
    let mut compared = 0;
    for host in hosts.folders().unwrap() {
        let Some(Batch::NetnsList(all)) = read(&host, "ip_netns", "ip netns") else { continue };
        let Some(Batch::NetnsList(ids)) = read(&host, "ip_netns_list-id", "ip netns list-id")
        else {
            continue;
        };
        for known in ids.iter().filter(|id| id.name.is_some()) {
            let named = all.iter().find(|it| it.name == known.name);
            assert_eq!(named.map(|named| named.nsid), Some(known.nsid), "{}", host.display());
            compared += 1;
        }
    }
    assert!(compared > 10, "only {compared} ids compared");
}
