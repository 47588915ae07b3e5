//! A daemon that is none: it holds the palace, publishes a record and speaks the wire, and answers as a test says.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use palace_protocol::endpoint::{
    Address, DAEMON_DIR, EndpointRecord, EndpointState, ManagedBy, RECORD_FILE, RECORD_FORMAT,
    WRITER_LOCK_FILE,
};
use palace_protocol::handshake::{Hello, HelloReply, PROTOCOL_MAX, PROTOCOL_MIN, Welcome};
use serde_json::{Value, json};

use crate::Sandbox;
use crate::wait::{SOON, wait_for};

/// A published stand-in. What it published is removed when it is dropped, as at an orderly end.
pub struct StandIn {
    generation: String,
    record: PathBuf,
    socket: PathBuf,
    listener: UnixListener,
    /// Held, so that nobody starts a daemon.
    _lock: File,
}

/// A connection to a stand-in, past its hello.
pub struct StandInSession {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl StandIn {
    /// Takes a palace that nobody serves and publishes an address, under a generation of eight hex digits.
    ///
    /// # Panics
    /// When the palace cannot be taken.
    pub fn publish(sandbox: &Sandbox, generation: &str) -> Self {
        let palace = sandbox.palace();
        std::fs::create_dir_all(&palace).expect("a home can hold a palace");
        let palace = std::fs::canonicalize(palace).expect("the palace is there");
        let folder = palace.join(DAEMON_DIR);
        let mut private = std::fs::DirBuilder::new();
        private.recursive(true).mode(0o700).create(&folder).expect("a palace can hold a folder");
        let lock = File::create(folder.join(WRITER_LOCK_FILE)).expect("a folder can hold a lock");
        // A client may be asking at this moment whether it is free.
        wait_for("the writer lock", SOON, || lock.try_lock().ok());
        let socket = folder.join(format!("s.{generation}"));
        let listener = UnixListener::bind(&socket).expect("a folder can hold a socket");
        listener.set_nonblocking(true).expect("a socket need not wait");
        let record = EndpointRecord {
            v: RECORD_FORMAT,
            generation: generation.to_owned(),
            address: Address::Unix(socket.display().to_string()),
            token: "0".repeat(64),
            pid: std::process::id(),
            started_at: 0,
            boot_id: palace_system::process::boot_id(),
            start_ticks: None,
            palace: palace.display().to_string(),
            protocol_min: PROTOCOL_MIN,
            protocol_max: PROTOCOL_MAX,
            build: env!("CARGO_PKG_VERSION").to_owned(),
            managed_by: ManagedBy::Auto,
            dies_with_host: false,
            state: EndpointState::Ready,
        };
        let text = serde_json::to_vec(&record).expect("a record has only string keys");
        let path = folder.join(RECORD_FILE);
        std::fs::write(folder.join("beside"), text).expect("a folder can hold a record");
        std::fs::rename(folder.join("beside"), &path).expect("a record can be named");
        Self { generation: generation.to_owned(), record: path, socket, listener, _lock: lock }
    }

    /// Waits for a client and welcomes it, under the fingerprint of a tool catalogue.
    ///
    /// # Panics
    /// When none comes in time, or it says no hello.
    pub fn welcome(&self, catalogue: &str) -> StandInSession {
        let (stream, _) = wait_for("a client", SOON, || self.listener.accept().ok());
        stream.set_nonblocking(false).expect("a socket can wait");
        stream.set_read_timeout(Some(SOON)).expect("a socket can wait for a time");
        let reader = BufReader::new(stream.try_clone().expect("a socket has two ends"));
        let mut session = StandInSession { reader, writer: stream };
        let hello: Hello = serde_json::from_str(&session.line()).expect("a hello");
        assert_eq!(hello.token, "0".repeat(64), "the record's secret");
        let welcome = HelloReply::Welcome(Welcome {
            protocol: PROTOCOL_MAX,
            build: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            generation: self.generation.clone(),
            session: 1,
            catalogue: catalogue.to_owned(),
            store: None,
        });
        session.send(&serde_json::to_value(welcome).expect("a welcome has only string keys"));
        session
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        for path in [&self.record, &self.socket] {
            // The sandbox goes with everything in it.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl StandInSession {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("the client says something in time");
        line
    }

    /// Returns the next message of the client.
    ///
    /// # Panics
    /// When none comes in time.
    pub fn heard(&mut self) -> Value {
        serde_json::from_str(&self.line()).expect("a message")
    }

    /// Answers the `initialize` that a proxy begins with.
    ///
    /// # Panics
    /// When it begins with something else.
    pub fn introduced(&mut self) -> Value {
        let initialize = self.heard();
        assert_eq!(initialize["method"], "initialize");
        self.answer(
            &initialize,
            &json!({"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {}}),
        );
        assert_eq!(self.heard()["method"], "notifications/initialized");
        initialize
    }

    /// Answers a request.
    pub fn answer(&mut self, request: &Value, result: &Value) {
        self.send(&json!({"jsonrpc": "2.0", "id": request["id"], "result": result}));
    }

    /// Sends a message.
    pub fn send(&mut self, message: &Value) {
        self.write(format!("{message}\n").as_bytes());
    }

    /// Writes bytes as they are.
    ///
    /// # Panics
    /// When the client is gone.
    pub fn write(&mut self, bytes: &[u8]) {
        self.writer.write_all(bytes).expect("the client listens");
    }
}

/// Returns a tool's result that consists of a text.
pub fn text(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}]})
}
