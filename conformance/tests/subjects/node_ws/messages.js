// What arrives: a strict reader of JSON (section 9.1), and the check of `config` (section 2).
"use strict";

const RATE_HZ = 16000;
const MODEL = "syllables";

class BadMessage extends Error {
  constructor(reason, param) {
    super(reason);
    this.param = param;
  }
}

class Refused extends Error {
  constructor(code, reason, param) {
    super(reason);
    this.code = code;
    this.param = param;
  }
}

// A number that was written with a fraction or an exponent. JSON.parse would hide that.
class Fraction {}

const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const SPACE = /[ \t\n\r]*/y;
const MAX_DEPTH = 16;

/** The value of a JSON text: no name twice, depth, range of integers and surrogates checked. Throws BadMessage. */
function readJson(text) {
  let at = 0;
  const match = (pattern) => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found !== null) at = pattern.lastIndex;
    return found;
  };
  const fail = (why) => {
    throw new BadMessage(`the text is no I-JSON within the limits of section 9.1: ${why}`);
  };
  const take = (character) => {
    match(SPACE);
    if (text[at] !== character) return false;
    at += 1;
    return true;
  };
  const string = () => {
    match(SPACE);
    const found = match(STRING);
    if (found === null) fail("a string is expected");
    const value = JSON.parse(found[0]);
    if (!value.isWellFormed()) fail("a surrogate stands alone");
    return value;
  };
  const number = () => {
    const found = match(NUMBER);
    if (found === null) fail("a value is expected");
    if (!Number.isFinite(Number(found[0]))) fail("a number is out of range");
    if (found[1] !== undefined || found[2] !== undefined) return new Fraction();
    if (!Number.isSafeInteger(Number(found[0]))) fail("an integer is out of range");
    return Number(found[0]);
  };
  const value = (depth) => {
    match(SPACE);
    if ((text[at] === "{" || text[at] === "[") && depth === MAX_DEPTH) fail("nesting is too deep");
    if (take("{")) {
      const object = new Map();
      if (take("}")) return object;
      do {
        const name = string();
        if (object.has(name)) fail("a name stands twice");
        if (!take(":")) fail("a colon is expected");
        object.set(name, value(depth + 1));
      } while (take(","));
      if (!take("}")) fail("an object does not end");
      return object;
    }
    if (take("[")) {
      const array = [];
      if (take("]")) return array;
      do array.push(value(depth + 1));
      while (take(","));
      if (!take("]")) fail("an array does not end");
      return array;
    }
    if (text[at] === '"') return string();
    for (const [word, meaning] of [["true", true], ["false", false], ["null", null]]) {
      if (text.startsWith(word, at)) {
        at += word.length;
        return meaning;
      }
    }
    return number();
  };
  const whole = value(0);
  match(SPACE);
  if (at !== text.length) fail("something follows the value");
  return whole;
}

/** A control message as a Map with a string `type`. Throws BadMessage. */
function readMessage(text) {
  const message = readJson(text);
  if (!(message instanceof Map)) throw new BadMessage("the message is no JSON object");
  if (typeof message.get("type") !== "string") throw new BadMessage("type is missing or no string", "type");
  return message;
}

const isString = (value) => typeof value === "string";
const isWhole = (least, most) => (value) => Number.isSafeInteger(value) && value >= least && value <= most;
const isOneOf = (...values) => (value) => values.includes(value);
const isBoolean = (value) => typeof value === "boolean";
const isTag = (value) => isString(value) && /^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*$/.test(value);
const isListOf = (fits) => (value) => Array.isArray(value) && value.every(fits);
const isObject = (value) => value instanceof Map;

// Every option that version 1 knows: what it may be, and its default.
const OPTIONS = {
  audio: [isObject, new Map()],
  "audio.encoding": [isOneOf("pcm_s16le", "pcm_f32le", "mulaw", "alaw", "opus"), "pcm_s16le"],
  "audio.sample_rate_hz": [isWhole(1, Number.MAX_SAFE_INTEGER), RATE_HZ],
  "audio.channels": [isWhole(1, Number.MAX_SAFE_INTEGER), 1],
  endpointing: [isObject, new Map()],
  "endpointing.mode": [isOneOf("vad", "none"), "vad"],
  "endpointing.silence_ms": [isWhole(1, 60000), 500],
  "endpointing.max_segment_ms": [isWhole(1000, 600000), 30000],
  interim_results: [isBoolean, true],
  model: [isString, MODEL],
  task: [isOneOf("transcribe", "translate"), "transcribe"],
  token: [isString, null],
  required: [isListOf(isString), []],
  language: [isTag, null],
  languages: [isListOf(isTag), []],
  keyterms: [isListOf(isString), []],
  words: [isBoolean, false],
  vad_events: [isBoolean, false],
};
const MISPLACED = ["sample_rate", "sample_rate_hz", "encoding", "channels"];

/** What is in force for a `config`, and what of it is ignored. Throws Refused. */
function checkConfig(message) {
  for (const name of MISPLACED) {
    if ((message.get(name) ?? null) !== null) throw new Refused("invalid_config", `${name} belongs into audio`, name);
  }
  const found = {};
  for (const [path, [fits, standard]] of Object.entries(OPTIONS)) {
    const [holder, name] = path.includes(".") ? path.split(".") : [null, path];
    const given = (holder === null ? message : found[holder]).get(name) ?? null;
    if (given !== null && !fits(given)) {
      throw new Refused("invalid_config", `${path} has a wrong type or an impossible value`, path);
    }
    found[path] = given ?? standard;
  }
  const served = { "audio.encoding": "pcm_s16le", "audio.sample_rate_hz": RATE_HZ, "audio.channels": 1 };
  for (const [path, only] of Object.entries(served)) {
    if (found[path] !== only) throw new Refused("unsupported_audio", `${path}: only ${only} is served`, path);
  }
  if (found.model !== MODEL) throw new Refused("unknown_model", "there is no such model here", "model");
  const ignored = ["words", "vad_events"].filter((path) => found[path]);
  ignored.push(...["languages", "keyterms"].filter((path) => found[path].length > 0));
  if (found.language !== null) ignored.push("language");
  if (found.task !== "transcribe") ignored.push("task");
  for (const path of found.required) {
    if (!Object.hasOwn(OPTIONS, path) || ignored.includes(path)) {
      throw new Refused("unsupported_option", "a required option is not served", path);
    }
  }
  for (const [prefix, holder] of [["", message], ["audio.", found.audio], ["endpointing.", found.endpointing]]) {
    for (const [name, value] of holder) {
      const path = prefix + name;
      if (path !== "type" && value !== null && !name.startsWith("x_") && !Object.hasOwn(OPTIONS, path)) ignored.push(path);
    }
  }
  const config = {
    audio: { encoding: "pcm_s16le", sample_rate_hz: RATE_HZ, channels: 1 },
    interim_results: found.interim_results,
    words: false,
    vad_events: false,
    endpointing: {
      mode: found["endpointing.mode"],
      silence_ms: found["endpointing.silence_ms"],
      max_segment_ms: found["endpointing.max_segment_ms"],
    },
    model: MODEL,
    task: "transcribe",
  };
  return { config, ignored };
}

module.exports = { BadMessage, RATE_HZ, Refused, checkConfig, isWhole, readMessage };
