// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "core/hash.h"
#include "sdk/cpp/batch.h"
#include "sdk/cpp/json_text.h"

// A file is "fulcrum-batch 1", its kind, items and id, a line for each arm, an empty line, the
// body; before all that, in the first line, the XXH3 of everything after it.
namespace fulcrum::sdk {
namespace {

namespace fs = std::filesystem;
constexpr char kSuffix[] = ".batch";
constexpr std::string_view kMagic = "fulcrum-batch 1 ";

std::string Hex(uint64_t value) {
  char digits[17];
  return {digits, std::to_chars(digits, digits + sizeof digits, value, 16).ptr};
}

std::string Encode(const Batch& batch) {
  std::string rest = batch.kind == ItemKind::kExposure ? "exposures\t" : "events\t";
  AppendInt(batch.items, &rest);
  rest.append("\t").append(batch.id).append("\n");
  for (const Batch::Count& count : batch.arms) {
    rest.append(count.arm->experiment).append("\t").append(count.arm->variant).append("\t");
    AppendInt(count.n, &rest);
    rest += '\n';
  }
  rest.append("\n").append(batch.body);
  return std::string(kMagic) + Hex(core::Xxh3(rest)) + "\n" + rest;
}

std::string_view TakeLine(std::string_view* text) {
  const size_t newline = std::min(text->find('\n'), text->size());
  const std::string_view line = text->substr(0, newline);
  text->remove_prefix(std::min(newline + 1, text->size()));
  return line;
}

std::vector<std::string_view> Fields(std::string_view line) {
  std::vector<std::string_view> fields;
  while (true) {
    const size_t tab = line.find('\t');
    fields.push_back(line.substr(0, tab));
    if (tab == std::string_view::npos) return fields;
    line.remove_prefix(tab + 1);
  }
}

bool ToInt(std::string_view text, int64_t* value) {
  return std::from_chars(text.data(), text.data() + text.size(), *value).ec == std::errc();
}

void RemoveIfDone(const std::string& directory) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(directory, ignored)) {
    if (entry.path().extension() == kSuffix) return;
  }
  fs::remove_all(directory, ignored);
}

bool Decode(std::string_view bytes, Batch* batch) {
  const std::string_view first = TakeLine(&bytes);
  if (first.substr(0, kMagic.size()) != kMagic ||
      first.substr(kMagic.size()) != Hex(core::Xxh3(bytes))) {
    return false;
  }
  const std::vector<std::string_view> head = Fields(TakeLine(&bytes));
  if (head.size() != 3 || !ToInt(head[1], &batch->items)) return false;
  batch->kind = head[0] == "exposures" ? ItemKind::kExposure : ItemKind::kEvent;
  batch->id = head[2];
  while (true) {
    const std::string_view line = TakeLine(&bytes);
    if (line.empty()) break;
    const std::vector<std::string_view> arm = Fields(line);
    int64_t n = 0;
    if (arm.size() != 3 || !ToInt(arm[2], &n)) return false;
    batch->named.push_back({std::string(arm[0]), std::string(arm[1]), n});
  }
  batch->body = bytes;
  batch->bytes = static_cast<int64_t>(bytes.size());
  return true;
}

}  // namespace

Spool::Spool(std::string state_directory, std::string name)
    : root_(std::move(state_directory) + "/spool"), directory_(root_ + "/" + std::move(name)) {}

Spool::~Spool() {
  if (!lock_.held()) return;
  RemoveIfDone(directory_);
}

// Made under a name that no other process takes over, locked, and then shown.
bool Spool::Open(std::string* error) {
  if (lock_.held()) return true;
  const std::string hidden = directory_ + ".new";
  if (!MakeDirectories(hidden, error)) return false;
  std::error_code problem;
  if (!lock_.TryExclusive(hidden + "/lock")) {
    *error = "Cannot lock '" + hidden + "'.";
    return false;
  }
  fs::rename(hidden, directory_, problem);
  if (!problem) return true;
  lock_.Release();
  *error = "Cannot make '" + directory_ + "': " + problem.message() + ".";
  return false;
}

bool Spool::Place(std::string* path, std::string* error) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!Open(error)) return false;
  char name[32];
  std::snprintf(name, sizeof name, "/%012lld", static_cast<long long>(++serial_));
  *path = directory_ + name + kSuffix;
  return true;
}

bool Spool::Write(Batch* batch, std::string* error) {
  std::string path;
  if (!Place(&path, error) || !WriteWhole(path, Encode(*batch), error)) return false;
  batch->path = path;
  batch->body = {};
  return true;
}

bool Spool::Read(const Batch& batch, std::string* body, std::string* error) const {
  std::string bytes;
  bool is_there = false;
  if (!ReadWhole(batch.path, &bytes, &is_there, error)) return false;
  Batch read;
  if (!is_there || !Decode(bytes, &read)) {
    *error = "The batch in '" + batch.path + "' is " + (is_there ? "damaged" : "gone") + "; its " +
             std::to_string(batch.items) + " items are lost.";
    return false;
  }
  *body = std::move(read.body);
  return true;
}

void Spool::Remove(const Batch& batch) const {
  if (!batch.path.empty()) unlink(batch.path.c_str());
}

void Spool::AdoptDirectory(const std::string& directory, std::vector<Batch>* batches,
                           std::vector<std::string>* problems) {
  std::error_code ignored;
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(directory, ignored)) {
    if (entry.path().extension() == kSuffix) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  for (const std::string& path : paths) {
    std::string bytes, error;
    bool is_there = false;
    Batch batch;
    if (!ReadWhole(path, &bytes, &is_there, &error)) {
      problems->push_back(error);  // it stays for another start
      continue;
    }
    if (!Decode(bytes, &batch)) {
      problems->push_back("The batch kept in '" + path +
                          "' is damaged and was removed; its items are lost.");
      unlink(path.c_str());
      continue;
    }
    batch.body = {};
    if (!Place(&batch.path, &error)) {
      problems->push_back(error);
      return;
    }
    if (rename(path.c_str(), batch.path.c_str()) == 0) batches->push_back(std::move(batch));
  }
}

std::vector<Batch> Spool::Adopt(std::vector<std::string>* problems) {
  std::vector<Batch> batches;
  std::vector<std::string> directories;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(root_, ignored)) {
    if (entry.is_directory(ignored) && entry.path() != directory_ &&
        entry.path().extension() != ".new") {
      directories.push_back(entry.path());
    }
  }
  std::sort(directories.begin(), directories.end());
  for (const std::string& directory : directories) {
    FileLock lock;
    if (!lock.TryExclusive(directory + "/lock")) continue;  // its process is alive
    AdoptDirectory(directory, &batches, problems);
    RemoveIfDone(directory);
  }
  return batches;
}

}  // namespace fulcrum::sdk
