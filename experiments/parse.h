// SPDX-License-Identifier: Apache-2.0
//
// From YAML trees to definitions: shape and types, every problem reported at its place. What needs
// the rest of the project (does this name exist, is this cyclic) is validate.h's. Where a field is
// wrong it keeps its default, so that one slip costs one message. Private to this folder.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "experiments/definition.h"
#include "experiments/yaml_reader.h"
#include "experiments/yaml_values.h"

namespace fulcrum::experiments {

// Words of the condition grammar, which therefore cannot name attributes.
const std::vector<std::string>& ReservedConditionWords();

// `attributes` gives operands their types; an operand of an undeclared attribute is taken by its
// form (validate.h then reports the attribute).
Condition ParseCondition(const Source& source, const YamlNode& node, const std::string& what,
                         const std::vector<AttributeDecl>& attributes);

// `filter:` of a metric's events.
std::vector<PropertyFilter> ParseFilters(const Source& source, const YamlNode& node,
                                         const std::string& what);

// A map of metrics, appended to *out; a key that is already there is an error.
void ParseMetrics(const Source& source, const YamlNode& node, std::vector<MetricDefinition>* out);

// project.yaml.
void ParseProjectFile(const Source& source, const YamlNode& root, Project* project);
// metrics.yaml.
void ParseMetricsFile(const Source& source, const YamlNode& root, Project* project);

// The keys of a project that a file for `analyze` may hold too.
const std::vector<std::string>& InlineProjectKeys();
// Reads those of `fields`; `title` is left to the experiment.
void ParseInlineProject(const Fields& fields, Project* project);

// experiments/NAME.yaml. REQUIRES: *project was parsed before, for attribute types and defaults.
ExperimentDefinition ParseExperimentFile(const Source& source, const YamlNode& root,
                                         const Project& project);

// A file for `analyze`: fills in the project from the same map.
ExperimentDefinition ParseAnalyzeFile(const Source& source, const YamlNode& root, Project* project);

// The value of a variant as canonical JSON, and its type. False when reported.
bool ParseVariantValue(const Source& source, const YamlNode& node, const std::string& what,
                       std::string* json, ValueType* type);
const char* ValueTypeName(ValueType type);

DataSource ParseDataSource(const Source& source, const YamlNode& node, FieldPositions* noted);

}  // namespace fulcrum::experiments
