// A streaming speech-to-text server of protocol version 1 (subprotocol `lastword.v1`) on Node and `ws`.
"use strict";

const { createHash, randomUUID, timingSafeEqual } = require("node:crypto");
const { setTimeout: sleep } = require("node:timers/promises");
const { parseArgs } = require("node:util");

const { WebSocketServer } = require("ws");

const { Engine } = require("./engine.js");
const { BadMessage, RATE_HZ, Refused, checkConfig, isWhole, readMessage } = require("./messages.js");

const PROTOCOL = "lastword.v1";
const CONFIG_TIMEOUT_MS = 3000;
const CUT_AFTER_MS = 30000;
const MAX_WAITING_OUTPUT_BYTES = 65536;
const LIMITS = {
  idle_timeout_ms: 3000,
  keepalive_interval_ms: 1000,
  ready_ms: 10000,
  flush_ms: 5000,
  drain_ms: 15000,
  close_ms: 2000,
  progress_interval_ms: 2000,
  max_step_ms: 30000,
  max_frame_bytes: 64000,
  max_text_bytes: 65536,
  max_session_ms: 3600000,
  max_buffered_audio_ms: 30000,
};
const PROGRESS_EVERY_MS = LIMITS.progress_interval_ms / 4;
const BUFFER_SAMPLES = (LIMITS.max_buffered_audio_ms * RATE_HZ) / 1000;
// Fatal errors: close code, and whether trying again may help.
const FATAL = {
  config_timeout: [4408, true],
  invalid_config: [4400, false],
  unsupported_option: [4422, false],
  unsupported_audio: [4422, false],
  unknown_model: [4404, false],
  unauthenticated: [4401, false],
  bad_message: [4400, false],
  message_too_large: [1009, false],
  idle_timeout: [4408, true],
  max_duration: [4410, true],
  going_away: [1001, true],
  internal: [1011, true],
};

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    token: { type: "string" },
    "ready-ms": { type: "string", default: "0" },
    "cost-ms": { type: "string", default: "700" },
  },
});
const port = Number(positionals[0]);
const readyMs = Number(options["ready-ms"]);
const costMs = Number(options["cost-ms"]);
if (positionals.length !== 1 || ![port, readyMs, costMs].every(isWhole(0, 10000000))) {
  console.error("usage: node server.js PORT [--token TOKEN] [--ready-ms N] [--cost-ms N]");
  process.exit(2);
}
// One segment is one step of this engine.
LIMITS.max_step_ms = Math.max(LIMITS.max_step_ms, 2 * costMs);

const sessions = new Set();

class Session {
  // "await config", "configuring", "streaming", "draining", "failing" (a fatal error waits for its finals), "ended"
  #state = "await config";
  #early = [];
  #engine = null;
  #badMessages = 0;
  #rejected = 0;
  #rejectedBeforeEnd = 0;
  #finals = 0;
  #progressSeq = 0;
  #openFlushes = 0;
  #told = new Set();
  #head = "";
  #lastSent = performance.now();
  #blockedSince = null;

