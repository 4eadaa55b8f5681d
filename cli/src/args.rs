//! The grammar of the command line. Doc comments are the help texts.
mod diff;
mod inputs;
mod lint;
mod schema;
mod trace;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ErrorKind};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(crate) use diff::{Diff, DiffFormat};
pub(crate) use inputs::{Inputs, Limits};
pub(crate) use lint::{FailOn, Lint, LintFormat};
pub(crate) use schema::SchemaKind;
pub(crate) use trace::{Reach, ReachFormat, Trace, TraceFormat, Verify};

const EXAMPLES: &str = "\
Examples:
  tapline lint sosreport-node2.tar.xz          what is broken, and the line that proves it
  tapline lint node1.tar.xz node2/ notes.txt   several hosts as one topology
  tapline info node2/                          what the host is: NICs, bridges, VMs, what is broken
  tapline show node2/ tap85bcbfb0-bc           the way of one device from VM to wire
  tapline trace node1/ node2/ vm:web1 outside  the way of a packet, and the line that stops it
  tapline reach node2/                         what every guest reaches, and the cut where it does not
  tapline graph node2/ --format svg > node2.svg
  tapline report node2/ > node2.html
  tapline records --as 'ip address' ip_a.txt   one saved output as JSON
  ssh node2 ovs-vsctl show | tapline records --as 'ovs-vsctl show' -
  tapline coverage node2/                      what was not captured, and what that leaves open
  tapline snapshot node2/ > node2.yaml         its topology, to compare later ones with: --check
  tapline collect | ssh root@node2 sh          gather the evidence on a host without sos
  tapline lint node2/ --format sarif           the same for a CI job; also junit and github

INPUT is a sosreport (tarball or folder), a folder of saved outputs, a pasted terminal session,
one output with --as, or - for standard input.

Exit status: 0 nothing found, 1 findings (NAME not found, another snapshot, not reached), 2 wrong usage or
unreadable input, 3 cannot tell (trace, reach).";

const CONFIGURATION: &str = "\
Configuration (tapline.yaml; all keys are optional):
  profile: openstack-ovs            # openstack-ovn, libvirt, k8s, lxd, generic: leaves out rules
                                    # about other software, knows what is down by design
  select: [OVS, VM-001]             # as --select, which takes precedence
  ignore: [CAP-002]                 # as --ignore, which adds to it
  groups_off: [NIC]                 # families; the report names core rules that are off
  severity_gate: {fail_on: error}   # as --fail-on, which takes precedence
  rules: [rules/]                   # as --rules, which adds to it; from the folder of this file
  env:                              # what captures cannot tell
    l2pop: true
    firewall: hybrid                # native, none
    config_drive_only: true
    physnet_mtu: {physnet1: 9000}
    expected_bridges: [br-ex]
    hosts_in_mesh: ['cmp*', 'net*']
    same_host: [[cmp1, compute-1]]
  thresholds:                       # these are the defaults
    {counter_ratio: 0.01, counter_min: 1000, capture_skew_s: 60, neigh_ratio: 0.8,
     link_flaps: 10, orphan_warn: 20}
  overrides:                        # the last one that fits counts
    - {rule: MTU-001, severity: info, host: 'lab*'}
  suppressions:                     # known and accepted: does not make the exit status 1
    - rule: ovs-dead-vlan           # code or id
      host: 'net*'                  # * and ?; without it all hosts
      ns: root                      # the same, of namespaces
      object: 'tap*'                # the same; a name with or without its bridge or VM
      reason: parked by hand
      until: 2027-03-31             # last day; rules of severity error need one

The file is looked for from the folder of each input upwards; never in an input itself, which may
come from anywhere. Inputs under different files need --config.";

/// The keys and values that the help of `lint` shows.
pub(crate) fn example_of_configuration() -> &'static str {
    let keys = CONFIGURATION.split_once('\n').map_or("", |(_, keys)| keys);
    keys.split_once("\n\n").map_or(keys, |(keys, _)| keys)
}

