// SPDX-License-Identifier: Apache-2.0
#include "core/graph.h"

#include <algorithm>
#include <string>
#include <vector>

#include "core/text.h"
#include "core/validate.h"

namespace fulcrum::core {
namespace {

// What lies below a node, itself included.
struct Extent {
  int condition_depth = 0;   // levels of conditions within one experiment
  int experiment_depth = 0;  // experiments in a chain
  uint64_t cost = 0;
};

// Depth-first, each node once. The recursion cannot exceed the two depth bounds: a node found
// deeper than they allow ends the search.
class GraphChecker {
 public:
  GraphChecker(const SnapshotData& data, BuildError* error)
      : data_(data),
        error_(error),
        conditions_(data.conditions.size()),
        experiments_(data.experiments.size()) {}

  bool Run() {
    Extent unused;
    for (size_t i = 0; i < experiments_.size(); ++i) {
      if (!Experiment(static_cast<int32_t>(i), 1, &unused)) return false;
    }
    for (size_t i = 0; i < conditions_.size(); ++i) {
      if (!Condition(static_cast<int32_t>(i), 1, 1, &unused)) return false;
    }
    return true;
  }

 private:
  enum class State : uint8_t { kNew, kOpen, kDone };
  struct Node {
    State state = State::kNew;
    Extent extent;
  };

  bool Fail(std::string message) {
    error_->message = std::move(message);
    return false;
  }

  // Adds what lies below `below` to `extent`, one level of conditions down.
  bool Add(const Extent& below, const std::string& where, Extent* extent) {
    extent->condition_depth = std::max(extent->condition_depth, below.condition_depth + 1);
    extent->experiment_depth = std::max(extent->experiment_depth, below.experiment_depth);
    extent->cost += below.cost;  // each is bounded before it gets here, so no overflow
    if (extent->condition_depth > kMaxConditionDepth) {
      return Fail(
          text::Cat(where, ": conditions are nested more than ", kMaxConditionDepth, " deep"));
    }
    if (extent->cost > kMaxEvaluationCost) {
      return Fail(text::Cat(where, ": one decision would look at more than ", kMaxEvaluationCost,
                            " conditions"));
    }
    return true;
  }

  bool Condition(int32_t index, int depth, int chain, Extent* result) {
    Node& node = conditions_[static_cast<size_t>(index)];
    const std::string where = text::Cat("condition ", index);
    if (node.state == State::kOpen) return Fail(text::Cat(where, ": it contains itself"));
    if (node.state == State::kNew) {
      if (depth > kMaxConditionDepth) {
        return Fail(
            text::Cat(where, ": conditions are nested more than ", kMaxConditionDepth, " deep"));
      }
      node.state = State::kOpen;
      const ConditionData& data = data_.conditions[static_cast<size_t>(index)];
      Extent extent{1, 0, 1 + data.operands.size()};
      Extent below;
      for (const int32_t child : data.children) {
        if (!UsesChildren(data.op)) break;
        if (!Condition(child, depth + 1, chain, &below) || !Add(below, where, &extent))
          return false;
      }
      if (data.op == ConditionOp::kSegment) {
        const SegmentData& segment = data_.segments[static_cast<size_t>(data.ref)];
        if (!Condition(segment.condition, depth + 1, chain, &below) ||
            !Add(below, where, &extent)) {
          return false;
        }
      }
      if (data.op == ConditionOp::kExperiment) {
        if (!Experiment(data.ref, chain + 1, &below)) return false;
        below.condition_depth = 0;  // depth of conditions is counted within one experiment
        if (!Add(below, where, &extent)) return false;
      }
      node.extent = extent;
      node.state = State::kDone;
    }
    *result = node.extent;
    return true;
  }

  static bool UsesChildren(ConditionOp op) {
    return op == ConditionOp::kAll || op == ConditionOp::kAny || op == ConditionOp::kNot;
  }

  bool Experiment(int32_t index, int chain, Extent* result) {
    Node& node = experiments_[static_cast<size_t>(index)];
    const ExperimentData& data = data_.experiments[static_cast<size_t>(index)];
    const std::string where = text::Cat("experiment ", text::Quoted(data.key));
    if (node.state == State::kOpen) {
      return Fail(text::Cat(where, ": its prerequisites lead back to itself"));
    }
    if (node.state == State::kNew) {
      if (chain > kMaxPrerequisiteDepth) return TooLong(where);
      node.state = State::kOpen;
      Extent extent{0, 0, 1};
      Extent below;
      const auto condition = [&](int32_t root) {
        if (!Condition(root, 1, chain, &below)) return false;
        --below.condition_depth;  // the root is the first level, not the second
        return Add(below, where, &extent);
      };
      if (data.audience != -1 && !condition(data.audience)) return false;
      for (const ConditionOverride& entry : data.condition_overrides) {
        if (!condition(entry.condition)) return false;
      }
      for (const PrerequisiteData& prerequisite : data.prerequisites) {
        if (!Experiment(prerequisite.experiment, chain + 1, &below)) return false;
        below.condition_depth = 0;
        if (!Add(below, where, &extent)) return false;
      }
      if (++extent.experiment_depth > kMaxPrerequisiteDepth) return TooLong(where);
      node.extent = extent;
      node.state = State::kDone;
    }
    *result = node.extent;
    return true;
  }

  bool TooLong(const std::string& where) {
    return Fail(text::Cat(where, ": a chain of prerequisites is longer than ",
                          kMaxPrerequisiteDepth, " experiments"));
  }

  const SnapshotData& data_;
  BuildError* error_;
  std::vector<Node> conditions_;
  std::vector<Node> experiments_;
};

}  // namespace

bool CheckGraph(const SnapshotData& data, BuildError* error) {
  return GraphChecker(data, error).Run();
}

}  // namespace fulcrum::core
