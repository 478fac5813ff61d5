// SPDX-License-Identifier: Apache-2.0
#include "sdk/cpp/ready.h"

#include <utility>

#include "sdk/cpp/files.h"

namespace fulcrum::sdk {
namespace {

constexpr char kFileName[] = "/snapshot.flcm";

// Marks every experiment that the decision about one may look at.
class Reach {
 public:
  explicit Reach(const core::SnapshotData& data)
      : data_(data), seen_(data.experiments.size()), seen_condition_(data.conditions.size()) {}

  void Experiment(int32_t index) {
    if (index < 0 || seen_[static_cast<size_t>(index)]) return;
    seen_[static_cast<size_t>(index)] = true;
    reached_.push_back(index);
    const core::ExperimentData& experiment = data_.experiments[static_cast<size_t>(index)];
    Condition(experiment.audience);
    for (const auto& override : experiment.condition_overrides) Condition(override.condition);
    for (const auto& prerequisite : experiment.prerequisites) Experiment(prerequisite.experiment);
  }
  const std::vector<int32_t>& reached() const { return reached_; }

 private:
  void Condition(int32_t index) {
    if (index < 0 || seen_condition_[static_cast<size_t>(index)]) return;
    seen_condition_[static_cast<size_t>(index)] = true;
    const core::ConditionData& condition = data_.conditions[static_cast<size_t>(index)];
    for (const int32_t child : condition.children) Condition(child);
    if (condition.op == core::ConditionOp::kExperiment) Experiment(condition.ref);
    if (condition.op == core::ConditionOp::kSegment) {
      Condition(data_.segments[static_cast<size_t>(condition.ref)].condition);
    }
  }

  const core::SnapshotData& data_;
  std::vector<bool> seen_;
  std::vector<bool> seen_condition_;
  std::vector<int32_t> reached_;
};

struct Pinned {
  uint64_t serial = 0;
  uint64_t generation = 0;
  std::shared_ptr<const Ready> ready;
};

Pinned& ThreadPinned() {
  thread_local Pinned pinned;
  return pinned;
}

uint64_t NextSerial() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

}  // namespace

std::shared_ptr<const Ready> MakeReady(std::shared_ptr<const core::Snapshot> snapshot,
                                       ArmTable* arms) {
  auto ready = std::make_shared<Ready>();
  const core::SnapshotData& data = snapshot->data();
  bool any_sticky = false;
  for (const core::ExperimentData& experiment : data.experiments) {
    any_sticky |= experiment.is_sticky;
    std::vector<Arm*>& of = ready->arms.emplace_back();
    for (const core::VariantData& variant : experiment.variants) {
      of.push_back(arms->Of(experiment.key, variant.key));
    }
  }
  ready->sticky.resize(data.experiments.size());
  for (size_t i = 0; any_sticky && i < data.experiments.size(); ++i) {
    Reach reach(data);
    reach.Experiment(static_cast<int32_t>(i));
    for (const int32_t j : reach.reached()) {
      if (data.experiments[static_cast<size_t>(j)].is_sticky) ready->sticky[i].push_back(j);
    }
  }
  ready->snapshot = std::move(snapshot);
  return ready;
}

ReadyCell::ReadyCell() : serial_(NextSerial()) {}

const std::shared_ptr<const Ready>& ReadyCell::Get() const {
  Pinned& pinned = ThreadPinned();
  if (pinned.serial != serial_ ||
      pinned.generation != generation_.load(std::memory_order_acquire)) {
    const std::lock_guard<std::mutex> lock(mutex_);
    pinned = {serial_, generation_.load(std::memory_order_relaxed), ready_};
  }
  return pinned.ready;
}

void ReadyCell::Set(std::shared_ptr<const Ready> ready) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ready_.swap(ready);  // the old one goes after the lock, where this was its last use
  generation_.fetch_add(1, std::memory_order_release);
}

std::shared_ptr<const Ready> ReadyCell::Copy() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return ready_;
}

bool SaveSnapshot(const std::string& directory, std::string_view bytes, std::string* error) {
  return MakeDirectories(directory, error) && WriteWhole(directory + kFileName, bytes, error);
}

std::shared_ptr<const core::Snapshot> LoadSnapshot(const std::string& directory,
                                                   std::string* error) {
  const std::string path = directory + kFileName;
  std::string bytes;
  bool is_there = false;
  if (!ReadWhole(path, &bytes, &is_there, error) || !is_there) return nullptr;
  core::BuildError why;
  std::shared_ptr<const core::Snapshot> snapshot = core::Snapshot::FromBytes(bytes, &why);
  if (snapshot == nullptr) {
    *error = "'" + path + "' is no usable snapshot (" + why.message +
             "); the client goes on without it until the server answers.";
  }
  return snapshot;
}

}  // namespace fulcrum::sdk
