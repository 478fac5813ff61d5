// SPDX-License-Identifier: Apache-2.0
//
// A snapshot from outside is refused or decides; it never crashes. The checksum is mended first,
// so that the fuzzer reaches what is behind it.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "core/decide.h"
#include "core/hash.h"
#include "core/snapshot.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kHeader = 24;
  std::string bytes(kHeader, '\0');
  bytes.append(reinterpret_cast<const char*>(data), size);
  const uint64_t length = size;
  const uint64_t checksum = fulcrum::core::Xxh3({bytes.data() + kHeader, size});
  std::memcpy(bytes.data(), "FLCM\1\0\0\0", 8);
  std::memcpy(bytes.data() + 8, &length, 8);
  std::memcpy(bytes.data() + 16, &checksum, 8);
  fulcrum::core::BuildError error;
  const auto snapshot = fulcrum::core::Snapshot::FromBytes(bytes, &error);
  if (snapshot == nullptr) return 0;
  fulcrum::core::Context context;
  context.targeting_key = "u1";
  for (int32_t i = 0; i < snapshot->experiment_count(); ++i) {
    fulcrum::core::Decide(*snapshot, {i}, context);
  }
  return 0;
}
