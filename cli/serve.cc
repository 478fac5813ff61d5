// SPDX-License-Identifier: Apache-2.0
#include <csignal>
#include <cstdio>
#include <iostream>
#include <memory>

#include "CLI/CLI.hpp"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/time.h"
#include "cli/command.h"
#include "cli/remote.h"
#include "server/server.h"

namespace fulcrum::cli {
namespace {

struct Options {
  std::string listen = "127.0.0.1:8080";
  std::string store;
  std::string simulated_clock;
  server::ServerOptions server;
};

absl::Status ParseListen(const std::string& listen, server::ServerOptions* options) {
  const size_t colon = listen.rfind(':');
  int port = -1;
  if (colon == std::string::npos || !absl::SimpleAtoi(listen.substr(colon + 1), &port) ||
      port < 0 || port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("--listen is HOST:PORT, for example 127.0.0.1:8080, not '", listen, "'."));
  }
  options->host = listen.substr(0, colon);
  options->port = port;
  return absl::OkStatus();
}

absl::Status ParseStore(const std::string& store, server::ServerOptions* options) {
  if (store.empty()) return absl::OkStatus();
  if (store.rfind("duckdb:", 0) == 0 && store.size() > 7) {
    options->duckdb_path = store.substr(7);
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("--store is duckdb:PATH, not '", store, "'."));
}

absl::Status RunServe(Options options) {
  FULCRUM_RETURN_IF_ERROR(ParseListen(options.listen, &options.server));
  FULCRUM_RETURN_IF_ERROR(ParseStore(options.store, &options.server));
  if (!options.simulated_clock.empty()) {
    const auto start = ParseRfc3339(options.simulated_clock);
    if (!start) {
      return InvalidArgument(
          "--simulated-clock is the instant to start at, as 2026-03-02T00:00:00+08:00.");
    }
    options.server.simulated_clock = true;
    options.server.simulated_start_ms = *start;
  }
  // Blocked before any thread starts, so that every thread inherits it and only sigwait sees them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  const std::string data_dir = options.server.data_dir;
  FULCRUM_ASSIGN_OR_RETURN(const auto running, server::StartServer(std::move(options.server)));
  FULCRUM_RETURN_IF_ERROR(AnnounceServer(data_dir, running->url()));
  std::cerr << "fulcrum serves " << running->url() << " (stop with Ctrl-C or SIGTERM)\n";
  int signal = 0;
  sigwait(&signals, &signal);
  std::cerr << "draining\n";
  running->Stop();
  WithdrawServer(data_dir);
  return absl::OkStatus();
}

}  // namespace

void AddServe(CLI::App* program, Run* run) {
  auto options = std::make_shared<Options>();
  CLI::App* command = program->add_subcommand(
      "serve",
      "The service: assigns, logs and reports over HTTP; reloads DIR when it changes.\n"
      "Example: fulcrum serve --project examples/shop --data data");
  command->add_option("--project", options->server.project_dir, "Project directory")->required();
  command->add_option("--data", options->server.data_dir, "Directory that keeps what is logged")
      ->required();
  command->add_option("--listen", options->listen, "HOST:PORT; port 0 takes any free one")
      ->capture_default_str();
  command->add_option("--store", options->store, "duckdb:PATH (inside --data if absent)");
  command->add_option("--keys", options->server.keys_file,
                      "Key file with scopes; without one only loopback is served");
  command
      ->add_option("--max-connections", options->server.max_connections,
                   "Keep-alive connections served at once; further ones get 503")
      ->capture_default_str();
  command
      ->add_option("--max-streams", options->server.max_streams,
                   "Event streams and long polls at once, beside the connections")
      ->capture_default_str();
  command->add_flag("--allow-unsafe-edits", options->server.allow_unsafe_edits,
                    "Serve edits that move or mix units of running experiments (they are audited)");
  command
      ->add_option("--report-memory", options->server.report_memory_bytes,
                   "What one report may hold of its units, as 4GiB; beyond it works in passes")
      ->transform(CLI::AsSizeValue(false))
      ->capture_default_str();
  command
      ->add_option("--report-kept", options->server.report_kept_bytes,
                   "Kept between reports, as 1GiB, so that the next reads only what is new")
      ->transform(CLI::AsSizeValue(false))
      ->capture_default_str();
  command->add_option("--simulated-clock", options->simulated_clock,
                      "For demonstrations: start at this instant, move by POST /v1/clock");
  command->callback([=] {
    *run = [=] {
      const absl::Status status = RunServe(std::move(*options));
      return status.ok() ? kDone : Fail(status);
    };
  });
}

}  // namespace fulcrum::cli
