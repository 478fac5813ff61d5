/* SPDX-License-Identifier: Apache-2.0 */
/* A C program that decides on a snapshot's file.
 *   evaluator SNAPSHOT EXPERIMENT UNIT */
#include <fulcrum.h>
#include <stdio.h>

int main(int argc, char** argv) {
  static char bytes[1 << 16];
  char why[256] = "";
  fulcrum_snapshot* snapshot = NULL;
  fulcrum_context context = FULCRUM_CONTEXT_INIT;
  fulcrum_decision decision = FULCRUM_DECISION_INIT;
  FILE* file = argc == 4 ? fopen(argv[1], "rb") : NULL;
  size_t size = 0;
  if (file == NULL) return 2;
  size = fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  if (fulcrum_snapshot_load(bytes, size, &snapshot, why, sizeof why) != FULCRUM_OK) return 1;
  context.targeting_key = fulcrum_text_of(argv[3]);
  context.now_ms = 1775000000000;
  fulcrum_decide(snapshot, fulcrum_find(snapshot, fulcrum_text_of(argv[2])), &context, &decision);
  printf("variant %d, reason %s\n", (int)decision.variant,
         fulcrum_reason_name(decision.reason).data);
  fulcrum_snapshot_free(snapshot);
  return 0;
}
