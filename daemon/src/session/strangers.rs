//! The places for connections that have not said hello: few, because each holds a descriptor.
//!
//! Invariant: silence keeps nobody out. When all places are taken, the connection that has been silent for longest makes
//! room for the next one, once it has had a moment: whoever has something to say has said it by then.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Connections that may be without a hello at the same time.
const PLACE_COUNT: usize = 64;
/// How long one is left alone although others wait.
const MOMENT: Duration = Duration::from_millis(50);

struct Place {
    number: u64,
    since: Instant,
    sent_away: CancellationToken,
}

#[derive(Default)]
struct Places {
    last_number: u64,
    /// By age.
    taken: VecDeque<Place>,
}

/// The places of a listener.
#[derive(Default)]
pub struct Strangers {
    /// Guards single looks and changes; never held across anything that waits.
    places: Mutex<Places>,
    freed: Notify,
}

/// A connection's place, given back when it is dropped.
pub struct Stranger {
    strangers: Arc<Strangers>,
    number: u64,
    sent_away: CancellationToken,
}

impl Strangers {
    /// Waits for a place, sending somebody away for it if that is needed.
    pub async fn enter(self: &Arc<Self>) -> Stranger {
        loop {
            let wait = match self.try_enter() {
                Ok(stranger) => return stranger,
                Err(wait) => wait,
            };
            tokio::select! {
                () = self.freed.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Takes a place, or returns how long the oldest connection is still left alone.
    fn try_enter(self: &Arc<Self>) -> Result<Stranger, Duration> {
        let mut places = self.places.lock();
        if places.taken.len() >= PLACE_COUNT
            && let Some(oldest) = places.taken.front()
        {
            let silent = oldest.since.elapsed();
            if silent < MOMENT {
                return Err(MOMENT - silent);
            }
            oldest.sent_away.cancel();
            places.taken.pop_front();
        }
        places.last_number += 1;
        let number = places.last_number;
        let sent_away = CancellationToken::new();
        let place = Place { number, since: Instant::now(), sent_away: sent_away.clone() };
        places.taken.push_back(place);
        Ok(Stranger { strangers: Arc::clone(self), number, sent_away })
    }
}

impl Stranger {
    /// Ends when the place is needed for another connection.
    pub async fn sent_away(&self) {
        self.sent_away.cancelled().await;
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.strangers.places.lock().taken.retain(|place| place.number != self.number);
        self.strangers.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_longest_silence_makes_room_after_a_moment() {
        let strangers = Arc::new(Strangers::default());
        let mut seated = Vec::new();
        for _ in 0..PLACE_COUNT {
            seated.push(strangers.enter().await);
        }
        assert!(strangers.try_enter().is_err(), "each has its moment");
        let late = strangers.enter().await;
        let away: Vec<bool> = seated.iter().map(|stranger| stranger.sent_away.is_cancelled()).collect();
        assert!(away[0] && !away[1..].contains(&true), "{away:?}");
        drop((late, seated.pop()));
        assert!(strangers.try_enter().is_ok(), "a place that was given back is free");
    }
}
