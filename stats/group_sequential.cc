// SPDX-License-Identifier: Apache-2.0
#include "stats/group_sequential.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "stats/distributions.h"
#include "stats/quadrature.h"
#include "stats/roots.h"

namespace fulcrum::stats {
namespace {

// Beyond this many standard deviations nothing reaches even the smallest spend we resolve.
constexpr double kReach = 13;
constexpr double kHighest = 37;

}  // namespace

void ExitRecursion::Look(double information, double next_information) {
  before_ = information_;
  information_ = information;
  next_ = next_information;
}

template <typename Tail>
double ExitRecursion::Sum(Tail tail) const {
  const double step = information_ - before_, scale = 1 / std::sqrt(step);
  const double root_now = std::sqrt(information_), root_before = std::sqrt(before_);
  double sum = 0;
  for (const Node& node : nodes_) {
    sum += node.mass * tail(scale * root_now, (node.z * root_before + theta_ * step) * scale);
  }
  return sum;
}

double ExitRecursion::Above(double z) const {
  if (before_ == 0) return NormalSf(z - theta_ * std::sqrt(information_));
  return Sum([z](double slope, double shift) { return NormalSf(slope * z - shift); });
}

double ExitRecursion::Below(double z) const {
  if (before_ == 0) return NormalCdf(z - theta_ * std::sqrt(information_));
  return Sum([z](double slope, double shift) { return NormalCdf(slope * z - shift); });
}

double ExitRecursion::MomentAbove(double z) const {
  const auto part = [z](double slope, double shift) {
    const double u = slope * z - shift;
    return (shift * NormalSf(u) + NormalPdf(u)) / slope;
  };
  return before_ == 0 ? part(1, theta_ * std::sqrt(information_)) : Sum(part);
}

double ExitRecursion::MomentBelow(double z) const {
  const auto part = [z](double slope, double shift) {
    const double u = slope * z - shift;
    return (shift * NormalCdf(u) - NormalPdf(u)) / slope;
  };
  return before_ == 0 ? part(1, theta_ * std::sqrt(information_)) : Sum(part);
}

double ExitRecursion::Density(double z) const {
  if (before_ == 0) return NormalPdf(z - theta_ * std::sqrt(information_));
  const double step = information_ - before_, scale = 1 / std::sqrt(step);
  const double slope = scale * std::sqrt(information_), back = scale * std::sqrt(before_);
  const double centre = slope * z - theta_ * step * scale;
  // Only nodes within reach of the kernel count; they are sorted. A narrow kernel meets a nearly
  // flat density, so it needs less reach than a wide one for the same accuracy in the tails.
  const double reach = 8.5 + (kReach - 8.5) * std::min(1.0, 1 / back);
  const double low = (centre - reach) / back, high = (centre + reach) / back;
  auto it = std::lower_bound(nodes_.begin(), nodes_.end(), low,
                             [](const Node& node, double x) { return node.z < x; });
  double sum = 0;
  for (; it != nodes_.end() && it->z <= high; ++it) {
    const double u = centre - back * it->z;
    sum += it->mass * std::exp(-0.5 * u * u);
  }
  return sum * slope * 0.39894228040143268;
}

void ExitRecursion::Continue(double lo, double hi) {
  const double mean = theta_ * std::sqrt(information_);
  // Under a strong drift the mass may sit far outside the region; keep what is inside it.
  lo = std::max(lo, std::min(mean, std::isinf(hi) ? mean : hi) - kReach);
  hi = std::min(hi, std::max(mean, lo) + kReach);
  std::vector<Node> next;
  if (lo < hi) {
    // Fine enough for this look's own kernel and for the next one's, seen from here.
    double width = 1;
    if (before_ > 0) width = std::min(width, std::sqrt((information_ - before_) / information_));
    if (next_ > information_) {
      width = std::min(width, std::sqrt((next_ - information_) / information_));
    }
    const int panels = static_cast<int>(std::clamp((hi - lo) / (4 * width), 5.0, 4000.0)) + 1;
    const double half = 0.5 * (hi - lo) / panels;
    next.reserve(static_cast<std::size_t>(panels) * 16);
    for (int p = 0; p < panels; ++p) {
      const double centre = lo + (2 * p + 1) * half;
      const auto rule = GaussLegendre16();
      for (std::size_t i = rule.size(); i-- > 0;) {  // the rule runs downwards
        const double z = centre + half * rule[i].x;
        next.push_back({z, half * rule[i].weight * Density(z)});
      }
    }
  }
  nodes_ = std::move(next);
}

namespace {

double Exit(const ExitRecursion& walk, double z, int sides) {
  return walk.Above(z) + (sides == 2 ? walk.Below(-z) : 0.0);
}

double NextOr0(std::span<const double> information, std::size_t k) {
  return k + 1 < information.size() ? information[k + 1] : 0.0;
}

BoundaryResult Describe(std::span<const double> information, std::vector<double> z, int sides) {
  BoundaryResult r;
  const ExitProbabilities exits = CrossingProbabilities(information, z, 0, sides);
  double sum = 0;
  for (std::size_t k = 0; k < z.size(); ++k) {
    sum += exits.upper[k] + exits.lower[k];
    r.cumulative_alpha.push_back(sum);
    r.nominal_p.push_back(sides * NormalSf(z[k]));
  }
  r.z = std::move(z);
  return r;
}

// The constant C with total crossing probability alpha for boundaries C * shape_k.
BoundaryResult FromShape(std::span<const double> information, const std::vector<double>& shape,
                         double alpha, int sides) {
  const auto boundary = [&](double c) {
    std::vector<double> z(shape);
    for (double& x : z) x *= c;
    return z;
  };
  const double low = NormalUpperQuantile(alpha / sides);
  const double high = NormalUpperQuantile(alpha / sides / static_cast<double>(shape.size())) + 0.01;
  const double c = FindRoot(low, high, 1e-11, [&](double x) {
    return CrossingProbabilities(information, boundary(x), 0, sides).Total() - alpha;
  });
  BoundaryResult r = Describe(information, boundary(c), sides);
  r.constant = c;
  return r;
}

}  // namespace

double ExitProbabilities::Total() const {
  double sum = 0;
  for (const double p : upper) sum += p;
  for (const double p : lower) sum += p;
  return sum;
}

ExitProbabilities CrossingProbabilities(std::span<const double> information,
                                        std::span<const double> boundary_z, double theta,
                                        int sides) {
  ExitProbabilities r;
  ExitRecursion walk(theta);
  for (std::size_t k = 0; k < boundary_z.size(); ++k) {
    const double next = k + 1 < boundary_z.size() ? information[k + 1] : 0.0;
    walk.Look(information[k], next);
    r.upper.push_back(walk.Above(boundary_z[k]));
    r.lower.push_back(sides == 2 ? walk.Below(-boundary_z[k]) : 0.0);
    if (next > 0) walk.Continue(sides == 2 ? -boundary_z[k] : -kInfinity, boundary_z[k]);
  }
  return r;
}

BoundaryResult PocockBoundary(std::span<const double> information, double alpha, int sides) {
  return FromShape(information, std::vector<double>(information.size(), 1.0), alpha, sides);
}

BoundaryResult OBrienFlemingBoundary(std::span<const double> information, double alpha, int sides) {
  std::vector<double> shape;
  for (const double i : information) shape.push_back(std::sqrt(information.back() / i));
  return FromShape(information, shape, alpha, sides);
}

double Spending::Spent(double t, double alpha) const {
  if (t <= 0) return 0;
  if (t >= 1) return alpha;
  switch (kind) {
    case Kind::kOBrienFleming:
      return 2 * NormalSf(NormalUpperQuantile(alpha / 2) / std::sqrt(t));
    case Kind::kPocock:
      return alpha * std::log1p((std::exp(1.0) - 1) * t);
    case Kind::kPower:
      return alpha * std::pow(t, parameter);
    case Kind::kHwangShihDeCani:
      if (std::abs(parameter) < 1e-12) return alpha * t;
      return alpha * std::expm1(-parameter * t) / std::expm1(-parameter);
  }
  return 0;
}

BoundaryResult SpendingBoundary(std::span<const double> information, double information_max,
                                const Spending& spending, double alpha_per_side, int sides) {
  BoundaryResult r;
  ExitRecursion walk;
  double spent = 0;
  for (std::size_t k = 0; k < information.size(); ++k) {
    walk.Look(information[k], NextOr0(information, k));
    const double until = spending.Spent(information[k] / information_max, alpha_per_side);
    const double increment = sides * (until - spent);
    spent = std::max(spent, until);
    double z = kInfinity;
    if (increment > 0 && Exit(walk, kHighest, sides) < increment) {
      // In logarithms, so that a spend of 1e-23 is met as exactly as one of 0.01.
      z = FindRoot(sides == 2 ? 0.0 : -kHighest, kHighest, 1e-12, [&](double c) {
        return std::log(std::max(Exit(walk, c, sides), 1e-320) / increment);
      });
    }
    r.z.push_back(z);
    r.nominal_p.push_back(sides * NormalSf(z));
    r.cumulative_alpha.push_back(sides * spent);
    if (k + 1 < information.size()) walk.Continue(sides == 2 ? -z : -kInfinity, z);
  }
  return r;
}

DesignSize SizeOf(std::span<const double> fractions, std::span<const double> boundary_z,
                  double alpha, double power, int sides) {
  const double last = fractions.back();
  const double fixed = NormalUpperQuantile(alpha / sides) - NormalUpperQuantile(power);
  const auto crossing = [&](double drift) {
    return CrossingProbabilities(fractions, boundary_z, drift / std::sqrt(last), sides);
  };
  // Crossing on the wrong side is no success.
  const auto success = [&](double drift) {
    const ExitProbabilities exits = crossing(drift);
    return std::accumulate(exits.upper.begin(), exits.upper.end(), 0.0);
  };
  DesignSize r;
  r.drift = FindRoot(0.5 * fixed, 3 * fixed + 1, 1e-10,
                     [&](double drift) { return success(drift) - power; });
  r.inflation = (r.drift / fixed) * (r.drift / fixed);
  const ExitProbabilities exits = crossing(r.drift);
  double still = 1, expected = 0;
  for (std::size_t k = 0; k < fractions.size(); ++k) {
    const double stop = k + 1 == fractions.size() ? still : exits.upper[k] + exits.lower[k];
    expected += stop * fractions[k] / last;
    still -= stop;
  }
  r.expected_information = expected * r.inflation;
  return r;
}

namespace {

// P_theta(an outcome at least as large as stopping at look k with z), stage-wise ordering.
double OrderedTail(std::span<const double> information, std::span<const double> boundary_z,
                   std::size_t k, double z, double theta) {
  ExitRecursion walk(theta);
  double sum = 0;
  for (std::size_t j = 0; j < k; ++j) {
    walk.Look(information[j], j + 1 < k ? information[j + 1] : 0.0);
    if (j + 1 == k) return sum + walk.Above(z);
    sum += walk.Above(boundary_z[j]);
    walk.Continue(-boundary_z[j], boundary_z[j]);
  }
  return sum;
}

}  // namespace

double StagewiseP(std::span<const double> information, std::span<const double> boundary_z,
                  std::size_t stopped_at, double z) {
  // Symmetric under theta = 0: twice the one-sided ordered tail.
  return std::min(1.0, 2 * OrderedTail(information, boundary_z, stopped_at, std::abs(z), 0));
}

StagewiseEstimate StagewiseInference(std::span<const double> information,
                                     std::span<const double> boundary_z, std::size_t stopped_at,
                                     double z, double alpha) {
  StagewiseEstimate r;
  const double se = 1 / std::sqrt(information[stopped_at - 1]);
  const double sign = z < 0 ? -1.0 : 1.0, size = std::abs(z);
  // theta at which the outcome is as far up as `tail` says; for a negative z everything mirrored.
  const auto solve = [&](double tail) {
    const double centre = size * se, reach = (kReach - 3) / std::sqrt(information[0]);
    return FindRoot(centre - reach, centre + reach, 1e-12 * reach, [&](double theta) {
      return OrderedTail(information, boundary_z, stopped_at, size, theta) - tail;
    });
  };
  const double low = solve(alpha / 2), high = solve(1 - alpha / 2);
  r.mle = z * se;
  r.median_unbiased = sign * solve(0.5);
  r.interval = sign > 0 ? Interval{low, high} : Interval{-high, -low};
  r.naive = {r.mle - CriticalZ(alpha) * se, r.mle + CriticalZ(alpha) * se};
  return r;
}

double ConditionalPower(double z, double t, double drift, double final_critical) {
  return NormalSf((final_critical - z * std::sqrt(t) - drift * (1 - t)) / std::sqrt(1 - t));
}

double PeekingError(int looks, double critical) {
  std::vector<double> information, z(static_cast<std::size_t>(looks), critical);
  for (int k = 1; k <= looks; ++k) information.push_back(k);
  return CrossingProbabilities(information, z, 0, 2).Total();
}

}  // namespace fulcrum::stats
