// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/bucket.h"
#include "core/decide.h"
#include "core/snapshot.h"

// The golden vectors as structs, and their JSON form (README.md in this directory).
namespace fulcrum::vectors {

inline constexpr int kFormat = 1;

struct OwnedValue {
  core::AttributeType type = core::AttributeType::kBool;
  int64_t integer = 0;
  double real = 0;
  std::string text;

  static OwnedValue Bool(bool v) { return {core::AttributeType::kBool, v ? 1 : 0, 0, {}}; }
  static OwnedValue Int(int64_t v) { return {core::AttributeType::kInt, v, 0, {}}; }
  static OwnedValue TimeMs(int64_t v) { return {core::AttributeType::kTimeMs, v, 0, {}}; }
  static OwnedValue Float(double v) { return {core::AttributeType::kFloat, 0, v, {}}; }
  static OwnedValue Text(core::AttributeType type, std::string v) {
    return {type, 0, 0, std::move(v)};
  }
  core::Value View() const;
};

struct OwnedContext {
  struct Unit {
    std::string kind;
    std::string id;
  };
  struct Attribute {
    std::string key;
    OwnedValue value;
  };
  struct Prior {
    std::string experiment;
    std::string variant;
    int32_t phase = -1;
  };
  std::string targeting_key;
  int64_t now_ms = 0;
  std::vector<Unit> units;
  std::vector<Attribute> attributes;
  std::vector<Prior> priors;
};

struct Case {
  std::string name;
  std::string experiment;
  OwnedContext context;
  core::Decision decision;
  std::string variant;  // key; empty: none
  std::string explain;  // as fulcrum_explain writes it
};

struct File {
  std::string behaviour;
  core::SnapshotData snapshot;
  std::vector<Case> cases;
};

// The views of a context; they live as long as this and the context do.
struct ContextViews {
  explicit ContextViews(const OwnedContext& owned);
  std::vector<core::UnitId> units;
  std::vector<core::Attribute> attributes;
  std::vector<core::Prior> priors;
  core::Context context;
};

// Explain's steps as lines: "experiment<TAB>rule<TAB>passed|not<TAB>detail".
std::string Lines(const core::Trace& trace);

// Decides every case of the file. False with *error where its snapshot is refused.
bool Fill(File* file, std::string* error);

std::string ToJson(const File& file);
// Throws what the JSON library throws: for tests.
File FromJson(const std::string& json);

}  // namespace fulcrum::vectors
