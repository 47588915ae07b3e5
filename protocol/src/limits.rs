//! Every limit that both sides of a connection must know; the unit stands last in each name.

/// Longest line accepted from a host, in bytes. rmcp drops longer lines without an answer, so the proxy answers first.
pub const REQUEST_LEN_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Room the proxy needs to add its own `_meta` to a request, in bytes.
pub const META_LEN_BYTES_MAX: usize = 4 * 1024;
/// Longest line the daemon accepts from a proxy, in bytes.
pub const RELAYED_LEN_BYTES_MAX: usize = REQUEST_LEN_BYTES_MAX + META_LEN_BYTES_MAX;
/// Longest line a proxy accepts from its daemon, in bytes. Hosts close their transport at 10 MB.
pub const RESPONSE_LEN_BYTES_MAX: usize = 9 * 1024 * 1024;
/// Longest hello line, in bytes.
pub const HELLO_LEN_BYTES_MAX: usize = 64 * 1024;
/// How long a connected client may take to send its hello, in milliseconds.
pub const HELLO_TIMEOUT_MS: u64 = 5_000;
/// How many sessions of hosts one daemon serves at once.
pub const SESSION_COUNT_MAX: usize = 256;
/// How many control connections it serves beside them: however full the house, it can be asked and ended.
pub const CONTROL_COUNT_MAX: usize = 32;
/// Longest control line in either direction, in bytes.
pub const CONTROL_LEN_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How many requests of one session may be in flight.
pub const IN_FLIGHT_COUNT_MAX: usize = 1_024;
/// How much the requests of one session that are in flight may weigh, in bytes.
pub const IN_FLIGHT_LEN_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How long one attempt to connect to a local socket may take, in milliseconds.
pub const CONNECT_TIMEOUT_MS: u64 = 1_000;
/// How long a starter waits for a daemon's READY line, in milliseconds.
pub const READY_TIMEOUT_MS: u64 = 20_000;
/// How long requests wait for a daemon to come (back) before they are answered with an error, in milliseconds.
pub const RECOVERY_TIMEOUT_MS: u64 = 30_000;
/// How long a proxy may take from end of input to its own end, in milliseconds.
pub const PROXY_EXIT_MS_MAX: u64 = 1_500;
/// Largest text of one drawer or diary entry, in characters (the peer's limit).
pub const CONTENT_CHARS_MAX: usize = 100_000;
/// Characters of one stored chunk; longer drawers are sliced (the peer's recipe).
pub const CHUNK_CHARS: usize = 800;
/// Longest wing, room, agent or topic name, in characters.
pub const NAME_CHARS_MAX: usize = 128;
/// Longest `source_file` filter, in characters.
pub const SOURCE_FILE_CHARS_MAX: usize = 4_096;
/// Most ids one bulk call may name.
pub const BULK_COUNT_MAX: usize = 500;
/// Most hits or list rows one call returns.
pub const PAGE_COUNT_MAX: usize = 100;
/// How long an idempotency key keeps its result, in seconds.
pub const IDEMPOTENCY_KEEP_SECS: u64 = 24 * 60 * 60;
/// Longest socket path that every supported system accepts, in bytes (macOS: 104 with the terminator).
pub const SOCKET_PATH_BYTES_MAX: usize = 103;
