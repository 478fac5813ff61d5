// SPDX-License-Identifier: Apache-2.0
#include "report/format.h"

#include <array>
#include <cmath>
#include <cstdio>

#include "base/time.h"

namespace fulcrum::report {
namespace {

struct CodePoint {
  uint32_t value = 0;
  size_t bytes = 1;
};

// Malformed bytes count as one column each.
CodePoint Decode(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(at);
  size_t length = 1;
  uint32_t value = lead;
  if (lead >= 0xF0) {
    length = 4;
    value = lead & 0x07U;
  } else if (lead >= 0xE0) {
    length = 3;
    value = lead & 0x0FU;
  } else if (lead >= 0xC0) {
    length = 2;
    value = lead & 0x1FU;
  }
  if (at + length > text.size()) return {lead, 1};
  for (size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xC0U) != 0x80U) return {lead, 1};
    value = (value << 6U) | (byte(at + i) & 0x3FU);
  }
  return {value, length};
}

struct Range {
  uint32_t from, to;
};

// Unicode Standard Annex 11: the blocks that are Wide or Fullwidth.
constexpr std::array<Range, 13> kWide{{{0x1100, 0x115F},
                                       {0x2E80, 0x303E},
                                       {0x3041, 0x33FF},
                                       {0x3400, 0x4DBF},
                                       {0x4E00, 0x9FFF},
                                       {0xA000, 0xA4CF},
                                       {0xAC00, 0xD7A3},
                                       {0xF900, 0xFAFF},
                                       {0xFE30, 0xFE6F},
                                       {0xFF00, 0xFF60},
                                       {0xFFE0, 0xFFE6},
                                       {0x1F300, 0x1FAFF},
                                       {0x20000, 0x3FFFD}}};
constexpr std::array<Range, 4> kZero{
    {{0x0300, 0x036F}, {0x200B, 0x200F}, {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}}};

template <size_t N>
bool In(const std::array<Range, N>& ranges, uint32_t value) {
  for (const Range& range : ranges) {
    if (value >= range.from && value <= range.to) return true;
  }
  return false;
}

size_t WidthOf(uint32_t value) {
  if (In(kZero, value)) return 0;
  return In(kWide, value) ? 2 : 1;
}

std::string WithThousands(std::string digits) {
  const size_t point = digits.find('.');
  size_t end = point == std::string::npos ? digits.size() : point;
  const size_t begin = digits.starts_with('-') ? 1 : 0;
  while (end > begin + 3) {
    end -= 3;
    digits.insert(end, ",");
  }
  return digits;
}

// Decimals that show about four digits of a figure of this size.
int DecimalsFor(double value) {
  const double size = std::fabs(value);
  if (!(size > 0) || size >= 1000) return size >= 1000 ? 0 : 2;
  if (size >= 100) return 1;
  if (size >= 1) return 2;
  return size >= 0.1 ? 3 : 4;
}

// Decimals of a rate in percent: 15.14%, 0.573%.
int RateDecimalsFor(double rate) { return std::fabs(rate) >= 0.01 || rate == 0 ? 2 : 3; }

bool IsRate(const MetricReport& metric) {
  return metric.kind == MetricKind::kProportion || metric.kind == MetricKind::kRetention;
}

std::string WithUnit(std::string figure, const MetricReport& metric) {
  if (metric.unit_label.empty()) return figure;
  return figure + (metric.unit_label == "%" ? "" : " ") + metric.unit_label;
}

}  // namespace

std::string FormatFixed(double value, int decimals) {
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::array<char, 512> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%.*f", decimals, value);
  std::string digits(buffer.data());
  // Rounded to nothing: there is no negative nothing.
  if (digits.find_first_not_of("-0.") == std::string::npos && digits.starts_with('-')) {
    digits.erase(0, 1);
  }
  return WithThousands(std::move(digits));
}

std::string FormatSigned(double value, int decimals) {
  std::string text = FormatFixed(value, decimals);
  const bool nothing = text.find_first_not_of("0.,") == std::string::npos;
  return value > 0 && !nothing ? "+" + text : text;
}

