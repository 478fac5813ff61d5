// SPDX-License-Identifier: Apache-2.0
//
// Texts to dense integer codes, and back into the dictionary tables. Memory is bounded: a text is
// remembered by 96 bits of hash (one wrong match among 10^9 texts has a chance of 10^-11), and when
// not all texts fit, the ones that are missing are looked up in the tables, a group at a time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "store/duckdb_api.h"
#include "store/generations.h"
#include "store/staged_table.h"

namespace fulcrum::store {

// A dictionary: the units of a kind (its code, >= 0), or one of these.
using Space = int32_t;
inline constexpr Space kUnitKinds = -1;
inline constexpr Space kNames = -2;
inline constexpr Space kExperiments = -3;
inline constexpr Space kVariants = -4;
inline constexpr Space kStrings = -5;

// Not thread-safe: the loader's.
class CodeBook {
 public:
  explicit CodeBook(int64_t max_entries);

  // Forgets everything and reads back what is durable.
  absl::Status Load(duckdb::Connection* connection);

  // The code of `text`, a new one when it never came before. -1: the text is not valid UTF-8.
  int32_t Code(Space space, std::string_view text);

  // While !complete(), every unit and string of a group must be wanted, and Resolve() called,
  // before Code().
  bool complete() const { return known_.complete(); }
  void Want(Space space, std::string_view text);
  absl::Status Resolve(duckdb::Connection* connection);

  // Appends the new codes to the dictionary tables, inside the caller's transaction.
  absl::Status Write(duckdb::Connection* connection) const;
  void Committed();

 private:
  struct Entry {
    uint64_t high = 0;
    uint32_t low = 0;
    int32_t code = 0;
    bool operator==(const Entry& other) const { return high == other.high && low == other.low; }
  };
  struct EntryHash {
    size_t operator()(const Entry& entry) const { return entry.high; }
  };
  using Table = absl::flat_hash_set<Entry, EntryHash>;

  static Entry KeyOf(Space space, std::string_view text);
  const Entry* Find(Space space, const Entry& key);
  void Put(Space space, const Entry& entry);
  int32_t& NextCode(Space space);
  absl::Status LoadTable(duckdb::Connection* connection, Space space, const std::string& sql);
  absl::Status ResolveTable(duckdb::Connection* connection, const std::string& sql);

  const int64_t max_entries_;
  Generations<Table> known_;         // Units and strings.
  Table resident_;                   // All else.
  std::vector<int32_t> next_unit_;   // Per unit kind.
  std::vector<int32_t> next_fixed_;  // Per other space, by -1 - space.
  std::vector<StagedTable> fresh_;   // Per other space; units last.
  struct Wanted {
    Space space;
    std::string text;
  };
  std::vector<Wanted> wanted_;
  absl::flat_hash_set<Entry, EntryHash> wanted_keys_;
};

}  // namespace fulcrum::store
