//! Questions about trips of real packets, a line of a golden each.
use tapline_network::trace::Question;

/// The question of a line: from, to, protocol and port, source, size, and behind these what really
/// happened. The answer is asked for, too.
pub(crate) fn question(line: &str) -> Question {
    let mut words = line.split('\t');
    let mut next = || words.next().unwrap();
    let (from, to, what, source, size) = (next(), next(), next(), next(), next());
    let (protocol, port) = what.split_once('/').unwrap_or((what, ""));
    Question {
        from: format!("ns:{from}"),
        to: Some(format!("ip:{to}")),
        // `icmp6` where the address asks for it.
        proto: (protocol != "icmp").then(|| protocol.to_owned()),
        dport: port.parse().ok(),
        src: source.parse().ok(),
        size: size.parse().ok(),
        reverse: true,
        ..Question::default()
    }
}
