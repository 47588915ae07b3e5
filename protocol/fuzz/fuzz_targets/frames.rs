//! Lines as a host may send them. However the bytes are cut into reads, the frames are the same as those of a plain
//! split; what is taken for a message can be answered, and an added key changes nothing but `_meta`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use palace_protocol::frame::{Frame, LineSplitter};
use palace_protocol::jsonrpc::{Kind, RequestId, error_line, peek, relayed_line};

const LIMIT: usize = 256;
const KEY: &str = "io.github.mempalaced/idempotencyKey";

fn frames(bytes: &[u8], cuts: usize) -> Vec<Frame> {
    let mut splitter = LineSplitter::new(LIMIT);
    let mut found = Vec::new();
    for read in bytes.chunks(cuts) {
        splitter.push(read);
        while let Some(frame) = splitter.next_frame() {
            found.push(frame);
        }
    }
    found.extend(splitter.finish());
    found
}

fuzz_target!(|input: (u8, &[u8])| {
    let (cuts, bytes) = input;
    let found = frames(bytes, usize::from(cuts) + 1);
    let at_once = frames(bytes, bytes.len().max(1));
    // How much is kept of a line that is too long depends on the reads; that it is too long does not.
    let kinds = |frames: &[Frame]| -> Vec<Option<Vec<u8>>> {
        frames
            .iter()
            .map(|frame| match frame {
                Frame::Line(line) => Some(line.clone()),
                Frame::TooLong { .. } => None,
            })
            .collect()
    };
    assert_eq!(kinds(&found), kinds(&at_once));
    for frame in found {
        let Frame::Line(line) = frame else { continue };
        assert!(!line.is_empty() && line.len() <= LIMIT && !line.contains(&b'\n'));
        match peek(&line) {
            Err(error) => assert_answer(&error.answer()),
            Ok(envelope) => {
                if envelope.kind == Kind::Request {
                    let id = envelope.id.as_ref().expect("a request has an id");
                    assert_answer(&error_line(Some(id), -32600, "text", None));
                }
                let (id, entries) = (RequestId::from_number(7), [(KEY, "0123456789abcdef".into())]);
                if let Ok(keyed) = relayed_line(&id, "x", envelope.params, &entries) {
                    let mut keyed: serde_json::Value = serde_json::from_str(&keyed).expect("still JSON");
                    let meta = keyed["params"]["_meta"].as_object_mut().expect("the key has a place");
                    assert!(meta.remove(KEY).is_some());
                }
            }
        }
    }
});

fn assert_answer(line: &str) {
    assert!(!line.contains('\n'));
    let answer: serde_json::Value = serde_json::from_str(line).expect("an answer is JSON");
    assert!(answer["error"]["code"].is_i64());
}
