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
    ++cases;
  }
  snapshot.free();
  bytes[bytes.length >> 1] ^= 1;
  assert.throws(() => module.snapshot(bytes), /checksum/);
}
assert.ok(cases >= 500, `only ${cases} cases`);
console.log(`${cases} cases decided alike`);
