/* SPDX-License-Identifier: Apache-2.0 */
/* As much JSON as the golden vectors need, in C11: a tree in one block of nodes that is never
 * freed, texts unescaped in place. Anything unexpected ends the program. */
#ifndef FULCRUM_TESTS_VECTORS_TINY_JSON_H_
#define FULCRUM_TESTS_VECTORS_TINY_JSON_H_

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum { kNull, kFalse, kTrue, kNumber, kText, kArray, kObject } NodeType;

typedef struct Node {
  NodeType type;
  const char* key; /* of a member; terminated */
  const char* text;
  size_t size;
  double number;
  struct Node* first; /* of an array or object */
  struct Node* next;
} Node;

static char* json_at;

static void Expect(int condition, const char* what) {
  if (condition) return;
  fprintf(stderr, "not the JSON of golden vectors: %s at %.40s\n", what, json_at);
  exit(2);
}

static void SkipSpace(void) { json_at += strspn(json_at, " \t\r\n"); }

static unsigned Hex4(void) {
  unsigned value = 0;
  Expect(sscanf(json_at, "%4x", &value) == 1, "\\u");
  json_at += 4;
  return value;
}

static char* PutUtf8(char* out, unsigned code) {
  if (code < 0x80) {
    *out++ = (char)code;
    return out;
  }
  if (code >= 0x10000) {
    *out++ = (char)(0xf0 | code >> 18);
    *out++ = (char)(0x80 | (code >> 12 & 0x3f));
  } else if (code >= 0x800) {
    *out++ = (char)(0xe0 | code >> 12);
  } else {
    *out++ = (char)(0xc0 | code >> 6);
    *out++ = (char)(0x80 | (code & 0x3f));
    return out;
  }
  *out++ = (char)(0x80 | (code >> 6 & 0x3f));
  *out++ = (char)(0x80 | (code & 0x3f));
  return out;
}

/* At the opening quote; gives the text, which is terminated as well, and its size. */
static const char* ReadText(size_t* size) {
  static const char kEscapes[] = "bfnrt\"\\/";
  static const char kMeanings[] = "\b\f\n\r\t\"\\/";
  char* out = NULL;
  char* begin = NULL;
  Expect(*json_at == '"', "a text");
  begin = out = ++json_at;
  while (*json_at != '"') {
    const char* escape = NULL;
    Expect(*json_at != '\0', "the end of a text");
    if (*json_at != '\\') {
      *out++ = *json_at++;
      continue;
    }
    ++json_at;
    if (*json_at == 'u') {
      unsigned code = 0;
      ++json_at;
      code = Hex4();
      if (code >= 0xd800 && code < 0xdc00) {
        json_at += 2;
        code = 0x10000 + ((code - 0xd800) << 10) + (Hex4() - 0xdc00);
      }
      out = PutUtf8(out, code);
      continue;
    }
    escape = strchr(kEscapes, *json_at++);
    Expect(escape != NULL, "an escape");
    *out++ = kMeanings[escape - kEscapes];
  }
  ++json_at;
  *size = (size_t)(out - begin);
  *out = '\0';
  return begin;
}

static Node* ReadNode(void) {
  Node* node = calloc(1, sizeof *node);
  char close = '\0';
  Expect(node != NULL, "memory");
  SkipSpace();
  if (*json_at == '{' || *json_at == '[') {
    Node** tail = &node->first;
    node->type = *json_at == '{' ? kObject : kArray;
    close = *json_at++ == '{' ? '}' : ']';
    for (SkipSpace(); *json_at != close; SkipSpace()) {
      const char* key = NULL;
      size_t size = 0;
      if (*json_at == ',') {
        ++json_at;
        SkipSpace();
      }
      if (node->type == kObject) {
        key = ReadText(&size);
        SkipSpace();
        Expect(*json_at++ == ':', "a colon");
      }
      *tail = ReadNode();
      (*tail)->key = key;
      tail = &(*tail)->next;
    }
    ++json_at;
  } else if (*json_at == '"') {
    node->type = kText;
    node->text = ReadText(&node->size);
  } else if (strncmp(json_at, "null", 4) == 0 || strncmp(json_at, "true", 4) == 0) {
    node->type = *json_at == 'n' ? kNull : kTrue;
    json_at += 4;
  } else if (strncmp(json_at, "false", 5) == 0) {
    node->type = kFalse;
    json_at += 5;
  } else {
    char* end = NULL;
    node->type = kNumber;
    node->number = strtod(json_at, &end);
    Expect(end != json_at, "a value");
    json_at = end;
  }
  return node;
}

static const Node* Find(const Node* object, const char* key) {
  const Node* at = object == NULL ? NULL : object->first;
  while (at != NULL && strcmp(at->key, key) != 0) at = at->next;
  return at;
}

static const Node* Get(const Node* object, const char* key) {
  const Node* found = Find(object, key);
  Expect(found != NULL, key);
  return found;
}

#endif /* FULCRUM_TESTS_VECTORS_TINY_JSON_H_ */
