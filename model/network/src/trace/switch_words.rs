//! What the path of a packet through the tables of a bridge is called.
use tapline_core::span::Evidence;

use crate::flow;
use crate::ovs_switches::Switch;

use super::Reason;

/// The flows that decide that a packet is dropped: the last, and the one that led there.
pub(super) fn deciding<'p, 'a>(
    path: &'p flow::Path<'a>,
) -> impl Iterator<Item = &'a tapline_core::records::openflow::Flow> + use<'p, 'a> {
    let from = path.steps.len().saturating_sub(2);
    path.steps.iter().skip(from).filter_map(|step| step.flow)
}

/// The public word for a drop: tables of neutron's firewall say what they are for.
pub(super) fn drop_reason(path: &flow::Path<'_>) -> Reason {
    let Some(last) = path.steps.last() else { return Reason::OfNoMatch };
    if last.flow.is_none() {
        return Reason::OfNoMatch;
    }
    let is_of_invalid = |flow: &tapline_core::records::openflow::Flow| {
        flow.matched("ct_state").is_some_and(|state| state.value.contains("+inv"))
    };
    if deciding(path).any(is_of_invalid) {
        return Reason::CtInvalid;
    }
    let numbers: Vec<u8> = path.steps.iter().filter_map(|step| step.table.number()).collect();
    let before = match numbers.as_slice() {
        [.., before, 93] => *before,
        [.., last] => *last,
        [] => return Reason::OfDrop,
    };
    match before {
        24 => Reason::ArpSpoof,
        25 => Reason::MacSpoof,
        71 | 72 => Reason::SgEgressDeny,
        81 | 82 => Reason::SgIngressDeny,
        _ => Reason::OfDrop,
    }
}

pub(super) fn path_words(path: &flow::Path<'_>) -> String {
    let assumed = path.steps.iter().find(|step| step.assumed);
    match assumed.and_then(|step| step.flow.map(|flow| (step, flow))) {
        Some((step, flow)) => {
            let matches: Vec<String> = flow
                .matches
                .iter()
                .take(6)
                .map(|one| match one.value.value.as_str() {
                    "" => one.key.to_string(),
                    value => format!("{}={value}", one.key),
                })
                .collect();
            format!("table {} if {}", step.table, matches.join(","))
        }
        None => "otherwise".to_owned(),
    }
}

pub(super) fn doubtful(switch: &Switch<'_>, paths: &[flow::Path<'_>]) -> (String, Vec<Evidence>) {
    let mut evidence = Vec::new();
    for path in paths {
        let flow = path.steps.iter().find(|step| step.assumed).and_then(|step| step.flow);
        if let Some(at) = flow.and_then(|flow| switch.line(flow))
            && !evidence.contains(&at)
            && evidence.len() < 8
        {
            evidence.push(at);
        }
    }
    ("it is not known which flow the packet matches".to_owned(), evidence)
}
