// SPDX-License-Identifier: Apache-2.0
#include "experiments/diff_moves.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "core/bucket.h"

namespace fulcrum::experiments {
namespace {

using core::BucketRange;
using core::ExperimentData;

// P(in before and in after), P(before only), P(after only); the rest is in neither.
struct InOut {
  double both = 1;
  double before_only = 0;
  double after_only = 0;

  double before() const { return both + before_only; }
  double after() const { return both + after_only; }
};

double Length(const std::vector<BucketRange>& ranges) {
  double sum = 0;
  for (const BucketRange& range : ranges) sum += range.end - range.begin;
  return sum / core::kPpm;
}

double Overlap(const BucketRange& a, const BucketRange& b) {
  const uint32_t begin = std::max(a.begin, b.begin);
  const uint32_t end = std::min(a.end, b.end);
  return begin < end ? static_cast<double>(end - begin) / core::kPpm : 0;
}

InOut Combine(const std::vector<BucketRange>& before, const std::vector<BucketRange>& after,
              bool same_draw) {
  InOut out;
  out.both = 0;
  if (same_draw) {
    for (const BucketRange& a : before) {
      for (const BucketRange& b : after) out.both += Overlap(a, b);
    }
  } else {
    out.both = Length(before) * Length(after);
  }
  out.before_only = Length(before) - out.both;
  out.after_only = Length(after) - out.both;
  return out;
}

const std::vector<BucketRange> kEverything = {{0, core::kPpm}};

// One side of the comparison: the experiment within its snapshot, at the phase that is looked at.
struct Side {
  const core::SnapshotData& data;
  const ExperimentData& experiment;
  const core::PhaseData* phase;  // nullptr: nobody gets a variant.

  const std::string& unit_kind() const {
    return data.unit_kinds[static_cast<size_t>(experiment.unit_kind)];
  }
};

const core::PhaseData* PhaseAt(const ExperimentData& experiment, std::optional<int64_t> now_ms) {
  if (experiment.status != core::ExperimentStatus::kRunning) return nullptr;
  if (!now_ms) return &experiment.phases.back();
  if (*now_ms < experiment.start_ms || *now_ms >= experiment.end_ms) return nullptr;
  const core::PhaseData* current = nullptr;
  for (const core::PhaseData& phase : experiment.phases) {
    if (phase.start_ms <= *now_ms) current = &phase;
  }
  return current;
}

InOut LayerShare(const Side& before, const Side& after) {
  const auto ranges = [](const Side& side) {
    return side.experiment.layer < 0 ? kEverything : side.experiment.layer_ranges;
  };
  const bool both = before.experiment.layer >= 0 && after.experiment.layer >= 0;
  bool same_draw = false;
  if (both) {
    const core::LayerData& a = before.data.layers[static_cast<size_t>(before.experiment.layer)];
    const core::LayerData& b = after.data.layers[static_cast<size_t>(after.experiment.layer)];
    same_draw = a.salt == b.salt && a.hash == b.hash && before.unit_kind() == after.unit_kind();
  }
  return Combine(ranges(before), ranges(after), same_draw);
}

// In: not held out, by all holdouts together.
InOut HoldoutShare(const Side& before, const Side& after) {
  struct Pair {
    std::vector<BucketRange> before = kEverything;
    std::vector<BucketRange> after = kEverything;
  };
  // By what is drawn: the same salt, hash and unit is the same bucket.
  std::map<std::tuple<std::string, core::HashAlgorithm, std::string>, Pair> draws;
  const auto add = [&](const Side& side, std::vector<BucketRange> Pair::*ranges) {
    for (const int32_t index : side.experiment.holdouts) {
      const core::HoldoutData& holdout = side.data.holdouts[static_cast<size_t>(index)];
      const std::string& unit = side.data.unit_kinds[static_cast<size_t>(holdout.unit_kind)];
      draws[{holdout.salt, holdout.hash, unit}].*ranges = {{holdout.held_ppm, core::kPpm}};
    }
  };
  add(before, &Pair::before);
  add(after, &Pair::after);
  InOut all;
  double in_before = 1, in_after = 1;
  for (const auto& [draw, pair] : draws) {
    const InOut one = Combine(pair.before, pair.after, true);
    all.both *= one.both;
    in_before *= one.before();
    in_after *= one.after();
  }
  all.before_only = in_before - all.both;
  all.after_only = in_after - all.both;
  return all;
}

// Rows: variant before; columns: variant after; the last of each is "none".
using Joint = std::vector<std::vector<double>>;

// What one side assigns, given that its layer and holdouts let the unit through.
struct Draw {
  std::vector<BucketRange> variants;  // In the variant hash.
  uint32_t traffic_ppm = core::kPpm;  // In the traffic hash; kPpm where the ranges include it.
};

Draw DrawOf(const Side& side) {
  Draw draw;
  if (side.phase == nullptr) {
    draw.variants.assign(side.experiment.variants.size(), {});
    return draw;
  }
  for (size_t i = 0; i < side.experiment.variants.size(); ++i) {
    draw.variants.push_back(core::VariantRange(*side.phase, side.experiment.hash, i));
  }
  const bool has_traffic_hash = side.experiment.hash == core::HashAlgorithm::kXxh3;
  if (has_traffic_hash) draw.traffic_ppm = side.phase->traffic_ppm;
  return draw;
}

// P(before = i, after = j) where both sides let the unit through.
Joint DrawTogether(const Draw& before, const Draw& after, bool same_draw) {
  const size_t n = before.variants.size(), m = after.variants.size();
  const double traffic_before = static_cast<double>(before.traffic_ppm) / core::kPpm;
  const double traffic_after = static_cast<double>(after.traffic_ppm) / core::kPpm;
  const double traffic_both =
      same_draw ? std::min(traffic_before, traffic_after) : traffic_before * traffic_after;
  Joint joint(n + 1, std::vector<double>(m + 1, 0));
  double none_none = 1;
  for (size_t i = 0; i < n; ++i) joint[i][m] = Length({before.variants[i]}) * traffic_before;
  for (size_t j = 0; j < m; ++j) joint[n][j] = Length({after.variants[j]}) * traffic_after;
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < m; ++j) {
      const double variants = same_draw
                                  ? Overlap(before.variants[i], after.variants[j])
                                  : Length({before.variants[i]}) * Length({after.variants[j]});
      joint[i][j] = variants * traffic_both;
      joint[i][m] -= joint[i][j];
      joint[n][j] -= joint[i][j];
    }
  }
  for (const auto& row : joint) {
    for (const double share : row) none_none -= share;
  }
  joint[n][m] = none_none;
  return joint;
}

