//! Which machine it is: what marks it, the key made of that, and the moment it was looked at.
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::Name;
use crate::ids::Mac;

/// Texts taken within so many seconds are taken as those of one moment.
pub const ONE_MOMENT: i64 = 1800;

/// NICs that two captures must have in common to be of one machine: a single MAC is shared by
/// clones, by failover pairs and by everything that an administrator set by hand.
const COMMON_NICS: usize = 2;

/// The identity of a machine: the best of the marks that were captured.
///
/// It never changes with the order of the inputs, and is never the name that is shown: two machines
/// may be called `localhost`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum HostKey {
    /// `/etc/machine-id`, and what tells clones of one image apart.
    MachineId(Name, Clone),
    /// The `system-id` of its Open vSwitch, and what tells clones of one image apart.
    SystemId(Name, Clone),
    /// The UUID of its hardware, or of the virtual machine that it is.
    DmiUuid(Name),
    /// Nothing better is known: what it is called, and the input that it came from.
    Named {
        /// Its name.
        name: Name,
        /// The file or folder, without the folders above and the suffixes of archives; empty for
        /// what a person pasted.
        input: Name,
    },
}

/// Which of the machines that have one id, since an image was cloned with it: the UUID of the hardware,
/// else its name, unless that is one that every machine may have. Empty where neither was captured.
pub type Clone = Name;

/// Names that say nothing of the machine: images come with them, or every installation has one.
const ANYBODY: &[&str] = &[
    "localhost",
    "localhost6",
    "ubuntu",
    "debian",
    "centos",
    "fedora",
    "rocky",
    "almalinux",
    "redhat",
    "rhel",
    "suse",
    "opensuse",
    "arch",
    "archlinux",
    "alpine",
    "cirros",
    "linux",
    "host",
    "hostname",
    "server",
    "vm",
    "kvm",
    "none",
    "controller",
    "compute",
    "network",
    "node",
    "master",
    "worker",
];

impl HostKey {
    /// The best of the marks of a machine: machine-id, `system-id`, UUID of the hardware. `name` tells
    /// clones of one image apart where that UUID does not; nothing of other hosts counts, so the key
    /// is the same whether a clone is there or not.
    pub fn best(ids: [Option<&str>; 3], name: Option<&str>) -> Option<Self> {
        let [machine, system, hardware] = ids;
        let clone = hardware.or(name.filter(|name| !is_anybodys(name))).unwrap_or_default();
        let machine = machine.map(|id| Self::MachineId(id.into(), clone.into()));
        machine
            .or_else(|| system.map(|id| Self::SystemId(id.into(), clone.into())))
            .or_else(|| hardware.map(|id| Self::DmiUuid(id.into())))
    }

    /// The same for captures of the machine that were saved under other names.
    ///
    /// Where nothing but a name is known, machines of one name are taken for one, unless the name is
    /// one that every machine may have.
    pub fn across_captures(&self) -> Cow<'_, Self> {
        match self {
            Self::Named { name, input } if !input.is_empty() && !is_anybodys(name) => {
                Cow::Owned(Self::Named { name: name.clone(), input: Name::default() })
            }
            _ => Cow::Borrowed(self),
        }
    }
}

/// Whether a name says nothing of a machine, since any may have it.
pub fn is_anybodys(name: &str) -> bool {
    ANYBODY.contains(&name.to_ascii_lowercase().as_str())
}

impl Default for HostKey {
    fn default() -> Self {
        Self::Named { name: Name::default(), input: Name::default() }
    }
}

impl fmt::Display for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MachineId(id, clone) => write_id(f, "machine-id", id, clone),
            Self::SystemId(id, clone) => write_id(f, "system-id", id, clone),
            Self::DmiUuid(id) => write!(f, "dmi:{}", Escaped(id)),
            Self::Named { name, input } if input.is_empty() => write!(f, "host:{}", Escaped(name)),
            Self::Named { name, input } => write!(f, "{}:{}", Escaped(input), Escaped(name)),
        }
    }
}

/// `machine-id:0123`, `machine-id:0123:node2`.
fn write_id(f: &mut fmt::Formatter<'_>, kind: &str, id: &str, clone: &str) -> fmt::Result {
    write!(f, "{kind}:{}", Escaped(id))?;
    if clone.is_empty() { Ok(()) } else { write!(f, ":{}", Escaped(clone)) }
}

