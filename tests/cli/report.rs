//! `tapline report`: the page itself, and what it does in a browser, where there is one.
use std::collections::BTreeSet;

use super::browser::{Browser, axe};
use super::{Folder, SESSION, run};

fn lab(name: &str) -> String {
    super::root().join("corpus/lab").join(name).display().to_string()
}

fn page_of(input: &str) -> String {
    let ran = run(["report", input]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{input}");
    ran.out
}

/// Names that would do something if they became markup.
fn hostile() -> String {
    let names = [
        "</script><script>window.ran=1</script>",
        "</title></svg><img src=x onerror=window.ran=2>",
        "\"'><b>bold</b>",
        "x\u{202e}gnp",
        "<!--<script>",
        &"n".repeat(300),
    ];
    let mut text = String::from(
        "[root@lab7 ~]# ovs-vsctl show\n0b7c1e52-31a0-4f0e-9d55-6a4f6a1b2c3d\n    Bridge br-int\n",
    );
    for name in names {
        let quoted = serde_json::to_string(name).unwrap();
        text.push_str(&format!(
            "        Port {quoted}\n            tag: 4095\n            Interface {quoted}\n                \
             error: \"could not open network device (No such device)\"\n"
        ));
    }
    text
}

#[test]
fn a_page_loads_nothing_and_holds_what_was_found() {
    let page = page_of(&lab("faults"));
    assert!(page.starts_with("<!DOCTYPE html>"), "{page}");
    assert!(page.contains("default-src 'none'; style-src 'sha256-"), "a policy");
    for outside in ["src=", "@import", "url(", "<link", "<iframe", "fetch("] {
        assert!(!page.contains(outside), "{outside}");
    }
    for part in ["TUN-001", "instance-0000002d", "id=\"coverage\"", "class=\"quote\"", "<pre>ip "] {
        assert!(page.contains(part), "{part}");
    }
    // Each link within the page has its end.
    let ids: BTreeSet<&str> =
        page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    for link in page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(ids.contains(link), "{link}");
    }
}

#[test]
fn pages_keep_to_their_sizes() {
    for (name, most) in [("faults", 1_000_000), ("two-hosts", 2_000_000), ("scale-500", 6_000_000)]
    {
        let size = page_of(&lab(name)).len();
        assert!(size < most, "{name}: {size}");
    }
}

#[test]
fn hostile_names_are_data() {
    let folder = Folder::new(&[("session.txt", &hostile())]);
    let page = page_of(&folder.join("session.txt"));
    assert_eq!(page.matches("<script").count(), 2, "its data and its own script");
    assert_eq!(page.matches("</script>").count(), 2);
    for markup in ["<img", "<b>", "<!--", "\u{202e}"] {
        assert!(!page.contains(markup), "{markup}");
    }
}

#[test]
fn a_small_capture_and_one_without_a_network_have_pages() {
    let hostname = "[root@lab7 ~]# uname -a\nLinux lab7 6.1.0 #1 SMP x86_64 GNU/Linux\n";
    for text in [SESSION, hostname] {
        let folder = Folder::new(&[("session.txt", text)]);
        let page = page_of(&folder.join("session.txt"));
        assert!(page.ends_with("</html>\n"), "{page}");
    }
}

#[test]
fn a_browser_finds_a_vm_and_shows_its_evidence() {
    let Some(mut browser) = Browser::start() else { return };
    for (name, vm) in [("faults", "instance-0000002d"), ("scale-500", "instance-00000123")] {
        let folder = Folder::new(&[("report.html", &page_of(&lab(name)))]);
        browser.open(&folder.join("report.html"));
        let found = browser.ask(&format!(
            "(() => {{ const search = document.getElementById('search'); \
             const start = performance.now(); search.value = '{vm}'; \
             search.dispatchEvent(new Event('input')); const took = performance.now() - start; \
             document.querySelector('#hits button').click(); \
             return JSON.stringify([took, document.getElementById('story').textContent, \
             document.querySelectorAll('.chosen').length]); }})()"
        ));
        let found: (f64, String, usize) = serde_json::from_str(found.as_str().unwrap()).unwrap();
        assert!(found.0 < 100.0, "{name}: searching took {} ms", found.0);
        assert!(found.1.contains(vm) && found.1.contains(':'), "{name}: {}", found.1);
        assert_eq!(found.2, 1, "{name}");
        let painted = browser.ask(
            "performance.getEntriesByName('first-contentful-paint').map((one) => one.startTime)[0] ?? 0",
        );
        assert!(painted.as_f64().unwrap() < 1_000.0, "{name}: painted after {painted} ms");
        browser.assert_quiet(name);
    }
}

