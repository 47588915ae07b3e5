//! One MCP session: rmcp speaks the protocol, this handler answers from the catalogue and the tools.
//!
//! Writes of one session are queued in the order they arrived: each takes its turn, embeds, queues, and passes the
//! turn on before it waits for its commit. Reads take no turn. A cancelled call gives its turn back; what it has not
//! queued is not done.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use palace_protocol::catalogue::{self, Profile};
use palace_protocol::jsonrpc;
use palace_protocol::limits::RELAYED_LEN_BYTES_MAX;
use palace_protocol::mcp::{self, IDEMPOTENCY_META_KEY};
use rmcp::ServerHandler;
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult,
    CompletionInfo, ErrorCode, ErrorData, Implementation, InitializeRequestParams, InitializeResult,
    ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse,
    ReadResourceResult, ResourceContents, ServerCapabilities, ServerConfig,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::transport::async_rw::AsyncRwTransport;
use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Mutex;

use crate::clock;
use crate::failpoint;
use crate::palace::Palace;
use crate::tools::{self, Answer, Call, CallError};

use super::attending::{Attending, Waiting, cancelled};
use super::flow::{self, Bounded, Counted, Flow};
use super::listed;
use super::results::result;
use super::service::Service;

/// MCP's code for a resource that is not there, before 2026-07-28.
const RESOURCE_NOT_FOUND: i64 = -32002;
/// How often a client that waits for an event, and wants to hear of progress, hears that it is waited for.
const WAITING_EVERY: Duration = Duration::from_secs(10);

/// Serves a session until its client goes or the daemon closes connections.
pub async fn serve<R, W>(
    service: &Arc<Service>,
    id: u64,
    profile: Profile,
    read_only: bool,
    reader: R,
    writer: W,
) where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let flow = Flow::new();
    let turn = Arc::new(Mutex::new(()));
    let session =
        Session { service: Arc::clone(service), id, profile, read_only, turn, flow: Arc::clone(&flow) };
    #[cfg(all(feature = "failpoints", debug_assertions))]
    let writer = super::torn::Torn(writer);
    let (reader, read) = Counted::new(reader);
    let transport = AsyncRwTransport::new_server(reader, writer).with_max_line_length(RELAYED_LEN_BYTES_MAX);
    let transport = Bounded::new(transport, flow, read);
    let closing = service.closing.child_token();
    match rmcp::service::serve_server_with_ct(session, transport, closing).await {
        // How a session ended is not this daemon's business; that it ended is logged by the caller.
        Ok(running) => drop(running.waiting().await),
        Err(error) => service.journal().info(&format!("session {id} did not begin: {error}")),
    }
}

struct Session {
    service: Arc<Service>,
    id: u64,
    profile: Profile,
    read_only: bool,
    /// Held from the arrival of a write until it is queued; fair, so that writes keep their order.
    turn: Arc<Mutex<()>>,
    /// How much of the daemon it takes.
    flow: Arc<Flow>,
}

