//! The daemon under test: with `PALACE_TEST_EMBEDDER=hash` it embeds without a model.

use palace_daemon::Models;

fn main() -> std::process::ExitCode {
    let hash = std::env::var("PALACE_TEST_EMBEDDER").is_ok_and(|value| value == "hash");
    palace_daemon::run(if hash { Models::HashForTests } else { Models::Builtin })
}
