//! How much of the daemon one session may take: requests in work, bytes of requests, answers that its client has not read.
//!
//! Invariants: a session that has its share is not read from, so that its requests wait in its own socket; what it takes
//! is given back when the answer is written or dropped, whatever became of the request. Calls that wait for events hold
//! next to nothing and count against a larger limit, so that they keep no work out.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use palace_protocol::limits::{IN_FLIGHT_COUNT_MAX, IN_FLIGHT_LEN_BYTES_MAX};
use rmcp::model::{ContentBlock, GetExtensions, JsonRpcMessage, ServerResult};
use rmcp::service::{RequestContext, RoleServer, RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Requests of a session that are in work or have an answer on its way out.
const RUNNING_COUNT_MAX: usize = 64;
/// Questions of a session that are answered at the same time: more would not be faster, and their answers are in memory.
const ASKING_COUNT_MAX: usize = 4;
/// Length of the answers that a client has not read, in bytes, from which on nothing more is done for it.
const UNREAD_LEN_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What a message counts that is not measured, in bytes: a list of tools is the longest of them.
const UNMEASURED_LEN_BYTES: usize = 64 * 1024;

/// What a session takes at present.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    running: usize,
    waiting: usize,
    taken_len_bytes: usize,
    unread: usize,
    unread_len_bytes: usize,
}

impl Load {
    fn has_room(&self) -> bool {
        self.running + self.unread < RUNNING_COUNT_MAX
            && self.running + self.waiting + self.unread < IN_FLIGHT_COUNT_MAX
            && self.taken_len_bytes < IN_FLIGHT_LEN_BYTES_MAX
            && self.is_read()
    }

    fn is_read(&self) -> bool {
        self.unread_len_bytes < UNREAD_LEN_BYTES_MAX
    }
}

/// The share of one session.
pub struct Flow {
    load: watch::Sender<Load>,
    asking: Arc<Semaphore>,
}

impl Flow {
    /// Returns the share of a session that has taken nothing yet.
    pub fn new() -> Arc<Self> {
        let asking = Arc::new(Semaphore::new(ASKING_COUNT_MAX));
        Arc::new(Self { load: watch::Sender::new(Load::default()), asking })
    }

    /// Waits until a question may be answered; it counts for as long as the permit lives. `None` when it was cancelled.
    pub async fn ask(&self, context: &RequestContext<RoleServer>) -> Option<OwnedSemaphorePermit> {
        let turn = async {
            let permit =
                Arc::clone(&self.asking).acquire_owned().await.expect("the semaphore is never closed");
            self.until(Load::is_read).await;
            permit
        };
        tokio::select! {
            biased;
            () = context.ct.cancelled() => None,
            permit = turn => Some(permit),
        }
    }

    async fn until(&self, state: impl Fn(&Load) -> bool) {
        // An error means that nobody can change the load any more.
        drop(self.load.subscribe().wait_for(|load| state(load)).await);
    }

    fn take(self: &Arc<Self>, len_bytes: usize) -> InFlight {
        self.load.send_modify(|load| {
            load.running += 1;
            load.taken_len_bytes += len_bytes;
        });
        InFlight(Arc::new(Taken { flow: Arc::clone(self), len_bytes, waits: AtomicBool::new(false) }))
    }

    fn send(self: &Arc<Self>, len_bytes: usize) -> Unread {
        self.load.send_modify(|load| {
            load.unread += 1;
            load.unread_len_bytes += len_bytes;
        });
        Unread { flow: Arc::clone(self), len_bytes }
    }
}

/// A request that is in work; it travels with the request, and ends with it.
#[derive(Clone)]
struct InFlight(Arc<Taken>);

struct Taken {
    flow: Arc<Flow>,
    len_bytes: usize,
    waits: AtomicBool,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.flow.load.send_modify(|load| {
            if self.waits.load(Ordering::Relaxed) {
                load.waiting -= 1;
            } else {
                load.running -= 1;
            }
            load.taken_len_bytes -= self.len_bytes;
        });
    }
}

