// SPDX-License-Identifier: Apache-2.0
#include "core/wire.h"

#include <bit>
#include <cstring>
#include <type_traits>
#include <utility>

#include "core/hash.h"
#include "core/text.h"
#include "core/validate.h"

namespace fulcrum::core {
namespace {

constexpr std::string_view kMagic = "FLCM";
constexpr size_t kHeaderBytes = 24;

// ---- The fields of each struct, once, for both directions ---------------------------------------
// `Io` is Writer or Reader; `T` is const for a Writer. The order is the wire contract.

template <typename T, typename Struct>
constexpr bool kIs = std::is_same_v<std::remove_const_t<T>, Struct>;

template <typename Io, typename T>
void Fields(Io& io, T& x) {
  if constexpr (kIs<T, Operand>) {
    io(x.type);
    switch (x.type) {
      case AttributeType::kFloat:
        return io(x.real);
      case AttributeType::kString:
      case AttributeType::kVersion:
        return io(x.text);
      default:
        return io(x.integer);
    }
  } else if constexpr (kIs<T, ConditionData>) {
    io(x.op, x.attribute, x.operands, x.children, x.ref, x.variants, x.unit_kind, x.hash, x.salt,
       x.ppm);
  } else if constexpr (kIs<T, AttributeData>) {
    io(x.key, x.type);
  } else if constexpr (kIs<T, SegmentData>) {
    io(x.key, x.condition);
  } else if constexpr (kIs<T, LayerData>) {
    io(x.key, x.salt, x.hash, x.unit_kind);
  } else if constexpr (kIs<T, HoldoutData>) {
    io(x.key, x.salt, x.hash, x.unit_kind, x.layer, x.held_ppm, x.has_comparison);
  } else if constexpr (kIs<T, BucketRange>) {
    io(x.begin, x.end);
  } else if constexpr (kIs<T, VariantData>) {
    io(x.key, x.value, x.is_control);
  } else if constexpr (kIs<T, PhaseData>) {
    io(x.start_ms, x.traffic_ppm, x.weights_ppm);
  } else if constexpr (kIs<T, PrerequisiteData>) {
    io(x.experiment, x.variants);
  } else if constexpr (kIs<T, UnitOverride>) {
    io(x.unit_id, x.variant);
  } else if constexpr (kIs<T, ConditionOverride>) {
    io(x.condition, x.variant);
  } else if constexpr (kIs<T, SwitchbackData>) {
    io(x.block_ms, x.washout_ms, x.region_attribute);
  } else if constexpr (kIs<T, ExperimentData>) {
    io(x.key, x.salt, x.hash, x.unit_kind, x.cluster_attribute, x.switchback, x.status, x.start_ms,
       x.end_ms, x.stopped_at_ms, x.stop_variant, x.enrolment_closed_at_ms, x.is_sticky, x.layer,
       x.layer_ranges, x.holdouts, x.audience, x.prerequisites, x.unit_overrides,
       x.condition_overrides, x.phases, x.value_type, x.variants, x.has_default, x.default_value);
  } else {
    static_assert(kIs<T, SnapshotData>, "a struct of SnapshotData without its fields");
    io(x.version, x.created_ms, x.unit_kinds, x.default_unit_kind, x.attributes, x.conditions,
       x.segments, x.layers, x.holdouts, x.experiments);
  }
}

constexpr uint64_t ZigZag(int64_t value) {
  return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
}
constexpr int64_t UnZigZag(uint64_t value) {
  return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
}

void AppendFixed(std::string* out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) *out += static_cast<char>((value >> (8 * i)) & 0xff);
}

uint64_t ReadFixed(std::string_view bytes, size_t offset, int count) {
  uint64_t value = 0;
  for (int i = 0; i < count; ++i) {
    value |= uint64_t{static_cast<unsigned char>(bytes[offset + static_cast<size_t>(i)])}
             << (8 * i);
  }
  return value;
}

class Writer {
 public:
  explicit Writer(std::string* out) : out_(out) {}

  template <typename... T>
  void operator()(const T&... values) {
    (One(values), ...);
  }

 private:
  template <typename T>
  void One(const T& value) {
    if constexpr (std::is_enum_v<T> || std::is_same_v<T, bool>) {
      *out_ += static_cast<char>(value);
    } else if constexpr (std::is_same_v<T, double>) {
      AppendFixed(out_, std::bit_cast<uint64_t>(value), 8);
    } else if constexpr (std::is_unsigned_v<T>) {
      Leb128(value);
    } else if constexpr (std::is_signed_v<T>) {
      Leb128(ZigZag(value));
    } else if constexpr (std::is_same_v<T, std::string>) {
      Leb128(value.size());
      out_->append(value);
    } else {
      Fields(*this, value);
    }
  }
  template <typename T>
  void One(const std::vector<T>& values) {
    Leb128(values.size());
    for (const T& value : values) One(value);
  }

  void Leb128(uint64_t value) {
    for (; value >= 0x80; value >>= 7) *out_ += static_cast<char>(value | 0x80);
    *out_ += static_cast<char>(value);
  }

  std::string* out_;
};

// After the first problem everything reads as zero and nothing more is consumed.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  template <typename... T>
  void operator()(T&... values) {
    (One(values), ...);
  }

