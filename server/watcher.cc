// SPDX-License-Identifier: Apache-2.0
#include "server/watcher.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "core/hash.h"

namespace fulcrum::server {
namespace {

constexpr std::chrono::milliseconds kLookEvery(200);

void AddFile(const std::string& path, std::string* seen) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return;
  const int64_t facts[] = {
      static_cast<int64_t>(status.st_ino),         static_cast<int64_t>(status.st_size),
      static_cast<int64_t>(status.st_mtim.tv_sec), static_cast<int64_t>(status.st_mtim.tv_nsec),
      static_cast<int64_t>(status.st_ctim.tv_sec), static_cast<int64_t>(status.st_ctim.tv_nsec)};
  seen->append(path).append(reinterpret_cast<const char*>(facts), sizeof facts);
}

}  // namespace

uint64_t ProjectFingerprint(const std::string& directory) {
  namespace fs = std::filesystem;
  std::error_code error;
  std::vector<std::string> paths;
  for (const char* part : {"", "experiments"}) {
    for (fs::directory_iterator entry(fs::path(directory) / part, error), end;
         !error && entry != end; entry.increment(error)) {
      const std::string extension = entry->path().extension().string();
      if (extension == ".yaml" || extension == ".yml") paths.push_back(entry->path().string());
    }
  }
  std::sort(paths.begin(), paths.end());
  std::string seen;
  for (const std::string& path : paths) AddFile(path, &seen);
  return seen.empty() ? 0 : core::Xxh3(seen);
}

Watcher::Watcher(std::string directory, uint64_t loaded, std::function<void()> changed)
    : directory_(std::move(directory)),
      changed_(std::move(changed)),
      loaded_(loaded),
      thread_([this] { Run(); }) {}

Watcher::~Watcher() {
  {
    MutexLock lock(&mutex_);
    stop_ = true;
  }
  stopping_.SignalAll();
  thread_.join();
}

void Watcher::Run() {
  uint64_t known = loaded_;
  uint64_t last = known;
  for (;;) {
    {
      MutexLock lock(&mutex_);
      if (!stop_) stopping_.WaitFor(&mutex_, kLookEvery);
      if (stop_) return;
    }
    const uint64_t now = ProjectFingerprint(directory_);
    if (now != known && now == last) {
      known = now;
      changed_();
    }
    last = now;
  }
}

}  // namespace fulcrum::server
