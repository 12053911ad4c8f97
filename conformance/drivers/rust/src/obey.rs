//! Owns the order of things: calls one after the other, events meanwhile, every line as it comes. Knows nothing of processes.

use std::collections::VecDeque;
use std::future::Future;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as STANDARD;
use lastword_spec::driver::{DRIVER_VERSION, Hello, Lack, Line, Order};
use lastword_spec::trace::{Call, ClientOutcome, Returned, Told, ToldWhat};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, Lines};
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

/// What waits to be carried out.
struct Orders<R> {
    lines: Lines<BufReader<R>>,
    /// What came while a call was under way.
    queue: VecDeque<Order>,
    is_over: bool,
}

impl<R: AsyncRead + Unpin> Orders<R> {
    async fn next(&mut self) -> Result<Option<Order>, DriveError> {
        match self.queue.pop_front() {
            Some(order) => Ok(Some(order)),
            None if self.is_over => Ok(None),
            None => self.read().await,
        }
    }

    async fn read(&mut self) -> Result<Option<Order>, DriveError> {
        let Some(text) = self.lines.next_line().await? else {
            self.is_over = true;
            return Ok(None);
        };
        Ok(Some(Order::read(&text)?))
    }

    /// Waits for a call, and reads on meanwhile. The call is dropped for an order that cannot wait for it, which is the next one then.
    async fn unless<T>(
        &mut self,
        gives_way: impl Fn(&Order) -> bool,
        call: impl Future<Output = Result<T, String>>,
    ) -> Result<Result<T, String>, DriveError> {
        tokio::pin!(call);
        loop {
            let order = tokio::select! {
                biased;
                result = &mut call => return Ok(result),
                order = self.read(), if !self.is_over => order?,
            };
            match order {
                Some(order) if gives_way(&order) => {
                    self.queue.push_front(order);
                    return Ok(Err(DROPPED.to_owned()));
                }
                Some(order) => self.queue.push_back(order),
                // The harness has gone.
                None => return Ok(Err(DROPPED.to_owned())),
            }
        }
    }
}

/// How a call failed for which nobody waits any more.
const DROPPED: &str = "dropped: its application did not wait for it any more";

/// An application cancels from wherever it likes, and leaves when it likes.
const fn cancels(order: &Order) -> bool {
    matches!(order, Order::Close { .. } | Order::Report {} | Order::Quit {})
}

/// Before there is a session nothing can be cancelled but the process.
const fn leaves(order: &Order) -> bool {
    matches!(order, Order::Quit {})
}

async fn obey<C: Client>(
    mut client: C,
    hello: Hello,
    orders: impl AsyncRead + Unpin,
    beginning: mpsc::UnboundedSender<C::Events>,
    saying: Saying,
) -> Result<(), DriveError> {
    let mut orders = Orders { lines: BufReader::new(orders).lines(), queue: VecDeque::new(), is_over: false };
    while let Some(order) = orders.next().await? {
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
            Order::Start { url, token, .. } => {
                let starting = async { Ok(client.start(&url, token.as_deref()).await) };
                match orders.unless(leaves, starting).await? {
                    Ok(Ok(events)) => {
                        // The other end stands as long as this one.
                        let _ = beginning.send(events);
                        Ok(())
                    }
                    Ok(Err(not)) => {
                        ended = Some(not.ended);
                        Err(not.failed)
                    }
                    Err(dropped) => Err(dropped),
                }
            }
            Order::Push { pcm_s16le_base64, .. } => match STANDARD.decode(pcm_s16le_base64) {
                Ok(pcm) => orders.unless(cancels, client.push(pcm)).await?,
                Err(error) => Err(format!("this is no base64: {error}")),
            },
            Order::Flush { number } => orders.unless(cancels, client.flush(number)).await?,
            Order::End { .. } => orders.unless(cancels, client.end()).await?,
            Order::Close { .. } => orders.unless(leaves, client.close()).await?,
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
        // The `Err` behind which nothing has come yet.
        let mut raised = None;
        while let Some(next) = events.next().await {
            let told = match next {
                Ok(told) => {
                    raised = None;
                    told
                }
                Err(text) => {
                    raised = Some(text.clone());
                    Told { text: Some(text), ..Told::new(ToldWhat::Error) }
                }
            };
            say(&saying, Line::Told(told));
        }
        say(&saying, raised.map_or_else(|| last_word(events.ended()), raised_end));
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

fn raised_end(text: String) -> Line {
    let (outcome, raised) = (Some(ClientOutcome::Error), Some(true));
    Line::Told(Told { outcome, raised, text: Some(text), ..Told::new(ToldWhat::Ended) })
}

fn say(saying: &Saying, line: Line) {
    // Nobody writes any more only when the harness has gone, which the end of the orders tells.
    let _ = saying.send(line);
}
