// SPDX-License-Identifier: Apache-2.0
//
// For the tests of this folder: a directory that goes away, batches in one line.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "store/batch.h"
#include "store/store.h"

namespace fulcrum::store {

class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "fulcrum_store_XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

inline constexpr int64_t kTestStartMs = 1'750'000'000'000;

inline void AddEvent(BatchBuilder* batch, std::string_view name, std::string_view user,
                     int64_t ts_ms, std::string_view event_id = "", double value = 1) {
  const UnitRef ids[] = {{"user", user}};
  batch->Add(
      EventView{.event_id = event_id, .name = name, .ts_ms = ts_ms, .ids = ids, .value = value});
}

inline void AddExposure(BatchBuilder* batch, std::string_view experiment, std::string_view variant,
                        std::string_view user, int64_t ts_ms, std::string_view exposure_id = "") {
  batch->Add(ExposureView{.exposure_id = exposure_id,
                          .experiment = experiment,
                          .variant = variant,
                          .unit = {"user", user},
                          .ts_ms = ts_ms});
}

inline absl::StatusOr<AppendResult> AppendBatch(Store* store, const BatchBuilder& batch,
                                                std::string_view batch_id = "",
                                                int64_t received_ms = kTestStartMs,
                                                uint64_t body_hash = 1) {
  return store->Append({.batch_id = batch_id,
                        .body_hash = body_hash,
                        .payload = batch.payload(),
                        .items = batch.size(),
                        .received_ms = received_ms});
}

}  // namespace fulcrum::store
