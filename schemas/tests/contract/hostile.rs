//! Bodies made to hurt: none panics, none is read as something else than it says, each is refused with a code.

use crate::support::{decode, samples};
use atshub_schemas::{Envelope, MAX_BYTES, Refusal, RefusalCode, catalog::CATALOG};
use proptest::prelude::*;
use serde_json::{Value, json};

fn moved() -> String {
    samples().next().unwrap().1.to_string()
}

fn refused(body: &str) -> Refusal {
    Envelope::decode(body.as_bytes()).expect_err("was taken")
}

#[track_caller]
fn assert_field_refused(path: &str, pointer: &str, kind: &str, bad: &[&str]) {
    let (_, sample) = samples().find(|(name, _)| *name == kind).unwrap();
    for text in bad {
        let mut value = sample.clone();
        *value.pointer_mut(pointer).unwrap() = json!(text);
        let refusal = decode(&value).expect_err(&format!("{text:?} was taken as `{path}`"));
        assert_eq!((refusal.code, refusal.field.as_deref()), (RefusalCode::InvalidField, Some(path)), "{text:?}: {refusal}");
    }
}

#[test]
fn text_holds_nothing_that_a_terminal_or_a_reader_would_obey() {
    let bad = ["", "a\0", "\u{1b}[2J", "\u{7f}", "\u{9b}31m"];
    assert_field_refused("data.candidate.name", "/data/candidate/name", "application.moved.v1", &bad);
    assert_field_refused("data.candidate.phone", "/data/candidate/phone", "application.moved.v1", &bad[1..]);
    assert_field_refused("data.body", "/data/body", "note.added.v1", &bad);
    let cleaned =
        [("a\nb", "a b"), ("a\r\nb", "a  b"), ("\u{202e}gpj.exe", "gpj.exe"), ("\u{2067}x", "x"), ("x\u{2028}", "x"), ("\u{2029}x", "x")];
    for (sent, kept) in cleaned {
        for (kind, pointer) in [
            ("application.moved.v1", "/data/candidate/name"),
            ("application.moved.v1", "/data/candidate/phone"),
            ("status.set.v1", "/data/text"),
            ("command.failed.v1", "/data/code"),
        ] {
            let (_, mut value) = samples().find(|(name, _)| *name == kind).unwrap();
            *value.pointer_mut(pointer).unwrap() = json!(sent);
            let read = decode(&value).unwrap_or_else(|refusal| panic!("{sent:?} at {pointer}: {refusal}")).to_value().unwrap();
            assert_eq!(read.pointer(pointer).unwrap(), kept, "{sent:?} at {pointer}");
        }
    }
}

/// An id is compared and sent back: one that was cleaned would be another.
#[test]
fn an_id_is_kept_as_it_came_or_refused() {
    let bad = ["", "a\0", "\u{1b}[2J", "a\nb", "a\r\nb", "\u{7f}", "\u{9b}31m", "\u{202e}gpj.exe", "\u{2067}x", "\u{2028}", "\u{2029}"];
    assert_field_refused("data.application.id", "/data/application/id", "application.moved.v1", &bad);
    assert_field_refused("subject", "/subject", "application.moved.v1", &bad);
    assert_field_refused("source", "/source", "application.moved.v1", &bad);
    for (kept, pointer) in
        ["/data/application/id", "/subject", "/source"].into_iter().flat_map(|at| ["Ju\u{308}", " 7\u{200e}"].map(|id| (id, at)))
    {
        let (_, mut value) = samples().next().unwrap();
        *value.pointer_mut(pointer).unwrap() = json!(kept);
        assert_eq!(decode(&value).unwrap().to_value().unwrap().pointer(pointer).unwrap(), kept, "{pointer}");
    }
}

