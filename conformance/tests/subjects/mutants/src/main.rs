//! The command `lastword-mutants`: the server, right or with one fault, or a peer that serves nothing, on the loopback
//! interface.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use lastword_mutants::{Degenerate, Engine, Falls, Options, Peer, Server, degenerates, find, mutants};
use tokio::net::{TcpListener, TcpStream};

/// A small server of Lastword v1: right, broken in one chosen way, or no server at all.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The port of the loopback interface; 0 takes a free one.
    #[arg(default_value_t = 0)]
    port: u16,
    /// Has this fault.
    #[arg(long, value_name = "NAME", conflicts_with = "degenerate")]
    mutant: Option<String>,
    /// Is this peer that serves nothing.
    #[arg(long, value_name = "NAME")]
    degenerate: Option<String>,
    /// Demands this credential.
    #[arg(long)]
    token: Option<String>,
    /// Holds so many sessions at a time.
    #[arg(long, default_value_t = Options::default().max_sessions)]
    max_sessions: usize,
    /// From `config` to `ready`.
    #[arg(long, value_name = "MS")]
    load_ms: Option<u64>,
    /// What a second of audio costs.
    #[arg(long, value_name = "MS")]
    cost_ms_per_audio_s: Option<u64>,
    /// What a final costs for each second of its audio.
    #[arg(long, value_name = "MS")]
    decode_ms_per_audio_s: Option<u64>,
    /// What a final costs.
    #[arg(long, value_name = "MS")]
    cost_ms_per_segment: Option<u64>,
    /// What a partial or a final costs, however short its audio.
    #[arg(long, value_name = "MS")]
    window_ms: Option<u64>,
    /// What every drain lasts longer.
    #[arg(long, value_name = "MS")]
    hangover_ms: Option<u64>,
    /// Ends its process, and every session with it, when so many sessions have become ready.
    #[arg(long, value_name = "N")]
    falls_at_session: Option<u64>,
    /// Never frees the slot of a session that was lost or cancelled.
    #[arg(long)]
    keeps_slots: bool,
    /// Lists the mutants and the degenerate peers, and ends.
    #[arg(long)]
    list: bool,
}

enum Subject {
    Server(Arc<Server>),
    Peer(Arc<Peer>),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        list();
        return ExitCode::SUCCESS;
    }
    let subject = match subject(&arguments) {
        Ok(subject) => subject,
        Err(why) => return complain(&why),
    };
    let listener = match TcpListener::bind(("127.0.0.1", arguments.port)).await {
        Ok(listener) => listener,
        Err(why) => return complain(&format!("port {} cannot be taken: {why}", arguments.port)),
    };
    if let Ok(address) = listener.local_addr() {
        println!("listening on ws://{address}");
    }
    serve(listener, &subject).await
}

fn complain(why: &str) -> ExitCode {
    eprintln!("lastword-mutants: {why}");
    ExitCode::from(2)
}

fn subject(arguments: &Arguments) -> Result<Subject, String> {
    if let Some(name) = &arguments.degenerate {
        let kind: Option<&'static Degenerate> = degenerates().iter().find(|kind| kind.name == *name);
        let kind = kind.ok_or_else(|| format!("there is no degenerate peer `{name}`; --list shows them"))?;
        return Ok(Subject::Peer(kind.peer()));
    }
    let mut options = match &arguments.mutant {
        Some(name) => find(name).ok_or_else(|| format!("there is no mutant `{name}`; --list shows them"))?.options(),
        None => Options::default(),
    };
    let usual = options.engine;
    options.engine = Engine {
        load_ms: arguments.load_ms.unwrap_or(usual.load_ms),
        cost_ms_per_audio_s: arguments.cost_ms_per_audio_s.unwrap_or(usual.cost_ms_per_audio_s),
        decode_ms_per_audio_s: arguments.decode_ms_per_audio_s.unwrap_or(usual.decode_ms_per_audio_s),
        cost_ms_per_segment: arguments.cost_ms_per_segment.unwrap_or(usual.cost_ms_per_segment),
        window_ms: arguments.window_ms.unwrap_or(usual.window_ms),
        hangover_ms: arguments.hangover_ms.unwrap_or(usual.hangover_ms),
    };
    options.token = arguments.token.clone();
    options.max_sessions = arguments.max_sessions;
    options.keeps_slots = arguments.keeps_slots;
    options.falls = arguments.falls_at_session.map(|at_session| Falls { at_session, back_after_ms: None, times: 1 });
    Ok(Subject::Server(Server::new(options)))
}

async fn serve(listener: TcpListener, subject: &Subject) -> ExitCode {
    loop {
        let crashed = async {
            match subject {
                Subject::Server(server) => server.crashed().await,
                Subject::Peer(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                spawn(subject, stream);
            },
            () = crashed => {
                eprintln!("lastword-mutants: the process dies of its fault");
                return ExitCode::from(139);
            }
        }
    }
}

fn spawn(subject: &Subject, stream: TcpStream) {
    // Without this, two small messages in a row cost 40 ms.
    let _ = stream.set_nodelay(true);
    match subject {
        Subject::Server(server) => {
            let server = Arc::clone(server);
            tokio::spawn(async move { server.serve(stream).await });
        }
        Subject::Peer(peer) => {
            let peer = Arc::clone(peer);
            tokio::spawn(async move { peer.serve(stream).await });
        }
    }
}

fn list() {
    for mutant in mutants() {
        println!("{:32} {:8} {:36} {}", mutant.name, mutant.breaks, mutant.case, mutant.what);
    }
    for kind in degenerates() {
        println!("{:32} {}", kind.name, kind.what);
    }
}
