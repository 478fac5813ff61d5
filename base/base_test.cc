// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "base/mutex.h"
#include "base/status.h"
#include "base/text.h"
#include "base/time.h"

namespace fulcrum {
namespace {

TEST(Time, ReadsRfc3339WithAnOffset) {
  EXPECT_EQ(ParseRfc3339("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(ParseRfc3339("2026-03-02T00:00:00+08:00"), 1772380800000);
  EXPECT_EQ(ParseRfc3339("2026-03-01T16:00:00.25Z"), 1772380800250);
  EXPECT_EQ(ParseRfc3339("2024-02-29T23:59:60Z"), ParseRfc3339("2024-02-29T23:59:59Z"));
}

TEST(Time, RefusesWhatIsNotAnInstant) {
  for (const char* text : {"", "2026-03-02", "2026-03-02T00:00:00", "2026-02-30T00:00:00Z",
                           "2026-13-01T00:00:00Z", "2026-03-02T24:00:00Z", "2026-03-02T00:00:00.Z",
                           "2026-03-02T00:00:00+8:00", "2026-03-02T00:00:00Zjunk"}) {
    EXPECT_EQ(ParseRfc3339(text), std::nullopt) << text;
  }
}

TEST(Time, FormatIsTheInverseOfParse) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 10000; ++i) {
    const int64_t instant =
        std::uniform_int_distribution<int64_t>(kMinInstantMs, kMaxInstantMs)(random);
    ASSERT_EQ(ParseRfc3339(FormatRfc3339(instant)), instant) << FormatRfc3339(instant);
  }
  EXPECT_EQ(FormatDate(1772380800000), "2026-03-01");
}

TEST(Time, Durations) {
  EXPECT_EQ(ParseDuration("7d"), 7 * kDayMs);
  EXPECT_EQ(ParseDuration("2w"), 14 * kDayMs);
  EXPECT_EQ(ParseDuration("1d12h"), 36 * kHourMs);
  EXPECT_EQ(ParseDuration("250ms"), 250);
  for (const char* text :
       {"", "7", "d", "7 d", "-7d", "7D", "12h1d", "1d1d", "99999999999999d", "999999999999w"}) {
    EXPECT_EQ(ParseDuration(text), std::nullopt) << text;
  }
  EXPECT_EQ(FormatDuration(36 * kHourMs), "1d12h");
  EXPECT_EQ(FormatDuration(14 * kDayMs), "14d");
  EXPECT_EQ(FormatDuration(0), "0s");
  for (int64_t ms : {int64_t{1}, int64_t{61001}, 400 * kDayMs + 7}) {
    EXPECT_EQ(ParseDuration(FormatDuration(ms)), ms);
  }
}

TEST(Text, Utf8) {
  EXPECT_TRUE(IsValidUtf8("plain, 支付, \xF0\x9F\x98\x80"));
  for (const char* text : {"\x80", "\xC0\xAF", "\xED\xA0\x80", "\xF5\x80\x80\x80", "\xE4\xBD"}) {
    EXPECT_FALSE(IsValidUtf8(text));
  }
}

TEST(Text, JsonStrings) {
  EXPECT_EQ(JsonString("a\"b\\c\n\x01/支"), "\"a\\\"b\\\\c\\n\\u0001/支\"");
}

TEST(Text, NumbersReadBackExactly) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 10000; ++i) {
    const uint64_t bits = random();
    double value;
    static_assert(sizeof value == sizeof bits);
    std::memcpy(&value, &bits, sizeof value);
    if (!std::isfinite(value)) continue;
    ASSERT_EQ(ParseDouble(FormatDouble(value)), value);
  }
  EXPECT_EQ(FormatDouble(0.1), "0.1");
  EXPECT_EQ(FormatFloat(1), "1.0");
  EXPECT_EQ(FormatFloat(1e300), "1e+300");
  EXPECT_EQ(FormatDouble(-std::numeric_limits<double>::infinity()), "-Infinity");
  for (const char* text : {"", "nan", "inf", "1e999", "1 ", " 1", "0x10", "1,5"}) {
    EXPECT_EQ(ParseDouble(text), std::nullopt) << text;
  }
  for (const char* text : {"010", "-01", "1.0", "", "9223372036854775808", "+1"}) {
    EXPECT_EQ(ParseInt(text), std::nullopt) << text;
  }
  EXPECT_EQ(ParseInt("-9223372036854775808"), std::numeric_limits<int64_t>::min());
}

TEST(Text, KeysAndSuggestions) {
  EXPECT_TRUE(IsKey("one-page.checkout_2"));
  EXPECT_FALSE(IsKey("one page"));
  EXPECT_FALSE(IsKey(""));
  EXPECT_EQ(DidYouMean("wieght", {"weight", "value", "title"}), "weight");
  EXPECT_EQ(DidYouMean("zzz", {"weight", "value"}), "");
}

absl::StatusOr<int> Half(int value) {
  if (value % 2 != 0) return InvalidArgument("odd");
  return value / 2;
}
absl::Status Quarter(int value, int* out) {
  FULCRUM_ASSIGN_OR_RETURN(const int half, Half(value));
  FULCRUM_ASSIGN_OR_RETURN(*out, Half(half));
  return absl::OkStatus();
}

TEST(Status, MacrosPassTheErrorOn) {
  int out = 0;
  EXPECT_TRUE(Quarter(8, &out).ok());
  EXPECT_EQ(out, 2);
  const absl::Status failed = Annotate(Quarter(6, &out), "quartering");
  EXPECT_EQ(Message(failed), "quartering: odd");
  EXPECT_EQ(failed.code(), absl::StatusCode::kInvalidArgument);
}

TEST(Mutex, WaitForTimesOutAndIsWoken) {
  Mutex mutex;
  CondVar condition;
  MutexLock lock(&mutex);
  EXPECT_FALSE(condition.WaitFor(&mutex, std::chrono::milliseconds(1)));
}

}  // namespace
}  // namespace fulcrum
