/* SPDX-License-Identifier: Apache-2.0 */
/* The C ABI used as a C program uses it, with right and with wrong arguments. The evaluation itself
 * is held against the golden vectors in tests/vectors. */
#include "sdk/c/fulcrum.h"

#include <stdio.h>
#include <stdlib.h>

static int failures = 0;

#define CHECK(condition)                                                      \
  do {                                                                        \
    if (!(condition)) {                                                       \
      ++failures;                                                             \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
    }                                                                         \
  } while (0)

static char* ReadAll(const char* path, size_t* size) {
  FILE* file = fopen(path, "rb");
  char* bytes = NULL;
  long length = 0;
  if (file == NULL) return NULL;
  fseek(file, 0, SEEK_END);
  length = ftell(file);
  rewind(file);
  bytes = malloc((size_t)length);
  if (bytes != NULL) *size = fread(bytes, 1, (size_t)length, file);
  fclose(file);
  return bytes;
}

static int TextIs(fulcrum_text text, const char* expected) {
  return text.size == strlen(expected) && memcmp(text.data, expected, text.size) == 0;
}

static void TestRefusals(const char* bytes, size_t size) {
  fulcrum_snapshot* snapshot = NULL;
  char why[64];
  char* damaged = malloc(size);
  CHECK(damaged != NULL);
  memcpy(damaged, bytes, size);
  damaged[size / 2] ^= 1;
  CHECK(fulcrum_snapshot_load(damaged, size, &snapshot, why, sizeof why) == FULCRUM_REFUSED);
  CHECK(snapshot == NULL);
  CHECK(strstr(why, "checksum") != NULL);
  CHECK(fulcrum_snapshot_load(bytes, size - 1, &snapshot, why, 8) == FULCRUM_REFUSED);
  CHECK(strlen(why) == 7);
  CHECK(fulcrum_snapshot_load(bytes, size - 1, &snapshot, NULL, 0) == FULCRUM_REFUSED);
  CHECK(fulcrum_snapshot_load(NULL, 0, &snapshot, why, sizeof why) == FULCRUM_REFUSED);
  CHECK(fulcrum_snapshot_load(NULL, 5, &snapshot, NULL, 0) == FULCRUM_INVALID_ARGUMENT);
  CHECK(fulcrum_snapshot_load(bytes, size, NULL, NULL, 0) == FULCRUM_INVALID_ARGUMENT);
  free(damaged);
  fulcrum_snapshot_free(NULL);
}

static void TestArguments(const fulcrum_snapshot* snapshot) {
  fulcrum_context context = FULCRUM_CONTEXT_INIT;
  fulcrum_decision decision = FULCRUM_DECISION_INIT;
  fulcrum_attribute attribute;
  fulcrum_text text;
  size_t needed = 0;
  CHECK(fulcrum_decide(NULL, 0, &context, &decision) == FULCRUM_INVALID_ARGUMENT);
  CHECK(fulcrum_decide(snapshot, 0, NULL, &decision) == FULCRUM_INVALID_ARGUMENT);
  CHECK(fulcrum_decide(snapshot, 0, &context, NULL) == FULCRUM_INVALID_ARGUMENT);
  context.struct_size = 4;
  CHECK(fulcrum_decide(snapshot, 0, &context, &decision) == FULCRUM_INVALID_ARGUMENT);
  context.struct_size = sizeof context;
  decision.struct_size = 0;
  CHECK(fulcrum_decide(snapshot, 0, &context, &decision) == FULCRUM_INVALID_ARGUMENT);
  decision.struct_size = sizeof decision;
  context.attribute_count = 1;
  CHECK(fulcrum_decide(snapshot, 0, &context, &decision) == FULCRUM_INVALID_ARGUMENT);
  memset(&attribute, 0, sizeof attribute);
  attribute.type = 6;
  context.attributes = &attribute;
  CHECK(fulcrum_decide(snapshot, 0, &context, &decision) == FULCRUM_INVALID_ARGUMENT);
  attribute.type = FULCRUM_STRING;
  attribute.text.size = 3; /* of no data */
  CHECK(fulcrum_decide(snapshot, 0, &context, &decision) == FULCRUM_INVALID_ARGUMENT);
  context.attribute_count = 0;
  CHECK(fulcrum_decide(snapshot, -1, &context, &decision) == FULCRUM_OK);
  CHECK(TextIs(fulcrum_reason_name(decision.reason), "unknown_experiment"));
  CHECK(fulcrum_decide(snapshot, 1 << 30, &context, &decision) == FULCRUM_OK);
  CHECK(decision.variant == -1);
  CHECK(TextIs(fulcrum_reason_name(-1), "unknown"));
  CHECK(TextIs(fulcrum_reason_name(1000), "unknown"));
  CHECK(fulcrum_experiment_key(snapshot, -1, &text) == FULCRUM_INVALID_ARGUMENT);
  CHECK(fulcrum_variant(snapshot, 0, 99, &text, NULL) == FULCRUM_INVALID_ARGUMENT);
  CHECK(fulcrum_explain(snapshot, 0, &context, NULL, 1, &needed) == FULCRUM_INVALID_ARGUMENT);
  CHECK(fulcrum_find(NULL, fulcrum_text_of("x")) == -1);
}

