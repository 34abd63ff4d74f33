use proptest::prelude::*;

use super::*;

fn name(text: &str) -> Name {
    Name::from_text(text).unwrap_or_else(|| panic!("{text}"))
}

/// A question with an OPT record that says so many bytes.
fn asked(text: &str, kind: u16, size: Option<u16>) -> Vec<u8> {
    let mut bytes = question(7, &name(text), kind);
    if let Some(size) = size {
        bytes[11] = 1;
        bytes.extend_from_slice(&[0, 0, 41]);
        bytes.extend_from_slice(&size.to_be_bytes());
        bytes.extend_from_slice(&[0; 6]);
    }
    bytes
}

/// A message with these counts and this behind the header.
fn raw(counts: [u16; 4], rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 1, 0x81, 0x80];
    counts.iter().for_each(|count| bytes.extend_from_slice(&count.to_be_bytes()));
    bytes.extend_from_slice(rest);
    bytes
}

#[test]
fn an_answer_with_compressed_names_is_read() {
    let question = b"\x04_sip\x04_tcp\x07example\x03com\x00\x00\x21\x00\x01".as_slice();
    // The name of the question; a host within its domain; then another name of that host, and a text.
    let records = [
        b"\xc0\x0c\x00\x21\x00\x01\x00\x00\x00\x3c\x00\x0a\x00\x05\x00\x06\x13\xc4\x01a\xc0\x16".as_slice(),
        b"\x01b\xc0\x16\x00\x05\x00\x01\x00\x00\x00\x01\x00\x02\xc0\x16",
        b"\xc0\x16\x00\x10\x00\x01\x00\x00\x00\x01\x00\x03\x02hi",
        b"\xc0\x16\x00\x1c\x00\x01\x00\x00\x00\x01\x00\x10\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01",
        b"\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x00",
    ]
    .concat();
    let bytes = raw([1, 4, 0, 1], &[question, &records].concat());
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.question.name, name("_sip._tcp.example.com"));
    let host = name("a.example.com");
    let data: Vec<_> = message.answers.iter().map(|record| record.data.clone()).collect();
    assert_eq!(
        data,
        [
            Data::Service { priority: 5, weight: 6, port: 5060, host },
            Data::Name(name("example.com")),
            Data::Bytes(b"\x02hi"),
            Data::Address("fd00::1".parse().unwrap()),
        ]
    );
    assert_eq!(message.answers[1].name, name("b.example.com"));
    assert_eq!(message.edns, Some(Edns { size: 1232, code: 0, version: 0, is_secure: true }));
    assert!(message.is_answer() && message.is_decisive() && !message.is_truncated());
}

#[test]
fn pointers_lead_back_or_nowhere() {
    let refused = |rest: &[u8]| Message::parse(&raw([1, 0, 0, 0], rest)).expect_err("a name");
    for rest in [
        b"\xc0\x0c\x00\x01\x00\x01".as_slice(),
        b"\xc0\x0e\x00\x01\x00\x01",
        b"\x01a\xc0\x0c\x00\x01\x00\x01",
        b"\xff\xff\x00\x01\x00\x01",
        // Into the header, whose number is another one when the question is sent on.
        b"\xc0\x01\x00\x01\x00\x01",
        b"\x01a\xc0\x0b\x00\x01\x00\x01",
    ] {
        assert_eq!(refused(rest), Malformed::Pointer, "{rest:?}");
    }
    // Two that lead to each other.
    let records = b"\x01a\x00\x00\x01\x00\x01\xc0\x15\xc0\x13";
    assert_eq!(Message::parse(&raw([1, 1, 0, 0], records)), Err(Malformed::Pointer));
    // Each leads to the one before: more of them than a name has labels.
    let mut pointers = b"\x01a\x00\x00\x01\x00\x01".to_vec();
    pointers.extend_from_slice(b"\xc0\x0c\x00\x10\x00\x01\0\0\0\0\x01\x00\xc0\x0c");
    (1..128u16).for_each(|at| pointers.extend_from_slice(&(0xc000 | (29 + 2 * at)).to_be_bytes()));
    pointers.extend_from_slice(b"\xc1\x1f\x00\x10\x00\x01\0\0\0\0\x00\x00");
    assert_eq!(Message::parse(&raw([1, 2, 0, 0], &pointers)), Err(Malformed::Pointer));
    assert_eq!(refused(b"\x40\x00\x00\x01\x00\x01"), Malformed::Name);
    assert_eq!(refused(b"\x80\x00\x00\x01\x00\x01"), Malformed::Name);
    assert_eq!(refused(b"\x3fshort"), Malformed::Short);
    assert_eq!(refused(&[b"\x01a".repeat(128).as_slice(), b"\0\0\x01\0\x01"].concat()), Malformed::Name);
    // A name that grows by every pointer: too long long before it ends.
    let mut chain = b"\x3f".to_vec();
    chain.extend_from_slice(&[b'a'; 63]);
    chain.extend_from_slice(b"\x00\x00\x01\x00\x01");
    let mut at = 12u16;
    for _ in 0..5 {
        let here = u16::try_from(HEADER + chain.len()).unwrap();
        chain.extend_from_slice(b"\x3f");
        chain.extend_from_slice(&[b'a'; 63]);
        chain.extend_from_slice(&(0xc000 | at).to_be_bytes());
        chain.extend_from_slice(&[0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4]);
        at = here;
    }
    assert_eq!(Message::parse(&raw([1, 5, 0, 0], &chain)), Err(Malformed::Name));
}

