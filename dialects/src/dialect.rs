//! A dialect as it is used: rules, ending, and what follows for the requirements. Owns the lookups; translating is the business of
//! [`crate::ClientSide`] and [`crate::ServerSide`].

use std::collections::BTreeSet;

use lastword_spec::close::CloseCode;
use lastword_spec::limits::Limits;
use lastword_spec::registry::RequirementId;
use serde_json::{Value, json};

use crate::batch::Batch;
use crate::builtin;
use crate::capability::{self, Capability, Told};
use crate::compile;
use crate::condition::{NO_CODE, Shape};
use crate::error::DialectErrors;
use crate::field::{Field, Kind, Unit};
use crate::file::{ClosedBy, EndedBy, Finals, WireEncoding};
use crate::pointer::Pointer;
use crate::rule::{FrameTemplate, Rule};
use crate::session::{Seed, Session};
use crate::template::{Json, Leaf, Scope, Text, Values};

/// How one service's wire maps to Lastword's messages, in both directions. Immutable; one serves any number of sessions.
#[derive(Clone, Debug)]
pub struct Dialect {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) native: bool,
    pub(crate) unsupported: BTreeSet<Capability>,
    pub(crate) finals: Finals,
    pub(crate) connect: Connect,
    pub(crate) wire_encoding: Option<WireEncoding>,
    pub(crate) sample_rate_hz: Option<u32>,
    pub(crate) end: End,
    pub(crate) limits: Limits,
    /// Whether one of the bounds that the file gives is that of the end.
    pub(crate) documents_drain: bool,
    pub(crate) values: Values,
    pub(crate) batch: Option<Batch>,
    pub(crate) client: Vec<Rule>,
    pub(crate) server: Vec<Rule>,
}

/// How a client gets in.
#[derive(Clone, Debug)]
pub(crate) struct Connect {
    pub(crate) path: Text,
    pub(crate) query: Vec<(String, Text)>,
    pub(crate) headers: Vec<(String, Text)>,
    pub(crate) subprotocols: Vec<Text>,
    pub(crate) config_is_optional: bool,
    pub(crate) http: Option<PreRequest>,
}

/// An HTTP request before the upgrade.
#[derive(Clone, Debug)]
pub(crate) struct PreRequest {
    pub(crate) method: String,
    pub(crate) path: Text,
    pub(crate) headers: Vec<(String, Text)>,
    pub(crate) json: Option<Json>,
    pub(crate) socket_url: Option<Pointer>,
    pub(crate) token: Option<Pointer>,
    /// What the answer holds besides.
    pub(crate) answer: Option<Json>,
    pub(crate) status: u16,
}

/// How a session ends.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) by: EndedBy,
    pub(crate) closed_by: ClosedBy,
    pub(crate) codes: Vec<u16>,
    pub(crate) idle_codes: Vec<u16>,
}

/// Who closes the connection after an ending in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Closer {
    /// The server.
    Server,
    /// The client.
    Client,
    /// Nobody: it stays open until somebody leaves.
    Nobody,
}

impl Dialect {
    /// Reads a dialect file. `file_name` is for the errors only; nothing is opened.
    ///
    /// # Errors
    /// Everything that is wrong with the file, each with its line and what to do. Nothing of the file is used then.
    pub fn from_toml(file_name: &str, text: &str) -> Result<Self, DialectErrors> {
        compile::compile(file_name, text)
    }

