// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdio>
#include <iostream>
#include <memory>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/text.h"
#include "cli/command.h"
#include "nlohmann/json.hpp"
#include "stats/calculator.h"

namespace fulcrum::cli {
namespace {

struct Options {
  std::string method;
  bool list = false;
};

stats::Value FromJson(const nlohmann::ordered_json& json) {
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_number()) return json.get<double>();
  if (json.is_string()) return json.get<std::string>();
  if (json.is_array()) {
    stats::Value::Array array;
    array.reserve(json.size());
    for (const auto& element : json) array.push_back(FromJson(element));
    return array;
  }
  if (json.is_object()) {
    stats::Value::Object object;
    for (const auto& [key, value] : json.items()) object.emplace_back(key, FromJson(value));
    return object;
  }
  return nullptr;
}

void AppendJson(const stats::Value& value, int indent, std::string* out) {
  const std::string margin(static_cast<size_t>(indent) + 2, ' ');
  if (value.is_null()) {
    out->append("null");
  } else if (value.is_bool()) {
    out->append(value.boolean() ? "true" : "false");
  } else if (value.is_number()) {
    const double number = value.number();
    if (std::isfinite(number)) {
      out->append(FormatDouble(number));
    } else {
      AppendJsonString(FormatDouble(number), out);
    }
  } else if (value.is_text()) {
    AppendJsonString(value.text(), out);
  } else if (value.is_array()) {
    const char* separator = "[";
    for (const stats::Value& element : value.array()) {
      out->append(separator);
      AppendJson(element, indent + 2, out);
      separator = ", ";
    }
    out->append(value.array().empty() ? "[]" : "]");
  } else {
    const char* separator = "{\n";
    for (const auto& [key, member] : value.object()) {
      absl::StrAppend(out, separator, margin);
      AppendJsonString(key, out);
      out->append(": ");
      AppendJson(member, indent + 2, out);
      separator = ",\n";
    }
    if (value.object().empty()) {
      out->append("{}");
    } else {
      absl::StrAppend(out, "\n", std::string(static_cast<size_t>(indent), ' '), "}");
    }
  }
}

int RunStats(const Options& options) {
  if (options.list) {
    for (const stats::MethodInfo& method : stats::Methods()) {
      std::cout << method.name << "\t" << method.summary << "\n";
    }
    return kDone;
  }
  const auto text = ReadFile("-");
  if (!text.ok()) return Fail(text.status());
  const auto json = nlohmann::ordered_json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) {
    return Fail(InvalidArgument(
        "standard input is not JSON; give the method's inputs as one object, for example "
        "{\"treatment\": {\"x\": 60, \"n\": 1000}, \"control\": {\"x\": 50, \"n\": 1000}}."));
  }
  stats::Value result;
  if (const auto status = stats::Calculate(options.method, FromJson(json), &result); !status.ok()) {
    return Fail(InvalidArgument(status.error));
  }
  std::string out;
  AppendJson(result, 0, &out);
  std::cout << out << "\n";
  return kDone;
}

}  // namespace

void AddStats(CLI::App* program, Run* run) {
  auto options = std::make_shared<Options>();
  CLI::App* command = program->add_subcommand(
      "stats",
      "The calculator: one statistical method on JSON from standard input.\n"
      "Example: echo '{\"treatment\": {\"x\": 60, \"n\": 1000}, \"control\": {\"x\": 50, "
      "\"n\": 1000}}' | fulcrum stats two_proportion_z");
  CLI::Option* method = command->add_option("METHOD", options->method, "See --list");
  CLI::Option* list = command->add_flag("--list", options->list, "All methods, a line each");
  command->callback([=] {
    if (method->count() + list->count() == 0) throw CLI::RequiredError("METHOD (see --list)");
    *run = [=] { return RunStats(*options); };
  });
}

}  // namespace fulcrum::cli
