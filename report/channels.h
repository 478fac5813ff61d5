// SPDX-License-Identifier: Apache-2.0
//
// What each channel leaves after its cost: the margin of units by the channel they came by. Private
// to report/.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "experiments/definition.h"
#include "report/report.h"
#include "report/sample.h"
#include "store/plan.h"

namespace fulcrum::report {

// A row for each channel, then for the lines and for what is paid and free. Costs are those of the
// days on which units were enrolled, a day that is only partly among them by its part, shared over
// all units that the channel brought in that time; a cost is not a sample, so a margin's interval
// is the contribution's, moved. `slices` is GatherSlices()'s. nullopt where the definition asks for
// none or there are no units.
std::optional<ChannelReport> EstimateChannels(const experiments::Definitions& definitions,
                                              const experiments::ExperimentDefinition& experiment,
                                              const store::Plan& plan,
                                              const store::PlanResult& result,
                                              std::span<const std::vector<SliceValue>> slices);

}  // namespace fulcrum::report
