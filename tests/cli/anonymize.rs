//! `--anonymize`: nothing that identifies is left in any form, and what was found is found.
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use serde_json::Value;

use super::{Folder, Ran, root, run};

/// Every form of every command that shows something of a capture.
const FORMS: &[&str] = &[
    "lint",
    "lint --all --paths",
    "lint --format concise",
    "lint --format markdown",
    "lint --format json",
    "lint --format sarif",
    "lint --format junit",
    "lint --format github",
    "info",
    "info --format json",
    "report",
    "graph",
    "graph --format svg --unused",
    "graph --format dot --unused",
    "graph --format mermaid",
    "graph --format json",
    "records",
    "records --format yaml",
    "snapshot",
    "coverage",
    "coverage --format json",
    "reach",
    "reach --format json",
    "reach --format junit",
    "verify",
];

/// Captures of the corpus, with all of their inputs.
fn captures() -> Vec<Vec<String>> {
    let path = |path: &str| root().join("corpus").join(path).display().to_string();
    let two = ["sosreports/two-hosts/node1.tar.xz", "sosreports/two-hosts/node2.tar.xz"];
    vec![
        vec![path("captures/node2")],
        two.map(path).to_vec(),
        vec![path("collected/node2.tar.gz")],
        vec![path("sessions/node2.txt")],
        vec![path("posts/pods-of-calico.txt")],
        vec![path("posts/pods-of-ovn-kubernetes.txt")],
    ]
}

fn with(form: &str, more: &[&str], inputs: &[String]) -> Ran {
    let words = form.split(' ').chain(more.iter().copied());
    run(words.map(str::to_owned).chain(inputs.iter().cloned()))
}

/// What identifies in texts, found without the code under test.
#[derive(Default)]
struct Originals {
    v4: BTreeSet<Ipv4Addr>,
    v6: BTreeSet<Ipv6Addr>,
    macs: BTreeSet<String>,
    /// Ids of 36 characters, and what of them stands in names of devices.
    ids: BTreeSet<String>,
    names: BTreeSet<String>,
}

fn tokens(text: &str, fits: impl Fn(char) -> bool) -> impl Iterator<Item = &str> {
    text.split(move |character| !fits(character)).filter(|token| token.len() > 2)
}

fn v4s(text: &str) -> impl Iterator<Item = Ipv4Addr> {
    let all = tokens(text, |character| character.is_ascii_digit() || character == '.');
    all.filter_map(|token| token.trim_matches('.').parse().ok())
}

fn colons(text: &str) -> impl Iterator<Item = &str> {
    tokens(text, |character| character.is_ascii_hexdigit() || character == ':')
}

fn macs(text: &str) -> impl Iterator<Item = String> {
    let is_mac = |token: &&str| {
        let octets: Vec<&str> = token.split(':').collect();
        octets.len() == 6 && octets.iter().all(|octet| octet.len() == 2)
    };
    colons(text).filter(is_mac).map(str::to_lowercase)
}

fn v6s(text: &str) -> impl Iterator<Item = Ipv6Addr> {
    colons(text).filter_map(|token| token.parse().ok())
}

/// Addresses that mean the same on every host, and blocks as a whole.
fn is_everywhere(v4: Ipv4Addr) -> bool {
    let whole = [[10, 0, 0, 0], [172, 16, 0, 0], [192, 168, 0, 0], [100, 64, 0, 0]];
    let first = v4.octets()[0];
    first == 0
        || first >= 224
        || v4.is_loopback()
        || v4.is_link_local()
        || whole.contains(&v4.octets())
}

fn is_everywhere6(v6: Ipv6Addr) -> bool {
    let low = v6.to_bits() & u128::from(u64::MAX);
    v6.is_multicast() || v6.to_bits() <= 1 || v6.is_unicast_link_local() && low < 0x1_0000
}

/// Names by the fields in which records have them.
fn names_of(record: &Value, into: &mut BTreeSet<String>) {
    let text = |value: &Value| value.as_str().or(value["value"].as_str()).map(str::to_owned);
    let kind = record["kind"].as_str().unwrap_or_default();
    let fact = record["fact"].as_str().unwrap_or_default();
    let mut add = |value: &Value| into.extend(text(value));
    match kind {
        "host-fact" if ["hostname", "uname", "guest"].contains(&fact) => {
            add(&record["value"]);
            for key in ["node", "name", "space"] {
                add(&record["value"][key]);
            }
        }
        "domain" | "domain-state" | "qemu-process" | "network" | "network-state" => {
            for key in ["name", "nova_name", "title"] {
                add(&record[key]);
            }
        }
        _ => {}
    }
    add(&record["host"]);
}

