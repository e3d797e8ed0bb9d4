//! What stays of documents' past, as the settings say it.

use std::str::FromStr;
use std::time::Duration;

use inkwire_storage::retention::Tier;
use inkwire_storage::{HistoryRules, Retention};
use serde::Deserialize;

use crate::settings::Period;
use crate::token::Pattern;

/// The most steps of thinning.
const MAX_TIERS: usize = 8;

/// A step of thinning, as people write it: `1h:1d` keeps one snapshot of every hour for a day.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
pub struct Step(pub Tier);

impl FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(':').ok_or_else(|| {
            format!("{text:?} is no step of thinning: EVERY:FOR is expected, as 1h:1d for one snapshot of every hour for a day")
        })?;
        let (every, keep_for) = (period(parts.0)?, period(parts.1)?);
        if every.is_zero() || keep_for < every {
            return Err(format!("{text:?}: a snapshot of every period is kept for at least as long as that"));
        }
        Ok(Self(Tier { every, keep_for }))
    }
}

impl TryFrom<String> for Step {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// A period, or a number of days: `30d`.
fn period(text: &str) -> Result<Duration, String> {
    match text.trim().strip_suffix('d') {
        Some(days) => {
            let days: u32 = days.parse().map_err(|_| format!("{text:?} is no number of days"))?;
            Ok(Duration::from_secs(24 * 3600) * days)
        }
        None => text.parse().map(|Period(period)| period),
    }
}

/// What stays of which document.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    tiers: Vec<Tier>,
    whole_logs: Vec<Pattern>,
}

impl Default for History {
    fn default() -> Self {
        Self { tiers: Retention::standard().tiers, whole_logs: Vec::new() }
    }
}

impl History {
    /// From the settings: without steps, every hour for a day and every day for thirty; without patterns, no whole log.
    ///
    /// # Errors
    /// When there are too many steps, or a pattern is none.
    pub fn new(steps: Option<Vec<Step>>, whole_logs: &[String]) -> Result<Self, String> {
        let tiers = match steps {
            None => Retention::standard().tiers,
            Some(steps) => steps.into_iter().map(|Step(tier)| tier).collect(),
        };
        if tiers.len() > MAX_TIERS {
            return Err(format!("--keep-snapshots has {} steps, at most {MAX_TIERS} are allowed", tiers.len()));
        }
        let pattern = |text: &String| text.parse().map_err(|error| format!("--keep-log: {error}"));
        Ok(Self { tiers, whole_logs: whole_logs.iter().map(pattern).collect::<Result<_, _>>()? })
    }

    /// All of it.
    pub fn everything() -> Self {
        let every = Tier { every: Duration::from_millis(1), keep_for: Duration::MAX };
        // A pattern that is one.
        Self { tiers: vec![every], whole_logs: "**".parse().into_iter().collect() }
    }

    /// What stays of the document called `name`.
    pub fn of(&self, name: &str) -> Retention {
        Retention { tiers: self.tiers.clone(), whole_log: self.whole_logs.iter().any(|pattern| pattern.matches(name)) }
    }

    /// The rules for a store.
    pub fn rules(&self) -> HistoryRules {
        let history = self.clone();
        HistoryRules::new(move |name| history.of(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_say_what_stays() {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        let steps = ["1h:1d", "30m:2h"].map(|step| step.parse().unwrap());
        let history = History::new(Some(steps.to_vec()), &["law/**".to_owned(), "acme/plan".to_owned()]).unwrap();
        let expected =
            vec![Tier { every: hours(1), keep_for: hours(24) }, Tier { every: hours(1) / 2, keep_for: hours(2) }];
        for (name, whole_log) in [("law/a/b", true), ("acme/plan", true), ("acme/plans", false)] {
            assert_eq!(history.of(name), Retention { tiers: expected.clone(), whole_log }, "{name}");
        }
        assert_eq!(History::new(None, &[]).unwrap(), History::default());
        assert!(History::new(Some(Vec::new()), &[]).unwrap().of("a").tiers.is_empty());
        assert!(History::new(None, &["a//b".to_owned()]).is_err());
        for wrong in ["", "1h", "0s:1h", "2h:1h", "x:1d", "1h:-1d"] {
            assert!(wrong.parse::<Step>().is_err(), "{wrong}");
        }
    }
}
