// SPDX-License-Identifier: Apache-2.0
// What the clients' fetch hides: bytes and headers, as a browser on another site sees them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { KEYS, Shop } from './shop.mjs';

let shop;
before(async () => { shop = await new Shop().start(); });
after(() => shop.stop());
const u1 = { targetingKey: 'u1' };

test('floats keep their point and absent values are absent', async () => {
  const text = await (await shop.bulk(u1)).text();
  assert.match(text, /"key":"a-float","value":1\.0,"variant":"full"/);
  assert.match(text, /"key":"a-draft","reason":"DISABLED"/);
  assert.ok(!text.includes('null'));
});

test('the ETag is of the body: quoted, strong for the same answer, weak and in lists as well', async () => {
  const first = await shop.bulk(u1);
  const etag = first.headers.get('etag');
  assert.match(etag, /^"[0-9a-f]{16}"$/);
  for (const sent of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
    const again = await shop.bulk(u1, { headers: { 'If-None-Match': sent } });
    assert.equal(again.status, 304);
    assert.equal(await again.text(), '');
    assert.equal(again.headers.get('etag'), etag);
  }
  const other = await shop.bulk({ ...u1, plan: 'gold' }, { headers: { 'If-None-Match': etag } });
  assert.equal(other.status, 200);
});

test('a page of another site may call: preflight without credentials, headers on every status', async () => {
  const origin = { Origin: 'https://shop.example' };
  const preflight = await fetch(`${shop.url}/ofrep/v1/evaluate/flags`, {
    method: 'OPTIONS',
    headers: { ...origin, 'Access-Control-Request-Method': 'POST',
      'Access-Control-Request-Headers': 'content-type,if-none-match,x-api-key,authorization' },
  });
  assert.equal(preflight.status, 204);
  const allowed = preflight.headers.get('access-control-allow-headers').split(/,\s*/);
  for (const name of ['authorization', 'content-type', 'if-none-match', 'x-api-key']) {
    assert.ok(allowed.includes(name), name);
  }
  const etag = (await shop.bulk(u1)).headers.get('etag');
  const answers = [
    [200, await shop.bulk(u1, { headers: origin })],
    [304, await shop.bulk(u1, { headers: { ...origin, 'If-None-Match': etag } })],
    [401, await shop.bulk(u1, { headers: { ...origin, 'X-API-Key': 'unknown' } })],
    [403, await shop.bulk(u1, { key: 'analyst', headers: origin })],
  ];
  let slow;
  do slow = await shop.bulk(u1, { key: 'slow', headers: origin }); while (slow.status !== 429);
  answers.push([429, slow]);
  for (const [status, answer] of answers) {
    assert.equal(answer.status, status);
    assert.equal(answer.headers.get('access-control-allow-origin'), '*', `${status}`);
    assert.match(answer.headers.get('access-control-expose-headers'), /ETag, Retry-After/);
    if (status < 400) continue;
    const body = await answer.json();
    assert.equal(typeof body.errorCode, 'string');
    assert.equal(typeof body.errorDetails, 'string');
    assert.deepEqual(body.metadata, {});
  }
  assert.match(slow.headers.get('retry-after'), /^[1-9][0-9]*$/);
});

test('odd requests: empty bodies, null keys, charsets, escaped names', async () => {
  const one = (key, body, headers = {}) => fetch(`${shop.url}/ofrep/v1/evaluate/flags/${key}`, {
    method: 'POST', headers: { 'X-API-Key': KEYS.backend, 'Content-Type': 'application/json', ...headers }, body });
  for (const body of ['{}', '{"context":null}', '{"context":{"targetingKey":null}}', '{"context":{"targetingKey":""}}']) {
    const answer = await one('a-split', body);
    assert.equal(answer.status, 400);
    assert.equal((await answer.json()).errorCode, 'TARGETING_KEY_MISSING');
  }
  for (const type of ['application/json; charset=utf-8', 'application/json;charset=UTF-8']) {
    assert.equal((await one('a%2Dbool', JSON.stringify({ context: u1 }), { 'Content-Type': type })).status, 200);
  }
  const broken = await one('a-bool', '{"context":');
  assert.deepEqual([broken.status, (await broken.json()).errorCode], [400, 'PARSE_ERROR']);
  const list = await one('a-bool', '{"context":[1]}');
  assert.deepEqual([list.status, (await list.json()).errorCode], [400, 'INVALID_CONTEXT']);
  const key = await one('a-bool', '{"context":{"targetingKey":7}}');
  assert.deepEqual([key.status, (await key.json()).errorCode], [400, 'INVALID_CONTEXT']);
});
