// SPDX-License-Identifier: Apache-2.0
// A shop's page that asks for a variant, shows it, and says what people did.
//   shop URL STATE_DIRECTORY EXPERIMENT UNIT [KEY]
#include <fulcrum/client.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <string>

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "usage: shop URL STATE_DIRECTORY EXPERIMENT UNIT [KEY]\n");
    return 2;
  }
  fulcrum::ClientOptions options;
  options.url = argv[1];
  options.state_directory = argv[2];
  options.key = argc > 5 ? argv[5] : "";
  options.on_problem = [](std::string_view problem) {
    std::fprintf(stderr, "%.*s\n", static_cast<int>(problem.size()), problem.data());
  };
  std::string error;
  const std::unique_ptr<fulcrum::Client> client = fulcrum::Client::Start(options, &error);
  if (client == nullptr) {
    std::fprintf(stderr, "error: %s\n", error.c_str());
    return 1;
  }
  client->WaitUntilReady(std::chrono::seconds(2));

  const fulcrum::Context who(argv[4]);
  const fulcrum::Result<std::string> page = client->GetJson(argv[3], who, "\"unchanged\"");
  std::printf("value %s, variant %s, reason %s, error %s\n", page.value.c_str(),
              std::string(page.variant).c_str(), std::string(page.reason).c_str(),
              std::string(fulcrum::ErrorName(page.error)).c_str());

  client->LogExposure(page);  // it is shown now
  client->LogEvent(fulcrum::Event("pay", "user", argv[4]).Value(129.5, "CNY"));
  const bool all_sent = client->Flush(std::chrono::seconds(2));
  std::printf("%s\n", all_sent ? "all sent" : "kept for later");
  return page.error == fulcrum::Error::kNone ? 0 : 1;
}
