// The stand-in recogniser: hears 10 ms blocks, and decodes each segment in one step of a stated length.
// What it hears depends on the samples alone. How long it takes depends on the options alone.
"use strict";

const { setTimeout: sleep } = require("node:timers/promises");

const { RATE_HZ } = require("./messages.js");

const BLOCK = RATE_HZ / 100;
const LOUD = BLOCK * 140 ** 2;
const BLOCKS_PER_WORD = 30;
const TICK_MS = 250;
const STARTS = ["ba", "de", "fi", "go", "ku", "la", "me", "ni", "po", "ru", "sa", "te", "vi", "wo", "yu", "za"];
const ENDS = ["n", "l", "s", "r", "m"];

class Engine {
  // Samples: taken in, heard, and worked off.
  accepted = 0;
  heard = 0;
  processed = 0;
  waiting = 0;
  #queue = [];
  #wake = null;
  #rest = Buffer.alloc(0);
  #segment = null;
  #nextId = 0;
  #stopped = new AbortController();

  /** `emit` takes partials and finals; `tick` is called between the engine's steps and, at intervals, inside a long one. */
  constructor(config, costMs, emit, tick) {
    const { mode, silence_ms, max_segment_ms } = config.endpointing;
    this.silence = mode === "vad" ? (silence_ms * RATE_HZ) / 1000 : Infinity;
    this.longest = (max_segment_ms * RATE_HZ) / 1000;
    Object.assign(this, { interim: config.interim_results, costMs, emit, tick });
  }

  /** Queues a buffer of whole samples. */
  push(audio) {
    this.accepted += audio.length / 2;
    this.waiting += audio.length / 2;
    this.#put(audio);
  }

  /** Calls `then` once all audio before it has its finals. */
  mark(then) {
    this.#put(then);
  }

  stop() {
    this.#stopped.abort();
    this.#wake?.();
  }

  async run() {
    while (!this.#stopped.signal.aborted) {
      if (this.#queue.length === 0) {
        await new Promise((resolve) => (this.#wake = resolve));
        continue;
      }
      const item = this.#queue.shift();
      if (typeof item === "function") {
        if (this.#rest.length > 0) {
          await this.#hear(Buffer.concat([this.#rest], 2 * BLOCK), this.#rest.length / 2);
          this.#rest = Buffer.alloc(0);
        }
        await this.#decode();
        item();
      } else {
        this.waiting -= item.length / 2;
        const audio = Buffer.concat([this.#rest, item]);
        let at = 0;
        for (; at + 2 * BLOCK <= audio.length; at += 2 * BLOCK) await this.#hear(audio.subarray(at, at + 2 * BLOCK), BLOCK);
        this.#rest = audio.subarray(at);
      }
      this.tick();
    }
  }

  #put(item) {
    this.#queue.push(item);
    this.#wake?.();
  }

  async #hear(block, length) {
    let energy = 0;
    let turns = 0;
    let last = 0;
    for (let at = 0; at < block.length; at += 2) {
      const sample = block.readInt16LE(at);
      energy += sample * sample;
      if (sample < 0 !== last < 0) turns += 1;
      last = sample;
    }
    const start = this.heard;
    this.heard += length;
    if (energy >= LOUD) {
      this.#segment ??= { start, end: start, id: null, revision: 0, words: [], blocks: 0, energy: 0, turns: 0 };
      const segment = this.#segment;
      segment.end = this.heard;
      segment.blocks += 1;
      segment.energy += energy;
      segment.turns += turns;
      if (segment.blocks === BLOCKS_PER_WORD) {
        takeWord(segment);
        if (this.interim) {
          segment.id ??= this.#nextId++;
          segment.revision += 1;
          this.emit({ ...result("partial", segment), revision: segment.revision });
        }
      }
    }
    const segment = this.#segment;
    if (segment === null) this.processed = this.heard;
    else if (this.heard - segment.end >= this.silence || this.heard - segment.start + BLOCK > this.longest) await this.#decode();
  }

  async #decode() {
    const segment = this.#segment;
    this.#segment = null;
    if (segment !== null) {
      if (segment.blocks >= BLOCKS_PER_WORD / 5) takeWord(segment);
      if (segment.words.length > 0) {
        for (let left = this.costMs; left > 0; left -= TICK_MS) {
          await sleep(Math.min(left, TICK_MS), undefined, { signal: this.#stopped.signal });
          this.tick();
        }
        segment.id ??= this.#nextId++;
        this.emit({ ...result("final", segment), confidence: 0.5 });
      }
    }
    this.processed = this.heard;
  }
}

function takeWord(segment) {
  const loudness = Math.round(2 * Math.log2(1 + segment.energy / segment.blocks));
  const pitch = Math.floor(segment.turns / (2 * segment.blocks));
  segment.words.push(STARTS[pitch % 16] + STARTS[(loudness + pitch) % 16] + ENDS[loudness % 5]);
  Object.assign(segment, { blocks: 0, energy: 0, turns: 0 });
}

function result(type, segment) {
  const ms = (samples) => Math.floor((samples * 1000) / RATE_HZ);
  const times = { start_ms: ms(segment.start), end_ms: ms(segment.end) };
  return { type, segment_id: segment.id, text: segment.words.join(" "), ...times, channel: 0 };
}

module.exports = { Engine };
