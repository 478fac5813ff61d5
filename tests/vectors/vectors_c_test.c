/* SPDX-License-Identifier: Apache-2.0 */
/* Every golden vector through libfulcrum.so, read and compared in C11.
 *   vectors_c_test FILE.json... */
#include <inttypes.h>

#include "sdk/c/fulcrum.h"
#include "tests/vectors/tiny_json.h"

enum { kMost = 64 };

static int failures = 0;

static fulcrum_text TextOf(const Node* node) {
  fulcrum_text text;
  text.data = node->text;
  text.size = node->size;
  return text;
}

static int IsText(fulcrum_text text, const Node* node) {
  return text.size == node->size && memcmp(text.data, node->text, text.size) == 0;
}

static void Check(int condition, const Node* one, const char* what) {
  if (condition) return;
  ++failures;
  fprintf(stderr, "%s, experiment %s: another %s\n", Get(one, "name")->text,
          Get(one, "experiment")->text, what);
}

static fulcrum_attribute AttributeOf(const Node* node) {
  static const char* const kTypes[] = {"bool", "int", "float", "string", "version", "time"};
  fulcrum_attribute attribute;
  const Node* value = Get(node, "value");
  memset(&attribute, 0, sizeof attribute);
  attribute.key = TextOf(Get(node, "key"));
  while (attribute.type < 6 && strcmp(kTypes[attribute.type], Get(node, "type")->text) != 0) {
    ++attribute.type;
  }
  switch (attribute.type) {
    case FULCRUM_BOOL:
      attribute.integer = value->type == kTrue;
      break;
    case FULCRUM_INT:
    case FULCRUM_TIME_MS:
      attribute.integer = strtoll(value->text, NULL, 10);
      break;
    case FULCRUM_FLOAT:
      attribute.real = value->number;
      break;
    default:
      attribute.text = TextOf(value);
  }
  return attribute;
}

typedef struct Asked {
  fulcrum_context context;
  fulcrum_unit units[kMost];
  fulcrum_attribute attributes[kMost];
  fulcrum_prior priors[kMost];
} Asked;

static const Node* FirstOf(const Node* object, const char* key) {
  const Node* list = Find(object, key);
  return list == NULL ? NULL : list->first;
}

static void Ask(const Node* json, Asked* asked) {
  static const fulcrum_context kEmpty = FULCRUM_CONTEXT_INIT;
  const Node* at = NULL;
  fulcrum_context* context = &asked->context;
  *context = kEmpty;
  context->targeting_key = TextOf(Get(json, "targeting_key"));
  context->now_ms = strtoll(Get(json, "now_ms")->text, NULL, 10);
  context->units = asked->units;
  context->attributes = asked->attributes;
  context->priors = asked->priors;
  for (at = FirstOf(json, "units"); at != NULL; at = at->next) {
    fulcrum_unit* unit = &asked->units[context->unit_count++];
    Expect(context->unit_count <= kMost, "few units");
    unit->kind = TextOf(Get(at, "kind"));
    unit->id = TextOf(Get(at, "id"));
  }
  for (at = FirstOf(json, "attributes"); at != NULL; at = at->next) {
    Expect(context->attribute_count < kMost, "few attributes");
    asked->attributes[context->attribute_count++] = AttributeOf(at);
  }
  for (at = FirstOf(json, "priors"); at != NULL; at = at->next) {
    fulcrum_prior* prior = &asked->priors[context->prior_count++];
    Expect(context->prior_count <= kMost, "few priors");
    prior->experiment = TextOf(Get(at, "experiment"));
    prior->variant = TextOf(Get(at, "variant"));
    prior->phase = (int32_t)Get(at, "phase")->number;
    prior->reserved = 0;
  }
}

