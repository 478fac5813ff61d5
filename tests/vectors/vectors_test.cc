// SPDX-License-Identifier: Apache-2.0
// Every golden vector through the C++ evaluator and through the C ABI of libfulcrum.so.
#include "tests/vectors/vectors.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "core/wire.h"
#include "sdk/c/fulcrum.h"

namespace fulcrum::vectors {
namespace {

constexpr char kDirectory[] = "tests/vectors";

std::string ReadAll(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::filesystem::path> Paths() {
  std::set<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(kDirectory)) {
    if (entry.path().extension() == ".json") paths.insert(entry.path());
  }
  return {paths.begin(), paths.end()};
}

TEST(Vectors, ThereAreEnough) {
  size_t cases = 0;
  std::set<core::Reason> reasons;
  for (const auto& path : Paths()) {
    const File file = FromJson(ReadAll(path));
    cases += file.cases.size();
    for (const Case& one : file.cases) reasons.insert(one.decision.reason);
  }
  EXPECT_GE(cases, 500u);
  EXPECT_EQ(reasons.size(), static_cast<size_t>(core::kReasonCount)) << "every reason has a case";
}

TEST(Vectors, Core) {
  for (const auto& path : Paths()) {
    const std::string json = ReadAll(path);
    const File golden = FromJson(json);
    File now = golden;
    std::string error;
    ASSERT_TRUE(Fill(&now, &error)) << path << ": " << error;
    for (size_t i = 0; i < golden.cases.size(); ++i) {
      const Case& a = golden.cases[i];
      const Case& b = now.cases[i];
      ASSERT_TRUE(a.decision == b.decision) << path << " case " << i << " " << a.name << "\n"
                                            << b.explain;
      ASSERT_EQ(a.explain, b.explain) << path << " case " << i;
      ASSERT_EQ(a.variant, b.variant);
    }
    EXPECT_EQ(ToJson(now), json) << path << " is not what vectors_generate writes";
  }
}

fulcrum_text Text(std::string_view view) { return {view.data(), view.size()}; }
std::string String(fulcrum_text text) { return {text.data, text.size}; }

struct CContext {
  explicit CContext(const OwnedContext& owned) {
    for (const auto& unit : owned.units) units.push_back({Text(unit.kind), Text(unit.id)});
    for (const auto& attribute : owned.attributes) {
      attributes.push_back({Text(attribute.key), Text(attribute.value.text),
                            attribute.value.integer, attribute.value.real,
                            static_cast<uint32_t>(attribute.value.type), 0});
    }
    for (const auto& prior : owned.priors) {
      priors.push_back({Text(prior.experiment), Text(prior.variant), prior.phase, 0});
    }
    context.targeting_key = Text(owned.targeting_key);
    context.now_ms = owned.now_ms;
    context.units = units.data();
    context.unit_count = units.size();
    context.attributes = attributes.data();
    context.attribute_count = attributes.size();
    context.priors = priors.data();
    context.prior_count = priors.size();
  }
  std::vector<fulcrum_unit> units;
  std::vector<fulcrum_attribute> attributes;
  std::vector<fulcrum_prior> priors;
  fulcrum_context context = FULCRUM_CONTEXT_INIT;
};

TEST(Vectors, CAbi) {
  for (const auto& path : Paths()) {
    const File golden = FromJson(ReadAll(path));
    const std::string bytes = core::Encode(golden.snapshot);
    fulcrum_snapshot* snapshot = nullptr;
    char why[256] = "";
    ASSERT_EQ(fulcrum_snapshot_load(bytes.data(), bytes.size(), &snapshot, why, sizeof(why)),
              FULCRUM_OK)
        << why;
    for (const Case& one : golden.cases) {
      const CContext c(one.context);
      const int32_t experiment = fulcrum_find(snapshot, Text(one.experiment));
      fulcrum_decision d = FULCRUM_DECISION_INIT;
      ASSERT_EQ(fulcrum_decide(snapshot, experiment, &c.context, &d), FULCRUM_OK);
      EXPECT_EQ(d.variant, one.decision.variant);
      EXPECT_EQ(String(fulcrum_reason_name(d.reason)), core::ReasonName(one.decision.reason));
      EXPECT_EQ(d.phase, one.decision.phase);
      EXPECT_EQ(d.propensity_ppm, one.decision.propensity_ppm);
      EXPECT_EQ(d.detail, one.decision.detail);
      EXPECT_EQ(d.block, one.decision.block);
      EXPECT_EQ(d.is_enrolled == 1, one.decision.is_enrolled());
      if (d.variant >= 0) {
        fulcrum_text key;
        ASSERT_EQ(fulcrum_variant(snapshot, experiment, d.variant, &key, nullptr), FULCRUM_OK);
        EXPECT_EQ(String(key), one.variant);
      }
      size_t needed = 0;
      fulcrum_explain(snapshot, experiment, &c.context, nullptr, 0, &needed);
      std::string lines(needed, ' ');
      fulcrum_explain(snapshot, experiment, &c.context, lines.data(), lines.size(), &needed);
      EXPECT_EQ(lines, one.explain);
    }
    fulcrum_snapshot_free(snapshot);
  }
}

}  // namespace
}  // namespace fulcrum::vectors
