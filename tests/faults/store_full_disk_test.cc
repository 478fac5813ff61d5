// SPDX-License-Identifier: Apache-2.0
//
// A disk that is full for a while: what cannot be made durable is refused, the service goes on, and
// when there is space again everything acknowledged is loaded once. The writing calls of this
// program (and so those of SQLite and DuckDB) fail with ENOSPC while `disk_is_full`.
#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <thread>

#include "base/status.h"
#include "store/embedded_store.h"

namespace {

std::atomic<bool> disk_is_full = false;
std::atomic<bool> syncs_fail = false;
std::atomic<int64_t> refused_writes = 0;

// A full disk still lets bytes be overwritten in place, but a growing file is refused; refusing
// both is the harder case and the one that copy-on-write file systems show.
bool Refuse(int fd) {
  struct stat info {};
  if (!disk_is_full || fd <= 2 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) return false;
  ++refused_writes;
  errno = ENOSPC;
  return true;
}

template <typename Function>
Function Real(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

ssize_t WriteAt(int fd, const void* data, size_t size, off_t offset) {
  static const auto real = Real<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite64");
  return Refuse(fd) ? -1 : real(fd, data, size, offset);
}

}  // namespace

extern "C" {
ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  return WriteAt(fd, data, size, offset);
}
ssize_t pwrite64(int fd, const void* data, size_t size, off64_t offset) {
  return WriteAt(fd, data, size, offset);
}
ssize_t write(int fd, const void* data, size_t size) {
  static const auto real = Real<ssize_t (*)(int, const void*, size_t)>("write");
  return Refuse(fd) ? -1 : real(fd, data, size);
}
int fsync(int fd) {
  static const auto real = Real<int (*)(int)>("fsync");
  errno = EIO;
  return syncs_fail ? -1 : real(fd);
}
int fdatasync(int fd) {
  static const auto real = Real<int (*)(int)>("fdatasync");
  errno = EIO;
  return syncs_fail ? -1 : real(fd);
}
int fallocate(int fd, int mode, off_t offset, off_t size) {
  static const auto real = Real<int (*)(int, int, off_t, off_t)>("fallocate64");
  return Refuse(fd) ? -1 : real(fd, mode, offset, size);
}
}

namespace fulcrum::store {
namespace {

class FullDisk : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::current_path() / "fulcrum_full_XXXXXX").string();
    directory_ = mkdtemp(name.data());
    Open();
  }
  void TearDown() override {
    disk_is_full = false;
    syncs_fail = false;
    store_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  void Open() {
    auto store = EmbeddedStore::Open({.directory = directory_});
    ASSERT_TRUE(store.ok()) << store.status().ToString();
    store_ = std::move(*store);
  }
  // A batch of 100 events; counts what was acknowledged.
  absl::Status Append() {
    BatchBuilder batch;
    for (int i = 0; i < 100; ++i) {
      const std::string user = "u" + std::to_string(++made_);
      const UnitRef ids[] = {{"user", user}};
      batch.Add(EventView{.name = "paid", .ts_ms = 1'750'000'000'000, .ids = ids});
    }
    const absl::Status status = store_->Append({.payload = batch.payload(), .items = 100}).status();
    if (status.ok()) acknowledged_ += 100;
    return status;
  }
  int64_t Loaded() {
    auto session = store_->Connect();
    return session.ok()
               ? session->connection.QueryInt("SELECT count(*) FROM event_rows").value_or(-1)
               : -1;
  }
  // Loading is tried again on its own; an error in between is not the last word.
  void ExpectAllLoaded() {
    absl::Status status;
    for (int tries = 0; tries < 200; ++tries) {
      status = store_->Flush();
      if (status.ok()) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    ASSERT_TRUE(status.ok()) << status.ToString();
    EXPECT_EQ(Loaded(), acknowledged_);
    EXPECT_EQ(store_->stats().set_aside_batches, 0);
  }

  std::string directory_;
  std::unique_ptr<EmbeddedStore> store_;
  int64_t made_ = 0;
  int64_t acknowledged_ = 0;
};

TEST_F(FullDisk, AnAppendIsRefusedAndTheNextOneWorks) {
  for (int round = 0; round < 5; ++round) {
    ASSERT_TRUE(Append().ok());
    disk_is_full = true;
    const absl::Status status = Append();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status.ToString();
    EXPECT_FALSE(Append().ok());
    disk_is_full = false;
    const absl::Status again = Append();
    EXPECT_TRUE(again.ok()) << again.ToString();
  }
  EXPECT_GT(refused_writes, 0);
  ASSERT_NO_FATAL_FAILURE(ExpectAllLoaded());
  store_.reset();
  Open();
  ASSERT_NO_FATAL_FAILURE(ExpectAllLoaded());
}

TEST_F(FullDisk, LoadingFailsIsCountedAndGoesOn) {
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(Append().ok());
    disk_is_full = true;
    const absl::Status status = store_->Flush();
    EXPECT_FALSE(status.ok());
    EXPECT_NE(Message(status).find("safe in the inbox"), std::string_view::npos)
        << status.ToString();
    EXPECT_GT(store_->stats().load_failures, 0);
    EXPECT_NE(store_->stats().last_load_error, "");
    disk_is_full = false;
    ASSERT_NO_FATAL_FAILURE(ExpectAllLoaded());
  }
  store_.reset();
  Open();
  ASSERT_NO_FATAL_FAILURE(ExpectAllLoaded());
}

// Worse than a full disk: bytes were written, and nobody knows whether they are durable.
TEST_F(FullDisk, AFailingSyncLosesAndRepeatsNothing) {
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(Append().ok());
    syncs_fail = true;
    EXPECT_FALSE(store_->Flush().ok());
    EXPECT_FALSE(store_->Flush().ok());
    syncs_fail = false;
    ASSERT_NO_FATAL_FAILURE(ExpectAllLoaded());
  }
  store_.reset();
  Open();
  ASSERT_NO_FATAL_FAILURE(ExpectAllLoaded());
}

TEST_F(FullDisk, ClosingOnAFullDiskLosesNothing) {
  ASSERT_TRUE(Append().ok());
  disk_is_full = true;
  EXPECT_FALSE(store_->Flush().ok());
  store_.reset();
  EXPECT_FALSE(EmbeddedStore::Open({.directory = directory_}).ok());
  disk_is_full = false;
  Open();
  ASSERT_NO_FATAL_FAILURE(ExpectAllLoaded());
}

}  // namespace
}  // namespace fulcrum::store
