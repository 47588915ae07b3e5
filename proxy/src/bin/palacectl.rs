//! The command for people; see `palacectl --help`.

fn main() -> std::process::ExitCode {
    palace_proxy::ctl::run()
}
