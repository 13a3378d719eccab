//! [`now`]: the time as records and store entries have it.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Now, as RFC 3339 in UTC, to the second: `2026-05-01T12:00:00Z`.
pub fn now() -> String {
    // Fractions of a second are useless to a reader.
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(0).unwrap_or(now).format(&Rfc3339).unwrap_or_else(|_| "unknown".to_owned())
}
