//! The only place that asks what time it is.

use jiff::ZonedDateTime;

use crate::palace::Timestamp;
use crate::palace::moment::Moment;

/// Returns the present moment in local time.
pub fn now() -> Moment {
    let now = ZonedDateTime::now();
    Moment {
        utc: Timestamp(now.timestamp().as_millisecond()),
        local: now.strftime("%Y-%m-%dT%H:%M:%S.%6f").to_string(),
    }
}

/// Returns UTC seconds since 1970.
pub fn unix_seconds() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// Returns a time as RFC 3339 in UTC, to the second.
pub fn rfc3339(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default()
}
