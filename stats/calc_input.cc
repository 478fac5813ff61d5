// SPDX-License-Identifier: Apache-2.0
#include "stats/calc_input.h"

#include <cmath>
#include <cstdlib>

namespace fulcrum::stats {

std::string Input::Path(std::string_view name) const {
  if (name.empty()) return path_.empty() ? "inputs" : path_;
  return path_.empty() ? std::string(name) : path_ + "." + std::string(name);
}

void Input::Fail(std::string_view name, std::string_view what) const {
  throw BadInput(Path(name) + ": " + std::string(what));
}

bool Input::Has(std::string_view name) const {
  const Value* found = value_->Find(name);
  return found != nullptr && !found->is_null();
}

Input Input::At(std::string_view name) const {
  if (!value_->is_object()) Fail("", "must be an object");
  const Value* found = value_->Find(name);
  if (found == nullptr) Fail(name, "is missing");
  return Input(*found, Path(name));
}

std::vector<Input> Input::Elements() const {
  if (!value_->is_array()) Fail("", "must be an array");
  std::vector<Input> items;
  items.reserve(value_->array().size());
  for (std::size_t i = 0; i < value_->array().size(); ++i) {
    items.emplace_back(value_->array()[i], Path("") + "[" + std::to_string(i) + "]");
  }
  return items;
}

std::vector<Input> Input::Items(std::string_view name) const { return At(name).Elements(); }

double Input::ToNumber(const Value& value, std::string_view name, bool infinite) const {
  double x = 0;
  if (value.is_number()) {
    x = value.number();
  } else if (value.is_text() && !value.text().empty()) {
    // Decimal text keeps exact inputs exact ("0.4"), and JSON has no other way to say Infinity.
    char* end = nullptr;
    x = std::strtod(value.text().c_str(), &end);
    if (*end != '\0') Fail(name, "must be a number");
  } else {
    Fail(name, "must be a number");
  }
  if (std::isnan(x)) Fail(name, "is not a number");
  if (!infinite && std::isinf(x)) Fail(name, "must be finite");
  return x;
}

double Input::Number(std::string_view name) const {
  return ToNumber(At(name).value(), name, false);
}

double Input::NumberOr(std::string_view name, double fallback) const {
  return Has(name) ? Number(name) : fallback;
}

double Input::NumberOrInfinity(std::string_view name) const {
  return ToNumber(At(name).value(), name, true);
}

double Input::Positive(std::string_view name) const {
  const double x = Number(name);
  if (!(x > 0)) Fail(name, "must be greater than 0");
  return x;
}

double Input::NonNegative(std::string_view name) const {
  const double x = Number(name);
  if (!(x >= 0)) Fail(name, "must not be negative");
  return x;
}

double Input::Probability(std::string_view name) const {
  const double x = Number(name);
  if (!(x >= 0 && x <= 1)) Fail(name, "must be between 0 and 1");
  return x;
}

double Input::OpenProbability(std::string_view name) const {
  const double x = Number(name);
  if (!(x > 0 && x < 1)) Fail(name, "must be greater than 0 and less than 1");
  return x;
}

double Input::Alpha() const { return Has("alpha") ? OpenProbability("alpha") : 0.05; }

std::int64_t Input::Count(std::string_view name) const {
  const double x = Number(name);
  if (!(x >= 0) || x != std::floor(x) || x > 9007199254740992.0) {
    Fail(name, "must be a whole number, 0 or more");
  }
  return static_cast<std::int64_t>(x);
}

std::int64_t Input::CountAtLeast(std::string_view name, std::int64_t least) const {
  const std::int64_t n = Count(name);
  if (n < least) Fail(name, "must be at least " + std::to_string(least));
  return n;
}

std::string Input::Text(std::string_view name) const {
  const Input item = At(name);
  if (!item.value().is_text()) Fail(name, "must be text");
  return item.value().text();
}

bool Input::BoolOr(std::string_view name, bool fallback) const {
  if (!Has(name)) return fallback;
  const Input item = At(name);
  if (!item.value().is_bool()) Fail(name, "must be true or false");
  return item.value().boolean();
}

std::vector<double> Input::Numbers() const {
  std::vector<double> numbers;
  if (!value_->is_array()) Fail("", "must be an array of numbers");
  numbers.reserve(value_->array().size());
  for (const Input& item : Elements()) numbers.push_back(item.ToNumber(item.value(), "", false));
  return numbers;
}

std::vector<double> Input::Numbers(std::string_view name) const { return At(name).Numbers(); }

std::vector<double> Input::NumbersAtLeast(std::string_view name, std::size_t least) const {
  std::vector<double> numbers = Numbers(name);
  if (numbers.size() < least) {
    Fail(name, "needs at least " + std::to_string(least) + " numbers");
  }
  return numbers;
}

std::vector<std::vector<double>> Input::Rows(std::string_view name) const {
  std::vector<std::vector<double>> rows;
  for (const Input& item : Items(name)) {
    // A column of plain numbers is accepted as rows of one.
    rows.push_back(item.value().is_array()
                       ? item.Numbers()
                       : std::vector<double>{item.ToNumber(item.value(), "", false)});
    if (rows.back().size() != rows.front().size())
      item.Fail("", "has another length than the first row");
  }
  return rows;
}

Proportion Input::Rate(std::string_view x, std::string_view n) const {
  const Proportion p{Count(x), CountAtLeast(n, 1)};
  if (p.events > p.n) Fail(x, "is larger than " + std::string(n));
  return p;
}

Proportion Input::Rate(std::string_view name) const { return At(name).Rate("x", "n"); }

Moments Input::Summary(std::string_view name, std::int64_t least) const {
  return At(name).Summary(least);
}

Moments Input::Summary(std::int64_t least) const {
  if (value_->is_array()) {
    const std::vector<double> values = Numbers();
    if (static_cast<std::int64_t>(values.size()) < least) {
      Fail("", "needs at least " + std::to_string(least) + " values (insufficient data)");
    }
    return Moments::Of(values);
  }
  const std::int64_t n = Count("n");
  if (n < least) Fail("n", "must be at least " + std::to_string(least) + " (insufficient data)");
  if (Has("x")) {
    const Proportion p = Rate("x", "n");
    return Moments::FromProportion(p.events, p.n);
  }
  const double count = static_cast<double>(n);
  if (Has("sum_squares")) {
    const double sum = Number("sum"), squares = NonNegative("sum_squares");
    if (n == 0) return {};
    const double mean = sum / count;
    // fma: the product is not rounded before the subtraction, which is all the precision left.
    const double m2 = std::fma(-mean, sum, squares);
    if (m2 < -1e-12 * squares) Fail("sum_squares", "is less than sum^2 / n, which cannot be");
    return {n, mean, std::max(0.0, m2)};
  }
  return Moments::FromVariance(n, Number("mean"), NonNegative("var"));
}

}  // namespace fulcrum::stats
