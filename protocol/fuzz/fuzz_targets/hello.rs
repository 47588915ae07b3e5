//! The first line of a connection, its answers, and the files both sides read: nothing panics, and what was understood
//! is understood the same way again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use palace_protocol::control::{ControlReply, ControlRequest};
use palace_protocol::endpoint::{EndpointRecord, Readiness, StartFailure};
use palace_protocol::handshake::{Hello, HelloReply, is_newer, negotiate};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(hello) = serde_json::from_slice::<Hello>(bytes) {
        let _ = negotiate(hello.protocol_min, hello.protocol_max);
        assert!(!is_newer(&hello.build, &hello.build));
        let again = serde_json::to_vec(&hello).expect("a hello has only string keys");
        assert_eq!(serde_json::from_slice::<Hello>(&again).expect("it was one"), hello);
    }
    if let Some(record) = EndpointRecord::from_bytes(bytes) {
        assert_eq!(EndpointRecord::from_bytes(&record.to_bytes()), Some(record));
    }
    let _ = serde_json::from_slice::<HelloReply>(bytes);
    let _ = serde_json::from_slice::<ControlRequest>(bytes);
    let _ = serde_json::from_slice::<ControlReply>(bytes);
    let _ = serde_json::from_slice::<Readiness>(bytes);
    let _ = serde_json::from_slice::<StartFailure>(bytes);
});