  constructor(socket, byHeader) {
    this.socket = socket;
    this.byHeader = byHeader;
    this.timer = setTimeout(() => this.#fail("config_timeout", "no config came in time"), CONFIG_TIMEOUT_MS);
    this.life = null;
    socket.on("message", (data, isBinary) => this.#receive(data, isBinary));
    socket.on("error", () => {}); // A protocol error: the library closes, and `close` follows.
    socket.on("close", () => this.#gone());
    sessions.add(this);
  }

  #gone() {
    this.#state = "ended";
    clearTimeout(this.timer);
    clearTimeout(this.life);
    this.#engine?.stop();
    sessions.delete(this);
  }

  #receive(data, isBinary) {
    if (this.socket.readyState !== 1 || this.#state === "failing" || this.#state === "ended") return;
    if (this.#state === "configuring") {
      this.#early.push([data, isBinary]);
      return;
    }
    try {
      if (isBinary) this.#onAudio(data);
      else this.#onText(data);
    } catch (error) {
      if (error instanceof BadMessage) {
        this.#badMessages += 1;
        if (this.#badMessages === 10) this.#fail("bad_message", `the tenth bad message: ${error.message}`, error.param);
        else this.#refuse("bad_message", error.message, { param: error.param });
      } else if (error instanceof Refused) {
        this.#fail(error.code, error.message, error.param);
      } else {
        console.error(error);
        this.#fail("internal", "the server failed");
      }
    }
  }

  // -- what arrives

  #onAudio(audio) {
    if (audio.length === 0) return;
    if (this.#state === "draining") {
      this.#refuseFrame("audio_after_end", "audio after end_of_stream was discarded");
    } else if (audio.length > LIMITS.max_frame_bytes) {
      this.#rejected += 1;
      throw new Refused("message_too_large", "the binary message is longer than max_frame_bytes");
    } else if (this.#state === "await config") {
      this.#refuseFrame("invalid_state", "audio before config was discarded");
    } else if (audio.length % 2 !== 0) {
      this.#refuseFrame("invalid_audio", "the frame is not whole samples and was discarded");
    } else {
      this.#warnOfContainer(audio);
      this.#engine.push(audio);
      if (this.#engine.waiting >= BUFFER_SAMPLES) this.socket.pause();
      this.#touch();
    }
  }

  #warnOfContainer(audio) {
    if (this.#head.length >= 4) return;
    this.#head += audio.toString("latin1", 0, 4 - this.#head.length);
    if (this.#head === "RIFF" || this.#head === "OggS") {
      const message = "the audio begins like a container file; raw samples are expected";
      this.#send({ type: "warning", code: "container_in_raw_audio", message });
    }
  }

  #onText(data) {
    if (data.length > LIMITS.max_text_bytes) {
      throw new Refused("message_too_large", "the text message is longer than max_text_bytes");
    }
    const message = readMessage(data.toString("utf8"));
    const type = message.get("type");
    const id = message.get("id");
    const seq = message.get("seq") ?? null;
    if (type === "flush" || type === "update") {
      const length = typeof id === "string" ? Buffer.byteLength(id) : 0;
      if (length < 1 || length > 128) throw new BadMessage("id must be a string of 1 to 128 bytes", "id");
    } else if (type === "keepalive" && seq !== null && !isWhole(0, Number.MAX_SAFE_INTEGER)(seq)) {
      throw new BadMessage("seq must be an integer from 0 on", "seq");
    }
    this.#touch();
    const answers = type === "flush" || type === "update" ? { id } : {};
    if (!["config", "keepalive", "flush", "update", "end_of_stream"].includes(type)) {
      this.#refuse("unknown_type", "the server does not know messages of this type");
    } else if (this.#state === "await config") {
      if (type === "config") this.#configure(message);
      else this.#refuse("invalid_state", `${type} came before config`, answers);
    } else if (type === "keepalive") {
      if (this.#state === "streaming" && seq !== null) this.#send({ type: "keepalive_ack", seq });
    } else if (type === "end_of_stream") {
      if (this.#state === "draining") return this.#refuse("duplicate_end_of_stream", "end_of_stream came before");
      this.#state = "draining";
      this.#rejectedBeforeEnd = this.#rejected;
      this.#touch();
      this.#engine.mark(() => {
        this.#sendSessionEnded("completed", this.#rejectedBeforeEnd === 0);
        this.#end(1000);
      });
    } else if (type === "config" || this.#state === "draining") {
      this.#refuse("invalid_state", `${type} may not come here`, answers);
    } else if (type === "flush") {
      this.#openFlushes += 1;
      this.#touch();
      this.#engine.mark(() => {
        this.#openFlushes -= 1;
        this.#send({ type: "flushed", id });
        this.#touch();
      });
    } else {
      this.#refuse("unsupported_option", "update is not served", answers);
    }
  }

