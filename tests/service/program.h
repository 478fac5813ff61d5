// SPDX-License-Identifier: Apache-2.0
//
// The real `fulcrum` program, run as its users run it.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace fulcrum::tests {

// A directory of its own under the temporary directory, removed with everything in it.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct Outcome {
  int exit_code = -1;  // 128 + signal where one ended it.
  std::string out;
  std::string err;
};

// Runs `fulcrum ARGS…` to its end with `input` on standard input.
Outcome RunProgram(const std::vector<std::string>& args, const std::string& input = "");

// `fulcrum serve` on 127.0.0.1, on a free port unless one is named. Killed, if still running, when
// destroyed.
class ServerProcess {
 public:
  // Waits until it answers or has ended; see running().
  ServerProcess(const std::string& project, const std::string& data,
                const std::vector<std::string>& more = {},
                const std::string& listen = "127.0.0.1:0");
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  bool running() const { return !url_.empty(); }
  const std::string& url() const { return url_; }
  pid_t pid() const { return pid_; }
  void Kill();              // SIGKILL, and waits for the end.
  int Stop();               // SIGTERM, and gives the exit code.
  std::string Log() const;  // What it wrote to stderr.

 private:
  int Wait();
  pid_t pid_ = -1;
  int exit_code_ = -1;
  std::string url_;
  std::string log_path_;
};

}  // namespace fulcrum::tests
