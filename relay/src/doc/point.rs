//! A point of a document's past, as people write it.

use std::fmt;
use std::str::FromStr;

use inkwire_document::{Actor, VersionVector};
use time::format_description::well_known::Rfc3339;
use time::{Date, OffsetDateTime};

/// Which state of a document is meant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Point {
    /// What was there at a time: milliseconds since the Unix epoch.
    Time(u64),
    /// The snapshot that has the name.
    Name(String),
    /// The snapshot that has the number.
    Number(u64),
    /// Exactly what the vector covers.
    Vector(VersionVector),
}

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix("name:") {
            return Ok(Self::Name(name.to_owned()));
        }
        if let Some(number) = text.strip_prefix('#') {
            let number = number.parse().map_err(|_| format!("{text:?}: after # comes the number of a snapshot"))?;
            return Ok(Self::Number(number));
        }
        if let Some(millis) = parse_time(text) {
            return Ok(Self::Time(millis));
        }
        if let Some(vector) = parse_vector(text) {
            return Ok(Self::Vector(vector));
        }
        match text {
            "" => Err("a time, a snapshot's name or a version vector is expected".to_owned()),
            name => Ok(Self::Name(name.to_owned())),
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(millis) => formatter.write_str(&time_text(*millis)),
            Self::Name(name) => write!(formatter, "name:{name}"),
            Self::Number(number) => write!(formatter, "#{number}"),
            Self::Vector(vector) => formatter.write_str(&vector_text(vector)),
        }
    }
}

/// A vector as `actor:counter,…`, actors in hexadecimal; an empty one is `0:0`.
pub fn vector_text(vector: &VersionVector) -> String {
    if vector.dots.is_empty() {
        return "0:0".to_owned();
    }
    let entries: Vec<String> = vector.dots.iter().map(|(actor, counter)| format!("{:x}:{counter}", actor.0)).collect();
    entries.join(",")
}

fn parse_vector(text: &str) -> Option<VersionVector> {
    let mut vector = VersionVector::new();
    for entry in text.split(',') {
        let (actor, counter) = entry.trim().split_once(':')?;
        let (actor, counter) = (u64::from_str_radix(actor, 16).ok()?, counter.parse().ok()?);
        if counter > 0 {
            vector.dots.insert(Actor(actor), counter);
        }
    }
    Some(vector)
}

/// A time as RFC 3339 writes it, to the millisecond, in UTC.
pub fn time_text(millis: u64) -> String {
    let nanos = i128::from(millis) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok().and_then(|time| time.format(&Rfc3339).ok());
    time.unwrap_or_else(|| format!("{millis} ms after 1970"))
}

/// A time of RFC 3339, or a date, which means its first moment in UTC.
fn parse_time(text: &str) -> Option<u64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok().or_else(|| {
        let mut parts = text.splitn(3, '-');
        let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
        let month = time::Month::try_from(month.parse::<u8>().ok()?).ok()?;
        let date = Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?).ok()?;
        Some(date.midnight().assume_utc())
    })?;
    u64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_read_and_written() {
        let vector = |entries: &[(u64, u64)]| {
            let dots = entries.iter().map(|(actor, counter)| (Actor(*actor), *counter)).collect();
            Point::Vector(VersionVector { dots })
        };
        for (text, expected, written) in [
            ("2026-11-24T10:00:00Z", Point::Time(1_795_514_400_000), "2026-11-24T10:00:00Z"),
            ("2026-11-24T11:00:00.25+01:00", Point::Time(1_795_514_400_250), "2026-11-24T10:00:00.25Z"),
            ("2026-11-24", Point::Time(1_795_478_400_000), "2026-11-24T00:00:00Z"),
            ("name:2026-11-24", Point::Name("2026-11-24".to_owned()), "name:2026-11-24"),
            ("first draft", Point::Name("first draft".to_owned()), "name:first draft"),
            ("2026-13-24", Point::Name("2026-13-24".to_owned()), "name:2026-13-24"),
            ("#12", Point::Number(12), "#12"),
            ("a:3,1f:7", vector(&[(10, 3), (31, 7)]), "a:3,1f:7"),
            ("0:0", vector(&[]), "0:0"),
        ] {
            let point: Point = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(point, expected, "{text}");
            assert_eq!(point.to_string(), written, "{text}");
            assert_eq!(written.parse(), Ok(point), "{text}");
        }
        for wrong in ["", "#", "#x"] {
            assert!(wrong.parse::<Point>().is_err(), "{wrong}");
        }
    }
}
