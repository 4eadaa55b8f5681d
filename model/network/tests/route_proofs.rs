//! What the kernel of a real namespace answers (`ip route get`) against what is worked out from its
//! captured rules and tables. `routes/make.py` makes the set-ups and their answers.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic, and says what it counts"
)]
mod proofs;

use std::net::IpAddr;

use proofs::{Count, Golden};
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_network::l3::{Outcome, Query, Transport};
use tapline_network::{Answer, Network};

fn ask(network: &Network<'_>, golden: &Golden) -> Count {
    let fib = network.fib(HostId(0), &Netns::Root).unwrap();
    let mut count = Count::default();
    for line in golden.answers.lines() {
        let mut words = line.split('\t');
        let mut next = || words.next().filter(|word| *word != "-");
        let to: IpAddr = next().unwrap().parse().unwrap();
        let from: Option<IpAddr> = next().map(|ip| ip.parse().unwrap());
        let iif = next();
        let mark = next().map_or(0, |mark| mark.parse().unwrap());
        let mut kernel = next().unwrap();
        // The type of service stands before the answer where there is one.
        let tos = match kernel.strip_prefix("tos ") {
            Some(tos) => {
                let tos = tos.parse().unwrap();
                kernel = next().unwrap();
                tos
            }
            None => 0,
        };
        let transport = Transport::default();
        let query = Query { to, from, iif, mark: Some(mark), tos: Some(tos), transport };
        let decision = match fib.lookup(&query) {
            Answer::Known(decision) => decision,
            Answer::Unknown(_) => {
                count.open("a route is not known");
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
            count.wrong(golden, format!("{line} | ours {}", ours.join(" or ")));
        }
    }
    count
}

#[test]
fn routes_are_those_of_the_kernel() {
    let all = proofs::replay_all("routes", ask);
    assert!(all.opened() * 50 < all.right, "{all}");
}