const ENDS: &str = "\
FROM and TO:
  vm:NAME|UUID[/N or MAC]   a NIC of a guest                 ns:[HOST/]NAME          a namespace, or root
  if:[HOST/][NS/]DEV        a device                         ovs:[HOST/]BRIDGE/PORT  a port of OVS
  ip:ADDR, mac:MAC          who has it, captured or not      port:ID, pod:NS/NAME    a port of neutron, a pod
  a bare word               what `show` finds by it          outside gateway dhcp metadata broadcast   TO only";

/// Offline analyzer for Linux virtual networking: which wire does this VM hang on, where is it
/// cut, and which line of the captured output proves it
#[derive(Debug, Parser)]
#[command(name = "tapline", version = env!("TAPLINE_VERSION"), after_help = EXAMPLES, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// When to use colour; `auto` is on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", display_order = 100)]
    pub(crate) color: Color,
    /// Print the result only, no summary
    #[arg(short, long, global = true, display_order = 101)]
    pub(crate) quiet: bool,
    /// Show the result through a pager, if it goes to a terminal [default command: less -FRX]
    #[arg(
        long,
        global = true,
        value_name = "COMMAND",
        env = "TAPLINE_PAGER",
        hide_env_values = true,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "less -FRX",
        display_order = 102
    )]
    pub(crate) pager: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Find faults, each with the lines that prove it
    ///
    /// Three answers are possible: a fault, no fault, and cannot tell, with the commands that
    /// would decide. The exit status is 1 when a fault is at least as severe as --fail-on.
    #[command(after_long_help = CONFIGURATION)]
    Lint(Lint),
    /// Write a report as one HTML page that needs no network: tapline report INPUT > report.html
    ///
    /// Findings with their lines, the picture to search and to walk in, the path of every VM and
    /// namespace, and what was not captured. Nothing is loaded from anywhere, and nothing of what was
    /// captured becomes markup.
    #[command(after_long_help = CONFIGURATION)]
    Report(Report),
    /// Tell what each host is: one screen a host
    ///
    /// Identity, time, kernel, NICs, addresses, bridges, tunnels, VMs and namespaces, what is broken
    /// and what was not captured.
    Info(Info),
    /// Tell all that is known about one host, device, VM, port, address or namespace
    ///
    /// Findings about it come first, then its path with what stops frames on it, its addresses,
    /// counters, routes, neighbours and flows, and the places that name it.
    Show(Show),
    /// Follow a packet: can this reach that, and if not, which line stops it
    ///
    /// The packet is led through guests, devices, bridges, flows, packet filters, routes and tunnels
    /// of all captured hosts. Exit status: 0 reached, 1 not reached, 2 usage or input, 3 cannot tell.
    #[command(override_usage = "tapline trace [OPTIONS] <INPUT>... <FROM> [TO]", after_help = ENDS)]
    Trace(Box<Trace>),
    /// Tell what every running guest, pod and router reaches, and the cut where it does not
    ///
    /// Each is asked for its gateway, DHCP, metadata, the outside and its peers, there and back.
    /// Exit status: 0 all of it, 1 something is not reached, 2 usage or input, 3 cannot tell.
    Reach(Reach),
    /// Hold the megaflows of the datapath against the flows that made them
    ///
    /// Every captured line of dpctl/dump-flows is a proof of what a bridge did with packets. The
    /// exit status is 1 where one says something else than the flows.
    Verify(Verify),
    /// Draw the topology
    ///
    /// Nodes are hosts, namespaces, VMs, devices and OVS objects; edges say how they are wired.
    Graph(Graph),
    /// Print every record that was read, with its place
    ///
    /// Shows what each line was understood to say, and which lines were not understood.
    Records(Records),
    /// Tell what changed between two captures, and what it broke
    ///
    /// What is renumbered, counted or learnt is no change; what only one of them shows is not compared.
    /// Exit status: 0 no change, 1 changed, 2 usage, input, or not comparable.
    #[command(
        override_usage = "tapline diff [OPTIONS] <OLD> <NEW>\n       tapline diff [OPTIONS] --old <INPUT>... --new <INPUT>..."
    )]
    Diff(Diff),
    /// Write the topology as YAML that only changes when the network does
    ///
    /// What renumbers by itself is left out: indexes, counters, ages, ids, OpenFlow ports, the
    /// MACs of virtual devices and the addresses made of them. Kept under version control,
    /// --check compares captures with it.
    Snapshot(Snapshot),
    /// Tell what was captured, what was not, and which questions that leaves open
    ///
    /// That something is absent follows only from a complete text that would show it.
    Coverage(Coverage),
    /// Print a shell script that gathers the evidence on a host without sos
    ///
    /// The script is plain POSIX sh, runs commands that only read, each with a time limit, and
    /// leaves tapline-HOST-TIME.tar.gz, an INPUT of every command.
    Collect,
    /// Write a tapline.yaml in which every key is commented out
    ///
    /// What is there already is never written over.
    Init(Init),
    /// List the rules of `lint`
    Rules(Rules),
    /// Show the page of a rule
    Explain(Explain),
    /// Print the JSON Schema of a document that tapline reads or writes
    Schema(Schema),
    /// Print a completion script for a shell
    Completions(Completions),
    /// Print the page of the manual, of tapline or of one command
    ///
    /// It is written for man: tapline man lint | man -l -
    Man(Man),
}

