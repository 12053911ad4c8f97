//! From a dialect file to a [`Dialect`]: reads what stands in it, finds what is left out, and tells everything that is wrong with
//! line and remedy. Owns the order of this; the syntax of conditions, sources and frames is in the modules below.

mod check;
mod send;
mod take;

use std::collections::{BTreeMap, BTreeSet};

use lastword_spec::limits::{LIMITS, Limits};
use serde_json::Value;

use crate::batch::Batch;
use crate::capability::{Capability, Told};
use crate::dialect::{Connect, Dialect, End, PreRequest};
use crate::error::{DialectError, DialectErrors, Path, Source};
use crate::field::{self, Field, Kind, names};
use crate::file::{self, ClosedBy, DialectFile, Direction, EndedBy, Finals};
use crate::pointer::Pointer;
use crate::rule::{FrameTemplate, Rule, TokensRule, WindowRule, field_of, what};
use crate::template::{Json, Text, Values};
use take::Wrong;

/// Reads a dialect file.
pub(crate) fn compile(file_name: &str, text: &str) -> Result<Dialect, DialectErrors> {
    let source = Source::new(file_name, text);
    let file: DialectFile = toml::from_str(text).map_err(|error| DialectErrors(vec![source.unreadable(&error)]))?;
    let mut compiler = Compiler { source, errors: Vec::new() };
    let dialect = compiler.dialect(&file);
    if compiler.errors.is_empty() {
        compiler.check(&file, &dialect);
    }
    compiler.errors.sort_by_key(|error| error.line);
    if compiler.errors.is_empty() { Ok(dialect) } else { Err(DialectErrors(compiler.errors)) }
}

struct Compiler<'a> {
    source: Source<'a>,
    errors: Vec<DialectError>,
}

