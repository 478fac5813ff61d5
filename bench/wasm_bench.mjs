// SPDX-License-Identifier: Apache-2.0
// What the WebAssembly module takes for a decision, beside the native library on the same golden
// vectors: the call alone with the context ready in memory, and with marshalling from JavaScript.
//   node bench/wasm_bench.mjs build/bin/fulcrum.wasm build/bin/vectors_bench
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { load } from '../sdk/wasm/fulcrum.mjs';

const [modulePath, nativePath] = process.argv.slice(2);
const ROUNDS = 15;
const REPEATS = 100;
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
    // A scratch block of its own for every context, so that all stay in memory.
    module.scratch = { at: 0, size: 0, used: 0 };
    const at = snapshot.putContext(context, 64);
    const out = module.take(DECISION_BYTES);
    module.memory.setUint32(out, DECISION_BYTES, true);
    const index = snapshot.experiments.get(one.experiment) ?? -1;
    calls.push({ snapshot, experiment: one.experiment, context, at, out, index });
  }
}
module.scratch = { at: 0, size: 0, used: 0 };

function median(run) {
  const rounds = [];
  for (let round = 0; round < ROUNDS; ++round) {
    const begin = process.hrtime.bigint();
    for (let i = 0; i < REPEATS; ++i) for (const call of calls) run(call);
    rounds.push(Number(process.hrtime.bigint() - begin) / (REPEATS * calls.length));
  }
  return rounds.sort((a, b) => a - b)[ROUNDS >> 1];
}

const decide = module.exports.fulcrum_decide;
const alone = median((call) => decide(call.snapshot.pointer, call.index, call.at, call.out));
const marshalled = median((call) => call.snapshot.decide(call.experiment, call.context));
const native = Number(execFileSync(nativePath, { encoding: 'utf8' }));
function line(what, ns) {
  const ratio = (ns / native).toFixed(2);
  console.log(`${what.padEnd(34)} ${ns.toFixed(0).padStart(6)} ns  ${ratio} x native`);
}
line('native, C ABI', native);
line('WebAssembly, context in memory', alone);
line('WebAssembly, from JavaScript', marshalled);
