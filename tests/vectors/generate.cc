// SPDX-License-Identifier: Apache-2.0
// Writes the golden vectors: one JSON file per behaviour, with a snapshot in its wire form,
// contexts and the decisions they lead to. The files in this directory are the contract; a test
// holds that this program still writes exactly them, and others that every binding decides by them.
//   vectors_generate DIRECTORY
#include <fstream>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "core/hash.h"
#include "core/wire.h"
#include "tests/vectors/vectors.h"

namespace fulcrum::vectors {
namespace {

using core::ConditionOp;
using core::ExperimentData;
using core::HashAlgorithm;
using core::kPpm;
using core::Operand;
using core::SnapshotData;
using core::Value;

constexpr int64_t kNow = 1'775'000'000'000;
constexpr int64_t kHourMs = 3'600'000;

// ---- Building snapshots -------------------------------------------------------------------------

SnapshotData Project(std::string version) {
  SnapshotData data;
  data.version = std::move(version);
  data.created_ms = kNow;
  data.unit_kinds = {"user", "device", "order"};
  data.attributes = {
      {"country", core::AttributeType::kString}, {"age", core::AttributeType::kInt},
      {"spend", core::AttributeType::kFloat},    {"app_version", core::AttributeType::kVersion},
      {"is_member", core::AttributeType::kBool}, {"signed_up", core::AttributeType::kTimeMs},
      {"city", core::AttributeType::kString},    {"store", core::AttributeType::kInt}};
  return data;
}

ExperimentData Experiment(std::string key, std::vector<uint64_t> weights = {1, 1},
                          HashAlgorithm hash = HashAlgorithm::kXxh3) {
  ExperimentData experiment;
  experiment.salt = "salt of " + key;
  experiment.key = std::move(key);
  experiment.hash = hash;
  experiment.status = core::ExperimentStatus::kRunning;
  for (size_t i = 0; i < weights.size(); ++i) {
    const std::string name = i == 0 ? "control" : i == 1 ? "treatment" : "arm" + std::to_string(i);
    experiment.variants.push_back({name, "\"" + name + "\"", i == 0});
  }
  experiment.phases = {{core::kDistantPastMs, kPpm, core::WeightsToPpm(weights, hash)}};
  return experiment;
}

int32_t Add(SnapshotData* data, core::ConditionData node) {
  data->conditions.push_back(std::move(node));
  return static_cast<int32_t>(data->conditions.size()) - 1;
}

int32_t Compare(SnapshotData* data, ConditionOp op, int32_t attribute,
                std::vector<Operand> operands = {}) {
  core::ConditionData node;
  node.op = op;
  node.attribute = attribute;
  node.operands = std::move(operands);
  return Add(data, std::move(node));
}

int32_t Join(SnapshotData* data, ConditionOp op, std::vector<int32_t> children) {
  core::ConditionData node;
  node.op = op;
  node.children = std::move(children);
  return Add(data, std::move(node));
}

// ---- Asking -------------------------------------------------------------------------------------

Case Ask(std::string name, std::string experiment, std::string id, int64_t now_ms = kNow) {
  Case one;
  one.name = std::move(name);
  one.experiment = std::move(experiment);
  one.context.targeting_key = std::move(id);
  one.context.now_ms = now_ms;
  return one;
}

Case With(Case one, std::string key, OwnedValue value) {
  one.context.attributes.push_back({std::move(key), std::move(value)});
  return one;
}

std::string Id(int i) { return "u" + std::to_string(i); }

// Ids of every length class XXH3 treats differently, and of the kinds shops have.
std::vector<std::string> Ids() {
  std::vector<std::string> ids = {
      "王伟",   "josé@example.com", "6f9619ff-8b86-d011-b42d-00c04fc964ff", "0", "日本語テキスト",
      "a b\tc", "emoji 🛒"};
  for (const size_t size :
       {1,  2,   3,   4,   7,   8,   9,   15,  16,  17,  31,  32,  33,   64,   65,   96,
        97, 127, 128, 129, 160, 239, 240, 241, 256, 511, 512, 513, 1023, 1024, 1025, 2048}) {
    std::string id;
    for (size_t i = 0; i < size; ++i) id += static_cast<char>('a' + (i * 7 + size) % 26);
    ids.push_back(std::move(id));
  }
  return ids;
}

// ---- One function per behaviour -----------------------------------------------------------------

File Hash() {
  File file{"hash", Project("hash"), {}};
  const std::vector<uint64_t> even(100, 1);
  file.snapshot.experiments = {Experiment("xxh3", even),
                               Experiment("growthbook", even, HashAlgorithm::kGrowthBookV2)};
  file.snapshot.experiments[1].salt = "seed";
  for (const char* experiment : {"xxh3", "growthbook"}) {
    for (const std::string& id : Ids()) {
      file.cases.push_back(Ask(
          std::string(experiment) + " of " + std::to_string(id.size()) + " bytes", experiment, id));
    }
  }
  return file;
}

File Bucket() {
  File file{"bucket", Project("bucket"), {}};
  const std::vector<std::vector<uint64_t>> weights = {
      {1, 1}, {1, 1, 1}, {90, 10}, {999'999, 1}, {0, 1}, {1, 0, 1}, {5, 3, 2, 7, 11, 13, 17}};
  for (size_t i = 0; i < weights.size(); ++i) {
    for (const HashAlgorithm hash : {HashAlgorithm::kXxh3, HashAlgorithm::kGrowthBookV2}) {
      const std::string key =
          "w" + std::to_string(i) + (hash == HashAlgorithm::kXxh3 ? "-xxh3" : "-growthbook");
      file.snapshot.experiments.push_back(Experiment(key, weights[i], hash));
      for (int unit = 0; unit < 5; ++unit) file.cases.push_back(Ask("weights", key, Id(unit)));
    }
  }
  return file;
}

File Layer() {
  File file{"layer", Project("layer"), {}};
  file.snapshot.layers = {{"checkout", "l0", HashAlgorithm::kXxh3, 0},
                          {"search", "l1", HashAlgorithm::kGrowthBookV2, 0}};
  const auto add = [&](std::string key, int32_t layer, std::vector<core::BucketRange> ranges) {
    ExperimentData experiment = Experiment(std::move(key));
    experiment.layer = layer;
    experiment.layer_ranges = std::move(ranges);
    file.snapshot.experiments.push_back(std::move(experiment));
  };
  add("a", 0, {{0, 300'000}, {700'000, 800'000}});
  add("b", 0, {{300'000, 700'000}});
  add("c", 1, {{0, 500'000}});
  for (const char* key : {"a", "b", "c"}) {
    for (int unit = 0; unit < 15; ++unit) file.cases.push_back(Ask("layer", key, Id(unit)));
  }
  return file;
}

File Holdout() {
  File file{"holdout", Project("holdout"), {}};
  file.snapshot.holdouts = {
      {"global", "h0", HashAlgorithm::kXxh3, 0, -1, 200'000, true},
      {"growthbook", "h1", HashAlgorithm::kGrowthBookV2, 0, -1, 200'000, false},
      {"devices", "h2", HashAlgorithm::kXxh3, 1, -1, 500'000, true}};
  for (int32_t i = 0; i < 3; ++i) {
    file.snapshot.experiments.push_back(Experiment("in" + std::to_string(i)));
    file.snapshot.experiments.back().holdouts = {i};
    for (int unit = 0; unit < 12; ++unit) {
      Case one = Ask("holdout", "in" + std::to_string(i), Id(unit));
      if (i == 2 && unit > 1) one.context.units = {{"device", "d" + std::to_string(unit)}};
      file.cases.push_back(std::move(one));
    }
  }
  return file;
}

File Ramp() {
  File file{"ramp", Project("ramp"), {}};
  for (const HashAlgorithm hash : {HashAlgorithm::kXxh3, HashAlgorithm::kGrowthBookV2}) {
    const std::string key = hash == HashAlgorithm::kXxh3 ? "xxh3" : "growthbook";
    ExperimentData experiment = Experiment(key, {2, 1}, hash);
    experiment.phases.clear();
    const std::vector<uint32_t> traffic = {0, 50'000, 250'000, 600'000, kPpm};
    for (size_t i = 0; i < traffic.size(); ++i) {
      experiment.phases.push_back({kNow + static_cast<int64_t>(i) * kHourMs, traffic[i],
                                   core::WeightsToPpm(std::vector<uint64_t>{2, 1}, hash)});
    }
    file.snapshot.experiments.push_back(experiment);
    for (int unit = 0; unit < 8; ++unit) {
      for (int step = -1; step < 5; ++step) {
        file.cases.push_back(
            Ask("step " + std::to_string(step), key, Id(unit), kNow + step * kHourMs));
      }
    }
  }
  return file;
}

File Condition() {
  File file{"condition", Project("condition"), {}};
  SnapshotData* data = &file.snapshot;
  const auto add = [&](std::string key, int32_t audience) {
    ExperimentData experiment = Experiment(std::move(key), {1});
    experiment.audience = audience;
    data->experiments.push_back(std::move(experiment));
  };
  enum { kCountry, kAge, kSpend, kVersion, kIsMember, kSignedUp };
  const std::vector<std::pair<std::string, ConditionOp>> orders = {
      {"eq", ConditionOp::kEq}, {"ne", ConditionOp::kNe}, {"lt", ConditionOp::kLt},
      {"le", ConditionOp::kLe}, {"gt", ConditionOp::kGt}, {"ge", ConditionOp::kGe}};
  const auto ask = [&](const std::string& key, const std::string& attribute, OwnedValue value) {
    file.cases.push_back(With(Ask(attribute, key, "u1"), attribute, std::move(value)));
  };
  for (const auto& [name, op] : orders) {
    add("age-" + name, Compare(data, op, kAge, {Operand::Int(30)}));
    for (const int64_t age : {29, 30, 31}) ask("age-" + name, "age", OwnedValue::Int(age));
    file.cases.push_back(Ask("absent", "age-" + name, "u1"));
    add("spend-" + name, Compare(data, op, kSpend, {Operand::Float(0.1)}));
    for (const double spend : {0.0, 0.1, 0.30000000000000004}) {
      ask("spend-" + name, "spend", OwnedValue::Float(spend));
    }
    add("version-" + name, Compare(data, op, kVersion, {Operand::Version("2.10.0")}));
    for (const char* version : {"2.9", "2.10", "v2.10.0+7", "2.10.0-rc.1", "2.10.0.1"}) {
      ask("version-" + name, "app_version",
          OwnedValue::Text(core::AttributeType::kString, version));
    }
    add("time-" + name, Compare(data, op, kSignedUp, {Operand::TimeMs(kNow)}));
    for (const int64_t time : {kNow - 1, kNow}) {
      ask("time-" + name, "signed_up", OwnedValue::TimeMs(time));
    }
  }
  const auto text = [](const char* value) {
    return OwnedValue::Text(core::AttributeType::kString, value);
  };
  add("in",
      Compare(data, ConditionOp::kIn, kCountry, {Operand::String("DE"), Operand::String("AT")}));
  add("not-in", Compare(data, ConditionOp::kNotIn, kCountry, {Operand::String("DE")}));
  add("prefix", Compare(data, ConditionOp::kPrefix, kCountry, {Operand::String("D")}));
  add("suffix", Compare(data, ConditionOp::kSuffix, kCountry, {Operand::String("国")}));
  add("contains", Compare(data, ConditionOp::kContains, kCountry, {Operand::String("E")}));
  add("present", Compare(data, ConditionOp::kPresent, kCountry));
  add("absent", Compare(data, ConditionOp::kAbsent, kCountry));
  std::vector<Operand> many;
  for (int i = 0; i < 40; ++i) many.push_back(Operand::String("C" + std::to_string(i * i)));
  add("in-many", Compare(data, ConditionOp::kIn, kCountry, many));
  for (const char* key :
       {"in", "not-in", "prefix", "suffix", "contains", "present", "absent", "in-many"}) {
    for (const char* country : {"DE", "de", "", "中国", "C1521"})
      ask(key, "country", text(country));
    file.cases.push_back(Ask("absent", key, "u1"));
  }
  add("member", Compare(data, ConditionOp::kEq, kIsMember, {Operand::Bool(true)}));
  for (const bool value : {false, true}) ask("member", "is_member", OwnedValue::Bool(value));
  add("before", Compare(data, ConditionOp::kNowBefore, -1, {Operand::TimeMs(kNow)}));
  add("after", Compare(data, ConditionOp::kNowAfter, -1, {Operand::TimeMs(kNow)}));
  for (const char* key : {"before", "after"}) {
    for (const int64_t now : {kNow - 1, kNow}) file.cases.push_back(Ask("now", key, "u1", now));
  }
  // Values of another type than declared.
  ask("age-eq", "age", OwnedValue::Float(30));
  ask("age-eq", "age", OwnedValue::Float(30.5));
  ask("age-eq", "age", text("30"));
  ask("spend-lt", "spend", OwnedValue::Int(0));
  ask("version-lt", "app_version", text("latest"));
  ask("member", "is_member", OwnedValue::Int(1));
  ask("in", "country", OwnedValue::Int(1));
  // Three-valued logic: `age` is undecided, `is_member` decides or does not.
  const auto member = [&](bool value) {
    return Compare(data, ConditionOp::kEq, kIsMember, {Operand::Bool(value)});
  };
  const auto undecided = [&] { return Compare(data, ConditionOp::kEq, kAge, {Operand::Int(1)}); };
  add("all-ut", Join(data, ConditionOp::kAll, {undecided(), member(true)}));
  add("all-uf", Join(data, ConditionOp::kAll, {undecided(), member(false)}));
  add("any-ut", Join(data, ConditionOp::kAny, {undecided(), member(true)}));
  add("any-uf", Join(data, ConditionOp::kAny, {undecided(), member(false)}));
  add("not-u", Join(data, ConditionOp::kNot, {undecided()}));
  for (const char* key : {"all-ut", "all-uf", "any-ut", "any-uf", "not-u"}) {
    file.cases.push_back(With(With(Ask("undecided", key, "u1"), "age", text("x")), "is_member",
                              OwnedValue::Bool(true)));
  }
  core::ConditionData share;
  share.op = ConditionOp::kPercentage;
  share.unit_kind = 0;
  share.salt = "preview";
  share.ppm = 300'000;
  add("percentage", Add(data, share));
  for (int unit = 0; unit < 10; ++unit) file.cases.push_back(Ask("share", "percentage", Id(unit)));
  file.cases.push_back(Ask("no unit", "percentage", ""));
  data->segments = {{"members", member(true)}};
  core::ConditionData segment;
  segment.op = ConditionOp::kSegment;
  segment.ref = 0;
  add("segment", Add(data, segment));
  for (const bool value : {false, true}) ask("segment", "is_member", OwnedValue::Bool(value));
  return file;
}

File Identity() {
  File file{"identity", Project("identity"), {}};
  file.snapshot.experiments = {Experiment("by-user"), Experiment("by-device"),
                               Experiment("by-city"), Experiment("by-store")};
  file.snapshot.experiments[1].unit_kind = 1;
  file.snapshot.experiments[2].cluster_attribute = 6;
  file.snapshot.experiments[3].cluster_attribute = 7;
  for (const char* key : {"by-user", "by-device", "by-city", "by-store"}) {
    file.cases.push_back(Ask("nothing", key, ""));
    file.cases.push_back(Ask("targeting key only", key, "u1"));
    Case device = Ask("device before registration", key, "");
    device.context.units = {{"device", "d1"}};
    file.cases.push_back(device);
    device.name = "device after registration";
    device.context.units = {{"device", "d1"}, {"user", "u7"}};
    file.cases.push_back(device);
    device.name = "named unit and targeting key";
    device.context.targeting_key = "u8";
    file.cases.push_back(device);
    device.name = "empty id";
    device.context.units = {{"device", ""}, {"user", ""}};
    file.cases.push_back(device);
    file.cases.push_back(With(With(Ask("clusters", key, "u1"), "city",
                                   OwnedValue::Text(core::AttributeType::kString, "成都")),
                              "store", OwnedValue::Int(-42)));
    file.cases.push_back(With(With(Ask("wrong types", key, "u1"), "city", OwnedValue::Int(1)),
                              "store", OwnedValue::Bool(true)));
  }
  return file;
}

File Prerequisite() {
  File file{"prerequisite", Project("prerequisite"), {}};
  file.snapshot.experiments = {Experiment("first"), Experiment("second"), Experiment("third")};
  file.snapshot.experiments[1].prerequisites = {{0, {1}}};
  file.snapshot.experiments[2].prerequisites = {{0, {0, 1}}, {1, {0}}};
  for (const char* key : {"first", "second", "third"}) {
    for (int unit = 0; unit < 10; ++unit) file.cases.push_back(Ask("chain", key, Id(unit)));
  }
  return file;
}

File Sticky() {
  File file{"sticky", Project("sticky"), {}};
  ExperimentData sticky = Experiment("sticky", {9, 1});
  sticky.is_sticky = true;
  sticky.audience = Compare(&file.snapshot, ConditionOp::kEq, 0, {Operand::String("DE")});
  sticky.phases.push_back({kNow, 0, {500'000, 500'000}});
  ExperimentData closed = Experiment("closed");
  closed.enrolment_closed_at_ms = kNow;
  file.snapshot.experiments = {sticky, closed, Experiment("plain")};
  for (const char* key : {"sticky", "closed", "plain"}) {
    for (const int64_t now : {kNow - 1, kNow}) {
      file.cases.push_back(Ask("no prior", key, "u1", now));
      for (const auto& [variant, phase] :
           std::vector<std::pair<std::string, int32_t>>{{"control", 0},
                                                        {"treatment", 0},
                                                        {"treatment", -1},
                                                        {"treatment", 7},
                                                        {"gone", 0}}) {
        Case one = Ask("prior", key, "u1", now);
        one.context.priors = {{"other", "control", 0}, {key, variant, phase}};
        file.cases.push_back(std::move(one));
      }
    }
  }
  return file;
}

File Phase() {
  File file{"phase", Project("phase"), {}};
  ExperimentData phases = Experiment("phases", {9, 1});
  phases.start_ms = kNow;
  phases.end_ms = kNow + 4 * kHourMs;
  phases.phases = {{kNow, kPpm, {900'000, 100'000}},
                   {kNow + kHourMs, kPpm, {500'000, 500'000}},
                   {kNow + 2 * kHourMs, 500'000, {0, kPpm}}};
  ExperimentData stopped = Experiment("stopped");
  stopped.stopped_at_ms = kNow + kHourMs;
  stopped.stop_variant = 1;
  ExperimentData killed = Experiment("killed");
  killed.status = core::ExperimentStatus::kStopped;
  ExperimentData draft = Experiment("draft");
  draft.status = core::ExperimentStatus::kDraft;
  draft.unit_overrides = {{"tester", 1}};
  draft.condition_overrides = {
      {Compare(&file.snapshot, ConditionOp::kEq, 4, {Operand::Bool(true)}), 0}};
  file.snapshot.experiments = {phases, stopped, killed, draft};
  for (int hour = -1; hour < 5; ++hour) {
    for (int unit = 0; unit < 4; ++unit) {
      file.cases.push_back(
          Ask("hour " + std::to_string(hour), "phases", Id(unit), kNow + hour * kHourMs));
    }
    file.cases.push_back(Ask("stop", "stopped", "u1", kNow + hour * kHourMs));
  }
  file.cases.push_back(Ask("killed", "killed", "u1"));
  file.cases.push_back(Ask("draft", "draft", "u1"));
  file.cases.push_back(Ask("override", "draft", "tester"));
  file.cases.push_back(With(Ask("override", "draft", "u1"), "is_member", OwnedValue::Bool(true)));
  file.cases.push_back(Ask("unknown", "no-such-experiment", "u1"));
  return file;
}

File Switchback() {
  File file{"switchback", Project("switchback"), {}};
  ExperimentData cities = Experiment("cities");
  cities.start_ms = kNow;
  cities.switchback = {4 * kHourMs, kHourMs, 6};
  ExperimentData global = Experiment("global", {1, 1, 1});
  global.start_ms = kNow;
  global.switchback = {kHourMs, 0, -1};
  file.snapshot.experiments = {cities, global};
  for (int block = 0; block < 8; ++block) {
    for (const int64_t into_ms : {int64_t{0}, kHourMs, 4 * kHourMs - 1}) {
      const int64_t now = kNow + block * 4 * kHourMs + into_ms;
      for (const char* city : {"Lyon", "Graz"}) {
        file.cases.push_back(With(Ask("block " + std::to_string(block), "cities", "u1", now),
                                  "city", OwnedValue::Text(core::AttributeType::kString, city)));
      }
      file.cases.push_back(Ask("block", "global", "", now));
    }
  }
  file.cases.push_back(Ask("no region", "cities", "u1"));
  return file;
}

bool Write(const std::string& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary);
  out << bytes;
  return out.good();
}

int Main(const std::string& directory) {
  size_t cases = 0;
  for (File& file :
       std::vector<File>{Hash(), Bucket(), Layer(), Holdout(), Ramp(), Condition(), Identity(),
                         Prerequisite(), Sticky(), Phase(), Switchback()}) {
    std::string error;
    if (!Fill(&file, &error) || !Write(directory + "/" + file.behaviour + ".json", ToJson(file))) {
      std::cerr << file.behaviour << ": " << (error.empty() ? "cannot be written" : error) << "\n";
      return 3;
    }
    cases += file.cases.size();
  }
  SnapshotData sample = Project("sample");
  sample.experiments = {Experiment("simple")};
  if (!Write(directory + "/sample.snapshot", core::Encode(sample))) return 3;
  std::cout << cases << " cases\n";
  return 0;
}

}  // namespace
}  // namespace fulcrum::vectors

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: vectors_generate DIRECTORY\n";
    return 2;
  }
  return fulcrum::vectors::Main(argv[1]);
}
