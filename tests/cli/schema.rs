//! `tapline schema`: what is read and written is as the schemas say.
use serde_json::{Value, json};

use super::{Folder, SESSION, node2, root, run, sarif_schema};

const KINDS: &[&str] = &[
    "baseline", "config", "coverage", "diff", "graph", "info", "lint", "records", "rules", "show",
    "snapshot",
];

fn schema(kind: &str) -> Value {
    let ran = run(["schema", kind]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let mut schema = ran.json();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    close(&mut schema);
    schema
}

/// Where a schema lists properties, there are to be no others: readers must put up with new ones,
/// but a schema that forgot one is out of date.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(keywords) => {
            let open = ["additionalProperties", "oneOf", "anyOf"];
            let lists = keywords.contains_key("properties");
            if lists && !open.iter().any(|keyword| keywords.contains_key(*keyword)) {
                keywords.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
            for (keyword, below) in keywords {
                // Each alternative has but a part of the properties.
                if !(lists && keyword == "oneOf") {
                    close(below);
                }
            }
        }
        Value::Array(all) => all.iter_mut().for_each(close),
        _ => {}
    }
}

fn check(kind: &str, document: &Value) {
    let complaints = sarif_schema::complaints(&schema(kind), document);
    assert!(complaints.is_empty(), "{kind}:\n{}", complaints.join("\n"));
}

/// What a command prints; YAML is read as JSON, of which it is a superset.
fn printed<'a>(args: &[&'a str], inputs: &[&'a str]) -> Value {
    let ran = run(args.iter().chain(inputs));
    assert!(ran.err.is_empty() || ran.code == Some(0), "{args:?}: {}", ran.err);
    serde_yaml::from_str(&ran.out).expect("JSON or YAML")
}

#[test]
fn output_is_as_its_schema_says() {
    let node2 = node2();
    let session = Folder::new(&[("session.txt", SESSION)]);
    let lab = root().join("corpus/lab");
    let cloud = lab.join("ovn-healthy-sos-4.12").display().to_string();
    let faults = lab.join("faults").display().to_string();
    let session = session.join("session.txt");
    for input in [node2.as_str(), session.as_str(), cloud.as_str(), faults.as_str()] {
        for (kind, args) in [
            ("lint", &["lint", "--format", "json", "--all", "--fail-on", "never"][..]),
            ("coverage", &["coverage", "--format", "json"]),
            ("graph", &["graph", "--format", "json"]),
            ("info", &["info", "--format", "json"]),
            ("records", &["records", "--format", "json"]),
            ("snapshot", &["snapshot"]),
        ] {
            check(kind, &printed(args, &[input]));
        }
        for name in ["eth0", "br-int", "br-ex", "instance-0000002d", "node2", "lab7", "nothing-of"]
        {
            check("show", &printed(&["show", "--format", "json"], &[input, name]));
        }
    }
    check("rules", &printed(&["rules", "--format", "json"], &[]));
    let seed = lab.join("seed").display().to_string();
    let args = ["diff", "--quiet", "--format", "json", "--all", "--fail-on", "never"];
    check("diff", &printed(&args, &[&seed, &faults]));
    check("diff", &printed(&args, &[&cloud, &session]));
}

#[test]
fn a_baseline_is_as_its_schema_says() {
    let folder = Folder::new(&[("session.txt", SESSION)]);
    let (session, baseline) = (folder.join("session.txt"), folder.join("baseline.json"));
    run(["lint", "--write-baseline", &baseline, &session]);
    let text = std::fs::read_to_string(baseline).expect("a baseline");
    check("baseline", &serde_json::from_str(&text).expect("JSON"));
}

/// The example that `tapline lint --help` shows.
#[test]
fn the_example_of_a_configuration_is_as_its_schema_says() {
    let help = run(["lint", "--help"]).out;
    let (_, rest) = help.split_once("all keys are optional):\n").expect("the example");
    let (example, _) = rest.split_once("\n\n").expect("an end");
    let example: Value = serde_yaml::from_str(example).expect("YAML");
    check("config", &example);
    for (wrong, complaint) in [
        (json!({"profil": "k8s"}), "profil is not known"),
        (json!({"profile": "k9s"}), "$.profile"),
        (json!({"thresholds": {"counter_ratio": 2}}), "$.thresholds.counter_ratio"),
        (json!({"suppressions": [{"rule": "OVS-002"}]}), "reason is missing"),
    ] {
        let complaints = sarif_schema::complaints(&schema("config"), &wrong).join("\n");
        assert!(complaints.contains(complaint), "{wrong}: {complaints}");
    }
}

#[test]
fn every_kind_is_printed_and_another_is_not() {
    for kind in KINDS {
        assert!(schema(kind)["title"].is_string(), "{kind}");
    }
    let ran = run(["schema", "nothing"]);
    assert_eq!(ran.code, Some(2));
    for kind in KINDS {
        assert!(ran.err.contains(kind), "{kind}: {}", ran.err);
    }
}