static void TestDeciding(const fulcrum_snapshot* snapshot) {
  enum { kMany = 100 }; /* more than fit on the stack of a call */
  fulcrum_attribute attributes[kMany];
  fulcrum_context context = FULCRUM_CONTEXT_INIT;
  fulcrum_decision decision = FULCRUM_DECISION_INIT;
  fulcrum_text key;
  fulcrum_text value;
  char lines[4096];
  size_t needed = 0;
  size_t i = 0;
  const int32_t experiment = fulcrum_find(snapshot, fulcrum_text_of("simple"));
  CHECK(experiment >= 0);
  CHECK(experiment < fulcrum_experiment_count(snapshot));
  CHECK(fulcrum_experiment_key(snapshot, experiment, &key) == FULCRUM_OK);
  CHECK(TextIs(key, "simple"));
  CHECK(fulcrum_find(snapshot, fulcrum_text_of("no-such")) == -1);
  CHECK(TextIs(fulcrum_snapshot_version(snapshot), "sample"));

  for (i = 0; i < kMany; ++i) {
    memset(&attributes[i], 0, sizeof attributes[i]);
    attributes[i].key = fulcrum_text_of("undeclared");
    attributes[i].type = FULCRUM_INT;
  }
  context.targeting_key = fulcrum_text_of("u1");
  context.now_ms = 1775000000000;
  context.attributes = attributes;
  for (context.attribute_count = 0; context.attribute_count <= kMany;
       context.attribute_count += kMany) {
    CHECK(fulcrum_decide(snapshot, experiment, &context, &decision) == FULCRUM_OK);
    CHECK(TextIs(fulcrum_reason_name(decision.reason), "assigned"));
    CHECK(decision.is_enrolled == 1);
    CHECK(decision.propensity_ppm == 500000);
    CHECK(fulcrum_variant(snapshot, experiment, decision.variant, &key, &value) == FULCRUM_OK);
    CHECK(TextIs(key, "control") || TextIs(key, "treatment"));
    CHECK(value.size > 0);
  }
  context.attribute_count = 0;
  CHECK(fulcrum_explain(snapshot, experiment, &context, lines, sizeof lines, &needed) ==
        FULCRUM_OK);
  CHECK(needed > 0 && needed < sizeof lines);
  CHECK(lines[needed - 1] == '\n');
  CHECK(fulcrum_explain(snapshot, experiment, &context, NULL, 0, &needed) == FULCRUM_OK);
  CHECK(needed > 0);
}

int main(int argc, char** argv) {
  size_t size = 0;
  char* bytes = NULL;
  fulcrum_snapshot* snapshot = NULL;
  char why[256] = "";
  if (argc != 2) {
    fprintf(stderr, "usage: fulcrum_c_test SNAPSHOT\n");
    return 2;
  }
  bytes = ReadAll(argv[1], &size);
  CHECK(bytes != NULL);
  if (bytes == NULL) return 1;
  CHECK(fulcrum_abi_version() == FULCRUM_ABI_VERSION);
  TestRefusals(bytes, size);
  CHECK(fulcrum_snapshot_load(bytes, size, &snapshot, why, sizeof why) == FULCRUM_OK);
  if (snapshot == NULL) {
    fprintf(stderr, "%s\n", why);
    return 1;
  }
  free(bytes); /* the snapshot keeps its own copy */
  TestArguments(snapshot);
  TestDeciding(snapshot);
  fulcrum_snapshot_free(snapshot);
  return failures == 0 ? 0 : 1;
}
