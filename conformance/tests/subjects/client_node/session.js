// A session of Lastword v1 on `ws`, written from the prose of the specification alone: calls in, events out.

import WebSocket from "ws";

const CONNECT_MS = 10_000;
const READY_MS = 10_000;
const READY_AT_MOST_MS = 60_000;
const FRAME_BYTES = 3_200;
// More than 10 s of audio: what the server may take until it is ready.
const BUFFERED = 128;
const USUAL = {
  idle_timeout_ms: 30_000, keepalive_interval_ms: 10_000, flush_ms: 5_000, drain_ms: 15_000, close_ms: 2_000, max_frame_bytes: 64_000,
};

/** What a session throws that does not end complete. */
class SessionFailed extends Error {
  constructor({ outcome, code }) {
    super(`the session is ${outcome}`);
    this.code = code;
  }
}

export class Session {
  #limits = { ...USUAL };
  #orders = [];
  #room = [];
  #told = [];
  #listener = null;
  #socket = null;
  #timer = null;
  #inputEnded = false;
  #ready = false;
  #sentinelAt = null;
  #fatal = null;
  #sentBytes = 0;
  #finals = new Set();
  #flushes = [];
  #spokeAt = 0;
  #heardAt = 0;
  #extendedAt = 0;
  #configuredAt = 0;
  #probedAt = null;
  #probes = 0;
  #outcome = null;
  #raises;
  #opening = Promise.withResolvers?.() ?? deferred();
  #gone = Promise.withResolvers?.() ?? deferred();

  /** With `raises` an application is told by what is thrown, and not by outcomes: of what did not come about, and of any end but a complete one. */
  constructor({ raises = false } = {}) {
    this.#raises = raises;
  }