impl Originals {
    fn of(inputs: &[String]) -> Self {
        let mut all = Self::default();
        let records = with("records --format ndjson", &[], inputs).out;
        let said = with("lint --all --format json", &[], inputs).out;
        for text in [&records, &said] {
            all.v4.extend(v4s(text).filter(|v4| !is_everywhere(*v4)));
            all.v6.extend(v6s(text).filter(|v6| !is_everywhere6(*v6)));
            let is_own = |mac: &String| {
                let first = mac.get(..2).unwrap_or("01");
                let first = u8::from_str_radix(first, 16).unwrap_or(1);
                first & 1 == 0 && !mac.ends_with("00:00:00")
            };
            all.macs.extend(macs(text).filter(is_own));
            let ids = tokens(text, |sign| sign.is_ascii_hexdigit() || sign == '-');
            for id in ids.filter(|id| id.len() == 36 && !id.starts_with("00000000-")) {
                all.ids.insert(id.to_owned());
                // As names of devices have it.
                all.ids.extend(id.get(..11).map(str::to_owned));
            }
        }
        for record in records.lines().filter_map(|line| serde_json::from_str(line).ok()) {
            names_of(&record, &mut all.names);
        }
        // What every installation may be called says nothing.
        let says = |name: &String| name.len() > 2 && name.chars().any(char::is_alphabetic);
        all.names.retain(|name| says(name) && name != "localhost");
        all
    }

    /// What of it stands in a text.
    fn left_in(&self, text: &str) -> Vec<String> {
        let small = text.to_lowercase();
        let v4 = v4s(text).filter(|v4| self.v4.contains(v4)).map(|v4| v4.to_string());
        let v6 = v6s(text).filter(|v6| self.v6.contains(v6)).map(|v6| v6.to_string());
        let macs = macs(text).filter(|mac| self.macs.contains(mac));
        let ids = self.ids.iter().filter(|id| small.contains(*id)).cloned();
        let names = self.names.iter().filter(|name| stands_in(text, name)).cloned();
        v4.chain(v6).chain(macs).chain(ids).chain(names).collect()
    }
}

/// Whether a name stands in a text as a word.
fn stands_in(text: &str, name: &str) -> bool {
    let is_inner = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
    text.match_indices(name).any(|(at, _)| {
        let (before, rest) = text.split_at(at);
        let behind = rest.strip_prefix(name).unwrap_or_default();
        !is_inner(before.chars().next_back()) && !is_inner(behind.chars().next())
    })
}

#[test]
fn no_form_has_an_original() {
    for inputs in captures() {
        let originals = Originals::of(&inputs);
        for form in FORMS {
            let ran = with(form, &["--anonymize"], &inputs);
            assert!(matches!(ran.code, Some(0 | 1 | 3)), "{form}: {}", ran.err);
            let left = originals.left_in(&format!("{}\n{}", ran.out, ran.err));
            assert!(left.is_empty(), "{inputs:?} {form}: {left:?}");
        }
        assert!(!originals.names.is_empty(), "{inputs:?} has no names to look for");
    }
}

/// What a finding is, without what it is called.
fn findings(inputs: &[String], more: &[&str]) -> Vec<String> {
    let document = with("lint --all --format json", more, inputs).json();
    let mut all: Vec<String> = document["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .map(|finding| {
            let evidence = finding["evidence"].as_array().expect("evidence");
            let first = &evidence[0]["line"];
            let [code, severity] = ["code", "severity"].map(|key| &finding[key]);
            // What is said of several things at once cites the first by name, which is another one.
            let is_of_several = finding["object"]["kind"] == "capture";
            let first = if is_of_several { &Value::Null } else { first };
            format!("{code} {severity} {first} of {}", evidence.len())
        })
        .collect();
    all.sort();
    all
}

/// How many nodes and edges there are of each kind.
fn shape(inputs: &[String], more: &[&str]) -> Vec<String> {
    let document = with("graph --format json", more, inputs).json();
    let mut kinds = Vec::new();
    for list in ["nodes", "edges"] {
        for it in document[list].as_array().expect("a list") {
            kinds.push(format!("{list} {}", it["kind"]));
        }
    }
    kinds.sort();
    kinds
}

