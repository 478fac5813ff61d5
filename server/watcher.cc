// SPDX-License-Identifier: Apache-2.0
#include "server/watcher.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include "core/hash.h"

namespace fulcrum::server {
namespace {

constexpr int kLookEveryMs = 200;
constexpr int kStillMs = 15;               // After an event, until a look.
constexpr int64_t kLongestWaitMs = 2'000;  // For somebody who keeps writing.

int64_t SteadyMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

bool IsYaml(const std::filesystem::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".yaml" || extension == ".yml";
}

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
      if (IsYaml(entry->path())) paths.push_back(entry->path().string());
    }
  }
  std::sort(paths.begin(), paths.end());
  std::string seen;
  for (const std::string& path : paths) AddFile(path, &seen);
  return seen.empty() ? 0 : core::Xxh3(seen);
}

namespace {

// Events of the project directory and its experiments/. Not thread-safe.
class Notifier {
 public:
  explicit Notifier(std::string directory) : directory_(std::move(directory)) {
    fd_ = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    Watch();
  }
  ~Notifier() {
    if (fd_ >= 0) close(fd_);
  }
  Notifier(const Notifier&) = delete;
  Notifier& operator=(const Notifier&) = delete;

  int fd() const { return fd_; }
  // Some file was written to and is not closed yet.
  bool is_writing() const { return !writing_.empty(); }
  void ForgetWriters() { writing_.clear(); }

  // Reads what has happened; true where anything has.
  bool Drain() {
    alignas(inotify_event) char buffer[16 * 1024];
    bool any = false;
    for (;;) {
      const ssize_t got = read(fd_, buffer, sizeof buffer);
      if (got <= 0) break;
      any = true;
      for (ssize_t at = 0; at < got;) {
        const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
        Note(*event);
        at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
      }
    }
    // A directory that was replaced, or experiments/ that has just come, needs a watch of its own;
    // asking for one that is there already changes nothing.
    if (any) Watch();
    return any;
  }

 private:
  void Watch() {
    constexpr uint32_t kWhat = IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM |
                               IN_CREATE | IN_DELETE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF;
    if (fd_ < 0) return;
    inotify_add_watch(fd_, directory_.c_str(), kWhat);
    inotify_add_watch(fd_, (directory_ + "/experiments").c_str(), kWhat);
  }

  void Note(const inotify_event& event) {
    const std::pair<int, std::string> file(event.wd, event.len > 0 ? event.name : "");
    // An editor's swap file stays open for as long as the editor.
    if (!IsYaml(file.second) && (event.mask & IN_MODIFY)) return;
    if (event.mask & IN_MODIFY) {
      writing_.insert(file);
    } else if (event.mask & (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE)) {
      writing_.erase(file);
    } else if (event.mask & (IN_Q_OVERFLOW | IN_IGNORED)) {
      writing_.clear();
    }
  }

  const std::string directory_;
  int fd_ = -1;
  std::set<std::pair<int, std::string>> writing_;
};

}  // namespace

Watcher::Watcher(std::string directory, uint64_t loaded, std::function<void()> changed,
                 bool use_inotify)
    : directory_(std::move(directory)),
      changed_(std::move(changed)),
      loaded_(loaded),
      use_inotify_(use_inotify) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) == 0) {
    wake_read_ = ends[0];
    wake_write_ = ends[1];
  }
  thread_ = std::thread([this] { Run(); });
}

Watcher::~Watcher() {
  close(wake_write_);
  thread_.join();
  close(wake_read_);
}

void Watcher::Run() {
  std::optional<Notifier> notifier;
  if (use_inotify_) notifier.emplace(directory_);
  uint64_t known = loaded_;
  uint64_t last = known;
  int64_t busy_since_ms = 0;  // Of the first event since the last look; 0 = none.
  for (;;) {
    // A negative descriptor is left out, so without inotify this is the look five times a second.
    pollfd waited[] = {{wake_read_, POLLIN, 0}, {notifier ? notifier->fd() : -1, POLLIN, 0}};
    const int wait_ms = busy_since_ms == 0 ? kLookEveryMs : kStillMs;
    const int ready = poll(waited, 2, wait_ms);
    if (waited[0].revents != 0) return;
    const int64_t now_ms = SteadyMs();
    if (ready > 0 && notifier && notifier->Drain()) {
      if (busy_since_ms == 0) busy_since_ms = now_ms;
      // Somebody who keeps writing does not put it off for ever.
      if (now_ms - busy_since_ms < kLongestWaitMs) continue;
    }
    if (notifier && notifier->is_writing() && now_ms - busy_since_ms < kLongestWaitMs) continue;
    const bool told = busy_since_ms != 0;
    busy_since_ms = 0;
    if (notifier) notifier->ForgetWriters();
    const uint64_t now = ProjectFingerprint(directory_);
    if (now != known && (told || now == last)) {
      known = now;
      changed_();
    }
    last = now;
  }
}

}  // namespace fulcrum::server
