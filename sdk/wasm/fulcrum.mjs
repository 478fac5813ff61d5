// SPDX-License-Identifier: Apache-2.0
// The WebAssembly module for JavaScript: the evaluator of the server and of libfulcrum.so. Start at
// `load`, then `Module.snapshot(bytes)`, then `Snapshot.decide(experiment, context)`. Where many
// experiments are asked for one context, `Snapshot.prepare(context)` marshals it once:
// `decide(experiment, prepared)`, and `prepared.free()` in the end.
//
// A context is {targetingKey, nowMs, units: [{kind, id}], attributes: [{key, type, value}],
// priors: [{experiment, variant, phase}]}; whole numbers may be numbers or BigInts. The layouts
// below are those of sdk/c/fulcrum.h for wasm32, where pointers and sizes take 4 bytes.
//
// Not for several threads: a call writes its context into one block that all calls share.

const TYPES = { bool: 0, int: 1, float: 2, string: 3, version: 4, time: 5 };
const CONTEXT_BYTES = 48;
const DECISION_BYTES = 40;
const ATTRIBUTE_BYTES = 40;
const UNIT_BYTES = 16;
const PRIOR_BYTES = 24;
const STATUS_REFUSED = 2;
const LOOP_UNITS = 48; // up to this length a loop is faster than TextEncoder
const KEYS_KEPT = 2048; // names of attributes, experiments, units: written to memory once
const KEY_UNITS = 64; // longer ones are not kept

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const NONE = [];

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
    this.keys = new Map();
    this.bytes = new Uint8Array(0);
    this.begin = 0; // the block that every call reuses, so that a decision does not allocate
    this.end = 0;
    this.used = 0; // where the next text goes
    this.reserve(1 << 16);
  }

  /** The memory, after whatever may have made it grow: then the old arrays over it are empty. */
  refresh() {
    if (this.bytes.length !== 0) return;
    const { buffer } = this.exports.memory;
    this.bytes = new Uint8Array(buffer);
    this.words = new Uint32Array(buffer);
    this.reals = new Float64Array(buffer);
    this.longs = new BigInt64Array(buffer);
  }

  allocate(size) {
    const at = this.exports.malloc(size);
    if (at === 0) throw new Error('fulcrum.wasm is out of memory');
    this.refresh();
    return at;
  }

  /** Makes the shared block at least this long, and empty. */
  reserve(size) {
    if (size > this.end - this.begin) {
      this.exports.free(this.begin);
      this.begin = this.allocate(size);
      this.end = this.begin + size;
    }
    this.refresh();
    this.used = this.begin;
  }

  take(size) {
    const at = this.used;
    this.used += (size + 7) & ~7;
    return at;
  }

  /** Writes {data, size} at word `at` and the text behind what is used. False: there is no room. */
  putText(at, text) {
    const start = this.used;
    const { length } = text;
    if (start + 3 * length > this.end) return false;
    const { bytes, words } = this;
    let size = length;
    if (length <= LOOP_UNITS) {
      // Ids and keys are mostly ASCII and short, where a loop beats the encoder.
      for (let i = 0; i < length; ++i) {
        const unit = text.charCodeAt(i);
        if (unit >= 0x80) {
          size = -1;
          break;
        }
        bytes[start + i] = unit;
      }
    } else {
      size = -1;
    }
    if (size < 0) size = encoder.encodeInto(text, bytes.subarray(start, this.end)).written;
    words[at] = start;
    words[at + 1] = size;
    this.used = start + size;
    return true;
  }

  /** The same for a name, which is written to memory of its own the first time. */
  putKey(at, text) {
    const kept = this.keys.get(text) ?? this.keep(text);
    if (kept === undefined) return this.putText(at, text);
    this.words[at] = kept.data;
    this.words[at + 1] = kept.size;
    return true;
  }

  keep(text) {
    if (this.keys.size >= KEYS_KEPT || text.length > KEY_UNITS) return undefined;
    const encoded = encoder.encode(text);
    const kept = { data: this.allocate(encoded.length + 1), size: encoded.length };
    this.bytes.set(encoded, kept.data);
    this.keys.set(text, kept);
    return kept;
  }

  text(at) {
    this.refresh();
    const data = this.words[at >> 2];
    return decoder.decode(this.bytes.subarray(data, data + this.words[(at >> 2) + 1]));
  }

  /** Throws where the bytes are refused, with the reason. */
  snapshot(bytes) {
    const data = this.allocate(bytes.length + 1);
    this.reserve(512);
    const out = this.take(4);
    const why = this.take(256);
    this.bytes.set(bytes, data);
    const status = this.exports.fulcrum_snapshot_load(data, bytes.length, out, why, 256);
    this.exports.free(data); // the snapshot keeps its own copy
    this.refresh();
    if (status === 0) return new Snapshot(this, this.words[out >> 2]);
    const sentence = decoder.decode(this.bytes.subarray(why, this.bytes.indexOf(0, why)));
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

  /** Writes the context, a decision's place before it. Gives where the context is. */
  putContext(context) {
    for (let size = this.end - this.begin; ; size *= 2) {
      this.reserve(size);
      const at = this.tryContext(context);
      if (at !== 0) return at;
    }
  }

  /** 0 where there is no room. */
  tryContext(context) {
    const { units = NONE, attributes = NONE, priors = NONE, targetingKey = '' } = context;
    const out = this.begin;
    const at = out + DECISION_BYTES;
    const unitsAt = at + CONTEXT_BYTES;
    const attributesAt = unitsAt + units.length * UNIT_BYTES;
    const priorsAt = attributesAt + attributes.length * ATTRIBUTE_BYTES;
    this.used = priorsAt + priors.length * PRIOR_BYTES;
    if (this.used > this.end) return 0;
    const { words } = this;
    words[out >> 2] = DECISION_BYTES;
    const w = at >> 2;
    words[w] = CONTEXT_BYTES;
    words[w + 1] = 0;
    putInt64(this, at + 8, context.nowMs);
    if (!this.putText(w + 4, targetingKey)) return 0;
    words[w + 6] = unitsAt;
    words[w + 7] = units.length;
    words[w + 8] = attributesAt;
    words[w + 9] = attributes.length;
    words[w + 10] = priorsAt;
    words[w + 11] = priors.length;
    for (let i = 0; i < units.length; ++i) {
      if (!putUnit(this, (unitsAt + i * UNIT_BYTES) >> 2, units[i])) return 0;
    }
    for (let i = 0; i < attributes.length; ++i) {
      if (!putAttribute(this, attributesAt + i * ATTRIBUTE_BYTES, attributes[i])) return 0;
    }
    for (let i = 0; i < priors.length; ++i) {
      if (!putPrior(this, (priorsAt + i * PRIOR_BYTES) >> 2, priors[i])) return 0;
    }
    // A name that was kept for the first time may have made the memory grow under this.
    return this.words === words ? at : 0;
  }
}

