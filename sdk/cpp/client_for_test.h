// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "sdk/cpp/include/fulcrum/client.h"
#include "sdk/cpp/transport.h"

namespace fulcrum {

// Client::Start with a transport and a clock of the test's own, which outlive the client.
struct ClientForTest {
  static std::unique_ptr<Client> Start(ClientOptions options,
                                       std::shared_ptr<sdk::Transport> transport,
                                       const sdk::Clock* clock, std::string* error);
};

}  // namespace fulcrum
