// SPDX-License-Identifier: Apache-2.0
//
// docs/schema is what editors check while people type: it must accept whatever loads, and refuse
// what is wrong within one file.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/text.h"
#include "experiments/bad_experiment_test_data.h"
#include "experiments/bad_project_test_data.h"
#include "experiments/json_schema_test_lib.h"
#include "experiments/load.h"
#include "experiments/sample_test_data.h"
#include "experiments/yaml_reader.h"
#include "experiments/yaml_values.h"

namespace fulcrum::experiments {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// Tests run in the checkout. (A compiler cache may make __FILE__ a path from elsewhere.)
fs::path Root() { return "."; }

std::string Slurp(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  std::stringstream text;
  text << stream.rdbuf();
  return text.str();
}

JsonSchema Schemas() {
  std::map<std::string, Json> files;
  for (const char* name : {"definitions", "project", "metrics", "experiment", "analyze"}) {
    const std::string file = std::string(name) + ".schema.json";
    files[file] = Json::parse(Slurp(Root() / "docs" / "schema" / file));
  }
  return JsonSchema(std::move(files));
}

// As a YAML 1.2 reader of the core schema, such as an editor's, sees it.
Json ToJson(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return nullptr;
    case YamlNode::Kind::kSequence: {
      Json out = Json::array();
      for (const YamlNode& item : node.items) out.push_back(ToJson(item));
      return out;
    }
    case YamlNode::Kind::kMap: {
      Json out = Json::object();
      for (const YamlEntry& entry : node.entries) out[entry.key] = ToJson(entry.value);
      return out;
    }
    case YamlNode::Kind::kScalar:
      break;
  }
  if (!node.is_plain) return node.text;
  switch (ClassifyPlain(node.text)) {
    case PlainForm::kBool:
      return node.text == "true";
    case PlainForm::kInt:
      return *ParseInt(node.text);
    case PlainForm::kFloat:
      return ParseDouble(node.text).value_or(0);
    default:
      return node.text;
  }
}

std::optional<Json> Parse(const std::string& text) {
  std::vector<Diagnostic> diagnostics;
  const auto root = ReadYaml(text, Source("x", &diagnostics));
  if (!root || !diagnostics.empty()) return std::nullopt;
  return ToJson(*root);
}

std::string SchemaOf(const std::string& name) {
  if (name == "project.yaml") return "project.schema.json";
  if (name == "metrics.yaml") return "metrics.schema.json";
  return name.rfind("experiments/", 0) == 0 ? "experiment.schema.json" : "analyze.schema.json";
}

TEST(SchemaTest, AcceptsTheSamples) {
  const JsonSchema schemas = Schemas();
  for (const auto& [name, text] : SampleFiles()) {
    EXPECT_EQ(schemas.Check(SchemaOf(name), *Parse(text)), "") << name;
  }
  EXPECT_EQ(schemas.Check("analyze.schema.json", *Parse(kSampleAnalyze)), "");
}

TEST(SchemaTest, AcceptsEveryExampleAndNamesItsSchema) {
  const JsonSchema schemas = Schemas();
  int files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(Root() / "examples")) {
    if (entry.path().extension() != ".yaml") continue;
    ++files;
    const std::string text = Slurp(entry.path());
    const std::string modeline = "# yaml-language-server: $schema=";
    ASSERT_EQ(text.rfind(modeline, 0), 0u) << entry.path();
    const std::string relative = text.substr(modeline.size(), text.find('\n') - modeline.size());
    const fs::path schema = fs::weakly_canonical(entry.path().parent_path() / relative);
    EXPECT_TRUE(fs::exists(schema)) << entry.path() << " names " << schema;
    const auto json = Parse(text);
    ASSERT_TRUE(json.has_value()) << entry.path();
    EXPECT_EQ(schemas.Check(schema.filename().string(), *json), "") << entry.path();
  }
  EXPECT_GT(files, 0);
}

// The samples of docs/definitions.md: blocks that name their file in the first line.
TEST(SchemaTest, TheDocumentedDefinitionsLoad) {
  const std::string doc = Slurp(Root() / "docs" / "definitions.md");
  const JsonSchema schemas = Schemas();
  const std::string fence = "```yaml\n# ";
  std::map<std::string, std::string> files;
  for (size_t at = doc.find(fence); at != std::string::npos; at = doc.find(fence, at)) {
    at += fence.size();
    const std::string name = doc.substr(at, doc.find('\n', at) - at);
    files[name] = doc.substr(at - 2, doc.find("```", at) - at + 2);
  }
  ASSERT_EQ(files.size(), 4u);
  for (const auto& [name, text] : files) {
    EXPECT_EQ(schemas.Check(SchemaOf(name), *Parse(text)), "") << name;
  }
  const LoadResult analyze = LoadAnalyzeText("analyze.yaml", files.at("analyze.yaml"));
  for (const Diagnostic& d : analyze.diagnostics) ADD_FAILURE() << Format(d);
  files.erase("analyze.yaml");
  const LoadResult loaded = LoadFromFiles(files);
  for (const Diagnostic& d : loaded.diagnostics) ADD_FAILURE() << Format(d);
}

