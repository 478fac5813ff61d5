// SPDX-License-Identifier: Apache-2.0
// What an evaluation takes in the JavaScript libraries that decide locally: 100 flags of two
// conditions and a 50/50 draw, asked for 4,096 users with their contexts ready, as decide_bench's
// Decide/100 does (which also builds the context each time).
//   node bench/sdk/sdk_bench.mjs growthbook | flagd     one round: prints JSON
import { FlagdCore } from '@openfeature/flagd-core';
import { GrowthBookClient } from '@growthbook/growthbook';

const FLAGS = 100;
const USERS = 4096;
const SECONDS = 1;

const key = (i) => `checkout-experiment-${(i * 7919) % 1000003}`;
let state = 1n;  // splitmix64
function random() {
  state = (state + 0x9e3779b97f4a7c15n) & 0xffffffffffffffffn;
  let z = state;
  z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & 0xffffffffffffffffn;
  z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & 0xffffffffffffffffn;
  return Number((z ^ (z >> 31n)) >> 11n);
}
const users = Array.from({ length: USERS }, () => ({
  id: `user-${random()}`, country: random() % 4 ? 'DE' : 'FR', age: 18 + (random() % 60), platform: 'ios',
}));
const asked = users.map(() => key(random() % FLAGS));
const minAge = (i) => 18 + (i % 3);

const makers = {
  // The multi-user client that servers use. Gives 0, 1, or null outside of the audience.
  growthbook() {
    const features = {};
    for (let i = 0; i < FLAGS; ++i) {
      features[key(i)] = {
        defaultValue: null,
        rules: [{
          condition: { country: 'DE', age: { $gte: minAge(i) } },
          key: key(i), seed: `salt-${key(i)}`, hashAttribute: 'id', hashVersion: 2,
          variations: [0, 1], weights: [0.5, 0.5], coverage: 1,
        }],
      };
    }
    const client = new GrowthBookClient().initSync({ payload: { features } });
    const contexts = users.map((user) => ({ attributes: user }));
    return (i) => client.evalFeature(asked[i], contexts[i]).value;
  },
  flagd() {
    const flags = {};
    for (let i = 0; i < FLAGS; ++i) {
      flags[key(i)] = {
        state: 'ENABLED', variants: { control: 0, treatment: 1, none: 2 }, defaultVariant: 'none',
        targeting: {
          if: [
            { and: [{ '==': [{ var: 'country' }, 'DE'] }, { '>=': [{ var: 'age' }, minAge(i)] }] },
            { fractional: [{ cat: [`salt-${key(i)}`, { var: 'targetingKey' }] }, ['control', 50], ['treatment', 50]] },
            'none',
          ],
        },
      };
    }
    const core = new FlagdCore();
    core.setConfigurations(JSON.stringify({ flags }));
    const contexts = users.map(({ id, ...rest }) => ({ targetingKey: id, ...rest }));
    const logger = { error() {}, warn() {}, info() {}, debug() {} };
    return (i) => {
      const value = core.resolveNumberEvaluation(asked[i], 2, contexts[i], logger).value;
      return value === 2 ? null : value;
    };
  },
};

const evaluate = makers[process.argv[2]]();
const given = [0, 0, 0];  // control, treatment, none: shows that it decides what it is said to.
for (let i = 0; i < USERS; ++i) given[evaluate(i) ?? 2] += 1;
for (let warm = 0; warm < 5; ++warm) for (let i = 0; i < USERS; ++i) evaluate(i);
const begin = process.cpuUsage();
const until = process.hrtime.bigint() + BigInt(SECONDS * 1e9);
let count = 0;
while (process.hrtime.bigint() < until) {
  for (let i = 0; i < USERS; ++i) evaluate(i);
  count += USERS;
}
const used = process.cpuUsage(begin);
console.log(JSON.stringify({ ns: ((used.user + used.system) * 1000) / count, given }));
