//! A client for Lastword servers on tokio: audio in, events out, and an end that always comes.
//!
//! The protocol itself is [`lastword_session::ClientSession`]; this crate owns the connection, the one task that drives the session,
//! and the two handles that an application holds. It must not decide anything that the protocol decides.
//!
//! ```no_run
//! use lastword_client::{ConnectOptions, Event, connect};
//!
//! # async fn example(samples: Vec<i16>) -> Result<(), Box<dyn std::error::Error>> {
//! let (mut audio, mut events) = connect("ws://127.0.0.1:9090/v1/listen", ConnectOptions::default()).await?;
//! let sending = tokio::spawn(async move {
//!     for chunk in samples.chunks(1_600) {
//!         audio.push(chunk).await?;
//!     }
//!     audio.finish();
//!     Ok::<(), lastword_client::SendError>(())
//! });
//! while let Some(event) = events.next().await {
//!     match event {
//!         Event::Final(result) => println!("{}", result.text),
//!         Event::Ended(outcome) => println!("{outcome:?}"),
//!         _ => {}
//!     }
//! }
//! sending.await??;
//! # Ok(())
//! # }
//! ```
//!
//! # How it ends
//! Every event stream ends, with [`Event::Ended`] as its last event: complete, error, cancelled or incomplete. Nothing but
//! [`Outcome::Complete`] is success. [`AudioSender::finish`] ends the input; dropping the sender without it cancels.
//!
//! # How it comes back
//! Unless asked to, it does not: the loss of the connection ends the session, and its outcome says whether another try makes sense
//! ([`Outcome::is_retryable`]). An attempt to connect may be repeated, within bounds ([`ConnectOptions::retry`]), and a session that is
//! lost may go on on a new connection ([`ConnectOptions::redial`]), without the audio that the lost one had taken.
//!
//! Only the application knows what of that audio it can say once more. One that goes on by itself keeps to the specification if it
//! - begins another session only after [`Outcome::is_retryable`], and never after [`AudioSender::finish`] or a cancel (REC-C2, REC-C3);
//! - backs off in between, with pauses that grow and vary, and bounds its attempts in number and in time, as [`Retry`] does within one
//!   `connect` (REC-C1);
//! - counts them anew once a connection was ready and lived for `idle_timeout_ms` of its [`Event::Ready`] (REC-C5);
//! - adds to the times of the new session how much audio it had pushed before (TIM-C1);
//! - calls the whole incomplete, whatever the last session says, unless it pushed again what the lost one had taken (REC-C4).

mod carried;
mod connect;
mod driver;
mod events;
mod redial;
mod retry;
mod sender;
mod shared;
mod tls;

pub use connect::{ConnectError, ConnectOptions, attach, connect, connect_over};
pub use events::{Event, Events, Transcript};
pub use lastword_session::{IncompleteReason, Outcome, Violation};
pub use lastword_spec::message::Config;
pub use retry::Retry;
pub use sender::{AudioSender, FlushError, Flushed, SendError};
