//! Kernel settings: `sysctl`, `/proc/sys`.
use serde::Serialize;

use crate::Name;
use crate::span::{At, Span};

/// One setting. Those under `net.` belong to the namespace that the command ran in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Sysctl {
    /// The line.
    #[serde(skip)]
    pub at: Span,
    /// Key with dots: `net.ipv4.ip_forward`. Within a name of an interface a slash stands for a
    /// dot (`net.ipv4.conf.eth0/100.forwarding`). For a file under `/proc/sys` it is made of the
    /// path, and its span is that of the value.
    pub key: At<Name>,
    /// Value as printed, blanks around it removed. A value of several lines has several records.
    pub value: At<Name>,
}

impl Sysctl {
    /// The value as a number.
    pub fn number(&self) -> Option<i64> {
        self.value.parse().ok()
    }
}