// Rules about one value or one map; those about names declared elsewhere, positions in time and
// sums are beyond a schema.
const char* const kBeyond[] = {"is the chance of seeing",
                               "is added up over units",
                               "cannot overlap with itself",
                               "unknown metric",
                               "unknown stage",
                               "unknown unit",
                               "unknown layer",
                               "unknown variant",
                               "unknown experiment",
                               "unknown attribute",
                               "unknown segment",
                               "unknown `timezone`",
                               "undeclared",
                               "cyclic",
                               "salt `",
                               "raw event",
                               "is one of the raw names",
                               "is not a declared value",
                               "declared bool",
                               "declared int",
                               "declared string",
                               "beyond what a number",
                               "declared float",
                               "declared time",
                               "declared version",
                               "has no order",
                               "is declared int",
                               "is not the currency",
                               "sum to",
                               "no variant is the control",
                               "second control",
                               "others have one",
                               "more than six decimals",
                               "finer than",
                               "overlaps",
                               "the smaller first",
                               "the ramp goes down",
                               "in order of time",
                               "first ramp step",
                               "ramp begins before",
                               "step begins after",
                               "counts from the start",
                               "must be after its",
                               "must be after `from`",
                               "is empty: its end",
                               "can never hold",
                               "must be shorter than `block`",
                               "between the years",
                               "is primary and secondary",
                               "is listed twice in",
                               "is a funnel, several",
                               "is not of kind `funnel`",
                               "by `device` and",
                               "to itself",
                               "links to itself",
                               "must be a bool: declare",
                               "two stages that are not optional",
                               "names a column",
                               "is of events, and",
                               "is of events: it needs",
                               "already defined",
                               "is of type",
                               "word of the condition grammar",
                               "is a layer excludes",
                               "the control has weight",
                               "a layer excludes units",
                               "`analysis.",
                               "`decision.",
                               "`satisfied_if` of stage",
                               "is the chance of seeing `min_lift`",
                               "2026-02-30",
                               "has more than one of",
                               "is null, which",
                               "is read differently",
                               "is a bool to some",
                               "`value` of variant",
                               "such as 90s, 15m, 12h, 7d or 2w, at most",
                               "compare with `eq`"};

bool IsWithinASchema(const std::string& message) {
  return std::none_of(std::begin(kBeyond), std::end(kBeyond),
                      [&](const char* part) { return message.find(part) != std::string::npos; });
}

TEST(SchemaTest, RefusesWhatASchemaCanSee) {
  const JsonSchema schemas = Schemas();
  std::vector<BadCase> cases = kBadExperiments;
  const std::vector<BadCase> more = kBadProjects;
  cases.insert(cases.end(), more.begin(), more.end());
  int seen = 0;
  for (const BadCase& bad : cases) {
    auto files = SampleFiles();
    files[kAnalyzeFile] = kSampleAnalyze;
    std::string text = files.at(bad.file);
    if (bad.from.empty()) {
      text = bad.to;
    } else {
      text.replace(text.find(bad.from), bad.from.size(), bad.to);
    }
    const auto json = Parse(text);
    if (!json || bad.line == 0) continue;  // Not YAML as we take it: no schema gets to see it.
    files.erase(kAnalyzeFile);
    LoadResult loaded;
    if (bad.file == std::string_view(kAnalyzeFile)) {
      loaded = LoadAnalyzeText(kAnalyzeFile, text);
    } else {
      files[bad.file] = text;
      loaded = LoadFromFiles(files);
    }
    bool within = false;
    std::string all;
    for (const Diagnostic& d : loaded.diagnostics) {
      if (d.file != bad.file || d.severity != Severity::kError) continue;
      within = within || IsWithinASchema(d.message);
      all += Format(d) + "\n";
    }
    if (!within) continue;
    ++seen;
    EXPECT_NE(schemas.Check(SchemaOf(bad.file), *json), "")
        << "`" << bad.from << "` -> `" << bad.to << "`\n"
        << all;
  }
  EXPECT_GT(seen, 80);
}

}  // namespace
}  // namespace fulcrum::experiments
