// SPDX-License-Identifier: Apache-2.0
#include "base/time.h"

#include <array>
#include <chrono>
#include <cstdio>
#include <limits>

namespace fulcrum {
namespace {

bool Digits(std::string_view text, size_t at, size_t count, int* value) {
  if (at + count > text.size()) return false;
  *value = 0;
  for (size_t i = at; i < at + count; ++i) {
    if (text[i] < '0' || text[i] > '9') return false;
    *value = *value * 10 + (text[i] - '0');
  }
  return true;
}

struct Civil {
  int year, month, day, hour, minute, second, millis;
};

Civil ToCivil(int64_t unix_ms) {
  using std::chrono::milliseconds;
  const std::chrono::sys_time<milliseconds> instant{milliseconds(unix_ms)};
  const auto day = std::chrono::floor<std::chrono::days>(instant);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss<milliseconds> time(instant - day);
  return {static_cast<int>(date.year()),
          static_cast<int>(static_cast<unsigned>(date.month())),
          static_cast<int>(static_cast<unsigned>(date.day())),
          static_cast<int>(time.hours().count()),
          static_cast<int>(time.minutes().count()),
          static_cast<int>(time.seconds().count()),
          static_cast<int>(time.subseconds().count())};
}

// Fraction digits after '.', to milliseconds (the rest is cut off), moving *at past them.
bool ParseFraction(std::string_view text, size_t* at, int* millis) {
  *millis = 0;
  if (*at >= text.size() || text[*at] != '.') return true;
  size_t i = *at + 1;
  int scale = 100;
  for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i, scale /= 10) {
    *millis += (text[i] - '0') * scale;
  }
  if (i == *at + 1) return false;
  *at = i;
  return true;
}

bool ParseOffset(std::string_view text, int* minutes) {
  if (text == "Z" || text == "z") {
    *minutes = 0;
    return true;
  }
  int hh = 0, mm = 0;
  if (text.size() != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':' ||
      !Digits(text, 1, 2, &hh) || !Digits(text, 4, 2, &mm) || hh > 23 || mm > 59) {
    return false;
  }
  *minutes = (text[0] == '-' ? -1 : 1) * (hh * 60 + mm);
  return true;
}

struct DurationUnit {
  std::string_view name;
  int64_t ms;
};
// From large to small, the order in which they may be summed.
constexpr std::array<DurationUnit, 6> kUnits = {{{"w", 7 * kDayMs},
                                                 {"d", kDayMs},
                                                 {"h", kHourMs},
                                                 {"m", kMinuteMs},
                                                 {"s", kSecondMs},
                                                 {"ms", 1}}};

}  // namespace

std::optional<int64_t> ParseRfc3339(std::string_view text) {
  int year, month, day, hour, minute, second, millis, offset;
  if (text.size() < 20 || !Digits(text, 0, 4, &year) || text[4] != '-' ||
      !Digits(text, 5, 2, &month) || text[7] != '-' || !Digits(text, 8, 2, &day) ||
      (text[10] != 'T' && text[10] != 't' && text[10] != ' ') || !Digits(text, 11, 2, &hour) ||
      text[13] != ':' || !Digits(text, 14, 2, &minute) || text[16] != ':' ||
      !Digits(text, 17, 2, &second)) {
    return std::nullopt;
  }
  size_t at = 19;
  if (!ParseFraction(text, &at, &millis) || !ParseOffset(text.substr(at), &offset)) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  // A leap second is read as the second before it: Unix time has no place for it.
  if (!date.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  if (second == 60) second = 59;
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return days * kDayMs + hour * kHourMs + (minute - offset) * kMinuteMs + second * kSecondMs +
         millis;
}

std::string FormatRfc3339(int64_t unix_ms) {
  const Civil c = ToCivil(unix_ms);
  char buffer[96];
  if (c.millis == 0) {
    std::snprintf(buffer, sizeof buffer, "%04d-%02d-%02dT%02d:%02d:%02dZ", c.year, c.month, c.day,
                  c.hour, c.minute, c.second);
  } else {
    std::snprintf(buffer, sizeof buffer, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", c.year, c.month,
                  c.day, c.hour, c.minute, c.second, c.millis);
  }
  return buffer;
}

std::string FormatDate(int64_t unix_ms) {
  const Civil c = ToCivil(unix_ms);
  char buffer[48];
  std::snprintf(buffer, sizeof buffer, "%04d-%02d-%02d", c.year, c.month, c.day);
  return buffer;
}

std::optional<int64_t> ParseDuration(std::string_view text) {
  if (text.empty()) return std::nullopt;
  int64_t total = 0;
  size_t next_unit = 0;
  while (!text.empty()) {
    size_t digits = 0;
    int64_t amount = 0;
    while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') {
      if (digits >= 12) return std::nullopt;
      amount = amount * 10 + (text[digits++] - '0');
    }
    size_t letters = digits;
    while (letters < text.size() && text[letters] >= 'a' && text[letters] <= 'z') ++letters;
    const std::string_view name = text.substr(digits, letters - digits);
    size_t unit = next_unit;
    while (unit < kUnits.size() && kUnits[unit].name != name) ++unit;
    if (digits == 0 || unit == kUnits.size()) return std::nullopt;
    if (amount > (std::numeric_limits<int64_t>::max() - total) / kUnits[unit].ms) {
      return std::nullopt;
    }
    total += amount * kUnits[unit].ms;
    next_unit = unit + 1;
    text.remove_prefix(letters);
  }
  return total;
}

std::string FormatDuration(int64_t duration_ms) {
  if (duration_ms == 0) return "0s";
  // Unsigned, so that the smallest int64 has a magnitude.
  uint64_t rest =
      duration_ms < 0 ? 0 - static_cast<uint64_t>(duration_ms) : static_cast<uint64_t>(duration_ms);
  std::string out = duration_ms < 0 ? "-" : "";
  for (const DurationUnit& unit : kUnits) {
    // Days read better than weeks: "14d" is what people write in a window.
    if (unit.name == "w") continue;
    const uint64_t amount = rest / static_cast<uint64_t>(unit.ms);
    if (amount == 0) continue;
    out += std::to_string(amount);
    out += unit.name;
    rest -= amount * static_cast<uint64_t>(unit.ms);
  }
  return out;
}

int64_t WallClockMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace fulcrum