bool SameDraw(const Side& before, const Side& after) {
  const ExperimentData& a = before.experiment;
  const ExperimentData& b = after.experiment;
  const auto cluster = [](const Side& side) {
    const int32_t index = side.experiment.cluster_attribute;
    return index < 0 ? std::string() : side.data.attributes[static_cast<size_t>(index)].key;
  };
  const bool same_blocks = a.switchback.block_ms == b.switchback.block_ms &&
                           (a.switchback.block_ms == 0 || a.start_ms == b.start_ms);
  return a.salt == b.salt && a.hash == b.hash && before.unit_kind() == after.unit_kind() &&
         cluster(before) == cluster(after) && same_blocks;
}

}  // namespace

std::vector<Move> MovesOf(const core::SnapshotData& before_data, size_t before_index,
                          const core::SnapshotData& after_data, size_t after_index,
                          std::optional<int64_t> now_ms) {
  const ExperimentData& a = before_data.experiments[before_index];
  const ExperimentData& b = after_data.experiments[after_index];
  const Side before{before_data, a, PhaseAt(a, now_ms)};
  const Side after{after_data, b, PhaseAt(b, now_ms)};
  const bool same_draw = SameDraw(before, after);
  const InOut layer = LayerShare(before, after);
  const InOut holdout = HoldoutShare(before, after);
  const double let_both = layer.both * holdout.both;
  const double let_before = layer.before() * holdout.before() - let_both;
  const double let_after = layer.after() * holdout.after() - let_both;
  const Draw draw_before = DrawOf(before), draw_after = DrawOf(after);
  const Joint joint = DrawTogether(draw_before, draw_after, same_draw);
  const size_t n = a.variants.size(), m = b.variants.size();

  const auto variant_of = [](const ExperimentData& e, size_t i) {
    return i < e.variants.size() ? e.variants[i].key : std::string();
  };
  std::map<std::pair<std::string, std::string>, double> shares;
  for (size_t i = 0; i <= n; ++i) {
    for (size_t j = 0; j <= m; ++j) {
      shares[{variant_of(a, i), variant_of(b, j)}] += let_both * joint[i][j];
    }
  }
  for (size_t i = 0; i < n; ++i) {
    const double share = Length({draw_before.variants[i]}) * draw_before.traffic_ppm / core::kPpm;
    shares[{a.variants[i].key, ""}] += let_before * share;
  }
  for (size_t j = 0; j < m; ++j) {
    const double share = Length({draw_after.variants[j]}) * draw_after.traffic_ppm / core::kPpm;
    shares[{"", b.variants[j].key}] += let_after * share;
  }
  // Sticky units keep what they have, as long as it exists and the unit is the same.
  const bool keeps =
      b.is_sticky && after.phase != nullptr && before.unit_kind() == after.unit_kind();
  std::vector<Move> moves;
  for (const auto& [pair, share] : shares) {
    // Not structured bindings: clang-14 cannot capture them.
    const std::string& from = pair.first;
    const std::string& to = pair.second;
    if (from == to || share < 1e-12) continue;
    const bool still_exists = std::any_of(b.variants.begin(), b.variants.end(),
                                          [&](const auto& v) { return v.key == from; });
    if (keeps && !from.empty() && still_exists) continue;
    moves.push_back({b.key, from, to, share});
  }
  std::stable_sort(moves.begin(), moves.end(),
                   [](const Move& x, const Move& y) { return x.share > y.share; });
  return moves;
}

}  // namespace fulcrum::experiments
