//! Exchanges as readable files: what is given to a translator, and below it what came out. Owns the form and the replay.
//!
//! Lines: `side: client|server` first. Given: `open URL [HEADER: VALUE]..` (server), `connect BASE` (client), `config JSON`, `say JSON` (a v1
//! message), `audio N` (bytes of it, as v1 has them), `recv TEXT`, `recv-binary TEXT`, `recv-audio N`, `recv-floats N`, `recv-empty`,
//! `recv-close CODE`, `answer STATUS BODY`, `wrote TEXT`. What came out is indented by four spaces and compared as a text. `#` is a remark.

use std::fmt::Write as _;

use lastword_dialects::{
    ClientSide, Dialect, Frame, FromClient, Heard, HttpRequest, Origin, Output, Seed, ServerSide, Upgrade,
};
use lastword_spec::close::CloseCode;
use lastword_spec::codec;
use lastword_spec::message::{ClientMessage, Config, ServerMessage};

/// Replays the given lines and writes what comes out below each; the result is the whole file again.
pub(crate) fn replay(dialect: &Dialect, text: &str) -> String {
    let seed = || Seed { uuid: "u-1".to_owned(), token: Some("s3cret".to_owned()) };
    let mut player = if text.lines().any(|line| line == "side: server") {
        Player::Server(Box::new(ServerSide::new(dialect, Seed { token: None, ..seed() })))
    } else {
        Player::Client(Box::new((ClientSide::new(dialect, seed()), Config::default())))
    };
    let mut out = String::new();
    for line in text.lines().filter(|line| !line.starts_with("    ")) {
        writeln!(out, "{line}").unwrap();
        if line.is_empty() || line.starts_with('#') || line.starts_with("side:") {
            continue;
        }
        for told in player.step(line) {
            writeln!(out, "    {told}").unwrap();
        }
    }
    out
}

enum Player<'d> {
    Client(Box<(ClientSide<'d>, Config)>),
    Server(Box<ServerSide<'d>>),
}

impl Player<'_> {
    fn step(&mut self, line: &str) -> Vec<String> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match self {
            Self::Client(played) => client_step(&mut played.0, &mut played.1, word, rest),
            Self::Server(side) => server_step(side, word, rest),
        }
    }
}

fn client_step(side: &mut ClientSide<'_>, config: &mut Config, word: &str, rest: &str) -> Vec<String> {
    match word {
        "connect" => return connected(side, config, rest),
        "answer" => {
            let (status, body) = rest.split_once(' ').unwrap();
            return match side.pre_response(status.parse().unwrap(), body) {
                Ok(()) => Vec::new(),
                Err(error) => vec![format!("error: {error}")],
            };
        }
        "config" => {
            let Ok(codec::Decoded::Message(ClientMessage::Config(read))) = codec::decode_client(rest, u64::MAX) else {
                panic!("no config: {rest}");
            };
            *config = *read;
            return Vec::new();
        }
        "wrote" => {
            side.wrote(&Frame::text(rest));
            return Vec::new();
        }
        _ => {}
    }
    let outputs = match word {
        "say" => side.send_v1(&Frame::text(rest)),
        "audio" => side.send_audio(&samples(rest)),
        other => side.receive(&received(other, rest)),
    };
    outputs.iter().map(|output| told(output, |message: &ServerMessage| codec::encode(message))).collect()
}

fn connected(side: &mut ClientSide<'_>, config: &Config, base: &str) -> Vec<String> {
    match side.upgrade(base, config) {
        Ok(upgrade) => {
            let mut lines = vec![format!("upgrade {}", upgrade.url)];
            lines.extend(upgrade.headers.iter().map(|(name, value)| format!("header {name}: {value}")));
            lines.extend(upgrade.subprotocols.iter().map(|one| format!("offers {one}")));
            lines
        }
        Err(error) => {
            let mut lines = vec![format!("error: {error}")];
            if let Ok(Some(request)) = side.pre_request(base, config) {
                lines.push(format!("{} {} {}", request.method, request.url, request.body));
                lines.extend(request.headers.iter().map(|(name, value)| format!("header {name}: {value}")));
            }
            lines
        }
    }
}

