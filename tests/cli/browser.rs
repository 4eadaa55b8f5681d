//! A browser without a screen, led over the DevTools protocol by two pipes.
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Names of browsers that speak the protocol.
const BROWSERS: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

pub(crate) struct Browser {
    child: Child,
    to: File,
    from: BufReader<File>,
    next: u64,
    session: Option<String>,
    /// What pages complained of.
    complaints: Vec<Value>,
    /// Its profile goes away with it.
    _home: TempDir,
}

impl Browser {
    /// A browser; `None`, with a word, where there is none.
    pub(crate) fn start() -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<_> = std::env::split_paths(&path).collect();
        let is_there = |name: &&&str| folders.iter().any(|folder| folder.join(**name).exists());
        let Some(name) = BROWSERS.iter().find(is_there) else {
            eprintln!("skipped: no browser was found ({})", BROWSERS.join(", "));
            return None;
        };
        let home = tempfile::tempdir().unwrap();
        let [to, from] = ["to", "from"].map(|pipe| home.path().join(pipe));
        let made = Command::new("mkfifo").args([&to, &from]).status().unwrap();
        assert!(made.success(), "mkfifo");
        // The pipes are its third and fourth file.
        let script = "exec \"$0\" --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage \
            --no-first-run --user-data-dir=\"$3\" --remote-debugging-pipe about:blank 3<\"$1\" 4>\"$2\"";
        let child = Command::new("sh")
            .args(["-c", script, name])
            .args([&to, &from])
            .arg(home.path().join("profile"))
            .env("HOME", home.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let to = OpenOptions::new().write(true).open(to).unwrap();
        let from = BufReader::new(File::open(from).unwrap());
        let (session, complaints) = (None, Vec::new());
        Some(Self { child, to, from, next: 0, session, complaints, _home: home })
    }

    /// Opens a file, and waits until it is there.
    pub(crate) fn open(&mut self, path: &str) {
        assert!(Path::new(path).exists());
        self.session = None;
        self.complaints.clear();
        let target = self.call("Target.createTarget", json!({ "url": "about:blank" }));
        let target = target["targetId"].clone();
        let attached =
            self.call("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        self.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Runtime.enable", "Log.enable", "Page.enable"] {
            self.call(domain, json!({}));
        }
        self.call("Page.navigate", json!({ "url": format!("file://{path}") }));
        for _ in 0..200 {
            if self.ask("location.protocol + document.readyState") == "file:complete" {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("{path} does not load");
    }

    /// The value of an expression of the page.
    pub(crate) fn ask(&mut self, expression: &str) -> Value {
        let answer = self.call(
            "Runtime.evaluate",
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true }),
        );
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Presses a key.
    pub(crate) fn press(&mut self, key: &str, code: &str, number: u32) {
        let text = if key == "Enter" { "\r" } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({
                "type": kind, "key": key, "code": code, "windowsVirtualKeyCode": number,
            });
            if kind == "keyDown" && !text.is_empty() {
                event["text"] = text.into();
            }
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Fails where the page wrote to the console, threw, or broke its policy.
    pub(crate) fn assert_quiet(&mut self, what: &str) {
        self.ask("1");
        assert!(self.complaints.is_empty(), "{what}: {:#?}", self.complaints);
    }

    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.next += 1;
        let id = self.next;
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut answer = Vec::new();
            self.from.read_until(0, &mut answer).unwrap();
            assert_eq!(answer.pop(), Some(0), "the browser is gone");
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            if answer["id"] == id {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
            let complains =
                ["Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"];
            if answer["method"].as_str().is_some_and(|method| complains.contains(&method)) {
                self.complaints.push(answer);
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The checker of accessibility, where it was installed: `npm install --prefix target/npm axe-core`.
pub(crate) fn axe() -> Option<String> {
    let path = super::root().join("target/npm/node_modules/axe-core/axe.min.js");
    let code = std::fs::read_to_string(&path).ok();
    if code.is_none() {
        eprintln!("skipped: no axe-core was found (npm install --prefix target/npm axe-core)");
    }
    code
}
