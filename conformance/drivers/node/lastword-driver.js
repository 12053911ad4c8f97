// The driver protocol of `lastword certify client --driver`, version 1, for clients in JavaScript.
//
// Owns the lines on standard input and output, and nothing of any client. A client is adapted by an object with the methods that
// `run` calls; nothing here repairs a client: there are no timeouts, no retries and no calls that the harness did not ask for. What a
// client throws is passed on as its answer, whatever it is. What it throws where nobody stands to catch it (a listener that throws, an
// `error` event without a listener, a rejected promise that nobody holds) ends its application, and so the driver.
//
//   start(url, token)   connect and begin a session; it need not be ready when the promise is kept
//   push(pcm)           hand over audio, a Buffer: 16 kHz, mono, signed 16 bit little endian
//   flush(number)       ask for the finals so far; the number comes back in `flushed` or `flush_failed`
//   end()               the input is over
//   close()             cancel
//   events()            the client's own async iterator, each event as the object that stands in `told`; what it throws ends it, too:
//                       that is told as the end, and `ended` is not asked
//   ended()             after it: { outcome, code }
//   left()              after the end, when the client has closed: how many timers and sockets are left

import { createInterface } from "node:readline";

const VERSION = 1;
// The calls that a `close` does not wait for: an application cancels from wherever it likes.
const OVERTAKEN = ["push", "flush", "end"];

function say(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** Obeys the harness until it says quit or goes away. `name` is the client with its version. */
export async function run(client, name, lacks = []) {
  let underWay = null;
  let inOrder = Promise.resolve();
  const next = (what, work) => {
    inOrder = inOrder.then(async () => {
      underWay = what;
      await work();
      underWay = null;
    });
  };
  for await (const line of createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    if (order.do === "quit") break;
    if (order.do === "hello") {
      say({ hello: { version: VERSION, client: name, lacks } });
    } else if (order.do === "report") {
      if (underWay === null) next("report", () => report(client));
      else report(client);
    } else if (order.do === "close" && OVERTAKEN.includes(underWay)) {
      carryOut(client, order);
    } else {
      next(order.do, () => carryOut(client, order));
    }
  }
  // What a client leaves behind was counted; it does not keep the process.
  process.stdout.write("", () => process.exit(0));
}

async function carryOut(client, order) {
  const thrown = await call(client, order);
  say({ returned: { number: order.number, what: order.do, ...(thrown && { failed: words(thrown.error) }) } });
  if (order.do !== "start") return;
  if (thrown === null) tell(client);
  // There is nothing to iterate over: that is its end.
  else say({ told: { what: "ended", ...raised(thrown.error) } });
}

/** What the client threw, which may be anything; `null` where it threw nothing. */
async function call(client, order) {
  try {
    switch (order.do) {
      case "start": await client.start(order.url, order.token ?? null); break;
      case "push": await client.push(Buffer.from(order.pcm_s16le_base64, "base64")); break;
      case "flush": await client.flush(order.number); break;
      case "end": await client.end(); break;
      case "close": await client.close(); break;
      default: throw new Error(`there is no call ${order.do}`);
    }
    return null;
  } catch (error) {
    return { error };
  }
}

async function tell(client) {
  let ended;
  try {
    for await (const event of client.events()) say({ told: event });
    ended = client.ended();
  } catch (error) {
    ended = raised(error);
  }
  say({ told: { what: "ended", ...ended } });
}

async function report(client) {
  let left;
  try {
    left = { count: await client.left() };
  } catch (error) {
    left = { text: words(error) };
  }
  say({ told: { what: "left", ...left } });
}

/** The end of a session whose iterator threw, in the words of the error and with the members that say why. */
function raised(error) {
  const said = { outcome: "error", raised: true, text: words(error) };
  if (typeof error?.code === "string") said.code = error.code;
  if (typeof error?.retryable === "boolean") said.retryable = error.retryable;
  return said;
}

function words(error) {
  let all;
  try {
    all = String(error);
    // One that stands for several says none of them.
    if (error instanceof AggregateError) all = [all, ...error.errors.map(words)].join("; ");
  } catch {
    all = "an error that cannot be told in words";
  }
  // Half a surrogate pair is no JSON.
  return all.toWellFormed?.() ?? all;
}
