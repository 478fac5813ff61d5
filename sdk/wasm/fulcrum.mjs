// SPDX-License-Identifier: Apache-2.0
// The WebAssembly module for JavaScript: the evaluator of the server and of libfulcrum.so. Start at
// `load`, then `Module.snapshot(bytes)`, then `Snapshot.decide(experiment, context)`.
//
// A context is {targetingKey, nowMs, units: [{kind, id}], attributes: [{key, type, value}],
// priors: [{experiment, variant, phase}]}; whole numbers may be numbers or BigInts. The layouts
// below are those of sdk/c/fulcrum.h for wasm32, where pointers and sizes take 4 bytes.

const TYPES = { bool: 0, int: 1, float: 2, string: 3, version: 4, time: 5 };
const CONTEXT_BYTES = 48;
const DECISION_BYTES = 40;
const ATTRIBUTE_BYTES = 40;
const UNIT_BYTES = 16;
const PRIOR_BYTES = 24;
const STATUS_REFUSED = 2;
const LOOP_UNITS = 48; // up to this length a loop is faster than TextEncoder

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Compiles and starts the module from its bytes. */
export async function load(bytes) {
  const module = await WebAssembly.compile(bytes);
  const imports = WebAssembly.Module.imports(module);
  if (imports.length > 0) {
    throw new Error(`fulcrum.wasm must import nothing, it imports ${imports[0].name}`);
  }
  const instance = await WebAssembly.instantiate(module, {});
  instance.exports._initialize?.();
  return new Module(instance.exports);
}

export class Module {
  constructor(exports) {
    this.exports = exports;
    this.reasons = new Map();
    this.scratch = { at: 0, size: 0, used: 0 };
    this.reserve(4096);
  }

  get memory() {
    // When the memory grows, its old buffer is detached and the array over it becomes empty.
    if (this.bytes === undefined || this.bytes.length === 0) {
      this.view = new DataView(this.exports.memory.buffer);
      this.bytes = new Uint8Array(this.exports.memory.buffer);
    }
    return this.view;
  }

  /** One block that every call reuses, so that a decision does not allocate in the module. */
  reserve(size) {
    if (size > this.scratch.size) {
      this.exports.free(this.scratch.at);
      this.scratch.at = this.exports.malloc(size);
      this.scratch.size = size;
      if (this.scratch.at === 0) throw new Error('fulcrum.wasm is out of memory');
    }
    this.scratch.used = 0;
  }

  take(size) {
    const at = this.scratch.at + this.scratch.used;
    this.scratch.used += (size + 7) & ~7;
    return at;
  }

  /** Writes {data, size} at `at` and the text into the scratch block. */
  putText(at, text) {
    // Ids and keys are mostly ASCII and short, where a loop beats the encoder.
    const { bytes, view, scratch } = this;
    const start = scratch.at + scratch.used;
    let size = text.length <= LOOP_UNITS ? text.length : -1;
    for (let i = 0; i < size; ++i) {
      const unit = text.charCodeAt(i);
      if (unit >= 0x80) {
        size = -1;
        break;
      }
      bytes[start + i] = unit;
    }
    if (size < 0) size = encoder.encodeInto(text, bytes.subarray(start)).written;
    scratch.used += (size + 7) & ~7;
    view.setUint32(at, start, true);
    view.setUint32(at + 4, size, true);
  }

  text(at) {
    const data = this.memory.getUint32(at, true);
    return decoder.decode(this.bytes.subarray(data, data + this.memory.getUint32(at + 4, true)));
  }

  /** Throws where the bytes are refused, with the reason. */
  snapshot(bytes) {
    this.reserve(bytes.length + 512);
    const data = this.take(bytes.length);
    const out = this.take(4);
    const why = this.take(256);
    this.memory;
    this.bytes.set(bytes, data);
    const status = this.exports.fulcrum_snapshot_load(data, bytes.length, out, why, 256);
    const pointer = this.memory.getUint32(out, true);
    if (status === 0) return new Snapshot(this, pointer);
    const end = this.bytes.indexOf(0, why);
    const sentence = decoder.decode(this.bytes.subarray(why, end));
    throw new Error(status === STATUS_REFUSED ? sentence : `status ${status}`);
  }

  reasonName(reason) {
    if (!this.reasons.has(reason)) {
      this.reserve(64);
      const out = this.take(8);
      this.exports.fulcrum_reason_name(out, reason);
      this.reasons.set(reason, this.text(out));
    }
    return this.reasons.get(reason);
  }
}

/** A snapshot; call `free` when it is no longer needed. */
export class Snapshot {
  constructor(module, pointer) {
    this.module = module;
    this.pointer = pointer;
    this.experiments = new Map();
    const count = module.exports.fulcrum_experiment_count(pointer);
    for (let i = 0; i < count; ++i) {
      module.reserve(64);
      const out = module.take(8);
      module.exports.fulcrum_experiment_key(pointer, i, out);
      this.experiments.set(module.text(out), i);
    }
  }

  free() {
    this.module.exports.fulcrum_snapshot_free(this.pointer);
    this.pointer = 0;
  }

