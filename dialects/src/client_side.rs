//! We play the client against a service's server: Lastword's client messages to frames, the server's frames to Lastword's messages.
//! Owns what that side keeps between frames; it opens, waits for and closes nothing.

use std::collections::VecDeque;

use lastword_spec::close::{CloseCode, EndReason};
use lastword_spec::codec::{self, Decoded};
use lastword_spec::error_code::ErrorCode;
use lastword_spec::message::{ClientMessage, Config, ErrorMessage, ServerMessage, SessionEnded};
use serde_json::{Value, json};

use crate::build;
use crate::capability::Capability;
use crate::condition::Seen;
use crate::connect::{self, ConnectError, HttpRequest, Scheme, Upgrade};
use crate::dialect::Dialect;
use crate::field::Kind;
use crate::file::{EndedBy, WireEncoding};
use crate::frame::{Frame, Heard, Lost, Origin, Output, Unmatched};
use crate::results::{Results, Told};
use crate::rule::{Rule, Taken, piece, to_base64};
use crate::session::{Seed, Session, f32_from_s16, is_s16};
use crate::template::{Scope, plain_text};

type Out = Vec<Output<ServerMessage>>;

/// The translator of one connection on which we play the client. Give it what is to be said and what comes, in order, and do what
/// its outputs say, in order.
#[derive(Clone, Debug)]
pub struct ClientSide<'d> {
    dialect: &'d Dialect,
    session: Session,
    results: Results,
    /// Codes of the refusals that v1 would send for what we said, oldest first: the code of an error that has none on the wire.
    expected: VecDeque<ErrorCode>,
    /// Those of them that are sent once a session.
    expected_once: Vec<ErrorCode>,
    /// A `config` was said.
    configured: bool,
    /// Audio was sent before the `config`, and nothing was heard since that might answer it.
    sent_early: bool,
    ended: bool,
    pre_answered: bool,
}

impl<'d> ClientSide<'d> {
    /// A new connection.
    #[must_use]
    pub fn new(dialect: &'d Dialect, seed: Seed) -> Self {
        Self {
            dialect,
            session: Session::new(seed, dialect.sample_rate_hz),
            results: Results::new(dialect.finals),
            expected: VecDeque::new(),
            expected_once: Vec::new(),
            configured: false,
            sent_early: false,
            ended: false,
            pre_answered: false,
        }
    }

    /// The HTTP request that comes before the upgrade; `None` where the dialect has none. Its answer goes to
    /// [`Self::pre_response`].
    ///
    /// # Errors
    /// `base` is no URL, or a header field cannot be written.
    pub fn pre_request(&mut self, base: &str, config: &Config) -> Result<Option<HttpRequest>, ConnectError> {
        self.configure(config);
        let Some(http) = &self.dialect.connect.http else { return Ok(None) };
        let message = self.config_object(&self.session.config);
        let scope = self.scope(&message);
        Ok(Some(HttpRequest {
            method: http.method.clone(),
            url: connect::url(base, Scheme::Http, &http.path, &[], &scope)?,
            headers: connect::headers(&http.headers, &scope)?,
            body: http
                .json
                .as_ref()
                .and_then(|json| json.fill(&scope))
                .map_or_else(String::new, |body| body.to_string()),
        }))
    }

    /// Takes the answer to the HTTP request: the URL of the socket, the token.
    ///
    /// # Errors
    /// The status or the body is not what the dialect says. The server's fault; the connection cannot be opened.
    pub fn pre_response(&mut self, status: u16, body: &str) -> Result<(), ConnectError> {
        let Some(http) = &self.dialect.connect.http else { return Ok(()) };
        if status != http.status {
            let why = format!("status {status}, where {} stands for success", http.status);
            return Err(ConnectError::PreResponse(why));
        }
        let document: Value =
            serde_json::from_str(body).map_err(|_| ConnectError::PreResponse("the body is no JSON".to_owned()))?;
        if let Some(at) = &http.socket_url {
            self.session.socket_url = Some(connect::text_at(at, &document, "the URL of the socket")?);
        }
        if let Some(at) = &http.token {
            self.session.token = Some(connect::text_at(at, &document, "a token")?);
        }
        self.pre_answered = true;
        Ok(())
    }

