// SPDX-License-Identifier: Apache-2.0
//
// One line on a terminal that says how far long work is; nothing in a pipe or a file.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>

namespace fulcrum::cli {

bool ErrorIsTerminal();

// Several times a second prints what `text` says, over what it said before, until destroyed; then
// the line is wiped. `text` is called from another thread.
class ProgressLine {
 public:
  explicit ProgressLine(std::function<std::string()> text);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

 private:
  std::function<std::string()> text_;
  std::atomic<bool> done_{false};
  std::thread thread_;
};

// Bytes of all files below a directory; 0 where there is none.
int64_t BytesBelow(const std::string& directory);

// "1.2 GB", "340 MB", "12 kB".
std::string FormatBytes(int64_t bytes);

}  // namespace fulcrum::cli
