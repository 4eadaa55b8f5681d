//! The public schema of SARIF 2.1.0, as the crate `serde-sarif` brings it, and as much of JSON Schema
//! as this and our own schemas use.
use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

/// The public schema.
pub(crate) fn schema() -> Value {
    // Only what this machine builds with has been downloaded.
    let platform = format!("--filter-platform={}", host_triple());
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--offline", platform.as_str()])
        .current_dir(super::root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("metadata");
    let packages = metadata["packages"].as_array().expect("packages");
    let package =
        packages.iter().find(|package| package["name"] == "serde-sarif").expect("the crate");
    let manifest = package["manifest_path"].as_str().expect("a path");
    let folder = std::path::Path::new(manifest).parent().expect("a folder");
    let text = std::fs::read_to_string(folder.join("src/schema.json")).expect("the schema");
    let schema: Value = serde_json::from_str(&text).expect("JSON");
    assert!(schema["$id"].as_str().is_some_and(|word| word.ends_with("sarif-schema-2.1.0.json")));
    schema
}

/// The platform of the compiler: `host: x86_64-unknown-linux-gnu`.
fn host_triple() -> String {
    let output = Command::new("rustc").arg("-vV").output().expect("rustc runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("rustc tells its host").to_owned()
}

/// Keywords that say nothing of whether a document is valid.
const SILENT: &[&str] =
    &["description", "default", "title", "$schema", "$id", "definitions", "$defs", "format"];

/// What is wrong with a document, with its place.
pub(crate) fn complaints(schema: &Value, document: &Value) -> Vec<String> {
    let mut all = Vec::new();
    check(schema, schema, document, "$", &mut all);
    all
}

fn check(root: &Value, schema: &Value, it: &Value, at: &str, all: &mut Vec<String>) {
    let Some(keywords) = schema.as_object() else { return };
    for (keyword, wanted) in keywords {
        let mut complain = |what: String| all.push(format!("{at}: {what}"));
        match keyword.as_str() {
            "$ref" => {
                let pointer =
                    wanted.as_str().and_then(|wanted| wanted.strip_prefix('#')).expect("a pointer");
                let target = root.pointer(pointer).expect("a definition");
                check(root, target, it, at, all);
            }
            "type" => {
                let names: Vec<&Value> =
                    wanted.as_array().map_or(vec![wanted], |array| array.iter().collect());
                if !names.iter().any(|name| is(it, name.as_str().unwrap_or_default())) {
                    complain(format!("{it} is not of type {wanted}"));
                }
            }
            "enum" => {
                if !wanted.as_array().is_some_and(|known| known.contains(it)) {
                    complain(format!("{it} is none of {wanted}"));
                }
            }
            "const" => {
                if it != wanted {
                    complain(format!("{it} is not {wanted}"));
                }
            }
            "required" => {
                for name in wanted.as_array().into_iter().flatten().filter_map(Value::as_str) {
                    if it.is_object() && it.get(name).is_none() {
                        complain(format!("{name} is missing"));
                    }
                }
            }
            "minimum" | "maximum" => {
                if let (Some(number), Some(bound)) = (it.as_f64(), wanted.as_f64()) {
                    let fits = if keyword == "minimum" { number >= bound } else { number <= bound };
                    if !fits {
                        complain(format!("{number}: {keyword} {bound}"));
                    }
                }
            }
            "minItems" => {
                if it.as_array().is_some_and(|array| Some(array.len() as u64) < wanted.as_u64()) {
                    complain(format!("fewer than {wanted} items"));
                }
            }
            "uniqueItems" => {
                let texts = it
                    .as_array()
                    .map(|array| array.iter().map(Value::to_string).collect::<Vec<_>>());
                let texts = texts.unwrap_or_default();
                if wanted == true && texts.iter().collect::<BTreeSet<_>>().len() < texts.len() {
                    complain("items are equal".to_owned());
                }
            }
            "items" => {
                for (n, item) in it.as_array().into_iter().flatten().enumerate() {
                    check(root, wanted, item, &format!("{at}[{n}]"), all);
                }
            }
            "properties" => {
                for (name, value) in it.as_object().into_iter().flatten() {
                    if let Some(schema) = wanted.get(name) {
                        check(root, schema, value, &format!("{at}.{name}"), all);
                    }
                }
            }
            "additionalProperties" => {
                for (name, value) in it.as_object().into_iter().flatten() {
                    if schema["properties"].get(name).is_some() || *wanted == true {
                        continue;
                    }
                    if *wanted == false {
                        all.push(format!("{at}: {name} is not known"));
                    } else {
                        check(root, wanted, value, &format!("{at}.{name}"), all);
                    }
                }
            }
            "anyOf" | "oneOf" => {
                let fits = |schema: &&Value| {
                    let mut all = Vec::new();
                    check(root, schema, it, at, &mut all);
                    all.is_empty()
                };
                let count = wanted.as_array().map_or(0, |array| array.iter().filter(fits).count());
                if count == 0 || (keyword == "oneOf" && count > 1) {
                    complain(format!("{count} of {keyword} fit"));
                }
            }
            silent if SILENT.contains(&silent) => {}
            // GUIDs, languages, media types: tapline writes none of these.
            other => complain(format!("the keyword {other} is not known to this test")),
        }
    }
}

fn is(it: &Value, name: &str) -> bool {
    match name {
        "object" => it.is_object(),
        "array" => it.is_array(),
        "string" => it.is_string(),
        "boolean" => it.is_boolean(),
        "integer" => it.is_i64() || it.is_u64(),
        "number" => it.is_number(),
        "null" => it.is_null(),
        _ => false,
    }
}

#[test]
fn the_check_finds_what_is_wrong() {
    let schema = schema();
    let told = |text: &str| complaints(&schema, &serde_json::from_str(text).unwrap()).join("\n");
    let tool = r#""tool": {"driver": {"name": "x"}}"#;
    assert_eq!(told(&format!(r#"{{"version": "2.1.0", "runs": [{{{tool}}}]}}"#)), "");
    for (text, complaint) in [
        (r#"{"version": "2.1.0"}"#.to_owned(), "$: runs is missing"),
        (r#"{"version": "2.2", "runs": []}"#.to_owned(), "is none of"),
        (format!(r#"{{"version": "2.1.0", "runs": [{{{tool}, "x": 1}}]}}"#), "x is not known"),
        (
            format!(
                r#"{{"version": "2.1.0", "runs": [{{{tool}, "results": [{{"message": {{}}}}]}}]}}"#
            ),
            "$.runs[0].results[0].message",
        ),
        (
            format!(
                r#"{{"version": "2.1.0", "runs": [{{{tool}, "results": [{{"message": {{"text": "x"}}, "level": "bad"}}]}}]}}"#
            ),
            "$.runs[0].results[0].level",
        ),
    ] {
        assert!(told(&text).contains(complaint), "{text}\n{}", told(&text));
    }
}
