// SPDX-License-Identifier: Apache-2.0
//
// Instants are int64 Unix milliseconds UTC, durations int64 milliseconds, everywhere.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fulcrum {

inline constexpr int64_t kSecondMs = 1000;
inline constexpr int64_t kMinuteMs = 60 * kSecondMs;
inline constexpr int64_t kHourMs = 60 * kMinuteMs;
inline constexpr int64_t kDayMs = 24 * kHourMs;

// The instants that are accepted as data: 2000-01-01 up to (not including) 2200-01-01.
inline constexpr int64_t kMinInstantMs = 946684800000;
inline constexpr int64_t kMaxInstantMs = 7258118400000;

// RFC 3339 with an offset ("2026-03-02T00:00:00+08:00", "…Z", fractions allowed). nullopt when
// malformed, without offset, or not a real date.
std::optional<int64_t> ParseRfc3339(std::string_view text);

// "2026-03-01T16:00:00.000Z"; milliseconds are left out when zero.
std::string FormatRfc3339(int64_t unix_ms);

// "2026-03-01", UTC.
std::string FormatDate(int64_t unix_ms);

// "90s", "15m", "12h", "7d", "2w", "250ms", and sums of them from large to small ("1d12h").
std::optional<int64_t> ParseDuration(std::string_view text);

// The inverse, exact: "7d", "1d12h", "0s".
std::string FormatDuration(int64_t duration_ms);

// The wall clock. Only server/ and cli/ may call it; everything else is handed an instant.
int64_t WallClockMs();

}  // namespace fulcrum
