// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

// Text for people (traces, build errors), without locale, <format> or printf: core/ has none of
// them in WebAssembly. Not for data that is parsed again.
namespace fulcrum::core::text {

void Append(std::string* out, std::string_view piece);
void Append(std::string* out, int64_t number);
inline void Append(std::string* out, int32_t number) { Append(out, int64_t{number}); }
inline void Append(std::string* out, uint32_t number) { Append(out, int64_t{number}); }
inline void Append(std::string* out, uint64_t number) { Append(out, static_cast<int64_t>(number)); }

// Text, numbers and so on, one after the other.
template <typename... Pieces>
std::string Cat(const Pieces&... pieces) {
  std::string out;
  (Append(&out, pieces), ...);
  return out;
}

std::string Quoted(std::string_view bytes);  // 'abc', cut at 60 bytes, control bytes as \xNN
std::string Real(double value);              // up to six decimals
std::string Percent(uint32_t ppm);           // "12.5%"
std::string TimeMs(int64_t time_ms);         // "2026-03-01T00:00:00.000Z", "always", "never"

}  // namespace fulcrum::core::text
