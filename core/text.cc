// SPDX-License-Identifier: Apache-2.0
#include "core/text.h"

#include <cmath>
#include <limits>

#include "core/snapshot_data.h"

namespace fulcrum::core::text {
namespace {

constexpr size_t kMaxQuotedBytes = 60;

void AppendDigits(std::string* out, uint64_t number, int width) {
  char digits[20];
  int first = sizeof(digits);
  do {
    digits[--first] = static_cast<char>('0' + number % 10);
    number /= 10;
  } while (number != 0);
  for (int have = static_cast<int>(sizeof(digits)) - first; have < width; ++have) *out += '0';
  out->append(digits + first, sizeof(digits) - static_cast<size_t>(first));
}

int64_t FloorDivide(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

}  // namespace

void Append(std::string* out, std::string_view piece) { out->append(piece); }

void Append(std::string* out, int64_t number) {
  if (number < 0) *out += '-';
  AppendDigits(out, number < 0 ? uint64_t{0} - static_cast<uint64_t>(number) : uint64_t(number), 1);
}

std::string Quoted(std::string_view bytes) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out = "'";
  for (const char c : bytes.substr(0, kMaxQuotedBytes)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  out += bytes.size() > kMaxQuotedBytes ? "...'" : "'";
  return out;
}

std::string Real(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-infinity" : "infinity";
  std::string out = std::signbit(value) ? "-" : "";
  const double size = std::fabs(value);
  if (size >= 1e15) {  // digits beyond a double's precision would be noise: say the magnitude
    const int exponent = static_cast<int>(std::floor(std::log10(size)));
    return out + Real(size / std::pow(10.0, exponent)) + Cat("e", exponent);
  }
  const auto millionths = static_cast<uint64_t>(std::llround(std::fmod(size, 1.0) * 1e6));
  AppendDigits(&out, static_cast<uint64_t>(size) + millionths / 1'000'000, 1);
  std::string decimals;
  AppendDigits(&decimals, millionths % 1'000'000, 6);
  while (decimals.size() > 1 && decimals.back() == '0') decimals.pop_back();
  return out + "." + decimals;
}

std::string Percent(uint32_t ppm) {
  std::string out = Cat(ppm / 10'000);
  std::string decimals;
  AppendDigits(&decimals, ppm % 10'000, 4);
  while (!decimals.empty() && decimals.back() == '0') decimals.pop_back();
  return decimals.empty() ? out + "%" : out + "." + decimals + "%";
}

std::string TimeMs(int64_t time_ms) {
  if (time_ms == kDistantPastMs) return "always";
  if (time_ms == kDistantFutureMs) return "never";
  constexpr int64_t kDayMs = 86'400'000;
  const int64_t days = FloorDivide(time_ms, kDayMs);
  const auto in_day = static_cast<uint64_t>((time_ms % kDayMs + kDayMs) % kDayMs);
  // Civil date from days since 1970-01-01: count in 400-year eras that begin on 1 March, so that
  // the leap day is the last of its year.
  const int64_t shifted = days + 719'468;
  const int64_t era = FloorDivide(shifted, 146'097);
  const int64_t day_of_era = shifted - era * 146'097;
  const int64_t year_of_era =
      (day_of_era - day_of_era / 1'460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t month_from_march = (5 * day_of_year + 2) / 153;
  const int64_t day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
  const int64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
  const int64_t year = era * 400 + year_of_era + (month <= 2 ? 1 : 0);
  std::string out = year < 0 ? "-" : "";
  AppendDigits(&out, static_cast<uint64_t>(year < 0 ? -year : year), 4);
  const auto field = [&out](char separator, uint64_t value, int width) {
    out += separator;
    AppendDigits(&out, value, width);
  };
  field('-', static_cast<uint64_t>(month), 2);
  field('-', static_cast<uint64_t>(day), 2);
  field('T', in_day / 3'600'000, 2);
  field(':', in_day / 60'000 % 60, 2);
  field(':', in_day / 1'000 % 60, 2);
  field('.', in_day % 1'000, 3);
  return out + "Z";
}

}  // namespace fulcrum::core::text