    /// The dialect of that name that comes with this crate.
    #[must_use]
    pub fn builtin(name: &str) -> Option<&'static Self> {
        builtin::find(name)
    }

    /// The dialects that come with this crate, the identity first.
    pub fn builtins() -> impl Iterator<Item = &'static Self> {
        builtin::all()
    }

    /// The identity: protocol v1 as it is.
    #[must_use]
    pub fn lastword() -> &'static Self {
        builtin::lastword()
    }

    /// The name by which it is chosen.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is, in a line.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Whether it is the identity: frames pass unchanged, whatever they are, and every requirement binds.
    #[must_use]
    pub fn is_native(&self) -> bool {
        self.native
    }

    /// Everything of v1 that the service lacks: what the file declares, what follows from the rest of the file, and what only the
    /// wire of v1 has. Empty for the identity.
    #[must_use]
    pub fn lacking(&self) -> BTreeSet<Capability> {
        let lacks = |one: &Capability| match one.told() {
            Told::Declared => self.unsupported.contains(one),
            Told::Native => !self.native,
            Told::Derived => !self.native && self.evidence(*one).0.is_none(),
        };
        Capability::ALL.iter().copied().filter(lacks).collect()
    }

    /// What the file itself lists as `unsupported`: for a report.
    #[must_use]
    pub fn unsupported(&self) -> &BTreeSet<Capability> {
        &self.unsupported
    }

    /// Whether the service lacks this.
    #[must_use]
    pub fn lacks(&self, capability: Capability) -> bool {
        self.lacking().contains(&capability)
    }

    /// The requirements that are NOT_APPLICABLE under this dialect. A finding against one of them is none.
    #[must_use]
    pub fn not_applicable(&self) -> BTreeSet<RequirementId> {
        capability::requirements_of(&self.lacking())
    }

    /// The path of the socket as a client of the service has it: what to append to the address of a server that plays it. Empty where
    /// the file gives none, and for the identity.
    #[must_use]
    pub fn socket_path(&self) -> String {
        self.constant(&self.connect.path)
    }

    /// The method and the path of the HTTP request that comes before the upgrade, where there is one: what a server that plays the
    /// service must listen for.
    #[must_use]
    pub fn pre_request_path(&self) -> Option<(String, String)> {
        self.connect.http.as_ref().map(|http| (http.method.clone(), self.constant(&http.path)))
    }

    fn constant(&self, text: &Text) -> String {
        let (message, session) = (Value::Null, Session::new(Seed::default(), self.sample_rate_hz));
        text.fill(&Scope { message: &message, session: &session, values: &self.values }).unwrap_or_default()
    }

    /// How the service is asked for the transcript of a whole recording, if it can be.
    #[must_use]
    pub fn batch(&self) -> Option<&Batch> {
        self.batch.as_ref()
    }

    /// The sample rate that the service means where the wire does not tell it, in Hz; `None`: 16,000, as in v1.
    #[must_use]
    pub fn sample_rate_hz(&self) -> Option<u32> {
        self.sample_rate_hz
    }

    /// The bounds that the file gives, by the names of `ready.limits`, with the defaults of v1 where it gives none.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether a server of this wire can say an error that is fatal, or one that is not, so that a client can tell.
    #[must_use]
    pub fn tells_error(&self, fatal: bool) -> bool {
        let Some(rule) = self.writer(Kind::Error, false, &json!({ "fatal": fatal })) else { return false };
        let is_fatal = |field: &Field| field.member == "/fatal";
        match rule.set.iter().find(|(field, _)| is_fatal(field)) {
            Some((_, always)) => *always == Value::Bool(fatal),
            None => !fatal || rule.reads && rule.take.iter().any(|(field, _)| is_fatal(field)),
        }
    }

    /// Whether a fatal error is told by the Close itself, so that none can come without one.
    #[must_use]
    pub fn tells_errors_by_close(&self) -> bool {
        let rule = self.writer(Kind::Error, false, &json!({ "fatal": true }));
        rule.is_some_and(|rule| rule.send.iter().any(|frame| matches!(frame, FrameTemplate::Close(_))))
    }

    /// Who closes the connection after an ending in order.
    #[must_use]
    pub fn closer(&self) -> Closer {
        match self.end.closed_by {
            ClosedBy::Server => Closer::Server,
            ClosedBy::Client => Closer::Client,
            ClosedBy::Nobody => Closer::Nobody,
        }
    }

    /// Whether nothing on the wire but the server's Close tells a client that it has everything.
    #[must_use]
    pub fn ends_by_close(&self) -> bool {
        self.end.by == EndedBy::Close
    }

    /// The close code that v1 would have for a code of this service: 1000 for an ending in order, 4408 for an idle session, any other
    /// unchanged. `ended` says whether the client had ended its stream: some services close idle sessions with 1000.
    #[must_use]
    pub fn v1_close_code(&self, code: Option<CloseCode>, ended: bool) -> CloseCode {
        let code = code.map_or(NO_CODE, |code| code.0);
        let (in_order, idle) = (self.end.codes.contains(&code), self.end.idle_codes.contains(&code));
        match () {
            () if self.native => CloseCode(code),
            () if idle && !(in_order && ended) => CloseCode::TIMEOUT,
            () if in_order => CloseCode::NORMAL,
            () => CloseCode(code),
        }
    }

    /// The close code of this service for a code of v1: what a server in this dialect closes with. `None` for a Close without code.
    #[must_use]
    pub fn wire_close_code(&self, code: CloseCode) -> Option<CloseCode> {
        let theirs = match code {
            _ if self.native => code.0,
            CloseCode::NORMAL => self.end.codes.first().copied().unwrap_or(code.0),
            CloseCode::TIMEOUT => self.end.idle_codes.first().copied().unwrap_or(code.0),
            other => other.0,
        };
        Some(CloseCode(theirs)).filter(|code| code.0 != NO_CODE)
    }

    /// The line that shows that a capability is there, and whether a file can show it at all.
    pub(crate) fn evidence(&self, one: Capability) -> (Option<usize>, bool) {
        let (client, server) = (&self.client, &self.server);
        let kind = |rules: &[Rule], kind: Kind| rules.iter().find(|rule| rule.kind == kind).map(|rule| rule.line);
        let reads = |wanted: &dyn Fn(&str) -> bool| {
            let told = |rule: &&Rule| {
                let of_rule = rule.take.iter().map(|(field, _)| field);
                let of_pieces =
                    rule.window.iter().flat_map(|w| &w.take).chain(rule.tokens.iter().flat_map(|t| &t.take));
                of_rule.chain(of_pieces.map(|(field, _)| field)).any(|field| wanted(field.member))
            };
            let results = |rule: &&Rule| matches!(rule.kind, Kind::Final | Kind::Window | Kind::Tokens);
            server.iter().filter(results).find(told).map(|rule| rule.line)
        };
        let here = |is: bool| is.then_some(1);
        let tokens = || server.iter().filter(|rule| rule.tokens.is_some());
        let line = match one {
            Capability::Ready => kind(server, Kind::Ready),
            Capability::Keepalive => kind(client, Kind::Keepalive),
            Capability::KeepaliveAck => kind(server, Kind::KeepaliveAck),
            Capability::Progress => kind(server, Kind::Progress),
            Capability::Flush => kind(client, Kind::Flush),
            Capability::Flushed => {
                let by_token =
                    tokens().find(|rule| rule.tokens.as_ref().is_some_and(|tokens| tokens.flushed.is_some()));
                kind(server, Kind::Flushed).or(by_token.map(|rule| rule.line))
            }
            Capability::Update => kind(client, Kind::Update),
            Capability::Updated => kind(server, Kind::Updated),
            Capability::EndOfStream => kind(client, Kind::EndOfStream),
            Capability::SessionEnded => kind(server, Kind::SessionEnded),
            Capability::AnnouncedEnd => here(self.end.by != EndedBy::None),
            Capability::ServerClose => here(self.end.closed_by == ClosedBy::Server),
            Capability::Partials => {
                let by_token = tokens().find(|rule| rule.tokens.as_ref().is_some_and(|tokens| tokens.flag.is_some()));
                kind(server, Kind::Partial).or(kind(server, Kind::Window)).or(by_token.map(|rule| rule.line))
            }
            Capability::Timestamps => reads(&|member| matches!(member, "/start_ms" | "/end_ms" | "/duration_ms")),
            Capability::Words => reads(&|member| member == "/words"),
            Capability::Confidence => reads(&|member| member == "/confidence"),
            Capability::SpeechEvents => kind(server, Kind::SpeechStarted),
            Capability::Warnings => kind(server, Kind::Warning),
            Capability::Errors => kind(server, Kind::Error),
            Capability::ErrorCodes => {
                let coded = |rule: &&Rule| {
                    rule.kind == Kind::Error && rule.take.iter().any(|(f, _)| matches!(f.member, "/code" | "/fatal"))
                };
                server.iter().find(coded).map(|rule| rule.line)
            }
            Capability::Auth => here(self.tells_token()),
            Capability::IdleTimeout | Capability::Rejections => return (None, false),
            Capability::Config => kind(client, Kind::Config).filter(|_| !self.connect.config_is_optional),
            Capability::IncrementalFinals => here(matches!(self.finals, Finals::Incremental)),
            Capability::BinaryAudio => {
                let binary = |rule: &&Rule| rule.kind == Kind::Audio && rule.when.shape == Some(Shape::Binary);
                client.iter().find(binary).map(|rule| rule.line)
            }
            Capability::OpaqueAudio => {
                let meant = |rule: &Rule| {
                    rule.kind != Kind::Audio
                        && matches!(rule.when.shape, Some(Shape::ExactBinary(_) | Shape::Empty | Shape::Binary))
                };
                here(!client.iter().any(meant))
            }
            Capability::PrivateCredentials => here(!self.token_in_url()),
            Capability::DrainBound => here(self.documents_drain),
            Capability::Subprotocol
            | Capability::MessageForm
            | Capability::Negotiation
            | Capability::Limits
            | Capability::Segments
            | Capability::Counters
            | Capability::CloseCodes
            | Capability::AnnouncedEndings => return (here(self.native), false),
        };
        (line, true)
    }

    fn tells_token(&self) -> bool {
        let connect = &self.connect;
        let http = connect.http.iter().flat_map(|http| &http.headers);
        let in_header = connect.headers.iter().chain(http).any(|(_, text)| names_token(text));
        let config = self.client.iter().filter(|rule| rule.kind == Kind::Config);
        let in_config = config.flat_map(|rule| &rule.take).any(|(field, _)| field.name == "token");
        let in_body = connect.http.iter().filter_map(|http| http.json.as_ref()).any(|json| {
            json.leaves().iter().any(|(_, leaf)| matches!(leaf, Leaf::Slot(slot) if slot.field.name == "token"))
        });
        in_header || in_config || in_body || self.token_in_url() || connect.subprotocols.iter().any(names_token)
    }

    fn token_in_url(&self) -> bool {
        // One that an HTTP request has just given is no standing credential.
        let lent = self.connect.http.as_ref().is_some_and(|http| http.token.is_some());
        !lent && (names_token(&self.connect.path) || self.connect.query.iter().any(|(_, text)| names_token(text)))
    }

    /// The v1 members of a server's message that the wire carries, as JSON pointers: what a round trip brings back. A message that no
    /// rule carries has none and does not come back at all; `flushed` and the like may come back without any.
    #[must_use]
    pub fn carried(&self, message_type: &str) -> Option<BTreeSet<String>> {
        let of_client = Kind::find(message_type, true).is_some();
        let kind = Kind::find(message_type, of_client)?;
        let rules = if of_client { &self.client } else { &self.server };
        let mut found: Option<BTreeSet<String>> = None;
        for rule in rules.iter().filter(|rule| rule.reads && rule.writes) {
            let pieces = rule.window.iter().flat_map(|w| &w.take).chain(rule.tokens.iter().flat_map(|t| &t.take));
            let by_pieces =
                matches!(rule.kind, Kind::Window | Kind::Tokens) && matches!(kind, Kind::Partial | Kind::Final);
            let own = rule.take.iter().filter(|_| rule.kind == kind).map(|(field, _)| field);
            if rule.kind == kind || by_pieces {
                let of_pieces = pieces.filter(|_| by_pieces).map(|(field, _)| field);
                let fields = own.chain(of_pieces).filter(|field| field.unit != Unit::Key || field.name != "segment");
                found.get_or_insert_default().extend(fields.map(|field| match field.member {
                    "/duration_ms" => "/end_ms".to_owned(),
                    member => member.to_owned(),
                }));
            }
        }
        if let Some(found) = found.as_mut().filter(|_| kind == Kind::Config) {
            let query = self.connect.query.iter().map(|(_, text)| text);
            let texts = query.chain(self.connect.headers.iter().map(|(_, text)| text));
            found
                .extend(texts.flat_map(Text::slots).map(|slot| slot.field.member.to_owned()).filter(|m| !m.is_empty()));
        }
        found
    }

    /// Whether there is a message that brings the configuration; else all of it goes with the upgrade.
    #[must_use]
    pub fn has_config_message(&self) -> bool {
        self.native || self.client.iter().any(|rule| rule.kind == Kind::Config && rule.writes)
    }

    /// What stands on this wire where the client names no model, the fallback of `${model|..}`: who reads it reads that none was named.
    pub(crate) fn is_default_model(&self, model: &str) -> bool {
        let connect = &self.connect;
        let query = connect.query.iter().map(|(_, text)| text);
        let texts = [&connect.path].into_iter().chain(query).chain(connect.headers.iter().map(|(_, text)| text));
        let bodies = connect.http.iter().filter_map(|http| http.json.as_ref());
        let frames = self.client.iter().filter(|rule| rule.kind == Kind::Config).flat_map(|rule| &rule.send);
        let messages = frames.filter_map(|frame| match frame {
            FrameTemplate::Json(json) => Some(json),
            _ => None,
        });
        let leaves = bodies.chain(messages).flat_map(Json::leaves);
        let in_json = leaves.filter_map(|(_, leaf)| match leaf {
            Leaf::Slot(slot) => Some(slot),
            _ => None,
        });
        let mut named = texts.flat_map(Text::slots).chain(in_json).filter(|slot| slot.field.name == "model");
        named.any(|slot| slot.fallback.as_ref().is_some_and(|fallback| fallback == model))
    }

    /// Whether a message must bring the configuration on this wire, before any audio.
    pub(crate) fn demands_config(&self) -> bool {
        !self.connect.config_is_optional && self.client.iter().any(|rule| rule.kind == Kind::Config && rule.writes)
    }

    /// A rule for writing, of this kind, that admits the message.
    pub(crate) fn writer(&self, kind: Kind, of_client: bool, message: &Value) -> Option<&Rule> {
        let rules = if of_client { &self.client } else { &self.server };
        rules.iter().find(|rule| rule.writes && rule.kind == kind && rule.admits(message))
    }
}

fn names_token(text: &Text) -> bool {
    text.slots().any(|slot| slot.field.name == "token")
}
