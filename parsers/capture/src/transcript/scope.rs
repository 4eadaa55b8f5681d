//! Shells in shells: whose outputs follow, and when the outer shell is back.
use tapline_core::ids::Netns;

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
}

/// The shells that are open, innermost last.
#[derive(Clone, Debug, Default)]
pub(super) struct Scopes(Vec<Scope>);

impl Scopes {
    /// A shell is started from the prompt `outer` on `host`.
    pub(super) fn enter(&mut self, opened: Opened, outer: &str, host: Option<String>) {
        const DEEPEST: usize = 32;
        if self.0.len() < DEEPEST {
            self.0.push(Scope { opened, outer: outer.to_owned(), host, inner: None });
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
        let came_back = |scope: &Scope| {
            let other = scope.inner.as_deref().is_some_and(|inner| inner != sign);
            scope.outer == sign && (scope.opened.look == Look::Other || other)
        };
        if let Some(at) = self.0.iter().position(came_back) {
            self.0.truncate(at);
        }
        // Another machine's prompt: the paste goes on elsewhere.
        if let (Some(named), Some(top)) = (named, self.0.last()) {
            let of_host = |sign: &str| sign.rsplit('@').next() == Some(named);
            let seen =
                top.inner.as_deref().is_some_and(|inner| inner.contains('@') && !of_host(inner));
            let same_look = top.opened.look == Look::Same
                && top.host.as_deref().is_some_and(|host| host != named);
            let home = top.host.as_deref() == Some(named);
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
                return named.map(str::to_owned).or_else(|| Some(machine.clone()));
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
        if let Some(name) = line.strip_prefix("Connected to domain ") {
            let name = name.trim().trim_matches(['\'', '"']);
            top.opened.machine = Some(name.to_owned());
        } else if let Some(rest) = line.strip_prefix("Connection to ")
            && rest.trim_end().trim_end_matches('.').strip_suffix(" closed") == Some(machine)
        {
            self.leave();
        }
    }
}
