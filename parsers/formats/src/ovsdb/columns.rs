//! Which column of which table fills which field: one table for all readers of the database.
//!
//! Source of names and types: `vswitchd/vswitch.ovsschema` (5.x to 8.x). Columns that are not
//! named here are kept as they are printed. The tables of OVN are in [`ovn`].
mod ovn;

use std::str::FromStr;

use tapline_core::Name;
use tapline_core::ids::IfIndex;
use tapline_core::records::ovs::{
    OvsBridge, OvsColumn, OvsConnection, OvsDatabase, OvsMap, OvsPort, OvsRecord, OvsRef, OvsRow,
};
use tapline_core::span::{At, Span};

use super::notation::{Place, Token, Value, is_uuid};

/// The empty row of `table`, whose name commands take in any case and shortened.
pub(crate) fn row(table: &str) -> OvsRow {
    match table {
        "Open_vSwitch" => OvsRow::OpenVswitch(OvsDatabase::default()),
        "Bridge" => OvsRow::Bridge(OvsBridge::default()),
        "Port" => OvsRow::Port(OvsPort::default()),
        "Interface" => OvsRow::Interface(Box::default()),
        "Controller" => OvsRow::Connection(OvsConnection::default()),
        "Manager" => {
            OvsRow::Connection(OvsConnection { manager: true, ..OvsConnection::default() })
        }
        other => ovn::row(other).unwrap_or_else(|| OvsRow::Other { name: other.into() }),
    }
}

/// A record of `table` with nothing in it yet.
pub(crate) fn record(table: &str, at: Span) -> OvsRecord {
    OvsRecord { at, uuid: None, row: row(table), values: Vec::new(), columns: Vec::new() }
}

/// What a typed column holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shape {
    /// One value, or none.
    One,
    /// A set.
    Set,
    /// A map.
    Map,
}

/// The shape of a column that has a field of its own.
pub(crate) fn shape(row: &OvsRow, column: &str) -> Option<Shape> {
    let shape = match (row, column) {
        (_, "_uuid") => Shape::One,
        (OvsRow::OpenVswitch(_), "ovs_version") => Shape::One,
        (OvsRow::OpenVswitch(_), "bridges") => Shape::Set,
        (OvsRow::OpenVswitch(_), "external_ids" | "other_config") => Shape::Map,
        (OvsRow::Bridge(_), "name" | "fail_mode" | "datapath_type" | "stp_enable") => Shape::One,
        (OvsRow::Bridge(_), "ports" | "controller") => Shape::Set,
        (OvsRow::Bridge(_), "external_ids" | "other_config") => Shape::Map,
        (OvsRow::Port(_), "name" | "tag" | "vlan_mode" | "bond_mode") => Shape::One,
        (OvsRow::Port(_), "trunks" | "interfaces") => Shape::Set,
        (OvsRow::Port(_), "external_ids" | "other_config") => Shape::Map,
        (
            OvsRow::Interface(_),
            "name" | "type" | "error" | "ofport" | "ifindex" | "mac_in_use" | "admin_state"
            | "link_state" | "mtu",
        ) => Shape::One,
        (OvsRow::Interface(_), "options" | "external_ids" | "status" | "bfd_status") => Shape::Map,
        (OvsRow::Connection(_), "target" | "is_connected") => Shape::One,
        _ => return ovn::shape(row, column),
    };
    Some(shape)
}

/// A value that is not of its column's type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Wrong {
    /// Where it stands.
    pub(crate) span: Span,
    /// What was expected.
    pub(crate) what: &'static str,
}

/// Fills the field of a column that has a [`shape`]. `whole` is the place of the value.
pub(crate) fn set(
    place: Place<'_>,
    record: &mut OvsRecord,
    column: &str,
    value: &Value<'_>,
    whole: Span,
) -> Result<(), Wrong> {
    let it = Reading { place, value, whole };
    if column == "_uuid" {
        record.uuid = it.name()?;
        return Ok(());
    }
    match &mut record.row {
        OvsRow::OpenVswitch(row) => match column {
            "ovs_version" => row.version = it.name()?,
            "external_ids" => row.external_ids = it.map()?,
            "other_config" => row.other_config = it.map()?,
            "bridges" => row.bridges = it.refs()?,
            _ => {}
        },
        OvsRow::Bridge(row) => match column {
            "name" => row.name = it.required()?,
            "ports" => row.ports = it.refs()?,
            "fail_mode" => row.fail_mode = it.name()?,
            "datapath_type" => row.datapath_type = it.name()?,
            "controller" => row.controllers = it.refs()?,
            "external_ids" => row.external_ids = it.map()?,
            "other_config" => row.other_config = it.map()?,
            "stp_enable" => row.stp = it.one("true or false")?,
            _ => {}
        },
        OvsRow::Port(row) => match column {
            "name" => row.name = it.required()?,
            "tag" => row.tag = it.one::<Vlan>(VLAN)?.map(|tag| tag.map(|tag| tag.0)),
            "trunks" => {
                let all = it.many::<Vlan>(VLAN)?;
                row.trunks = all.into_iter().map(|tag| tag.map(|tag| tag.0)).collect();
            }
            "vlan_mode" => row.vlan_mode = it.name()?,
            "bond_mode" => row.bond_mode = it.name()?,
            "interfaces" => row.interfaces = it.refs()?,
            "external_ids" => row.external_ids = it.map()?,
            "other_config" => row.other_config = it.map()?,
            _ => {}
        },
        OvsRow::Interface(row) => match column {
            "name" => row.name = it.required()?,
            "type" => row.kind = it.name()?,
            "options" => row.options = it.map()?,
            "error" => row.error = it.name()?,
            "ofport" => row.ofport = it.one("a port number")?,
            "ifindex" => row.ifindex = it.one::<u32>("an interface index")?.map(|n| n.map(IfIndex)),
            "mac_in_use" => row.mac_in_use = it.one("a MAC address")?,
            "admin_state" => row.admin_state = it.name()?,
            "link_state" => row.link_state = it.name()?,
            "mtu" => row.mtu = it.one("a number of bytes")?,
            "external_ids" => row.external_ids = it.map()?,
            "status" => row.status = it.map()?,
            "bfd_status" => row.bfd_status = it.map()?,
            _ => {}
        },
        OvsRow::Connection(row) => match column {
            "target" => row.target = it.required()?,
            "is_connected" => row.is_connected = it.one("true or false")?,
            _ => {}
        },
        OvsRow::Other { .. } => ovn::keep(it, record, column)?,
        row => {
            ovn::set(it, row, column)?;
            ovn::keep(it, record, column)?;
        }
    }
    Ok(())
}

