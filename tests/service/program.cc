// SPDX-License-Identifier: Apache-2.0
#include "tests/service/program.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

namespace fulcrum::tests {
namespace {

std::string Slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

// Starts the program with its three streams on files.
pid_t Spawn(const std::vector<std::string>& args, const std::string& in, const std::string& out,
            const std::string& err) {
  std::vector<char*> argv;
  argv.push_back(const_cast<char*>(FULCRUM_PROGRAM));
  for (const std::string& arg : args) argv.push_back(const_cast<char*>(arg.c_str()));
  argv.push_back(nullptr);
  const pid_t pid = fork();
  if (pid != 0) return pid;
  const int files[3] = {open(in.c_str(), O_RDONLY),
                        open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600),
                        open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600)};
  for (int i = 0; i < 3; ++i) dup2(files[i], i);
  execv(argv[0], argv.data());
  _exit(127);
}

int ExitCode(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

TempDir::TempDir() {
  std::string pattern = (std::filesystem::temp_directory_path() / "fulcrum-test-XXXXXX").string();
  path_ = mkdtemp(pattern.data());
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Outcome RunProgram(const std::vector<std::string>& args, const std::string& input) {
  const TempDir dir;
  std::ofstream(dir / "in") << input;
  const pid_t pid = Spawn(args, dir / "in", dir / "out", dir / "err");
  int status = 0;
  waitpid(pid, &status, 0);
  return {ExitCode(status), Slurp(dir / "out"), Slurp(dir / "err")};
}

ServerProcess::ServerProcess(const std::string& project, const std::string& data,
                             const std::vector<std::string>& more, const std::string& listen) {
  std::vector<std::string> args = {"serve", "--project", project, "--data",
                                   data,    "--listen",  listen};
  args.insert(args.end(), more.begin(), more.end());
  const std::string url_file = data + "/server.url";
  log_path_ = data + ".log";
  std::filesystem::create_directories(data);
  std::filesystem::remove(url_file);
  pid_ = Spawn(args, "/dev/null", "/dev/null", log_path_);
  for (int i = 0; i < 3000; ++i) {
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      exit_code_ = ExitCode(status);
      pid_ = -1;
      return;
    }
    std::string url = Slurp(url_file);
    if (!url.empty() && url.back() == '\n') {
      url.pop_back();
      url_ = url;
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

ServerProcess::~ServerProcess() { Kill(); }

int ServerProcess::Wait() {
  if (pid_ > 0) {
    int status = 0;
    waitpid(pid_, &status, 0);
    exit_code_ = ExitCode(status);
    pid_ = -1;
  }
  return exit_code_;
}

void ServerProcess::Kill() {
  if (pid_ > 0) kill(pid_, SIGKILL);
  Wait();
}

int ServerProcess::Stop() {
  if (pid_ > 0) kill(pid_, SIGTERM);
  return Wait();
}

std::string ServerProcess::Log() const { return Slurp(log_path_); }

}  // namespace fulcrum::tests
