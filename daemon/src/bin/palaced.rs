//! The daemon of one palace; see `palaced --help`.

fn main() -> std::process::ExitCode {
    palace_daemon::run(palace_daemon::Models::Builtin)
}
