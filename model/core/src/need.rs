//! What would decide an open question: a command, as a value.
//!
//! Names in it come from captures and may hold anything, so it stays a list of words until it is
//! printed, and is quoted then.
use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

/// Prints the names of all namespaces of a host, one a line; names may hold blanks.
pub const NAMESPACES: &str = "ip netns | sed 's/ (id: [0-9]*)$//'";

/// The beginning of a loop of a shell over these names, `$n`, which prints each before what is run for
/// it: the output is read back by that. What runs in it must not read the list: `</dev/null`.
pub const EACH_NAMESPACE: &str =
    "ip netns | sed 's/ (id: [0-9]*)$//' | while IFS= read -r n; do echo \"== $n\";";

use serde::{Serialize, Serializer};

use crate::Name;
use crate::capture::{Command, Source};
use crate::ids::Netns;
use crate::request::Topic;

/// A command whose output would decide an open question.
///
/// Two needs are equal where one command serves both: the devices of a namespace and their
/// addresses are shown by one.
#[derive(Clone, Debug)]
pub enum Need {
    /// A topic of a namespace, or of the host.
    Topic {
        /// The question.
        topic: Topic,
        /// Where it is to be asked.
        netns: Netns,
        /// The one thing that it is asked of, where that is known.
        object: Option<Name>,
    },
    /// A command that answers no topic.
    Command {
        /// Where it is to be run.
        netns: Netns,
        /// Program and arguments.
        argv: Vec<String>,
    },
    /// What no command line says, in words: a report that is made in another way.
    Other(&'static str),
}

impl Need {
    /// A topic of one namespace.
    pub fn of(topic: Topic, netns: &Netns) -> Self {
        Self::Topic { topic, netns: netns.clone(), object: None }
    }

    /// A topic that is asked of one thing, such as the XML of a domain.
    pub fn about(topic: Topic, object: &str) -> Self {
        Self::Topic { topic, netns: Netns::Root, object: Some(object.into()) }
    }

    /// A command of the host, as a person types it. It is split at blanks: names from captures are
    /// appended with [`Need::with`].
    pub fn command(line: &str) -> Self {
        Self::Command { netns: Netns::Root, argv: Command::new(line).argv }
    }

    /// The command of a text, once more.
    pub fn again(source: &Source) -> Self {
        Self::Command { netns: source.netns.clone(), argv: source.command.argv.clone() }
    }

    /// The same with one more word at its end.
    #[must_use]
    pub fn with(self, word: &str) -> Self {
        if let Self::Other(_) = self {
            return self;
        }
        let netns = self.netns().clone();
        let mut argv = self.argv();
        argv.push(word.to_owned());
        Self::Command { netns, argv }
    }

    /// The same in another namespace.
    #[must_use]
    pub fn within(self, netns: &Netns) -> Self {
        match self {
            Self::Topic { topic, object, .. } => {
                Self::Topic { topic, netns: netns.clone(), object }
            }
            Self::Command { argv, .. } => Self::Command { netns: netns.clone(), argv },
            Self::Other(_) => self,
        }
    }

    /// Where it is to be run.
    pub fn netns(&self) -> &Netns {
        match self {
            Self::Topic { netns, .. } | Self::Command { netns, .. } => netns,
            Self::Other(_) => &Netns::Root,
        }
    }

    /// The topic, where it is one.
    pub fn topic(&self) -> Option<Topic> {
        match self {
            Self::Topic { topic, .. } => Some(*topic),
            Self::Command { .. } | Self::Other(_) => None,
        }
    }

    /// Program and arguments, without the namespace.
    pub fn argv(&self) -> Vec<String> {
        self.inner().map(Cow::into_owned).collect()
    }

