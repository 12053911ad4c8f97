//! The repository's own arrows, and proof that each rule can fail.

use super::*;

#[test]
fn this_workspace_keeps_its_arrows() {
    let violations = check_workspace(&Workspace::find().unwrap()).unwrap();
    assert_eq!(violations, Vec::<String>::new());
}

/// A house in order: every member, its lawful edges.
fn lawful() -> Graph {
    let mut graph = Graph::default();
    for rule in RULES {
        graph.members.insert(rule.member.to_owned());
    }
    for (from, to, kind) in [
        (SESSION, SPEC, Kind::Normal),
        (JUDGE, SPEC, Kind::Normal),
        (DIALECTS, SPEC, Kind::Normal),
        (CLIENT, SESSION, Kind::Normal),
        (SERVER, SESSION, Kind::Normal),
        (SERVER, DIALECTS, Kind::Normal),
        (CONFORMANCE, JUDGE, Kind::Normal),
        (CONFORMANCE, DIALECTS, Kind::Normal),
        (CONFORMANCE, SERVER, Kind::Dev),
        (CONFORMANCE, CLIENT, Kind::Dev),
        (CONFORMANCE, CLIENT_DRIVER, Kind::Dev),
        (DRIVER, SPEC, Kind::Normal),
        (CLIENT_DRIVER, DRIVER, Kind::Normal),
        (XTASK, SPEC, Kind::Normal),
    ] {
        graph.add(from, to, kind);
    }
    graph
}

#[test]
fn a_house_in_order_has_no_violation() {
    assert_eq!(lawful().violations(), Vec::<String>::new());
}

#[test]
fn each_forbidden_edge_is_named_with_its_rule() {
    for (from, to, kind, wanted) in [
        (SPEC, SESSION, Kind::Normal, "lastword-spec -> lastword-session (normal): all arrows end at the spec"),
        (SESSION, JUDGE, Kind::Dev, "lastword-session -> lastword-judge (dev)"),
        (JUDGE, SESSION, Kind::Normal, "lastword-judge -> lastword-session (normal): a judge that runs"),
        (JUDGE, SESSION, Kind::Dev, "lastword-judge -> lastword-session (dev): a judge that runs"),
        (JUDGE, SESSION, Kind::Build, "lastword-judge -> lastword-session (build): a judge that runs"),
        (CONFORMANCE, SESSION, Kind::Dev, "lastword -> lastword-session (dev)"),
        (CONFORMANCE, SERVER, Kind::Normal, "lastword -> lastword-server (normal)"),
        (CONFORMANCE, CLIENT, Kind::Build, "lastword -> lastword-client (build)"),
        (CLIENT, CONFORMANCE, Kind::Normal, "lastword-client -> lastword (normal)"),
        (SERVER, CLIENT, Kind::Normal, "lastword-server -> lastword-client (normal)"),
        (DRIVER, CLIENT, Kind::Normal, "lastword-driver -> lastword-client (normal): a driver knows"),
        (CONFORMANCE, CLIENT_DRIVER, Kind::Normal, "lastword -> lastword-client-driver (normal)"),
        (XTASK, CONFORMANCE, Kind::Normal, "xtask -> lastword (normal)"),
        (SERVER, CHECK, Kind::Normal, "lastword-server -> lastword-check (normal)"),
    ] {
        let mut graph = lawful();
        graph.add(from, to, kind);
        let violations = graph.violations();
        assert!(violations.iter().any(|violation| violation.starts_with(wanted)), "{wanted}: {violations:?}");
    }
}

fn absence(member: &str, forbidden: &str) -> &'static Absence {
    let binds = |absence: &&Absence| absence.members.contains(&member) && absence.forbidden.contains(&forbidden);
    ABSENCES.iter().find(binds).unwrap()
}

#[test]
fn each_absence_is_found_however_long_the_way() {
    for (member, forbidden, wanted) in [
        (SPEC, "getrandom", "lastword-spec -> between -> getrandom: no I/O"),
        (SESSION, "tokio", "lastword-session -> between -> tokio: no I/O"),
        (JUDGE, "mio", "lastword-judge -> between -> mio: no I/O"),
        (JUDGE, SESSION, "lastword-judge -> between -> lastword-session: a judge that runs"),
        (DRIVER, SESSION, "lastword-driver -> between -> lastword-session: a judge that runs"),
        (CONFORMANCE, "cc", "lastword -> between -> cc: `cargo install"),
        (CONFORMANCE, "whisper-rs-sys", "lastword -> between -> whisper-rs-sys: `cargo install"),
        (CONFORMANCE, SESSION, "lastword -> between -> lastword-session: a judge that runs"),
        (XTASK, "whisper-rs", "xtask -> between -> whisper-rs: developer commands"),
    ] {
        let tree = format!(
            "0 {member} v0.1.0 (here)\n1 serde v1.0.0\n2 syn v2.0.0 (*)\n1 between v1.0.0\n2 {forbidden} v1.0.0\n1 last v1.0.0\n"
        );
        let violations = absence(member, forbidden).violations(&tree).unwrap();
        assert!(violations.len() == 1 && violations[0].starts_with(wanted), "{wanted}: {violations:?}");
        let lawful = tree.replace(forbidden, "lawful");
        assert_eq!(absence(member, forbidden).violations(&lawful).unwrap(), Vec::<String>::new());
    }
}

#[test]
fn a_tree_that_cannot_be_read_is_an_error_and_not_a_pass() {
    for tree in ["", "lastword v0.1.0\n", "0 lastword v0.1.0\n2 cc v1.0.0\n"] {
        assert!(absence(CONFORMANCE, "cc").violations(tree).is_err(), "{tree:?}");
    }
}

#[test]
fn the_tree_of_the_server_shows_the_compiler_that_whisper_needs() {
    let tree = Workspace::find().unwrap().tree(SERVER, "normal,build").unwrap();
    let violations = absence(CONFORMANCE, "whisper-rs-sys").violations(&tree).unwrap();
    assert!(violations.iter().any(|violation| violation.contains("-> whisper-rs-sys: ")), "{violations:?}");
}

#[test]
fn a_member_without_a_rule_is_a_violation() {
    let mut graph = lawful();
    graph.members.insert("lastword-newcomer".to_owned());
    assert!(graph.violations()[0].starts_with("lastword-newcomer: no rule"));
}

#[test]
fn edge_kinds_are_read_from_the_metadata() {
    let mut metadata = serde_json::to_value(Workspace::find().unwrap().graph().unwrap()).unwrap();
    let id_of = |name: &str| {
        let packages = metadata["packages"].as_array().unwrap();
        packages.iter().find(|package| package["name"] == name).unwrap()["id"].clone()
    };
    let (judge, session) = (id_of(JUDGE), id_of(SESSION));
    let nodes = metadata["resolve"]["nodes"].as_array_mut().unwrap();
    let node = nodes.iter_mut().find(|node| node["id"] == judge).unwrap();
    node["deps"].as_array_mut().unwrap().push(serde_json::json!({
        "name": "lastword_session", "pkg": session, "dep_kinds": [{ "kind": "dev", "target": null }],
    }));
    let doctored: Metadata = serde_json::from_value(metadata).unwrap();
    let violations = Graph::from_metadata(&doctored).unwrap().violations();
    assert!(
        violations.iter().any(|violation| violation.starts_with("lastword-judge -> lastword-session (dev)")),
        "{violations:?}"
    );
}
