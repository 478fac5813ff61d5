// SPDX-License-Identifier: Apache-2.0
// @openfeature/server-sdk with @openfeature/ofrep-provider, unmodified, against the real server.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { OpenFeature } from '@openfeature/server-sdk';
import { OFREPProvider } from '@openfeature/ofrep-provider';
import { KEYS, Shop, sleep } from './shop.mjs';

let shop;
before(async () => { shop = await new Shop().start(); });
after(async () => {
  await OpenFeature.close();
  await shop.stop();
});

let domains = 0;
async function client(key, seen = []) {
  const domain = `server-${++domains}`;
  await OpenFeature.setProviderAndWait(domain, new OFREPProvider({
    baseUrl: shop.url,
    headers: key ? [['Authorization', `Bearer ${key}`]] : [],
    fetchImplementation: async (request) => {
      const response = await fetch(request);
      seen.push(response.status);
      return response;
    },
  }));
  return OpenFeature.getClient(domain);
}
const u1 = { targetingKey: 'u1' };

test('every type arrives with its variant, reason and metadata', async () => {
  const c = await client(KEYS.backend);
  const flag = await c.getBooleanDetails('a-bool', false, u1);
  assert.equal(flag.value, true);
  assert.equal(flag.variant, 'on');
  assert.equal(flag.reason, 'STATIC');
  assert.equal(flag.errorCode, undefined);
  assert.equal(flag.flagMetadata.exposure, true);
  assert.equal(flag.flagMetadata.phase, 0);
  assert.equal(flag.flagMetadata.propensity, 1);
  assert.equal(await c.getStringValue('a-string', '', u1), '一页');
  assert.equal(await c.getNumberValue('an-int', 0, u1), 10);
  assert.equal(await c.getNumberValue('a-float', 0, u1), 1);
  assert.deepEqual(await c.getObjectValue('an-object', {}, u1), { text: 'Buy now', rows: 2 });
});

test('a split is a function of the targetingKey', async () => {
  const c = await client(KEYS.backend);
  const variants = new Map();
  for (let i = 0; i < 60; ++i) {
    const details = await c.getStringDetails('a-split', '', { targetingKey: `u${i}` });
    assert.equal(details.reason, 'SPLIT');
    assert.equal(details.value, details.variant.toUpperCase());
    variants.set(details.variant, (variants.get(details.variant) ?? 0) + 1);
    const again = await c.getStringDetails('a-split', '', { targetingKey: `u${i}`, plan: 'gold' });
    assert.equal(again.variant, details.variant);
  }
  assert.ok(variants.get('a') > 10 && variants.get('b') > 10, JSON.stringify([...variants]));
});

test('an unknown flag is FLAG_NOT_FOUND, and its name may need escaping', async () => {
  const c = await client(KEYS.backend);
  for (const key of ['nothing', 'no-thing.like_this', 'nichts%20da']) {
    const details = await c.getBooleanDetails(key, true, u1);
    assert.equal(details.value, true);
    assert.equal(details.reason, 'ERROR');
    assert.equal(details.errorCode, 'FLAG_NOT_FOUND');
    assert.match(details.errorMessage, /There is no experiment/);
  }
});

test('without a targetingKey a flag that draws by it is TARGETING_KEY_MISSING', async () => {
  const c = await client(KEYS.backend);
  for (const context of [{}, { targetingKey: '' }, { plan: 'gold' }, undefined]) {
    const details = await c.getStringDetails('a-split', 'mine', context);
    assert.equal(details.value, 'mine');
    assert.equal(details.errorCode, 'TARGETING_KEY_MISSING');
  }
  // A flag of another unit asks for that one.
  assert.equal((await c.getBooleanDetails('a-device', false, u1)).errorCode, 'TARGETING_KEY_MISSING');
  assert.equal(await c.getBooleanValue('a-device', false, { device: 'd1' }), true);
});

test('asking for another type is TYPE_MISMATCH', async () => {
  const c = await client(KEYS.backend);
  const asked = [
    await c.getBooleanDetails('a-string', false, u1), await c.getStringDetails('a-bool', 'mine', u1),
    await c.getNumberDetails('a-string', 7, u1), await c.getObjectDetails('a-float', {}, u1)];
  for (const details of asked) {
    assert.equal(details.errorCode, 'TYPE_MISMATCH');
    assert.equal(details.reason, 'ERROR');
  }
  assert.equal(asked[1].value, 'mine');
  assert.equal(asked[2].value, 7);
});

test('attributes decide; one of the wrong type is INVALID_CONTEXT, never a silent control', async () => {
  const c = await client(KEYS.backend);
  assert.equal(await c.getStringValue('a-target', 'mine', { ...u1, plan: 'gold' }), 'gold');
  // "Use your default": the value is absent. This client calls that an error, and uses the default.
  assert.equal(await c.getStringValue('a-target', 'mine', { ...u1, plan: 'silver' }), 'mine');
  assert.equal(await c.getBooleanValue('a-draft', true, u1), true);
  assert.equal(await c.getStringValue('an-adult', 'mine', { ...u1, age: 40 }), 'adult');
  const wrong = await c.getStringDetails('an-adult', 'mine', { ...u1, age: 'forty' });
  assert.equal(wrong.value, 'mine');
  assert.equal(wrong.errorCode, 'INVALID_CONTEXT');
  assert.match(wrong.errorMessage, /'age', declared int/);
});

test('401 and 403 give the default and say why', async () => {
  for (const [key, status] of [[undefined, 401], ['not-a-key-at-all', 401], [KEYS.analyst, 403]]) {
    const seen = [];
    const c = await client(key, seen);
    const details = await c.getBooleanDetails('a-bool', false, u1);
    assert.equal(details.value, false);
    assert.equal(details.reason, 'ERROR');
    assert.equal(details.errorCode, 'GENERAL');
    assert.deepEqual(seen, [status]);
  }
});

test('429: the client waits as long as Retry-After says, and then goes on', async () => {
  const seen = [];
  const c = await client(KEYS.slow, seen);
  while (!seen.includes(429)) await c.getBooleanValue('a-bool', false, u1);
  const asked = seen.length;
  const details = await c.getBooleanDetails('a-bool', false, u1);
  assert.match(details.errorMessage, /paused due to TooManyRequests/);
  assert.equal(seen.length, asked);
  await sleep(1100);
  assert.equal(await c.getBooleanValue('a-bool', false, u1), true);
});
