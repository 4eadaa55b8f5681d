//! `tapline records`.
use super::{Folder, SESSION, fields, pipe, run};

const BRIDGES: &str = "bridge name\tbridge id\t\tSTP enabled\tinterfaces\n\
    br0\t\t8000.000000000001\tno\t\teth0\n\t\t\t\t\t\t\ttap0\nnot a bridge\n";

#[test]
fn one_output_is_read_as_told() {
    let ran = pipe(["records", "--as", "brctl show", "-"], BRIDGES);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    let document = ran.json();
    assert_eq!(fields(&document), ["schema", "records", "problems", "incomplete"]);
    assert_eq!(document["schema"], "tapline.records/1");
    let record = &document["records"][0];
    assert_eq!(record["kind"], "bridge");
    assert_eq!(record["netns"], "root");
    assert_eq!((&record["name"], &record["ports"][1]), (&"br0".into(), &"tap0".into()));
    for field in ["archive", "member", "line"] {
        assert!(fields(&record["at"]).contains(&field), "{field}");
    }
    assert_eq!(record["at"]["line"], 2);
    let problem = &document["problems"][0];
    for field in ["archive", "member", "line", "message", "text"] {
        assert!(fields(problem).contains(&field), "{field}");
    }
    assert_eq!((&problem["line"], &problem["text"]), (&4.into(), &"not a bridge".into()));
    let text = &document["incomplete"][0];
    assert_eq!((&text["state"], &text["command"]), (&"partial".into(), &"brctl show".into()));
    assert!(text["reason"].is_string());
}

#[test]
fn kinds_are_chosen() {
    let folder = Folder::new(&[("session.txt", SESSION)]);
    let ran = run(["records", "--kind", "link", &folder.join("session.txt")]);
    let document = ran.json();
    let records = document["records"].as_array().expect("an array");
    assert_eq!(records.len(), 2);
    assert!(records.iter().all(|record| record["kind"] == "link" && record["host"] == "lab7"));
    // Sixteen lines into the session.
    assert_eq!(records[1]["at"]["line"], 18);
}

#[test]
fn an_unknown_kind_lists_the_kinds() {
    let ran = run(["records", "--kind", "lnik", "x"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("did you mean `link`?"), "{}", ran.err);
    assert!(ran.err.contains("kinds: link, route"), "{}", ran.err);
}

#[test]
fn all_forms_say_the_same() {
    let json = pipe(["records", "--as", "brctl show", "-"], BRIDGES).json();
    let lines = pipe(["records", "--as", "brctl show", "--format", "ndjson", "-"], BRIDGES);
    let rows: Vec<serde_json::Value> =
        lines.out.lines().map(|it| serde_json::from_str(it).expect("one object a line")).collect();
    assert_eq!(rows[0], json["records"][0]);
    assert_eq!(rows[1]["problem"], json["problems"][0]);
    assert_eq!(rows[2]["text"], json["incomplete"][0]);
    let yaml = pipe(["records", "--as", "brctl show", "--format", "yaml", "-"], BRIDGES);
    let yaml: serde_json::Value = serde_yaml::from_str(&yaml.out).expect("YAML");
    assert_eq!(yaml, json);
}

#[test]
fn yaml_of_nothing_is_yaml() {
    let args = ["records", "--as", "brctl show", "--format", "yaml", "--kind", "link", "-"];
    let yaml = pipe(args, "bridge name\tbridge id\t\tSTP enabled\tinterfaces\n");
    let yaml: serde_json::Value = serde_yaml::from_str(&yaml.out).expect("YAML");
    assert_eq!(yaml["records"], serde_json::json!([]));
    assert_eq!(yaml["problems"], serde_json::json!([]));
}

#[test]
fn no_record_has_a_field_twice() {
    // The first fields are written by the command; a record must not have its own of that name.
    let ran = run(["records", "--format", "ndjson", &super::node2()]);
    assert_eq!(ran.code, Some(0));
    for line in ran.out.lines() {
        for field in ["kind", "host", "netns", "at"] {
            let value: serde_json::Value = serde_json::from_str(line).expect("one object a line");
            let mut top = serde_json::Deserializer::from_str(line).into_iter::<Once>();
            assert!(top.next().expect("a row").is_ok(), "{field} twice in {value}");
        }
    }
}

/// Refuses an object with a field that is there twice.
struct Once;

impl<'de> serde::Deserialize<'de> for Once {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Once;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Once, A::Error> {
                let mut seen = std::collections::BTreeSet::new();
                while let Some(key) = map.next_key::<String>()? {
                    map.next_value::<serde::de::IgnoredAny>()?;
                    if !seen.insert(key.clone()) {
                        return Err(serde::de::Error::custom(format!("`{key}` twice")));
                    }
                }
                Ok(Once)
            }
        }
        from.deserialize_map(Visitor)
    }
}

#[test]
fn a_closed_pipe_ends_quietly() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(env!("CARGO_BIN_EXE_tapline"))
        .env_clear()
        .args(["records", &super::node2()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
