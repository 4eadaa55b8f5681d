use std::sync::LazyLock;

use crate::lint::rules;
use tapline_core::capture::{Captured, Host, HostId, Snapshot};
use tapline_core::ids::Netns;
use tapline_topology::Thing;

use crate::lint::{
    Check, Confidence, Ctx, Finding, Report, Rule, Settings, Severity, Subject, Traits, Verdicts,
    run,
};

/// A rule with the code and the traits of a built-in one that fires what a test says.
macro_rules! rule {
    ($name:ident, $code:literal, $confidence:ident, [$(($host:literal, $kind:literal, $object:literal)),*]) => {
        static $name: LazyLock<Rule> = LazyLock::new(|| Rule {
            code: $code.into(),
            id: $code.into(),
            summary: "".into(),
            severity: Severity::Error,
            confidence: Confidence::$confidence,
            page: "".into(),
            traits: rules::find($code).map_or(Traits::NONE, |rule| rule.traits),
            check: Check::BuiltIn(|_: &Ctx<'_>, out: &mut Verdicts| {
                $(out.fire(HostId($host), subject($kind, $object), "broken");)*
            }),
        });
    };
}

fn subject(kind: &str, label: &str) -> Subject {
    let own = label.rsplit('/').next().unwrap();
    let name = own.into();
    let thing = match kind {
        "netdev" => Thing::Netdev { netns: Netns::Root, name },
        "ovs-interface" => Thing::OvsInterface { name },
        "ovs-port" => Thing::OvsPort { name },
        "ovs-bridge" => Thing::OvsBridge { name },
        "vm-nic" => Thing::VmNic { vm: "vm1".into(), nic: name },
        _ => Thing::Vm { name },
    };
    Subject::absent(thing).named(label)
}

fn report(rules: &[&'static Rule]) -> Report {
    let host = |name: &str| Host { name: name.into(), ..Host::default() };
    let captured = Captured { hosts: vec![host("node1"), host("node2")], ..Captured::default() };
    let snapshot = Snapshot { captured, ..Snapshot::default() };
    run(&tapline_topology::build(&snapshot), rules, &Settings::default())
}

/// `code object < code of its cause`, in the order of the report.
fn shown(report: &Report) -> Vec<String> {
    let of = |fingerprint: &String| {
        let cause = report.findings.iter().find(|finding| finding.fingerprint == *fingerprint);
        cause.map_or("?", |cause| &*cause.rule.code)
    };
    let line = |finding: &Finding| {
        let cause = finding.explained_by.as_ref().map(of);
        let cause = cause.map(|cause| format!(" < {cause}")).unwrap_or_default();
        format!("{} {}{cause}", finding.rule.code, finding.subject.name)
    };
    report.findings.iter().map(line).collect()
}

rule!(TARGET, "VM-001", Proven, [(0, "netdev", "tap01234567-89")]);
rule!(OPEN, "OVS-001", Proven, [(0, "ovs-interface", "br-int/qvo01234567-89")]);
rule!(
    CHAIN,
    "LBR-001",
    Proven,
    [
        (0, "netdev", "qvb01234567-89"),
        (0, "netdev", "qvbaaaaaaaa-bb"),
        (1, "netdev", "qvb01234567-89")
    ]
);

#[test]
fn a_fault_explains_the_others_of_its_port_on_its_host() {
    let report = report(&[&CHAIN, &OPEN]);
    assert_eq!(
        shown(&report),
        [
            "OVS-001 br-int/qvo01234567-89",
            "LBR-001 qvb01234567-89 < OVS-001",
            "LBR-001 qvbaaaaaaaa-bb",
            "LBR-001 qvb01234567-89",
        ]
    );
    let (root, symptom) = (&report.findings[0], &report.findings[1]);
    assert_eq!(root.explains, std::slice::from_ref(&symptom.fingerprint));
    assert!(root.is_root() && !symptom.is_root() && symptom.explains.is_empty());
}

#[test]
fn causes_have_causes() {
    let report = report(&[&CHAIN, &OPEN, &TARGET]);
    let lines = shown(&report);
    assert_eq!(lines[0], "VM-001 tap01234567-89");
    // The nearest to the ground of two causes.
    assert_eq!(lines[1], "LBR-001 qvb01234567-89 < VM-001");
    assert_eq!(lines[2], "OVS-001 br-int/qvo01234567-89 < VM-001");
    assert_eq!(report.findings[0].explains.len(), 2);
}

rule!(OTHER_BRIDGE, "VM-002", Proven, [(0, "vm-nic", "vm1/tap01234567-89")]);

#[test]
fn a_second_cause_is_a_cross_reference() {
    let report = report(&[&CHAIN, &OTHER_BRIDGE, &TARGET]);
    let of = |code: &str| report.findings.iter().find(|finding| finding.rule.code == code).unwrap();
    let chain = of("LBR-001");
    assert_eq!(chain.explained_by.as_ref(), Some(&of("VM-001").fingerprint));
    assert_eq!(chain.also_explained_by, [of("VM-002").fingerprint.clone()]);
    // What follows from the same root is no second cause.
    let report = super::tests::report(&[&CHAIN, &OPEN, &TARGET]);
    assert!(report.findings.iter().all(|finding| finding.also_explained_by.is_empty()));
}

rule!(GUESS, "OVS-001", Suspect, [(0, "ovs-interface", "br-int/qvo01234567-89")]);

#[test]
fn a_guess_only_hints_at_being_the_cause() {
    let report = report(&[&CHAIN, &GUESS]);
    assert!(report.findings.iter().all(Finding::is_root));
    let symptom = report.findings.iter().find(|finding| !finding.notes.is_empty()).unwrap();
    assert_eq!(symptom.subject.name, "qvb01234567-89");
    assert_eq!(symptom.notes, ["may be caused by OVS-001 on br-int/qvo01234567-89"]);
}

rule!(AGENT, "OVS-008", Strong, [(0, "ovs-bridge", "br-int")]);
rule!(OTHER, "OVS-008", Strong, [(0, "ovs-bridge", "br-lab")]);
rule!(
    PARKED,
    "OVS-002",
    Strong,
    [(0, "ovs-port", "br-int/tap01234567-89"), (1, "ovs-port", "br-int/tap01234567-89")]
);

#[test]
fn the_agent_of_a_host_explains_what_it_left_undone_there() {
    assert_eq!(
        shown(&report(&[&AGENT, &PARKED])),
        [
            "OVS-002 br-int/tap01234567-89",
            "OVS-008 br-int",
            "OVS-002 br-int/tap01234567-89 < OVS-008",
        ]
    );
    assert!(report(&[&OTHER, &PARKED]).findings.iter().all(Finding::is_root));
}

rule!(TWICE, "VM-005", Proven, [(0, "vm", "vm1")]);
rule!(UNKNOWN, "ZZZ-999", Proven, [(0, "vm", "vm1"), (0, "netdev", "qvb01234567-89")]);

#[test]
fn rules_that_the_relation_does_not_know_are_roots() {
    assert!(report(&[&UNKNOWN, &CHAIN, &TWICE]).findings.iter().all(Finding::is_root));
}

#[test]
fn nothing_is_dropped() {
    let rules: &[&Rule] = &[&TARGET, &OPEN, &CHAIN, &AGENT, &PARKED, &TWICE, &UNKNOWN];
    assert_eq!(report(rules).findings.len(), 1 + 1 + 3 + 1 + 2 + 1 + 2);
}
