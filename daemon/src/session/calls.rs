//! Calls of one session: to the tools, on threads that may block.
//!
//! Writes of one session are queued in the order they arrived: each takes its turn, embeds, queues, and passes the
//! turn on before it waits for its commit. Reads take no turn. A cancelled call gives its turn back; what it has not
//! queued is not done.

use std::sync::Arc;
use std::time::Duration;

use palace_protocol::catalogue;
use palace_protocol::jsonrpc::INTERNAL_TOOL_ERROR;
use palace_protocol::mcp::IDEMPOTENCY_META_KEY;
use rmcp::model::{CallToolResponse, ErrorCode, ErrorData};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::{Map, Value};

use crate::clock;
use crate::failpoint;
use crate::palace::Palace;
use crate::tools::{self, Answer, Call, CallError, Shown};

use super::attending::{Attending, Waiting, cancelled};
use super::flow;
use super::mcp::{Session, error_data};
use super::results::result;

/// How often a client that waits for an event, and wants to hear of progress, hears that it is waited for.
const WAITING_EVERY: Duration = Duration::from_secs(10);

impl Session {
    /// Answers a call of a tool, by its own name or by one of the light profile's three.
    ///
    /// # Errors
    /// When there is no such tool, the arguments do not fit it, or it failed.
    pub(super) async fn call(
        &self,
        mut name: String,
        mut arguments: Map<String, Value>,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(palace) = self.service.palace() else {
            // The connection is about to close; the proxy sends the request to the next daemon.
            return std::future::pending().await;
        };
        self.service.registry.count_call(self.id);
        self.service.note_call();
        let (mut shown, mut read_only) = (None, self.read_only);
        match tools::resolve(&name, &arguments, self.read_only) {
            Some(Ok(resolved)) => {
                shown = Some(resolved.shown);
                read_only |= resolved.read_only;
                (name, arguments) = (resolved.name, resolved.arguments);
            }
            Some(Err(answer)) => return Ok(result(&name, &answer).into()),
            None => {}
        }
        if tools::waits(&name) {
            flow::note_waiting(context);
            return self.wait(&palace, name, arguments, context).await;
        }
        let writes = !read_only && catalogue::tool(&name).is_some_and(|tool| tool.class.may_write());
        let turn = if writes {
            tokio::select! {
                biased;
                () = context.ct.cancelled() => return Err(cancelled()),
                turn = Arc::clone(&self.turn).lock_owned() => Some(turn),
            }
        } else {
            None
        };
        let call = Call {
            at: clock::now(),
            key: context.meta.get(IDEMPOTENCY_META_KEY).and_then(Value::as_str).map(str::to_owned),
            enqueued: turn.map(|turn| Box::new(move || drop(turn)) as Box<dyn FnOnce() + Send>),
            read_only,
            trouble: self.service.last_error(),
        };
        let appends = tools::appends_events(&name);
        let is_light = shown.is_some();
        let shown = shown.unwrap_or_default();
        let answer = match self.run(&palace, name.clone(), arguments, call, shown, context).await {
            // A line or fields stand for the call: what does not fit is for whoever wrote them.
            Err(error) if is_light && error.code == ErrorCode::INVALID_PARAMS => {
                tools::light_refused(&error.message)
            }
            answer => answer?,
        };
        if appends {
            self.service.tell_of_events();
        }
        Ok(result(&name, &answer).into())
    }

    /// Asks the palace something on a thread that may block.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        context: &RequestContext<RoleServer>,
        question: impl FnOnce(&Palace) -> Result<T, CallError> + Send + 'static,
    ) -> Result<T, ErrorData> {
        let _asking = self.flow.ask(context).await.ok_or_else(cancelled)?;
        let Some(palace) = self.service.palace() else {
            // The connection is about to close; the proxy sends the request to the next daemon.
            return std::future::pending().await;
        };
        let _counted = self.service.count_call();
        self.service.registry.count_call(self.id);
        self.service.note_call();
        match tokio::task::spawn_blocking(move || question(&palace)).await {
            Ok(answer) => answer.map_err(|error| error_data(error.code, error.message, error.data)),
            Err(_) => {
                self.service.note_error("a question panicked; its session and the palace go on".into());
                Err(ErrorData::internal_error("internal error; see the daemon's stderr", None))
            }
        }
    }

    /// Runs a tool on a thread that may block, and tells of its progress meanwhile; the answer is as `shown` makes it.
    async fn run(
        &self,
        palace: &Arc<Palace>,
        name: String,
        arguments: Map<String, Value>,
        call: Call,
        shown: Shown,
        context: &RequestContext<RoleServer>,
    ) -> Result<Answer, ErrorData> {
        // Writes have an order of their own, and short answers.
        let _asking = match call.enqueued {
            Some(_) => None,
            None => Some(self.flow.ask(context).await.ok_or_else(cancelled)?),
        };
        if self.service.palace().is_none() {
            // The palace was closed meanwhile; the proxy sends the request to the next daemon.
            return std::future::pending().await;
        }
        let _counted = self.service.count_call();
        let (palace, tool) = (Arc::clone(palace), name.clone());
        let (caller, progress) = Attending::new(context);
        let called = tokio::task::spawn_blocking(move || {
            failpoint::reach("tool.call");
            let mut called = tools::call_for(&caller, &palace, &tool, arguments, call);
            if let Ok(answer) = &mut called {
                shown.show(&palace, &mut answer.json);
            }
            failpoint::reach("tool.called");
            called
        });
        match progress.told_until(called, context).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(error_data(error.code, error.message, error.data)),
            Err(_) => {
                self.service.note_error(format!("{name} panicked; its session and the palace go on"));
                let data = serde_json::json!({"error_class": "panic", "message": "see the daemon's stderr"});
                Err(error_data(INTERNAL_TOOL_ERROR, "Internal tool error".into(), Some(data)))
            }
        }
    }

    /// Asks again whenever an event is appended, until there is an answer or the time is over. Holds no thread and is
    /// no running call meanwhile: a daemon that ends does not wait for it, and its proxy asks the next one.
    async fn wait(
        &self,
        palace: &Arc<Palace>,
        name: String,
        arguments: Map<String, Value>,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let patience = tools::patience(&name, &arguments);
        let begun = tokio::time::Instant::now();
        let mut waiting = Waiting::new(context, begun, patience);
        let mut events = self.service.watch_events();
        loop {
            // Before looking: what is appended while we look is seen as a change.
            events.borrow_and_update();
            let at = clock::now();
            let call = Call { at, key: None, enqueued: None, read_only: self.read_only, trouble: None };
            let answer =
                self.run(palace, name.clone(), arguments.clone(), call, Shown::AsItIs, context).await?;
            if answer.json["timed_out"] != true {
                return Ok(result(&name, &answer).into());
            }
            tokio::select! {
                biased;
                // The connection is about to close; the proxy sends the request to the next daemon.
                () = self.service.until_not_ready() => return std::future::pending().await,
                _ = events.changed() => {}
                () = waiting.told_every(WAITING_EVERY) => {}
                () = tokio::time::sleep_until(begun + patience) => return Ok(result(&name, &answer).into()),
                () = context.ct.cancelled() => return Ok(result(&name, &answer).into()),
            }
        }
    }
}