#[test]
fn an_address_is_one_address_and_no_header() {
    let bad = [
        "ada@example.org\r\nBcc: eve@example.org",
        "ada@example.org\nx",
        "ada@example.org,eve@example.org",
        "ada@example.org;eve",
        "ada@example.org\u{37e}eve",
        "Ada <ada@example.org>",
        "<ada@example.org>",
        "\"ada\"@example.org",
        "ada@@example.org",
        "ada",
        "@example.org",
        "ada@",
        "ada@\u{200b}",
        "ada @example.org",
        "ada@ example.org",
        "ada\u{a0}@example.org",
        "ada\0@example.org",
        "a:b@example.org",
        "ada@[127.0.0.1]",
        "ada(c)@example.org",
    ];
    assert_field_refused("data.job.followers[0].email", "/data/job/followers/0/email", "application.moved.v1", &bad);
    assert_field_refused("data.followers[1]", "/data/followers/1", "followers.synced.v1", &bad);
    for written in [
        "ada@example.org ",
        "\r\nada@example.org",
        "ada\u{202e}@example.org",
        "\u{feff}ada@exam\u{ad}ple.org\u{a0}",
        "ada\u{200d}@example.org",
    ] {
        let (_, mut value) = samples().next().unwrap();
        value["data"]["candidate"]["email"] = json!(written);
        let read = decode(&value).unwrap_or_else(|refusal| panic!("{written:?}: {refusal}")).to_value().unwrap();
        assert_eq!(read["data"]["candidate"]["email"], "ada@example.org", "{written:?}");
    }
}

#[test]
fn a_link_is_a_web_address_of_the_host_it_shows() {
    let bad = [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "java\nscript:alert(1)",
        " javascript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "//example.org",
        "/a",
        "",
        "https://",
        "https:///a",
        "https://?a",
        "https://ats.example.org@evil.example/",
        "https://a:b@example.org/",
        "https://example.org/ x",
        "https://example.org/\">",
        "https://example.org\\@evil.example",
        "ht\u{200b}tps://example.org/",
        "https://\u{200b}/a",
        "https://example.org/\u{202e} x",
        "https://example.org/\r\nSet-Cookie: x",
        "ftp://example.org/",
    ];
    assert_field_refused("data.application.url", "/data/application/url", "application.moved.v1", &bad);
    assert_field_refused("data.link", "/data/link", "status.set.v1", &bad);
}

#[test]
fn a_tenant_is_one_word_of_a_routing_key() {
    let bad = ["", "acme.eu", "#", "*", "acme.#", "acme.*", "ac me", "Acme", "-acme", "acmé", "ac/me", "..", "a\0", "%2e", &"a".repeat(64)];
    assert_field_refused("tenant", "/tenant", "application.moved.v1", &bad);
}

#[test]
fn a_time_is_rfc_3339_with_an_offset() {
    let bad = [
        "",
        "2026-11-23",
        "2026-11-23T10:15:00",
        "2026-11-23 10:15:00Z",
        "2026-11-23T10:15Z",
        "2026-11-23t10:15:00z",
        "2026-11-23T10:15:00+0100",
        "2026-11-23T10:15:00+01",
        "20261123T101500Z",
        "2026-11-23T10:15:00+01:00[Europe/Berlin]",
        "2026-02-30T10:15:00Z",
        "2026-11-23T25:15:00Z",
        "2026-11-23T10:15:00+24:00",
        "1700000000",
        "-002026-11-23T10:15:00Z",
        "2026-11-23T10:15:00Zé",
        "é026-11-23T10:15:00Z",
        "2026-11-23T10:15:0é",
        "now",
    ];
    assert_field_refused("time", "/time", "application.moved.v1", &bad);
    assert_field_refused("data.starts_at", "/data/starts_at", "schedule.requested.v1", &bad);
    assert_field_refused("data.interview.end_time", "/data/interview/end_time", "interview.changed.v1", &bad);
}