  decide(experiment, context) {
    const module = this.module;
    const at = this.putContext(context);
    const out = module.take(DECISION_BYTES);
    module.view.setUint32(out, DECISION_BYTES, true);
    const index = this.experiments.get(experiment) ?? -1;
    const status = module.exports.fulcrum_decide(this.pointer, index, at, out);
    if (status !== 0) throw new Error(`fulcrum_decide: status ${status}`);
    const view = module.memory;
    return {
      variant: view.getInt32(out + 4, true),
      reason: view.getInt32(out + 8, true),
      phase: view.getInt32(out + 12, true),
      propensityPpm: view.getUint32(out + 16, true),
      detail: view.getInt32(out + 20, true),
      block: view.getInt32(out + 28, true) * 2 ** 32 + view.getUint32(out + 24, true),
      isEnrolled: view.getUint32(out + 32, true) === 1,
    };
  }

  /** {key, value} of a variant, the value as canonical JSON. */
  variant(experiment, index) {
    const module = this.module;
    module.reserve(64);
    const key = module.take(8);
    const value = module.take(8);
    const at = this.experiments.get(experiment) ?? -1;
    const status = module.exports.fulcrum_variant(this.pointer, at, index, key, value);
    if (status !== 0) throw new Error(`fulcrum_variant: status ${status}`);
    return { key: module.text(key), value: module.text(value) };
  }

  explain(experiment, context) {
    const module = this.module;
    const size = 1 << 16;
    const at = this.putContext(context, size + 16);
    const needed = module.take(4);
    const lines = module.take(size);
    const index = this.experiments.get(experiment) ?? -1;
    const status = module.exports.fulcrum_explain(this.pointer, index, at, lines, size, needed);
    if (status !== 0) throw new Error(`fulcrum_explain: status ${status}`);
    const written = Math.min(size, module.memory.getUint32(needed, true));
    return decoder.decode(module.bytes.subarray(lines, lines + written));
  }

  /** The context in the module's memory, with room for `more` bytes after it. */
  putContext(context, more = 0) {
    const { units = [], attributes = [], priors = [], targetingKey = '' } = context;
    const module = this.module;
    module.reserve(roomFor(targetingKey, units, attributes, priors) + more);
    const at = module.take(CONTEXT_BYTES);
    const view = module.memory;
    view.setUint32(at, CONTEXT_BYTES, true);
    view.setUint32(at + 4, 0, true);
    putInt64(view, at + 8, context.nowMs);
    module.putText(at + 16, targetingKey);
    this.putArray(at + 24, units, UNIT_BYTES, putUnit);
    this.putArray(at + 32, attributes, ATTRIBUTE_BYTES, putAttribute);
    this.putArray(at + 40, priors, PRIOR_BYTES, putPrior);
    return at;
  }

  putArray(at, items, itemBytes, put) {
    const start = this.module.take(items.length * itemBytes);
    this.module.view.setUint32(at, start, true);
    this.module.view.setUint32(at + 4, items.length, true);
    for (let i = 0; i < items.length; ++i) put(this.module, start + i * itemBytes, items[i]);
  }
}

// Two halves, because BigInt allocates; a number must be whole.
function putInt64(view, at, value) {
  if (typeof value === 'bigint') {
    view.setBigInt64(at, value, true);
    return;
  }
  if (!Number.isSafeInteger(value)) {
    throw new Error(`${value} is not a whole number that a double holds exactly`);
  }
  view.setUint32(at, value >>> 0, true);
  view.setInt32(at + 4, Math.floor(value / 2 ** 32), true);
}

// UTF-8 takes at most three bytes for each UTF-16 unit.
const textRoom = (text) => 3 * text.length + 8;

function roomFor(targetingKey, units, attributes, priors) {
  let room = 256 + textRoom(targetingKey);
  for (const unit of units) room += UNIT_BYTES + textRoom(unit.kind) + textRoom(unit.id);
  for (const attribute of attributes) {
    const { key, value } = attribute;
    room += ATTRIBUTE_BYTES + textRoom(key) + (typeof value === 'string' ? textRoom(value) : 0);
  }
  for (const prior of priors) {
    room += PRIOR_BYTES + textRoom(prior.experiment) + textRoom(prior.variant);
  }
  return room;
}

function putUnit(module, at, unit) {
  module.putText(at, unit.kind);
  module.putText(at + 8, unit.id);
}

function putAttribute(module, at, attribute) {
  const type = TYPES[attribute.type];
  if (type === undefined) {
    throw new Error(`attribute ${attribute.key}: unknown type ${attribute.type}`);
  }
  const view = module.view;
  const { value } = attribute;
  const isText = type === TYPES.string || type === TYPES.version;
  module.putText(at, attribute.key);
  module.putText(at + 8, isText ? value : '');
  const isWhole = !isText && type !== TYPES.float;
  putInt64(view, at + 16, !isWhole ? 0 : typeof value === 'number' ? value : BigInt(value));
  view.setFloat64(at + 24, type === TYPES.float ? value : 0, true);
  view.setUint32(at + 32, type, true);
  view.setUint32(at + 36, 0, true);
}

function putPrior(module, at, prior) {
  module.putText(at, prior.experiment);
  module.putText(at + 8, prior.variant);
  module.view.setInt32(at + 16, prior.phase ?? -1, true);
  module.view.setUint32(at + 20, 0, true);
}
