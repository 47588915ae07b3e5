//! When the next backup is due. Pure: times and positions are handed in.

/// Longest pause after a backup that failed.
const RETRY_MS: i64 = 60 * 60 * 1_000;

/// What is known of the backups of a palace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// When the last one was taken, milliseconds UTC.
    pub last_at: Option<i64>,
    /// When the last attempt failed, if it did.
    pub failed_at: Option<i64>,
    /// Where the store stood after the last attempt that succeeded, if there was one since the daemon began.
    pub seen_seq: Option<u64>,
}

/// Tells whether a backup is due for a store that stands at `seq`.
pub fn is_due(every_ms: i64, known: Known, seq: u64, now: i64) -> bool {
    // A clock that was set back by more than a period must not put backups off for as long.
    let since = |then: i64| now.abs_diff(then) >= every_ms.unsigned_abs();
    let changed = seq > 0 && known.seen_seq != Some(seq);
    let retried =
        known.failed_at.is_none_or(|failed| now.abs_diff(failed) >= every_ms.min(RETRY_MS).unsigned_abs());
    changed && retried && known.last_at.is_none_or(since)
}