#[test]
fn a_time_at_either_end_of_time_is_taken_wherever_it_stands() {
    for end in [
        "9999-12-31T23:59:59.9999999Z",
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59-23:59",
        "9999-12-30T22:00:01Z",
        "0000-01-01T00:00:00+23:59",
        "0000-01-01T00:00:00-23:59",
    ] {
        for (kind, pointer) in [
            ("application.moved.v1", "/time"),
            ("schedule.requested.v1", "/data/starts_at"),
            ("interview.changed.v1", "/data/interview/end_time"),
            ("control.requested.v1", "/data/until"),
        ] {
            let (_, mut value) = samples().find(|(name, _)| *name == kind).unwrap();
            *value.pointer_mut(pointer).unwrap() = json!(end);
            let envelope = decode(&value).unwrap_or_else(|refusal| panic!("{end} at {pointer}: {refusal}"));
            assert_eq!(Envelope::decode(&envelope.encode().unwrap()).as_ref(), Ok(&envelope), "{end} at {pointer}");
        }
    }
    for none in ["9999-12-32T00:00:00Z", "9999-13-01T00:00:00Z", "0000-00-00T00:00:00Z", "9999-12-31T24:00:00Z"] {
        let (_, mut value) = samples().next().unwrap();
        value["time"] = json!(none);
        assert_eq!(decode(&value).unwrap_err().field.as_deref(), Some("time"), "{none}");
    }
}

#[test]
fn numbers_are_whole_and_exact_in_every_language() {
    let (_, sample) = samples().find(|(kind, _)| *kind == "status.set.v1").unwrap();
    for bad in [
        "-1",
        "-0",
        "1.5",
        "1e3",
        "3.0",
        "9007199254740992",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999",
        "1e300",
    ] {
        let body = sample.to_string().replace("\"sequence\":3", &format!("\"sequence\":{bad}"));
        let refusal = refused(&body);
        assert_eq!((refusal.code, refusal.field.as_deref()), (RefusalCode::InvalidField, Some("data.sequence")), "{bad}: {refusal}");
    }
    // No reader can hold this one: the body is not taken as JSON, and still the place is named.
    let refusal = refused(&sample.to_string().replace("\"sequence\":3", "\"sequence\":1e999"));
    assert_eq!((refusal.code, refusal.field.as_deref()), (RefusalCode::UndecodableBody, Some("data.sequence")), "{refusal}");
}

#[test]
fn a_field_given_twice_is_named_and_neither_value_is_taken() {
    for (body, field) in [
        (moved().replacen("\"tenant\":", "\"tenant\":\"globex\",\"tenant\":", 1), "tenant"),
        (moved().replacen("\"specversion\":", "\"type\":\"application.hired.v1\",\"specversion\":", 1), "type"),
        (moved().replacen("\"email\":\"eli", "\"email\":\"eve@example.org\",\"email\":\"eli", 1), "data.job.followers[0].email"),
        (moved().replacen("\"data\":{", "\"data\":{\"new\":{\"a\":1,\"\\u0061\":2},", 1), "data.new.a"),
    ] {
        let refusal = refused(&body);
        assert_eq!((refusal.code, refusal.field.as_deref()), (RefusalCode::InvalidField, Some(field)), "{refusal}");
        assert!(refusal.id.is_some(), "{refusal}");
    }
}

#[test]
fn what_is_nested_too_deep_is_refused_wherever_it_stands() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(100_000 / open.len()), close.repeat(100_000 / open.len()));
        let everywhere = [
            deep.clone(),
            moved().replacen("\"data\":{", &format!("\"data\":{{\"new\":{deep},"), 1),
            moved().replacen('{', &format!("{{\"new\":{deep},"), 1),
        ];
        for body in everywhere {
            assert_eq!(refused(&body).code, RefusalCode::UndecodableBody);
            assert!(refused(&body).to_string().len() < 400, "{}", refused(&body));
        }
    }
}