/// The text is no key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotAKey;

impl fmt::Display for NotAKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a key")
    }
}
impl std::error::Error for NotAKey {}

impl FromStr for HostKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let (kind, rest) = text.split_once(':').ok_or(NotAKey)?;
        let (rest, clone) = match kind {
            "machine-id" | "system-id" => rest.split_once(':').unwrap_or((rest, "")),
            _ => (rest, ""),
        };
        let value = unescape(rest).ok_or(NotAKey)?;
        let clone = unescape(clone).ok_or(NotAKey)?;
        Ok(match kind {
            "machine-id" => Self::MachineId(value, clone),
            "system-id" => Self::SystemId(value, clone),
            "dmi" => Self::DmiUuid(value),
            "host" => Self::Named { name: value, input: Name::default() },
            input => Self::Named { name: value, input: unescape(input).ok_or(NotAKey)? },
        })
    }
}

impl Serialize for HostKey {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// A part of a key: what separates the parts, `%`, blanks and control characters become `%XX`.
///
/// A part that would read as one of the words before `:` is escaped too, so every key is read back
/// as it was.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reserved = matches!(self.0, "machine-id" | "system-id" | "dmi" | "host");
        for (at, c) in self.0.char_indices() {
            let special = matches!(c, '/' | ':' | '%' | '#' | '@' | '!' | '*');
            if special || c.is_whitespace() || c.is_control() || reserved && at == 0 {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    write!(f, "%{byte:02X}")?;
                }
            } else {
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

/// Undoes [`Escaped`].
pub fn unescape(text: &str) -> Option<Name> {
    if !text.contains('%') {
        return Some(text.into());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        let (hex, rest) = part.split_at_checked(2)?;
        if !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(hex, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    Some(std::str::from_utf8(&bytes).ok()?.into())
}

/// When a host was looked at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct Moment {
    /// Seconds since the epoch at which it began.
    pub epoch: i64,
    /// Only the day is known: a name says it.
    pub day_only: bool,
}

impl Moment {
    /// A moment to the second.
    pub fn at(epoch: i64) -> Self {
        Self { epoch, day_only: false }
    }

    /// A day of the Gregorian calendar; `None` where there is no such day.
    pub fn on_day(year: i64, month: i64, day: i64) -> Option<Self> {
        if !(1970..10_000).contains(&year) || !(1..13).contains(&month) || !(1..32).contains(&day) {
            return None;
        }
        // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": years begin in March.
        let shifted = if month > 2 { year } else { year - 1 };
        let century = shifted.div_euclid(400);
        let of_century = shifted.rem_euclid(400);
        let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let of_era = of_century * 365 + of_century / 4 - of_century / 100 + of_year;
        let days = century * 146_097 + of_era - 719_468;
        let moment = Self { epoch: days * 86_400, day_only: true };
        (moment.date() == (year, month, day)).then_some(moment)
    }

    /// Year, month and day in UTC.
    pub fn date(self) -> (i64, i64, i64) {
        let days = self.epoch.div_euclid(86_400).saturating_add(719_468);
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        (year + era * 400 + i64::from(month <= 2), month, day)
    }

    /// Whether the two may be one moment: within half an hour, or on one day where no more is
    /// known.
    pub fn may_be(self, other: Self) -> bool {
        if self.day_only || other.day_only {
            self.date() == other.date()
        } else {
            self.epoch.abs_diff(other.epoch) <= ONE_MOMENT.unsigned_abs()
        }
    }

    /// With seconds, for two captures within one minute.
    pub fn to_the_second(self) -> String {
        if self.day_only {
            return self.to_string();
        }
        format!("{self}:{:02}", self.epoch.rem_euclid(60))
    }
}

impl fmt::Display for Moment {
    /// `2026-11-22 13:06`, in UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        write!(f, "{year:04}-{month:02}-{day:02}")?;
        if self.day_only {
            return Ok(());
        }
        let minutes = self.epoch.div_euclid(60).rem_euclid(1440);
        write!(f, " {:02}:{:02}", minutes / 60, minutes % 60)
    }
}

/// What tells machines apart.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Marks {
    /// The name that its own texts give it.
    pub name: Option<Name>,
    /// The domain behind that name, in small letters, where a text has the full one.
    pub domain: Option<Name>,
    /// `/etc/machine-id`.
    pub machine_id: Option<Name>,
    /// `system-id` of its Open vSwitch.
    pub system_id: Option<Name>,
    /// UUID of its hardware.
    pub dmi_uuid: Option<Name>,
    /// MACs of its NICs, the permanent ones where known.
    pub nics: BTreeSet<Mac>,
    /// These are all of its NICs: what is not among them is not there.
    pub all_nics: bool,
    /// Names and addresses were replaced (`sos clean`): they tell nothing.
    pub cleaned: bool,
    /// When it was looked at.
    pub taken: Option<Moment>,
}

/// Whether two captures are of one machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kinship {
    /// They are, by this mark.
    One(Mark),
    /// They are not: this mark differs.
    Two(Mark),
    /// Nothing tells.
    Open,
}

