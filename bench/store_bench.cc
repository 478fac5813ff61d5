// SPDX-License-Identifier: Apache-2.0
//
// The write path of the embedded store, without HTTP: batches of 1,000 typical events (name, one of
// a million users, time, value, three properties) from several threads.
//
//   store_bench load   [events] [batch]             how fast a full inbox is loaded
//   store_bench append [seconds] [threads] [rate]   latency of acknowledgements at a paced rate
//                                                   (0 = as fast as possible), loader running
//   store_bench stages [events] [group]             decode, stage and append, one after the other
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/status.h"
#include "core/hash.h"
#include "store/embedded_store.h"
#include "store/load_group.h"
#include "store/schema.h"

namespace fulcrum::store {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Bytes this process had written to the disk, from the kernel's count; 0 where there is none.
double WrittenBytes() {
  std::ifstream file("/proc/self/io");
  for (std::string key, value; file >> key >> value;) {
    if (key == "write_bytes:") return std::atof(value.c_str());
  }
  return 0;
}

// Fails loudly: a benchmark of something that does not work is worth nothing.
void Check(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "store_bench: %s\n", status.ToString().c_str());
  std::exit(1);
}

class EventMaker {
 public:
  explicit EventMaker(uint32_t seed) : random_(seed) {}

  void Fill(BatchBuilder* batch, int items, int64_t ts_ms) {
    static constexpr std::string_view kNames[] = {"browse", "consult", "register",
                                                  "order",  "pay",     "service"};
    static constexpr std::string_view kChannels[] = {"paid_search", "organic", "partner", "social"};
    batch->Clear();
    for (int i = 0; i < items; ++i) {
      const std::string user = "user-" + std::to_string(random_() % 1'000'000);
      const std::string id = std::to_string(random_()) + "-" + std::to_string(++count_);
      const UnitRef ids[] = {{"user", user}};
      const PropertyView properties[] = {
          {.key = "channel", .type = PropertyType::kString, .text = kChannels[random_() % 4]},
          {.key = "price",
           .type = PropertyType::kNumber,
           .number = static_cast<double>(random_() % 10000) / 100},
          {.key = "gift", .type = PropertyType::kBool, .boolean = random_() % 8 == 0}};
      batch->Add(EventView{.event_id = id,
                           .name = kNames[random_() % 6],
                           .ts_ms = ts_ms + i,
                           .ids = ids,
                           .value = static_cast<double>(random_() % 5000) / 100,
                           .properties = properties});
    }
  }

 private:
  std::mt19937 random_;
  int64_t count_ = 0;
};

