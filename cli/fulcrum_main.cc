// SPDX-License-Identifier: Apache-2.0
//
// The `fulcrum` program: parses the command line and runs one subcommand.
#include <csignal>
#include <exception>
#include <iostream>

#include "CLI/CLI.hpp"
#include "cli/command.h"

int main(int argc, char** argv) {
  // A reader that went away (`fulcrum … | head`, a closed socket) is an error of that write only.
  std::signal(SIGPIPE, SIG_IGN);

  CLI::App program(
      "Fulcrum: growth experiments from definition to verdict.\n"
      "Start with: fulcrum validate examples/shop");
  program.require_subcommand(1);
  program.set_version_flag("--version", "fulcrum " FULCRUM_VERSION);
  fulcrum::cli::Run run;
  fulcrum::cli::AddServe(&program, &run);
  fulcrum::cli::AddValidate(&program, &run);
  fulcrum::cli::AddDiff(&program, &run);
  fulcrum::cli::AddExplain(&program, &run);
  fulcrum::cli::AddAssign(&program, &run);
  fulcrum::cli::AddPlan(&program, &run);
  fulcrum::cli::AddReport(&program, &run);
  fulcrum::cli::AddAnalyze(&program, &run);
  fulcrum::cli::AddExport(&program, &run);
  fulcrum::cli::AddImport(&program, &run);
  fulcrum::cli::AddSimulate(&program, &run);
  fulcrum::cli::AddStats(&program, &run);
  fulcrum::cli::AddCalibrate(&program, &run);
  try {
    program.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return program.exit(help);
  } catch (const CLI::ParseError& error) {
    program.exit(error, std::cerr, std::cerr);
    return fulcrum::cli::kUsage;
  }
  try {
    return run();
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return fulcrum::cli::kEnvironment;
  }
}
