// Answers messages of Python on standard input, each after its length: `node serve.mjs opener.mjs node_modules`.
import { readSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { answer, decode } from "./messages.mjs";

console.log = console.info = console.error; // standard output is for answers
const [opener, modules] = process.argv.slice(2);
const load = createRequire(join(modules, "perdure.js"));
const { open } = await import(pathToFileURL(opener));

function read(count) { // -> that many bytes, or null where the input ends
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count; ) {
    const got = readSync(0, bytes, at, count - at);
    if (got === 0) return null;
    at += got;
  }
  return bytes;
}

function write(bytes) {
  for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at);
}

const models = {};
for (let head; (head = read(4)); ) {
  const bytes = await answer(decode(read(new DataView(head.buffer).getUint32(0, true))), (m) => open(m, load), models);
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, bytes.length, true);
  write(length);
  write(bytes);
}
