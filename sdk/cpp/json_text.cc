// SPDX-License-Identifier: Apache-2.0
#include "sdk/cpp/json_text.h"

#include <charconv>
#include <cmath>

namespace fulcrum::sdk {

bool IsUtf8(std::string_view text) {
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = at + text.size();
  while (at < end) {
    const unsigned char lead = *at++;
    if (lead < 0x80) continue;
    const int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    if (lead < 0xc2 || lead > 0xf4 || end - at < more) return false;
    // The second byte has a narrower range after some leads: overlong forms, surrogates, the end.
    const unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    const unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (*at < low || *at > high) return false;
    for (int i = 1; i < more; ++i) {
      if ((at[i] & 0xc0) != 0x80) return false;
    }
    at += more;
  }
  return true;
}

void AppendJsonString(std::string_view text, std::string* out) {
  static constexpr char kHex[] = "0123456789abcdef";
  out->push_back('"');
  size_t plain = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
    out->append(text, plain, i - plain);
    plain = i + 1;
    if (byte >= 0x20) {
      out->append({'\\', text[i]});
    } else {
      out->append({'\\', 'u', '0', '0', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  out->append(text, plain, text.size() - plain);
  out->push_back('"');
}

void AppendInt(int64_t value, std::string* out) {
  char digits[24];
  out->append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

void AppendDouble(double value, std::string* out) {
  char digits[32];
  out->append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

bool AppendValue(const Value& value, std::string* out) {
  switch (value.type()) {
    case Value::Type::kBool:
      out->append(value.integer() != 0 ? "true" : "false");
      return true;
    case Value::Type::kInt:
    case Value::Type::kTimeMs:
      AppendInt(value.integer(), out);
      return true;
    case Value::Type::kDouble:
      if (!std::isfinite(value.real())) return false;
      AppendDouble(value.real(), out);
      return true;
    case Value::Type::kString:
    case Value::Type::kVersion:
      if (!IsUtf8(value.text())) return false;
      AppendJsonString(value.text(), out);
      return true;
  }
  return false;
}

}  // namespace fulcrum::sdk
