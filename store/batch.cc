// SPDX-License-Identifier: Apache-2.0
//
// Payload: a version byte, then items. An item is a tag byte and its fields in the order below.
// Integers are LEB128 varints (signed ones zigzag), doubles 8 bytes little-endian, texts a varint
// length and the bytes. A symbol is a varint: 0, then a text, which gets the next number from 1 on;
// or the number of an earlier one. Times of exposures and events are the difference to the one
// before. Integrity is the keeper's: the inbox stores a checksum beside each payload.
#include "store/batch.h"

#include <bit>
#include <cstring>
#include <vector>

#include "core/hash.h"

namespace fulcrum::store {
namespace {

static_assert(std::endian::native == std::endian::little, "doubles are copied as they are");

constexpr char kVersion = 1;
enum Tag : uint8_t { kExposure = 1, kEvent = 2, kLink = 3, kClientCounts = 4 };

// Which optional fields an event has; the rest cost one bit.
enum EventFlag : uint8_t { kHasValue = 1, kHasCurrency = 2, kHasOrder = 4, kHasSession = 8 };

// So many texts are remembered at once; a power of two.
constexpr size_t kSymbolSlots = 256;

}  // namespace

class BatchWriter {
 public:
  explicit BatchWriter(BatchBuilder* batch) : batch_(*batch), out_(&batch->payload_) {}

  void Begin(uint8_t tag) {
    if (out_->empty()) out_->push_back(kVersion);
    out_->push_back(static_cast<char>(tag));
    ++batch_.size_;
  }
  void Byte(int value) { out_->push_back(static_cast<char>(value)); }
  void Varint(uint64_t value) {
    while (value >= 0x80) {
      out_->push_back(static_cast<char>(value | 0x80));
      value >>= 7;
    }
    out_->push_back(static_cast<char>(value));
  }
  void Signed(int64_t value) {
    Varint((static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63));
  }
  void Time(int64_t ts_ms) {
    // Wraps around rather than overflows; reading adds the same way.
    const auto step = static_cast<int64_t>(static_cast<uint64_t>(ts_ms) -
                                           static_cast<uint64_t>(batch_.last_ts_ms_));
    Signed(step);
    batch_.last_ts_ms_ = ts_ms;
  }
  void Double(double value) {
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    out_->append(bytes, sizeof value);
  }
  void Text(std::string_view text) {
    Varint(text.size());
    out_->append(text);
  }
  void Symbol(std::string_view text) {
    if (batch_.symbols_.empty()) batch_.symbols_.resize(kSymbolSlots);
    BatchBuilder::Symbol& slot = batch_.symbols_[core::Xxh3(text) & (kSymbolSlots - 1)];
    if (slot.number != 0 && std::string_view(*out_).substr(slot.at, slot.size) == text) {
      Varint(slot.number);
      return;
    }
    Byte(0);
    Varint(text.size());
    slot = {.number = ++batch_.symbol_count_,
            .size = static_cast<uint32_t>(text.size()),
            .at = out_->size()};
    out_->append(text);
  }
  void Unit(const UnitRef& unit) {
    Symbol(unit.kind);
    Text(unit.id);
  }
  void Properties(std::span<const PropertyView> properties) {
    Varint(properties.size());
    for (const PropertyView& property : properties) {
      Symbol(property.key);
      Byte(static_cast<int>(property.type));
      switch (property.type) {
        case PropertyType::kBool:
          Byte(property.boolean ? 1 : 0);
          break;
        case PropertyType::kNumber:
          Double(property.number);
          break;
        case PropertyType::kString:
          Symbol(property.text);
          break;
      }
    }
  }

 private:
  BatchBuilder& batch_;
  std::string* out_;
};

namespace {

// Walks a payload; after the first damaged field every read gives zeros and ok() is false.
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : at_(bytes.data()), end_(at_ + bytes.size()) {}

  bool ok() const { return ok_; }
  bool done() const { return at_ == end_; }

