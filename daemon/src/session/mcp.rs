//! One MCP session: rmcp speaks the protocol, this handler answers from the catalogue and the tools.

use std::borrow::Cow;
use std::sync::Arc;

use palace_protocol::catalogue::Profile;
use palace_protocol::jsonrpc;
use palace_protocol::limits::RELAYED_LEN_BYTES_MAX;
use palace_protocol::mcp;
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
use crate::tools;

use super::flow::{Bounded, Counted, Flow};
use super::listed;
use super::service::Service;

/// MCP's code for a resource that is not there, before 2026-07-28.
const RESOURCE_NOT_FOUND: i64 = -32002;

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

pub(super) struct Session {
    pub(super) service: Arc<Service>,
    pub(super) id: u64,
    profile: Profile,
    pub(super) read_only: bool,
    /// Held from the arrival of a write until it is queued; fair, so that writes keep their order.
    pub(super) turn: Arc<Mutex<()>>,
    /// How much of the daemon it takes.
    pub(super) flow: Arc<Flow>,
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
        let trouble = self.service.last_error();
        let read =
            self.ask(&context, move |palace| tools::resources::read(palace, &uri, &at, trouble)).await?;
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
        self.call(request.name.into_owned(), request.arguments.unwrap_or_default(), &context).await
    }
}

impl Session {
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