impl Compiler<'_> {
    fn fault(&mut self, path: &Path, detail: impl Into<String>) {
        let error = self.source.fault(path, detail);
        self.errors.push(error);
    }

    /// The value, or the error noted.
    fn noted<T>(&mut self, result: Result<T, Wrong>) -> Option<T> {
        result.map_err(|(path, why)| self.fault(&path, why)).ok()
    }

    fn dialect(&mut self, file: &DialectFile) -> Dialect {
        let root = Path::default();
        let well_named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if file.dialect.is_empty() || !file.dialect.chars().all(well_named) {
            self.fault(
                &root.key("dialect"),
                "a name has small letters, digits and hyphens only, such as \"my-service\"",
            );
        }
        let values = self.values(file, &root);
        let client = self.rules(&file.client, true, &root.key("client"), file);
        let server = self.rules(&file.server, false, &root.key("server"), file);
        let mut dialect = Dialect {
            name: file.dialect.clone(),
            title: file.title.clone(),
            native: file.native,
            unsupported: self.unsupported(file, &root.key("unsupported")),
            finals: file.finals,
            connect: self.connect(&file.connect, &root.key("connect")),
            wire_encoding: file.audio.encoding,
            sample_rate_hz: file.audio.sample_rate_hz,
            end: End {
                by: file.end.by,
                closed_by: file.end.closed_by,
                codes: if file.end.codes.is_empty() { vec![1000] } else { file.end.codes.clone() },
                idle_codes: file.end.idle_codes.clone(),
            },
            limits: self.limits(file, &root.key("limits")),
            documents_drain: file.limits.contains_key("drain_ms"),
            batch: self.batch(file, &values, &root.key("batch")),
            values,
            client,
            server,
        };
        if file.end.by == EndedBy::Echo {
            echo(&mut dialect);
        }
        if !file.native && !dialect.client.iter().any(|rule| rule.kind == Kind::Audio) {
            dialect.client.push(audio_rule());
        }
        dialect
    }

    fn unsupported(&mut self, file: &DialectFile, path: &Path) -> BTreeSet<Capability> {
        // Who closes says it already.
        let closes = !file.native && file.end.closed_by != ClosedBy::Server;
        let mut found: BTreeSet<Capability> = closes.then_some(Capability::ServerClose).into_iter().collect();
        for (index, name) in file.unsupported.iter().enumerate() {
            match Capability::find(name) {
                Some(one) if one.told() == Told::Declared => {
                    found.insert(one);
                    // Nothing asks for the answer.
                    found.extend((one == Capability::Update).then_some(Capability::Updated));
                }
                Some(_) => {
                    self.fault(&path.index(index), format!("`{name}` is found from the rest of the file: take it away"))
                }
                None => {
                    let declared = Capability::ALL.iter().filter(|one| one.told() == Told::Declared);
                    let names: Vec<&str> = declared.map(|one| one.as_str()).collect();
                    self.fault(
                        &path.index(index),
                        format!("no capability has this name; there are {}", names.join(", ")),
                    );
                }
            }
        }
        found
    }

    fn values(&mut self, file: &DialectFile, root: &Path) -> Values {
        let mut values = Values::default();
        for (field, words) in &file.values {
            let at = root.key("values").key(field);
            let all = [Kind::all(true), Kind::all(false)].concat();
            if !all.iter().any(|kind| kind.fields().iter().any(|one| one.name == field)) {
                self.fault(&at, format!("no message has a field `{field}`: write one such as encoding, code or task"));
            }
            for (ours, theirs) in words {
                let theirs = match theirs {
                    Value::Array(several) => several.clone(),
                    one => vec![one.clone()],
                };
                let scalar = |one: &Value| matches!(one, Value::String(_) | Value::Number(_) | Value::Bool(_));
                if theirs.is_empty() || !theirs.iter().all(scalar) {
                    self.fault(&at.key(ours), "write the service's word for it, or a list of words");
                }
                values.insert(field, ours, theirs);
            }
        }
        values
    }

    fn limits(&mut self, file: &DialectFile, path: &Path) -> Limits {
        let mut members = serde_json::Map::new();
        for (name, value) in &file.limits {
            if !LIMITS.iter().any(|limit| limit.name == name) {
                let known: Vec<&str> = LIMITS.iter().map(|limit| limit.name).collect();
                self.fault(&path.key(name), format!("no limit has this name; there are {}", known.join(", ")));
            }
            members.insert(name.clone(), Value::from(*value));
        }
        Limits::from_partial(&members).0
    }

    fn batch(&mut self, file: &DialectFile, values: &Values, path: &Path) -> Option<Batch> {
        let batch = file.batch.as_ref()?;
        if !batch.path.starts_with('/') {
            self.fault(&path.key("path"), "a path begins with `/`");
        }
        if batch.path == file.connect.path {
            self.fault(&path.key("path"), "this is the path of the socket: a request has one of its own");
        }
        let mut json = |value: &Value, fields: &[Field], what: &str, name: &str| {
            self.noted(Json::parse(value, fields, what, &path.key(name)))
        };
        let answer = json(&batch.json, field::BATCH, "the transcript of a recording", "json");
        let segment = json(&batch.segment, Kind::Final.fields(), "a segment", "segment");
        let refusal = json(&batch.refusal, field::BATCH_REFUSAL, "a refusal", "refusal");
        Some(Batch {
            path: batch.path.clone(),
            file: batch.file.clone(),
            json: answer?,
            segment: segment?,
            refusal: refusal?,
            values: values.clone(),
        })
    }

    fn connect(&mut self, file: &file::Connect, path: &Path) -> Connect {
        let mut texts = |members: &BTreeMap<String, String>, path: &Path| {
            let mut found = Vec::new();
            for (name, text) in members {
                found.extend(self.text(text, &path.key(name)).map(|text| (name.clone(), text)));
            }
            found
        };
        let query = texts(&file.query, &path.key("query"));
        let headers = texts(&file.headers, &path.key("headers"));
        let http_headers =
            file.http.as_ref().map(|http| texts(&http.headers, &path.key("http").key("headers"))).unwrap_or_default();
        let offered = path.key("subprotocols");
        let subprotocols =
            file.subprotocols.iter().enumerate().filter_map(|(i, one)| self.text(one, &offered.index(i))).collect();
        let place = self.text(&file.path, &path.key("path"));
        if !file.path.is_empty() && !file.path.starts_with('/') {
            self.fault(&path.key("path"), "a path begins with `/`");
        }
        let http = file.http.as_ref().and_then(|http| self.pre_request(http, http_headers, &path.key("http")));
        let path = place.unwrap_or_default();
        Connect { path, query, headers, subprotocols, config_is_optional: file.config_is_optional, http }
    }

    fn pre_request(
        &mut self,
        http: &file::PreRequest,
        headers: Vec<(String, Text)>,
        path: &Path,
    ) -> Option<PreRequest> {
        let place = self.text(&http.path, &path.key("path"))?;
        let mut template = |json: &Option<Value>, what: &str, name: &str| match json {
            Some(json) => self.noted(Json::parse(json, Kind::Config.fields(), what, &path.key(name))).map(Some),
            None => Some(None),
        };
        let json = template(&http.json, "a pre-request", "json")?;
        let answer = template(&http.answer, "the answer to a pre-request", "answer")?;
        let mut pointer = |pointer: &Option<String>, name: &str| {
            pointer.as_ref().and_then(|one| self.noted(take::pointer_at(one, &path.key(name))))
        };
        let (socket_url, token): (Option<Pointer>, Option<Pointer>) =
            (pointer(&http.socket_url, "socket_url"), pointer(&http.token, "token"));
        if socket_url.is_none() && token.is_none() {
            self.fault(
                path,
                "the answer must be good for something: add `socket_url` or `token`, a JSON pointer into it",
            );
        }
        let mut outline = Value::Null;
        for (at, _) in answer.iter().flat_map(Json::leaves) {
            if let Ok(one) = Pointer::parse(&at) {
                one.put(&mut outline, Value::from(at));
            }
        }
        for (pointer, name) in [(&socket_url, "socket_url"), (&token, "token")] {
            if pointer.as_ref().is_some_and(|one| !one.put(&mut outline, Value::from(name))) {
                self.fault(
                    &path.key("answer"),
                    format!("what `{name}` points to is put in by itself: leave it out here"),
                );
            }
        }
        Some(PreRequest {
            method: http.method.clone(),
            path: place,
            headers,
            json,
            socket_url,
            token,
            answer,
            status: http.status,
        })
    }

    fn text(&mut self, text: &str, path: &Path) -> Option<Text> {
        let parsed = Text::parse(text, Kind::Config.fields(), "a `config`");
        self.noted(parsed.map_err(|why| (path.clone(), why)))
    }

    fn rules(&mut self, rules: &[file::Rule], of_client: bool, path: &Path, file: &DialectFile) -> Vec<Rule> {
        let mut found = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            let at = path.index(index);
            let Some(kind) = Kind::find(&rule.message, of_client) else {
                let known: Vec<&str> = Kind::all(of_client).iter().map(|kind| kind.as_str()).collect();
                let who = if of_client { "client" } else { "server" };
                self.fault(
                    &at.key("message"),
                    format!("no {who} message has this name; there are {}", known.join(", ")),
                );
                continue;
            };
            let rule = self.rule(rule, kind, &at, file);
            found.extend(self.noted(rule));
        }
        found
    }

    fn rule(&mut self, rule: &file::Rule, kind: Kind, path: &Path, file: &DialectFile) -> Result<Rule, Wrong> {
        let own = |why: String| (path.clone(), why);
        let (window, tokens) = reducers(rule, kind, path)?;
        if rule.append && kind != Kind::Partial {
            return Err((path.key("append"), "only a `partial` is appended".to_owned()));
        }
        let mut reads = rule.direction != Direction::Send;
        let mut writes = rule.direction != Direction::Receive && kind != Kind::Ignore;
        let has_reducer = window.is_some() || tokens.is_some();
        let mut send = match &rule.send {
            Some(send) => Some(send::frames(send, kind, &path.key("send"))?),
            None => None,
        };
        let when = match (&rule.when, &send) {
            (Some(when), _) => take::condition(when, &path.key("when"))?,
            (None, _) if !reads => Default::default(),
            (None, Some(send)) if send.is_empty() => {
                reads = false;
                Default::default()
            }
            (None, Some(send)) => send::condition_of(send).map_err(own)?,
            (None, None) => return Err(own("there is neither `when` nor `send`: add one of them".to_owned())),
        };
        let take = match (&rule.take, &send) {
            (Some(take), _) => take::sources(take, kind, &path.key("take"))?,
            (None, Some(send)) => send::sources_of(send),
            (None, None) => Vec::new(),
        };
        if send.is_none() && writes {
            let derived = match (&window, &tokens) {
                (Some(window), _) => send::window_frames(&when, window),
                (_, Some(tokens)) => send::token_frames(&when, tokens),
                _ => send::frames_of(&when, &take),
            };
            send = match derived {
                Ok(frames) => Some(frames),
                Err(why) => return Err(own(why)),
            };
        }
        writes &= send.is_some();
        let fields = |members: &BTreeMap<String, Value>, name: &str| {
            let mut found = Vec::new();
            for (key, value) in members {
                let at = path.key(name).key(key);
                let field = field_of(kind, key).map_err(|why| (at.clone(), why))?;
                found.push((field, field.unit.read(value).map_err(|why| (at, why))?));
            }
            Ok::<_, Wrong>(found)
        };
        let (set, guard) = (fields(&rule.set, "set")?, fields(&rule.guard, "for")?);
        let told =
            |member: &str| take.iter().map(|(f, _)| f).chain(set.iter().map(|(f, _)| f)).any(|f| f.member == member);
        if reads && matches!(kind, Kind::Partial | Kind::Final) && !told("/text") && !has_reducer {
            return Err(own(format!("{} needs `text`: add it to `take`; it has {}", what(kind), names(kind.fields()))));
        }
        if window.is_none() && kind == Kind::Window || tokens.is_none() && kind == Kind::Tokens {
            let name = kind.as_str();
            return Err(own(format!("a `{name}` rule needs a table `{name}`, which says where its list is")));
        }
        if file.finals == Finals::Snapshot && kind == Kind::Final && reads {
            return Err(own("`finals = \"snapshot\"` has no finals on the wire: use a `window` rule".to_owned()));
        }
        Ok(Rule {
            kind,
            line: self.source.line_of(path),
            reads,
            writes,
            when,
            take,
            set,
            guard,
            send: send.unwrap_or_default(),
            goes_on: rule.goes_on,
            append: rule.append,
            window,
            tokens,
        })
    }
}