#[test]
fn a_browser_needs_no_mouse() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = Folder::new(&[("report.html", &page_of(&lab("faults")))]);
    browser.open(&folder.join("report.html"));
    // To the first finding by the tab key, and open it.
    for _ in 0..5 {
        browser.press("Tab", "Tab", 9);
    }
    browser.press("Enter", "Enter", 13);
    let open = browser.ask("document.querySelectorAll('details.finding[open]').length");
    assert_eq!(open, 1);
    // The first thing of the picture tells its story, and the picture moves.
    browser.ask("document.querySelector('#picture g[tabindex]').focus()");
    browser.press("Enter", "Enter", 13);
    let story =
        browser.ask("document.activeElement.id + document.querySelectorAll('#story pre').length");
    assert!(story.as_str().unwrap().starts_with("story") && story != "story0", "{story}");
    browser.ask("document.querySelector('#picture g[tabindex]').focus()");
    let before = browser.ask("document.querySelector('#picture svg').getAttribute('viewBox')");
    browser.press("ArrowRight", "ArrowRight", 39);
    let after = browser.ask("document.querySelector('#picture svg').getAttribute('viewBox')");
    assert_ne!(before, after);
    // Words leave the paths that hold them.
    let shown = browser.ask(
        "(() => { const filter = document.getElementById('filter'); filter.value = 'instance-0000002d'; \
         filter.dispatchEvent(new Event('input')); return document.getElementById('shown').textContent; })()",
    );
    assert!(shown.as_str().unwrap().starts_with("2 of "), "{shown}");
    // Everything that can be used has a name.
    let nameless = browser.ask(
        "Array.from(document.querySelectorAll('button,input,[role=button],a')).filter((one) => \
         !(one.textContent.trim() || one.getAttribute('aria-label') || one.labels?.length)).length",
    );
    assert_eq!(nameless, 0);
    browser.assert_quiet("faults");
}

#[test]
fn a_browser_finds_no_fault_of_accessibility() {
    let Some((mut browser, axe)) = Browser::start().zip(axe()) else { return };
    for name in ["faults", "scale-500", "two-hosts"] {
        let folder = Folder::new(&[("report.html", &page_of(&lab(name)))]);
        browser.open(&folder.join("report.html"));
        browser.ask(&format!("{axe}; 1"));
        let faults = browser.ask(
            "axe.run().then((result) => result.violations \
             .filter((fault) => ['serious', 'critical'].includes(fault.impact)) \
             .map((fault) => `${fault.id}: ${fault.nodes[0].html}`).join('\\n'))",
        );
        assert_eq!(faults, "", "{name}");
    }
}

#[test]
fn a_browser_runs_nothing_of_a_capture() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = Folder::new(&[("session.txt", &hostile())]);
    let page = page_of(&folder.join("session.txt"));
    let folder = Folder::new(&[("report.html", &page)]);
    browser.open(&folder.join("report.html"));
    let ran = browser.ask(
        "(() => { for (const group of document.querySelectorAll('#picture g[tabindex]')) { \
         group.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true})); } \
         const search = document.getElementById('search'); search.value = 'script'; \
         search.dispatchEvent(new Event('input')); \
         return [String(window.ran), document.querySelectorAll('img,b,#story script').length, \
         document.querySelectorAll('#hits button').length].join(); })()",
    );
    let ran = ran.as_str().unwrap();
    assert!(ran.starts_with("undefined,0,") && !ran.ends_with(",0"), "{ran}");
    browser.assert_quiet("hostile names");
}
