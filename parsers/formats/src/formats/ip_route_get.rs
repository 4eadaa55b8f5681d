//! `ip route get ADDRESS`: the route that the kernel picks for one destination.
//!
//! Source of the format: iproute2 `ip/iproute.c` (`iproute_get`, `print_route`); 2.6 to 6.x.
//!
//! ```text
//! 198.51.100.7 via 192.0.2.1 dev eth0 src 192.0.2.7 uid 1000
//!     cache
//! 198.51.100.7 from 10.0.0.9 via 192.0.2.1 dev eth0
//!     cache iif br0
//! ```
//!
//! It is an answer and no entry of a table: nothing follows from it for other destinations.
use tapline_core::capture::{Command, FormatId};
use tapline_core::outcome::{Outcome, ProblemKind};
use tapline_core::records::Batch;
use tapline_core::records::route::RouteLookup;
use tapline_core::request::Request;
use tapline_core::span::At;

use super::ip_route;
use crate::format::{Ends, Format};
use crate::ip_command::IpCommand;

pub(crate) static FORMAT: Format = Format {
    id: FormatId("ip-route-get"),
    command: "ip route get ADDRESS",
    collect: &[],
    claims: |command| {
        let ip = IpCommand::of(command).filter(|ip| ip.is("route"))?;
        let verb = ip.args.first()?;
        let is_get = verb.len() > 1 && "get".starts_with(verb.as_str());
        is_get.then(|| Request::default().of_family(ip.family))
    },
    // A line of its own may as well be an entry of a table; below an answer stands what the cache holds.
    sniff: |head| {
        let mut lines = crate::lines::bodies(head).filter(|body| !body.is_empty());
        let first = lines.next().unwrap_or_default();
        let to_one = first.split(' ').next().is_some_and(|to| {
            to.parse::<std::net::IpAddr>().is_ok() || first.starts_with("local ")
        });
        let cached = lines.next().is_some_and(|line| {
            line.trim_start().split(' ').next() == Some("cache") && line.starts_with(' ')
        });
        if to_one && cached { 96 } else { 0 }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// Reads the whole output.
pub(crate) fn parse(text: &str, _: &Command) -> Outcome<Vec<RouteLookup>> {
    // The lines are those of `ip route`.
    let mut out = ip_route::parse(text, &Command::new("ip route show table all"));
    let wide = out.records.iter().find(|record| {
        record.destination.as_ref().is_none_or(|net| net.prefix_len() != net.max_prefix_len())
    });
    if let Some(at) = wide.map(|wide| wide.at) {
        let what = "the answer is about one address, this is an entry of a table";
        out.problem(ProblemKind::BadValue, at, what);
    }
    out.map(|all| {
        let answers = all.into_iter().filter_map(|route| {
            let to = route.destination.as_ref()?;
            let to = At::new(to.addr(), to.span);
            Some(RouteLookup { at: route.at, to, route })
        });
        answers.collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_has_its_way_and_its_source() {
        let text = "198.51.100.7 from 10.0.0.9 via 192.0.2.1 dev eth0 src 192.0.2.7 uid 0 \n    cache iif br0 \n";
        let out = parse(text, &Command::new("ip route get 198.51.100.7"));
        assert_eq!(out.problems, []);
        let [answer] = out.records.as_slice() else { panic!("{out:?}") };
        assert_eq!(answer.to.value.to_string(), "198.51.100.7");
        assert_eq!(answer.route.dev.as_ref().unwrap().as_str(), "eth0");
        assert_eq!(answer.route.src.unwrap().to_string(), "192.0.2.7");
    }

    #[test]
    fn no_answer_is_a_failure() {
        for text in [
            "RTNETLINK answers: Network is unreachable\n",
            "Error: any valid prefix is expected rather than \"x\".\n",
        ] {
            let out = parse(text, &Command::new("ip route get 1.2.3.4"));
            assert!(out.completeness.is_failed() && out.records.is_empty(), "{text}");
        }
    }

    #[test]
    fn only_the_question_is_claimed() {
        assert!(FORMAT.reads(&Command::new("ip -4 r get 192.0.2.1 from 10.0.0.1 iif br0")));
        for line in ["ip route", "ip route get", "ip route show", "ip rule get 1"] {
            let expected = line == "ip route get";
            assert_eq!(FORMAT.reads(&Command::new(line)), expected, "{line}");
        }
    }
}
