// SPDX-License-Identifier: Apache-2.0
// Every golden vector through the WebAssembly module, in Node.
//   node vectors_test.mjs fulcrum.wasm tests/vectors
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { load } from './fulcrum.mjs';

const [modulePath, directory] = process.argv.slice(2);
const module = await load(fs.readFileSync(modulePath));

function contextOf(json) {
  const attributes = (json.attributes ?? []).map(({ key, type, value }) => ({
    key,
    type,
    value: type === 'int' || type === 'time' ? BigInt(value) : value,
  }));
  return {
    targetingKey: json.targeting_key,
    nowMs: BigInt(json.now_ms),
    units: json.units,
    attributes,
    priors: json.priors,
  };
}

// Longer than the shared block, of every plane of Unicode, with more attributes than a call expects.
const hostile = {
  targetingKey: '\u{1f600}é\0'.repeat(50_000),
  nowMs: 1775000000000n,
  attributes: Array.from({ length: 3000 }, (_, i) => ({
    key: `no such key ${i} é`,
    type: i % 2 === 0 ? 'string' : 'bool',
    value: i % 2 === 0 ? 'x'.repeat(i) : i % 3 === 0,
  })),
};
const first = new Map();
function undecided(snapshot, one) {
  const key = `${snapshot.pointer} ${one.experiment}`;
  if (!first.has(key)) first.set(key, snapshot.decide(one.experiment, hostile));
  return first.get(key);
}

let cases = 0;
for (const name of fs.readdirSync(directory).filter((file) => file.endsWith('.json')).sort()) {
  const file = JSON.parse(fs.readFileSync(path.join(directory, name), 'utf8'));
  assert.equal(file.format, 1);
  const bytes = Buffer.from(file.snapshot_hex, 'hex');
  const snapshot = module.snapshot(bytes);
  for (const [i, one] of file.cases.entries()) {
    const where = `${name} case ${i} (${one.name})`;
    const context = contextOf(one.context);
    const decision = snapshot.decide(one.experiment, context);
    assert.equal(module.reasonName(decision.reason), one.expect.reason, where);
    assert.equal(decision.variant, one.expect.variant_index, where);
    assert.equal(decision.phase, one.expect.phase, where);
    assert.equal(decision.propensityPpm, one.expect.propensity_ppm, where);
    assert.equal(decision.detail, one.expect.detail, where);
    assert.equal(decision.block, one.expect.block, where);
    assert.equal(decision.isEnrolled, one.expect.is_enrolled, where);
    if (one.expect.variant !== null) {
      const { key } = snapshot.variant(one.experiment, decision.variant);
      assert.equal(key, one.expect.variant, where);
    }
    assert.equal(snapshot.explain(one.experiment, context), one.explain, where);
    const prepared = snapshot.prepare(context);
    assert.deepEqual(snapshot.decide(one.experiment, prepared), decision, where);
    // Prepared contexts lie beside the block of the others, which overwrite nothing of them.
    assert.deepEqual(snapshot.decide(one.experiment, hostile), undecided(snapshot, one), where);
    assert.deepEqual(snapshot.decide(one.experiment, prepared), decision, where);
    prepared.free();
    ++cases;
  }
  first.clear();
  snapshot.free();
  bytes[bytes.length >> 1] ^= 1;
  assert.throws(() => module.snapshot(bytes), /checksum/);
}
const one = module.snapshot(fs.readFileSync(path.join(directory, 'sample.snapshot')));
const who = { targetingKey: 'u1', nowMs: 1775000000000 };
assert.throws(() => one.decide('simple', { ...who, nowMs: 0.5 }), /whole number/);
const ofType = (type, value) => ({ ...who, attributes: [{ key: 'age', type, value }] });
assert.throws(() => one.decide('simple', ofType('integer', 1)), /unknown type integer/);
assert.equal(one.decide('no-such', who).variant, -1);
one.free();
assert.ok(cases >= 500, `only ${cases} cases`);
console.log(`${cases} cases decided alike`);