  const char* problem() const { return problem_; }
  size_t offset() const { return offset_; }
  bool at_end() const { return offset_ == bytes_.size(); }

 private:
  size_t left() const { return bytes_.size() - offset_; }
  uint64_t Fail(const char* problem) {
    if (problem_ == nullptr) problem_ = problem;
    return 0;
  }

  uint8_t Byte() {
    if (problem_ != nullptr) return 0;
    if (left() == 0) return static_cast<uint8_t>(Fail("it ends in the middle of a field"));
    return static_cast<uint8_t>(bytes_[offset_++]);
  }

  uint64_t Leb128() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const uint8_t byte = Byte();
      if (problem_ != nullptr) return 0;
      if (shift == 63 && byte > 1) break;
      value |= uint64_t{static_cast<uint8_t>(byte & 0x7f)} << shift;
      if (byte >= 0x80) continue;
      if (byte == 0 && shift > 0) return Fail("a number is not in its shortest form");
      return value;
    }
    return Fail("a number has more than 64 bits");
  }

  size_t Count() {
    const uint64_t count = Leb128();
    // Every element takes a byte at least, so a larger count is a lie that must cost no memory.
    if (count > left()) return static_cast<size_t>(Fail("a length exceeds what follows"));
    return static_cast<size_t>(count);
  }

  template <typename T>
  void One(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      const uint8_t byte = Byte();
      if (byte > 1) Fail("a flag is neither 0 nor 1");
      value = byte == 1;
    } else if constexpr (std::is_enum_v<T>) {
      value = static_cast<T>(Byte());  // Validate() checks the range
    } else if constexpr (std::is_same_v<T, double>) {
      if (problem_ == nullptr && left() < 8) Fail("it ends in the middle of a field");
      if (problem_ != nullptr) return;
      value = std::bit_cast<double>(ReadFixed(bytes_, offset_, 8));
      offset_ += 8;
    } else if constexpr (std::is_unsigned_v<T>) {
      const uint64_t read = Leb128();
      value = static_cast<T>(read);
      if (value != read) Fail("a number is out of range");
    } else if constexpr (std::is_signed_v<T>) {
      const int64_t read = UnZigZag(Leb128());
      value = static_cast<T>(read);
      if (value != read) Fail("a number is out of range");
    } else if constexpr (std::is_same_v<T, std::string>) {
      const size_t size = Count();
      value.assign(bytes_.substr(offset_, size));
      offset_ += size;
    } else {
      Fields(*this, value);
    }
  }
  template <typename T>
  void One(std::vector<T>& values) {
    const size_t count = Count();
    // Grown one by one: memory follows the bytes that are really there.
    for (size_t i = 0; i < count && problem_ == nullptr; ++i) {
      values.emplace_back();
      One(values.back());
    }
  }

  std::string_view bytes_;
  size_t offset_ = 0;
  const char* problem_ = nullptr;
};

std::nullopt_t Refuse(BuildError* error, std::string why) {
  error->message = text::Cat("snapshot refused: ", why);
  return std::nullopt;
}

}  // namespace

std::string Encode(const SnapshotData& data) {
  std::string payload;
  Writer writer(&payload);
  writer(data);
  std::string out(kMagic);
  AppendFixed(&out, kWireVersion, 2);
  AppendFixed(&out, 0, 2);
  AppendFixed(&out, payload.size(), 8);
  AppendFixed(&out, Xxh3(payload), 8);
  return out + payload;
}

std::optional<SnapshotData> Decode(std::string_view bytes, BuildError* error) {
  if (bytes.size() > kMaxWireBytes) {
    return Refuse(error, text::Cat("it has ", uint64_t{bytes.size()}, " bytes, more than ",
                                   uint64_t{kMaxWireBytes}));
  }
  if (bytes.size() < kHeaderBytes) return Refuse(error, "it is shorter than its header");
  if (bytes.substr(0, kMagic.size()) != kMagic) {
    return Refuse(error, "it does not begin with FLCM, so it is something else");
  }
  const uint64_t version = ReadFixed(bytes, 4, 2);
  if (version != kWireVersion) {
    return Refuse(error, text::Cat("its format is version ", version, ", this program reads ",
                                   uint64_t{kWireVersion}));
  }
  if (ReadFixed(bytes, 6, 2) != 0) return Refuse(error, "its reserved bytes are not zero");
  const std::string_view payload = bytes.substr(kHeaderBytes);
  const uint64_t size = ReadFixed(bytes, 8, 8);
  if (size != payload.size()) {
    return Refuse(error, text::Cat("it has ", uint64_t{payload.size()}, " bytes of content where ",
                                   size, " are announced (truncated?)"));
  }
  if (ReadFixed(bytes, 16, 8) != Xxh3(payload)) {
    return Refuse(error, "its checksum does not match (damaged?)");
  }
  SnapshotData data;
  Reader reader(payload);
  reader(data);
  if (reader.problem() != nullptr) {
    return Refuse(
        error, text::Cat(reader.problem(), ", at byte ", uint64_t{kHeaderBytes + reader.offset()}));
  }
  if (!reader.at_end()) return Refuse(error, "something follows its content");
  if (!Validate(data, error)) return Refuse(error, error->message);
  return data;
}

}  // namespace fulcrum::core