/// Notes that a request only waits from here on.
pub fn note_waiting(context: &RequestContext<RoleServer>) {
    let Some(InFlight(taken)) = context.extensions.get::<InFlight>() else { return };
    if !taken.waits.swap(true, Ordering::Relaxed) {
        taken.flow.load.send_modify(|load| {
            load.running -= 1;
            load.waiting += 1;
        });
    }
}

/// An answer on its way out.
struct Unread {
    flow: Arc<Flow>,
    len_bytes: usize,
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.flow.load.send_modify(|load| {
            load.unread -= 1;
            load.unread_len_bytes -= self.len_bytes;
        });
    }
}

/// A reader that counts what it reads.
pub struct Counted<R> {
    reader: R,
    read: Arc<AtomicUsize>,
}

impl<R> Counted<R> {
    /// Returns the reader and where it counts.
    pub fn new(reader: R) -> (Self, Arc<AtomicUsize>) {
        let read = Arc::new(AtomicUsize::new(0));
        (Self { reader, read: Arc::clone(&read) }, read)
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Counted<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.reader).poll_read(context, buffer);
        self.read.fetch_add(buffer.filled().len() - before, Ordering::Relaxed);
        polled
    }
}

/// A transport that takes a request only when its session has room for it.
pub struct Bounded<T> {
    transport: T,
    flow: Arc<Flow>,
    /// Bytes read since the last request.
    read: Arc<AtomicUsize>,
    /// A request that waits for room. One is read ahead, so that a cancellation before it is heard.
    held: Option<RxJsonRpcMessage<RoleServer>>,
}

impl<T> Bounded<T> {
    /// Returns the transport; `read` counts the bytes that it reads.
    pub fn new(transport: T, flow: Arc<Flow>, read: Arc<AtomicUsize>) -> Self {
        Self { transport, flow, read, held: None }
    }
}

impl<T: Transport<RoleServer>> Transport<RoleServer> for Bounded<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let unread = self.flow.send(len_bytes(&message));
        let sending = self.transport.send(message);
        async move {
            let sent = sending.await;
            drop(unread);
            sent
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        if self.held.is_none() {
            let message = self.transport.receive().await?;
            if !matches!(message, JsonRpcMessage::Request(_)) {
                return Some(message);
            }
            self.held = Some(message);
        }
        // Broken off here, the request is held for the next time.
        self.flow.until(Load::has_room).await;
        let mut message = self.held.take()?;
        if let JsonRpcMessage::Request(request) = &mut message {
            let len_bytes = self.read.swap(0, Ordering::Relaxed);
            request.request.extensions_mut().insert(self.flow.take(len_bytes));
        }
        Some(message)
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.transport.close().await
    }
}

/// Returns about how long a message is, in bytes: a tool's text goes out twice.
fn len_bytes(message: &TxJsonRpcMessage<RoleServer>) -> usize {
    let JsonRpcMessage::Response(response) = message else { return UNMEASURED_LEN_BYTES };
    let ServerResult::CallToolResult(result) = &response.result else { return UNMEASURED_LEN_BYTES };
    let text = result.content.iter().filter_map(ContentBlock::as_text).map(|block| block.text.len());
    2 * text.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(flow: &Flow) -> Load {
        *flow.load.borrow()
    }

    #[tokio::test]
    async fn what_was_taken_is_given_back() {
        let flow = Flow::new();
        let taken: Vec<InFlight> = (0..RUNNING_COUNT_MAX).map(|_| flow.take(10)).collect();
        assert!(!load(&flow).has_room());
        drop(taken);
        assert!(load(&flow).has_room());
        let unread = flow.send(UNREAD_LEN_BYTES_MAX);
        assert!(!load(&flow).has_room() && !load(&flow).is_read());
        drop(unread);
        let large = flow.take(IN_FLIGHT_LEN_BYTES_MAX);
        assert!(!load(&flow).has_room());
        drop(large);
        let load = load(&flow);
        assert_eq!((load.running, load.taken_len_bytes, load.unread, load.unread_len_bytes), (0, 0, 0, 0));
    }
}
