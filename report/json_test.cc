// SPDX-License-Identifier: Apache-2.0
#include "report/json.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "report/sample_reports.h"

namespace fulcrum::report {
namespace {

// One report for the tests that only need some report.
const std::string& SampleJson() {
  static const std::string json = ToJson(ShopReport({}));
  return json;
}

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

TEST(Json, RoundTripsEveryReport) {
  for (const uint64_t seed : {1, 2}) {
    ShopWorld world;
    world.seed = seed;
    world.units = {300, 300, seed == 2 ? 100 : 300};
    world.pay_factor = world.register_factor = world.return_factor = {1, 1.1, 1};
    const std::string text = ToJson(ShopReport(world));
    const auto back = FromJson(text);
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(ToJson(*back), text);
  }
}

TEST(Json, KeepsEveryBitOfADoubleAndInfinity) {
  Report report;
  report.metrics.emplace_back();
  auto& c = report.metrics.back().comparisons.emplace_back();
  for (const double value :
       {0.1, 1.0 / 3, 4.9e-324, 1.7976931348623157e308, -0.0, 123456789.123456789, 1e-300,
        std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()}) {
    c.diff = value;
    const auto back = FromJson(ToJson(report));
    ASSERT_TRUE(back.ok()) << back.status();
    const double got = *back->metrics.back().comparisons.back().diff;
    EXPECT_EQ(std::memcmp(&got, &value, sizeof(double)), 0) << value;
  }
  c.diff.reset();
  EXPECT_FALSE(FromJson(ToJson(report))->metrics.back().comparisons.back().diff.has_value());
}

TEST(Json, NamesWhatIsWrong) {
  nlohmann::ordered_json json = nlohmann::ordered_json::parse(ToJson(Report()));
  const auto error = [](const nlohmann::ordered_json& changed) {
    const auto got = FromJson(changed.dump());
    return got.ok() ? std::string() : std::string(got.status().message());
  };
  auto changed = json;
  changed["verdict"]["decision"] = "perhaps";
  EXPECT_NE(error(changed).find("report.verdict.decision"), std::string::npos);
  changed = json;
  changed["health"].erase("srm");
  EXPECT_NE(error(changed).find("report.health.srm"), std::string::npos);
  changed = json;
  changed["extra"] = 1;
  EXPECT_NE(error(changed).find("not known"), std::string::npos);
  changed = json;
  changed["version"] = 99;
  EXPECT_NE(error(changed).find("version 99"), std::string::npos);
  changed = json;
  changed["arms"] = 3;
  EXPECT_NE(error(changed).find("expected a list"), std::string::npos);
  EXPECT_FALSE(FromJson("{").ok());
  EXPECT_FALSE(FromJson("[1]").ok());
}

// The schema's own rules on one value: the keywords that JsonSchema() uses, and no others.
void Validate(const nlohmann::json& schema, const nlohmann::json& value, const std::string& path,
              std::string* problem) {
  if (!problem->empty()) return;
  for (const auto& [keyword, rule] : schema.items()) {
    if (keyword == "anyOf") {
      bool any = false;
      for (const auto& option : rule) {
        std::string inner;
        Validate(option, value, path, &inner);
        any = any || inner.empty();
      }
      if (!any) *problem = path + ": no option fits";
    } else if (keyword == "enum") {
      if (std::find(rule.begin(), rule.end(), value) == rule.end()) *problem = path + ": enum";
    } else if (keyword == "type") {
      const auto is = [&](const std::string& type) {
        return (type == "object" && value.is_object()) || (type == "array" && value.is_array()) ||
               (type == "string" && value.is_string()) || (type == "null" && value.is_null()) ||
               (type == "boolean" && value.is_boolean()) ||
               (type == "integer" && value.is_number_integer()) ||
               (type == "number" && value.is_number());
      };
      bool fits = false;
      for (const auto& type : rule.is_array() ? rule : nlohmann::json::array({rule})) {
        fits = fits || is(type);
      }
      if (!fits) *problem = path + ": type";
    } else if (keyword == "required") {
      for (const std::string name : rule) {
        if (!value.contains(name)) *problem = path + "." + name + ": missing";
      }
    } else if (keyword == "additionalProperties") {
      for (const auto& [name, inner] : value.items()) {
        if (!schema["properties"].contains(name)) *problem = path + "." + name + ": unknown";
      }
    } else if (keyword == "properties") {
      for (const auto& [name, inner] : rule.items()) {
        if (value.contains(name)) Validate(inner, value[name], path + "." + name, problem);
      }
    } else if (keyword == "items") {
      for (const auto& item : value) Validate(rule, item, path + "[]", problem);
    } else {
      EXPECT_TRUE(keyword == "$schema" || keyword == "title" || keyword == "description")
          << keyword;
    }
  }
}

TEST(Json, FitsItsSchema) {
  const auto schema = nlohmann::json::parse(JsonSchema());
  const auto check = [&](const nlohmann::json& value) {
    std::string problem;
    Validate(schema, value, "report", &problem);
    return problem;
  };
  auto json = nlohmann::json::parse(SampleJson());
  EXPECT_EQ(check(json), "");
  json["metrics"][0]["comparisons"][0]["diff"] = "much";
  EXPECT_NE(check(json), "");
}

TEST(Json, SchemaFileIsThisSchema) {
  const std::string path = "docs/schema/report.schema.json";
  if (std::getenv("FULCRUM_APPROVE") != nullptr) {
    std::ofstream(path, std::ios::binary) << JsonSchema();
  }
  EXPECT_TRUE(ReadFile(path) == JsonSchema())
      << path << " differs from the field list; accept the change with script/approve";
}

TEST(Json, AnIndependentValidatorAgrees) {
  if (std::system("python3 -c 'import jsonschema' >/dev/null 2>&1") != 0) {
    GTEST_SKIP() << "python3-jsonschema is not installed";
  }
  const auto file = std::filesystem::temp_directory_path() /
                    ("fulcrum_report_" +
                     std::to_string(::testing::UnitTest::GetInstance()->random_seed()) + ".json");
  std::ofstream(file, std::ios::binary) << SampleJson();
  const std::string command =
      "python3 -W ignore -c \"import json,sys,jsonschema;"
      "s=json.load(open('docs/schema/report.schema.json'));"
      "jsonschema.Draft7Validator.check_schema(s);"
      "jsonschema.Draft7Validator(s).validate(json.load(open(sys.argv[1])))\" " +
      file.string();
  EXPECT_EQ(std::system(command.c_str()), 0);
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace fulcrum::report
