//! Arguments of `trace`, `reach` and `verify`.
use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Inputs, TextOrJson};

#[derive(Debug, Args)]
pub(crate) struct Trace {
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// Protocol: tcp, udp, icmp, icmp6, arp or a number [default: icmp, tcp with --dport]
    #[arg(long, value_name = "PROTO")]
    pub(crate) proto: Option<String>,
    /// Address that the packet comes from [default: that of FROM]
    #[arg(long, value_name = "ADDR")]
    pub(crate) src: Option<IpAddr>,
    /// Port that it comes from [default: 40000]
    #[arg(long, value_name = "N")]
    pub(crate) sport: Option<u16>,
    /// Port that it goes to
    #[arg(long, value_name = "N")]
    pub(crate) dport: Option<u16>,
    /// Bytes of the IP packet, which must not be cut
    #[arg(long, value_name = "N")]
    pub(crate) size: Option<u32>,
    /// Its mark: 16, 0x10
    #[arg(long, value_name = "N")]
    pub(crate) mark: Option<String>,
    /// Its type of service: 16, 0x10
    #[arg(long, value_name = "N")]
    pub(crate) tos: Option<String>,
    /// Device that its sender is bound to, as with ping -I; FROM is a namespace
    #[arg(long, value_name = "DEV")]
    pub(crate) oif: Option<String>,
    /// The packet as a flow of ovs-ofctl, without in_port
    #[arg(long, value_name = "FLOW")]
    pub(crate) packet: Option<String>,
    /// Its state at each connection tracker that it passes, separated by commas, the last for all
    /// that follow: new, est|rpl [default: new]
    #[arg(long, value_name = "STATES")]
    pub(crate) ct: Option<String>,
    /// Follow the answer too
    #[arg(long)]
    pub(crate) reverse: bool,
    /// Take a NIC, port, bridge, namespace, VM or host away, and say what is lost with it
    #[arg(long, value_name = "KEY")]
    pub(crate) without: Option<String>,
    /// End where the packet leaves the bridges of OVS
    #[arg(long, value_name = "ovs", value_parser = ["ovs"])]
    pub(crate) stop_at: Option<String>,
    /// Answer the questions of FILE, one JSON object a line; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) queries: Option<PathBuf>,
    /// Form of the answer
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(crate) format: TraceFormat,
    /// The same as --format minimal
    #[arg(long, conflicts_with_all = ["format", "verbose"])]
    pub(crate) minimal: bool,
    /// Show every line that was looked at, and all other ways
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Reach {
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// Only this VM
    #[arg(long, value_name = "VM")]
    pub(crate) only: Option<String>,
    /// Take a NIC, port, bridge, namespace, VM or host away, and list what is lost with it
    #[arg(long, value_name = "KEY")]
    pub(crate) without: Option<String>,
    /// Form of the answer
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(crate) format: ReachFormat,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum ReachFormat {
    /// For people
    Text,
    /// For programs
    Json,
    /// JUnit XML: a test suite for each host, a test for each round trip
    Junit,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// Form of the answer
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(crate) format: TextOrJson,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum TraceFormat {
    /// For people
    Text,
    /// The outcome and what is rewritten: stable, for tests
    Minimal,
    /// For programs
    Json,
    /// One object a line
    Ndjson,
    /// Graphviz
    Dot,
    /// Mermaid flowchart
    Mermaid,
    /// Picture
    Svg,
}
