// SPDX-License-Identifier: Apache-2.0
#include "cli/progress.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <utility>

namespace fulcrum::cli {

bool ErrorIsTerminal() { return isatty(STDERR_FILENO) != 0; }

ProgressLine::ProgressLine(std::function<std::string()> text) : text_(std::move(text)) {
  if (!ErrorIsTerminal()) return;
  thread_ = std::thread([this] {
    while (!done_.load()) {
      std::cerr << "\r\x1b[K" << text_() << std::flush;
      for (int i = 0; i < 10 && !done_.load(); ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
      }
    }
    std::cerr << "\r\x1b[K" << std::flush;
  });
}

ProgressLine::~ProgressLine() {
  done_ = true;
  if (thread_.joinable()) thread_.join();
}

int64_t BytesBelow(const std::string& directory) {
  namespace fs = std::filesystem;
  int64_t bytes = 0;
  std::error_code error;
  // Files come and go while this looks; what is gone counts nothing.
  for (fs::recursive_directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code ignored;
    const auto size = it->file_size(ignored);
    if (!ignored) bytes += static_cast<int64_t>(size);
  }
  return bytes;
}

std::string FormatBytes(int64_t bytes) {
  char text[32];
  if (bytes >= 1'000'000'000) {
    std::snprintf(text, sizeof text, "%.1f GB", static_cast<double>(bytes) / 1e9);
  } else if (bytes >= 1'000'000) {
    std::snprintf(text, sizeof text, "%.0f MB", static_cast<double>(bytes) / 1e6);
  } else {
    std::snprintf(text, sizeof text, "%.0f kB", static_cast<double>(bytes) / 1e3);
  }
  return text;
}

}  // namespace fulcrum::cli
