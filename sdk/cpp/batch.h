// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/cpp/arms.h"
#include "sdk/cpp/files.h"

namespace fulcrum::sdk {

enum class ItemKind : uint8_t { kExposure = 0, kEvent = 1 };
inline constexpr int kItemKindCount = 2;

// What is sent in one request, and sent again as it is until it is answered.
struct Batch {
  ItemKind kind = ItemKind::kExposure;
  std::string id;
  int64_t items = 0;
  // How many of the items are of which arm; of exposures only.
  struct Count {
    Arm* arm = nullptr;
    int64_t n = 0;
  };
  std::vector<Count> arms;
  // The same by name, of a batch that another process left.
  struct Named {
    std::string experiment;
    std::string variant;
    int64_t n = 0;
  };
  std::vector<Named> named;
  // Counts the body tells the server; to be told again by another where this one is refused.
  struct Told {
    Arm* arm = nullptr;
    int64_t assigned = 0, shown = 0, dropped = 0;
  };
  std::vector<Told> told;
  std::string list;   // the items, comma-separated, while the batch is open
  std::string body;   // once it is sealed; empty where it is on disk
  std::string path;   // of the file, where it is on disk
  int64_t bytes = 0;  // of the body
};

// Batches on disk: a directory of this process (`spool/<name>`, locked while it lives), one file a
// batch. Thread-safe; no file is handled by two threads.
class Spool {
 public:
  Spool(std::string state_directory, std::string name);
  ~Spool();

  // Puts the sealed batch on disk and lets go of its body.
  bool Write(Batch* batch, std::string* error);
  // The body back. False where the file is gone or damaged.
  bool Read(const Batch& batch, std::string* body, std::string* error) const;
  void Remove(const Batch& batch) const;

  // Takes over what processes that have ended left; oldest first. `problems` has a sentence for
  // each file that is damaged, which is removed.
  std::vector<Batch> Adopt(std::vector<std::string>* problems);
  // In a forked child, whose parent's this is: lets go without touching what is on disk.
  void Abandon() { lock_.Release(); }

 private:
  // Where the next file goes; the directory is there then.
  bool Place(std::string* path, std::string* error);
  bool Open(std::string* error);
  void AdoptDirectory(const std::string& directory, std::vector<Batch>* batches,
                      std::vector<std::string>* problems);

  const std::string root_;       // state_directory/spool
  const std::string directory_;  // of this process
  std::mutex mutex_;
  FileLock lock_;       // guarded by mutex_
  int64_t serial_ = 0;  // guarded by mutex_
};

}  // namespace fulcrum::sdk
