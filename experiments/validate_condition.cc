// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "base/text.h"
#include "core/version.h"
#include "experiments/parse.h"
#include "experiments/validate_context.h"

namespace fulcrum::experiments {
namespace {

bool ReadsAttribute(ConditionOp op) {
  switch (op) {
    case ConditionOp::kAll:
    case ConditionOp::kAny:
    case ConditionOp::kNot:
    case ConditionOp::kPercentage:
    case ConditionOp::kSegment:
    case ConditionOp::kPrerequisite:
    case ConditionOp::kNowBefore:
    case ConditionOp::kNowAfter:
      return false;
    default:
      return true;
  }
}

bool HoldsType(const Scalar& value, AttributeType type) {
  switch (type) {
    case AttributeType::kBool:
      return std::holds_alternative<bool>(value);
    case AttributeType::kInt:
    case AttributeType::kTime:
      return std::holds_alternative<int64_t>(value);
    case AttributeType::kFloat:
      return std::holds_alternative<int64_t>(value) ||
             (std::holds_alternative<double>(value) && std::isfinite(std::get<double>(value)));
    case AttributeType::kString:
      return std::holds_alternative<std::string>(value);
    case AttributeType::kVersion:
      return std::holds_alternative<std::string>(value) &&
             core::IsVersion(std::get<std::string>(value));
  }
  return false;
}

void CheckAttribute(const Checker& checker, const Condition& condition, const std::string& where) {
  const AttributeDecl* declared = checker.FindAttribute(condition.attribute);
  if (declared == nullptr) {
    std::vector<std::string> known = checker.AttributeKeys();
    const std::vector<std::string>& words = ReservedConditionWords();
    known.insert(known.end(), words.begin(), words.end());
    const std::string near = DidYouMean(condition.attribute, known);
    checker.Error(condition.pos, "undeclared attribute `" + condition.attribute + "` in " + where +
                                     ": " +
                                     (near.empty() ? "declare it under `attributes` in project.yaml"
                                                   : "did you mean `" + near + "`?"));
    return;
  }
  // Conditions from YAML were typed when they were read; those made in memory are checked here.
  for (const Scalar& value : condition.values) {
    if (!HoldsType(value, declared->type)) {
      checker.Error(condition.pos, "a value of `" + condition.attribute + "` in " + where +
                                       " is not of its declared type");
    }
  }
}

void CheckPrerequisite(const Checker& checker, const Condition& condition) {
  const ExperimentDefinition* other = checker.definitions().FindExperiment(condition.ref);
  if (other == nullptr) {
    if (!checker.read().all_experiments) return;
    std::vector<std::string> keys;
    for (const ExperimentDefinition& experiment : checker.definitions().experiments) {
      // One whose own key could not be read may be the one that is meant.
      if (experiment.key.empty()) return;
      keys.push_back(experiment.key);
    }
    checker.Unknown(condition.pos, "experiment", condition.ref, keys);
    return;
  }
  std::vector<std::string> variants;
  for (const VariantDefinition& variant : other->variants) variants.push_back(variant.key);
  if (variants.empty()) return;  // Reported where that experiment was read.
  for (const Scalar& value : condition.values) {
    const std::string* key = std::get_if<std::string>(&value);
    if (key == nullptr || std::find(variants.begin(), variants.end(), *key) == variants.end()) {
      checker.Unknown(condition.pos, "variant of experiment `" + condition.ref + "`",
                      key == nullptr ? "" : *key, variants);
    }
  }
}

constexpr std::string_view kSegmentPrefix = "segment ";

// "`x`"; a node that stands for a segment keeps its word outside: "segment `x`".
std::string Quoted(const std::string& node) {
  if (node.rfind(kSegmentPrefix, 0) != 0) return "`" + node + "`";
  return std::string(kSegmentPrefix) + "`" + node.substr(kSegmentPrefix.size()) + "`";
}

// Depth-first search for cycles over named nodes; each cycle is reported once.
class CycleFinder {
 public:
  struct Edge {
    std::string to;
    Position pos;
  };
  using Report = std::function<void(const Position&, const std::string&)>;

  CycleFinder(const std::map<std::string, std::vector<Edge>>& graph, Report report)
      : graph_(graph), report_(std::move(report)) {}

