//! We play a service's server against its clients: the clients' frames to Lastword's messages and audio, Lastword's server messages
//! to frames. Owns what that side keeps between frames; it listens to, waits for and closes nothing.

use std::collections::BTreeMap;

use lastword_spec::close::CloseCode;
use lastword_spec::codec::{self, Decoded};
use lastword_spec::message::{ClientMessage, Config, ServerMessage};
use serde_json::{Value, json};

use crate::build;
use crate::capability::Capability;
use crate::condition::Seen;
use crate::connect::{self, HttpRequest, HttpResponse, Shown, Upgrade};
use crate::dialect::Dialect;
use crate::field::Kind;
use crate::file::{EndedBy, Finals, WireEncoding};
use crate::frame::{Frame, FromClient, Heard, Lost, Origin, Output, Unmatched};
use crate::rule::{Rule, Taken, TokensRule};
use crate::session::{Seed, Session, is_s16, s16_from_f32};
use crate::template::Scope;

type Out = Vec<Output<FromClient>>;

/// The translator of one connection on which we play the server. Give it what comes and what is to be said, in order, and do what
/// its outputs say, in order.
#[derive(Clone, Debug)]
pub struct ServerSide<'d> {
    dialect: &'d Dialect,
    session: Session,
    configured: bool,
    /// The text of each open segment that was sent last, for services that send what is new in it.
    appended: BTreeMap<u64, String>,
    /// The segments so far, for services that show several at once.
    segments: BTreeMap<u64, Value>,
}

impl<'d> ServerSide<'d> {
    /// A new connection. The `uuid` of the seed stands where the client names none.
    #[must_use]
    pub fn new(dialect: &'d Dialect, seed: Seed) -> Self {
        Self {
            dialect,
            session: Session::new(seed, dialect.sample_rate_hz),
            configured: false,
            appended: BTreeMap::new(),
            segments: BTreeMap::new(),
        }
    }

    /// The answer to an HTTP request that comes before the upgrade: with the URL of the socket, the `uuid` of the seed as a token, and
    /// what else it holds, as the dialect says. `None` where the dialect has no such request, or it is another one.
    pub fn pre_request(&mut self, request: &HttpRequest, socket_url: &str) -> Option<HttpResponse> {
        let http = self.dialect.connect.http.as_ref()?;
        let message = json!({});
        let place = http.path.fill(&self.scope(&message))?;
        let given = request.url.split('?').next().unwrap_or_default();
        if !request.method.eq_ignore_ascii_case(&http.method) || given != place {
            return None;
        }
        let mut shown = Shown::default();
        shown.read_headers(&request.headers, &http.headers, &self.dialect.values);
        if let (Some(template), Ok(body)) = (&http.json, serde_json::from_str::<Value>(&request.body)) {
            shown.read_json(&body, template, &self.dialect.values);
        }
        self.take(shown);
        let parts = [
            (http.socket_url.as_ref(), Some(socket_url.into())),
            (http.token.as_ref(), Some(self.session.uuid.clone().into())),
        ];
        let config = serde_json::to_value(&self.session.config).unwrap_or_default();
        let besides = http.answer.as_ref().and_then(|template| template.fill(&self.scope(&config)));
        Some(HttpResponse { status: http.status, body: connect::answer(besides, &parts) })
    }

    /// Takes the upgrade. What the client told by it is kept; where no message brings the configuration, a `config` made of it is
    /// heard, marked as synthesised.
    pub fn opened(&mut self, upgrade: &Upgrade) -> Out {
        if self.dialect.native {
            return Vec::new();
        }
        let (connect, values) = (&self.dialect.connect, &self.dialect.values);
        let mut shown = Shown::default();
        shown.read_query(&upgrade.url, &connect.query, values);
        shown.read_headers(&upgrade.headers, &connect.headers, values);
        shown.read_subprotocols(&upgrade.subprotocols, &connect.subprotocols, values);
        let mut out: Out = self.take(shown).into_iter().map(Output::Note).collect();
        if !self.dialect.client.iter().any(|rule| rule.kind == Kind::Config && rule.reads) {
            out.extend(self.synthesised_config());
        }
        out
    }

    /// The subprotocol to select: the first one offered that the dialect names and that holds no secret. Under the identity it is
    /// the caller's matter.
    #[must_use]
    pub fn subprotocol(&self, upgrade: &Upgrade) -> Option<String> {
        let named = self.dialect.connect.subprotocols.iter().filter_map(|text| text.as_constant());
        let offered = |name: &&str| upgrade.subprotocols.iter().any(|offered| offered == name);
        named.filter(|name| !name.is_empty()).find(offered).map(str::to_owned)
    }

