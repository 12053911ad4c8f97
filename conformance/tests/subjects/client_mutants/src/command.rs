//! Owns the command line: the client, right or with one fault, or something that is no client; at level 0 with a URL and a file,
//! at level 1 as a driver.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use tokio::net::TcpStream;

use crate::catalogue::{find, mutants};
use crate::degenerate::{Degenerate, degenerates};
use crate::driver::drive;
use crate::link::{Dial, Duplex};
use crate::options::{Ending, Options};
use crate::stream::stream;

/// A small client of Lastword v1: right, broken in one chosen way, or no client at all.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The URL of the server.
    #[arg(required_unless_present_any = ["list", "driver"])]
    url: Option<String>,
    /// The file that is streamed: WAV, 16 kHz mono s16le.
    #[arg(long, value_name = "FILE")]
    audio: Option<PathBuf>,
    /// Speaks the driver protocol on standard input and output.
    #[arg(long, conflicts_with_all = ["url", "audio"])]
    driver: bool,
    /// Has this fault.
    #[arg(long, value_name = "NAME", conflicts_with = "degenerate")]
    mutant: Option<String>,
    /// Is this, which is no client.
    #[arg(long, value_name = "NAME")]
    degenerate: Option<String>,
    /// Shows this credential.
    #[arg(long)]
    token: Option<String>,
    /// How many times faster than speech a file is streamed.
    #[arg(long, value_name = "N", default_value_t = Options::default().pace)]
    pace: f64,
    /// How often it dials again after a failure, until its budget is restored.
    #[arg(long, value_name = "N", default_value_t = 0)]
    attempts: u32,
    /// Lists the mutants and what is no client, and ends.
    #[arg(long)]
    list: bool,
}

/// Runs the command with the arguments of this process. A crash that is a fault ends the process here.
pub async fn command() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        list();
        return ExitCode::SUCCESS;
    }
    match run(arguments).await {
        Ok(Ending::Code(code)) => ExitCode::from(code),
        Ok(Ending::Abort) => std::process::abort(),
        Err(why) => {
            eprintln!("lastword-client-mutants: {why}");
            ExitCode::from(2)
        }
    }
}

async fn run(arguments: Arguments) -> Result<Ending, String> {
    if let Some(name) = &arguments.degenerate {
        let kind: Option<&'static Degenerate> = degenerates().iter().find(|kind| kind.name == name);
        let kind = kind.ok_or_else(|| format!("there is no degenerate client `{name}`; --list shows them"))?;
        return Ok(kind.run(dialler(arguments.url.as_deref().unwrap_or_default())).await);
    }
    let mutant = match &arguments.mutant {
        Some(name) => Some(find(name).ok_or_else(|| format!("there is no mutant `{name}`; --list shows them"))?),
        None => None,
    };
    let attempts = mutant.map_or(0, |mutant| mutant.options().attempts).max(arguments.attempts);
    let options = Options { mutant, token: arguments.token, pace: arguments.pace, attempts, prints: true, log: None };
    if arguments.driver {
        return Ok(drive(tokio::io::stdin(), tokio::io::stdout(), dialler, options).await);
    }
    let url = arguments.url.unwrap_or_default();
    let audio = arguments.audio.ok_or("--audio is missing")?;
    Ok(stream(dialler(&url), url, &audio, options).await)
}

/// The way to the server of a `ws` URL.
fn dialler(url: &str) -> Dial {
    let rest = url.strip_prefix("ws://").unwrap_or(url);
    let address = rest.split(['/', '?']).next().unwrap_or_default().to_owned();
    Arc::new(move || {
        let address = address.clone();
        Box::pin(async move {
            let stream = TcpStream::connect(&address).await?;
            // Without this, two small messages in a row cost 40 ms.
            stream.set_nodelay(true)?;
            Ok::<_, io::Error>(Box::new(stream) as Box<dyn Duplex>)
        })
    })
}

fn list() {
    for mutant in mutants() {
        println!("{:30} {:6} {:42} {}", mutant.name, mutant.breaks, mutant.case, mutant.what);
    }
    for kind in degenerates() {
        println!("{:30} {}", kind.name, kind.what);
    }
}
