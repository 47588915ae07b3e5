//! Records and keys as bytes.

use proptest::prelude::*;

use super::codec::{Cursor, RECORD_VERSION, Unreadable, pop_text, push_text, seal, unseal};
use super::records::{
    Logged, Touch, decode_key_result, decode_log, decode_row, decode_vector, encode_key_result, encode_log,
    encode_row, encode_vector,
};
use super::tables::sortable_timestamp;
use crate::engine::types::{MetaValue, Row, RowKey, Timestamp, sortable_time};

fn any_value() -> impl Strategy<Value = MetaValue> {
    prop_oneof![
        any::<String>().prop_map(MetaValue::Text),
        any::<i64>().prop_map(MetaValue::Integer),
        (-1e300..1e300f64).prop_map(MetaValue::Float),
        any::<bool>().prop_map(MetaValue::Bool),
    ]
}

fn any_row() -> impl Strategy<Value = Row> {
    let texts = (any::<String>(), any::<String>(), any::<String>(), any::<String>(), any::<String>());
    let rest = (any::<String>(), any::<u32>(), any::<Option<String>>());
    let extra = prop::collection::vec((any::<String>(), any_value()), 0..4);
    (texts, rest, extra).prop_map(|(texts, rest, extra)| Row {
        id: texts.0,
        document: texts.1,
        wing: texts.2,
        room: texts.3,
        source_file: texts.4,
        filed_at: rest.0,
        chunk_index: rest.1,
        parent_id: rest.2,
        extra,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn rows_come_back_as_they_went(row in any_row()) {
        prop_assert_eq!(decode_row(&encode_row(&row)).unwrap(), row);
    }

    #[test]
    fn keys_sort_as_their_text(left in any::<String>(), right in any::<String>()) {
        let key = |text: &str| {
            let mut key = Vec::new();
            push_text(&mut key, text);
            key
        };
        prop_assert_eq!(key(&left).cmp(&key(&right)), left.as_bytes().cmp(right.as_bytes()));
        let joined = [key(&left), key(&right)].concat();
        let mut rest = joined.as_slice();
        prop_assert_eq!(pop_text(&mut rest).unwrap(), left);
        prop_assert_eq!(pop_text(&mut rest).unwrap(), right);
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn arbitrary_payloads_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = decode_row(&bytes);
        let _ = decode_log(&bytes);
        let _ = decode_key_result(&bytes);
        let _ = unseal(1, b"key", &bytes);
        let _ = pop_text(&mut bytes.as_slice());
    }
}

#[test]
fn every_flipped_bit_and_every_wrong_place_is_noticed() {
    let row = Row { id: "id".to_owned(), document: "some text".to_owned(), ..Row::default() };
    let sealed = seal(2, b"key", &encode_row(&row));
    assert!(unseal(2, b"key", &sealed).is_ok());
    for bit in 0..sealed.len() * 8 {
        let mut flipped = sealed.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(unseal(2, b"key", &flipped), Err(Unreadable::Checksum), "bit {bit}");
    }
    for len in 0..sealed.len() {
        assert!(unseal(2, b"key", &sealed[..len]).is_err());
    }
    assert!(unseal(3, b"key", &sealed).is_err(), "another table");
    assert!(unseal(2, b"kez", &sealed).is_err(), "another key");
}

#[test]
fn a_newer_record_is_told_from_a_damaged_one() {
    let mut body = vec![RECORD_VERSION + 1, 1, 2, 3];
    let mut hasher = xxhash_rust::xxh3::Xxh3::with_seed(2);
    hasher.update(&3u64.to_le_bytes());
    hasher.update(b"key");
    hasher.update(&body);
    body.extend_from_slice(&hasher.digest().to_le_bytes());
    assert_eq!(unseal(2, b"key", &body), Err(Unreadable::Version(RECORD_VERSION + 1)));
}

/// The bytes of a record of format 1. They may never change: stores in the field hold them.
#[test]
fn the_bytes_of_format_one_are_fixed() {
    let row = Row {
        id: "i".to_owned(),
        document: "d".to_owned(),
        chunk_index: 7,
        parent_id: Some("p".to_owned()),
        extra: vec![("k".to_owned(), MetaValue::Integer(-1))],
        ..Row::default()
    };
    let sealed = seal(2, &1u64.to_be_bytes(), &encode_row(&row));
    let expected = concat!(
        "01",
        "0101000000",
        "69",
        "0201000000",
        "64",
        "0300000000",
        "0400000000",
        "0500000000",
        "0600000000",
        "070400000007000000",
        "0801000000",
        "70",
        "090e000000",
        "010000006b",
        "02ffffffffffffffff",
    );
    let hex: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex[..hex.len() - 16], *expected);
    assert_eq!(unseal(2, &1u64.to_be_bytes(), &sealed).and_then(decode_row).unwrap(), row);
}

#[test]
fn unknown_fields_are_skipped() {
    let row = Row { id: "id".to_owned(), ..Row::default() };
    let mut payload = encode_row(&row);
    super::codec::put_field(&mut payload, 200, b"from a later version");
    assert_eq!(decode_row(&payload).unwrap(), row);
    assert!(Cursor(&payload).u8("tag").is_ok());
}

#[test]
fn logs_vectors_and_answers_come_back() {
    let entries = vec![
        Logged::Row(Touch::Put, RowKey(1)),
        Logged::Row(Touch::Meta, RowKey(u64::MAX - 1)),
        Logged::Record { table: 15, key: b"a key".to_vec() },
        Logged::Row(Touch::Delete, RowKey(3)),
    ];
    assert_eq!(decode_log(&encode_log(&entries)).unwrap(), entries);
    assert_eq!(decode_vector(&encode_vector(&[0.5, -0.25, 0.0])), [0.5, -0.25, 0.0]);
    let encoded = encode_key_result(Timestamp(-3), b"answer");
    assert_eq!(decode_key_result(&encoded).unwrap(), (Timestamp(-3), &b"answer"[..]));
    assert!(sortable_timestamp(Timestamp(-1)) < sortable_timestamp(Timestamp(0)));
}

#[test]
fn times_sort_as_text() {
    let check = |text: &str, expected: &str| assert_eq!(sortable_time(text), expected);
    check("2026-01-02", "2026-01-02T00:00:00");
    check("2026-01-02 03:04", "2026-01-02T03:04:00");
    check("2026-01-02T03:04:05Z", "2026-01-02T03:04:05");
    check(" 2026-01-02T03:04:05.123456 ", "2026-01-02T03:04:05.123456");
    check("", "");
    check("yesterday", "yesterday");
    check("äöü", "äöü");
    assert!(sortable_time("2026-01-02T03:04:05") < sortable_time("2026-01-02T03:04:05.1"));
}
