// SPDX-License-Identifier: Apache-2.0
// @openfeature/web-sdk with @openfeature/ofrep-web-provider, unmodified, against the real server.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { OpenFeature, ProviderEvents, ProviderStatus } from '@openfeature/web-sdk';
import { OFREPWebProvider } from '@openfeature/ofrep-web-provider';
import { FLAGS, FetchEventSource, KEYS, Shop, sleep, until } from './shop.mjs';

let shop;
before(async () => { shop = await new Shop().start('--max-streams', '1'); });
after(async () => {
  await OpenFeature.close();
  await shop.stop();
});

let domains = 0;
// A client of its own, with what it was told and which statuses it got.
async function client({ key = KEYS.web, context = { targetingKey: 'u1' }, ...options } = {}) {
  const seen = [];
  const events = [];
  const domain = `web-${++domains}`;
  const provider = new OFREPWebProvider({
    baseUrl: shop.url,
    headers: key ? [['X-API-Key', key]] : [],
    cacheMode: 'disabled',
    changeDetection: 'polling',
    fetchImplementation: async (request, init) => {
      const response = await fetch(request, init);
      seen.push(response.status);
      return response;
    },
    ...options,
  });
  const c = OpenFeature.getClient(domain);
  for (const event of [ProviderEvents.ConfigurationChanged, ProviderEvents.Stale, ProviderEvents.Error]) {
    c.addHandler(event, (details) => events.push({ event, flags: details?.flagsChanged ?? [] }));
  }
  const changes = () => events.filter((e) => e.event === ProviderEvents.ConfigurationChanged);
  const failed = await OpenFeature.setProviderAndWait(domain, provider, context).then(() => null, (e) => e);
  return { c, domain, provider, seen, events, changes, failed };
}

test('every type, unknown flag, type mismatch, per-flag failures, the default of the code', async () => {
  const { c } = await client({ context: { targetingKey: 'u1', age: 'forty' } });
  assert.equal(c.getBooleanValue('a-bool', false), true);
  assert.equal(c.getStringValue('a-string', ''), '一页');
  assert.equal(c.getNumberValue('an-int', 0), 10);
  assert.equal(c.getNumberValue('a-float', 0), 1);
  assert.deepEqual(c.getObjectValue('an-object', {}), { text: 'Buy now', rows: 2 });
  const flag = c.getBooleanDetails('a-bool', false);
  assert.deepEqual([flag.variant, flag.reason, flag.flagMetadata.exposure], ['on', 'STATIC', true]);
  assert.equal(c.getStringDetails('a-split', '').reason, 'SPLIT');

  assert.equal(c.getBooleanDetails('nothing', true).errorCode, 'FLAG_NOT_FOUND');
  assert.equal(c.getBooleanDetails('a-string', true).errorCode, 'TYPE_MISMATCH');
  // Failures are each flag's own, and its neighbours above have answered.
  assert.equal(c.getBooleanDetails('a-device', false).errorCode, 'TARGETING_KEY_MISSING');
  assert.equal(c.getStringDetails('an-adult', 'mine').errorCode, 'INVALID_CONTEXT');
  // "Use your default" is no failure.
  for (const [key, reason] of [['a-target', 'DEFAULT'], ['a-draft', 'DISABLED']]) {
    const details = c.getStringDetails(key, 'mine');
    assert.deepEqual([details.value, details.reason, details.errorCode], ['mine', reason, undefined]);
  }
});

test('without a targetingKey only the flags that draw by it fail', async () => {
  for (const context of [{}, { targetingKey: '' }]) {
    const { c, failed } = await client({ context: { ...context, device: 'd1' } });
    assert.equal(failed, null);
    assert.equal(c.getStringDetails('a-split', 'mine').errorCode, 'TARGETING_KEY_MISSING');
    assert.equal(c.getBooleanValue('a-device', false), true);
  }
});

