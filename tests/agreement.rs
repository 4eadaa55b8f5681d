//! Where two tools were asked the same of one host, their records must agree: `ip route` with
//! `route -n` and `netstat -rn`, `ip netns` with `ip netns list-id`.
//!
//! The captures are not part of the repository; without them the test says so and passes.
#![expect(clippy::disallowed_methods, reason = "tests read their cases from files")]
#![expect(clippy::print_stdout, reason = "a test says what it skips")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]
use std::path::{Path, PathBuf};

use tapline_core::capture::Command;
use tapline_core::records::Batch;
use tapline_core::records::route::{Gateway, Route};
use tapline_formats::registry;

/// Folders of captured hosts, one output per file.
fn hosts() -> Vec<PathBuf> {
    let lab = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/captures/lab"));
    let folders = |path: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|it| it.path()).filter(|it| it.is_dir()).collect()
    };
    let mut all: Vec<_> = folders(lab).iter().flat_map(|it| folders(it)).collect();
    all.retain(|it| it.join("ip_route").is_file());
    all.sort();
    if all.is_empty() {
        println!("no captures at {}: nothing to compare", lab.display());
    }
    all
}

fn read(folder: &Path, file: &str, command: &str) -> Option<Batch> {
    let text = std::fs::read_to_string(folder.join(file)).ok()?;
    let command = Command::new(command);
    Some((registry::by_command(&command).unwrap().read)(&text, &command).records)
}

/// Destination, gateway, device and metric of a unicast route.
type Shown = (String, String, String, Option<u32>);

fn shown(batch: Option<Batch>) -> Option<Vec<Shown>> {
    let Some(Batch::Routes(all)) = batch else { return None };
    let one = |it: &Route| {
        let hop = it.nexthops.first();
        let via = it.via.as_ref().or(hop.and_then(|it| it.via.as_ref()));
        let dev = it.dev.as_ref().or(hop.and_then(|it| it.dev.as_ref()));
        (
            it.destination.as_ref().map_or("default".to_owned(), |it| it.to_string()),
            via.map_or(String::new(), |it| match &it.value {
                Gateway::Ip(ip) => ip.to_string(),
                Gateway::Name(name) => name.to_string(),
            }),
            dev.map_or(String::new(), |it| it.to_string()),
            it.metric,
        )
    };
    let mut all: Vec<_> = all.iter().filter(|it| it.kind == "unicast").map(one).collect();
    all.sort();
    Some(all)
}

#[test]
fn routes_agree() {
    let mut compared = 0;
    for host in hosts() {
        let mut prefixes = vec![String::new()];
        for entry in std::fs::read_dir(&host).unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            prefixes.extend(name.strip_suffix("_ip_route").map(|it| format!("{it}_")));
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
    println!("{compared} routes agree");
    assert!(hosts().is_empty() || compared > 50);
}

#[test]
fn namespace_ids_agree() {
    for host in hosts() {
        let Some(Batch::NetnsList(all)) = read(&host, "ip_netns", "ip netns") else { continue };
        let Some(Batch::NetnsList(ids)) = read(&host, "ip_netns_list-id", "ip netns list-id")
        else {
            continue;
        };
        for known in ids.iter().filter(|it| it.name.is_some()) {
            let named = all.iter().find(|it| it.name == known.name);
            assert_eq!(named.map(|it| it.nsid), Some(known.nsid), "{}", host.display());
        }
    }
}