  async start(url, token) {
    const headers = token === null ? {} : { Authorization: `Bearer ${token}` };
    const socket = new WebSocket(url, ["lastword.v1"], { headers, handshakeTimeout: CONNECT_MS });
    this.#socket = socket;
    socket.on("open", () => this.#opened());
    socket.on("message", (data, isBinary) => this.#message(data, isBinary));
    socket.on("ping", () => this.#alive());
    socket.on("pong", () => this.#alive());
    socket.on("error", () => {});
    socket.on("close", () => this.#closed());
    if (!this.#raises) return;
    await this.#opening.promise;
    if (this.#outcome !== null) throw new SessionFailed(this.#outcome);
  }

  async push(pcm) {
    if (this.#inputEnded) throw new Error("the input has ended");
    while (this.#orders.length >= BUFFERED && this.#outcome === null) await new Promise((room) => this.#room.push(room));
    this.#orders.push(pcm);
    this.#work();
  }

  async flush(number) {
    if (this.#inputEnded) throw new Error("the input has ended");
    this.#orders.push(number);
    this.#work();
  }

  async end() {
    if (this.#inputEnded) return;
    this.#inputEnded = true;
    this.#orders.push("end");
    this.#work();
  }

  async close() {
    this.#inputEnded = true;
    this.#finish("cancelled", "cancelled", true);
  }

  async *events() {
    for (;;) {
      while (this.#told.length > 0) yield this.#told.shift();
      if (this.#outcome !== null) {
        if (this.#raises && this.#outcome.outcome !== "complete") throw new SessionFailed(this.#outcome);
        return;
      }
      await new Promise((wake) => { this.#listener = wake; });
    }
  }

  ended() {
    return this.#outcome;
  }

  /** After the end, when the connection is gone: what is left of the session. */
  async left() {
    await this.#gone.promise;
    return (this.#timer === null ? 0 : 1) + (this.#socket?.readyState === WebSocket.CLOSED ? 0 : 1);
  }

  #tell(event) {
    this.#told.push(event);
    this.#listener?.();
  }

  #alive() {
    this.#heardAt = performance.now();
    this.#probedAt = null;
  }

  #opened() {
    this.#opening.resolve();
    const now = performance.now();
    this.#configuredAt = this.#spokeAt = this.#heardAt = this.#extendedAt = now;
    const audio = { encoding: "pcm_s16le", sample_rate_hz: 16_000, channels: 1 };
    this.#socket.send(JSON.stringify({ type: "config", audio, interim_results: true }));
    this.#timer = setInterval(() => this.#watch(), 20);
  }

  /** Sends what is due, in order, as far as the transport takes it. */
  #work() {
    while (this.#ready && this.#outcome === null && this.#fatal === null && this.#sentinelAt === null && this.#orders.length > 0) {
      if (this.#socket.bufferedAmount > 10 * FRAME_BYTES) return;
      const order = this.#orders.shift();
      this.#room.shift()?.();
      if (order === "end") {
        this.#socket.send('{"type":"end_of_stream"}');
        this.#sentinelAt = this.#extendedAt = performance.now();
      } else if (typeof order === "number") {
        this.#socket.send(JSON.stringify({ type: "flush", id: String(order) }));
        this.#flushes.push({ number: order, at: performance.now() });
      } else {
        const size = Math.min(FRAME_BYTES, this.#limits.max_frame_bytes);
        for (let at = 0; at < order.length; at += size) this.#audio(order.subarray(at, at + size));
      }
    }
  }

  #audio(frame) {
    this.#socket.send(frame);
    this.#sentBytes += frame.length;
    this.#spokeAt = performance.now();
  }

  #message(data, isBinary) {
    if (this.#outcome !== null) return;
    this.#alive();
    let message = null;
    if (!isBinary) {
      try { message = JSON.parse(data.toString()); } catch { message = null; }
    }
    if (message === null || typeof message !== "object" || Array.isArray(message) || typeof message.type !== "string") {
      this.#tell({ what: "other" });
      return;
    }
    this.#hear(message);
    this.#work();
  }

  #hear(message) {
    const now = performance.now();
    switch (message.type) {
      case "ready":
        for (const name of Object.keys(USUAL)) {
          if (Number.isInteger(message.limits?.[name])) this.#limits[name] = message.limits[name];
        }
        this.#ready = true;
        this.#spokeAt = now;
        this.#tell({ what: "ready" });
        break;
      case "partial":
      case "final": {
        if (this.#finals.has(message.segment_id)) break;
        if (message.type === "final") {
          this.#extendedAt = now;
          this.#finals.add(message.segment_id);
        }
        const { segment_id, text, start_ms, end_ms } = message;
        this.#tell({ what: message.type, segment_id, text, start_ms, end_ms });
        break;
      }
      case "progress":
        this.#extendedAt = now;
        break;
      case "flushed": {
        this.#extendedAt = now;
        const flush = this.#flushes.shift();
        if (flush !== undefined) this.#tell({ what: "flushed", number: flush.number });
        break;
      }
      case "keepalive_ack":
        break;
      case "error": {
        const { code, fatal, retryable } = message;
        // A fatal one is thrown in the end, by those who throw.
        if (!(this.#raises && fatal === true)) this.#tell({ what: "error", code, text: message.message, fatal, retryable });
        if (fatal === true) this.#fatal = { at: now, code };
        break;
      }
      case "session_ended":
        this.#sessionEnded(message);
        break;
      default:
        this.#tell({ what: "other" });
    }
  }

  #sessionEnded(message) {
    const contradicts = message.audio_received_ms < Math.floor(this.#sentBytes / 32) || message.finals < this.#finals.size;
    if (this.#fatal !== null) this.#finish("error", this.#fatal.code, true);
    else if (message.complete !== true) this.#finish("incomplete", String(message.reason), true);
    else if (this.#sentinelAt === null || contradicts) this.#finish("incomplete", "protocol_violation", true);
    else this.#finish("complete", "completed", true);
  }

  #closed() {
    if (this.#fatal !== null) this.#finish("error", this.#fatal.code, false);
    else if (!this.#ready) this.#finish("error", "closed_before_ready", false);
    else this.#finish("incomplete", "connection_lost", false);
    this.#gone.resolve();
  }

  /** The application learns it now; the closing handshake is the session's own business, within its bound. */
  #finish(outcome, code, closes) {
    if (this.#outcome !== null) return;
    this.#outcome = { outcome, code };
    this.#opening.resolve();
    this.#inputEnded = true;
    clearInterval(this.#timer);
    this.#timer = null;
    this.#listener?.();
    for (const room of this.#room.splice(0)) room();
    if (!closes) {
      this.#socket.terminate();
      return;
    }
    this.#socket.close(1000);
    const bound = setTimeout(() => this.#socket.terminate(), this.#limits.close_ms);
    this.#socket.once("close", () => clearTimeout(bound));
  }

  /** Every timer of the session, looked at often enough. */
  #watch() {
    const now = performance.now();
    const limits = this.#limits;
    if (this.#fatal !== null) {
      if (now > this.#fatal.at + limits.close_ms) this.#finish("error", this.#fatal.code, true);
      return;
    }
    if (!this.#ready) {
      const due = Math.min(this.#extendedAt + READY_MS, this.#configuredAt + READY_AT_MOST_MS);
      if (now > due) this.#finish("error", "ready_timeout", false);
      return;
    }
    this.#work();
    if (this.#flushes.length > 0 && now > Math.max(this.#flushes[0].at, this.#extendedAt) + limits.flush_ms) {
      this.#tell({ what: "flush_failed", number: this.#flushes.shift().number });
    }
    if (this.#sentinelAt !== null) {
      if (now > this.#extendedAt + limits.drain_ms) this.#finish("incomplete", "drain_timeout", false);
      return;
    }
    if (this.#probedAt !== null && now > this.#probedAt + limits.idle_timeout_ms) {
      this.#finish("incomplete", "connection_lost", false);
    } else if (this.#probedAt === null && now > this.#heardAt + limits.idle_timeout_ms) {
      this.#probedAt = this.#spokeAt = now;
      this.#probes += 1;
      this.#socket.send(JSON.stringify({ type: "keepalive", seq: this.#probes }));
    } else if (now >= this.#spokeAt + limits.keepalive_interval_ms && this.#orders.length === 0) {
      this.#spokeAt = now;
      this.#socket.send('{"type":"keepalive"}');
    }
  }
}

function deferred() {
  const one = {};
  one.promise = new Promise((resolve) => { one.resolve = resolve; });
  return one;
}
