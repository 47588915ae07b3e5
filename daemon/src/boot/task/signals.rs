//! Signals that a task gets: being asked to end stops it where the palace is whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Watches for signals on a thread that ends with the process. The flag is set when the task is asked to end.
pub fn watch() -> Arc<AtomicBool> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    let (listening, heard) = std::sync::mpsc::channel();
    let work = move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            let Ok(mut signals) = listen() else { return };
            // Nobody waits for it any more only if the task has ended.
            let _ = listening.send(());
            loop {
                received(&mut signals).await;
                flag.store(true, Ordering::Relaxed);
            }
        });
    };
    // Without a thread a signal ends the process at once, which a palace survives as it survives a kill.
    if std::thread::Builder::new().name("signals".into()).spawn(work).is_ok() {
        let _ = heard.recv();
    }
    interrupted
}

/// SIGXFSZ, the same number on Linux and macOS: a file size limit is reported by the write that meets it.
#[cfg(unix)]
const SIGNAL_FILE_SIZE: i32 = 25;

#[cfg(unix)]
type Listening = [tokio::signal::unix::Signal; 4];

#[cfg(unix)]
fn listen() -> std::io::Result<Listening> {
    use tokio::signal::unix::{SignalKind, signal};
    Ok([
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
        // Received and ignored: a closing terminal is no reason to stop.
        signal(SignalKind::hangup())?,
        signal(SignalKind::from_raw(SIGNAL_FILE_SIZE))?,
    ])
}

#[cfg(unix)]
async fn received([terminate, interrupt, _, _]: &mut Listening) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

#[cfg(windows)]
type Listening = tokio::signal::windows::CtrlC;

#[cfg(windows)]
fn listen() -> std::io::Result<Listening> {
    tokio::signal::windows::ctrl_c()
}

#[cfg(windows)]
async fn received(signals: &mut Listening) {
    signals.recv().await;
}