// A directory on the disk that holds the working directory, not on a RAM disk: syncs must count.
struct Directory {
  Directory() {
    std::string name = (std::filesystem::current_path() / "store_bench_XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~Directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::string path;
};

int BenchLoad(int64_t events, int batch_size) {
  Directory directory;
  {
    absl::StatusOr<std::unique_ptr<Inbox>> inbox =
        Inbox::Open({.path = directory.path + "/inbox.sqlite", .max_backlog_bytes = 16LL << 30});
    Check(inbox.status());
    EventMaker maker(1);
    BatchBuilder batch;
    int64_t bytes = 0;
    const auto start = Clock::now();
    for (int64_t done = 0; done < events; done += batch_size) {
      maker.Fill(&batch, batch_size, 1'750'000'000'000 + done);
      bytes += static_cast<int64_t>(batch.payload().size());
      Check((*inbox)
                ->Append({.payload = batch.payload(),
                          .items = batch.size(),
                          .received_ms = 1'750'000'000'000 + done})
                .status());
    }
    std::printf("inbox: %.0f events/s with generation, %.1f bytes an event\n",
                static_cast<double>(events) / SecondsSince(start),
                static_cast<double>(bytes) / static_cast<double>(events));
  }
  const double cpu = CpuSeconds();
  const auto start = Clock::now();
  auto store = EmbeddedStore::Open({.directory = directory.path, .max_backlog_bytes = 16LL << 30});
  Check(store.status());
  Check((*store)->Flush());
  const double seconds = SecondsSince(start);
  const double cpu_seconds = CpuSeconds() - cpu;
  std::printf("load: %.0f events/s wall, %.0f events per CPU second\n",
              static_cast<double>(events) / seconds, static_cast<double>(events) / cpu_seconds);
  store->reset();
  std::printf("file: %.1f bytes an event\n",
              static_cast<double>(std::filesystem::file_size(directory.path + "/fulcrum.duckdb")) /
                  static_cast<double>(events));
  return 0;
}

// What the loader's time is made of, in CPU time.
int BenchStages(int64_t events, int64_t group_items) {
  Directory directory;
  auto analytics = Analytics::Open({.path = directory.path + "/bench.duckdb",
                                    .temp_directory = directory.path + "/tmp",
                                    .threads = 1},
                                   "bench", true);
  Check(analytics.status());
  auto session = (*analytics)->Connect();
  Check(session.status());
  duckdb::Connection& connection = session->connection;
  LoadGroup group(1LL << 30);
  Check(group.Load(&connection));
  EventMaker maker(1);
  BatchBuilder builder;
  double read = 0, stage = 0, write = 0, commit = 0;
  int64_t sequence = 0;
  for (int64_t done = 0; done < events; done += group_items) {
    std::vector<InboxBatch> batches;
    for (int i = 0; i < group_items / 1000; ++i) {
      maker.Fill(&builder, 1000, 1'750'000'000'000 + done);
      batches.push_back({.sequence = ++sequence,
                         .received_ms = 1'750'000'000'000 + done,
                         .items = 1000,
                         .checksum = core::Xxh3(builder.payload()),
                         .payload = builder.payload()});
    }
    double start = CpuSeconds();
    std::string error;
    int64_t seen = 0;
    const BatchVisitor count = {.event = [&seen](const EventView&) { ++seen; }};
    for (const InboxBatch& batch : batches) ReadBatch(batch.payload, count, &error);
    read += CpuSeconds() - start;
    start = CpuSeconds();
    for (const InboxBatch& batch : batches) {
      if (!group.Add(batch, &error)) Check(Internal(error));
    }
    stage += CpuSeconds() - start;
    start = CpuSeconds();
    bool columns_added = false;
    Check(connection.Execute("BEGIN"));
    Check(group.Write(&connection, batches.front().sequence - 1, sequence, &columns_added));
    write += CpuSeconds() - start;
    start = CpuSeconds();
    Check(connection.Execute("COMMIT"));
    group.Committed();
    commit += CpuSeconds() - start;
  }
  const double n = static_cast<double>(events) / 1e9;
  std::printf(
      "CPU ns an event: decode %.0f, decode and stage %.0f, append %.0f, commit %.0f; "
      "written: %.0f bytes an event\n",
      read / n, stage / n, write / n, commit / n, WrittenBytes() / static_cast<double>(events));
  return 0;
}

int BenchAppend(double seconds, int threads, double rate) {
  Directory directory;
  auto store = EmbeddedStore::Open({.directory = directory.path});
  Check(store.status());
  std::vector<std::vector<double>> latencies(static_cast<size_t>(threads));
  std::atomic<int64_t> refused = 0;
  std::atomic<int64_t> max_backlog = 0;
  std::atomic<bool> done = false;
  const auto start = Clock::now();
  const double cpu = CpuSeconds();
  std::vector<std::thread> workers;
  for (int t = 0; t < threads; ++t) {
    workers.emplace_back([&, t] {
      EventMaker maker(static_cast<uint32_t>(t));
      BatchBuilder batch;
      auto next = Clock::now();
      while (SecondsSince(start) < seconds) {
        maker.Fill(&batch, 1000, 1'750'000'000'000);
        if (rate > 0) {
          next += std::chrono::nanoseconds(static_cast<int64_t>(1e12 * threads / rate));
          std::this_thread::sleep_until(next);
        }
        const auto sent = Clock::now();
        const absl::Status status = (*store)
                                        ->Append({.payload = batch.payload(),
                                                  .items = batch.size(),
                                                  .received_ms = 1'750'000'000'000})
                                        .status();
        if (status.code() == absl::StatusCode::kResourceExhausted) {
          ++refused;
          std::this_thread::sleep_for(std::chrono::milliseconds(20));
          continue;
        }
        Check(status);
        latencies[static_cast<size_t>(t)].push_back(SecondsSince(sent) * 1e3);
      }
    });
  }
  std::thread watcher([&] {
    while (!done) {
      max_backlog = std::max<int64_t>(max_backlog, (*store)->stats().backlog_bytes);
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  });
  for (std::thread& worker : workers) worker.join();
  const double sent_seconds = SecondsSince(start);
  const auto flush = Clock::now();
  Check((*store)->Flush());
  const double flush_seconds = SecondsSince(flush);
  const double cpu_seconds = CpuSeconds() - cpu;
  done = true;
  watcher.join();
  std::vector<double> all;
  for (const auto& some : latencies) all.insert(all.end(), some.begin(), some.end());
  if (all.empty()) Check(Internal("nothing was acknowledged"));
  std::sort(all.begin(), all.end());
  const auto at = [&all](double q) {
    return all[std::min(all.size() - 1, static_cast<size_t>(q * static_cast<double>(all.size())))];
  };
  std::printf(
      "append: %.0f events/s for %.0f s, ack ms p50 %.1f p99 %.1f p99.9 %.1f max %.1f, refused "
      "%lld, largest backlog %.0f MB, flush %.2f s, load failures %lld\n"
      "each event: %.2f us CPU with making it, %.0f bytes written\n",
      static_cast<double>(all.size()) * 1000 / sent_seconds, sent_seconds, at(0.5), at(0.99),
      at(0.999), all.back(), static_cast<long long>(refused.load()),
      static_cast<double>(max_backlog.load()) / 1e6, flush_seconds,
      static_cast<long long>((*store)->stats().load_failures),
      cpu_seconds / static_cast<double>(all.size()) * 1e3,
      WrittenBytes() / static_cast<double>(all.size()) / 1e3);
  return 0;
}

int Main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  const auto number = [&](int index, double otherwise) {
    return argc > index ? std::atof(argv[index]) : otherwise;
  };
  if (what == "load") {
    return BenchLoad(static_cast<int64_t>(number(2, 2e6)), static_cast<int>(number(3, 1000)));
  }
  if (what == "stages") {
    return BenchStages(static_cast<int64_t>(number(2, 1e6)),
                       static_cast<int64_t>(number(3, 250e3)));
  }
  if (what == "append")
    return BenchAppend(number(2, 10), static_cast<int>(number(3, 8)), number(4, 0));
  std::fprintf(stderr,
               "usage: store_bench load [events] [batch] | stages [events] | "
               "append [seconds] [threads] [events/s]\n");
  return 2;
}

}  // namespace
}  // namespace fulcrum::store

int main(int argc, char** argv) { return fulcrum::store::Main(argc, argv); }