static void RunCase(const fulcrum_snapshot* snapshot, const Node* one) {
  static Asked asked;
  static char lines[1 << 16];
  fulcrum_decision decision = FULCRUM_DECISION_INIT;
  const Node* expect = Get(one, "expect");
  const int32_t experiment = fulcrum_find(snapshot, TextOf(Get(one, "experiment")));
  fulcrum_text text;
  size_t needed = 0;
  Ask(Get(one, "context"), &asked);
  Check(fulcrum_decide(snapshot, experiment, &asked.context, &decision) == FULCRUM_OK, one,
        "status");
  Check(decision.variant == (int32_t)Get(expect, "variant_index")->number, one, "variant");
  Check(IsText(fulcrum_reason_name(decision.reason), Get(expect, "reason")), one, "reason");
  Check(decision.phase == (int32_t)Get(expect, "phase")->number, one, "phase");
  Check(decision.propensity_ppm == (uint32_t)Get(expect, "propensity_ppm")->number, one,
        "propensity");
  Check(decision.detail == (int32_t)Get(expect, "detail")->number, one, "detail");
  Check(decision.block == (int64_t)Get(expect, "block")->number, one, "block");
  Check((decision.is_enrolled == 1) == (Get(expect, "is_enrolled")->type == kTrue), one,
        "enrolment");
  if (Get(expect, "variant")->type == kText) {
    Check(fulcrum_variant(snapshot, experiment, decision.variant, &text, NULL) == FULCRUM_OK &&
              IsText(text, Get(expect, "variant")),
          one, "variant key");
  } else {
    Check(decision.variant == -1, one, "variant than none");
  }
  Check(fulcrum_explain(snapshot, experiment, &asked.context, lines, sizeof lines, &needed) ==
                FULCRUM_OK &&
            needed <= sizeof lines,
        one, "status of explain");
  text.data = lines;
  text.size = needed;
  Check(IsText(text, Get(one, "explain")), one, "explanation");
}

static char* ReadAll(const char* path) {
  FILE* file = fopen(path, "rb");
  char* bytes = NULL;
  long size = 0;
  if (file == NULL) {
    perror(path);
    exit(2);
  }
  fseek(file, 0, SEEK_END);
  size = ftell(file);
  rewind(file);
  bytes = calloc(1, (size_t)size + 1);
  if (bytes == NULL || fread(bytes, 1, (size_t)size, file) != (size_t)size) exit(2);
  fclose(file);
  return bytes;
}

static fulcrum_snapshot* LoadHex(const Node* hex) {
  fulcrum_snapshot* snapshot = NULL;
  char why[256] = "";
  const size_t size = hex->size / 2;
  unsigned char* bytes = malloc(size);
  size_t i = 0;
  if (bytes == NULL) exit(2);
  for (i = 0; i < size; ++i) {
    unsigned byte = 0;
    if (sscanf(hex->text + 2 * i, "%2x", &byte) != 1) exit(2);
    bytes[i] = (unsigned char)byte;
  }
  if (fulcrum_snapshot_load(bytes, size, &snapshot, why, sizeof why) != FULCRUM_OK) {
    fprintf(stderr, "refused: %s\n", why);
    exit(1);
  }
  free(bytes);
  return snapshot;
}

int main(int argc, char** argv) {
  int total = 0;
  int i = 0;
  for (i = 1; i < argc; ++i) {
    const Node* file = NULL;
    const Node* one = NULL;
    fulcrum_snapshot* snapshot = NULL;
    int cases = 0;
    json_at = ReadAll(argv[i]);
    file = ReadNode();
    Expect(Get(file, "format")->number == 1, "format 1");
    snapshot = LoadHex(Get(file, "snapshot_hex"));
    for (one = Get(file, "cases")->first; one != NULL; one = one->next, ++cases) {
      RunCase(snapshot, one);
    }
    fulcrum_snapshot_free(snapshot);
    printf("%-13s %4d cases\n", Get(file, "behaviour")->text, cases);
    total += cases;
  }
  printf("C11: %d cases decided alike, %d differences\n", total, failures);
  return failures == 0 && total >= 500 ? 0 : 1;
}