/** A context in the module's memory. */
class Prepared {
  constructor(module, at) {
    this.module = module;
    this.at = at;
  }

  free() {
    this.module.exports.free(this.at - DECISION_BYTES);
    this.at = 0;
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

  /** Marshals a context once, for many decisions. */
  prepare(context) {
    const module = this.module;
    const { begin, end } = module;
    try {
      module.begin = 0; // a block of its own, which becomes the prepared one
      module.end = 0;
      module.reserve(4096);
      return new Prepared(module, module.putContext(context));
    } finally {
      module.begin = begin;
      module.end = end;
    }
  }

  /** `context` is an object, or what `prepare` gave. */
  decide(experiment, context) {
    const module = this.module;
    module.refresh();
    const at = context instanceof Prepared ? context.at : module.putContext(context);
    const out = at - DECISION_BYTES;
    const index = this.experiments.get(experiment) ?? -1;
    const status = module.exports.fulcrum_decide(this.pointer, index, at, out);
    if (status !== 0) throw new Error(`fulcrum_decide: status ${status}`);
    module.refresh();
    const { words } = module;
    const w = out >> 2;
    return {
      variant: words[w + 1] | 0,
      reason: words[w + 2] | 0,
      phase: words[w + 3] | 0,
      propensityPpm: words[w + 4],
      detail: words[w + 5] | 0,
      block: (words[w + 7] | 0) * 2 ** 32 + words[w + 6],
      isEnrolled: words[w + 8] === 1,
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
    const at = module.putContext(context);
    const needed = module.allocate(4);
    const lines = module.allocate(size);
    const index = this.experiments.get(experiment) ?? -1;
    const status = module.exports.fulcrum_explain(this.pointer, index, at, lines, size, needed);
    module.refresh();
    const written = Math.min(size, module.words[needed >> 2]);
    const text = decoder.decode(module.bytes.subarray(lines, lines + written));
    module.exports.free(needed);
    module.exports.free(lines);
    if (status !== 0) throw new Error(`fulcrum_explain: status ${status}`);
    return text;
  }
}

function putInt64(module, at, value) {
  const { words } = module;
  const w = at >> 2;
  if (typeof value === 'bigint') {
    module.longs[at >> 3] = value;
  } else if ((value | 0) === value) {
    words[w] = value;
    words[w + 1] = value >> 31;
  } else {
    if (!Number.isSafeInteger(value)) {
      throw new Error(`${value} is not a whole number that a double holds exactly`);
    }
    words[w] = value >>> 0;
    words[w + 1] = Math.floor(value / 2 ** 32);
  }
}

function putUnit(module, w, unit) {
  return module.putKey(w, unit.kind) && module.putText(w + 2, unit.id);
}

function putAttribute(module, at, attribute) {
  const { key, type, value } = attribute;
  const { words } = module;
  const w = at >> 2;
  const code = TYPES[type];
  if (code === undefined) throw new Error(`attribute ${key}: unknown type ${type}`);
  words[w + 8] = code;
  words[w + 9] = 0;
  if (!module.putKey(w, key)) return false;
  if (code === TYPES.string || code === TYPES.version) {
    words[w + 4] = 0;
    words[w + 5] = 0;
    return module.putText(w + 2, value);
  }
  words[w + 2] = 0;
  words[w + 3] = 0;
  if (code === TYPES.float) {
    module.reals[(at + 24) >> 3] = value;
  } else {
    // Bools and BigInts, and texts of whole numbers.
    const whole = typeof value === 'number' ? value : value === true ? 1 : BigInt(value);
    putInt64(module, at + 16, whole);
  }
  return true;
}

function putPrior(module, w, prior) {
  module.words[w + 4] = prior.phase ?? -1;
  module.words[w + 5] = 0;
  return module.putKey(w, prior.experiment) && module.putKey(w + 2, prior.variant);
}
