// A small client of Lastword v1 in Node on `ws`. Level 0: `node client.js URL --audio FILE` exits with 0 if, and only if, the session
// was complete. Level 1: `node client.js --driver` obeys the harness; with `--raises` it throws what others tell.

import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";

import { run } from "../../../drivers/node/lastword-driver.js";
import { Session } from "./session.js";

const WAV_HEAD_BYTES = 44;
const FRAME_BYTES = 3_200;
const FRAME_MS = 100;

async function stream(url, audio, pace, token) {
  const pcm = (await readFile(audio)).subarray(WAV_HEAD_BYTES);
  const session = new Session();
  await session.start(url, token);
  const feed = async () => {
    const began = performance.now();
    for (let at = 0; at < pcm.length && session.ended() === null; at += FRAME_BYTES) {
      await session.push(pcm.subarray(at, at + FRAME_BYTES));
      const due = began + ((at / FRAME_BYTES + 1) * FRAME_MS) / pace;
      await new Promise((go) => setTimeout(go, due - performance.now()));
    }
    await session.end();
  };
  // Audio that comes when the session is over is refused; the session says how it ended.
  const feeding = feed().catch(() => {});
  for await (const event of session.events()) {
    if (event.what === "final") console.log(event.text);
    if (event.what === "error") console.error(`error: ${event.code}`);
  }
  await session.left();
  await feeding;
  console.error(session.ended());
  process.exitCode = session.ended().outcome === "complete" ? 0 : 1;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { audio: { type: "string" }, driver: { type: "boolean" }, raises: { type: "boolean" }, pace: { type: "string", default: "4" }, token: { type: "string" } },
});
if (values.driver) {
  await run(new Session({ raises: values.raises }), "client_node on ws");
} else if (positionals.length === 1 && values.audio !== undefined) {
  await stream(positionals[0], values.audio, Number(values.pace), values.token ?? null);
} else {
  console.error("a URL and --audio, or --driver");
  process.exitCode = 2;
}
