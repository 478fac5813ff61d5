// SPDX-License-Identifier: Apache-2.0
//
// What was acknowledged is there after the process was killed, and after the power was cut; and
// what is there is there once.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "store/embedded_store.h"

namespace fulcrum::store {
namespace {

constexpr int kEventsPerBatch = 7;  // As in store_fault_child.cc.

class Directory {
 public:
  Directory() {
    std::string name = (std::filesystem::current_path() / "fulcrum_fault_XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~Directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct Outcome {
  std::set<std::string> acknowledged;
  int status = 0;  // Of waitpid().
};

// Runs the child with more variables in its environment until it ends, or until it has
// acknowledged `kill_after` batches and is killed (kill_after < 0: never).
Outcome RunChild(const std::string& directory, int round, const std::string& mode,
                 const std::vector<std::string>& variables, int kill_after) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return {};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  std::string program = FULCRUM_FAULT_CHILD;
  std::string path = directory;
  std::string number = std::to_string(round);
  std::string what = mode;
  char* arguments[] = {program.data(), path.data(), number.data(), what.data(), nullptr};
  std::vector<std::string> owned = variables;
  std::vector<char*> environment;
  for (std::string& variable : owned) environment.push_back(variable.data());
  for (char** variable = environ; *variable != nullptr; ++variable) {
    environment.push_back(*variable);
  }
  environment.push_back(nullptr);
  pid_t child = 0;
  Outcome outcome;
  const int spawned =
      posix_spawn(&child, program.c_str(), &actions, nullptr, arguments, environment.data());
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  EXPECT_EQ(spawned, 0);
  std::string text;
  char buffer[4096];
  ssize_t size = 0;
  int lines = 0;
  while ((size = read(ends[0], buffer, sizeof buffer)) > 0) {
    text.append(buffer, static_cast<size_t>(size));
    lines += static_cast<int>(std::count(buffer, buffer + size, '\n'));
    if (kill_after >= 0 && lines >= kill_after) kill(child, SIGKILL);
  }
  close(ends[0]);
  waitpid(child, &outcome.status, 0);
  for (size_t at = 0, end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
    outcome.acknowledged.insert(text.substr(at, end - at));
  }
  return outcome;
}

bool PowerWasCut(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == 137; }

std::vector<std::string> ShimVariables(const std::string& directory, int64_t after, uint32_t seed,
                                       const std::string& mode) {
  return {"LD_PRELOAD=" FULCRUM_FAULT_SHIM, "FULCRUM_SHIM_DIR=" + directory,
          "FULCRUM_SHIM_AFTER=" + std::to_string(after),
          "FULCRUM_SHIM_SEED=" + std::to_string(seed), "FULCRUM_SHIM_MODE=" + mode};
}

// How many events each batch has in the analytical tables.
std::map<std::string, int64_t> CountEvents(EmbeddedStore* store) {
  std::map<std::string, int64_t> counts;
  const absl::Status flushed = store->Flush();
  EXPECT_TRUE(flushed.ok()) << flushed.ToString();
  auto session = store->Connect();
  if (!session.ok()) return counts;
  // Before anything was loaded there is no such column.
  if (session->connection.QueryInt("SELECT count(*) FROM event_rows").value_or(0) == 0) {
    return counts;
  }
  auto result =
      session->connection.Query("SELECT unit_batch, count(*) FROM events GROUP BY unit_batch");
  EXPECT_TRUE(result.ok()) << result.status().ToString();
  while (result.ok()) {
    auto chunk = result->Next();
    EXPECT_TRUE(chunk.ok()) << chunk.status().ToString();
    if (!chunk.ok() || !*chunk) break;
    for (int64_t row = 0; row < chunk->size(); ++row) {
      counts[std::string(chunk->text(0, row))] = chunk->data<int64_t>(1)[row];
    }
  }
  return counts;
}

// Every acknowledged batch whole, no batch in part or twice.
void ExpectExactlyOnce(const std::string& directory, const std::set<std::string>& acknowledged) {
  auto store = EmbeddedStore::Open({.directory = directory});
  ASSERT_TRUE(store.ok()) << store.status().ToString();
  const std::map<std::string, int64_t> counts = CountEvents(store->get());
  for (const std::string& name : acknowledged) {
    ASSERT_TRUE(counts.contains(name)) << name << " was acknowledged and is lost";
  }
  for (const auto& [name, count] : counts) ASSERT_EQ(count, kEventsPerBatch) << name;
  EXPECT_EQ((*store)->stats().set_aside_batches, 0);
}

TEST(StoreFaults, NothingAcknowledgedIsLostByKill) {
  std::mt19937 random(1);
  Directory directory;
  std::set<std::string> acknowledged;
  for (int round = 0; round < 20; ++round) {
    const Outcome outcome =
        RunChild(directory.path(), round, "store", {}, 1 + static_cast<int>(random() % 300));
    ASSERT_TRUE(WIFSIGNALED(outcome.status)) << outcome.status;
    acknowledged.insert(outcome.acknowledged.begin(), outcome.acknowledged.end());
    // Not every time, so that some children recover from the kill themselves.
    if (round % 4 != 3) continue;
    ASSERT_NO_FATAL_FAILURE(ExpectExactlyOnce(directory.path(), acknowledged));
  }
  EXPECT_GT(acknowledged.size(), 500u);
}

class PowerCut : public ::testing::TestWithParam<std::string> {};

TEST_P(PowerCut, NothingAcknowledgedIsLost) {
  std::mt19937 random(GetParam() == "tear" ? 3 : 2);
  size_t all = 0;
  for (int world = 0; world < 6; ++world) {
    Directory directory;
    std::set<std::string> acknowledged;
    for (int round = 0; round < 5; ++round) {
      // Early cuts fall into the opening, late ones into loads and checkpoints.
      const int64_t after = static_cast<int64_t>(random() % (round % 2 == 0 ? 3000 : 300));
      const Outcome outcome =
          RunChild(directory.path(), round, "store",
                   ShimVariables(directory.path(), after, random(), GetParam()), -1);
      ASSERT_TRUE(PowerWasCut(outcome.status)) << "status " << outcome.status;
      acknowledged.insert(outcome.acknowledged.begin(), outcome.acknowledged.end());
      if (round % 2 == 1) continue;  // The next child recovers, and may be cut while it does.
      ASSERT_NO_FATAL_FAILURE(ExpectExactlyOnce(directory.path(), acknowledged))
          << "world " << world << " round " << round;
    }
    all += acknowledged.size();
  }
  EXPECT_GT(all, 100u);
}

INSTANTIATE_TEST_SUITE_P(Modes, PowerCut, ::testing::Values("drop", "tear"));

// How many acknowledged batches the inbox no longer has after a cut.
size_t LostByInbox(const std::string& mode, uint32_t seed) {
  Directory directory;
  const Outcome outcome =
      RunChild(directory.path(), 0, mode, ShimVariables(directory.path(), 400, seed, "drop"), -1);
  EXPECT_TRUE(PowerWasCut(outcome.status)) << outcome.status;
  EXPECT_FALSE(outcome.acknowledged.empty());
  auto inbox = Inbox::Open({.path = directory.path() + "/inbox.sqlite"});
  if (!inbox.ok()) return outcome.acknowledged.size();
  size_t lost = 0;
  for (const std::string& name : outcome.acknowledged) {
    const auto again = (*inbox)->Append({.batch_id = name, .body_hash = 1});
    if (!again.ok() || !again->replayed) ++lost;
  }
  return lost;
}

// The control that shows that the harness sees a loss when there is one.
TEST(StoreFaults, WithoutSyncsTheHarnessSeesTheLoss) {
  EXPECT_EQ(LostByInbox("inbox", 5), 0u);
  EXPECT_GT(LostByInbox("inbox-without-sync", 5), 0u);
}

}  // namespace
}  // namespace fulcrum::store
