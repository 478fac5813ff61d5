// SPDX-License-Identifier: Apache-2.0
// A project with a flag of every type, and the real `fulcrum serve` over it.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PROGRAM = process.env.FULCRUM_PROGRAM;
if (!PROGRAM) throw new Error('set FULCRUM_PROGRAM to the built program, build/bin/fulcrum');

const PROJECT = `
project: test
timezone: UTC
currency: EUR
units:
  user: {}
  device: {links_to: user}
attributes:
  plan: {type: string}
  age: {type: int}
events: {pay: [pay]}
metrics:
  pay_rate: {kind: proportion, event: pay, window: 7d}
`;

// One variant has all the weight unless a flag is about drawing.
const controlOf = (variants) => variants.find(([, weight]) => weight > 0)[0];
const flag = (key, variants, more = '') => `
experiment: ${key}
salt: ${key}-1
unit: ${more.includes('#device') ? 'device' : 'user'}
${more}
variants:
${variants.map(([name, weight, value]) =>
    `  ${name}: {weight: ${weight}, value: ${value}${name === controlOf(variants) ? ', control: true' : ''}}`).join('\n')}
primary: [pay_rate]
`;

export const FLAGS = {
  'a-bool': flag('a-bool', [['off', 0, 'false'], ['on', 1, 'true']]),
  'a-string': flag('a-string', [['old', 0, 'three pages'], ['new', 1, '一页']]),
  'an-int': flag('an-int', [['few', 0, '3'], ['many', 1, '10']]),
  'a-float': flag('a-float', [['full', 1, '1.0'], ['less', 0, '0.9']]),
  'an-object': flag('an-object', [['plain', 0, '{text: Buy}'], ['rich', 1, '{text: "Buy now", rows: 2}']]),
  'a-split': flag('a-split', [['a', 50, 'A'], ['b', 50, 'B']]),
  'a-target': flag('a-target', [['none', 0, 'plain'], ['some', 1, 'gold']], 'audience: {plan: gold}'),
  'an-adult': flag('an-adult', [['minor', 0, 'minor'], ['adult', 1, 'adult']], 'audience: {age: {gte: 18}}'),
  'a-device': flag('a-device', [['off', 0, 'false'], ['on', 1, 'true']], '#device'),
  'a-draft': flag('a-draft', [['off', 1, 'false'], ['on', 1, 'true']], 'status: draft'),
};

export const KEYS = {
  web: 'public-key-of-the-web',
  backend: 'secret-key-of-the-backend',
  analyst: 'secret-key-of-the-analyst',
  slow: 'public-key-that-is-slow',
};

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Until `holds` gives something truthy; the test fails after ten seconds.
export async function until(holds, what) {
  for (let i = 0; i < 500; ++i) {
    const value = await holds();
    if (value) return value;
    await sleep(20);
  }
  throw new Error(`waited ten seconds for ${what}`);
}

export class Shop {
  constructor() {
    this.dir = mkdtempSync(join(tmpdir(), 'fulcrum-openfeature-'));
    mkdirSync(join(this.dir, 'data'));
    mkdirSync(join(this.dir, 'shop/experiments'), { recursive: true });
    writeFileSync(join(this.dir, 'shop/project.yaml'), PROJECT);
    for (const key of Object.keys(FLAGS)) this.write(key, FLAGS[key]);
    const scopes = { web: 'client', backend: 'server', analyst: 'read', slow: 'client' };
    writeFileSync(join(this.dir, 'keys.json'), JSON.stringify({
      keys: Object.entries(KEYS).map(([name, key]) => ({
        name, key, scopes: [scopes[name]], ...(name === 'slow' ? { requests_per_second: 1 } : {}),
      })),
    }));
  }

  // As editors do: beside it, then moved over it.
  write(key, text) {
    const path = join(this.dir, 'shop/experiments', `${key}.yaml`);
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
  }

  async start(...more) {
    this.process = spawn(PROGRAM, ['serve', '--project', join(this.dir, 'shop'), '--data',
      join(this.dir, 'data'), '--keys', join(this.dir, 'keys.json'), '--listen', '127.0.0.1:0',
      ...more], { stdio: ['ignore', 'ignore', 'pipe'] });
    let log = '';
    this.process.stderr.on('data', (bytes) => { log += bytes; });
    const ended = new Promise((resolve) => this.process.on('exit', resolve));
    this.stop = async () => {
      this.process.kill('SIGTERM');
      await ended;
      rmSync(this.dir, { recursive: true, force: true });
    };
    this.log = () => log;
    const match = await until(() => {
      if (this.process.exitCode !== null) throw new Error(`the server ended:\n${log}`);
      return /fulcrum serves (http:\/\/\S+)/.exec(log);
    }, 'the server');
    this.url = match[1];
    return this;
  }

  bulk(context, { key = 'web', headers = {} } = {}) {
    return fetch(`${this.url}/ofrep/v1/evaluate/flags`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'X-API-Key': KEYS[key], ...headers },
      body: JSON.stringify({ context }),
    });
  }
}

// A browser's EventSource in as many lines as these tests need of it; Node has none.
export class FetchEventSource extends EventTarget {
  static open = 0;
  constructor(url) {
    super();
    this.readyState = 0;
    this.abort = new AbortController();
    this.run(url).catch(() => {}).finally(() => {
      if (this.readyState === 1) FetchEventSource.open -= 1;
      if (this.readyState !== 2) {
        this.readyState = 2;
        this.dispatchEvent(new Event('error'));
      }
    });
  }
  async run(url) {
    const response = await fetch(url, { headers: { Accept: 'text/event-stream' }, signal: this.abort.signal });
    if (response.status !== 200) return;
    this.readyState = 1;
    FetchEventSource.open += 1;
    this.dispatchEvent(new Event('open'));
    let text = '';
    const decoder = new TextDecoder();
    for await (const bytes of response.body) {
      text += decoder.decode(bytes, { stream: true });
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const data = /^data: (.*)$/m.exec(text.slice(0, end));
        text = text.slice(end + 2);
        if (data) this.dispatchEvent(new MessageEvent('message', { data: data[1] }));
      }
    }
  }
  close() {
    if (this.readyState === 1) FetchEventSource.open -= 1;
    this.readyState = 2;
    this.abort.abort();
  }
}