  uint8_t Byte() {
    if (at_ == end_) return Fail();
    return static_cast<uint8_t>(*at_++);
  }

  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == end_) return Fail();
      const auto byte = static_cast<uint8_t>(*at_++);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return Fail();
  }

  int64_t Signed() {
    const uint64_t value = Varint();
    return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
  }

  double Double() {
    double value = 0;
    if (end_ - at_ < static_cast<ptrdiff_t>(sizeof value)) return Fail();
    std::memcpy(&value, at_, sizeof value);
    at_ += sizeof value;
    return value;
  }

  std::string_view Text() {
    const uint64_t size = Varint();
    if (size > static_cast<uint64_t>(end_ - at_)) {
      Fail();
      return {};
    }
    const std::string_view text(at_, size);
    at_ += size;
    return text;
  }

  int64_t Time() {
    last_ts_ms_ += static_cast<uint64_t>(Signed());
    return static_cast<int64_t>(last_ts_ms_);
  }

  std::string_view Symbol() {
    const uint64_t number = Varint();
    if (number == 0) {
      const std::string_view text = Text();
      if (ok_) symbols_.push_back(text);
      return text;
    }
    if (number <= symbols_.size()) return symbols_[number - 1];
    Fail();
    return {};
  }

  // A count of things that take at least one byte each, so that damage cannot ask for memory.
  size_t Count() {
    const uint64_t count = Varint();
    if (count > static_cast<uint64_t>(end_ - at_)) return Fail();
    return count;
  }

  UnitRef Unit() {
    const std::string_view kind = Symbol();
    return {kind, Text()};
  }

  void Properties(std::vector<PropertyView>* properties) {
    properties->resize(Count());
    for (PropertyView& property : *properties) {
      property = PropertyView{.key = Symbol()};
      switch (Byte()) {
        case static_cast<uint8_t>(PropertyType::kBool):
          property.type = PropertyType::kBool;
          property.boolean = Byte() != 0;
          break;
        case static_cast<uint8_t>(PropertyType::kNumber):
          property.type = PropertyType::kNumber;
          property.number = Double();
          break;
        case static_cast<uint8_t>(PropertyType::kString):
          property.text = Symbol();
          break;
        default:
          Fail();
      }
      if (!ok_) return;
    }
  }

 private:
  uint8_t Fail() {
    ok_ = false;
    at_ = end_;
    return 0;
  }

  const char* at_;
  const char* end_;
  bool ok_ = true;
  uint64_t last_ts_ms_ = 0;
  std::vector<std::string_view> symbols_;
};

struct Scratch {
  std::vector<PropertyView> properties;
  std::vector<UnitRef> ids;
};

void ReadExposure(Cursor& cursor, Scratch& scratch, const BatchVisitor& visitor) {
  ExposureView exposure;
  exposure.exposure_id = cursor.Text();
  exposure.experiment = cursor.Symbol();
  exposure.variant = cursor.Symbol();
  exposure.unit = cursor.Unit();
  exposure.ts_ms = cursor.Time();
  exposure.snapshot = cursor.Symbol();
  exposure.phase = static_cast<int32_t>(cursor.Signed());
  exposure.propensity = cursor.Double();
  cursor.Properties(&scratch.properties);
  exposure.attributes = scratch.properties;
  if (cursor.ok() && visitor.exposure) visitor.exposure(exposure);
}

void ReadEvent(Cursor& cursor, Scratch& scratch, const BatchVisitor& visitor) {
  EventView event;
  const uint8_t flags = cursor.Byte();
  event.event_id = cursor.Text();
  event.name = cursor.Symbol();
  event.ts_ms = cursor.Time();
  scratch.ids.resize(cursor.Count());
  for (UnitRef& id : scratch.ids) id = cursor.Unit();
  event.ids = scratch.ids;
  if ((flags & kHasOrder) != 0) event.order_id = cursor.Text();
  if ((flags & kHasSession) != 0) event.session_id = cursor.Text();
  if ((flags & kHasValue) != 0) event.value = cursor.Double();
  if ((flags & kHasCurrency) != 0) event.currency = cursor.Symbol();
  cursor.Properties(&scratch.properties);
  event.properties = scratch.properties;
  if (cursor.ok() && visitor.event) visitor.event(event);
}

