//! A writer that can be made to die in the middle of a line; compiled for tests alone.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

use crate::failpoint;

/// Passes everything on, until the point `answer.torn` acts: then half of it, and the process ends.
pub struct Torn<W>(pub W);

impl<W: AsyncWrite + Unpin> AsyncWrite for Torn<W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if failpoint::fallible("answer.torn").is_err() {
            let _ = Pin::new(&mut self.0).poll_write(context, &bytes[..bytes.len() / 2]);
            std::process::abort();
        }
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
