//! The I-JSON scanner on its own: what it finds, and where it says a fault is.

use lastword_spec::ijson::{self, IjsonError, IjsonErrorKind, TypeMember};

fn fault(text: &str) -> IjsonError {
    ijson::scan(text).expect_err(text)
}

#[test]
fn the_type_is_found_wherever_and_however_it_is_written() {
    let texts = [
        r#"{"type":"flush"}"#,
        r#"{"a":{"type":"x"},"type":"flush","b":["type"]}"#,
        r#"{"\u0074\u0079pe":"flush"}"#,
        r#"{"type":"\u0066lush"}"#,
        "\t{ \"type\" :\n\"flush\"\r}\n",
    ];
    for text in texts {
        let found = ijson::scan(text).expect(text);
        assert_eq!(found.message_type, TypeMember::Text("flush".into()), "{text}");
        assert!(text[found.type_span.clone()].starts_with('"') && text[found.type_span].ends_with("lush\""), "{text}");
    }
    assert_eq!(ijson::scan("{}").map(|found| found.message_type), Ok(TypeMember::Missing));
    assert_eq!(ijson::scan(r#"{"x":{"type":"y"}}"#).map(|found| found.message_type), Ok(TypeMember::Missing));
    let not_a_string = ijson::scan(r#"{"type":[1]}"#).map(|found| (found.message_type, found.type_span));
    assert_eq!(not_a_string, Ok((TypeMember::NotString, 8..11)));
}

#[test]
fn escapes_are_undone_as_a_parser_undoes_them() {
    for raw in [r"a\n\t\r\b\f\/\\\u0022", r"\ud83d\ude00x\u00e9", r"\u0000", r"\udbff\udfff"] {
        let text = format!(r#"{{"type":"{raw}"}}"#);
        let theirs: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let ours = ijson::scan(&text).expect("I-JSON").message_type;
        assert_eq!(ours, TypeMember::Text(theirs["type"].as_str().expect("a string").to_owned().into()));
    }
}

#[test]
fn a_fault_is_told_with_byte_and_path() {
    let cases = [
        (r#"{"a":[1,{"b":01}]}"#, IjsonErrorKind::NotJson, 14, "a[1]"),
        (r#"{"a":[1,{"b":9007199254740992}]}"#, IjsonErrorKind::NumberRange, 13, "a[1].b"),
        (r#"{"a":[1,{"b":1e999}]}"#, IjsonErrorKind::NumberRange, 13, "a[1].b"),
        (r#"{"a":{"b":1,"\u0062":1}}"#, IjsonErrorKind::DuplicateKey, 13, "a.b"),
        (r#"{"a":"x\ud800"}"#, IjsonErrorKind::LoneSurrogate, 7, "a"),
        (r#"[{}]"#, IjsonErrorKind::NotObject, 0, ""),
        ("{} x", IjsonErrorKind::NotJson, 3, ""),
        ("", IjsonErrorKind::NotJson, 0, ""),
    ];
    for (text, kind, offset_bytes, path) in cases {
        assert_eq!(fault(text), IjsonError { kind, offset_bytes, path: path.into() }, "{text}");
    }
}

#[test]
fn depth_counts_the_message_itself() {
    let nested = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    assert!(ijson::scan(&nested(16)).is_ok());
    assert_eq!(fault(&nested(17)).kind, IjsonErrorKind::TooDeep);
    assert_eq!(fault(&nested(100_000)).kind, IjsonErrorKind::TooDeep);
}

#[test]
fn a_wide_object_is_searched_for_duplicates_too() {
    let members: Vec<String> = (0..20_000).map(|index| format!(r#""k{index}":0"#)).collect();
    let wide = format!("{{{}}}", members.join(","));
    assert!(ijson::scan(&wide).is_ok());
    for again in ["k0", "k15", "k16", "k19999", "\\u006b0"] {
        let text = format!(r#"{{{},"{again}":0}}"#, members.join(","));
        assert_eq!(fault(&text).kind, IjsonErrorKind::DuplicateKey, "{again}");
    }
}

#[test]
fn a_hostile_key_is_cut_in_the_path() {
    let text = format!(r#"{{"{}":nope}}"#, "k".repeat(10_000));
    assert_eq!(fault(&text).path.len(), 64);
}

#[test]
fn every_byte_of_a_string_is_looked_at() {
    // The scanner goes eight bytes at a time: each character at each place of two such steps and of the rest.
    for character in (0..0x180_u32).filter_map(char::from_u32) {
        for place in 0..20 {
            let string = format!("{}{character}{}", "a".repeat(place), "b".repeat(19 - place));
            let text = format!(r#"{{"type":"{string}"}}"#);
            let taken = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            assert_eq!(ijson::scan(&text).is_ok(), taken, "{character:?} at {place}");
        }
    }
}

#[test]
fn a_number_without_exponent_can_be_too_large_for_a_double() {
    for digits in [1, 15, 16, 17, 299, 300, 308, 309, 310, 400] {
        let text = format!(r#"{{"x":{}.5}}"#, "9".repeat(digits));
        let taken = serde_json::from_str::<serde_json::Value>(&text).is_ok();
        assert_eq!(ijson::scan(&text).is_ok(), taken, "{digits} digits");
        assert_eq!(taken, digits < 309, "{digits} digits");
    }
}