/// The same arguments for `lint`, where an input stands in the place of a command.
///
/// A word that looks like a command which was mistyped is left to clap, which has a hint for it.
pub(crate) fn for_lint(args: &[OsString], error: &clap::Error) -> Option<Vec<OsString>> {
    let kinds = [ErrorKind::InvalidSubcommand, ErrorKind::UnknownArgument];
    if !kinds.contains(&error.kind()) {
        return None;
    }
    let is_there = |arg: &OsString| arg == "-" || Path::new(arg).exists();
    let is_option = |arg: &OsString| arg.as_encoded_bytes().starts_with(b"-") && arg != "-";
    let (own, first) = (args.first()?, args.get(1)?);
    let meant = if is_option(first) {
        let is_like_a_command = error.get(ContextKind::SuggestedSubcommand).is_some();
        !is_like_a_command && args.iter().skip(2).any(is_there)
    } else {
        let bytes = first.as_encoded_bytes();
        is_there(first) || bytes.contains(&b'/') || bytes.contains(&b'.')
    };
    let rest = args.iter().skip(1).cloned();
    meant.then(|| [own.clone(), "lint".into()].into_iter().chain(rest).collect())
}

/// What to do where a name is missing: what `show` was given is an input.
pub(crate) fn hint(args: &[OsString], error: &clap::Error) -> Option<String> {
    let is_missing = error.kind() == ErrorKind::MissingRequiredArgument;
    let of_show = args.get(1).is_some_and(|command| command == "show");
    let input = args.iter().skip(2).find(|arg| Path::new(arg).exists())?.to_string_lossy();
    (is_missing && of_show).then(|| {
        format!("tapline show {input} NAME; what the host itself is says tapline info {input}")
    })
}

