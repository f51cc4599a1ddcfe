// SPDX-License-Identifier: Apache-2.0
// The store of jobs on SQLite: what a submit, a status change and a list cost. In a folder below TMPDIR, so on the disk
// that this is on.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "rankexec/core/job/store/sqlite_store.hpp"

namespace rankexec::job {
namespace {

namespace fs = std::filesystem;
using enum JobStatus;

constexpr std::size_t kBundleBytes = 64U * 1024;

/// A store with so many jobs that wait, each after some attempts.
class Fixture {
public:
    explicit Fixture(std::int64_t jobs) {
        auto name = (fs::temp_directory_path() / "rankexec-store-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
        folder_ = name;
        write_bundle();
        store_ = open_sqlite_store({folder_ / "store"}).value();
        constexpr int kAttempts = 5;
        for (std::int64_t job = 0; job < jobs; ++job) {
            last_ = create().id;
            for (int attempt = 0; attempt < kAttempts; ++attempt) {
                static_cast<void>(store_->add_attempt(last_, {wall_now(), "needs 2 GPUs at site-b, 1 free"}));
            }
        }
    }
    Fixture(const Fixture&) = delete;
    Fixture& operator=(const Fixture&) = delete;
    ~Fixture() {
        store_.reset();
        fs::remove_all(folder_);
    }

    void write_bundle() const {
        fs::remove(bundle());
        std::ofstream(bundle()) << std::string(kBundleBytes, 'b');
    }
    JobRecord create() { return store_->create({"", "job", "ana", "", std::string(64, 'd')}, bundle()).value(); }
    JobStore* operator->() { return store_.get(); }
    [[nodiscard]] const std::string& last() const { return last_; }

private:
    [[nodiscard]] fs::path bundle() const { return folder_ / "bundle.tar.gz"; }

    fs::path folder_;
    std::unique_ptr<JobStore> store_;
    std::string last_;
};

/// As a controller does it: the bundle is a file that has just been written.
void create_job(benchmark::State& state) {
    Fixture store(state.range(0));
    std::vector<double> milliseconds;
    for (auto _ : state) {
        state.PauseTiming();
        store.write_bundle();
        state.ResumeTiming();
        const auto start = std::chrono::steady_clock::now();
        benchmark::DoNotOptimize(store.create());
        const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - start;
        milliseconds.push_back(taken.count());
    }
    std::nth_element(milliseconds.begin(), milliseconds.begin() + milliseconds.size() / 2, milliseconds.end());
    state.counters["median_ms"] = milliseconds[milliseconds.size() / 2];
}
BENCHMARK(create_job)->Arg(0)->Arg(1'000)->Iterations(500)->Unit(benchmark::kMillisecond)->UseRealTime();

void change_status(benchmark::State& state) {
    Fixture store(1);
    for (auto _ : state) {
        state.PauseTiming();
        const auto id = store.create().id;
        state.ResumeTiming();
        benchmark::DoNotOptimize(store->change_status(id, {{submitted}, aborted, "by ana", {}, {}}));
    }
}
BENCHMARK(change_status)->Iterations(500)->Unit(benchmark::kMillisecond)->UseRealTime();

void add_attempt(benchmark::State& state) {
    Fixture store(1);
    for (auto _ : state) static_cast<void>(store->add_attempt(store.last(), {wall_now(), "needs 2 GPUs"}));
}
BENCHMARK(add_attempt)->Iterations(2'000)->Unit(benchmark::kMillisecond)->UseRealTime();

void list_waiting(benchmark::State& state) {
    Fixture store(state.range(0));
    for (auto _ : state) benchmark::DoNotOptimize(store->list({submitted, approved}));
}
BENCHMARK(list_waiting)->Arg(1'000)->Unit(benchmark::kMillisecond)->UseRealTime();

/// All of them over: read from the database.
void list_finished(benchmark::State& state) {
    Fixture store(state.range(0));
    const auto jobs = store->list().value();
    for (const auto& job : jobs) {
        static_cast<void>(store->change_status(job.id, {{submitted}, aborted, "by ana", {}, {}}));
    }
    for (auto _ : state) benchmark::DoNotOptimize(store->list());
}
BENCHMARK(list_finished)->Arg(1'000)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace rankexec::job
