//! `tapline lint --format sarif|junit|github`.
use serde_json::Value;

use super::{Folder, SESSION, node2, run, sarif_schema};

/// The sarif document of these inputs, checked against what the public schema of SARIF 2.1.0 asks
/// of the objects that are used.
fn sarif(inputs: &[&str]) -> Value {
    let ran = run(["lint", "--format", "sarif", "--fail-on", "never"].iter().chain(inputs));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let document = ran.json();
    let complaints = sarif_schema::complaints(&sarif_schema::schema(), &document);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert_eq!(document["version"], "2.1.0");
    assert!(document["$schema"].as_str().unwrap().ends_with("sarif-2.1.0.json"));
    let runs = document["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 1);
    let driver = &runs[0]["tool"]["driver"];
    assert_eq!(driver["name"], "tapline");
    assert!(runs[0]["invocations"][0]["executionSuccessful"].is_boolean());
    for it in runs[0]["invocations"][0]["toolExecutionNotifications"].as_array().unwrap() {
        check_message(&it["message"]);
        check_level(&it["level"]);
    }
    let rules = driver["rules"].as_array().unwrap();
    for rule in rules {
        check_only(
            rule,
            &[
                "id",
                "name",
                "shortDescription",
                "fullDescription",
                "help",
                "helpUri",
                "defaultConfiguration",
                "properties",
            ],
        );
        for text in ["shortDescription", "fullDescription", "help"] {
            check_message(&rule[text]);
        }
        check_level(&rule["defaultConfiguration"]["level"]);
        assert!(
            rule["help"]["markdown"].as_str().is_some_and(|word| word.contains("## What it finds"))
        );
        assert!(!rule["properties"]["tags"][0].as_str().unwrap_or_default().is_empty());
        assert!(rule["helpUri"].as_str().is_none_or(|prefix| prefix.starts_with("https://")));
    }
    for result in runs[0]["results"].as_array().unwrap() {
        check_result(result, rules);
    }
    document
}

fn check_result(result: &Value, rules: &[Value]) {
    check_only(
        result,
        &[
            "ruleId",
            "ruleIndex",
            "level",
            "message",
            "locations",
            "relatedLocations",
            "partialFingerprints",
            "suppressions",
            "baselineState",
            "properties",
        ],
    );
    let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
    assert_eq!(result["ruleId"], rules[index]["id"]);
    check_level(&result["level"]);
    check_message(&result["message"]);
    assert_eq!(result["partialFingerprints"]["tapline/v1"].as_str().unwrap().len(), 32);
    let none = Vec::new();
    let related = result["relatedLocations"].as_array().unwrap_or(&none);
    for location in result["locations"].as_array().unwrap().iter().chain(related) {
        check_only(location, &["id", "physicalLocation", "logicalLocations", "message"]);
        check_message(&location["message"]);
        let physical = &location["physicalLocation"];
        check_only(physical, &["artifactLocation", "region", "contextRegion"]);
        check_uri(physical["artifactLocation"]["uri"].as_str().unwrap());
        for region in ["region", "contextRegion"] {
            let Value::Object(region) = &physical[region] else { continue };
            let number = |name| region.get(name).map(|it: &Value| it.as_u64().unwrap());
            let lines = (number("startLine").unwrap(), number("endLine").unwrap());
            assert!(lines.0 >= 1 && lines.1 >= lines.0, "{region:?}");
            let columns = (number("startColumn"), number("endColumn"));
            assert!(columns.0.is_none_or(|it| it >= 1) && columns.1 >= columns.0, "{region:?}");
            assert!(region["snippet"]["text"].is_string());
        }
    }
}

fn check_only(object: &Value, known: &[&str]) {
    for field in object.as_object().unwrap().keys() {
        assert!(known.contains(&field.as_str()), "{field}");
    }
}

fn check_message(message: &Value) {
    assert!(message["text"].as_str().is_some_and(|word| !word.trim().is_empty()), "{message}");
}

fn check_level(level: &Value) {
    assert!(["error", "warning", "note"].contains(&level.as_str().unwrap()), "{level}");
}

/// Of RFC 3986: no character that has to be escaped, no colon but that of the scheme.
fn check_uri(uri: &str) {
    let path = uri.strip_prefix("file://").unwrap_or(uri);
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~/!%".contains(c);
    assert!(!path.is_empty() && path.chars().all(allowed), "{uri}");
}

#[test]
fn sarif_is_as_the_schema_wants_it() {
    let folder = Folder::new(&[("a b#ü:c.txt", SESSION)]);
    let path = folder.join("a b#ü:c.txt");
    let document = sarif(&[&path]);
    let result = &document["runs"][0]["results"][0];
    assert_eq!((&result["ruleId"], &result["level"]), (&"OVS-001".into(), &"warning".into()));
    let location = &result["locations"][0];
    let uri = location["physicalLocation"]["artifactLocation"]["uri"].as_str().unwrap();
    assert!(uri.starts_with("file:///") && uri.ends_with("/a%20b%23%C3%BC%3Ac.txt"), "{uri}");
    let region = &location["physicalLocation"]["region"];
    assert_eq!((&region["startLine"], &region["startColumn"]), (&11.into(), &25.into()));
    let quote = region["snippet"]["text"].as_str().unwrap();
    let width = region["endColumn"].as_u64().unwrap() - 25;
    assert_eq!(u64::try_from(quote.chars().count()).unwrap(), width);
    assert_eq!(location["logicalLocations"][0]["kind"], "ovs-interface");
    assert_eq!(result["properties"]["host"], "lab7");
    assert_eq!(result["properties"]["host_key"], "a%20b%23ü%3Ac:lab7");
}

#[test]
fn sarif_of_whole_hosts_is_as_the_schema_wants_it() {
    let archive =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../corpus/sosreports/node2.tar.xz").to_owned();
    let of_folder = sarif(&[&node2()]);
    assert!(of_folder["runs"][0]["results"].as_array().unwrap().len() > 1);
    let of_archive = sarif(&[&archive]).to_string();
    assert!(of_archive.contains("node2.tar.xz!/"), "{of_archive}");
}

#[test]
fn junit_has_a_suite_a_host_and_a_test_a_rule() {
    let folder = Folder::new(&[("session.txt", &SESSION.replace("(No", "(]]><&No"))]);
    let path = folder.join("session.txt");
    let args = ["lint", "--format", "junit", "--select", "OVS-001,OVS-002", &path];
    let ran = run(args.into_iter().chain(["--fail-on", "warning"]));
    insta::assert_snapshot!(ran.shown(&folder), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="tapline" tests="2" failures="1" errors="0" skipped="0">
      <testsuite name="lab7" tests="2" failures="1" errors="0" skipped="0">
        <properties>
          <property name="host-key" value="session:lab7"/>
        </properties>
        <testcase classname="lab7" name="OVS-001 ovs-iface-error">
          <failure type="OVS-001" message="br-int/qvo11111111-11: OVS could not open the device: ]]&gt;&lt;&amp;No such device">
    warning: br-int/qvo11111111-11: OVS could not open the device: ]]&gt;&lt;&amp;No such device
      [DIR]/session.txt:11: could not open network device qvo11111111-11 (]]&gt;&lt;&amp;No such device)
      note: which VM uses the port is not known: run virsh list --all, for n in $(virsh list --all --name); do echo &quot;== $n&quot;; virsh dumpxml &quot;$n&quot;; done
      next: ovs-vsctl list interface qvo11111111-11
      next: ip -d link show qvo11111111-11
    </failure>
        </testcase>
        <testcase classname="lab7" name="OVS-002 ovs-dead-vlan"/>
      </testsuite>
    </testsuites>
    exit status Some(1)
    "#);
    // A milder finding is no failure.
    let ran = run(args);
    assert_eq!(ran.code, Some(0));
    assert!(ran.out.contains("failures=\"0\"") && ran.out.contains("<system-out>"), "{}", ran.out);
}