    /// The upgrade to ask for. `base` is a URL with or without a path: the path of the dialect stands where there is none, and
    /// query parameters that it already has are left as they are. Under the identity it is `base` and the subprotocol of v1.
    ///
    /// # Errors
    /// `base` is no URL, a header field cannot be written, or the HTTP request before it was not made.
    pub fn upgrade(&mut self, base: &str, config: &Config) -> Result<Upgrade, ConnectError> {
        self.configure(config);
        let connect = &self.dialect.connect;
        if connect.http.is_some() && !self.pre_answered {
            return Err(ConnectError::PreRequestDue);
        }
        let message = self.config_object(&self.session.config);
        let scope = self.scope(&message);
        let base = self.session.socket_url.as_deref().unwrap_or(base);
        Ok(Upgrade {
            url: connect::url(base, Scheme::Socket, &connect.path, &connect.query, &scope)?,
            headers: connect::headers(&connect.headers, &scope)?,
            subprotocols: connect.subprotocols.iter().filter_map(|text| text.fill(&scope)).collect(),
        })
    }

    /// Says a control message. A `config` whose dialect has no `ready` is answered at once with a synthesised one.
    pub fn send(&mut self, message: &ClientMessage) -> Out {
        if self.dialect.native {
            return vec![Output::Send(Frame::Text(codec::encode(message)))];
        }
        let kind = kind_of(message);
        let is_second = self.configured;
        match message {
            ClientMessage::Config(_) if is_second => self.expect(&ErrorCode::INVALID_STATE),
            ClientMessage::Config(config) => {
                self.configured = true;
                self.configure(config);
            }
            ClientMessage::EndOfStream if self.session.after_end => self.expect(&ErrorCode::DUPLICATE_END_OF_STREAM),
            ClientMessage::Flush(_) | ClientMessage::Update(_) if self.session.after_end => {
                self.expect(&ErrorCode::INVALID_STATE)
            }
            ClientMessage::Flush(flush) => self.session.flushes.push_back(flush.id.clone()),
            ClientMessage::Update(update) => self.session.updates.push_back(update.id.clone()),
            ClientMessage::EndOfStream | ClientMessage::Keepalive(_) => {}
        }
        let object = match message {
            ClientMessage::Config(config) if is_second => self.config_object(config),
            ClientMessage::Config(_) => self.config_object(&self.session.config),
            _ => message_of(message),
        };
        let mut out = self.written(kind, &object, &[]);
        if kind == Kind::EndOfStream {
            self.session.after_end = true;
        }
        if kind == Kind::Config && self.dialect.unsupported.contains(&Capability::Ready) {
            let ready = ServerMessage::Ready(Box::new(build::ready(&self.session, &self.dialect.limits)));
            out.push(Output::Heard(Heard::server(ready, Origin::synthesised())));
        }
        out
    }

    /// Says one frame of audio, in the encoding of the `config`.
    pub fn send_audio(&mut self, bytes: &[u8]) -> Out {
        if self.dialect.native {
            return vec![Output::Send(Frame::Binary(bytes.to_vec()))];
        }
        if !self.configured && !bytes.is_empty() && self.dialect.demands_config() {
            // It need not be answered, but may be until `ready`.
            self.sent_early = true;
            self.session.reject_frame();
        } else {
            if self.session.after_end && !bytes.is_empty() {
                self.expect_once(&ErrorCode::AUDIO_AFTER_END);
            } else if !self.session.is_whole(bytes.len()) {
                self.expect_once(&ErrorCode::INVALID_AUDIO);
            }
            self.session.count_audio(bytes.len());
        }
        let converts = self.dialect.wire_encoding == Some(WireEncoding::PcmF32le) && is_s16(&self.session.effective());
        let converted = if converts { f32_from_s16(bytes) } else { bytes.to_vec() };
        self.written(Kind::Audio, &json!({ "audio": to_base64(&converted) }), &converted)
    }

