//! The MCP server that hosts spawn; see `palace-mcp --help`.

fn main() -> std::process::ExitCode {
    palace_proxy::mcp::run()
}
