// Reads an AsyncAPI document with the reference parser and exits 1 on any error.
// Usage: node validate_asyncapi.mjs FOLDER_WITH_NODE_MODULES DOCUMENT

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const [packages, path] = process.argv.slice(2);
if (!packages || !path) {
  console.error("usage: node validate_asyncapi.mjs FOLDER_WITH_NODE_MODULES DOCUMENT");
  process.exit(2);
}

const require = createRequire(join(resolve(packages), "package.json"));
const { Parser } = require("@asyncapi/parser");
// The parser reports in the numbers of the language server protocol.
const ERROR = 0;

const { document, diagnostics } = await new Parser().parse(readFileSync(path, "utf8"), { source: resolve(path) });
const errors = diagnostics.filter((diagnostic) => diagnostic.severity === ERROR);
for (const { severity, message, path: where, range } of diagnostics) {
  const kind = severity === ERROR ? "error" : "note";
  console.log(`${kind}: line ${range.start.line + 1}, ${where.join(".")}: ${message}`);
}
if (!document || errors.length > 0) {
  console.error(`${path}: ${errors.length} error(s)`);
  process.exit(1);
}
// A document that parses and says nothing is no document.
const operations = document.operations().all().length;
const messages = document.messages().all().length;
if (operations === 0 || messages === 0) {
  console.error(`${path}: ${operations} operation(s), ${messages} message(s); neither may be none`);
  process.exit(1);
}
console.log(`${path}: AsyncAPI ${document.version()}, ${operations} operations, ${messages} messages, no error`);
