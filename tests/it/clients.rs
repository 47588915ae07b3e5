//! MCP clients that are not ours: the official Python SDK in its three modes, and the Inspector's command line.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use palace_tests::Sandbox;
use palace_tests::external::client;

use crate::sandbox;

/// Runs a client inside the sandbox's environment and returns the JSON it prints.
fn run(command: &mut Command) -> Value {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {text} {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{command:?}: {error}: {text}"))
}

fn sdk(mode: &str, version: &str) {
    let Some(python) = client("PALACE_TEST_PYTHON", "a Python with the package mcp 2.3.0") else { return };
    let sandbox = sandbox();
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("clients/sdk.py");
    let report = run(sandbox
        .command(&python)
        .arg(script)
        .arg(mode)
        .arg(&sandbox.programs().palace_mcp)
        .arg(sandbox.palace()));
    assert_eq!(
        report,
        json!({
            "version": version, "tools": palace_protocol::catalogue::tools().len(), "prompts": 3, "prompt": true,
            "resources": 5, "taxonomy": {"sdk": {"notes": 1}}, "completed": ["sdk"], "added": true, "found": true,
        })
    );
}

#[test]
fn the_python_sdk_finds_out_by_itself() {
    sdk("auto", "2026-07-28");
}

#[test]
fn the_python_sdk_with_a_handshake() {
    sdk("legacy", "2025-11-25");
}

#[test]
fn the_python_sdk_without_a_handshake() {
    sdk("2026-07-28", "2026-07-28");
}

fn inspector(sandbox: &Sandbox, program: &Path, arguments: &[&str]) -> Value {
    let mut command = sandbox.command(program);
    command.arg("--cli").arg(&sandbox.programs().palace_mcp).arg("--palace").arg(sandbox.palace());
    // The Inspector passes only a few variables on; the others are named.
    command.args(["-e", &format!("PALACE_DAEMON={}", sandbox.programs().palaced.display())]);
    command.args(["-e", "PALACE_TEST_EMBEDDER=hash"]);
    run(command.args(arguments).args(["--format", "json"]))
}

#[test]
fn the_inspector_lists_and_calls_tools() {
    let Some(program) = client("PALACE_TEST_INSPECTOR", "the Inspector's mcp-inspector") else { return };
    let sandbox = sandbox();
    let listed = inspector(&sandbox, &program, &["--method", "tools/list"]);
    assert_eq!(
        listed["result"]["tools"].as_array().map(Vec::len),
        Some(palace_protocol::catalogue::tools().len()),
        "{listed}"
    );
    let arguments = json!({"wing": "w", "room": "r", "content": "seen by the inspector"}).to_string();
    let call =
        ["--method", "tools/call", "--tool-name", "mempalace_add_drawer", "--tool-args-json", &arguments];
    let added = inspector(&sandbox, &program, &call);
    assert_eq!(added["result"]["structuredContent"]["success"], true, "{added}");
}