/// Keeps a column that has no field; empty sets and maps say nothing and are left out.
pub(crate) fn keep(record: &mut OvsRecord, column: &str, value: At<Name>) {
    if !matches!(value.as_str(), "[]" | "{}") {
        record.columns.push(OvsColumn { name: column.into(), value });
    }
}

const VLAN: &str = "a VLAN id, 0 to 4095";

/// A VLAN id as the schema bounds it.
struct Vlan(u16);

impl FromStr for Vlan {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        text.parse().ok().filter(|parsed| *parsed < 4096).map(Self).ok_or(())
    }
}

/// What a name or `_uuid` refers to.
fn refer(name: At<Name>) -> At<OvsRef> {
    name.map(|name| if is_uuid(&name) { OvsRef::Uuid(name) } else { OvsRef::Name(name) })
}

/// A value about to become a field.
#[derive(Clone, Copy)]
struct Reading<'a> {
    place: Place<'a>,
    value: &'a Value<'a>,
    whole: Span,
}

impl<'a> Reading<'a> {
    fn wrong<T>(&self, what: &'static str) -> Result<T, Wrong> {
        Err(Wrong { span: self.whole, what })
    }

    /// The only atom; `None` for an empty set.
    fn atom(&self) -> Result<Option<Token<'a>>, Wrong> {
        match self.value {
            Value::Atom(it) => Ok(Some(*it)),
            Value::Set(all) => match all.as_slice() {
                [] => Ok(None),
                [it] => Ok(Some(*it)),
                _ => self.wrong("one value, not several"),
            },
            Value::Map(_) => self.wrong("one value, not a map"),
        }
    }

    fn atoms(&self) -> Result<&[Token<'a>], Wrong> {
        match self.value {
            Value::Atom(it) => Ok(std::slice::from_ref(it)),
            Value::Set(all) => Ok(all),
            Value::Map(_) => self.wrong("a set, not a map"),
        }
    }

    fn name(&self) -> Result<Option<At<Name>>, Wrong> {
        Ok(self.atom()?.map(|atom| atom.name(self.place)))
    }

    fn required(&self) -> Result<At<Name>, Wrong> {
        self.name()?.map_or_else(|| self.wrong("a name"), Ok)
    }

    fn one<T: FromStr>(&self, what: &'static str) -> Result<Option<At<T>>, Wrong> {
        self.atom()?.map(|atom| self.read(atom, what)).transpose()
    }

    fn many<T: FromStr>(&self, what: &'static str) -> Result<Vec<At<T>>, Wrong> {
        self.atoms()?.iter().map(|&atom| self.read(atom, what)).collect()
    }

    fn read<T: FromStr>(&self, it: Token<'a>, what: &'static str) -> Result<At<T>, Wrong> {
        let span = self.place.of(it.raw);
        let value = it.text().parse().map_err(|_| Wrong { span, what })?;
        Ok(At::new(value, span))
    }

    fn refs(&self) -> Result<Vec<At<OvsRef>>, Wrong> {
        Ok(self.names()?.into_iter().map(refer).collect())
    }

    fn reference(&self) -> Result<Option<At<OvsRef>>, Wrong> {
        Ok(self.name()?.map(refer))
    }

    fn names(&self) -> Result<Vec<At<Name>>, Wrong> {
        Ok(self.atoms()?.iter().map(|atom| atom.name(self.place)).collect())
    }

    fn map(&self) -> Result<OvsMap, Wrong> {
        match self.value {
            Value::Map(all) => {
                Ok(all.iter().map(|(k, v)| (k.text().into(), v.name(self.place))).collect())
            }
            Value::Set(all) if all.is_empty() => Ok(Vec::new()),
            Value::Atom(_) | Value::Set(_) => self.wrong("a map `{key=value}`"),
        }
    }
}
