//! An edit, as a table writes it.
use serde::Deserialize;
use tapline_core::capture::Source;

/// One change of the texts of a capture, or of the description of a world.
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Edit {
    /// Only in outputs of this program, or of commands that begin so.
    of: Option<String>,
    /// Only on this host.
    host: Option<String>,
    /// Only in this namespace, `root` for that of the host; else in all.
    netns: Option<String>,
    /// What stands there.
    from: Option<String>,
    /// What stands there instead; nothing where it is left out.
    to: String,
    /// A device that is switched off.
    down: Option<String>,
    /// A device that has lost its link.
    unlinked: Option<String>,
    /// A device, or a record of a list, that is gone from all lists of devices.
    gone: Option<String>,
    /// A device whose MTU is changed to `to`.
    mtu: Option<String>,
    /// A field of a record of `ovs-vsctl list`, as `NAME field`, that is `to` now.
    record: Option<String>,
    /// Lines that hold this are gone.
    without: Option<String>,
    /// A line is added at the end.
    append: Option<String>,
}

impl Edit {
    /// What becomes of the description of a world.
    pub(crate) fn apply_to_description(&self, text: &mut String) -> Result<(), String> {
        let new = self.changed(text);
        if *text == new {
            return Err(format!("{self:?} changes nothing"));
        }
        *text = new;
        Ok(())
    }

    /// The text of a source after the edit; `None` where it does not change.
    pub(crate) fn apply(&self, host: &str, source: &Source) -> Option<String> {
        let is_there = self.host.as_deref().is_none_or(|own| own == host)
            && self.of.as_deref().is_none_or(|of| is_output_of(&source.command.to_string(), of))
            && self.netns.as_deref().is_none_or(|netns| {
                let own = source.netns.to_string();
                own == netns || own.is_empty() && netns == "root"
            });
        let new = is_there.then(|| self.changed(&source.text))?;
        (new != source.text).then_some(new)
    }

    fn changed(&self, text: &str) -> String {
        if let Some(from) = &self.from {
            return text.replace(from, &self.to);
        }
        if let Some(append) = &self.append {
            return format!("{text}{append}\n");
        }
        if let Some(part) = &self.without {
            return without(text, part);
        }
        if let Some(device) = &self.gone {
            return gone(text, device);
        }
        if let Some(field) = &self.record {
            let (name, field) = field.split_once(' ').expect("a name and a field");
            return record(text, name, field, &self.to);
        }
        let (device, change): (&str, &dyn Fn(&str) -> String) =
            match (&self.down, &self.unlinked, &self.mtu) {
                (Some(device), ..) => (device, &|line| {
                    state(line, "DOWN").replace(",LOWER_UP>", ">").replace(",UP>", ">")
                }),
                (_, Some(device), _) => (device, &|line| {
                    let line = state(line, "DOWN").replace(",LOWER_UP>", ">");
                    line.replacen(": <", ": <NO-CARRIER,", 1)
                }),
                (.., Some(device)) => (device, &|line| mtu(line, &self.to)),
                _ => panic!("{self:?} says nothing"),
            };
        let mut new = String::new();
        for line in text.split_inclusive('\n') {
            if is_of(line, device) {
                new.push_str(&change(line));
            } else {
                new.push_str(line);
            }
        }
        let is_down = self.mtu.is_none();
        let heads = [format!("Settings for {device}:")];
        if is_down && heads.iter().any(|head| new.starts_with(head.as_str())) {
            new = new.replace("Link detected: yes", "Link detected: no");
        }
        new
    }
}

/// Whether a command is what `of` says: a program (`ip`, `iptables` for `iptables-save` too), or the
/// beginning of a command (`ip r`, `ovs-`).
fn is_output_of(command: &str, of: &str) -> bool {
    let program = command.split(' ').next().unwrap_or_default();
    if of.contains(' ') || of.ends_with('-') {
        return command.starts_with(of);
    }
    program == of || program.strip_prefix(of).is_some_and(|rest| rest.starts_with('-'))
}

/// Whether a line begins a device: `7: NAME@LOWER: <…`.
fn is_of(line: &str, device: &str) -> bool {
    let Some((number, rest)) = line.split_once(": ") else { return false };
    let name = rest.split([':', '@']).next();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) && name == Some(device)
}

fn state(line: &str, to: &str) -> String {
    ["UP", "UNKNOWN"].iter().fold(line.to_owned(), |line, state| {
        line.replace(&format!(" state {state} "), &format!(" state {to} "))
    })
}

fn mtu(line: &str, to: &str) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    if let Some(at) = words.iter().position(|word| *word == "mtu") {
        words[at + 1] = to;
    }
    words.join(" ")
}

/// Without the lines that hold `part`, and the lifetimes that `ip` prints below an address.
fn without(text: &str, part: &str) -> String {
    let mut after_address = false;
    let mut keeps = |line: &&str| {
        let goes = line.contains(part);
        let is_lifetime = after_address && line.contains(" valid_lft ");
        after_address = goes && line.starts_with("    inet");
        !goes && !is_lifetime
    };
    text.split_inclusive('\n').filter(|line| keeps(line)).collect()
}

/// With another value in one field of the record that is called so.
fn record(text: &str, name: &str, field: &str, to: &str) -> String {
    let value = |line: &str, key: &str| {
        let (own, value) = line.split_once(':')?;
        (own.trim() == key).then(|| value.trim().trim_matches('"').to_owned())
    };
    let edited = |paragraph: &str| -> String {
        let is_it = paragraph.lines().any(|line| value(line, "name").as_deref() == Some(name));
        let line = |line: &str| match value(line, field) {
            Some(_) if is_it => format!("{field:<20}: {to}"),
            _ => line.to_owned(),
        };
        paragraph.split('\n').map(line).collect::<Vec<_>>().join("\n")
    };
    text.split("\n\n").map(edited).collect::<Vec<_>>().join("\n\n")
}

/// Without the paragraph of a device, without the lines of lists that name it as a member.
fn gone(text: &str, device: &str) -> String {
    let mut new = String::new();
    let mut skips = false;
    if text.starts_with("_uuid") {
        let is_it = |paragraph: &&str| {
            let is_name = |line: &str| {
                line.split_once(':').is_some_and(|(key, value)| {
                    key.trim() == "name" && value.trim().trim_matches('"') == device
                })
            };
            !paragraph.lines().any(is_name)
        };
        return text.split("\n\n").filter(is_it).collect::<Vec<_>>().join("\n\n");
    }
    for line in text.split_inclusive('\n') {
        let begins = line.starts_with(|first: char| first.is_ascii_digit());
        if begins {
            skips = is_of(line, device);
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_member = words.len() <= 1 && words.first() == Some(&device);
        let is_route = words.windows(2).any(|pair| pair == ["dev", device]);
        let is_slot = line.starts_with("  port ") && words.get(2) == Some(&device);
        if !skips && !is_member && !is_route && !is_slot {
            new.push_str(line);
        }
    }
    if text.starts_with(&format!("Settings for {device}:")) {
        return "netlink error: No such device\n".to_owned();
    }
    new
}