/// A mark of a machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// `/etc/machine-id`.
    MachineId,
    /// `system-id` of Open vSwitch.
    SystemId,
    /// UUID of the hardware.
    DmiUuid,
    /// MACs of NICs.
    Nics,
    /// The name.
    Name,
}

impl Marks {
    /// Compares two captures.
    ///
    /// * Different machine ids are two machines, whatever else agrees: a machine that was installed
    ///   anew is another host. Where one of them is not known, different `system-id`s are two, and
    ///   where that tells nothing either, different hardware without two NICs in common.
    /// * Equal ids (machine-id, `system-id`, hardware) are one machine, unless the hardware shows
    ///   that an image was cloned: no NIC in common, and either two names, one time, or another
    ///   board. A machine whose NICs were all replaced keeps its name and was looked at twice. No
    ///   board is replaced while a capture is taken: two boards at one time are two machines.
    /// * Two NICs in common are one machine. One is not.
    /// * One name is one machine where its NICs do not deny it, and the name is none that every
    ///   machine may have. In two domains it is the name of two.
    pub fn compare(&self, other: &Self) -> Kinship {
        let equal = |a: &Option<Name>, b: &Option<Name>| a.is_some() && a == b;
        let differ = |a: &Option<Name>, b: &Option<Name>| a.is_some() && b.is_some() && a != b;
        if differ(&self.machine_id, &other.machine_id) {
            return Kinship::Two(Mark::MachineId);
        }
        let one_id = equal(&self.machine_id, &other.machine_id);
        if !one_id && differ(&self.system_id, &other.system_id) {
            return Kinship::Two(Mark::SystemId);
        }
        let cleaned = self.cleaned || other.cleaned;
        let own_name = self.name.as_deref().is_some_and(|name| !is_anybodys(name));
        let one_name = !cleaned && own_name && equal(&self.name, &other.name);
        let two_names = !cleaned && differ(&self.name, &other.name);
        let common = if cleaned { 0 } else { self.nics.intersection(&other.nics).count() };
        let known = |it: &Self| it.all_nics && !it.nics.is_empty();
        let no_common = !cleaned && known(self) && known(other) && common == 0;
        let two_times = matches!((self.taken, other.taken), (Some(a), Some(b)) if !a.may_be(b));
        let two_boards = differ(&self.dmi_uuid, &other.dmi_uuid);
        let other_hardware = no_common || two_boards && common == 0;
        if other_hardware && (two_names || !two_times) || no_common && two_boards {
            return Kinship::Two(Mark::Nics);
        }
        let one_id = one_id || equal(&self.system_id, &other.system_id);
        let one_time = matches!((self.taken, other.taken), (Some(a), Some(b)) if a.may_be(b));
        if two_boards && (one_time || !one_id && common < COMMON_NICS) {
            return Kinship::Two(Mark::DmiUuid);
        }
        match () {
            () if equal(&self.machine_id, &other.machine_id) => Kinship::One(Mark::MachineId),
            () if equal(&self.system_id, &other.system_id) => Kinship::One(Mark::SystemId),
            () if equal(&self.dmi_uuid, &other.dmi_uuid) => Kinship::One(Mark::DmiUuid),
            () if common >= COMMON_NICS => Kinship::One(Mark::Nics),
            () if !cleaned && differ(&self.domain, &other.domain) => Kinship::Two(Mark::Name),
            () if one_name && !other_hardware => Kinship::One(Mark::Name),
            () => Kinship::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back() {
        for (key, text) in [
            (HostKey::MachineId("0123".into(), "".into()), "machine-id:0123"),
            (HostKey::MachineId("0123".into(), "a:b".into()), "machine-id:0123:a%3Ab"),
            (HostKey::SystemId("a b/c".into(), "".into()), "system-id:a%20b%2Fc"),
            (HostKey::SystemId("a b/c".into(), "host".into()), "system-id:a%20b%2Fc:%68ost"),
            (HostKey::DmiUuid("4c4c".into()), "dmi:4c4c"),
            (HostKey::Named { name: "node2".into(), input: "ip_a".into() }, "ip_a:node2"),
            (HostKey::Named { name: "node2".into(), input: "".into() }, "host:node2"),
            (HostKey::Named { name: "node2".into(), input: "host".into() }, "%68ost:node2"),
            (HostKey::Named { name: "é%".into(), input: "dmi".into() }, "%64mi:é%25"),
            (HostKey::Named { name: "-".into(), input: "-".into() }, "-:-"),
        ] {
            assert_eq!(key.to_string(), text);
            assert_eq!(text.parse(), Ok(key), "{text}");
        }
        for bad in ["", "node2", "a:%", "a:%+1", "a:%ff"] {
            assert_eq!(bad.parse::<HostKey>(), Err(NotAKey), "{bad}");
        }
    }

    #[test]
    fn a_name_alone_is_enough_across_captures() {
        let named =
            |name: &str, input: &str| HostKey::Named { name: name.into(), input: input.into() };
        let of = |key: HostKey| key.across_captures().into_owned();
        assert_eq!(of(named("node2", "before")), named("node2", ""));
        assert_eq!(of(named("LOCALHOST", "before")), named("LOCALHOST", "before"));
        let marked = HostKey::MachineId("0123".into(), "web1".into());
        assert_eq!(of(marked.clone()), marked);
    }

    #[test]
    fn moments_are_dates() {
        for (epoch, text) in [
            (0, "1970-01-01 00:00"),
            (951_782_399, "2000-02-28 23:59"),
            (951_782_400, "2000-02-29 00:00"),
            (1_644_509_957, "2022-02-10 16:19"),
            (4_102_444_800, "2100-01-01 00:00"),
        ] {
            assert_eq!(Moment::at(epoch).to_string(), text);
        }
        assert_eq!(Moment::at(1_644_509_957).to_the_second(), "2022-02-10 16:19:17");
        let day = Moment::on_day(2026, 11, 22).unwrap();
        assert_eq!((day.to_string(), day.epoch % 86_400), ("2026-11-22".to_owned(), 0));
        assert_eq!(Moment::on_day(2026, 2, 29), None);
        assert_eq!(Moment::on_day(2024, 2, 29).unwrap().to_string(), "2024-02-29");
        assert!(day.may_be(Moment::at(day.epoch + 80_000)));
        assert!(!Moment::at(0).may_be(Moment::at(ONE_MOMENT + 1)));
    }

    /// `name machine-id system-id dmi nics day`, with `-` for what is not known.
    fn marks(text: &str) -> Marks {
        let mut words = text.split(' ').map(|part| (part != "-").then(|| Name::from(part)));
        let mut next = || words.next().flatten();
        let mac = |n: &str| Mac([2, 0, 0, 0, 0, n.parse().unwrap()]);
        Marks {
            name: next(),
            domain: None,
            machine_id: next(),
            system_id: next(),
            dmi_uuid: next(),
            nics: next().map(|it| it.split(',').map(mac).collect()).unwrap_or_default(),
            taken: next().map(|it| Moment::at(it.parse::<i64>().unwrap() * 86_400)),
            all_nics: true,
            cleaned: false,
        }
    }

    #[test]
    fn marks_decide_in_their_order() {
        use Kinship::{One, Open, Two};
        for (a, b, kinship) in [
            ("n 1 - - - -", "n 1 - - - -", One(Mark::MachineId)),
            ("n 1 - - - -", "m 1 - - - -", One(Mark::MachineId)),
            ("n 1 - - 1,2 -", "n 2 - - 1,2 -", Two(Mark::MachineId)),
            ("n 1 s h 1,2 -", "n 2 s h 1,2 -", Two(Mark::MachineId)),
            // Clones of an image: two names, or one time.
            ("n 1 - - 1 1", "m 1 - - 2 9", Two(Mark::Nics)),
            ("n 1 - - 1 1", "n 1 - - 2 1", Two(Mark::Nics)),
            ("n 1 - - 1 -", "n 1 - - 2 -", Two(Mark::Nics)),
            ("n 1 - a - 1", "m 1 - b - 1", Two(Mark::Nics)),
            ("n 1 - a 1 1", "n 1 - b 2 9", Two(Mark::Nics)),
            ("n - s - 1 -", "n - t - 1 -", Two(Mark::SystemId)),
            ("n - - a 1 -", "n - - b 1 -", Two(Mark::DmiUuid)),
            ("n - - a 1 1", "n - - b 1 9", Two(Mark::DmiUuid)),
            ("n 1 - a 1,2 1", "n 1 - b 1,2 1", Two(Mark::DmiUuid)),
            // Another board, or another installation of Open vSwitch, of one machine.
            ("n 1 - a 1,2 1", "n 1 - b 1,2 9", One(Mark::MachineId)),
            ("n - - a 1,2 1", "n - - b 1,2 9", One(Mark::Nics)),
            ("n 1 s - 1,2 -", "n 1 t - 1,2 -", One(Mark::MachineId)),
            // All NICs were replaced.
            ("n 1 - - 1 1", "n 1 - - 2 9", One(Mark::MachineId)),
            ("n - s - 1 -", "m - s - 1 -", One(Mark::SystemId)),
            ("n - - h - -", "m - - h - -", One(Mark::DmiUuid)),
            ("n - - - 1,2 -", "m - - - 1,2,3 -", One(Mark::Nics)),
            ("n - - - 1,2 -", "m - - - 2,3 -", Open),
            ("- - - - 1 -", "- - - - 1 -", Open),
            ("n - - - - -", "n - - - - -", One(Mark::Name)),
            ("n - - - 1 -", "n - - - 1 -", One(Mark::Name)),
            ("localhost - - - 1 -", "localhost - - - 1 -", Open),
            ("localhost - - - 1,2 -", "localhost - - - 1,2 -", One(Mark::Nics)),
            ("n - - - 1 -", "n - - - 2 -", Two(Mark::Nics)),
            ("n - - - 1 1", "n - - - 2 9", Open),
            ("n - - - - -", "m - - - - -", Open),
            ("- - - - - -", "- - - - - -", Open),
        ] {
            assert_eq!(marks(a).compare(&marks(b)), kinship, "{a} / {b}");
            assert_eq!(marks(b).compare(&marks(a)), kinship, "{b} / {a}");
        }
    }

    #[test]
    fn one_name_in_two_domains_is_two_machines() {
        let of = |domain: &str, text: &str| Marks { domain: Some(domain.into()), ..marks(text) };
        let (one, other) = ("a.example", "b.example");
        for (text, kinship) in [
            ("n - - - - -", Kinship::Two(Mark::Name)),
            ("n - - - 1,2 -", Kinship::One(Mark::Nics)),
            ("n 1 - - - -", Kinship::One(Mark::MachineId)),
        ] {
            assert_eq!(of(one, text).compare(&of(other, text)), kinship, "{text}");
            let same = of(one, text).compare(&of(one, text));
            assert!(matches!(same, Kinship::One(_)), "{text}");
        }
        let short = of(one, "n - - - - -").compare(&marks("n - - - - -"));
        assert_eq!(short, Kinship::One(Mark::Name));
    }

    #[test]
    fn nics_that_were_not_captured_deny_nothing() {
        let some = Marks { all_nics: false, ..marks("n 1 - - 1 -") };
        assert_eq!(some.compare(&marks("n 1 - - 2 -")), Kinship::One(Mark::MachineId));
    }

    #[test]
    fn names_and_addresses_of_cleaned_reports_tell_nothing() {
        let cleaned = Marks { cleaned: true, ..marks("host0 - - - 1,2 -") };
        assert_eq!(cleaned.compare(&marks("host0 - - - 1,2 -")), Kinship::Open);
        let cleaned = Marks { cleaned: true, ..marks("host0 1 - - 3 -") };
        assert_eq!(cleaned.compare(&marks("node2 1 - - 1,2 -")), Kinship::One(Mark::MachineId));
    }
}