  #configure(message) {
    if (options.token !== undefined) {
      const given = message.get("token") ?? null;
      if (given === null ? !this.byHeader : !(typeof given === "string" && isSame(given, options.token))) {
        throw new Refused("unauthenticated", "the credentials are missing or wrong");
      }
    }
    const { config, ignored } = checkConfig(message);
    clearTimeout(this.timer);
    this.#state = "configuring";
    this.#load(config, ignored);
  }

  // Loading takes its time; what arrives meanwhile is handled after `ready`.
  async #load(config, ignored) {
    const ready = performance.now() + readyMs;
    for (let left = readyMs; left > 0; left = ready - performance.now()) {
      await sleep(Math.min(left, 250));
      this.#tick();
    }
    if (this.#state !== "configuring") return;
    this.#engine = new Engine(config, costMs, (result) => this.#result(result), () => this.#tick());
    this.#engine.run().catch((error) => {
      if (error.name === "AbortError" || this.#state === "ended") return;
      console.error(error);
      this.#closeFailed("internal", "the recogniser failed");
    });
    this.#state = "streaming";
    this.#send({
      type: "ready",
      session_id: randomUUID(),
      protocol: PROTOCOL,
      config,
      limits: LIMITS,
      capabilities: { encodings: ["pcm_s16le"], sample_rates_hz: [RATE_HZ], max_channels: 1, update: false },
      ignored,
    });
    this.life = setTimeout(() => {
      if (this.#state === "streaming") this.#fail("max_duration", "the session reached max_session_ms");
    }, LIMITS.max_session_ms);
    this.#touch();
    for (const [data, isBinary] of this.#early.splice(0)) this.#receive(data, isBinary);
  }

  // Something counts as activity, or what made the idle timer stand still is over.
  #touch() {
    if (this.#state === "await config") return;
    clearTimeout(this.timer);
    if (this.#state === "streaming" && this.#openFlushes === 0 && !this.socket.isPaused) {
      const idle = () => this.#fail("idle_timeout", "nothing came for idle_timeout_ms");
      this.timer = setTimeout(idle, LIMITS.idle_timeout_ms);
    }
  }

  // -- what the engine tells

  #result(result) {
    if (result.type === "final") this.#finals += 1;
    this.#send(result);
  }

  // A step of the engine: there may be room in its buffer, and progress is told where something is owed.
  #tick() {
    if (this.#state === "ended") return;
    const isOwing = this.#state !== "streaming" || this.#openFlushes > 0 || this.socket.isPaused;
    if (isOwing && performance.now() - this.#lastSent >= PROGRESS_EVERY_MS) {
      this.#progressSeq += 1;
      const audio_processed_ms = milliseconds(this.#engine?.processed ?? 0);
      this.#send({ type: "progress", seq: this.#progressSeq, audio_processed_ms });
    }
    if (this.socket.isPaused && this.#engine.waiting < BUFFER_SAMPLES) {
      this.socket.resume();
      this.#touch();
    }
  }

  // -- what is sent

  // Ends the session by a fatal error, after the finals of the audio that was accepted.
  #fail(code, reason, param) {
    if (this.#engine === null) {
      this.#closeFailed(code, reason, param);
    } else if (this.#state === "streaming" || this.#state === "draining") {
      this.#state = "failing";
      clearTimeout(this.timer);
      this.socket.resume();
      this.#engine.mark(() => this.#closeFailed(code, reason, param));
    }
  }

  #closeFailed(code, reason, param) {
    const [closeCode, retryable] = FATAL[code];
    this.#sendError({ code, message: reason, fatal: true, retryable, param });
    if (this.#engine !== null) this.#sendSessionEnded(code, false);
    this.#end(closeCode);
  }

  #end(closeCode) {
    this.#state = "ended";
    clearTimeout(this.timer);
    this.socket.resume();
    this.socket.close(closeCode);
  }

  #sendSessionEnded(reason, complete) {
    this.#send({
      type: "session_ended",
      reason,
      complete,
      audio_received_ms: milliseconds(this.#engine.accepted),
      audio_processed_ms: milliseconds(this.#engine.processed),
      rejected_frames: this.#rejected,
      finals: this.#finals,
    });
  }

  #refuseFrame(code, reason) {
    this.#rejected += 1;
    if (this.#told.has(code)) return;
    this.#told.add(code);
    this.#refuse(code, reason);
  }

  #refuse(code, message, members = {}) {
    this.#sendError({ code, message, fatal: false, retryable: false, ...members });
  }

  #sendError(members) {
    this.#send({ type: "error", ...members });
  }

  // The library queues what the socket does not take. A client that takes nothing for long is cut (BP-S4).
  #send(message) {
    if (this.socket.readyState !== 1) return;
    const now = performance.now();
    this.#lastSent = now;
    this.#blockedSince = this.socket.bufferedAmount > MAX_WAITING_OUTPUT_BYTES ? (this.#blockedSince ?? now) : null;
    if (this.#blockedSince !== null && now - this.#blockedSince > CUT_AFTER_MS) this.socket.terminate();
    else this.socket.send(JSON.stringify(message));
  }

  shutDown() {
    if (this.#state !== "draining") this.#fail("going_away", "the server shuts down");
  }
}

const milliseconds = (samples) => Math.floor((samples * 1000) / RATE_HZ);

function isSame(given, secret) {
  const digest = (text) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(given), digest(secret));
}

/** Refuses an upgrade with a status, or lets it pass. */
function verifyClient({ req }, decide) {
  const offered = req.headers["sec-websocket-protocol"];
  const shown = req.headers.authorization;
  if (offered !== undefined && !offered.split(",").some((token) => token.trim() === PROTOCOL)) {
    return decide(false, 400, `only the subprotocol ${PROTOCOL} is served`);
  }
  if (options.token !== undefined && shown !== undefined) {
    const [, token] = /^bearer +(.*)$/i.exec(shown) ?? [];
    if (token === undefined || !isSame(token.trim(), options.token)) return decide(false, 401, "the credentials are wrong");
  }
  return decide(true);
}

const server = new WebSocketServer({
  host: "127.0.0.1",
  port,
  verifyClient,
  handleProtocols: () => PROTOCOL, // Asked only if some were offered; then ours is among them.
  maxPayload: 1 << 20, // Above the limits of the protocol, so that the session answers an oversize message.
  perMessageDeflate: false,
});
server.on("connection", (socket, request) => new Session(socket, request.headers.authorization !== undefined));
server.on("listening", () => console.log(`listening on ws://127.0.0.1:${server.address().port}`));

for (const name of ["SIGINT", "SIGTERM"]) {
  process.on(name, () => {
    server.close(() => process.exit(0));
    for (const session of sessions) session.shutDown();
    setTimeout(() => process.exit(0), 6000).unref();
  });
}