    /// Says a frame of v1, whatever it is: a control message, or audio in a binary one. Text that is no message of v1 is lost: what
    /// is meant to break the wire is written past the translator, see [`Self::wrote`].
    pub fn send_v1(&mut self, frame: &Frame) -> Out {
        match frame {
            _ if self.dialect.native => vec![Output::Send(frame.clone())],
            Frame::Binary(bytes) => self.send_audio(bytes),
            Frame::Close { .. } => vec![Output::Send(frame.clone())],
            Frame::Text(text) => match codec::decode_client(text, u64::MAX) {
                Ok(Decoded::Message(message)) => self.send(&message),
                _ => vec![lost("text", "it is no message of v1, so nothing that this dialect could say")],
            },
        }
    }

    /// Tells the translator of a frame that was written past it, and so what refusal may come.
    pub fn wrote(&mut self, frame: &Frame) {
        match frame {
            Frame::Text(text) if serde_json::from_str::<Value>(text).is_ok_and(|value| value["type"].is_string()) => {
                self.expect(&ErrorCode::UNKNOWN_TYPE);
            }
            Frame::Text(_) => self.expect(&ErrorCode::BAD_MESSAGE),
            Frame::Binary(_) => self.expect_once(&ErrorCode::INVALID_AUDIO),
            Frame::Close { .. } => {}
        }
    }

