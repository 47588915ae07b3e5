//! Text that no reader of JSON takes as a whole, made readable: what cannot be a character becomes U+FFFD, as the peer
//! stores it. The alternative is a request that is lost for one character of its text.

use std::borrow::Cow;

use serde_json::value::RawValue;

/// Bytes of `\uXXXX`.
const ESCAPE_LEN_BYTES: usize = 6;

/// Returns a line as UTF-8.
pub fn utf8(line: Vec<u8>) -> Vec<u8> {
    match String::from_utf8_lossy(&line) {
        Cow::Borrowed(_) => line,
        Cow::Owned(mended) => mended.into_bytes(),
    }
}

/// Returns JSON without halves of surrogate pairs; `None` when it has none.
pub fn surrogates(json: &RawValue) -> Option<Box<RawValue>> {
    let text = json.get().as_bytes();
    let mut mended: Option<Vec<u8>> = None;
    let mut at = 0;
    // Backslashes stand in strings only, and begin an escape there.
    while let Some(offset) = text[at..].iter().position(|byte| *byte == b'\\') {
        at += offset;
        let Some(unit) = escaped_unit(text, at) else {
            at = text.len().min(at + 2);
            continue;
        };
        let next = at + ESCAPE_LEN_BYTES;
        match unit {
            0xD800..=0xDBFF if matches!(escaped_unit(text, next), Some(0xDC00..=0xDFFF)) => {
                at = next + ESCAPE_LEN_BYTES;
            }
            0xD800..=0xDFFF => {
                mended.get_or_insert_with(|| text.to_vec())[at..next].copy_from_slice(br"\ufffd");
                at = next;
            }
            _ => at = next,
        }
    }
    let mended = String::from_utf8(mended?).ok()?;
    RawValue::from_string(mended).ok()
}

/// Returns the UTF-16 unit of the escape `\uXXXX` that begins at a place.
fn escaped_unit(text: &[u8], at: usize) -> Option<u16> {
    let digits = text.get(at..at + ESCAPE_LEN_BYTES)?.strip_prefix(br"\u")?;
    digits.iter().try_fold(0, |unit: u16, digit| {
        let digit = char::from(*digit).to_digit(16).and_then(|digit| u16::try_from(digit).ok())?;
        Some(unit << 4 | digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(json: &str) -> Option<String> {
        let raw = RawValue::from_string(json.to_owned()).unwrap();
        surrogates(&raw).map(|raw| raw.get().to_owned())
    }

    #[test]
    fn halves_of_pairs_are_replaced_and_pairs_stay() {
        for (json, expect) in [
            (r#""a \ud83d b""#, r#""a \ufffd b""#),
            (r#""\uDE00""#, r#""\ufffd""#),
            (r#""\ude00\ud83d""#, r#""\ufffd\ufffd""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ud83d\n""#, r#""\ufffd\n""#),
            (r#"{"\udfff":["\\\ud800"]}"#, r#"{"\ufffd":["\\\ufffd"]}"#),
        ] {
            let mended = mended(json).unwrap();
            assert_eq!(mended, expect);
            assert!(serde_json::from_str::<serde_json::Value>(&mended).is_ok(), "{mended}");
        }
        for whole in [r#""\ud83d\ude00""#, r#""\\ud83d""#, r#""\u00e9\\""#, "{}", r#""\ue000\ud7ff""#] {
            assert_eq!(mended(whole), None, "{whole}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        assert_eq!(utf8(b"{\"a\":\"\xff\"}".to_vec()), "{\"a\":\"\u{FFFD}\"}".as_bytes());
        assert_eq!(utf8("ý".into()), "ý".as_bytes());
    }
}