fn reducers(rule: &file::Rule, kind: Kind, path: &Path) -> Result<(Option<WindowRule>, Option<TokensRule>), Wrong> {
    let window = match &rule.window {
        None => None,
        Some(_) if kind != Kind::Window => {
            return Err((path.key("window"), "a `window` belongs into a rule with `message = \"window\"`".to_owned()));
        }
        Some(window) => {
            let at = path.key("window");
            let flag = window.flag.as_ref().map(|flag| take::pointer_at(flag, &at.key("final"))).transpose()?;
            if window.commit == file::Commit::Flag && flag.is_none() {
                let why = "which segments are final? add `final`, a pointer to a boolean, or `commit = \"superseded\"` or \"end\"";
                return Err((at, why.to_owned()));
            }
            Some(WindowRule {
                each: take::pointer_at(&window.each, &at.key("each"))?,
                key: take::pointer_at(&window.key, &at.key("key"))?,
                commit: window.commit,
                flag,
                take: take::segments(&window.take, "a segment", &at.key("take"))?,
                last: window.last,
            })
        }
    };
    let tokens = match &rule.tokens {
        None => None,
        Some(_) if kind != Kind::Tokens => {
            return Err((path.key("tokens"), "`tokens` belongs into a rule with `message = \"tokens\"`".to_owned()));
        }
        Some(tokens) => {
            let at = path.key("tokens");
            Some(TokensRule {
                each: take::pointer_at(&tokens.each, &at.key("each"))?,
                single: tokens.each.is_empty(),
                flag: tokens.flag.as_ref().map(|flag| take::pointer_at(flag, &at.key("final"))).transpose()?,
                take: take::segments(&tokens.take, "a token", &at.key("take"))?,
                join: tokens.join.clone(),
                end: tokens.end.clone(),
                flushed: tokens.flushed.clone(),
            })
        }
    };
    Ok((window, tokens))
}

/// The client's own end message, sent back.
fn echo(dialect: &mut Dialect) {
    let told = dialect.server.iter().any(|rule| rule.kind == Kind::SessionEnded);
    if let Some(end) = dialect.client.iter().find(|rule| rule.kind == Kind::EndOfStream && rule.reads).filter(|_| !told)
    {
        let echoed = Rule { kind: Kind::SessionEnded, take: Vec::new(), ..end.clone() };
        // What the client says so has no other meaning from a server.
        dialect.server.insert(0, echoed);
    }
}

/// Audio in binary messages, where no rule says otherwise.
fn audio_rule() -> Rule {
    let send = vec![FrameTemplate::Audio];
    Rule {
        kind: Kind::Audio,
        line: 1,
        reads: true,
        writes: true,
        when: send::condition_of(&send).unwrap_or_default(),
        take: send::sources_of(&send),
        set: Vec::new(),
        guard: Vec::new(),
        send,
        goes_on: false,
        append: false,
        window: None,
        tokens: None,
    }
}
