//! How old the things are that lines show.
use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_core::records::{Batch, Field};
use tapline_core::span::{Evidence, SourceId, Span};

use super::super::side::Side;

/// `idle_age` and ages of neighbours beyond this are not counted on.
const OLDEST: f64 = 1e10;

/// The ages that the lines of one host tell, in seconds: of flows since they were set, of neighbours since
/// they were changed, of learnt addresses since they were seen there.
#[derive(Debug, Default)]
pub(super) struct Ages(BTreeMap<(SourceId, u32), i64>);

impl Ages {
    /// Of one host.
    pub(super) fn of(side: &Side<'_, '_>, host: HostId) -> Self {
        let mut ages = Self::default();
        for (source, batch) in side.texts(host) {
            let mut add = |at: Span, age: Option<f64>| {
                #[expect(clippy::cast_possible_truncation, reason = "just bounded")]
                let age = age.filter(|age| (0.0..OLDEST).contains(age)).map(|age| age as i64);
                ages.0.extend(age.map(|age| ((source.id, at.start), age)));
            };
            match batch {
                Batch::Flows(flows) => {
                    for it in flows {
                        add(it.at, it.hard_age.map(f64::from).or(it.duration));
                    }
                }
                Batch::Neighbours(neighbours) => {
                    for it in neighbours {
                        add(it.at, of_times(&it.other, 2));
                    }
                }
                Batch::Fdb(entries) => {
                    for it in entries {
                        add(it.at, of_times(&it.other, 1));
                    }
                }
                Batch::OvsFdb(entries) => {
                    for it in entries {
                        add(it.at, it.age.map(f64::from));
                    }
                }
                _ => {}
            }
        }
        ages
    }

    /// Of the thing that a line shows.
    pub(super) fn get(&self, at: Evidence) -> Option<i64> {
        self.0.get(&(at.source, at.span.start)).copied()
    }
}

/// One of the times of `used 4/183/0`: used, confirmed and updated of a neighbour; used and updated of an
/// entry of a bridge, which each frame from the address updates.
fn of_times(fields: &[Field], nth: usize) -> Option<f64> {
    let times = Field::find(fields, "used")?;
    let parts: Vec<f64> = times.split('/').map_while(|part| part.parse().ok()).collect();
    parts.get(nth.min(parts.len().checked_sub(1)?)).copied()
}