fn server_step(side: &mut ServerSide<'_>, word: &str, rest: &str) -> Vec<String> {
    let outputs = match word {
        "request" => {
            let mut parts = rest.splitn(3, ' ').map(str::to_owned);
            let request = HttpRequest {
                method: parts.next().unwrap(),
                url: parts.next().unwrap(),
                body: parts.next().unwrap_or_default(),
                headers: vec![("X-Gladia-Key".to_owned(), "s3cret".to_owned())],
            };
            let answer = side.pre_request(&request, "ws://127.0.0.1:9/live?token=t-1");
            return vec![answer.map_or("no answer".to_owned(), |answer| format!("{} {}", answer.status, answer.body))];
        }
        "open" => {
            let (url, header) = rest.split_once(' ').unwrap_or((rest, ""));
            let headers = header.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
            let upgrade =
                Upgrade { url: url.to_owned(), headers: headers.into_iter().collect(), subprotocols: Vec::new() };
            let mut lines: Vec<String> = side.opened(&upgrade).iter().map(client_told).collect();
            lines.extend(side.token().map(|token| format!("token {token}")));
            return lines;
        }
        "say" => side.send_v1(&Frame::text(rest)),
        "close" => side.send_v1(&Frame::close(rest.parse().unwrap())),
        other => side.receive(&received(other, rest)),
    };
    outputs.iter().map(client_told).collect()
}

fn client_told(output: &Output<FromClient>) -> String {
    told(output, |message| match message {
        FromClient::Message(message) => codec::encode(message),
        FromClient::Audio(bytes) => format!("audio of {} bytes", bytes.len()),
    })
}

fn received(word: &str, rest: &str) -> Frame {
    match word {
        "recv" => Frame::text(rest),
        "recv-binary" => Frame::Binary(rest.as_bytes().to_vec()),
        "recv-audio" => Frame::Binary(samples(rest)),
        "recv-empty" => Frame::Binary(Vec::new()),
        "recv-close" if rest.is_empty() => Frame::Close { code: None, reason: String::new() },
        "recv-close" => {
            let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
            Frame::Close { code: Some(CloseCode(code.parse().unwrap())), reason: reason.to_owned() }
        }
        other => panic!("`{other}` is no line of an exchange"),
    }
}

fn samples(bytes: &str) -> Vec<u8> {
    (0..bytes.parse::<usize>().unwrap()).map(|index| index as u8).collect()
}

fn told<M>(output: &Output<M>, show: impl Fn(&M) -> String) -> String {
    match output {
        Output::Send(frame) => format!("send {}", shown(frame)),
        Output::Heard(Heard { v1, message, origin }) => {
            let said = message.as_ref().map_or_else(|| format!("no message: {}", shown(v1)), show);
            format!("hear {said}{}", marks(origin))
        }
        Output::Unmatched(unmatched) => format!("unmatched {}: {}", shown(&unmatched.frame), unmatched.why),
        Output::Lost(lost) => format!("lost {}: {}", lost.message_type, lost.why),
        Output::Note(note) => format!("note {note}"),
        other => panic!("not shown: {}", std::any::type_name_of_val(other)),
    }
}

fn marks(origin: &Origin) -> String {
    match (origin.on_wire, origin.synthesised.is_empty()) {
        (false, _) => "   # all made up".to_owned(),
        (true, true) => String::new(),
        (true, false) => format!("   # made up: {}", origin.synthesised.join(", ")),
    }
}

fn shown(frame: &Frame) -> String {
    match frame {
        Frame::Text(text) if text.is_empty() => "an empty text".to_owned(),
        Frame::Text(text) => text.clone(),
        Frame::Binary(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) if !text.is_empty() && text.is_ascii() && text.chars().all(|c| !c.is_control()) => {
                format!("binary {text}")
            }
            _ => format!("binary of {} bytes", bytes.len()),
        },
        Frame::Close { code, reason } => {
            format!("close {} {reason}", code.map_or("without code".to_owned(), |code| code.to_string()))
        }
    }
}
