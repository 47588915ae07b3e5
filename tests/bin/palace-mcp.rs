//! The proxy under test.

fn main() -> std::process::ExitCode {
    palace_proxy::mcp::run()
}
