//! What stays of a document's past: which snapshots, and whether the log.
//!
//! Of the snapshots that folds made, those are kept that are the newest of their hour, for a day, or of their day, for a
//! month; who is named stays for ever. So a document costs at most about 55 snapshots beside the newest and the named.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A step of thinning: of every period the newest snapshot, while it is not older than that.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tier {
    /// One snapshot in each of these, counted from the Unix epoch; not zero.
    pub every: Duration,
    /// For this long.
    pub keep_for: Duration,
}

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What stays of one document's past.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Retention {
    /// Which snapshots stay: those that any tier keeps, and all that are named. None: the newest and the named alone.
    pub tiers: Vec<Tier>,
    /// Whether the rows that a snapshot covers stay too.
    pub whole_log: bool,
}

impl Retention {
    /// Every hour for a day, every day for thirty days.
    pub fn standard() -> Self {
        let tiers = vec![Tier { every: HOUR, keep_for: DAY }, Tier { every: DAY, keep_for: 30 * DAY }];
        Self { tiers, whole_log: false }
    }

    /// Which of `snapshots` go at `now_millis`: their places. The newest must not be among them. Thinning again and again gives
    /// what thinning once at the end gives.
    pub fn thin(&self, now_millis: u64, snapshots: &[Kept]) -> Vec<usize> {
        let stays = |index: usize, kept: &Kept| {
            kept.is_named
                || self.tiers.iter().any(|tier| {
                    let every = millis(tier.every).max(1);
                    let bucket = kept.taken_millis / every;
                    let newer = |(other_index, other): (usize, &Kept)| {
                        (other.taken_millis, other_index) > (kept.taken_millis, index)
                            && other.taken_millis / every == bucket
                    };
                    now_millis.saturating_sub(kept.taken_millis) <= millis(tier.keep_for)
                        && !snapshots.iter().enumerate().any(newer)
                })
        };
        snapshots.iter().enumerate().filter(|(index, kept)| !stays(*index, kept)).map(|(index, _)| index).collect()
    }
}

/// What thinning looks at of a snapshot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Kept {
    /// When it was taken: milliseconds since the Unix epoch.
    pub taken_millis: u64,
    /// Whether somebody gave it a name.
    pub is_named: bool,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

type Rule = dyn Fn(&str) -> Retention + Send + Sync;
type Clock = dyn Fn() -> u64 + Send + Sync;

/// What stays of which document, and the time that it is counted in.
#[derive(Clone)]
pub struct HistoryRules {
    rule: Arc<Rule>,
    clock: Arc<Clock>,
}

impl Default for HistoryRules {
    /// Nothing but what is named.
    fn default() -> Self {
        Self::new(|_| Retention::default())
    }
}

impl fmt::Debug for HistoryRules {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HistoryRules").finish_non_exhaustive()
    }
}

impl HistoryRules {
    /// Asks `rule` for each document by its name, on the machine's clock.
    pub fn new(rule: impl Fn(&str) -> Retention + Send + Sync + 'static) -> Self {
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis);
        Self { rule: Arc::new(rule), clock: Arc::new(clock) }
    }

    /// The same on another clock, which gives milliseconds since the Unix epoch.
    #[must_use]
    pub fn on_clock(self, clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    pub(crate) fn of(&self, name: &str) -> Retention {
        (self.rule)(name)
    }

    pub(crate) fn now_millis(&self) -> u64 {
        (self.clock)()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;

    fn at(taken_millis: u64) -> Kept {
        Kept { taken_millis, is_named: false }
    }

    /// What stays after a snapshot at each of `times`, thinned every time: the newest is no part of it.
    fn life(retention: &Retention, times: impl IntoIterator<Item = Kept>) -> Vec<Kept> {
        let mut history: Vec<Kept> = Vec::new();
        for new in times {
            let gone = retention.thin(new.taken_millis, &history);
            let mut index = 0;
            history.retain(|_| {
                index += 1;
                !gone.contains(&(index - 1))
            });
            history.push(new);
        }
        history.pop();
        history
    }

    #[test]
    fn hours_for_a_day_and_days_for_a_month() {
        let start = 20_000 * DAY;
        // Every ten minutes for 40 days.
        let times: Vec<u64> = (0..40 * 144).map(|step| start + step * 10 * MINUTE).collect();
        let now = *times.last().expect("there are some");
        let left = life(&Retention::standard(), times.iter().copied().map(at));
        let ages: Vec<u64> = left.iter().map(|kept| now - kept.taken_millis).collect();
        // The newest of each hour for a day, and the newest of each day before.
        let hourly = ages.iter().filter(|age| **age <= DAY).count();
        assert!((24..=25).contains(&hourly), "{hourly}");
        let daily: Vec<u64> =
            left.iter().filter(|kept| now - kept.taken_millis > DAY).map(|kept| kept.taken_millis).collect();
        assert!((28..=30).contains(&daily.len()), "{}", daily.len());
        for taken in daily {
            assert_eq!(taken % DAY, DAY - 10 * MINUTE, "it is the last of its day");
        }
        assert!(ages.iter().all(|age| *age <= 30 * DAY));
    }

    #[test]
    fn a_name_holds_for_ever_and_no_tier_keeps_nothing_else() {
        let named = Kept { taken_millis: 5, is_named: true };
        let times = [named, at(10), at(400 * DAY), at(400 * DAY + 1)];
        assert_eq!(life(&Retention::standard(), times), [named, at(400 * DAY)]);
        assert_eq!(life(&Retention::default(), times.into_iter().chain([at(401 * DAY)])), [named]);
    }

    #[test]
    fn thinning_often_is_thinning_once() {
        let mut random = 7_u64;
        for _ in 0..200 {
            let mut times = Vec::new();
            let mut now = 20_000 * DAY;
            for _ in 0..120 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                now += (random >> 33) % (14 * HOUR);
                times.push(Kept { taken_millis: now, is_named: (random >> 20).is_multiple_of(31) });
            }
            let often = life(&Retention::standard(), times.iter().copied());
            let all = &times[..times.len() - 1];
            let gone = Retention::standard().thin(now, all);
            let once: Vec<Kept> =
                all.iter().enumerate().filter(|(index, _)| !gone.contains(index)).map(|(_, kept)| *kept).collect();
            // The last before the newest is thinned with the next one.
            let often: Vec<Kept> = {
                let gone = Retention::standard().thin(now, &often);
                often.iter().enumerate().filter(|(index, _)| !gone.contains(index)).map(|(_, kept)| *kept).collect()
            };
            assert_eq!(often, once);
        }
    }
}