    /// The credential that the client showed so far, wherever it showed it.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.session.token.as_deref().or(self.session.config.token.as_deref())
    }

    /// The `ready` that a client of this wire takes for given as soon as its configuration is there, with the limits that the file
    /// documents: what the session of v1 has where the wire says nothing. `None` where the wire has a `ready` of its own, and under
    /// the identity.
    #[must_use]
    pub fn taken_ready(&self) -> Option<ServerMessage> {
        let is_taken = !self.dialect.native && self.dialect.unsupported.contains(&Capability::Ready);
        is_taken.then(|| ServerMessage::Ready(Box::new(build::ready(&self.session, &self.dialect.limits))))
    }

    /// A message as a client of this wire reads it: what the file sets is so, whatever was meant.
    #[must_use]
    pub fn as_read(&self, message: &ServerMessage) -> ServerMessage {
        let mut object = build::object_of_text(&codec::encode(message));
        let rule = self.dialect.writer(kind_of(message), false, &object).filter(|_| !self.dialect.native);
        for (field, value) in rule.iter().flat_map(|rule| &rule.set) {
            build::overlay(&mut object, field.member, value.clone());
        }
        match codec::decode_server(&object.to_string(), u64::MAX) {
            Ok(Decoded::Message(read)) => read,
            _ => message.clone(),
        }
    }

    /// Says a message. Members that the dialect has no place for are lost in silence ([`Dialect::carried`]); a whole message is not.
    pub fn send(&mut self, message: &ServerMessage) -> Out {
        if self.dialect.native {
            return vec![Output::Send(Frame::Text(codec::encode(message)))];
        }
        let mut object = build::object_of_text(&codec::encode(message));
        if let ServerMessage::Ready(ready) = message {
            self.session.session_id = Some(ready.session_id.clone());
        }
        if let ServerMessage::Final(result) = message {
            self.session.transcript.push(result.text.clone());
            self.session.finals += 1;
            if self.dialect.finals == Finals::Cumulative {
                object["text"] = Value::from(self.session.transcript.join(" "));
            }
        }
        let kind = kind_of(message);
        if let Some(rule) = self.dialect.writer(kind, false, &object) {
            if rule.append {
                return self.append(rule, object);
            }
            if kind == Kind::Final {
                self.forget(&object);
            }
            return self.written(rule, &object);
        }
        if let Some(out) = self.by_reducer(kind, &object) {
            return out;
        }
        match (kind, self.dialect.end.by) {
            // The Close says it.
            (Kind::SessionEnded, EndedBy::Close) => Vec::new(),
            _ => vec![lost(kind.as_str(), "no rule of the dialect says it")],
        }
    }

    /// Says a frame of v1, whatever it is; as [`crate::ClientSide::send_v1`].
    pub fn send_v1(&mut self, frame: &Frame) -> Out {
        match frame {
            _ if self.dialect.native => vec![Output::Send(frame.clone())],
            Frame::Close { code, .. } => vec![Output::Send(self.close(code.unwrap_or(CloseCode::NO_STATUS)))],
            Frame::Binary(_) => vec![lost("audio", "a server sends none")],
            Frame::Text(text) => match codec::decode_server(text, u64::MAX) {
                Ok(Decoded::Message(message)) => self.send(&message),
                _ => vec![lost("text", "it is no message of v1, so nothing that this dialect could say")],
            },
        }
    }

    /// The Close with which a server of this dialect ends what v1 would end with `code`.
    #[must_use]
    pub fn close(&self, code: CloseCode) -> Frame {
        let code = if self.dialect.native { Some(code) } else { self.dialect.wire_close_code(code) };
        Frame::Close { code: code.filter(|code| *code != CloseCode::NO_STATUS), reason: String::new() }
    }

    /// Takes a frame of the client, a Close included.
    pub fn receive(&mut self, frame: &Frame) -> Out {
        if self.dialect.native {
            return native(frame);
        }
        let seen = Seen::new(frame, std::mem::take(&mut self.session.first), self.session.after_end);
        let mut out = Vec::new();
        let mut matched = false;
        let dialect = self.dialect;
        for rule in dialect.client.iter().filter(|rule| rule.reads) {
            if !rule.when.holds(&seen) {
                continue;
            }
            matched = true;
            match rule.read(&seen, &dialect.values).and_then(|taken| self.heard(rule, taken)) {
                Ok(heard) => out.extend(heard),
                Err(why) => {
                    let why = format!("the `{}` rule of line {} applies, but {why}", rule.kind.as_str(), rule.line);
                    out.push(Output::Unmatched(Unmatched { frame: frame.clone(), why }));
                }
            }
            if !rule.goes_on {
                break;
            }
        }
        if !matched && !matches!(frame, Frame::Close { .. }) {
            let why = format!("no `[[client]]` rule of `{}` applies to it", self.dialect.name);
            out.push(Output::Unmatched(Unmatched { frame: frame.clone(), why }));
        }
        out
    }

    /// Milliseconds of audio that came before the end and in whole samples.
    #[must_use]
    pub fn audio_ms(&self) -> u64 {
        self.session.audio_ms()
    }

    fn heard(&mut self, rule: &Rule, mut taken: Taken) -> Result<Out, String> {
        let mut out = Vec::new();
        if let Some(remark) = self.session.keep(std::mem::take(&mut taken.session)) {
            out.push(Output::Note(format!("`{}`: {remark}", rule.kind.as_str())));
        }
        if rule.kind == Kind::Ignore {
            return Ok(out);
        }
        if rule.kind != Kind::Config && !self.configured && self.dialect.connect.config_is_optional {
            out.extend(self.synthesised_config());
        }
        if rule.kind == Kind::Audio {
            let bytes = taken.audio.take().ok_or("the audio is not where the rule says")?;
            let converts =
                self.dialect.wire_encoding == Some(WireEncoding::PcmF32le) && is_s16(&self.session.effective());
            let bytes = if converts { s16_from_f32(&bytes) } else { bytes };
            self.session.count_audio(bytes.len());
            out.push(Output::Heard(Heard::client(FromClient::Audio(bytes), Origin::wire())));
            let acknowledgement = json!({});
            if let Some(rule) = self.dialect.writer(Kind::AudioAck, false, &acknowledgement) {
                out.extend(self.written(rule, &acknowledgement));
            }
            return Ok(out);
        }
        match build::client_message(rule.kind, &taken, &mut self.session) {
            Ok((mut message, origin)) => {
                if let ClientMessage::Config(config) = &mut message {
                    self.without_default_model(config);
                }
                match &message {
                    ClientMessage::Config(config) => {
                        self.configured = true;
                        self.session.config = (**config).clone();
                    }
                    ClientMessage::Flush(flush) => self.session.flushes.push_back(flush.id.clone()),
                    ClientMessage::EndOfStream => self.session.after_end = true,
                    ClientMessage::Keepalive(_) | ClientMessage::Update(_) => {}
                }
                out.push(Output::Heard(Heard::client(FromClient::Message(message), origin)));
            }
            // What v1 refuses is refused by whoever speaks v1, not here.
            Err((text, _)) => {
                out.push(Output::Heard(Heard { v1: Frame::Text(text), message: None, origin: Origin::wire() }));
            }
        }
        Ok(out)
    }

    fn synthesised_config(&mut self) -> Out {
        self.configured = true;
        let config = ClientMessage::Config(Box::new(self.session.config.clone()));
        vec![Output::Heard(Heard::client(FromClient::Message(config), Origin::synthesised()))]
    }

    /// Keeps what an upgrade or an HTTP request told; what was not as the dialect says is returned as remarks.
    fn take(&mut self, shown: Shown) -> Vec<String> {
        let mut remarks = shown.remarks;
        let mut object = serde_json::to_value(&self.session.config).unwrap_or_else(|_| json!({}));
        for (field, value) in shown.config {
            let mut tried = object.clone();
            build::overlay(&mut tried, field.member, value);
            match serde_json::from_value(tried.clone()) {
                Ok(config) => {
                    self.session.config = config;
                    object = tried;
                }
                Err(error) => remarks.push(format!("`{}` in the upgrade: {error}", field.name)),
            }
        }
        let mut config = std::mem::take(&mut self.session.config);
        self.without_default_model(&mut config);
        self.session.config = config;
        remarks.extend(self.session.keep(shown.session));
        remarks
    }

    fn without_default_model(&self, config: &mut Config) {
        config.model = config.model.take().filter(|model| !self.dialect.is_default_model(model));
    }

    fn scope<'a>(&'a self, message: &'a Value) -> Scope<'a> {
        Scope { message, session: &self.session, values: &self.dialect.values }
    }

    fn written(&self, rule: &Rule, object: &Value) -> Out {
        rule.write(&self.scope(object), &[]).into_iter().map(Output::Send).collect()
    }

    /// Says what is new in a partial; what is taken back cannot be said.
    fn append(&mut self, rule: &Rule, mut object: Value) -> Out {
        let id = object["segment_id"].as_u64().unwrap_or_default();
        let text = object["text"].as_str().unwrap_or_default().to_owned();
        let before = self.appended.entry(id).or_default();
        let Some(new) = text.strip_prefix(before.as_str()) else {
            return vec![lost("partial", "this service adds to a partial and cannot take back what it said")];
        };
        object["text"] = Value::from(new);
        before.push_str(new);
        self.written(rule, &object)
    }

    fn forget(&mut self, object: &Value) {
        if let Some(id) = object["segment_id"].as_u64() {
            self.appended.remove(&id);
        }
    }

    /// Results of services that show windows, or send tokens.
    fn by_reducer(&mut self, kind: Kind, object: &Value) -> Option<Out> {
        if !matches!(kind, Kind::Partial | Kind::Final | Kind::Flushed) {
            return None;
        }
        let writes = |rule: &&Rule| rule.writes && matches!(rule.kind, Kind::Window | Kind::Tokens);
        let rule = self.dialect.server.iter().find(writes)?;
        if let Some(tokens) = &rule.tokens {
            let list = tokens_of(kind, object, tokens)?;
            if !tokens.single {
                return Some(self.written(rule, &json!({ "tokens": list })));
            }
            return Some(list.iter().flat_map(|token| self.written(rule, token)).collect());
        }
        let id = object.get("segment_id")?.as_u64()?;
        let mut segment = object.clone();
        segment["final"] = Value::Bool(kind == Kind::Final);
        self.segments.insert(id, segment);
        let last = rule.window.as_ref()?.last.unwrap_or(usize::MAX);
        let skipped = self.segments.len().saturating_sub(last);
        let list: Vec<&Value> = self.segments.values().skip(skipped).collect();
        Some(self.written(rule, &json!({ "segments": list })))
    }
}

