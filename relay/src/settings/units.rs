//! Values with units, as people write them in flags, environment variables and the settings file.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

/// A length of time: `10` or `10s` are seconds, and `250ms`, `2m`, `1h` say their unit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Period(pub Duration);

/// A number of bytes: `4096`, or with a unit `64KiB`, `8MiB`, `1GiB`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ByteCount(pub u64);

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = split_unit(text);
        let number: f64 =
            number.parse().map_err(|_| format!("{text:?} is no period: a number with s, ms, m or h is expected"))?;
        let seconds = match unit {
            "" | "s" => number,
            "ms" => number / 1000.0,
            "m" => number * 60.0,
            "h" => number * 3600.0,
            other => return Err(format!("unknown unit of time {other:?}: ms, s, m and h are known")),
        };
        Duration::try_from_secs_f64(seconds).map(Self).map_err(|error| format!("{text:?}: {error}"))
    }
}

impl FromStr for ByteCount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = split_unit(text);
        let number: u64 = number.parse().map_err(|_| format!("{text:?} is no number of bytes"))?;
        let scale = match unit {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            other => return Err(format!("unknown unit {other:?}: B, KiB, MiB and GiB are known")),
        };
        number.checked_mul(scale).map(Self).ok_or_else(|| format!("{text:?} is more than can be counted"))
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    (text[..end].trim_end(), &text[end..])
}

impl fmt::Display for Period {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.0)
    }
}

impl fmt::Display for ByteCount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, scale) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
            if self.0 > 0 && self.0.is_multiple_of(scale) {
                return write!(formatter, "{}{unit}", self.0 / scale);
            }
        }
        write!(formatter, "{}", self.0)
    }
}

/// A number or a text: TOML has both, and people use either.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Whole(u64),
    Fraction(f64),
    Text(String),
}

impl Written {
    fn parse<T: FromStr<Err = String>, E: de::Error>(self) -> Result<T, E> {
        match self {
            Written::Whole(number) => number.to_string().parse(),
            Written::Fraction(number) => number.to_string().parse(),
            Written::Text(text) => text.parse(),
        }
        .map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Written::deserialize(deserializer)?.parse()
    }
}

impl<'de> Deserialize<'de> for ByteCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Written::deserialize(deserializer)?.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_and_byte_counts_parse() {
        for (text, expected) in
            [("10", 10_000), ("10s", 10_000), ("0.5", 500), ("250ms", 250), ("2m", 120_000), ("1h", 3_600_000)]
        {
            assert_eq!(text.parse::<Period>().unwrap().0, Duration::from_millis(expected), "{text}");
        }
        for (text, expected) in [("0", 0), ("4096", 4096), ("64KiB", 65_536), ("8 MiB", 8 << 20), ("1GiB", 1 << 30)] {
            assert_eq!(text.parse::<ByteCount>().unwrap().0, expected, "{text}");
        }
        for text in ["", "s", "-1", "10 days", "1e999"] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
        for text in ["", "KiB", "-1", "1.5", "1KB", "99999999999GiB"] {
            assert!(text.parse::<ByteCount>().is_err(), "{text}");
        }
    }
}