/// The report as another program reads it.
fn read_junit(ran: &super::Ran) -> junit_parser::TestSuites {
    junit_parser::from_reader(ran.out.as_bytes()).unwrap_or_else(|why| panic!("{why}\n{}", ran.out))
}

#[test]
fn junit_is_read_by_a_public_parser() {
    let odd = SESSION.replace("(No", "(]]><&'No");
    let folder = Folder::new(&[("session.txt", &odd)]);
    let path = folder.join("session.txt");
    let args = ["lint", "--format", "junit", "--fail-on"];
    let of = |least: &str, input: &str| read_junit(&run(args.iter().chain(&[least, input])));
    for input in [&path, &node2()] {
        let read = of("warning", input);
        assert_eq!((read.name.as_str(), read.suites.len()), ("tapline", 1));
        let suite = &read.suites[0];
        let count = |is: fn(&junit_parser::TestStatus) -> bool| {
            u64::try_from(suite.cases.iter().filter(|case| is(&case.status)).count()).unwrap()
        };
        assert_eq!(suite.tests, u64::try_from(suite.cases.len()).unwrap());
        assert_eq!(suite.failures, count(junit_parser::TestStatus::is_failure));
        assert_eq!(suite.skipped, count(junit_parser::TestStatus::is_skipped));
        assert!(suite.failures > 0);
        assert_eq!((read.tests, read.failures), (suite.tests, suite.failures));
    }
    let read = of("warning", &path);
    let cases = &read.suites[0].cases;
    let failed = cases.iter().find(|case| case.status.is_failure()).expect("a failure");
    assert_eq!(failed.original_name, "OVS-001 ovs-iface-error");
    let failure = failed.status.failure_as_ref();
    assert_eq!(failure.failure_type, "OVS-001");
    assert!(failure.message.contains("]]><&'No such device"), "{}", failure.message);
    assert_eq!(of("error", &path).failures, 0);
}

