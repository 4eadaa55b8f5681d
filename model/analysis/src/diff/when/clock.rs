//! The clock of one capture of a host: when each text was taken, and since when the host runs.
use tapline_core::capture::HostId;
use tapline_core::records::Batch;
use tapline_core::records::host::Fact;
use tapline_core::span::{Evidence, SourceId};

use super::super::side::Side;
use super::wall;

/// Seconds by which readings of one start of a host may differ: `uptime` tells minutes, and a capture takes
/// its time.
const SLACK: i64 = 180;

/// What one capture of a host tells of time.
#[derive(Debug, Default)]
pub(in super::super) struct Clock {
    /// When it was taken, in seconds since the epoch.
    pub(super) taken: Option<i64>,
    /// Seconds that the host had been up.
    pub(super) uptime: Option<(i64, Evidence)>,
    /// Which run of the kernel it is.
    boot: Option<String>,
    /// What `date` printed, as the clock on the wall showed it, and the seconds since the epoch where
    /// the zone is known.
    date: Option<Shown>,
}

/// What a clock showed.
#[derive(Clone, Copy, Debug)]
struct Shown {
    /// Seconds since 1970 by the clock on the wall, whatever its zone.
    wall: Option<i64>,
    /// Seconds since the epoch.
    epoch: Option<i64>,
    /// The text.
    source: SourceId,
}

/// Whether two captures are of one run of the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Run {
    /// They are; so many seconds lie between them, where that is known.
    One(Option<i64>),
    /// The host was started between them.
    Two,
    /// Nothing tells.
    Unknown,
}

impl Clock {
    /// Of one host.
    pub(in super::super) fn of(side: &Side<'_, '_>, host: HostId) -> Self {
        let taken = side.snapshot().host(host).and_then(|host| host.taken);
        let mut clock = Self {
            taken: taken.filter(|taken| !taken.day_only).map(|taken| taken.epoch),
            ..Self::default()
        };
        let nics = side.network.nics();
        let uptime = nics.uptime(host).and_then(|seconds| i64::try_from(seconds).ok());
        clock.uptime = uptime.zip(nics.uptime_line(host));
        for (source, batch) in side.texts(host) {
            match batch {
                Batch::HostFacts(facts) => {
                    for it in facts {
                        if let (Fact::Date { text, epoch }, None) = (&it.fact, clock.date) {
                            let wall = wall::read(text);
                            clock.date = Some(Shown { wall, epoch: *epoch, source: source.id });
                        }
                    }
                }
                Batch::Sysctls(settings) => {
                    let id = settings.iter().find(|it| it.key.value == "kernel.random.boot_id");
                    if let (Some(id), None) = (id, &clock.boot) {
                        clock.boot = Some(id.value.value.to_string());
                    }
                }
                _ => {}
            }
        }
        clock
    }

    /// When a text was taken, in seconds since the epoch.
    pub(super) fn at(&self, side: &Side<'_, '_>, source: SourceId) -> Option<i64> {
        let taken = side.snapshot().source(source)?.taken;
        #[expect(clippy::cast_possible_truncation, reason = "just bounded")]
        let taken = taken.filter(|taken| (0.0..1e11).contains(taken)).map(|taken| taken as i64);
        taken.or(self.taken)
    }

    /// How many seconds ago the clock on the wall showed a time.
    pub(super) fn since_wall(&self, wall: i64) -> Option<i64> {
        Some(self.date?.wall?.saturating_sub(wall)).filter(|ago| *ago >= 0)
    }

    /// What the clock on the wall shows.
    pub(super) fn wall(&self) -> Option<i64> {
        self.date?.wall
    }

    /// How many seconds ago it was so many seconds since the epoch.
    pub(super) fn since(&self, epoch: i64) -> Option<i64> {
        let now = self.date.and_then(|date| date.epoch).or(self.taken)?;
        Some(now.saturating_sub(epoch)).filter(|ago| *ago >= 0)
    }

    /// When it was so many seconds ago as the clock was read.
    pub(super) fn ago(&self, side: &Side<'_, '_>, seconds: i64) -> Option<i64> {
        let now = self.date.and_then(|date| self.at(side, date.source)).or(self.taken)?;
        Some(now.saturating_sub(seconds))
    }

    /// When the host was started, in seconds since the epoch.
    pub(super) fn started(&self) -> Option<i64> {
        Some(self.taken?.saturating_sub(self.uptime?.0))
    }

    /// Whether another capture, of later, is of the same run of the kernel.
    pub(in super::super) fn run(&self, later: &Self) -> Run {
        let apart = self.taken.zip(later.taken).map(|(old, new)| new.saturating_sub(old));
        let apart = apart.filter(|seconds| *seconds >= 0);
        if let (Some(old), Some(new)) = (&self.boot, &later.boot) {
            return if old == new { Run::One(apart) } else { Run::Two };
        }
        match (later.uptime.map(|it| it.0), apart) {
            // It ran already when the old capture was taken, or not yet.
            (Some(now), Some(apart)) if now > apart.saturating_add(SLACK) => Run::One(Some(apart)),
            (Some(now), Some(apart)) if now.saturating_add(SLACK) < apart => Run::Two,
            (Some(_), Some(apart)) => match self.started().zip(later.started()) {
                Some((old, new)) if old.abs_diff(new) <= SLACK.unsigned_abs() => {
                    Run::One(Some(apart))
                }
                _ => Run::Unknown,
            },
            (Some(now), None) if self.uptime.is_some_and(|was| now < was.0) => Run::Two,
            _ => Run::Unknown,
        }
    }
}