    /// Takes a frame of the server, a Close included; where the connection ends without one, a Close without a code that never came
    /// is not to be given.
    pub fn receive(&mut self, frame: &Frame) -> Out {
        if self.dialect.native {
            return native(frame);
        }
        let seen = Seen::new(frame, std::mem::take(&mut self.session.first), self.session.after_end);
        let mut out = Vec::new();
        let mut matched = false;
        let dialect = self.dialect;
        if let Frame::Close { code, .. } = frame
            && self.is_idle(*code)
        {
            self.expected.push_front(ErrorCode::IDLE_TIMEOUT);
        }
        for rule in dialect.server.iter().filter(|rule| rule.reads) {
            if !rule.when.holds(&seen) {
                continue;
            }
            matched = true;
            match rule.read(&seen, &dialect.values).and_then(|taken| self.heard(rule, taken, &seen)) {
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
        match frame {
            Frame::Close { code, .. } => {
                let is_error = |output: &Output<_>| {
                    matches!(output.as_heard().and_then(|heard| heard.message.as_ref()), Some(ServerMessage::Error(_)))
                };
                let told = out.iter().any(is_error);
                out.extend(self.closed(*code, told));
            }
            _ if !matched => {
                let why = format!("no `[[server]]` rule of `{}` applies to it", self.dialect.name);
                out.push(Output::Unmatched(Unmatched { frame: frame.clone(), why }));
            }
            _ => {}
        }
        out
    }

    /// Milliseconds of audio that were sent and not refused, as the translator counts them.
    #[must_use]
    pub fn audio_ms(&self) -> u64 {
        self.session.audio_ms()
    }

    fn configure(&mut self, config: &Config) {
        self.session.config = config.clone();
        // Where the wire has one rate, it is meant unless another is asked for.
        if let Some(rate) = self.dialect.sample_rate_hz {
            self.session.config.audio.get_or_insert_default().sample_rate_hz.get_or_insert(rate);
        }
        if self.session.token.is_none() {
            self.session.token.clone_from(&config.token);
        }
    }

    /// The configuration for templates. It tells its audio in full: the defaults of v1 are not those of others.
    fn config_object(&self, config: &Config) -> Value {
        let mut object = message_of(&ClientMessage::Config(Box::new(config.clone())));
        object["audio"] = serde_json::to_value(config.effective().audio).unwrap_or_default();
        if let Some(token) = self.session.token.as_ref().filter(|_| object.get("token").is_none()) {
            object["token"] = Value::from(token.clone());
        }
        object
    }

    fn scope<'a>(&'a self, message: &'a Value) -> Scope<'a> {
        Scope { message, session: &self.session, values: &self.dialect.values }
    }

    fn written(&self, kind: Kind, message: &Value, audio: &[u8]) -> Out {
        let Some(rule) = self.dialect.writer(kind, true, message) else {
            return match kind {
                // It travelled with the upgrade.
                Kind::Config => Vec::new(),
                _ => vec![lost(kind.as_str(), "no rule of the dialect says it")],
            };
        };
        rule.write(&self.scope(message), audio).into_iter().map(Output::Send).collect()
    }

    fn heard(&mut self, rule: &Rule, mut taken: Taken, seen: &Seen<'_>) -> Result<Out, String> {
        let mut out = Vec::new();
        if let Some(remark) = self.session.keep(std::mem::take(&mut taken.session)) {
            out.push(Output::Note(format!("`{}`: {remark}", rule.kind.as_str())));
        }
        let audio_ms = self.session.audio_ms();
        match rule.kind {
            Kind::Ignore | Kind::AudioAck => {}
            Kind::Partial => {
                let told = self.results.partial(build::object_of(&taken), rule.append, audio_ms);
                out.extend(self.told(told, &taken));
            }
            Kind::Final => {
                if !taken.members.contains_key("/text") {
                    return Err("its `text` is not where the rule says".to_owned());
                }
                let told = self.results.finish(build::object_of(&taken), true, audio_ms);
                out.extend(self.told(told, &taken));
            }
            Kind::Window => {
                let shown = self.shown(rule, seen)?;
                let commit = rule.window.as_ref().map(|window| window.commit).unwrap_or_default();
                let told = self.results.window(shown, commit, audio_ms);
                out.extend(self.told(told, &taken));
            }
            Kind::Tokens => {
                let (Some(rule), Some(document)) = (&rule.tokens, &seen.json) else { return Ok(out) };
                let list = rule.each.get(document).ok_or("it has no list of tokens where the rule says")?;
                let items = if rule.single {
                    std::slice::from_ref(list)
                } else {
                    list.as_array().map_or(&[][..], Vec::as_slice)
                };
                let mut tokens = Vec::new();
                for item in items {
                    let is_final = rule.flag.as_ref().is_none_or(|flag| flag.get(item) == Some(&Value::Bool(true)));
                    tokens.push((piece(item, &rule.take, &self.dialect.values)?, is_final));
                }
                let told = self.results.tokens(tokens, rule, audio_ms);
                out.extend(self.told(told, &taken));
            }
            kind => {
                if kind == Kind::SessionEnded {
                    out.extend(self.rest());
                    self.ended = true;
                }
                let early = std::mem::take(&mut self.sent_early).then_some(ErrorCode::INVALID_STATE);
                let expected = if kind == Kind::Error { self.expected.pop_front().or(early) } else { None };
                let (message, origin) =
                    build::server_message(kind, &taken, &mut self.session, &self.dialect.limits, expected)?;
                out.push(Output::Heard(Heard::server(message, origin)));
            }
        }
        Ok(out)
    }

    fn shown(&self, rule: &Rule, seen: &Seen<'_>) -> Result<Vec<(String, Value, bool)>, String> {
        let (Some(window), Some(document)) = (&rule.window, &seen.json) else { return Ok(Vec::new()) };
        let list = window.each.get(document).and_then(Value::as_array);
        let mut shown = Vec::new();
        for item in list.ok_or("it has no list of segments where the rule says")? {
            let key = window.key.get(item).and_then(plain_text).ok_or("a segment has no key where the rule says")?;
            let flagged = window.flag.as_ref().is_some_and(|flag| flag.get(item) == Some(&Value::Bool(true)));
            shown.push((key, piece(item, &window.take, &self.dialect.values)?, flagged));
        }
        Ok(shown)
    }

    fn told(&mut self, told: Vec<Told>, taken: &Taken) -> Out {
        let mut out = Vec::new();
        for one in told {
            let set = taken.set.iter().map(|member| member[1..].replace('/', "."));
            let origin = |synthesised: Vec<String>| {
                let mut synthesised: Vec<String> = synthesised.into_iter().chain(set.clone()).collect();
                synthesised.sort();
                Origin { on_wire: true, synthesised }
            };
            out.push(match one {
                Told::Note(note) => Output::Note(note),
                Told::Partial(partial, made_up) => {
                    Output::Heard(Heard::server(ServerMessage::Partial(partial), origin(made_up)))
                }
                Told::Final { result, synthesised, on_wire } => {
                    self.session.finals += 1;
                    self.session.transcript.push(result.text.clone());
                    let origin = if on_wire { origin(synthesised) } else { Origin::synthesised() };
                    Output::Heard(Heard::server(ServerMessage::Final(result), origin))
                }
                Told::Flushed => {
                    let id = self.session.flushes.pop_front().unwrap_or_else(|| "unasked".to_owned());
                    let flushed = ServerMessage::Flushed(lastword_spec::message::Flushed { id });
                    Output::Heard(Heard::server(flushed, origin(vec!["id".to_owned()])))
                }
            });
        }
        out
    }

    /// What is still to be said at the end.
    fn rest(&mut self) -> Out {
        let tokens = self.dialect.server.iter().find_map(|rule| rule.tokens.as_ref());
        let commit = self.dialect.server.iter().find_map(|rule| rule.window.as_ref()).map(|window| window.commit);
        let join = tokens.map_or("", |tokens| tokens.join.as_str());
        let told = self.results.end(join, commit, self.session.audio_ms());
        self.told(told, &Taken::default())
    }

    fn is_idle(&self, code: Option<CloseCode>) -> bool {
        !self.ended
            && !self.session.after_end
            && self.dialect.v1_close_code(code, self.session.after_end) == CloseCode::TIMEOUT
    }

    /// What a Close means where no message said it. `told`: a rule found an error in the Close itself.
    fn closed(&mut self, code: Option<CloseCode>, told: bool) -> Out {
        let mut out = Vec::new();
        if self.ended {
            return out;
        }
        let is_idle = self.is_idle(code);
        let in_order = self.dialect.end.by == EndedBy::Close
            && self.session.after_end
            && self.dialect.v1_close_code(code, true) == CloseCode::NORMAL;
        if !in_order && !is_idle {
            return out;
        }
        self.ended = true;
        out.extend(self.rest());
        let synthesised = |message| Output::Heard(Heard::server(message, Origin::synthesised()));
        if is_idle && !told {
            out.push(synthesised(ServerMessage::Error(ErrorMessage {
                code: ErrorCode::IDLE_TIMEOUT,
                message: "closed as idle".to_owned(),
                fatal: true,
                retryable: true,
                retry_after_ms: None,
                param: None,
                id: None,
            })));
        }
        out.push(synthesised(ServerMessage::SessionEnded(SessionEnded {
            reason: if in_order { EndReason::COMPLETED } else { EndReason::IDLE_TIMEOUT },
            complete: in_order,
            audio_received_ms: self.session.audio_ms(),
            audio_processed_ms: self.session.audio_ms(),
            rejected_frames: self.session.rejected_frames,
            finals: self.session.finals,
            message: None,
        })));
        out
    }

    fn expect(&mut self, code: &ErrorCode) {
        self.expected.push_back(code.clone());
    }

    fn expect_once(&mut self, code: &ErrorCode) {
        if !self.expected_once.contains(code) {
            self.expected_once.push(code.clone());
            self.expect(code);
        }
    }
}

/// The identity: the frame as it came, and the message if it is one.
fn native(frame: &Frame) -> Out {
    let message = match frame {
        Frame::Text(text) => match codec::decode_server(text, u64::MAX) {
            Ok(Decoded::Message(message)) => Some(message),
            _ => None,
        },
        Frame::Binary(_) => None,
        Frame::Close { .. } => return Vec::new(),
    };
    vec![Output::Heard(Heard { v1: frame.clone(), message, origin: Origin::wire() })]
}

fn message_of(message: &ClientMessage) -> Value {
    build::object_of_text(&codec::encode(message))
}

fn lost(message_type: &'static str, why: &str) -> Output<ServerMessage> {
    Output::Lost(Lost { message_type, why: why.to_owned() })
}

fn kind_of(message: &ClientMessage) -> Kind {
    match message {
        ClientMessage::Config(_) => Kind::Config,
        ClientMessage::Keepalive(_) => Kind::Keepalive,
        ClientMessage::Flush(_) => Kind::Flush,
        ClientMessage::Update(_) => Kind::Update,
        ClientMessage::EndOfStream => Kind::EndOfStream,
    }
}