/// A result as tokens: one, and the marker behind a final.
fn tokens_of(kind: Kind, object: &Value, rule: &TokensRule) -> Option<Vec<Value>> {
    let marker = |text: &String| json!({ "text": text, "final": true });
    let mut token = object.clone();
    match kind {
        Kind::Flushed => return rule.flushed.as_ref().map(|text| vec![marker(text)]),
        Kind::Partial if rule.flag.is_none() => return None,
        Kind::Partial => token["final"] = Value::Bool(false),
        _ => token["final"] = Value::Bool(true),
    }
    let mut list = vec![token];
    if kind == Kind::Final {
        list.extend(rule.end.as_ref().map(marker));
    }
    Some(list)
}

/// The identity: the frame as it came, and the message if it is one.
fn native(frame: &Frame) -> Out {
    let message = match frame {
        Frame::Text(text) => match codec::decode_client(text, u64::MAX) {
            Ok(Decoded::Message(message)) => Some(FromClient::Message(message)),
            _ => None,
        },
        Frame::Binary(bytes) => Some(FromClient::Audio(bytes.clone())),
        Frame::Close { .. } => return Vec::new(),
    };
    vec![Output::Heard(Heard { v1: frame.clone(), message, origin: Origin::wire() })]
}

fn lost(message_type: &'static str, why: &str) -> Output<FromClient> {
    Output::Lost(Lost { message_type, why: why.to_owned() })
}

fn kind_of(message: &ServerMessage) -> Kind {
    match message {
        ServerMessage::Ready(_) => Kind::Ready,
        ServerMessage::Partial(_) => Kind::Partial,
        ServerMessage::Final(_) => Kind::Final,
        ServerMessage::Flushed(_) => Kind::Flushed,
        ServerMessage::Updated(_) => Kind::Updated,
        ServerMessage::SessionEnded(_) => Kind::SessionEnded,
        ServerMessage::SpeechStarted(_) => Kind::SpeechStarted,
        ServerMessage::SpeechEnded(_) => Kind::SpeechEnded,
        ServerMessage::KeepaliveAck(_) => Kind::KeepaliveAck,
        ServerMessage::Progress(_) => Kind::Progress,
        ServerMessage::Warning(_) => Kind::Warning,
        ServerMessage::Error(_) => Kind::Error,
    }
}
