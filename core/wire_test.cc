// SPDX-License-Identifier: Apache-2.0
// Snapshots are untrusted: what was written is read back exactly, and anything else is refused.
#include "core/wire.h"

#include <gtest/gtest.h>

#include <random>

#include "core/hash.h"
#include "core/test_random.h"

namespace fulcrum::core::test {
namespace {

constexpr size_t kHeaderBytes = 24;

void SetFixed(std::string* bytes, size_t offset, uint64_t value) {
  for (size_t i = 0; i < 8; ++i) (*bytes)[offset + i] = static_cast<char>(value >> (8 * i));
}
// Makes length and checksum fit the payload again, as an attacker would.
void Reseal(std::string* bytes) {
  SetFixed(bytes, 8, bytes->size() - kHeaderBytes);
  SetFixed(bytes, 16, Xxh3(std::string_view(*bytes).substr(kHeaderBytes)));
}

TEST(Wire, RoundTripIsExactAndDecidesAlike) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    RandomWorld world(seed);
    const SnapshotData data = world.Snapshot();
    BuildError error;
    const std::string bytes = Encode(data);
    const std::optional<SnapshotData> read = Decode(bytes, &error);
    ASSERT_TRUE(read.has_value()) << seed << ": " << error.message;
    ASSERT_TRUE(*read == data) << seed;
    ASSERT_EQ(Encode(*read), bytes);
    const auto original = Make(data);
    const auto copy = Snapshot::FromBytes(bytes, &error);
    ASSERT_NE(copy, nullptr);
    for (int i = 0; i < 30; ++i) {
      const Context context = world.Ask();
      for (int32_t e = 0; e < original->experiment_count(); ++e) {
        ASSERT_EQ(Decide(*original, {e}, context), Decide(*copy, {e}, context));
      }
    }
  }
}

TEST(Wire, EveryTruncationIsRefused) {
  const std::string bytes = Encode(RandomWorld(11).Snapshot());
  for (size_t size = 0; size < bytes.size(); ++size) {
    BuildError error;
    ASSERT_FALSE(Decode(std::string_view(bytes).substr(0, size), &error).has_value()) << size;
    ASSERT_FALSE(error.message.empty());
    if (size < kHeaderBytes) continue;
    std::string resealed = bytes.substr(0, size);
    Reseal(&resealed);
    ASSERT_FALSE(Decode(resealed, &error).has_value()) << size;
  }
  std::string longer = bytes + '\0';
  BuildError error;
  EXPECT_FALSE(Decode(longer, &error).has_value());
  Reseal(&longer);
  EXPECT_FALSE(Decode(longer, &error).has_value());
}

TEST(Wire, EveryBitFlipIsRefused) {
  const std::string bytes = Encode(RandomWorld(12).Snapshot());
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    BuildError error;
    ASSERT_FALSE(Decode(flipped, &error).has_value()) << "bit " << bit;
    ASSERT_FALSE(error.message.empty());
  }
}

// With a checksum that fits: refused with a reason, or valid content that decides without harm and
// has exactly this encoding.
TEST(Wire, HostileContentDoesNoHarm) {
  int accepted = 0;
  std::mt19937_64 random(5);
  std::vector<RandomWorld> worlds;
  std::vector<std::string> originals;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    worlds.emplace_back(seed);
    originals.push_back(Encode(worlds.back().Snapshot()));
  }
  for (size_t round = 0; round < 20'000; ++round) {
    RandomWorld& world = worlds[round % worlds.size()];
    std::string bytes = originals[round % originals.size()];
    for (uint64_t edits = 1 + random() % 3; edits > 0; --edits) {
      const size_t at = kHeaderBytes + random() % (bytes.size() - kHeaderBytes);
      switch (random() % 4) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes[at] = static_cast<char>(0xff);
          break;
        case 2:
          bytes.erase(at, 1 + random() % 4);
          break;
        default:
          bytes.insert(at, 1 + random() % 3, static_cast<char>(random() % 4));
      }
      if (bytes.size() <= kHeaderBytes + 8) break;
    }
    Reseal(&bytes);
    BuildError error;
    const auto snapshot = Snapshot::FromBytes(bytes, &error);
    if (snapshot == nullptr) {
      ASSERT_FALSE(error.message.empty());
      continue;
    }
    ++accepted;
    ASSERT_EQ(Encode(snapshot->data()), bytes);
    const Context context = world.Ask();
    for (int32_t e = 0; e < snapshot->experiment_count(); ++e) {
      const Decision d = Decide(*snapshot, {e}, context);
      ASSERT_LT(d.variant, static_cast<int32_t>(snapshot->experiment({e}).variants.size()));
      Trace trace;
      ASSERT_EQ(Explain(*snapshot, {e}, context, &trace), d);
    }
  }
  EXPECT_GT(accepted, 100);  // otherwise the second half was not tested
}

TEST(Wire, LyingLengthsCostNoMemory) {
  // A version text of 2^60 bytes, and one experiment list of 2^32 - 1 entries.
  for (const std::string& payload : {std::string("\x80\x80\x80\x80\x80\x80\x80\x80\x10", 9),
                                     std::string("\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\x0f", 14)}) {
    std::string bytes = Encode({});
    bytes.resize(kHeaderBytes);
    bytes += payload;
    Reseal(&bytes);
    BuildError error;
    EXPECT_FALSE(Decode(bytes, &error).has_value());
    EXPECT_NE(error.message.find("length exceeds"), std::string::npos) << error.message;
  }
}

TEST(Wire, ReasonsAreTold) {
  const auto reason = [](const std::string& bytes) {
    BuildError error;
    EXPECT_FALSE(Decode(bytes, &error).has_value());
    return error.message;
  };
  std::string bytes = Encode(RandomWorld(1).Snapshot());
  EXPECT_NE(reason("").find("shorter than its header"), std::string::npos);
  EXPECT_NE(reason("<html>" + bytes).find("FLCM"), std::string::npos);
  EXPECT_NE(reason(bytes.substr(0, bytes.size() - 1)).find("truncated"), std::string::npos);
  std::string damaged = bytes;
  damaged.back() ^= 1;
  EXPECT_NE(reason(damaged).find("checksum"), std::string::npos);
  std::string newer = bytes;
  newer[4] = 2;
  EXPECT_NE(reason(newer).find("version 2"), std::string::npos);
}

}  // namespace
}  // namespace fulcrum::core::test
