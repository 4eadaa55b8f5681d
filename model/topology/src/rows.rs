//! The rows of OVN's databases, each once, from the text that shows it best.
use std::collections::{BTreeMap, HashMap, HashSet};

use tapline_core::Name;
use tapline_core::capture::{Snapshot, Source};
use tapline_core::records::Batch;
use tapline_core::records::ovs::{OvsRecord, OvsRow};
use tapline_core::span::At;

use crate::graph::Seen;

/// Tables of Open vSwitch's own database.
const OF_HOSTS: &[&str] =
    &["", "Open_vSwitch", "Bridge", "Port", "Interface", "Controller", "Manager"];

/// Tables that only the southbound database has; those of other names are read of the northbound
/// one, which the southbound one repeats.
const SOUTH: &[&str] = &[
    "Chassis",
    "Chassis_Private",
    "Datapath_Binding",
    "Encap",
    "FDB",
    "IGMP_Group",
    "Logical_Flow",
    "MAC_Binding",
    "Port_Binding",
    "SB_Global",
    "Service_Monitor",
];

/// Whether a text is of the southbound database: by its command, or by what else is in it.
fn is_south(source: &Source, rows: &[OvsRecord]) -> bool {
    let program = source.command.program();
    if program.ends_with("sbctl") || program.ends_with("nbctl") {
        return program.ends_with("sbctl");
    }
    rows.iter().any(|row| SOUTH.contains(&row.table()))
}

/// The rows of all databases of OVN that were captured: of one deployment mostly.
#[derive(Debug, Default)]
pub struct Rows<'a> {
    by_table: BTreeMap<&'a str, Vec<Seen<'a, OvsRecord>>>,
    by_uuid: HashMap<&'a str, Seen<'a, OvsRecord>>,
}

/// How well a text shows rows, the best first: as the list of a table, as `show`, in JSON, as the
/// file of the database; a file before a session.
fn rank(source: &Source) -> (u8, bool) {
    let args = source.command.args();
    let is_json = source.text.trim_start().starts_with('{');
    let form = if source.command.path().is_some() {
        3
    } else if is_json {
        2
    } else {
        u8::from(args.iter().any(|arg| arg == "show"))
    };
    (form, source.first_line > 1)
}

impl<'a> Rows<'a> {
    /// Gathers them.
    pub fn new(snapshot: &'a Snapshot) -> Self {
        let mut texts: Vec<(&Source, &[OvsRecord])> = Vec::new();
        for (source, reading) in snapshot.iter() {
            if let Batch::Ovs(rows) = &reading.records {
                let is_ovn = rows.iter().any(|row| !OF_HOSTS.contains(&row.table()));
                if is_ovn {
                    texts.push((source, rows));
                }
            }
        }
        texts.sort_by_key(|(source, _)| rank(source));
        let mut all = Self::default();
        let mut named: HashSet<(&str, &str)> = HashSet::new();
        for (source, rows) in texts {
            let south = is_south(source, rows);
            for record in rows {
                let table = record.table();
                if OF_HOSTS.contains(&table) || south && !SOUTH.contains(&table) {
                    continue;
                }
                let seen = Seen { source: source.id, record };
                // `show` gives ports no id: it is that of the row with its name.
                if let Some(uuid) = &record.uuid {
                    if all.by_uuid.contains_key(uuid.value.as_str()) {
                        continue;
                    }
                    all.by_uuid.insert(uuid.value.as_str(), seen);
                }
                if let Some(name) = unique_name(record) {
                    if record.uuid.is_none() && named.contains(&(table, name)) {
                        continue;
                    }
                    named.insert((table, name));
                }
                all.by_table.entry(table).or_default().push(seen);
            }
        }
        all
    }

    /// The rows of a table.
    pub fn of(&self, table: &str) -> &[Seen<'a, OvsRecord>] {
        self.by_table.get(table).map_or(&[], Vec::as_slice)
    }

    /// A row by its `_uuid`.
    pub fn get(&self, uuid: &str) -> Option<Seen<'a, OvsRecord>> {
        self.by_uuid.get(uuid).copied()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_table.is_empty()
    }
}

/// The name of a row where the schema lets no other of its table have it.
pub fn unique_name(record: &OvsRecord) -> Option<&str> {
    Some(match &record.row {
        OvsRow::SwitchPort(row) => row.name.value.as_str(),
        OvsRow::RouterPort(row) => row.name.value.as_str(),
        OvsRow::PortBinding(row) => row.logical_port.value.as_str(),
        OvsRow::Chassis(row) => row.name.value.as_str(),
        _ => return None,
    })
}

/// `external_ids` of a row.
pub fn external_ids(record: &OvsRecord) -> &[(Name, At<Name>)] {
    match &record.row {
        OvsRow::Switch(row) => &row.external_ids,
        OvsRow::SwitchPort(row) => &row.external_ids,
        OvsRow::Router(row) => &row.external_ids,
        OvsRow::RouterPort(row) => &row.external_ids,
        OvsRow::PortBinding(row) => &row.external_ids,
        OvsRow::Chassis(row) => &row.external_ids,
        OvsRow::Other { .. } | OvsRow::Nat(_) => record.map("external_ids"),
        _ => &[],
    }
}

/// The value of a key of `external_ids`; `None` where it is empty.
pub fn external_id<'a>(record: &'a OvsRecord, key: &str) -> Option<&'a str> {
    let found = external_ids(record).iter().find(|(name, _)| name == key);
    found.map(|(_, value)| value.value.as_str()).filter(|value| !value.is_empty())
}
