// SPDX-License-Identifier: Apache-2.0
#include "sdk/cpp/priors.h"

#include <charconv>
#include <utility>
#include <vector>

#include "core/hash.h"
#include "sdk/cpp/json_text.h"

namespace fulcrum::sdk {
namespace {

std::string KeyOf(std::string_view experiment, std::string_view unit) {
  std::string key;
  key.reserve(experiment.size() + 1 + unit.size());
  key.append(experiment).append("\n").append(unit);
  return key;
}

void AppendHex(std::string_view bytes, std::string* out) {
  static constexpr char kHex[] = "0123456789abcdef";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out->append({kHex[byte >> 4], kHex[byte & 15]});
  }
}

bool FromHex(std::string_view hex, std::string* bytes) {
  if (hex.size() % 2 != 0) return false;
  for (size_t i = 0; i < hex.size(); i += 2) {
    unsigned byte = 0;
    const auto [end, problem] = std::from_chars(hex.data() + i, hex.data() + i + 2, byte, 16);
    if (problem != std::errc() || end != hex.data() + i + 2) return false;
    bytes->push_back(static_cast<char>(byte));
  }
  return true;
}

std::string SumOf(std::string_view text) {
  char digits[17];
  const auto end = std::to_chars(digits, digits + sizeof digits, core::Xxh3(text), 16).ptr;
  return {digits, end};
}

void AppendLine(std::string_view key, const PriorTable::Given& given, std::string* out) {
  const size_t split = key.find('\n');
  std::string line(key.substr(0, split));
  line.append("\t").append(given.variant).append("\t");
  AppendInt(given.phase, &line);
  line += '\t';
  AppendHex(key.substr(split + 1), &line);
  out->append(line).append("\t").append(SumOf(line)).append("\n");
}

}  // namespace

const PriorTable::Given* PriorTable::Find(std::string_view experiment,
                                          std::string_view unit) const {
  const auto at = given_.find(KeyOf(experiment, unit));
  return at == given_.end() ? nullptr : &at->second;
}

bool PriorTable::Insert(std::string key, std::string_view variant, int32_t phase) {
  if (capacity_ == 0) return false;
  const auto [at, is_new] = given_.try_emplace(key, Given{std::string(variant), phase});
  if (!is_new) return false;
  order_.push_back(std::move(key));
  while (order_.size() > capacity_) {
    given_.erase(order_.front());
    order_.pop_front();
  }
  return true;
}

bool PriorTable::Keep(std::string_view experiment, std::string_view unit, std::string_view variant,
                      int32_t phase) {
  if (const Given* given = Find(experiment, unit)) return given->variant != variant;
  std::string key = KeyOf(experiment, unit);
  if (Insert(key, variant, phase)) AppendLine(key, {std::string(variant), phase}, &journal_);
  return false;
}

std::string PriorTable::TakeJournal() { return std::exchange(journal_, {}); }

size_t PriorTable::Read(std::string_view journal) {
  size_t refused = 0;
  while (!journal.empty()) {
    const size_t newline = journal.find('\n');
    const std::string_view line = journal.substr(0, newline);
    journal.remove_prefix(newline == std::string_view::npos ? journal.size() : newline + 1);
    std::vector<std::string_view> fields;
    size_t begin = 0;
    for (size_t tab = 0; tab != std::string_view::npos; begin = tab + 1) {
      tab = line.find('\t', begin);
      fields.push_back(line.substr(begin, tab - begin));
    }
    std::string unit;
    int32_t phase = 0;
    const bool ok =
        fields.size() == 5 &&
        SumOf(line.substr(0, line.size() - fields[4].size() - 1)) == fields[4] &&
        FromHex(fields[3], &unit) &&
        std::from_chars(fields[2].data(), fields[2].data() + fields[2].size(), phase).ec ==
            std::errc();
    if (ok) {
      Insert(KeyOf(fields[0], unit), fields[1], phase);
    } else {
      ++refused;
    }
  }
  return refused;
}

std::string PriorTable::Journal() const {
  std::string journal;
  for (const std::string& key : order_) AppendLine(key, given_.at(key), &journal);
  return journal;
}

PriorFile::PriorFile(const std::string& directory) : path_(directory + "/priors.log") {
  in_use_.Shared(path_ + ".lock");
}

void PriorFile::Load(PriorTable* table, std::string* problem) {
  std::string bytes;
  bool is_there = false;
  const bool is_alone = in_use_.TryExclusive(path_ + ".lock");
  if (!ReadWhole(path_, &bytes, &is_there, problem)) return;
  const size_t refused = table->Read(bytes);
  if (refused > 0) {
    *problem = std::to_string(refused) + " lines of '" + path_ +
               "' are damaged and were left out: those units are assigned anew.";
  }
  const std::string journal = table->Journal();
  if (is_alone && journal.size() < bytes.size()) WriteWhole(path_, journal, problem);
  in_use_.Shared(path_ + ".lock");
}

bool PriorFile::Append(std::string_view lines, std::string* error) {
  return AppendTo(path_, lines, error);
}

}  // namespace fulcrum::sdk
