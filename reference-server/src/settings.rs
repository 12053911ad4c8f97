//! What an operator decides. Owns: the settings, their defaults, and whether the engine can keep what they promise.
//! Must not know: command lines, sockets.

use lastword_dialects::Dialect;
use lastword_session::{ServerPolicy, ServerSession, Token};
use lastword_spec::limits::Limits;

use crate::recognizer::EngineInfo;
use crate::ws::engine::capabilities;

/// The engine tells its progress at least this often while it works, whatever it works on.
const ENGINE_TICK_MS: u64 = 250;
/// A step may take so many times what it took when the engine was loaded, because of other work on the machine.
const STEP_MARGIN: u64 = 4;
/// Transcriptions of recordings at the same time; more are refused. Each has at most one window before the workers.
pub(crate) const MAX_TRANSCRIPTIONS: usize = 16;

/// How a server is to be.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `HOST:PORT`; port 0 lets the system choose.
    pub listen: String,
    /// What `ready.limits` announces, but for `max_step_ms`.
    pub limits: Limits,
    /// The longest step to announce; `None` for the default of the protocol, or more if the engine may need more.
    pub max_step_ms: Option<u64>,
    /// How long a client may take for its `config`.
    pub config_timeout_ms: u64,
    /// The credential that clients must show.
    pub token: Option<Token>,
    /// Sessions at the same time; more are refused before their upgrade.
    pub max_sessions: usize,
    /// How long a shutdown waits for sessions to end.
    pub shutdown_ms: u64,
    /// The largest body of a transcription request, in bytes.
    pub max_upload_bytes: usize,
    /// The wires of other services that are served beside v1, each at its own path.
    pub dialects: Vec<&'static Dialect>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:9090".to_owned(),
            limits: Limits { max_buffered_output_bytes: Some(1_048_576), ..Limits::DEFAULT },
            max_step_ms: None,
            config_timeout_ms: 10_000,
            token: None,
            max_sessions: 64,
            shutdown_ms: 20_000,
            max_upload_bytes: 64 * 1_048_576,
            dialects: Dialect::builtin("whisper-fastapi").into_iter().collect(),
        }
    }
}

/// A setting that the protocol forbids or that this engine cannot keep.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting} {why}")]
pub struct SettingsError {
    /// The setting.
    pub setting: String,
    /// What is wrong, and what would be right.
    pub why: String,
}

impl Settings {
    /// The policy of every session, with this engine.
    pub(crate) fn policy(&self, info: &EngineInfo) -> Result<ServerPolicy, SettingsError> {
        let policy = ServerPolicy {
            limits: Limits { max_step_ms: self.max_step_ms(info)?, ..self.limits.clone() },
            capabilities: capabilities(info),
            config_timeout_ms: self.config_timeout_ms,
            token: self.token.clone(),
            ..ServerPolicy::default()
        };
        ServerSession::new(policy.clone(), "check")
            .map_err(|misuse| refuse("the limits", &format!("cannot be announced: {misuse}")))?;
        self.check()?;
        Ok(policy)
    }

    /// Limits are promises: those that the engine would break are refused.
    fn max_step_ms(&self, info: &EngineInfo) -> Result<u64, SettingsError> {
        let rivals = (self.max_sessions + MAX_TRANSCRIPTIONS).div_ceil(info.workers) as u64;
        let alone_ms = info.step_ms.saturating_mul(STEP_MARGIN);
        let crowded_ms = alone_ms.saturating_mul(rivals);
        match self.max_step_ms {
            None => Ok(crowded_ms.max(Limits::DEFAULT.max_step_ms)),
            Some(asked_ms) if asked_ms < alone_ms => {
                let took = format!("a step of the model {} took {} ms when it was loaded", info.model, info.step_ms);
                Err(refuse("max_step_ms", &format!("must be at least {alone_ms}: {took}")))
            }
            Some(asked_ms) => {
                if asked_ms < crowded_ms {
                    tracing::warn!(
                        "with {} sessions that all speak, a step may take {crowded_ms} ms",
                        self.max_sessions
                    );
                }
                Ok(asked_ms)
            }
        }
    }

    fn check(&self) -> Result<(), SettingsError> {
        if self.max_sessions == 0 {
            return Err(refuse("max_sessions", "must be at least 1"));
        }
        if self.limits.progress_interval_ms < 2 * ENGINE_TICK_MS {
            let why = format!("must be at least {}: the engine tells its progress no oftener", 2 * ENGINE_TICK_MS);
            return Err(refuse("progress_interval_ms", &why));
        }
        self.check_dialects()
    }

    fn check_dialects(&self) -> Result<(), SettingsError> {
        let mut paths = vec!["/v1/listen".to_owned(), "/v1/audio/transcriptions".to_owned(), "/healthz".to_owned()];
        for dialect in self.dialects.iter().filter(|dialect| !dialect.is_native()) {
            let refuse = |why: &str| refuse(&format!("the dialect {}", dialect.name()), why);
            if let Some((method, path)) = dialect.pre_request_path() {
                let why = format!("asks by {method} {path} for its socket first, which this server does not serve");
                return Err(refuse(&why));
            }
            let path = dialect.socket_path();
            if !path.starts_with('/') || path.contains(['{', '}', '*']) {
                return Err(refuse("has no fixed path: give one that begins with / in its [connect]"));
            }
            if paths.contains(&path) {
                return Err(refuse(&format!(
                    "has the path {path}, which is taken; give it another one in its [connect]"
                )));
            }
            paths.push(path);
            let Some(batch) = dialect.batch() else { continue };
            if batch.path().contains(['{', '}', '*']) || paths.iter().any(|path| path == batch.path()) {
                let why = format!("has the path {} in its [batch], which is taken or not fixed", batch.path());
                return Err(refuse(&why));
            }
            paths.push(batch.path().to_owned());
        }
        Ok(())
    }
}

fn refuse(setting: &str, why: &str) -> SettingsError {
    SettingsError { setting: setting.to_owned(), why: why.to_owned() }
}