impl ServerHandler for Session {
    fn get_info(&self) -> ServerConfig {
        server_info(self.profile)
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        let client = &request.client_info;
        self.service.registry.introduce(
            self.id,
            &client.name,
            &client.version,
            request.protocol_version.as_str(),
        );
        context.peer.set_peer_info(request.clone());
        self.negotiate_initialize(&request)
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        if let Some(cursor) = request.and_then(|request| request.cursor) {
            return Err(error_data(jsonrpc::INVALID_PARAMS, mcp::unknown_cursor(&cursor), None));
        }
        let tools = listed::tools(self.profile, self.read_only)
            .map_err(|error| ErrorData::internal_error(error, None))?;
        Ok(ListToolsResult::with_all_items(tools))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let (uri, at) = (request.uri.clone(), clock::now());
        let read = self.ask(&context, move |palace| tools::resources::read(palace, &uri, &at)).await?;
        let modern = context.meta.protocol_version().is_some();
        let Some(content) = read else {
            // The code for it moved into the reserved range with 2026-07-28.
            let code = if modern { jsonrpc::INVALID_PARAMS } else { RESOURCE_NOT_FOUND };
            let data = serde_json::json!({"uri": request.uri});
            return Err(error_data(code, format!("Resource not found: {}", request.uri), Some(data)));
        };
        let contents = ResourceContents::text(content.text, request.uri).with_mime_type(content.mime);
        let mut result = ReadResourceResult::new(vec![contents]);
        if modern {
            // What is stored may change with the next call.
            result.ttl_ms = Some(0);
            result.cache_scope = Some(CacheScope::Private);
        }
        Ok(result.into())
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let chosen = request.context.and_then(|context| context.arguments).unwrap_or_default();
        let chosen: Map<String, Value> =
            chosen.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
        let argument = request.argument;
        let found = self
            .ask(&context, move |palace| {
                tools::resources::complete(palace, &argument.name, &argument.value, &chosen)
            })
            .await?;
        let has_more = found.total > found.values.len();
        let total = u32::try_from(found.total).unwrap_or(u32::MAX);
        let info = CompletionInfo::with_pagination(found.values, Some(total), has_more)
            .map_err(|error| ErrorData::internal_error(error, None))?;
        Ok(CompleteResult::new(info))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        self.introduce_modern(&context);
        let Some(palace) = self.service.palace() else {
            // The connection is about to close; the proxy sends the request to the next daemon.
            return std::future::pending().await;
        };
        self.service.registry.count_call(self.id);
        self.service.note_call();
        let mut name = request.name.into_owned();
        let mut arguments = request.arguments.unwrap_or_default();
        let (mut is_light, mut read_only) = (false, self.read_only);
        match tools::resolve(&name, &arguments, self.read_only) {
            Some(Ok(resolved)) => {
                is_light = true;
                read_only |= resolved.read_only;
                (name, arguments) = (resolved.name, resolved.arguments);
            }
            Some(Err(answer)) => return Ok(result(&name, &answer).into()),
            None => {}
        }
        if tools::waits(&name) {
            flow::note_waiting(&context);
            return self.wait(&palace, name, arguments, &context).await;
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
        };
        let appends = tools::appends_events(&name);
        let enriched = is_light && name == "mempalace_search";
        let answer = match self.run(&palace, name.clone(), arguments, call, enriched, &context).await {
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
}

impl Session {
    /// Asks the palace something on a thread that may block.
    async fn ask<T: Send + 'static>(
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

    /// Runs a tool on a thread that may block, and tells of its progress meanwhile; `enriched` adds to a search what the
    /// light profile shows.
    async fn run(
        &self,
        palace: &Arc<Palace>,
        name: String,
        arguments: Map<String, Value>,
        call: Call,
        enriched: bool,
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
            if enriched && let Ok(answer) = &mut called {
                tools::enrich(&palace, &mut answer.json);
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
                Err(error_data(
                    palace_protocol::jsonrpc::INTERNAL_TOOL_ERROR,
                    "Internal tool error".into(),
                    Some(data),
                ))
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
            let call = Call { at: clock::now(), key: None, enqueued: None, read_only: self.read_only };
            let answer = self.run(palace, name.clone(), arguments.clone(), call, false, context).await?;
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

    /// A stateless session introduces itself with each request.
    fn introduce_modern(&self, context: &RequestContext<RoleServer>) {
        if let (Some(version), Some(client)) = (context.meta.protocol_version(), context.meta.client_info()) {
            self.service.registry.introduce(self.id, &client.name, &client.version, version.as_str());
        }
    }
}

fn server_info(profile: Profile) -> ServerConfig {
    let mut info = InitializeResult::new(
        ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_prompts()
            .enable_resources()
            .enable_completions()
            .build(),
    );
    let mut implementation = Implementation::new(mcp::SERVER_NAME, env!("CARGO_PKG_VERSION"));
    implementation.title = mcp::server_info()["title"].as_str().map(str::to_owned);
    info.server_info = implementation;
    info.instructions = Some(mcp::instructions(profile).to_owned());
    info
}

pub(super) fn error_data(code: i64, message: String, data: Option<Value>) -> ErrorData {
    let code = i32::try_from(code).unwrap_or(ErrorCode::INTERNAL_ERROR.0);
    ErrorData { code: ErrorCode(code), message: Cow::Owned(message), data }
}
