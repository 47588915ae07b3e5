//! Looks after the derived indexes: builds the graph when there are enough vectors for one, and saves both from time to
//! time, so that a start after a crash replays little.
//!
//! Losing a snapshot costs start-up time, never data; so a failure here is kept for status and tried again later.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;

use crate::engine::{Reader, SnapshotError};

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(60);
/// Changed rows that are worth a new snapshot, at least: a start replays them in a tenth of a second.
const CHANGE_COUNT_MIN: u64 = 500;
/// Part of all rows that must have changed in a large palace, whose snapshots take long to write.
const CHANGED_SHARE_MIN: u64 = 50;

/// The handle to the upkeep thread.
pub struct Upkeep {
    stop: Sender<()>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    last_error: Arc<Mutex<Option<String>>>,
}

impl Upkeep {
    /// Starts the thread.
    pub fn start(reader: Reader) -> Self {
        let (stop, stopped) = bounded::<()>(1);
        let last_error = Arc::new(Mutex::new(None));
        let noted = Arc::clone(&last_error);
        let thread = std::thread::Builder::new()
            .name("upkeep".into())
            .spawn(move || {
                loop {
                    *noted.lock() = look_after(&reader, &stopped).err().map(|error| error.to_string());
                    if stopped.recv_timeout(INTERVAL) != Err(RecvTimeoutError::Timeout) {
                        return;
                    }
                }
            })
            .expect("the system can start one more thread");
        Self { stop, thread: Mutex::new(Some(thread)), last_error }
    }

    /// Returns why the last snapshot was not saved, if it was not.
    pub fn last_error(&self) -> Option<String> {
        self.last_error.lock().clone()
    }

    /// Ends the thread and waits for it. Blocks while a snapshot is being written.
    pub fn stop(&self) {
        // A full or closed channel means it is stopping already.
        let _ = self.stop.try_send(());
        if let Some(thread) = self.thread.lock().take() {
            // A panic there has been reported by the panic hook and costs a snapshot only.
            let _ = thread.join();
        }
    }
}

/// Does what is due. Building a graph takes seconds to minutes and is given up when the palace closes.
fn look_after(reader: &Reader, stopped: &Receiver<()>) -> Result<(), SnapshotError> {
    let built = reader.build_graph_if_due(&|| stopped.is_empty())?;
    let stats = reader.stats();
    if built || stats.unsaved >= CHANGE_COUNT_MIN.max(stats.rows / CHANGED_SHARE_MIN) {
        reader.save_snapshots()?;
    }
    Ok(())
}
