//! Sockets: `ss`.
use serde::Serialize;

use super::Field;
use crate::Name;
use crate::span::{At, Span};

/// One socket of one network namespace.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Socket {
    /// Its line.
    #[serde(skip)]
    pub at: Span,
    /// `tcp`, `udp`; `None` where one protocol was asked for.
    pub protocol: Option<At<Name>>,
    /// `LISTEN`, `UNCONN`, `ESTAB`; `None` where one state was asked for.
    pub state: Option<Name>,
    /// Bytes not yet read; of a listener, connections not yet accepted.
    pub receive_queue: u64,
    /// Bytes not yet acknowledged; of a listener, how many connections may wait.
    pub send_queue: u64,
    /// Local address as printed: `0.0.0.0`, `[::]`, `*`, `127.0.0.53%lo`.
    pub address: At<Name>,
    /// Local port as printed: a number, or the name of a service.
    pub port: At<Name>,
    /// Peer with its port; `None` where it is open.
    pub peer: Option<At<Name>>,
    /// Names of the processes that hold it, where they were printed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<At<Name>>,
    /// Other keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<Field>,
}
