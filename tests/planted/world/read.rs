//! Descriptions, line by line.
use super::{Host, Space, Switch, Words, World};

impl World {
    pub(super) fn read(description: &str) -> Self {
        let mut world = Self::default();
        for line in description.lines() {
            let text = line.trim_start();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
            if first == "host" {
                let space = Space::default();
                let name = rest.trim().to_owned();
                world.hosts.push(Host { name, spaces: vec![space], ..Host::default() });
                continue;
            }
            let host = world.hosts.last_mut().expect("a description begins with its host");
            host.line(first, rest);
        }
        world
    }
}

impl Host {
    fn line(&mut self, first: &str, rest: &str) {
        let switch = self.switches.last_mut();
        let space = self.spaces.last_mut().expect("a host has a namespace");
        match first {
            "netns" => {
                let name = rest.trim().to_owned();
                self.spaces.push(Space { name, ..Space::default() });
            }
            "route" => space.routes.push(rest.to_owned()),
            "route6" => space.routes6.push(rest.to_owned()),
            "rule" => space.rules.push(rest.to_owned()),
            "neigh" => space.neighbours.push(rest.to_owned()),
            "fdb" => space.fdb.push(rest.to_owned()),
            "vlan" if !rest.contains("on=") => {
                let (device, vlan) = rest.split_once(' ').expect("a device and its VLAN");
                space.vlans.push((device.to_owned(), vlan.to_owned()));
            }
            "$" => space.runs.push((rest.to_owned(), String::new())),
            "|" => {
                let run = space.runs.last_mut().expect("a command prints it");
                run.1.push_str(rest);
                run.1.push('\n');
            }
            "vm" => self.vms.push(words(first, rest)),
            "switch" => {
                let words = words(first, rest);
                self.switches.push(Switch { words, ports: Vec::new(), flows: Vec::new() });
            }
            "port" => switch.expect("a port of a switch").ports.push(words(first, rest)),
            "flow" => switch.expect("a flow of a switch").flows.push(rest.to_owned()),
            _ => space.devices.push(words(first, rest)),
        }
    }
}

fn words(kind: &str, rest: &str) -> Words {
    let mut words = Words { kind: kind.to_owned(), ..Words::default() };
    for word in rest.split_whitespace() {
        match word.split_once('=') {
            _ if words.name.is_empty() => word.clone_into(&mut words.name),
            Some((key, value)) => {
                words.keys.insert(key.to_owned(), value.to_owned());
            }
            None => {
                words.flags.insert(word.to_owned());
            }
        }
    }
    words
}
