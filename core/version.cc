// SPDX-License-Identifier: Apache-2.0
#include "core/version.h"

#include <cstddef>

namespace fulcrum::core {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsIdentifier(char c) {
  return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
}

struct Parts {
  std::string_view numbers;      // "1.2.3"
  std::string_view pre_release;  // "rc.1"; empty where there is none
};

Parts Split(std::string_view text) {
  if (!text.empty() && (text.front() == 'v' || text.front() == 'V')) text.remove_prefix(1);
  text = text.substr(0, text.find('+'));
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos) return {text, {}};
  return {text.substr(0, dash), text.substr(dash + 1)};
}

// Takes the part before the next dot off `list`.
std::string_view NextPart(std::string_view* list) {
  const size_t dot = list->find('.');
  const std::string_view part = list->substr(0, dot);
  *list = dot == std::string_view::npos ? std::string_view() : list->substr(dot + 1);
  return part;
}

template <typename Allowed>
bool IsDotted(std::string_view list, Allowed allowed) {
  if (list.empty() || list.back() == '.') return false;
  while (!list.empty()) {
    const std::string_view part = NextPart(&list);
    if (part.empty()) return false;
    for (const char c : part) {
      if (!allowed(c)) return false;
    }
  }
  return true;
}

bool IsNumber(std::string_view part) {
  for (const char c : part) {
    if (!IsDigit(c)) return false;
  }
  return !part.empty();
}

// Of any length, so no number overflows; "" counts as zero.
int CompareNumbers(std::string_view a, std::string_view b) {
  while (!a.empty() && a.front() == '0') a.remove_prefix(1);
  while (!b.empty() && b.front() == '0') b.remove_prefix(1);
  if (a.size() != b.size()) return a.size() < b.size() ? -1 : 1;
  return a.compare(b);
}

int ComparePreRelease(std::string_view a, std::string_view b) {
  // A release comes after its own pre-releases.
  if (a.empty() || b.empty()) return static_cast<int>(a.empty()) - static_cast<int>(b.empty());
  while (!a.empty() && !b.empty()) {
    const std::string_view x = NextPart(&a);
    const std::string_view y = NextPart(&b);
    const bool x_number = IsNumber(x);
    const bool y_number = IsNumber(y);
    if (x_number != y_number) return x_number ? -1 : 1;
    const int order = x_number ? CompareNumbers(x, y) : x.compare(y);
    if (order != 0) return order;
  }
  return static_cast<int>(!a.empty()) - static_cast<int>(!b.empty());
}

}  // namespace

bool IsVersion(std::string_view text) {
  const Parts parts = Split(text);
  if (!IsDotted(parts.numbers, IsDigit)) return false;
  const size_t plus = text.find('+');
  if (plus != std::string_view::npos && !IsDotted(text.substr(plus + 1), IsIdentifier)) {
    return false;
  }
  const bool has_pre_release = text.substr(0, plus).find('-') != std::string_view::npos;
  return !has_pre_release || IsDotted(parts.pre_release, IsIdentifier);
}

int CompareVersions(std::string_view a, std::string_view b) {
  Parts x = Split(a);
  Parts y = Split(b);
  while (!x.numbers.empty() || !y.numbers.empty()) {
    const int order = CompareNumbers(NextPart(&x.numbers), NextPart(&y.numbers));
    if (order != 0) return order;
  }
  return ComparePreRelease(x.pre_release, y.pre_release);
}

}  // namespace fulcrum::core
