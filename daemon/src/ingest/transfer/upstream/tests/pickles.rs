//! The table of ids: as every version pickled it, and as nobody should.

use proptest::prelude::*;

use super::super::pickle::{PickleError, Summary, read};
use super::maker::table;

/// An object of the legacy class with four dimensions and three ids, by Python's protocols 2, 4 and 5, and its fields
/// alone by protocol 4.
const PYTHON: [&str; 4] = [
    "8002636368726f6d6164622e7365676d656e742e696d706c2e766563746f722e6c6f63616c5f70657273697374656e745f686e73770a50657273697374656e74446174610a7100298171017d710228580e00000064696d656e73696f6e616c69747971034b045814000000746f74616c5f656c656d656e74735f616464656471044b03580a0000006d61785f7365715f696471054d2c01580b00000069645f746f5f6c6162656c71067d71072858010000006171084b0158080000006472617765725f6271094b025805000000c3bc6ec3af710a4b0375580b0000006c6162656c5f746f5f6964710b7d710c284b0168084b0268094b03680a75580c00000069645f746f5f7365715f6964710d7d710e2868084b0168094b02680a4b037575622e",
    "800495f9000000000000008c326368726f6d6164622e7365676d656e742e696d706c2e766563746f722e6c6f63616c5f70657273697374656e745f686e7377948c0e50657273697374656e74446174619493942981947d94288c0e64696d656e73696f6e616c697479944b048c14746f74616c5f656c656d656e74735f6164646564944b038c0a6d61785f7365715f6964944d2c018c0b69645f746f5f6c6162656c947d94288c0161944b018c086472617765725f62944b028c05c3bc6ec3af944b03758c0b6c6162656c5f746f5f6964947d94284b01680a4b02680b4b03680c758c0c69645f746f5f7365715f6964947d9428680a4b01680b4b02680c4b037575622e",
    "800595f9000000000000008c326368726f6d6164622e7365676d656e742e696d706c2e766563746f722e6c6f63616c5f70657273697374656e745f686e7377948c0e50657273697374656e74446174619493942981947d94288c0e64696d656e73696f6e616c697479944b048c14746f74616c5f656c656d656e74735f6164646564944b038c0a6d61785f7365715f6964944d2c018c0b69645f746f5f6c6162656c947d94288c0161944b018c086472617765725f62944b028c05c3bc6ec3af944b03758c0b6c6162656c5f746f5f6964947d94284b01680a4b02680b4b03680c758c0c69645f746f5f7365715f6964947d9428680a4b01680b4b02680c4b037575622e",
    "800495ad000000000000007d94288c0e64696d656e73696f6e616c697479944b048c14746f74616c5f656c656d656e74735f6164646564944b038c0a6d61785f7365715f6964944d2c018c0b69645f746f5f6c6162656c947d94288c0161944b018c086472617765725f62944b028c05c3bc6ec3af944b03758c0b6c6162656c5f746f5f6964947d94284b0168064b0268074b036808758c0c69645f746f5f7365715f6964947d942868064b0168074b0268084b0375752e",
];

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn ids(pickle: &[u8]) -> Result<(Summary, Vec<(String, i64)>), PickleError> {
    let mut ids = Vec::new();
    let summary = read(pickle, &mut |id, label| {
        ids.push((id.to_owned(), label));
        Ok(())
    })?;
    Ok((summary, ids))
}

#[test]
fn every_version_is_read() {
    for hex in PYTHON {
        let (summary, ids) = ids(&bytes(hex)).unwrap();
        assert_eq!(summary, Summary { dimension: Some(4), mark: Some(300), id_count: 3 });
        assert_eq!(ids, [("a".to_owned(), 1), ("drawer_b".to_owned(), 2), ("ünï".to_owned(), 3)]);
    }
    let (summary, ids) = ids(&table(&[("a", 7), ("b", 9)])).unwrap();
    assert_eq!(summary, Summary { dimension: None, mark: None, id_count: 2 });
    assert_eq!(ids, [("a".to_owned(), 7), ("b".to_owned(), 9)]);
}

#[test]
fn nothing_else_is_run() {
    let refusals: [(&[u8], &str); 9] = [
        (b"\x80\x02cos\nsystem\n(S'true'\ntR.", "it names os.system, which a table of ids does not need"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "it names os.system, which a table of ids does not need"),
        (b"\x80\x02(S'x'\n", "instruction 0x53 is not one a table of ids needs"),
        (b"\x80\x02]q\x00.", "instruction 0x5d is not one a table of ids needs"),
        (b"\x80\x02}.", "it is not a table of ids: no id_to_label"),
        (b"\x80\x00}.", "it is not a table of ids: unknown protocol"),
        (b"\x80\x02}X\xff\xff\xff\xff", "a value of 4294967295 bytes is too long"),
        (b"\x80\x02\x8a\xff", "a value of 255 bytes is too long"),
        (b"\x80\x02}(K\x01u.", "it is not a table of ids: half a pair"),
    ];
    for (pickle, expect) in refusals {
        assert_eq!(ids(pickle).unwrap_err().to_string(), expect);
    }
    let negative = b"\x80\x02}\x8c\x0bid_to_label}\x8c\x01aJ\xff\xff\xff\xffss.";
    assert!(matches!(ids(negative), Err(PickleError::Shape(_))));
    assert!(matches!(ids(&vec![b'('; 1000]), Err(PickleError::Shape("too deep"))));
}

#[test]
fn a_table_that_ends_early_is_an_error_at_every_byte() {
    let whole = bytes(PYTHON[1]);
    for len in 0..whole.len() {
        assert!(ids(&whole[..len]).is_err(), "{len}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = ids(&bytes);
    }

    #[test]
    fn no_changed_byte_makes_it_panic(which in 0..PYTHON.len(), at in 0_usize..250, byte in any::<u8>()) {
        let mut pickle = bytes(PYTHON[which]);
        let at = at % pickle.len();
        pickle[at] = byte;
        let _ = ids(&pickle);
    }

    /// Bytes that are instructions get further than any bytes.
    #[test]
    fn no_program_makes_it_panic(
        program in proptest::collection::vec(
            proptest::sample::select(b"(})Nsub.K\x01\x8c\x94h\x00q\x81R\x88".to_vec()), 0..60)
    ) {
        let _ = ids(&[b"\x80\x04}(\x8c\x0bid_to_label}(".to_vec(), program].concat());
    }
}