/// Where the configuration and rules of one's own come from.
#[derive(Debug, Args)]
pub(crate) struct Config {
    /// Configuration; without it the nearest tapline.yaml beside or above the inputs, else in or
    /// above the current directory
    #[arg(id = "config", long = "config", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Look for no tapline.yaml
    #[arg(id = "no_config", long = "no-config", conflicts_with = "config")]
    pub(crate) none: bool,
    /// Know the rules of this file, or of the *.yaml of this folder, too (can be repeated)
    #[arg(long = "rules", value_name = "PATH")]
    pub(crate) own: Vec<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum TextOrJson {
    /// For people
    Text,
    /// For programs
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    #[command(flatten)]
    pub(crate) config: Config,
}

#[derive(Debug, Args)]
pub(crate) struct Info {
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// Form of the answer
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(crate) format: TextOrJson,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// A host, device, bridge, port, namespace, VM (name, uuid, nova name), MAC, IP address (of a
    /// guest or floating too), subnet, VLAN, VNI, PCI address, or the beginning of a name or of the
    /// id of a port, network or router; host:NAME and netns/NAME narrow it down
    #[arg(required = true)]
    pub(crate) name: String,
    /// Form of the answer
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(crate) format: TextOrJson,
    /// List every place that mentions it, however many
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Graph {
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// Form of the drawing
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(crate) format: GraphFormat,
    /// Draw only what is near this name
    #[arg(long, value_name = "NAME")]
    pub(crate) focus: Option<String>,
    /// How many edges away from --focus
    #[arg(long, value_name = "N", default_value_t = 3, requires = "focus")]
    pub(crate) depth: u32,
    /// Draw what nothing uses as well, in svg, dot and mermaid
    #[arg(long)]
    pub(crate) unused: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum GraphFormat {
    /// A tree per VM and namespace
    Text,
    /// A picture for browsers and paper
    Svg,
    /// The same picture for Graphviz
    Dot,
    /// The same picture as a Mermaid flowchart
    Mermaid,
    /// Nodes and edges with their evidence
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Records {
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// Form of the output
    #[arg(long, value_name = "FORM", default_value = "json")]
    pub(crate) format: RecordFormat,
    /// Only records of this kind, such as link or ovs (can be repeated)
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub(crate) kind: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum RecordFormat {
    /// One document
    Json,
    /// One object a line
    Ndjson,
    /// One YAML document
    Yaml,
}

#[derive(Debug, Args)]
pub(crate) struct Snapshot {
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// Compare with FILE, which is OLD then, as `diff` does: exit status 1 where anything was changed
    #[arg(long, value_name = "FILE")]
    pub(crate) check: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Coverage {
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// List every text, namespace and file, and cut nothing off, however long the lines become
    #[arg(long)]
    pub(crate) all: bool,
    /// Form of the report
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(crate) format: TextOrJson,
    #[command(flatten)]
    pub(crate) config: Config,
}

#[derive(Debug, Subcommand)]
pub(crate) enum OfRules {
    /// Run the tests that stand in files of rules
    Test(TestRules),
}

#[derive(Debug, Args)]
pub(crate) struct TestRules {
    /// File of rules, or folder of such files
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Rules {
    #[command(subcommand)]
    pub(crate) action: Option<OfRules>,
    /// Form of the list
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(crate) format: TextOrJson,
    #[command(flatten)]
    pub(crate) config: Config,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// Code or id: OVS-001, ovs-iface-error
    #[arg(value_name = "RULE")]
    pub(crate) rule: String,
    /// Show all examples, not just the first; each of them is also a test
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) config: Config,
}

#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// Document
    #[arg(value_name = "KIND")]
    pub(crate) kind: SchemaKind,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Where to write it, if not here
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Command
    #[arg(value_name = "COMMAND")]
    pub(crate) command: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// Shell
    pub(crate) shell: Shell,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_input_alone_is_for_lint() {
        let here = env!("CARGO_MANIFEST_DIR");
        let lint = |words: &[&str]| {
            let args: Vec<OsString> =
                std::iter::once("tapline").chain(words.iter().copied()).map(Into::into).collect();
            let error = Cli::try_parse_from(&args).unwrap_err();
            for_lint(&args, &error).is_some()
        };
        assert!(lint(&[here]) && lint(&[here, "--paths"]) && lint(&["--paths", here]));
        assert!(lint(&["-"]) && lint(&["no/such"]) && lint(&["sos.tar.xz"]));
        assert!(!lint(&["lnit", here]) && !lint(&["--bad"]) && !lint(&["nothing"]));
        assert!(!lint(&["-q", "lnit", here]));
    }

    #[test]
    fn show_takes_the_last_word_as_the_name() {
        let cli = Cli::try_parse_from(["tapline", "show", "a", "b", "tap0"]).unwrap();
        let Command::Show(show) = cli.command else { panic!("not show") };
        assert_eq!((show.inputs.paths.len(), show.name.as_str()), (2, "tap0"));
    }
}
