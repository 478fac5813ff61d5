/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FULCRUM_C_FULCRUM_H_
#define FULCRUM_C_FULCRUM_H_

/* Start here to decide from C, or from any language that can call C: the same evaluator as the
 * server's, on a snapshot it serves (GET /v1/snapshot).
 *
 *   fulcrum_snapshot* snapshot = NULL;
 *   char why[256];
 *   if (fulcrum_snapshot_load(bytes, size, &snapshot, why, sizeof why) != FULCRUM_OK) ...
 *   fulcrum_context context = FULCRUM_CONTEXT_INIT;
 *   context.targeting_key = fulcrum_text_of("u-81");
 *   context.now_ms = now;
 *   fulcrum_decision decision = FULCRUM_DECISION_INIT;
 *   fulcrum_decide(snapshot, fulcrum_find(snapshot, fulcrum_text_of("checkout")), &context,
 *                  &decision);
 *   fulcrum_snapshot_free(snapshot);
 *
 * Texts are pointer and length, any bytes, not terminated. Nothing is kept after a call; what a
 * call returns a view of lives as long as its snapshot. A snapshot is immutable: any number of
 * threads may use one; free it once, when none does. Nothing is thrown and nothing is printed.
 * Structs that callers fill begin with their size, so that later versions can add fields. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__wasm__)
#define FULCRUM_API
#elif defined(__GNUC__)
#define FULCRUM_API __attribute__((visibility("default")))
#else
#define FULCRUM_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define FULCRUM_ABI_VERSION 1
FULCRUM_API uint32_t fulcrum_abi_version(void);

typedef enum fulcrum_status {
  FULCRUM_OK = 0,
  FULCRUM_INVALID_ARGUMENT = 1, /* a null pointer, a wrong struct_size, an index out of range */
  FULCRUM_REFUSED = 2,          /* the snapshot's bytes; `error` says why */
  FULCRUM_OUT_OF_MEMORY = 3
} fulcrum_status;

typedef struct fulcrum_snapshot fulcrum_snapshot;

typedef struct fulcrum_text {
  const char* data; /* may be NULL where size is 0 */
  size_t size;
} fulcrum_text;

static inline fulcrum_text fulcrum_text_of(const char* terminated) {
  fulcrum_text text;
  text.data = terminated;
  text.size = strlen(terminated);
  return text;
}

typedef enum fulcrum_type {
  FULCRUM_BOOL = 0,
  FULCRUM_INT = 1,
  FULCRUM_FLOAT = 2,
  FULCRUM_STRING = 3,
  FULCRUM_VERSION = 4,
  FULCRUM_TIME_MS = 5
} fulcrum_type;

typedef struct fulcrum_attribute {
  fulcrum_text key;
  fulcrum_text text; /* string, version */
  int64_t integer;   /* bool (0 or 1), int, time */
  double real;       /* float */
  uint32_t type;     /* fulcrum_type */
  uint32_t reserved; /* 0 */
} fulcrum_attribute;

typedef struct fulcrum_unit {
  fulcrum_text kind;
  fulcrum_text id;
} fulcrum_unit;

typedef struct fulcrum_prior {
  fulcrum_text experiment;
  fulcrum_text variant;
  int32_t phase; /* -1: not known */
  uint32_t reserved;
} fulcrum_prior;

typedef struct fulcrum_context {
  uint32_t struct_size; /* sizeof(fulcrum_context) */
  uint32_t reserved;    /* 0 */
  int64_t now_ms;       /* UTC */
  fulcrum_text targeting_key;
  const fulcrum_unit* units;
  size_t unit_count;
  const fulcrum_attribute* attributes;
  size_t attribute_count;
  const fulcrum_prior* priors;
  size_t prior_count;
} fulcrum_context;
#define FULCRUM_CONTEXT_INIT \
  { sizeof(fulcrum_context), 0, 0, {0, 0}, 0, 0, 0, 0, 0, 0 }

typedef struct fulcrum_decision {
  uint32_t struct_size;    /* sizeof(fulcrum_decision) */
  int32_t variant;         /* -1: none, use the default */
  int32_t reason;          /* see fulcrum_reason_name */
  int32_t phase;           /* -1: none */
  uint32_t propensity_ppm; /* probability of this variant for an enrolled unit */
  int32_t detail;          /* index of what decided, -1: none */
  int64_t block;           /* time block of a switchback, -1: none */
  uint32_t is_enrolled;    /* whether an exposure to the variant belongs in the analysis */
  uint32_t reserved;
} fulcrum_decision;
#define FULCRUM_DECISION_INIT \
  { sizeof(fulcrum_decision), -1, 0, -1, 0, -1, -1, 0, 0 }

/* Refused bytes leave *snapshot NULL and put one sentence into `error`, cut to error_size - 1 bytes
 * and terminated; `error` may be NULL. */
FULCRUM_API fulcrum_status fulcrum_snapshot_load(const void* bytes, size_t size,
                                                 fulcrum_snapshot** snapshot, char* error,
                                                 size_t error_size);
FULCRUM_API void fulcrum_snapshot_free(fulcrum_snapshot* snapshot); /* NULL is allowed */

FULCRUM_API int32_t fulcrum_experiment_count(const fulcrum_snapshot* snapshot);
/* -1 where there is no such experiment. */
FULCRUM_API int32_t fulcrum_find(const fulcrum_snapshot* snapshot, fulcrum_text key);
FULCRUM_API fulcrum_status fulcrum_experiment_key(const fulcrum_snapshot* snapshot,
                                                  int32_t experiment, fulcrum_text* key);
/* A variant's key and its value as canonical JSON. Either may be NULL. */
FULCRUM_API fulcrum_status fulcrum_variant(const fulcrum_snapshot* snapshot, int32_t experiment,
                                           int32_t variant, fulcrum_text* key, fulcrum_text* value);
FULCRUM_API fulcrum_text fulcrum_snapshot_version(const fulcrum_snapshot* snapshot);

/* An experiment of -1 is no error: the decision's reason is unknown_experiment. */
FULCRUM_API fulcrum_status fulcrum_decide(const fulcrum_snapshot* snapshot, int32_t experiment,
                                          const fulcrum_context* context,
                                          fulcrum_decision* decision);

/* The same decision in words, one rule a line: "experiment<TAB>rule<TAB>passed|not<TAB>detail".
 * Writes at most `size` bytes, not terminated, and the length of the whole into *needed. */
FULCRUM_API fulcrum_status fulcrum_explain(const fulcrum_snapshot* snapshot, int32_t experiment,
                                           const fulcrum_context* context, char* buffer,
                                           size_t size, size_t* needed);

/* "assigned", "override", "holdout", ...; "unknown" for a number that is none. */
FULCRUM_API fulcrum_text fulcrum_reason_name(int32_t reason);

#ifdef __cplusplus
}
#endif

#endif /* FULCRUM_C_FULCRUM_H_ */
