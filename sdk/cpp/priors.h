// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>

#include "sdk/cpp/files.h"

namespace fulcrum::sdk {

// What units were given in sticky experiments. The oldest goes when there is no more room. Guarded
// by the client's mutex.
//
// On disk it is a journal, `priors.log`: one line each, "experiment<TAB>variant<TAB>phase<TAB>unit
// id in hex<TAB>XXH3 of all before", appended to by every process that shares the directory. A line
// that is torn or altered is skipped.
class PriorTable {
 public:
  struct Given {
    std::string variant;
    int32_t phase = -1;
  };
  explicit PriorTable(size_t capacity) : capacity_(capacity) {}

  // nullptr where the unit was given none. Valid until the next call.
  const Given* Find(std::string_view experiment, std::string_view unit) const;
  // Keeps the first; true where the unit had another variant already.
  bool Keep(std::string_view experiment, std::string_view unit, std::string_view variant,
            int32_t phase);
  size_t size() const { return given_.size(); }

  // The lines of what was kept since the last call.
  std::string TakeJournal();
  // Adds the lines of a journal; gives the number that were refused.
  size_t Read(std::string_view journal);
  // Everything there is, as a journal.
  std::string Journal() const;

 private:
  bool Insert(std::string key, std::string_view variant, int32_t phase);

  size_t capacity_;
  std::unordered_map<std::string, Given> given_;  // experiment, newline, unit id
  std::deque<std::string> order_;                 // keys, oldest first
  std::string journal_;
};

// The journal's file. Not thread-safe: used by one background thread, and before it starts.
class PriorFile {
 public:
  explicit PriorFile(const std::string& directory);
  // Into the table; rewrites the journal where no other process uses it. A sentence in *problem
  // where something was left out.
  void Load(PriorTable* table, std::string* problem);
  bool Append(std::string_view lines, std::string* error);
  void Abandon() { in_use_.Release(); }  // in a forked child, whose parent's this is

 private:
  std::string path_;
  FileLock in_use_;
};

}  // namespace fulcrum::sdk