test('polling: 304 while nothing changes, then exactly the changed flag', async () => {
  const { c, domain, seen, changes } = await client({ pollInterval: 40 });
  await until(() => seen.filter((s) => s === 304).length >= 3, 'three times 304');
  assert.deepEqual(seen.slice(0, 1), [200]);
  assert.equal(changes().length, 0);
  shop.write('a-string', FLAGS['a-string'].replace('一页', 'one page'));
  await until(() => c.getStringValue('a-string', '') === 'one page', 'the edited value');
  assert.deepEqual(changes().map((e) => e.flags), [['a-string']]);
  shop.write('a-string', FLAGS['a-string']);
  await until(() => c.getStringValue('a-string', '') === '一页', 'the old value again');
  await OpenFeature.clearProviders(domain);
});

test('changed attributes under the same targetingKey are evaluated anew', async () => {
  const { c, domain, seen } = await client({ pollInterval: 40, context: { targetingKey: 'u1', plan: 'silver' } });
  assert.equal(c.getStringValue('a-target', 'mine'), 'mine');
  await until(() => seen.includes(304), '304');
  // The provider keeps its ETag here, so the tag must be of the answer and not of the definitions.
  await OpenFeature.setContext(domain, { targetingKey: 'u1', plan: 'gold' });
  assert.equal(c.getStringValue('a-target', 'mine'), 'gold');
  await OpenFeature.setContext(domain, { targetingKey: 'u1', plan: 'silver' });
  assert.equal(c.getStringValue('a-target', 'mine'), 'mine');
});

test('401 and 403 are fatal, 429 makes the client stale until it may ask again', async () => {
  for (const key of [null, 'not-a-key-at-all', KEYS.analyst]) {
    const { c, failed, seen } = await client({ key });
    assert.ok(failed, 'it starts without a valid key');
    assert.deepEqual(seen, [key === KEYS.analyst ? 403 : 401]);
    assert.equal(c.providerStatus, ProviderStatus.FATAL);
    assert.equal(c.getBooleanValue('a-bool', false), false);
  }
  const { c, seen, events } = await client({ key: KEYS.slow, pollInterval: 30 });
  await until(() => seen.includes(429), '429');
  await until(() => events.some((e) => e.event === ProviderEvents.Stale), 'stale');
  assert.equal(c.getBooleanValue('a-bool', false), true);  // What it has it keeps.
  const asked = seen.length;
  await sleep(300);  // Ten polls, which Retry-After holds back.
  assert.equal(seen.length, asked);
  await until(() => seen.slice(asked).some((s) => s === 200 || s === 304), 'an answer again');
});

test('event streams: told at once, advertised while there is room, kept by who holds one', async () => {
  globalThis.EventSource = FetchEventSource;
  try {
    const first = await client({ changeDetection: 'sse' });
    await until(() => FetchEventSource.open === 1, 'the stream');
    // The only place is taken: the second client polls.
    assert.ok(!('eventStreams' in await (await shop.bulk({ targetingKey: 'u2' })).json()));
    const second = await client({ changeDetection: 'sse', pollInterval: 40, context: { targetingKey: 'u2' } });
    await until(() => second.seen.includes(304), 'polling');
    assert.equal(FetchEventSource.open, 1);

    // Evaluating again, by itself or after a change, does not cost the first client its stream.
    await OpenFeature.setContext(first.domain, { targetingKey: 'u1', plan: 'gold' });
    assert.equal(FetchEventSource.open, 1);
    for (const value of ['11', '12']) {
      shop.write('an-int', FLAGS['an-int'].replace('10', value));
      await until(() => first.c.getNumberValue('an-int', 0) === Number(value), 'the pushed value');
      await until(() => second.c.getNumberValue('an-int', 0) === Number(value), 'the polled value');
      assert.equal(FetchEventSource.open, 1);
    }
    assert.ok(first.changes().some((e) => e.flags.includes('an-int')));

    await OpenFeature.clearProviders();
    await until(() => FetchEventSource.open === 0, 'the end of the stream');
    await until(async () => 'eventStreams' in await (await shop.bulk({ targetingKey: 'u2' })).json(), 'the place');
  } finally {
    delete globalThis.EventSource;
  }
});