  void Run() {
    for (const auto& [name, edges] : graph_) Visit(name);
  }

 private:
  void Visit(const std::string& name) {
    if (done_.count(name) > 0) return;
    path_.push_back(name);
    const auto edges = graph_.find(name);
    if (edges != graph_.end()) {
      for (const Edge& edge : edges->second) {
        const auto begin = std::find(path_.begin(), path_.end(), edge.to);
        if (begin == path_.end()) {
          Visit(edge.to);
          continue;
        }
        std::string cycle;
        for (auto it = begin; it != path_.end(); ++it) cycle += Quoted(*it) + " -> ";
        report_(edge.pos, cycle + Quoted(edge.to));
      }
    }
    path_.pop_back();
    done_.insert(name);
  }

  const std::map<std::string, std::vector<Edge>>& graph_;
  Report report_;
  std::vector<std::string> path_;
  std::set<std::string> done_;
};

using Graph = std::map<std::string, std::vector<CycleFinder::Edge>>;

void CollectRefs(const Condition& condition, ConditionOp op,
                 std::vector<CycleFinder::Edge>* edges) {
  if (condition.op == op) edges->push_back({condition.ref, condition.pos});
  for (const Condition& child : condition.children) CollectRefs(child, op, edges);
}

}  // namespace

void Checker::CheckCondition(const Condition& condition, const std::string& where) const {
  if (ReadsAttribute(condition.op)) {
    CheckAttribute(*this, condition, where);
  } else if (condition.op == ConditionOp::kPercentage) {
    if (!(condition.percent > 0 && condition.percent <= 100)) {
      Error(condition.pos, "`percentage` must be above 0 and at most 100");
    } else if (!IsWholePpm(condition.percent, HashAlgorithm::kXxh3)) {
      Error(condition.pos,
            "`percentage` is finer than " + PpmStepText(HashAlgorithm::kXxh3) + ": round it");
    }
  } else if (condition.op == ConditionOp::kSegment) {
    std::vector<std::string> keys;
    for (const Segment& segment : project().segments) keys.push_back(segment.key);
    if (std::find(keys.begin(), keys.end(), condition.ref) == keys.end()) {
      Unknown(condition.pos, "segment", condition.ref, keys);
    }
  } else if (condition.op == ConditionOp::kPrerequisite) {
    CheckPrerequisite(*this, condition);
  }
  for (const Condition& child : condition.children) CheckCondition(child, where);
}

void Checker::CheckCycles() const {
  Graph segments;
  for (const Segment& segment : project().segments) {
    CollectRefs(segment.condition, ConditionOp::kSegment, &segments[segment.key]);
  }
  CycleFinder(segments, [this](const Position& at, const std::string& cycle) {
    Error(at, "cyclic segments: " + cycle + "; remove one of the references");
  }).Run();

  // Segments may ask for experiments too, so they are nodes of this graph as well, under names that
  // no experiment can have.
  Graph graph;
  const auto add = [&](const std::string& node, const Condition& condition) {
    std::vector<CycleFinder::Edge>& edges = graph[node];
    CollectRefs(condition, ConditionOp::kPrerequisite, &edges);
    std::vector<CycleFinder::Edge> through;
    CollectRefs(condition, ConditionOp::kSegment, &through);
    for (CycleFinder::Edge& edge : through) {
      edges.push_back({std::string(kSegmentPrefix) + edge.to, std::move(edge.pos)});
    }
  };
  for (const Segment& segment : project().segments) {
    add(std::string(kSegmentPrefix) + segment.key, segment.condition);
  }
  for (const ExperimentDefinition& experiment : definitions().experiments) {
    graph[experiment.key];
    if (experiment.audience) add(experiment.key, *experiment.audience);
    for (const Override& one : experiment.overrides) {
      if (one.when) add(experiment.key, *one.when);
    }
  }
  CycleFinder(graph, [this](const Position& at, const std::string& cycle) {
    // A cycle of segments alone was reported above.
    if (cycle.front() == '`' || cycle.find("-> `") != std::string::npos) {
      Error(at, "cyclic prerequisite: " + cycle + "; remove one of the references");
    }
  }).Run();
}

}  // namespace fulcrum::experiments