    /// The words of the command without the namespace.
    fn inner(&self) -> Box<dyn Iterator<Item = Cow<'_, str>> + '_> {
        match self {
            Self::Topic { topic, object, .. } => {
                let found = topic.placeholder().zip(object.as_deref());
                Box::new(topic.template().split(' ').map(move |word| match found {
                    Some((placeholder, name)) if word.contains(placeholder) => {
                        Cow::Owned(word.replace(placeholder, name))
                    }
                    _ => Cow::Borrowed(word),
                }))
            }
            Self::Command { argv, .. } => {
                Box::new(argv.iter().map(|word| Cow::Borrowed(word.as_str())))
            }
            Self::Other(words) => Box::new(words.split(' ').map(Cow::Borrowed)),
        }
    }

    /// The order of two that differ in their objects alone: most do, and they are compared by the
    /// million. `None` where all words have to be looked at.
    fn cmp_objects(&self, other: &Self) -> Option<Ordering> {
        let Self::Topic { topic, netns, object: Some(name) } = self else { return None };
        let Self::Topic { topic: of_topic, netns: of_netns, object: Some(of) } = other else {
            return None;
        };
        let same = topic == of_topic && netns == of_netns && topic.placeholder().is_some();
        // Behind a name more of the word may follow.
        let apart = !name.starts_with(of.as_str()) && !of.starts_with(name.as_str());
        (same && apart).then(|| name.cmp(of))
    }

    /// All words, those that enter the namespace first.
    fn words(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.netns().enter().into_iter().map(Cow::Borrowed).chain(self.inner())
    }
}

/// A topic of the host.
impl From<Topic> for Need {
    fn from(topic: Topic) -> Self {
        Self::of(topic, &Netns::Root)
    }
}

/// A topic of one namespace.
impl From<(Topic, &Netns)> for Need {
    fn from((topic, netns): (Topic, &Netns)) -> Self {
        Self::of(topic, netns)
    }
}

impl PartialEq for Need {
    fn eq(&self, other: &Self) -> bool {
        // Most that are compared are the same topic of the same namespace: words need not be made.
        if let (
            Self::Topic { topic, netns, object },
            Self::Topic { topic: other_topic, netns: other_netns, object: other_object },
        ) = (self, other)
            && topic == other_topic
            && object == other_object
        {
            return netns == other_netns || self.words().eq(other.words());
        }
        self.words().eq(other.words())
    }
}

impl Eq for Need {}

impl PartialOrd for Need {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Need {
    fn cmp(&self, other: &Self) -> Ordering {
        self.cmp_objects(other).unwrap_or_else(|| self.words().cmp(other.words()))
    }
}

/// The command line to paste into a shell.
impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Other(words) = self {
            return f.write_str(words);
        }
        if let Self::Topic { topic, object: None, .. } = self
            && let Some(line) = of_each(*topic)
        {
            return f.write_str(&line);
        }
        let mut words: Vec<_> = self.words().collect();
        if let Netns::Nameless { nsid } = self.netns() {
            // The word behind `--target` is found by the id of the namespace.
            let find = format!("lsns -n -t net -o NETNSID,PID | awk '$1 == {nsid} {{print $2}}'");
            write!(f, "nsenter --net --target \"$({find})\" ")?;
            words.drain(..words.len().min(self.netns().enter().len()));
        }
        for (at, word) in words.into_iter().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            f.write_str(&quote(&word))?;
        }
        Ok(())
    }
}

impl Serialize for Need {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// The line that asks a topic of each thing that there is, under a heading that names it.
fn of_each(topic: Topic) -> Option<String> {
    let placeholder = topic.placeholder()?;
    let list = match placeholder {
        "BRIDGE" => "ovs-vsctl list-br",
        "DOMAIN" => "virsh list --all --name",
        "DEV" => "ls /sys/class/net",
        // A file: `head` names each.
        _ => return Some(topic.template().replace("cat ", "head ").replace(placeholder, "*")),
    };
    let command = topic.template().replace(placeholder, "\"$n\"");
    Some(format!("for n in $({list}); do echo \"== $n\"; {command}; done"))
}

/// A line for a shell, run in a namespace: a command to try, of which nothing reads the output. Names in
/// the line are quoted by the caller.
pub fn line_within(netns: &Netns, line: &str) -> String {
    let enter = netns.enter();
    let words = enter.iter().map(|word| quote(word)).chain([Cow::Borrowed(line)]);
    words.collect::<Vec<_>>().join(" ")
}

/// Commands in one line, separated by commas.
pub fn list<'a>(needs: impl IntoIterator<Item = &'a Need>) -> String {
    needs.into_iter().map(Need::to_string).collect::<Vec<_>>().join(", ")
}

