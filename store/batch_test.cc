// SPDX-License-Identifier: Apache-2.0
#include "store/batch.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace fulcrum::store {
namespace {

// Everything a visitor sees, written out, so that two batches can be compared as texts.
std::string Describe(std::string_view payload, bool* ok = nullptr) {
  std::string seen;
  const auto text = [&seen](std::string_view value) { seen.append(value).append("|"); };
  const auto number = [&seen](double value) { seen += std::to_string(value) + "|"; };
  const auto properties = [&](std::span<const PropertyView> all) {
    for (const PropertyView& property : all) {
      text(property.key);
      number(static_cast<int>(property.type));
      number(property.boolean);
      number(property.number);
      text(property.text);
    }
  };
  const BatchVisitor visitor = {
      .exposure =
          [&](const ExposureView& e) {
            for (const auto& t :
                 {e.exposure_id, e.experiment, e.variant, e.unit.kind, e.unit.id, e.snapshot}) {
              text(t);
            }
            for (const double n :
                 {static_cast<double>(e.ts_ms), static_cast<double>(e.phase), e.propensity}) {
              number(n);
            }
            properties(e.attributes);
          },
      .event =
          [&](const EventView& e) {
            for (const auto& t : {e.event_id, e.name, e.order_id, e.session_id, e.currency}) {
              text(t);
            }
            for (const UnitRef& id : e.ids) text(std::string(id.kind) + ":" + std::string(id.id));
            number(static_cast<double>(e.ts_ms));
            text(e.value ? std::to_string(*e.value) : "none");
            properties(e.properties);
          },
      .link =
          [&](const LinkView& l) {
            for (const auto& t : {l.anonymous.kind, l.anonymous.id, l.known.kind, l.known.id}) {
              text(t);
            }
            number(static_cast<double>(l.ts_ms));
          },
      .client_counts =
          [&](const ClientCountsView& c) {
            text(c.experiment);
            text(c.variant);
            for (const int64_t n : {c.assigned, c.shown, c.sent, c.dropped}) {
              number(static_cast<double>(n));
            }
          },
  };
  std::string error;
  const bool read = ReadBatch(payload, visitor, &error);
  if (ok != nullptr) *ok = read;
  return read ? seen : "error: " + error;
}

BatchBuilder Sample() {
  BatchBuilder batch;
  const PropertyView properties[] = {
      {.key = "gift", .type = PropertyType::kBool, .boolean = true},
      {.key = "price", .type = PropertyType::kNumber, .number = -12.5},
      {.key = "city", .type = PropertyType::kString, .text = "Łódź"}};
  const UnitRef ids[] = {{"user", "u1"}, {"device", "d1"}};
  batch.Add(ExposureView{.exposure_id = "x1",
                         .experiment = "checkout",
                         .variant = "one_page",
                         .unit = {"user", "u1"},
                         .ts_ms = -5,
                         .snapshot = "abc",
                         .phase = 3,
                         .propensity = 0.25,
                         .attributes = properties});
  batch.Add(EventView{.event_id = "e1",
                      .name = "paid",
                      .ts_ms = 1'750'000'000'123,
                      .ids = ids,
                      .order_id = "o1",
                      .session_id = "s1",
                      .value = 0.0,
                      .currency = "EUR",
                      .properties = properties});
  batch.Add(EventView{.name = "browse", .ids = ids});
  batch.Add(LinkView{.anonymous = ids[1], .known = ids[0], .ts_ms = 7});
  batch.Add(ClientCountsView{.experiment = "checkout", .variant = "", .assigned = 4, .shown = 3});
  return batch;
}

TEST(Batch, GivesBackWhatWasAdded) {
  const BatchBuilder batch = Sample();
  EXPECT_EQ(batch.size(), 5);
  EXPECT_EQ(
      Describe(batch.payload()),
      "x1|checkout|one_page|user|u1|abc|-5.000000|3.000000|0.250000|gift|0.000000|1.000000|0.000000"
      "||price|1.000000|0.000000|-12.500000||city|2.000000|0.000000|0.000000|Łódź|"
      "e1|paid|o1|s1|EUR|user:u1|device:d1|1750000000123.000000|0.000000|gift|0.000000|1.000000|"
      "0.000000||price|1.000000|0.000000|-12.500000||city|2.000000|0.000000|0.000000|Łódź|"
      "|browse||||user:u1|device:d1|0.000000|none|"
      "device|d1|user|u1|7.000000|checkout||4.000000|3.000000|0.000000|0.000000|");
}

TEST(Batch, ClearBeginsAnew) {
  BatchBuilder batch = Sample();
  const std::string first = batch.payload();
  batch.Clear();
  EXPECT_EQ(batch.size(), 0);
  EXPECT_EQ(batch.payload(), "");
  EXPECT_EQ(Describe(batch.payload()), "");
  batch = Sample();
  EXPECT_EQ(batch.payload(), first);
}

// No prefix of a payload reads as whole, unless it ends where an item ends.
TEST(Batch, EveryCutIsNoticed) {
  const BatchBuilder batch = Sample();
  int whole = 0;
  for (size_t size = 1; size < batch.payload().size(); ++size) {
    bool ok = false;
    Describe(std::string_view(batch.payload()).substr(0, size), &ok);
    if (ok) ++whole;
  }
  EXPECT_EQ(whole, 5);  // Before any item, and after each but the last.
}

// Random damage must never read out of bounds (run under the sanitizers) nor ask for memory.
TEST(Batch, RandomDamageIsSurvived) {
  const std::string good = Sample().payload();
  std::mt19937 random(20260101);
  for (int i = 0; i < 20000; ++i) {
    std::string bad = good;
    for (int flips = 1 + static_cast<int>(random() % 3); flips > 0; --flips) {
      bad[random() % bad.size()] = static_cast<char>(random());
    }
    Describe(bad);
  }
}

TEST(Batch, AnotherVersionIsNamed) {
  EXPECT_EQ(Describe("\x09"), "error: the payload has version 9, this program reads 1");
}

}  // namespace
}  // namespace fulcrum::store