#[test]
fn what_is_not_one_json_object_in_utf_8_is_undecodable() {
    let text = moved();
    let not_utf_8 = text.replacen("Ada", "A@@", 1).into_bytes().iter().map(|b| if *b == b'@' { 0xff } else { *b }).collect();
    let bodies: Vec<Vec<u8>> = vec![
        vec![],
        b"null".into(),
        b"7".into(),
        b"\"x\"".into(),
        format!("[{text}]").into(),
        format!("{text}{text}").into(),
        format!("{text},").into(),
        format!("\u{feff}{text}").into(),
        text.replacen("Ada", "\\ud800", 1).into(),
        text.replacen("Ada", "\u{1}", 1).into(),
        text.replace('"', "'").into(),
        text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        not_utf_8,
        vec![0; MAX_BYTES],
        vec![b'['; MAX_BYTES],
    ];
    for body in bodies {
        let refusal = Envelope::decode(&body).expect_err("was taken");
        assert_eq!(refusal.code, RefusalCode::UndecodableBody, "{refusal}");
        assert!(refusal.detail.contains("send one CloudEvents 1.0 object"), "{refusal}");
    }
}

/// What a program writes without a complaint, and no reader takes: said by name, with the place, and found again by its id.
#[test]
fn a_cut_character_a_mark_and_a_number_out_of_range_are_refused_by_name() {
    let text = moved();
    for (body, words) in [
        (format!("\u{feff}{text}"), "it begins with a byte order mark; send it without the mark"),
        (text.replacen("Ada", "\\ud800", 1), "send the whole character, or leave it out"),
        (text.replacen("Ada", "\\uDC00", 1), "half of a surrogate pair"),
        (text.replacen("Ada", "\\ud83d\\ud83d\\ude00", 1), "half of a surrogate pair"),
        (text.replacen("\"data\":{", "\"data\":{\"x_new\":\"\\ud83d\",", 1), "half of a surrogate pair"),
        (text.replacen("\"data\":{", "\"data\":{\"x_new\":1e400,", 1), "a number that no program can hold"),
        (text.replacen("\"data\":{", "\"data\":{\"x_new\":-1e400,", 1), "a number that no program can hold"),
    ] {
        let refusal = refused(&body);
        assert!(refusal.code == RefusalCode::UndecodableBody && refusal.detail.contains(words), "{refusal}");
        let expected = serde_json::from_str::<Value>(&text).unwrap()["id"].as_str().map(str::to_owned);
        assert!(refusal.id == expected || body.contains("1e400"), "{refusal:?}");
    }
    // Both halves together are a character.
    let whole = decode(&serde_json::from_str(&text.replacen("Ada", "\\ud83d\\ude00", 1)).unwrap()).unwrap().to_value().unwrap();
    assert!(whole["data"]["candidate"]["name"].as_str().unwrap().starts_with('\u{1f600}'));
}

#[test]
fn fields_that_are_not_known_are_ignored_at_every_depth() {
    for (kind, sample) in samples() {
        let expected = decode(&sample).unwrap();
        let mut value = sample.clone();
        add_unknown(&mut value);
        assert_eq!(decode(&value).unwrap_or_else(|e| panic!("{kind}: {e}")), expected);
    }
}

fn add_unknown(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(add_unknown);
            fields.insert("x_new".into(), json!({ "anything": [1, null, "\u{202e}"] }));
        }
        Value::Array(items) => items.iter_mut().for_each(add_unknown),
        _ => {}
    }
}

/// Reads the body, and checks what every refusal promises.
fn decode_anything(body: &[u8]) {
    match Envelope::decode(body) {
        Ok(envelope) => assert_eq!(Envelope::decode(&envelope.encode().unwrap()).unwrap(), envelope),
        Err(refusal) => {
            let text = refusal.to_string();
            assert!(!text.chars().any(char::is_control), "{text:?}");
            assert!(text.chars().count() < 600, "{text}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        decode_anything(&body);
    }

    #[test]
    fn a_sample_with_damaged_bytes_is_read_or_refused(
        row in 0..CATALOG.len(),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let mut body = samples().nth(row).unwrap().1.to_string().into_bytes();
        for (place, byte) in damage {
            let place = place.index(body.len());
            body[place] = byte;
        }
        if let Some(cut) = cut {
            body.truncate(cut.index(body.len()));
        }
        decode_anything(&body);
    }
}