/// A word as a shell reads it back, in quotes where it needs them.
pub fn quote(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Netns {
        Netns::Named(name.into())
    }

    #[test]
    fn names_are_quoted_for_the_shell() {
        for (name, line) in [
            ("red", "ip netns exec red ip -d address"),
            ("blue ns", "ip netns exec 'blue ns' ip -d address"),
            ("it's", r"ip netns exec 'it'\''s' ip -d address"),
            ("$(reboot)", "ip netns exec '$(reboot)' ip -d address"),
            ("", "ip netns exec '' ip -d address"),
            ("ns\n2", "ip netns exec 'ns\n2' ip -d address"),
            ("pid:4711", "nsenter --net --target 4711 ip -d address"),
            ("docker:web", "docker exec web ip -d address"),
            ("lxc:web 2", "lxc exec 'web 2' -- ip -d address"),
        ] {
            assert_eq!(Need::of(Topic::Links, &named(name)).to_string(), line);
        }
    }

    #[test]
    fn objects_are_in_the_order_of_all_words() {
        for topic in Topic::ALL {
            for (one, other) in [("a", "b"), ("a", "a"), ("a", "ab"), ("tap9", "tap10"), ("", "x")]
            {
                let (one, other) = (Need::about(*topic, one), Need::about(*topic, other));
                assert_eq!(one.cmp(&other), one.words().cmp(other.words()), "{one} / {other}");
                assert_eq!(other.cmp(&one), other.words().cmp(one.words()), "{other} / {one}");
            }
        }
    }

    #[test]
    fn a_thing_takes_the_place_that_the_topic_has_for_it() {
        assert_eq!(
            Need::from(Topic::DomainXml).to_string(),
            "for n in $(virsh list --all --name); do echo \"== $n\"; virsh dumpxml \"$n\"; done"
        );
        assert_eq!(
            Need::from(Topic::HaRouters).to_string(),
            "head /var/lib/neutron/ha_confs/*/state"
        );
        assert_eq!(Need::about(Topic::DomainXml, "my vm").to_string(), "virsh dumpxml 'my vm'");
        assert_eq!(
            Need::about(Topic::HaRouters, "r 1").to_string(),
            "cat '/var/lib/neutron/ha_confs/r 1/state'"
        );
        assert_eq!(Need::about(Topic::Rules, "x").to_string(), "ip rule");
        let need = Need::of(Topic::Netfilter, &named("qrouter-1")).with("-t").with("nat");
        assert_eq!(need.to_string(), "ip netns exec qrouter-1 iptables-save -t nat");
        let nameless = Netns::Nameless { nsid: 3 };
        assert_eq!(
            Need::command("ip neigh").within(&nameless).to_string(),
            "nsenter --net --target \"$(lsns -n -t net -o NETNSID,PID | awk '$1 == 3 {print $2}')\" \
             ip neigh"
        );
    }

    #[test]
    fn lines_are_run_where_the_namespace_is_entered() {
        for (name, line) in [
            ("red", "ip netns exec red ip route | head -1"),
            ("$(reboot)", "ip netns exec '$(reboot)' ip route | head -1"),
            ("lxc:c1", "lxc exec c1 -- ip route | head -1"),
        ] {
            assert_eq!(line_within(&named(name), "ip route | head -1"), line);
        }
        assert_eq!(line_within(&Netns::Root, "ip route"), "ip route");
    }

    #[test]
    fn one_command_is_one_need() {
        let links = Need::from(Topic::Links);
        assert_eq!(links, Need::from(Topic::LinkDetails));
        assert_eq!(links, Need::command("ip -d address"));
        assert_ne!(links, Need::of(Topic::Links, &named("a")));
        assert!(Need::command("bridge link") < links);
    }
}
