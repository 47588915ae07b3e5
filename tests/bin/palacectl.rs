//! The command for people under test.

fn main() -> std::process::ExitCode {
    palace_proxy::ctl::run()
}