std::string FormatCount(double count) { return FormatFixed(count, 0); }

std::string FormatPercent(double fraction, int decimals) {
  return FormatFixed(fraction * 100, decimals) + "%";
}

std::string FormatSignedPercent(double fraction, int decimals) {
  return FormatSigned(fraction * 100, decimals) + "%";
}

std::string FormatChange(std::optional<double> change) {
  if (!change) return std::string(kNothing);
  // Beyond ten times, decimals are noise.
  return FormatSignedPercent(*change, std::fabs(*change) >= 10 ? 0 : 1);
}

std::string FormatChange(std::optional<double> change, std::optional<double> lo,
                         std::optional<double> hi) {
  std::string text = FormatChange(change);
  if (!change || !lo || !hi) return text;
  if (std::isinf(*lo) && std::isinf(*hi)) return text + " [not bounded]";
  const auto end = [](double value) {
    return std::isinf(value) ? std::string("not bounded") : FormatChange(value);
  };
  return text + " [" + end(*lo) + ", " + end(*hi) + "]";
}

std::string FormatP(std::optional<double> p) {
  if (!p) return std::string(kNothing);
  return *p < 0.001 ? "<0.001" : FormatFixed(*p, 3);
}

std::string FormatTime(double ms) {
  const double size = std::fabs(ms);
  if (size >= 2 * kDayMs) return FormatFixed(ms / kDayMs, 2) + " d";
  if (size >= 2 * kHourMs) return FormatFixed(ms / kHourMs, 2) + " h";
  if (size >= 2 * kMinuteMs) return FormatFixed(ms / kMinuteMs, 1) + " min";
  if (size >= kSecondMs) return FormatFixed(ms / kSecondMs, 1) + " s";
  return FormatFixed(ms, 0) + " ms";
}

std::string FormatSignedTime(double ms) { return (ms > 0 ? "+" : "") + FormatTime(ms); }

std::string FormatValue(const MetricReport& metric, double value, double like) {
  if (IsRate(metric)) return FormatPercent(value, RateDecimalsFor(like));
  if (metric.kind == MetricKind::kTimeTo) return FormatTime(value);
  return WithUnit(FormatFixed(value, DecimalsFor(like)), metric);
}

std::string FormatDifference(const MetricReport& metric, double value, double like) {
  if (IsRate(metric)) return FormatSigned(value * 100, RateDecimalsFor(like)) + " pp";
  if (metric.kind == MetricKind::kTimeTo) return FormatSignedTime(value);
  return FormatSigned(value, DecimalsFor(like));
}

size_t DisplayWidth(std::string_view utf8) {
  size_t width = 0;
  for (size_t at = 0; at < utf8.size();) {
    const CodePoint point = Decode(utf8, at);
    width += WidthOf(point.value);
    at += point.bytes;
  }
  return width;
}

std::string Truncate(std::string_view utf8, size_t width) {
  if (DisplayWidth(utf8) <= width) return std::string(utf8);
  size_t used = 0;
  size_t at = 0;
  while (at < utf8.size()) {
    const CodePoint point = Decode(utf8, at);
    if (used + WidthOf(point.value) + 1 > width) break;
    used += WidthOf(point.value);
    at += point.bytes;
  }
  return std::string(utf8.substr(0, at)) + (width > 0 ? "…" : "");
}

std::optional<double> MainValue(const MetricReport& metric, const ArmValue& arm) {
  if (arm.rate) return arm.rate;
  if (metric.kind == MetricKind::kRatio) return arm.ratio;
  if (metric.kind == MetricKind::kQuantile) return arm.quantile;
  if (metric.kind == MetricKind::kTimeTo) return arm.restricted_mean_ms;
  return arm.mean;
}

double Like(const MetricReport& metric, double otherwise) {
  if (metric.arms.empty()) return otherwise;
  return MainValue(metric, metric.arms.front()).value_or(otherwise);
}

std::string Join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (const std::string& part : parts) {
    if (!out.empty()) out += separator;
    out += part;
  }
  return out;
}

}  // namespace fulcrum::report
