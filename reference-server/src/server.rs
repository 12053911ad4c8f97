//! The server as a whole. Owns: the listening socket, the routes, the slots for sessions, and the order of a shutdown.
//! Must not know: what happens in a session or a transcription.

use std::future::Future;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use axum::{Json, Router};
use lastword_dialects::Dialect;
use lastword_session::{ServerPolicy, Token};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_util::task::TaskTracker;

use crate::recognizer::Recognizer;
use crate::settings::{MAX_TRANSCRIPTIONS, Settings, SettingsError};
use crate::ws::upgrade::{listen, listen_in};
use crate::{rest, rest_dialect};

/// Output that may wait for a client, unless the limits say otherwise.
const MAX_OUTGOING_BYTES: u64 = 1_048_576;

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings cannot be kept.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another address with --listen")]
    Listen {
        /// What was asked for.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What all requests share.
pub(crate) struct App {
    pub(crate) recognizer: Recognizer,
    /// For clients that have not shown credentials yet.
    pub(crate) policy: Arc<ServerPolicy>,
    /// For clients whose `Authorization` header was right, or where nobody is asked.
    pub(crate) trusting_policy: Arc<ServerPolicy>,
    pub(crate) token: Option<Token>,
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) transcriptions: Semaphore,
    pub(crate) sessions: TaskTracker,
    pub(crate) shutdown: watch::Receiver<bool>,
    pub(crate) max_outgoing_bytes: usize,
    max_sessions: usize,
    /// Tells the sessions of this process from those of another.
    process: u32,
    sessions_begun: AtomicU64,
}

impl App {
    pub(crate) fn next_session_id(&self) -> String {
        format!("{:08x}-{}", self.process, self.sessions_begun.fetch_add(1, Ordering::Relaxed))
    }
}

/// A server that listens.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    app: Arc<App>,
    stop: watch::Sender<bool>,
    shutdown_bound: Duration,
    max_upload_bytes: usize,
    dialects: Vec<&'static Dialect>,
}

impl Server {
    /// Checks the settings against the engine and listens. Nothing is accepted before [`run`](Self::run).
    ///
    /// # Errors
    /// [`StartError`], with one clear message.
    pub async fn bind(settings: Settings, recognizer: Recognizer) -> Result<Self, StartError> {
        let policy = settings.policy(recognizer.info())?;
        let refuse = |source| StartError::Listen { address: settings.listen.clone(), source };
        let listener = TcpListener::bind(&settings.listen).await.map_err(refuse)?;
        let address = listener.local_addr().map_err(refuse)?;
        let (stop, shutdown) = watch::channel(false);
        let max_outgoing_bytes = policy.limits.max_buffered_output_bytes.unwrap_or(MAX_OUTGOING_BYTES);
        let app = App {
            recognizer,
            trusting_policy: Arc::new(ServerPolicy { header_was_good: true, ..policy.clone() }),
            token: policy.token.clone(),
            policy: Arc::new(policy),
            slots: Arc::new(Semaphore::new(settings.max_sessions)),
            transcriptions: Semaphore::new(MAX_TRANSCRIPTIONS),
            sessions: TaskTracker::new(),
            shutdown,
            max_outgoing_bytes: usize::try_from(max_outgoing_bytes).unwrap_or(usize::MAX),
            max_sessions: settings.max_sessions,
            process: RandomState::new().build_hasher().finish() as u32,
            sessions_begun: AtomicU64::new(0),
        };
        let shutdown_bound = Duration::from_millis(settings.shutdown_ms);
        let (max_upload_bytes, dialects) = (settings.max_upload_bytes, settings.dialects);
        Ok(Self { listener, address, app: Arc::new(app), stop, shutdown_bound, max_upload_bytes, dialects })
    }

    /// Where it listens; with port 0 asked for, the port that the system chose.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` completes, then ends the sessions and returns when they are over, or after the bound for it.
    ///
    /// # Errors
    /// When the listening socket fails.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
        let Self { listener, app, stop, shutdown_bound, max_upload_bytes, dialects, .. } = self;
        let router = router(&dialects, max_upload_bytes).with_state(Arc::clone(&app));
        // Small messages must not wait for each other.
        let listener = listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!("TCP_NODELAY was refused: {error}");
            }
        });
        let mut stopped = app.shutdown.clone();
        let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
            // An error means that the sender is gone, and with it this server.
            let _ = stopped.wait_for(|down| *down).await;
        });
        let sessions = app.sessions.clone();
        let shutting_down = async move {
            shutdown.await;
            let _ = stop.send(true);
            sessions.close();
            tokio::time::timeout(shutdown_bound, sessions.wait()).await.is_ok()
        };
        tokio::select! {
            served = async { serving.await?; std::future::pending::<std::io::Result<()>>().await } => served,
            all_ended = shutting_down => {
                if !all_ended {
                    tracing::warn!("sessions were still open when the time for a shutdown was over");
                }
                Ok(())
            }
        }
    }
}

fn router(dialects: &[&'static Dialect], max_upload_bytes: usize) -> Router<Arc<App>> {
    let largest = || DefaultBodyLimit::max(max_upload_bytes);
    let mut router = Router::new()
        .route("/v1/listen", get(listen))
        .route("/v1/audio/transcriptions", post(rest::transcribe).layer(largest()))
        .route("/healthz", get(health));
    for dialect in dialects.iter().filter(|dialect| !dialect.is_native()) {
        let dialect: &'static Dialect = dialect;
        let socket = get(move |State(app): State<Arc<App>>, request: Request| listen_in(dialect, app, request));
        router = router.route(&dialect.socket_path(), socket);
        if let Some(batch) = dialect.batch() {
            let answer = async move |State(app): State<Arc<App>>, request: Request| {
                rest_dialect::transcribe(batch, &app, request).await
            };
            router = router.route(batch.path(), post(answer).layer(largest()));
        }
    }
    router
}

/// `GET /healthz`: the server is up only once its engine has passed its self-check, so this needs to check nothing.
async fn health(State(app): State<Arc<App>>) -> Json<serde_json::Value> {
    let info = app.recognizer.info();
    Json(serde_json::json!({
        "status": "ok",
        "engine": info.engine,
        "model": info.model,
        "sessions": app.max_sessions - app.slots.available_permits(),
        "max_sessions": app.max_sessions,
    }))
}
