//! What the kernel of a real namespace answers (`ip route get`) against what is worked out from its
//! captured rules and tables. `routes/make.py` makes the set-ups and their answers.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may panic, and reads goldens"
)]
use std::net::IpAddr;
use std::path::Path;

use tapline_capture::{Input, Options};
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_network::environment::Environment;
use tapline_network::l3::{Outcome, Query};
use tapline_network::{Answer, Network};

/// What came of the queries of one set-up.
#[derive(Default)]
struct Count {
    right: usize,
    open: usize,
    wrong: Vec<String>,
}

fn replay(name: &str, text: &str) -> Count {
    let (session, queries) = text.split_once("--------------------\n").unwrap();
    let input = Input::Text("session".to_owned(), session.to_owned());
    let captured = tapline_capture::open(&[input], &Options::default()).unwrap();
    let snapshot = tapline_formats::read(captured);
    let topology = tapline_topology::build(&snapshot);
    let environment = Environment::default();
    let network = Network::new(&topology, None, &environment);
    let fib = network.fib(HostId(0), &Netns::Root).unwrap();
    let mut count = Count::default();
    for line in queries.lines() {
        let mut words = line.split('\t');
        let mut next = || words.next().filter(|word| *word != "-");
        let to: IpAddr = next().unwrap().parse().unwrap();
        let from: Option<IpAddr> = next().map(|ip| ip.parse().unwrap());
        let iif = next();
        let mark = next().map_or(0, |mark| mark.parse().unwrap());
        let kernel = next().unwrap();
        let query = Query { to, from, iif, mark: Some(mark) };
        let decision = match fib.lookup(&query) {
            Answer::Known(decision) => decision,
            Answer::Unknown(_) => {
                count.open += 1;
                continue;
            }
        };
        let by_rule = decision.route.is_none();
        let ours: Vec<String> = match &decision.outcome {
            Outcome::Local(_) => vec!["local".to_owned()],
            Outcome::Forward(hops) => hops
                .iter()
                .map(|hop| {
                    let via = hop.gateway.map_or("link".to_owned(), |ip| ip.to_string());
                    format!("{via} {}", hop.dev)
                })
                .collect(),
            // A rule that says unreachable answers as if there were no route.
            Outcome::Refused(refusal) if by_rule && refusal.as_str() == "unreachable" => {
                vec!["no-route".to_owned(), "unreachable".to_owned()]
            }
            Outcome::Refused(refusal) => vec![refusal.as_str().to_owned()],
            Outcome::NoRoute => vec!["no-route".to_owned()],
        };
        if ours.iter().any(|one| one == kernel) {
            count.right += 1;
        } else {
            count.wrong.push(format!("{name}: {line} | ours {}", ours.join(" or ")));
        }
    }
    count
}

#[test]
fn routes_are_those_of_the_kernel() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/routes");
    let mut all = Count::default();
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "txt")) {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(file).unwrap();
        let count = replay(&name, &text);
        all.right += count.right;
        all.open += count.open;
        all.wrong.extend(count.wrong);
    }
    let (wrong, right) = (all.wrong.len(), all.right);
    let shown = all.wrong.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(wrong == 0, "{wrong} wrong, {right} right, {} open\n{shown}", all.open);
    println!("{right} right, {} open", all.open);
    assert!(all.open * 50 < right, "{} of {right} are open", all.open);
}