void ReadLink(Cursor& cursor, const BatchVisitor& visitor) {
  LinkView link;
  link.anonymous = cursor.Unit();
  link.known = cursor.Unit();
  link.ts_ms = cursor.Signed();
  if (cursor.ok() && visitor.link) visitor.link(link);
}

void ReadClientCounts(Cursor& cursor, const BatchVisitor& visitor) {
  ClientCountsView counts;
  counts.experiment = cursor.Symbol();
  counts.variant = cursor.Symbol();
  counts.assigned = cursor.Signed();
  counts.shown = cursor.Signed();
  counts.sent = cursor.Signed();
  counts.dropped = cursor.Signed();
  if (cursor.ok() && visitor.client_counts) visitor.client_counts(counts);
}

}  // namespace

void BatchBuilder::Add(const ExposureView& exposure) {
  BatchWriter out(this);
  out.Begin(kExposure);
  out.Text(exposure.exposure_id);
  out.Symbol(exposure.experiment);
  out.Symbol(exposure.variant);
  out.Unit(exposure.unit);
  out.Time(exposure.ts_ms);
  out.Symbol(exposure.snapshot);
  out.Signed(exposure.phase);
  out.Double(exposure.propensity);
  out.Properties(exposure.attributes);
}

void BatchBuilder::Add(const EventView& event) {
  BatchWriter out(this);
  out.Begin(kEvent);
  const int flags = (event.value ? kHasValue : 0) | (!event.currency.empty() ? kHasCurrency : 0) |
                    (!event.order_id.empty() ? kHasOrder : 0) |
                    (!event.session_id.empty() ? kHasSession : 0);
  out.Byte(flags);
  out.Text(event.event_id);
  out.Symbol(event.name);
  out.Time(event.ts_ms);
  out.Varint(event.ids.size());
  for (const UnitRef& id : event.ids) out.Unit(id);
  if ((flags & kHasOrder) != 0) out.Text(event.order_id);
  if ((flags & kHasSession) != 0) out.Text(event.session_id);
  if ((flags & kHasValue) != 0) out.Double(*event.value);
  if ((flags & kHasCurrency) != 0) out.Symbol(event.currency);
  out.Properties(event.properties);
}

void BatchBuilder::Add(const LinkView& link) {
  BatchWriter out(this);
  out.Begin(kLink);
  out.Unit(link.anonymous);
  out.Unit(link.known);
  out.Signed(link.ts_ms);
}

void BatchBuilder::Add(const ClientCountsView& counts) {
  BatchWriter out(this);
  out.Begin(kClientCounts);
  out.Symbol(counts.experiment);
  out.Symbol(counts.variant);
  out.Signed(counts.assigned);
  out.Signed(counts.shown);
  out.Signed(counts.sent);
  out.Signed(counts.dropped);
}

void BatchBuilder::Clear() {
  payload_.clear();
  size_ = 0;
  symbols_.clear();
  symbol_count_ = 0;
  last_ts_ms_ = 0;
}

bool ReadBatch(std::string_view payload, const BatchVisitor& visitor, std::string* error) {
  if (payload.empty()) return true;  // A batch of nothing.
  Cursor cursor(payload);
  if (const uint8_t version = cursor.Byte(); version != kVersion) {
    *error = "the payload has version " + std::to_string(version) + ", this program reads " +
             std::to_string(kVersion);
    return false;
  }
  Scratch scratch;
  int64_t item = 0;
  for (; !cursor.done(); ++item) {
    switch (cursor.Byte()) {
      case kExposure:
        ReadExposure(cursor, scratch, visitor);
        break;
      case kEvent:
        ReadEvent(cursor, scratch, visitor);
        break;
      case kLink:
        ReadLink(cursor, visitor);
        break;
      case kClientCounts:
        ReadClientCounts(cursor, visitor);
        break;
      default:
        *error = "item " + std::to_string(item) + " has an unknown tag";
        return false;
    }
    if (!cursor.ok()) {
      *error = "item " + std::to_string(item) + " is cut off or malformed";
      return false;
    }
  }
  return true;
}

}  // namespace fulcrum::store
