// SPDX-License-Identifier: Apache-2.0
// What the WebAssembly module takes for a decision, beside the native library on the same golden
// vectors: the call alone with the context ready in memory; with a decision read back into an
// object, for a context prepared once and asked again; and with marshalling from a JavaScript object
// in every call.
//   node bench/wasm_bench.mjs build/bin/fulcrum.wasm build/bin/vectors_bench
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { load } from '../sdk/wasm/fulcrum.mjs';

const [modulePath, nativePath] = process.argv.slice(2);
const ROUNDS = 15;
const REPEATS = 60;
const DECISION_BYTES = 40;

const module = await load(fs.readFileSync(modulePath));
const calls = [];
for (const name of fs.readdirSync('tests/vectors').filter((file) => file.endsWith('.json'))) {
  const file = JSON.parse(fs.readFileSync(`tests/vectors/${name}`, 'utf8'));
  const snapshot = module.snapshot(Buffer.from(file.snapshot_hex, 'hex'));
  for (const one of file.cases) {
    const context = {
      targetingKey: one.context.targeting_key,
      nowMs: Number(one.context.now_ms),
      units: one.context.units,
      attributes: (one.context.attributes ?? []).map(({ key, type, value }) => ({
        key,
        type,
        value: type === 'int' || type === 'time' ? Number(value) : value,
      })),
      priors: one.context.priors,
    };
    const prepared = snapshot.prepare(context);
    const out = prepared.at - DECISION_BYTES;
    const index = snapshot.experiments.get(one.experiment) ?? -1;
    calls.push({ snapshot, experiment: one.experiment, context, prepared, out, index });
  }
}

function time(run) {
  const begin = process.hrtime.bigint();
  for (let i = 0; i < REPEATS; ++i) for (const call of calls) run(call);
  return Number(process.hrtime.bigint() - begin) / (REPEATS * calls.length);
}

const decide = module.exports.fulcrum_decide;
const ways = {
  'native, C ABI': () => Number(execFileSync(nativePath, ['1'], { encoding: 'utf8' })),
  'WebAssembly, context in memory': () =>
    time((call) => decide(call.snapshot.pointer, call.index, call.prepared.at, call.out)),
  'WebAssembly, prepared context': () =>
    time((call) => call.snapshot.decide(call.experiment, call.prepared)),
  'WebAssembly, from a JavaScript object': () =>
    time((call) => call.snapshot.decide(call.experiment, call.context)),
};
const rounds = Object.fromEntries(Object.keys(ways).map((name) => [name, []]));
for (let round = 0; round < ROUNDS; ++round) {
  for (const [name, measure] of Object.entries(ways)) rounds[name].push(measure());
}
const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];
const native = median(rounds['native, C ABI']);
for (const [name, list] of Object.entries(rounds)) {
  const ns = median(list);
  const ratio = (ns / native).toFixed(2);
  console.log(`${name.padEnd(38)} ${ns.toFixed(0).padStart(6)} ns  ${ratio} x native`);
}