/// What each guest reaches.
fn reached(inputs: &[String], more: &[&str]) -> Vec<String> {
    fn cells(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Object(all) => {
                into.extend(all.get("reached").map(ToString::to_string));
                all.values().for_each(|value| cells(value, into));
            }
            Value::Array(all) => all.iter().for_each(|value| cells(value, into)),
            _ => {}
        }
    }
    let mut all = Vec::new();
    cells(&with("reach --format json", more, inputs).json(), &mut all);
    all.sort();
    all
}

#[test]
fn findings_joins_and_reach_are_the_same() {
    for inputs in captures() {
        let anonymize = &["--anonymize"][..];
        assert_eq!(findings(&inputs, &[]), findings(&inputs, anonymize), "{inputs:?}");
        assert_eq!(shape(&inputs, &[]), shape(&inputs, anonymize), "{inputs:?}");
        assert_eq!(reached(&inputs, &[]), reached(&inputs, anonymize), "{inputs:?}");
    }
}

#[test]
fn the_same_inputs_or_key_give_the_same_substitutes() {
    let inputs = &captures()[0];
    let once = with("lint", &["--anonymize"], inputs).out;
    assert_eq!(once, with("lint", &["--anonymize"], inputs).out);
    let keyed = with("lint", &["--anonymize=word"], inputs).out;
    assert_ne!(once, keyed);
    assert_eq!(keyed, with("lint", &["--anonymize=word"], inputs).out);
    // Another capture of the same host: the same key, the same name.
    let name = |ran: &Ran| ran.out.split(':').next().unwrap_or_default().to_owned();
    let collected = with("lint", &["--anonymize=word"], &captures()[2]);
    assert_eq!(keyed.split(':').next(), Some(&*name(&collected)));
}

#[test]
fn a_person_may_say_the_original_or_the_substitute() {
    let inputs = &captures()[0];
    let show = |name: &str| {
        let ran = run(["show", "--anonymize", &inputs[0], name]);
        assert_eq!(ran.code, Some(0), "{name}: {}", ran.out);
        ran.out
    };
    let shown = show("tap85bcbfb0-bc");
    let substitute = shown.split_whitespace().find(|word| word.starts_with("tap")).expect("a tap");
    let substitute = substitute.trim_end_matches([':', ',']);
    assert_ne!(substitute, "tap85bcbfb0-bc");
    assert_eq!(shown, show(substitute));
    assert!(!shown.contains("85bcbfb0"), "{shown}");
}

#[test]
fn settings_fit_what_they_fitted() {
    let folder = Folder::new(&[(
        "tapline.yaml",
        "suppressions:\n  - rule: OVS-001\n    host: 'node*'\n    object: 'qvoe0f*'\n    reason: known on node2\n    until: 2099-01-01\n",
    )]);
    let config = folder.join("tapline.yaml");
    let codes = |more: &[&str]| {
        let config = ["--config", &config];
        let more: Vec<&str> = more.iter().copied().chain(config).collect();
        let ran = with("lint --format concise", &more, &captures()[0]);
        (ran.code, ran.out.lines().count())
    };
    assert_eq!(codes(&[]), codes(&["--anonymize"]));
}

/// Passwords are in no form, asked for or not; what a person wrote into a comment is not, either.
#[test]
fn secrets_are_masked() {
    let folder = Folder::new(&[(
        "keepalived.conf",
        "vrrp_instance VR_1 {\n    state MASTER\n    interface ha-85bcbfb0-bc\n    virtual_router_id 1\n    priority 50\n    authentication {\n        auth_type PASS\n        auth_pass hunter2hunter2\n    }\n    virtual_ipaddress {\n        169.254.0.1/24 dev ha-85bcbfb0-bc\n    }\n}\n",
    )]);
    for form in ["records", "lint", "report", "coverage"] {
        let ran = with(form, &["--anonymize"], &[folder.join("")]);
        assert!(!ran.out.contains("hunter2"), "{form}: {}", ran.out);
    }
}

#[test]
fn both_sides_of_a_difference_have_the_same_substitutes() {
    let path: PathBuf = root().join("corpus/captures/node2");
    let ran =
        run(["diff", "--anonymize", &path.display().to_string(), &path.display().to_string()]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(!ran.out.contains("node2"), "{}", ran.out);
}
