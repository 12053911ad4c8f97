//! Upgrades, credentials and refusals, alone and beside another connection that was served, refused, or let in.

use lastword_judge::{Options, judge};
use lastword_spec::trace::{Event, EventKind, Open, Shown, Trace};

use super::super::scene::{CONFIG, END, READY, ended, error, scene};
use super::unusual::rows;

/// What one connection does.
#[derive(Clone, Copy)]
enum Way {
    Upgraded { offered: &'static [&'static str], selected: Option<&'static str>, shown: Option<Shown> },
    Refused { status: u16, retry_after: bool, offered: Option<&'static [&'static str]>, shown: Option<Shown> },
    Failed,
}

use Way::{Failed, Refused, Upgraded};

const OURS: &[&str] = &["lastword.v1"];
const OTHER: &[&str] = &["other"];
const BOTH: &[&str] = &["other", "lastword.v1"];

fn plain() -> Way {
    Upgraded { offered: OURS, selected: Some("lastword.v1"), shown: None }
}

fn showing(shown: Shown) -> Way {
    Upgraded { offered: OURS, selected: Some("lastword.v1"), shown: Some(shown) }
}

fn refused(status: u16) -> Way {
    Refused { status, retry_after: false, offered: Some(OURS), shown: None }
}

/// The session that follows an upgrade.
#[derive(Clone, Copy)]
enum Then {
    Served,
    Fatal(&'static str),
    Nothing,
}

/// Another connection of the same trace.
type Other = (Way, &'static str, Then);

fn play(trace: &mut Trace, way: Way, token: &str, then: Then) {
    let conn = trace.events.last().map_or(0, |event| event.conn + 1);
    let from_us = u64::from(conn) * 10_000_000;
    let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<String>>();
    let kind = match way {
        Upgraded { offered, selected, shown } => EventKind::Open(Open {
            offered: own(offered),
            selected: selected.map(str::to_owned),
            authorization: shown,
            ..Open::default()
        }),
        Refused { status, retry_after, offered, shown } => EventKind::Refused {
            status,
            retry_after: retry_after.then(|| "1".to_owned()),
            offered: offered.map(own),
            authorization: shown,
        },
        Failed => EventKind::ConnectFailed { error: "refused".to_owned() },
    };
    let is_open = matches!(kind, EventKind::Open(_));
    trace.events.push(Event::new(from_us, conn, kind));
    if !is_open {
        return;
    }
    let config = match token {
        "" => CONFIG.to_owned(),
        token => format!(r#">{{"type":"config","token":"{token}"}}"#),
    };
    let (last, fatal) =
        (ended(0, 0, 0), if let Then::Fatal(code) = then { error(code, true, "") } else { String::new() });
    let mut lines = vec![(10, config.as_str())];
    match then {
        Then::Served => lines.extend([(20, READY), (30, END), (40, last.as_str()), (50, "closed 1000")]),
        Then::Fatal("unauthenticated") => lines.extend([(20, fatal.as_str()), (30, "closed 4401")]),
        Then::Fatal(_) => lines.extend([(20, fatal.as_str()), (30, "closed 4400")]),
        Then::Nothing => {}
    }
    for mut event in scene(&lines).events {
        event.conn = conn;
        event.t_us += from_us;
        trace.events.push(event);
    }
}

/// What is found on which connection, and what is proved about upgrades and credentials.
fn summary(trace: &Trace, secret: &str) -> String {
    let secrets = if secret.is_empty() { Vec::new() } else { vec![secret.to_owned()] };
    let judgement = judge(trace, &Options { secrets, ..Options::default() });
    let found = judgement.findings.iter();
    let found = found.map(|one| format!("{} {} on {}", one.requirement.as_str(), one.kind.as_str(), one.conn));
    let proved = judgement.exercised.iter().map(|id| id.as_str());
    let proved: Vec<&str> = proved.filter(|id| id.starts_with("CON") || id.starts_with("SEC")).collect();
    let found: Vec<String> = found.chain([format!("proves {}", proved.join(" "))]).collect();
    found.join(", ")
}

#[test]
fn upgrades_and_credentials_are_judged_as_they_were() {
    let ways = [
        ("a plain upgrade", plain()),
        ("another is offered", Upgraded { offered: OTHER, selected: None, shown: None }),
        ("another is offered and selected", Upgraded { offered: OTHER, selected: Some("other"), shown: None }),
        ("both are offered, ours is selected", Upgraded { offered: BOTH, selected: Some("lastword.v1"), shown: None }),
        ("both are offered, the other is selected", Upgraded { offered: BOTH, selected: Some("other"), shown: None }),
        ("ours is offered, none is selected", Upgraded { offered: OURS, selected: None, shown: None }),
        ("none is offered", Upgraded { offered: &[], selected: None, shown: None }),
        ("none is offered, ours is selected", Upgraded { offered: &[], selected: Some("lastword.v1"), shown: None }),
        ("a good credential in the header", showing(Shown::Good)),
        ("a wrong credential in the header", showing(Shown::Wrong)),
        ("no credential in the header", showing(Shown::None)),
        ("400", refused(400)),
        ("401", refused(401)),
        ("429", refused(429)),
        ("503", refused(503)),
        ("503, try again", Refused { status: 503, retry_after: true, offered: Some(OURS), shown: None }),
        ("400 to another", Refused { status: 400, retry_after: false, offered: Some(OTHER), shown: None }),
        ("403 to another", Refused { status: 403, retry_after: false, offered: Some(OTHER), shown: None }),
        ("404 to another", Refused { status: 404, retry_after: false, offered: Some(OTHER), shown: None }),
        ("400 to none", Refused { status: 400, retry_after: false, offered: Some(&[]), shown: None }),
        ("400, nobody knows to whom", Refused { status: 400, retry_after: false, offered: None, shown: None }),
        ("404, nobody knows to whom", Refused { status: 404, retry_after: false, offered: None, shown: None }),
        (
            "400 to a wrong credential",
            Refused { status: 400, retry_after: false, offered: Some(OURS), shown: Some(Shown::Wrong) },
        ),
        (
            "401 to a wrong credential",
            Refused { status: 401, retry_after: false, offered: Some(OURS), shown: Some(Shown::Wrong) },
        ),
        (
            "429 to a wrong credential",
            Refused { status: 429, retry_after: false, offered: Some(OURS), shown: Some(Shown::Wrong) },
        ),
        (
            "400 to a good credential",
            Refused { status: 400, retry_after: false, offered: Some(OURS), shown: Some(Shown::Good) },
        ),
        ("no answer", Failed),
    ];
    let endings = [
        ("served", Then::Served),
        ("unauthenticated", Then::Fatal("unauthenticated")),
        ("invalid_config", Then::Fatal("invalid_config")),
        ("overloaded", Then::Fatal("overloaded")),
        ("nothing", Then::Nothing),
    ];
    let besides: [(&str, Option<Other>); 5] = [
        ("alone", None),
        ("beside a served one", Some((plain(), "", Then::Served))),
        ("beside one with the right token", Some((plain(), "right-token", Then::Served))),
        ("beside one that was refused", Some((plain(), "wrong-token", Then::Fatal("unauthenticated")))),
        ("beside a 401", Some((refused(401), "", Then::Nothing))),
    ];
    let names: Vec<String> = besides.iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut table = String::new();
    for (name, way) in ways {
        let is_open = matches!(way, Upgraded { .. });
        for secret in ["", "right-token"] {
            for token in ["", "right-token", "wrong-token"] {
                for (ending, then) in endings {
                    if !is_open && (ending != "nothing" || !token.is_empty()) {
                        continue;
                    }
                    let token_name = if token.is_empty() { "no token" } else { token };
                    let known = if secret.is_empty() { "" } else { ", the right one is known" };
                    let title = format!("{name}, {token_name}{known}, {ending}");
                    rows(&mut table, &title, &names, |beside| {
                        let mut trace = scene(&[]);
                        play(&mut trace, way, token, then);
                        let other = besides.iter().find(|(name, _)| *name == beside).and_then(|(_, other)| *other);
                        if let Some((way, token, then)) = other {
                            play(&mut trace, way, token, then);
                        }
                        summary(&trace, secret)
                    });
                }
            }
        }
    }
    insta::assert_snapshot!(table);
}
