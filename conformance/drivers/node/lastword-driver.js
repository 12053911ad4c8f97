// The driver protocol of `lastword certify client --driver`, version 1, for clients in JavaScript.
//
// Owns the lines on standard input and output, and nothing of any client. A client is adapted by an object with the methods that
// `obey` calls; nothing here repairs a client: there are no timeouts, no retries and no calls that the harness did not ask for.
//
//   start(url, token)   connect and begin a session; it need not be ready when the promise is kept
//   push(pcm)           hand over audio, a Buffer: 16 kHz, mono, signed 16 bit little endian
//   flush(number)       ask for the finals so far; the number comes back in `flushed` or `flush_failed`
//   end()               the input is over
//   close()             cancel
//   events()            the client's own async iterator, each event as the object that stands in `told`
//   ended()             after it: { outcome, code }
//   left()              after the end, when the client has closed: how many timers and sockets are left

import { createInterface } from "node:readline";

const VERSION = 1;

function say(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** Obeys the harness until it says quit or goes away. `name` is the client with its version. */
export async function run(client, name, lacks = []) {
  for await (const line of createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    if (order.do === "quit") break;
    if (order.do === "hello") {
      say({ hello: { version: VERSION, client: name, lacks } });
    } else if (order.do === "report") {
      say({ told: { what: "left", count: await client.left() } });
    } else {
      const failed = await call(client, order);
      say({ returned: { number: order.number, what: order.do, ...failed } });
      if (order.do === "start" && failed.failed === undefined) tell(client);
    }
  }
  // What a client leaves behind was counted; it does not keep the process.
  process.stdout.write("", () => process.exit(0));
}

async function call(client, order) {
  try {
    switch (order.do) {
      case "start": await client.start(order.url, order.token ?? null); break;
      case "push": await client.push(Buffer.from(order.pcm_s16le_base64, "base64")); break;
      case "flush": await client.flush(order.number); break;
      case "end": await client.end(); break;
      case "close": await client.close(); break;
      default: return { failed: `there is no call ${order.do}` };
    }
    return {};
  } catch (error) {
    return { failed: String(error) };
  }
}

async function tell(client) {
  for await (const event of client.events()) say({ told: event });
  say({ told: { what: "ended", ...client.ended() } });
}
