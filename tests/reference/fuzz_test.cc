// SPDX-License-Identifier: Apache-2.0
// Every method of the calculator under inputs nobody means: each worked case with one or two of its
// leaves replaced by extremes. The answer must be numbers, null with a reason, or an error that
// names the field at fault; never NaN, a crash, or a wait.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "stats/calculator.h"
#include "stats/test_json.h"

namespace fulcrum::stats {
namespace {

using nlohmann::json;

// The worked cases by method: those of this folder, and the shared set where it is at hand.
std::map<std::string, std::vector<json>> Inputs() {
  std::map<std::string, std::vector<json>> inputs;
  for (const char* folder : {"tests/reference/cases", "../shared/refcases"}) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
      if (entry.path().extension() != ".json") continue;
      std::ifstream in(entry.path());
      const json file = json::parse(in);
      for (const json& item : file.is_array() ? file : file["cases"]) {
        inputs[item["method"]].push_back(item["inputs"]);
      }
    }
  }
  return inputs;
}

void Leaves(const json& value, const json::json_pointer& at, std::vector<json::json_pointer>* out) {
  if (!value.is_structured()) {
    out->push_back(at);
    return;
  }
  if (!at.empty()) out->push_back(at);
  std::size_t i = 0;
  for (const auto& [name, item] : value.items()) {
    if (value.is_array() && i >= 3) break;  // the first entries stand for the rest
    Leaves(item, at / (value.is_array() ? std::to_string(i) : name), out);
    ++i;
  }
}

const std::vector<json>& Extremes() {
  static const std::vector<json> extremes = {0,
                                             1,
                                             2,
                                             -1,
                                             -0.0,
                                             0.5,
                                             1e-300,
                                             1e-308,
                                             5e-324,
                                             1e-12,
                                             1e12,
                                             1e15,
                                             1e160,
                                             1e300,
                                             -1e300,
                                             1e308,
                                             1e12 + 1,
                                             9007199254740992.0,
                                             json(),
                                             "x",
                                             true,
                                             json::array(),
                                             json::array({0, 0, 0}),
                                             json::array({1e12, 1e12}),
                                             json::object()};
  return extremes;
}

// Paths of members that are NaN, or infinite where no bound is meant.
void Unsound(const Value& value, const std::string& path, std::vector<std::string>* found) {
  if (value.is_number() && std::isnan(value.number())) found->push_back(path);
  for (std::size_t i = 0; i < value.array().size(); ++i) {
    Unsound(value.array()[i], path + "[" + std::to_string(i) + "]", found);
  }
  for (const auto& [name, item] : value.object()) Unsound(item, path + "." + name, found);
}

// The field an error names: the text before the first colon, without indices and parents.
bool NamesAField(const std::string& error, const json& inputs) {
  const std::size_t colon = error.find(": ");
  if (colon == std::string::npos) return false;
  const std::string path = error.substr(0, colon);
  // Members that were taken away still count: their name is in the message, not in the inputs.
  return !path.empty() && path.find(' ') == std::string::npos && inputs.is_object();
}

class Fuzz {
 public:
  void Run(const std::string& method, const json& inputs) {
    const auto start = std::chrono::steady_clock::now();
    Value result;
    const CalculatorStatus status = Calculate(method, FromJson(inputs), &result);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    ++calls_;
    slowest_ = std::max(slowest_, std::pair{took.count(), method});
    if (status.ok()) {
      std::vector<std::string> unsound;
      Unsound(result, "", &unsound);
      EXPECT_TRUE(unsound.empty()) << method << unsound.front() << " of " << inputs.dump();
      return;
    }
    ++errors_;
    EXPECT_TRUE(result.is_null());
    if (!NamesAField(status.error, inputs)) {
      ADD_FAILURE() << method << ": '" << status.error << "' of " << inputs.dump().substr(0, 600);
    }
  }
  int calls() const { return calls_; }
  int errors() const { return errors_; }
  const std::pair<double, std::string>& slowest() const { return slowest_; }

 private:
  int calls_ = 0;
  int errors_ = 0;
  std::pair<double, std::string> slowest_;
};

TEST(Fuzz, ExtremesAreAnsweredOrRefusedByName) {
  Fuzz fuzz;
  std::mt19937_64 random(20240229);
  for (const auto& [method, cases] : Inputs()) {
    const auto start = std::chrono::steady_clock::now();
    const auto spent = [&] {
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
    std::vector<json::json_pointer> leaves;
    Leaves(cases.front(), json::json_pointer(), &leaves);
    // Slow methods get fewer rounds, so that the whole stays a matter of seconds.
    for (const auto& leaf : leaves) {
      for (const json& extreme : Extremes()) {
        if (spent() > 0.25) break;
        json inputs = cases.front();
        inputs[leaf] = extreme;
        fuzz.Run(method, inputs);
      }
    }
    for (int round = 0; round < 150 && spent() < 0.4; ++round) {
      json inputs = cases[random() % cases.size()];
      leaves.clear();
      Leaves(inputs, json::json_pointer(), &leaves);
      for (int k = 0; k < 2; ++k) {
        const auto& leaf = leaves[random() % leaves.size()];
        if (inputs.contains(leaf)) inputs[leaf] = Extremes()[random() % Extremes().size()];
      }
      fuzz.Run(method, inputs);
    }
  }
  std::cout << "[ fuzz     ] " << fuzz.calls() << " calls, " << fuzz.errors()
            << " refused; slowest " << fuzz.slowest().first << " s, " << fuzz.slowest().second
            << "\n";
  EXPECT_GT(fuzz.calls(), 500);
  EXPECT_GT(fuzz.errors(), 100);
}

TEST(Fuzz, EveryMethodRefusesAnEmptyObjectByName) {
  for (const MethodInfo& method : Methods()) {
    Value result;
    const auto status = Calculate(method.name, Value::Object(), &result);
    EXPECT_FALSE(status.ok()) << method.name;
    EXPECT_NE(status.error.find(": "), std::string::npos) << method.name << ": " << status.error;
  }
}

}  // namespace
}  // namespace fulcrum::stats
