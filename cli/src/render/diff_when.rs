//! The time line of a comparison, and counters that grew, in words.
use tapline_analysis::diff::{Event, HostDiff, Rate, Sort, When};
use tapline_core::host::Moment;

use super::count;
use super::diff::Compared;

/// Counters of one host that are told without `--all`, and events in all.
const RATES: usize = 5;
const EVENTS: usize = 40;
/// Within so many seconds a time is told to the second.
const CLOSE: i64 = 60;

/// The events that are told, and how many are left out: captures always are, of the others the first.
pub(crate) fn told<'c>(compared: &Compared<'c, '_, '_>) -> (Vec<&'c Event>, usize) {
    let all = &compared.diff.events;
    let mut room = if compared.all { usize::MAX } else { EVENTS };
    let mut told = Vec::new();
    for event in all {
        let fits = event.sort == Sort::Captured || room > 0;
        if event.sort != Sort::Captured {
            room = room.saturating_sub(1);
        }
        told.extend(fits.then_some(event));
    }
    let left = all.len() - told.len();
    (told, left)
}

/// `node2: 3 flows of br-int were set`
pub(crate) fn words(compared: &Compared<'_, '_, '_>, event: &Event) -> String {
    let Some(host) = compared.diff.hosts.get(event.host) else { return String::new() };
    let name = compared.label(1, host.new);
    let subject = &event.subject;
    let flows = |many: u64| count(usize::try_from(many).unwrap_or(usize::MAX), "flow");
    let what = match event.sort {
        Sort::Captured if event.side == 0 => "captured before".to_owned(),
        Sort::Captured => "captured now".to_owned(),
        Sort::Boot => "the host was started".to_owned(),
        Sort::FlowsRenewed => {
            format!("all {} of {subject} were set anew", flows(event.many))
        }
        Sort::FlowsSet => match event.many {
            1 => format!("1 flow of {subject} was set"),
            many => format!("{} of {subject} were set", flows(many)),
        },
        Sort::Neighbour => format!("neighbour {subject} was changed"),
        Sort::Seen => format!("{subject} was seen there last"),
        Sort::VmStarted => format!("VM {subject} was started"),
        Sort::PortServed => format!("OVN finished port {subject}"),
        Sort::ControllerStarted => format!("ovn-controller was started, says {subject}"),
        Sort::HaState => format!("{subject} now"),
        Sort::Carrier => {
            let times = count(usize::try_from(event.many).unwrap_or(usize::MAX), "time");
            format!("{subject} lost its carrier or got it: {times} in all")
        }
    };
    if compared.diff.hosts.len() > 1 { format!("{name}: {what}") } else { what }
}

/// `2026-11-22 14:00:03`, `2026-11-22 13:06 to 14:10`, `35 s before the capture`.
pub(crate) fn time(when: When) -> String {
    if let Some([from, to]) = when.at {
        let (start, end) = (Moment::at(from), Moment::at(to));
        return match to - from {
            0 => start.to_the_second(),
            ..CLOSE => format!("{} to {}", start.to_the_second(), end.to_the_second()),
            _ => format!("{start} to {end}"),
        };
    }
    match when.ago {
        Some([most, least]) if most == least => format!("{} before the capture", span(most)),
        Some([most, least]) => format!("{} to {} before the capture", span(most), span(least)),
        None => "between the captures".to_owned(),
    }
}

/// `35 s`, `12 min`, `5 h 3 min`, `12 days`.
fn span(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// `tx_dropped of eth0 +12345 in 3600 s`
pub(crate) fn rate(it: &Rate) -> String {
    format!("{} of {} +{} in {} s", it.counter, it.name, it.by, it.seconds)
}

/// The counters that are told of a host, and how many are left out.
pub(crate) fn rates<'c>(
    compared: &Compared<'_, '_, '_>,
    host: &'c HostDiff,
) -> (&'c [Rate], usize) {
    let many = if compared.all { host.rates.len() } else { host.rates.len().min(RATES) };
    let (told, left) = host.rates.split_at(many);
    (told, left.len())
}
