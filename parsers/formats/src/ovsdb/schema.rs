//! What the schema in front of a database file tells of its columns (RFC 7047 §3.2).
use std::collections::BTreeMap;

use tapline_core::Name;

use super::notation::Token;
use crate::json::{Fields, scalar};

/// One column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Column {
    /// It may hold more than one value or pair: changes of it are written as differences.
    pub(crate) composite: bool,
    /// Its value where the file does not name it; `None` for sets and maps, which are then empty.
    pub(crate) default: Option<Token<'static>>,
    /// It is not written to the file.
    pub(crate) ephemeral: bool,
}

/// Columns by table.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Schema(BTreeMap<Name, BTreeMap<Name, Column>>);

impl Schema {
    /// Reads `{"name":…,"tables":{…}}`; `None` where it is no schema.
    pub(crate) fn read(raw: &str) -> Option<Self> {
        let schema = Fields::read(raw).ok()?;
        schema.get("name")?;
        let mut tables = BTreeMap::new();
        for (table, raw) in Fields::read(schema.get("tables")?).ok()?.0 {
            let mut columns = BTreeMap::new();
            let fields = Fields::read(raw).ok()?;
            for (name, raw) in Fields::read(fields.get("columns")?).ok()?.0 {
                columns.insert(name, column(raw)?);
            }
            tables.insert(table, columns);
        }
        Some(Self(tables))
    }

    /// A column, where the schema has it.
    pub(crate) fn column(&self, table: &str, column: &str) -> Option<Column> {
        self.0.get(table)?.get(column).copied()
    }

    /// All columns of a table, by name.
    pub(crate) fn columns(&self, table: &str) -> impl Iterator<Item = (&str, Column)> {
        self.0.get(table).into_iter().flatten().map(|(name, it)| (name.as_str(), *it))
    }
}

fn column(raw: &str) -> Option<Column> {
    let fields = Fields::read(raw).ok()?;
    let ephemeral = fields.get("ephemeral") == Some("true");
    let kind = fields.get("type")?;
    let scalar_default = |kind: &str| match &*scalar(kind) {
        "integer" | "real" => Some(Token::bare("0")),
        "boolean" => Some(Token::bare("false")),
        "string" => Some(Token { raw: "", escaped: false, is_string: true }),
        _ => None,
    };
    if kind.starts_with('"') {
        return Some(Column { composite: false, default: scalar_default(kind), ephemeral });
    }
    let kind = Fields::read(kind).ok()?;
    let composite = kind.get("max").is_some_and(|max| max != "1");
    let is_set = kind.get("min") == Some("0") || composite || kind.get("value").is_some();
    let key = kind.get("key")?;
    let key = match Fields::read(key) {
        Ok(inner) => inner.get("type")?,
        Err(_) => key,
    };
    let default = if is_set { None } else { scalar_default(key) };
    Some(Column { composite, default, ephemeral })
}

/// Whether a column of the schema `Open_vSwitch` may hold several values: for files whose schema
/// is lost.
pub(crate) fn is_composite_by_name(column: &str) -> bool {
    const SETS: &[&str] = &[
        "bridges",
        "controller",
        "ports",
        "interfaces",
        "trunks",
        "cvlans",
        "mirrors",
        "manager_options",
        "protocols",
        "flood_vlans",
        "targets",
        "iface_types",
        "datapath_types",
        "cfm_remote_mpids",
        "cfm_fault_status",
        "select_src_port",
        "select_dst_port",
        "select_vlan",
        "prefixes",
        "groups",
    ];
    SETS.contains(&column)
}
