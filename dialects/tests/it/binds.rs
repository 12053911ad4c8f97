//! Which requirements bind under which dialect, and what follows from how it ends.

use std::fmt::Write as _;

use lastword_dialects::{Closer, Dialect, Frame, Seed, ServerSide, Unmatched};
use lastword_spec::close::CloseCode;
use lastword_spec::requirements as req;

#[test]
fn under_the_identity_everything_binds() {
    let lastword = Dialect::lastword();
    assert!(lastword.is_native() && lastword.lacking().is_empty() && lastword.not_applicable().is_empty());
    assert_eq!(lastword.wire_close_code(CloseCode::TIMEOUT), Some(CloseCode::TIMEOUT));
    assert_eq!(lastword.v1_close_code(Some(CloseCode(4408)), false), CloseCode(4408));
}

#[test]
fn what_binds_under_each_dialect() {
    let mut text = String::new();
    for dialect in Dialect::builtins().filter(|dialect| !dialect.is_native()) {
        let lacking: Vec<&str> = dialect.lacking().iter().map(|one| one.as_str()).collect();
        let not = dialect.not_applicable();
        let bound: Vec<&str> =
            req::ALL.iter().map(|one| one.id).filter(|id| !not.contains(id)).map(|id| id.as_str()).collect();
        writeln!(text, "{}\nlacks: {}\nbound: {}\n", dialect.name(), lacking.join(" "), bound.join(" ")).unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn the_faults_this_project_began_with_are_judged_under_whisper_fastapi() {
    let not = Dialect::builtin("whisper-fastapi").unwrap().not_applicable();
    for id in [
        req::END_C1,
        req::END_C2,
        req::END_C3,
        req::END_C5,
        req::END_C6,
        req::KA_C3,
        req::END_S4,
        req::END_S5,
        req::SEC_S4,
        req::CFG_C1,
    ] {
        assert!(!not.contains(&id), "{id}");
    }
    for id in [req::PRG_S1, req::FLU_S2, req::LIM_S1, req::END_S9, req::ERR_S2] {
        assert!(not.contains(&id), "{id}");
    }
}

#[test]
fn close_codes_are_translated_both_ways() {
    let text = include_str!("../reach/deepgram-v1.toml").replace("codes = [1000]", "codes = [1005, 1000]");
    let dialect = Dialect::from_toml("d.toml", &text).unwrap();
    assert_eq!(dialect.v1_close_code(None, true), CloseCode::NORMAL);
    assert_eq!(dialect.v1_close_code(Some(CloseCode(1000)), true), CloseCode::NORMAL);
    assert_eq!(dialect.v1_close_code(Some(CloseCode(1011)), false), CloseCode::TIMEOUT);
    assert_eq!(dialect.v1_close_code(Some(CloseCode(1008)), false), CloseCode(1008));
    assert_eq!(dialect.wire_close_code(CloseCode::NORMAL), None, "1005 is a Close without a code");
    assert_eq!(dialect.wire_close_code(CloseCode::TIMEOUT), Some(CloseCode(1011)));
    let server = ServerSide::new(&dialect, Seed::default());
    assert_eq!(server.close(CloseCode::NORMAL), Frame::Close { code: None, reason: String::new() });
    assert_eq!(dialect.closer(), Closer::Server);
}

#[test]
fn a_runner_learns_where_to_listen() {
    assert_eq!(Dialect::builtin("whisper-fastapi").unwrap().socket_path(), "/ws/transcribe");
    assert_eq!(Dialect::lastword().socket_path(), "");
    let gladia = Dialect::from_toml("gladia.toml", include_str!("../reach/gladia.toml")).unwrap();
    assert_eq!(gladia.pre_request_path(), Some(("POST".to_owned(), "/v2/live".to_owned())));
    let gradium = Dialect::from_toml("gradium.toml", include_str!("../reach/gradium.toml")).unwrap();
    assert_eq!(gradium.sample_rate_hz(), Some(24_000));
}

#[test]
fn what_is_unmatched_is_refused_by_v1_and_means_nothing_else_there() {
    let unmatched = |frame: Frame| Unmatched { frame, why: String::new() }.as_v1();
    assert_eq!(unmatched(Frame::text(r#"{"type":"flush","id":"a"}"#)), Frame::text(r#"{"type":"unmatched"}"#));
    assert_eq!(unmatched(Frame::text("no json")), Frame::text("no json"));
    assert_eq!(unmatched(Frame::Binary(vec![1, 2])), Frame::text(r#"{"type":"unmatched"}"#));
}
