//! Instants in `DATETIME` columns: wall clock, without a zone.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit};

use crate::sql::CellError;

/// Writes and reads instants as the wall clock of one zone, to the millisecond. In the hour that the end of summer time
/// repeats, the wall clock is ambiguous: it is read as the first of the two.
#[derive(Clone, Debug)]
pub struct Stamps {
    zone: TimeZone,
}

impl Stamps {
    /// Of this zone.
    pub fn new(zone: TimeZone) -> Self {
        Self { zone }
    }

    /// `2026-11-21 08:30:00.250`.
    pub fn write(&self, at: Timestamp) -> String {
        let wall = at.to_zoned(self.zone.clone()).datetime();
        let milliseconds = wall.subsec_nanosecond() / 1_000_000;
        format!("{}.{milliseconds:03}", wall.strftime("%Y-%m-%d %H:%M:%S"))
    }

    /// Reads it back.
    pub fn read(&self, text: &str) -> Result<Timestamp, CellError> {
        let wall: DateTime = text.parse().map_err(|_| format!("no date and time: {text:?}"))?;
        let zoned = self.zone.to_zoned(wall).map_err(|error| error.to_string())?;
        zoned.timestamp().round(Unit::Millisecond).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_the_wall_clock_of_the_zone() {
        let stamps = |name: &str| Stamps::new(TimeZone::get(name).unwrap());
        let at: Timestamp = "2026-11-21T08:30:00.2509Z".parse().unwrap();
        assert_eq!(stamps("UTC").write(at), "2026-11-21 08:30:00.250");
        let written = stamps("Asia/Shanghai").write(at);
        assert_eq!(written, "2026-11-21 16:30:00.250");
        assert_eq!(stamps("Asia/Shanghai").read(&written).unwrap().to_string(), "2026-11-21T08:30:00.25Z");
        assert_eq!(stamps("UTC").read("2026-01-01 00:00:00").unwrap().to_string(), "2026-01-01T00:00:00Z");
        assert!(stamps("UTC").read("0000-00-00 00:00:00").is_err());
    }
}
