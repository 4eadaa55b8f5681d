//! Shells in shells: whose outputs follow, and when the outer shell is back.
use tapline_core::ids::Netns;

use super::prose;
use crate::command::opens::{Look, Opened};

/// A shell that was started in another.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Scope {
    opened: Opened,
    /// The prompt that it was started from.
    outer: String,
    /// The host of that prompt.
    host: Option<String>,
    /// Its own prompt, once it was seen.
    inner: Option<String>,
    /// What stands before that says that no shell was started, or that something was left out.
    doubtful: bool,
}

impl Scope {
    /// Whether its prompt is that from which it was started: both machines have one name, or none.
    fn looks_alike(&self) -> bool {
        self.inner.as_deref() == Some(self.outer.as_str())
    }

    /// Whether the prompt `sign` is that of the shell around it.
    fn is_left_at(&self, sign: &str) -> bool {
        if self.outer != sign {
            return false;
        }
        match &self.inner {
            Some(inner) => inner != sign,
            // After `ssh` to another machine the next prompt is there, whatever it looks like.
            None if self.opened.machine.is_some() => self.doubtful,
            None => self.opened.look == Look::Other,
        }
    }
}

/// The shells that are open, innermost last.
#[derive(Clone, Debug, Default)]
pub(super) struct Scopes(Vec<Scope>);

impl Scopes {
    /// A shell is started from the prompt `outer` on `host`.
    pub(super) fn enter(&mut self, opened: Opened, outer: &str, host: Option<String>) {
        const DEEPEST: usize = 32;
        if self.0.len() < DEEPEST {
            let outer = outer.to_owned();
            self.0.push(Scope { opened, outer, host, inner: None, doubtful: false });
        }
    }

    /// Whether no shell was started in another.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `exit`, `logout`.
    pub(super) fn leave(&mut self) {
        self.0.pop();
    }

    /// A prompt is there: shells whose outer prompt it is are left. `named` is its host.
    pub(super) fn prompt(&mut self, sign: &str, named: Option<&str>) {
        if let Some(at) = self.0.iter().position(|scope| scope.is_left_at(sign)) {
            self.0.truncate(at);
        }
        // Another machine's prompt: the paste goes on elsewhere.
        if let (Some(named), Some(top)) = (named, self.0.last()) {
            let of_host = |sign: &str| sign.rsplit('@').next() == Some(named);
            let seen =
                top.inner.as_deref().is_some_and(|inner| inner.contains('@') && !of_host(inner));
            let same_look = top.opened.look == Look::Same
                && top.host.as_deref().is_some_and(|host| host != named);
            let home = top.host.as_deref() == Some(named) && !top.looks_alike();
            if seen || same_look || home && top.opened.look == Look::Other && top.inner.is_some() {
                self.0.clear();
            }
        }
        if let Some(top) = self.0.last_mut().filter(|top| top.inner.is_none()) {
            top.inner = Some(sign.to_owned());
        }
    }

    /// The namespace that a command sees.
    pub(super) fn netns(&self) -> Netns {
        for scope in self.0.iter().rev() {
            if let Some(netns) = &scope.opened.netns {
                return netns.clone();
            }
            if scope.opened.machine.is_some() {
                break;
            }
        }
        Netns::Root
    }

    /// Whether the innermost shell is on another machine than the first.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.0.iter().any(|scope| scope.opened.machine.is_some())
    }

    /// The host whose outputs follow, where the prompt names this one.
    pub(super) fn host(&self, named: Option<&str>) -> Option<String> {
        for scope in self.0.iter().rev() {
            if let Some(machine) = &scope.opened.machine {
                let own = named.filter(|_| !scope.looks_alike());
                return Some(own.unwrap_or(machine).to_owned());
            }
            // The prompt in a container names the container.
            if scope.opened.netns.is_some() && scope.opened.look == Look::Other {
                return scope.host.clone();
            }
        }
        named.map(str::to_owned)
    }

    /// A line that is no prompt: a console says which machine it is, a connection that it ends.
    pub(super) fn output(&mut self, line: &str) {
        let Some(top) = self.0.last_mut() else { return };
        let Some(machine) = &top.opened.machine else { return };
        top.doubtful |= top.inner.is_none() && (is_refusal(line) || prose::is_elision(line));
        if let Some(name) = line.strip_prefix("Connected to domain ") {
            let name = name.trim().trim_matches(['\'', '"']);
            top.opened.machine = Some(name.to_owned());
        } else if let Some(rest) = line.strip_prefix("Connection to ")
            && rest.trim_end().trim_end_matches('.').strip_suffix(" closed") == Some(machine)
        {
            self.leave();
        } else if line.trim() == "^]" {
            // The key that leaves a console.
            self.leave();
        }
    }
}

/// Whether a line says that no shell was started on another machine.
fn is_refusal(line: &str) -> bool {
    const BEGINNINGS: &[&str] = &[
        "ssh: ",
        "error: ",
        "Error: ",
        "Permission denied",
        "Host key verification failed",
        "Connection closed",
        "Connection reset",
        "Connection timed out",
        "Connection refused",
        "Received disconnect",
        "Disconnected from",
        "kex_exchange_identification",
        "Unable to ",
        "bash: ",
        "-bash: ",
        "sudo: ",
        "^C",
    ];
    let line = line.trim_start();
    BEGINNINGS.iter().any(|beginning| line.starts_with(beginning))
        || line.contains("Permission denied (")
}
