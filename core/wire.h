// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/snapshot.h"
#include "core/snapshot_data.h"

// The snapshot's wire form, for SDKs, caches on disk and other languages:
//
//   bytes 0..3    "FLCM"
//   bytes 4..5    format version, 1
//   bytes 6..7    zero
//   bytes 8..15   length of the payload
//   bytes 16..23  XXH3-64 of the payload
//   bytes 24..    payload: the fields of SnapshotData in their order of declaration
//
// All little-endian. In the payload unsigned integers are LEB128, signed ones zigzag LEB128, enums
// and bools one byte, doubles 8 bytes, strings and vectors a length and their content. There is
// exactly one encoding of a content (shortest LEB128, nothing after the payload).
namespace fulcrum::core {

inline constexpr uint16_t kWireVersion = 1;
inline constexpr size_t kMaxWireBytes = size_t{256} << 20;

std::string Encode(const SnapshotData& data);

// Refuses, with the reason in *error, whatever Encode of valid content cannot have produced:
// truncated, altered, trailing bytes, another version, counts beyond what the bytes could hold,
// and content that Validate() refuses. Memory used is proportional to the size of `bytes`.
std::optional<SnapshotData> Decode(std::string_view bytes, BuildError* error);

}  // namespace fulcrum::core
