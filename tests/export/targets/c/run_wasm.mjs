// Rows of all inputs from standard input through a policy's WebAssembly module; rows of all outputs to standard output.
import { readFileSync, writeSync } from "node:fs";

const { instance } = await WebAssembly.instantiate(readFileSync(process.argv[2]), {});
const { memory, perdure_ports, perdure_workspace_bytes, perdure_run, __heap_base, _initialize } = instance.exports;
_initialize?.();

const text = (at) => {
  const bytes = new Uint8Array(memory.buffer, at);
  return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
};
const lines = [];
const list = new Uint32Array(memory.buffer, perdure_ports());
for (let k = 0; list[k] !== 0; k++) lines.push(text(list[k]));
const ports = lines.map((line) => {
  const [kind, dtype, shape] = line.split(" ");
  const count = shape === "-" ? 1 : shape.split("x").reduce((n, d) => n * Number(d), 1);
  return { kind, bytes: count * (dtype.endsWith("32") ? 4 : 1) };
});

const read = ports.filter((p) => p.kind !== "output");
const made = [...ports.filter((p) => p.kind === "output"), ...ports.filter((p) => p.kind === "state")];
let end = __heap_base.value;
const place = (bytes) => {
  const at = (end = Math.ceil(end / 64) * 64);
  end += bytes;
  return at;
};
const [work, given, results] = [perdure_workspace_bytes(), 4 * read.length, 4 * made.length].map(place);
const from = read.map((p) => place(p.bytes));
const to = made.map((p) => place(p.bytes));
memory.grow(Math.max(0, Math.ceil((end - memory.buffer.byteLength) / 65536)));
new Uint32Array(memory.buffer, given, from.length).set(from);
new Uint32Array(memory.buffer, results, to.length).set(to);

const bytes = new Uint8Array(memory.buffer);
const input = readFileSync(0);
for (let at = 0; at < input.length; ) {
  for (const [k, p] of read.entries()) {
    bytes.set(input.subarray(at, at + p.bytes), from[k]);
    at += p.bytes;
  }
  perdure_run(1, given, results, work);
  for (const [k, p] of made.entries()) writeSync(1, bytes.subarray(to[k], to[k] + p.bytes));
}
