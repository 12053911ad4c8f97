//! Owns the order of things: calls one after the other, events meanwhile, every line as it comes. Knows nothing of processes.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as STANDARD;
use lastword_spec::driver::{DRIVER_VERSION, Hello, Lack, Line, Order};
use lastword_spec::trace::{Call, Returned, Told, ToldWhat};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;

use crate::{Client, DriveError, Ended, Events};

type Saying = mpsc::UnboundedSender<Line>;

/// Obeys `orders` and answers on `lines` until the quit or the end of `orders`. A line goes out as soon as there is something to say.
///
/// # Errors
/// [`DriveError`]: an order that is none, or a stream that broke. The client is dropped.
pub async fn drive<C: Client>(
    client: C,
    name: &str,
    lacks: &[Lack],
    orders: impl AsyncRead + Unpin + Send,
    lines: impl AsyncWrite + Unpin + Send,
) -> Result<(), DriveError> {
    let hello = Hello { version: DRIVER_VERSION, client: name.to_owned(), lacks: lacks.to_vec() };
    let (saying, said) = mpsc::unbounded_channel();
    let (beginning, begun) = mpsc::unbounded_channel();
    let talking = async move {
        let telling = tell::<C>(begun, saying.clone());
        let obeying = obey(client, hello, orders, beginning, saying);
        // Both in one task: a push that waits must not stop the events.
        tokio::pin!(telling, obeying);
        tokio::select! {
            biased;
            obeyed = &mut obeying => obeyed,
            () = &mut telling => obeying.await,
        }
    };
    let (obeyed, written) = tokio::join!(talking, write(lines, said));
    obeyed.and(written)
}

async fn obey<C: Client>(
    mut client: C,
    hello: Hello,
    orders: impl AsyncRead + Unpin,
    beginning: mpsc::UnboundedSender<C::Events>,
    saying: Saying,
) -> Result<(), DriveError> {
    let mut orders = BufReader::new(orders).lines();
    while let Some(text) = orders.next_line().await? {
        let order = Order::read(&text)?;
        let call = order.call();
        let mut ended = None;
        let result = match order {
            Order::Quit {} => return Ok(()),
            Order::Hello { .. } => {
                say(&saying, Line::Hello(hello.clone()));
                continue;
            }
            Order::Report {} => {
                let count = Some(client.left().await);
                say(&saying, Line::Told(Told { count, ..Told::new(ToldWhat::Left) }));
                continue;
            }
            Order::Start { url, token, .. } => match client.start(&url, token.as_deref()).await {
                Ok(events) => {
                    // The other end stands as long as this one.
                    let _ = beginning.send(events);
                    Ok(())
                }
                Err(not) => {
                    ended = Some(not.ended);
                    Err(not.failed)
                }
            },
            Order::Push { pcm_s16le_base64, .. } => match STANDARD.decode(pcm_s16le_base64) {
                Ok(pcm) => client.push(pcm).await,
                Err(error) => Err(format!("this is no base64: {error}")),
            },
            Order::Flush { number } => client.flush(number).await,
            Order::End { .. } => client.end().await,
            Order::Close { .. } => client.close().await,
        };
        if let Some((number, what)) = call {
            say(&saying, returned(number, what, result));
        }
        if let Some(ended) = ended {
            say(&saying, last_word(ended));
        }
    }
    Ok(())
}

/// Passes on what the sessions tell, one session after the other.
async fn tell<C: Client>(mut begun: mpsc::UnboundedReceiver<C::Events>, saying: Saying) {
    while let Some(mut events) = begun.recv().await {
        while let Some(told) = events.next().await {
            say(&saying, Line::Told(told));
        }
        say(&saying, last_word(events.ended()));
    }
}

async fn write(mut lines: impl AsyncWrite + Unpin, mut said: mpsc::UnboundedReceiver<Line>) -> Result<(), DriveError> {
    while let Some(line) = said.recv().await {
        lines.write_all(line.write().as_bytes()).await?;
        lines.flush().await?;
    }
    Ok(())
}

fn returned(number: u32, what: Call, result: Result<(), String>) -> Line {
    Line::Returned(Returned { number, what, failed: result.err() })
}

fn last_word(ended: Ended) -> Line {
    let Ended { outcome, code, retryable } = ended;
    Line::Told(Told { outcome: Some(outcome), code, retryable, ..Told::new(ToldWhat::Ended) })
}

fn say(saying: &Saying, line: Line) {
    // Nobody writes any more only when the harness has gone, which the end of the orders tells.
    let _ = saying.send(line);
}