#[test]
fn ci_formats_hold_root_causes_and_rules_of_ones_own() {
    let rule = "rules:\n  - id: X-001\n    name: any-bridge\n    severity: warning\n    match: ovs-bridge\n    \
        when: 'true'\n    message: a bridge\n    next: [ovs-vsctl show]\n";
    let session = SESSION.replace("tag: 7", "tag: 4095");
    let folder = Folder::new(&[("in/session.txt", &session), ("own.yaml", rule)]);
    let (path, own) = (folder.join("in/session.txt"), folder.join("own.yaml"));
    let document = sarif(&["--rules", &own, &path]);
    let results = document["runs"][0]["results"].as_array().unwrap();
    let of = |code: &str| results.iter().find(|result| result["ruleId"] == code).expect(code);
    let (root, symptom) = (of("OVS-001"), of("OVS-002"));
    let print = |it: &Value| it["partialFingerprints"]["tapline/v1"].clone();
    assert_eq!(symptom["properties"]["explained_by"], print(root));
    assert_eq!(root["properties"]["explains"][0], print(symptom));
    let rules = document["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    let own_rule = rules.iter().find(|rule| rule["id"] == "X-001").expect("X-001");
    let help = own_rule["help"]["markdown"].as_str().unwrap();
    assert!(help.contains("Each `ovs-bridge`") && help.contains("ovs-vsctl show"), "{help}");
    assert_eq!(of("X-001")["ruleIndex"], rules.len() - 1);
    let junit = read_junit(&run(["lint", "--format", "junit", "--rules", &own, &path]));
    assert!(junit.suites[0].cases.iter().any(|case| case.original_name == "X-001 any-bridge"));
}

#[test]
fn junit_skips_what_cannot_be_told() {
    let (session, _) = SESSION.split_once("[root@lab7 ~]# ip address").unwrap();
    let folder = Folder::new(&[("session.txt", session)]);
    let path = folder.join("session.txt");
    let ran = run(["lint", "--format", "junit", "--select", "OVS-004", &path]);
    assert!(ran.out.contains("skipped=\"1\""), "{}", ran.out);
    assert!(ran.out.contains("to decide, run: ip -d address"), "{}", ran.out);
}

#[test]
fn github_annotations_name_the_line() {
    let folder = Folder::new(&[("a,b:c%.txt", SESSION)]);
    let path = folder.join("a,b:c%.txt");
    let ran = run(["lint", "--format", "github", "--select", "OVS-001", &path]);
    insta::assert_snapshot!(ran.shown(&folder), @r#"
    ::warning file=[DIR]/a%2Cb%3Ac%25.txt,line=11,endLine=11,col=25,endColumn=86,title=OVS-001 ovs-iface-error::lab7 · br-int/qvo11111111-11: OVS could not open the device: No such device%0Acould not open network device qvo11111111-11 (No such device)%0Anext: ovs-vsctl list interface qvo11111111-11%0Anext: ip -d link show qvo11111111-11
    exit status Some(0)
    "#);
}