#[test]
fn records_are_as_long_as_what_they_hold() {
    let record = |kind: u8, length: u8, data: &[u8]| {
        let head =
            [&b"\x01a\x00\x00\x01\x00\x01\xc0\x0c\x00"[..], &[kind], b"\x00\x01\0\0\0\0\0", &[length], data]
                .concat();
        Message::parse(&raw([1, 1, 0, 0], &head)).map(|_| ())
    };
    assert_eq!(record(1, 4, &[1; 4]), Ok(()));
    assert_eq!(record(1, 3, &[1; 4]), Err(Malformed::Record));
    assert_eq!(record(1, 5, &[1; 5]), Err(Malformed::Record));
    assert_eq!(record(28, 4, &[1; 4]), Err(Malformed::Short));
    assert_eq!(record(5, 2, b"\xc0\x0c"), Ok(()));
    assert_eq!(record(5, 4, b"\xc0\x0cab"), Err(Malformed::Record));
    assert_eq!(record(16, 9, b"short"), Err(Malformed::Short));
    let opt = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00";
    let two = raw([1, 0, 0, 2], &[&b"\x01a\x00\x00\x01\x00\x01"[..], opt, opt].concat());
    assert_eq!(Message::parse(&two), Err(Malformed::Options));
    for questions in [0, 2, u16::MAX] {
        assert_eq!(Message::parse(&raw([questions, 0, 0, 0], b"\0\0\x01\0\x01")), Err(Malformed::Questions));
    }
    assert_eq!(Message::parse(&raw([1, u16::MAX, 0, 0], b"\0\0\x01\0\x01")), Err(Malformed::Short));
    assert_eq!(Message::parse(&[0; 11]), Err(Malformed::Short));
}

#[test]
fn an_answer_of_ours_says_what_was_asked() {
    for size in [None, Some(4096), Some(100)] {
        let bytes = asked("Web", kind::A, size);
        let question = Message::parse(&bytes).unwrap();
        assert_eq!(question.takes(), size.map_or(512, |size| size.max(512)));
        let address = [10, 0, 2, 100].into();
        let answer = reply(&question, Code::NoError, &[Answer::Address(address)], question.takes());
        let answer = Message::parse(&answer).unwrap();
        assert_eq!((answer.id, answer.flags), (7, 0x8580));
        assert_eq!(answer.question.name.as_wire(), b"\x03Web\0");
        assert_eq!(answer.answers[0].data, Data::Address(address));
        assert_eq!(answer.answers[0].name, name("web"));
        assert_eq!(answer.edns.is_some(), size.is_some());
    }
}

#[test]
fn what_does_not_fit_is_left_out_and_said_to_be() {
    let bytes = asked("web", kind::AAAA, Some(512));
    let question = Message::parse(&bytes).unwrap();
    let many = vec![Answer::Address("fd00::1".parse().unwrap()); 30];
    let short = reply(&question, Code::NoError, &many, question.takes());
    let message = Message::parse(&short).unwrap();
    assert!(short.len() <= 512 && message.is_truncated() && message.answers.is_empty());
    assert_eq!(Message::parse(&reply(&question, Code::NoError, &many, 65535)).unwrap().answers.len(), 30);
}

#[test]
fn codes_are_where_they_belong() {
    let bytes = asked("web", kind::A, Some(512));
    let question = Message::parse(&bytes).unwrap();
    for (code, low, high) in [
        (Code::NoError, 0, 0),
        (Code::Format, 1, 0),
        (Code::ServerFailure, 2, 0),
        (Code::NoName, 3, 0),
        (Code::NotImplemented, 4, 0),
        (Code::Refused, 5, 0),
        (Code::BadVersion, 0, 1),
    ] {
        let bytes = reply(&question, code, &[], 512);
        let answer = Message::parse(&bytes).unwrap();
        assert_eq!((answer.flags & flag::CODE, answer.edns.unwrap().code), (low, high));
        assert_eq!(answer.is_decisive(), matches!(code, Code::NoError | Code::NoName));
    }
}

#[test]
fn what_is_no_question_gets_no_answer() {
    assert_eq!(fault(&[0; 11], Code::Format), None);
    assert_eq!(fault(&[0xff; 12], Code::Format), None);
    assert_eq!(
        fault(b"\x12\x34\x01\0\0\0\0\0\0\0\0\0", Code::Format).unwrap(),
        b"\x12\x34\x81\x01\0\0\0\0\0\0\0\0"
    );
}

proptest! {
    #[test]
    fn names_are_read_back(labels in proptest::collection::vec("[a-zA-Z0-9_-]{1,20}", 1..8), kind: u16) {
        let name = name(&labels.join("."));
        let bytes = question(1, &name, kind);
        let message = Message::parse(&bytes).unwrap();
        prop_assert_eq!(message.question.name.as_wire(), name.as_wire());
        prop_assert_eq!(message.question.kind, kind);
    }

    #[test]
    fn bytes_are_a_message_or_not(mut bytes: Vec<u8>, counts: [u8; 4]) {
        for (at, count) in counts.iter().enumerate() {
            if let Some(pair) = bytes.get_mut(4 + 2 * at..6 + 2 * at) {
                pair.copy_from_slice(&[0, count % 3]);
            }
        }
        if let Ok(message) = Message::parse(&bytes) {
            prop_assert!(message.answers.len() <= bytes.len() / 11);
        }
    }
}
