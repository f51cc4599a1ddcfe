// SPDX-License-Identifier: Apache-2.0
// schedule_pass [PLOT.svg]
//
// How long a pass of the scheduler takes, over queued jobs and connected sites, with the store on SQLite and sites that
// answer at once. Prints one line per measurement: of some passes the medians of their processor time, which other
// programs on the machine hardly change, and of their whole time, and the slowest, in milliseconds.
//
//   waiting    no job fits anywhere, and a site has reported something else since the last pass: all are looked at
//   trying     all jobs are due and fit what the sites report: as many are tried as one pass tries, and placed
//
// Exit code 1: a pass for up to 1000 jobs and 200 sites takes more than the goal of 10 ms of processor time.
#include <time.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "rankexec/core/job/schedule/scheduler.hpp"
#include "rankexec/core/job/store/sqlite_store.hpp"
#include "rankexec/core/plot/line_chart.hpp"
#include "temporary_folder.hpp"

namespace rankexec::job {
namespace {

constexpr double kGoal = 10;  // ms
constexpr int kPasses = 21;
constexpr int kGpusAtSite = 8;

/// Sites that have what they report, and grant it.
class AgreeablePool final : public SitePool {
public:
    AgreeablePool(int sites, int free_gpus) {
        for (int i = 0; i < sites; ++i) {
            auto name = std::to_string(i);
            Site site{"site-" + std::string(4 - name.size(), '0') + name, {}};
            for (int gpu = 0; gpu < kGpusAtSite; ++gpu) {
                site.resources.gpus.push_back({std::to_string(gpu), 80'000, gpu < free_gpus});
            }
            site.resources.cores = site.resources.free_cores = 64;
            site.resources.memory_mib = site.resources.free_memory_mib = 512'000;
            sites_.push_back(std::move(site));
        }
    }
    std::vector<Site> connected() override { return sites_; }
    std::map<std::string, Answer> reserve(const std::string& /*job*/, const std::vector<Question>& questions) override {
        std::map<std::string, Answer> answers;
        for (const auto& question : questions) answers.emplace(question.site, "token");
        return answers;
    }
    void cancel(const std::string& /*site*/, const std::string& /*token*/) override {}
    void report_a_change() { sites_.back().resources.free_cores ^= 1; }

private:
    std::vector<Site> sites_;
};

struct Times {
    double processor = 0;
    double median = 0;
    double slowest = 0;
};

double thread_time() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
}

template <typename Function>
Times measure(Function function) {
    std::vector<double> processor;
    std::vector<double> whole;
    for (int i = 0; i < kPasses; ++i) {
        auto pass = function();
        const auto begin = std::chrono::steady_clock::now();
        const auto processor_begin = thread_time();
        pass();
        processor.push_back(thread_time() - processor_begin);
        whole.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
    }
    std::ranges::sort(processor);
    std::ranges::sort(whole);
    return {processor[kPasses / 2], whole[kPasses / 2], whole.back()};
}

/// One store that gets more and more jobs: making them takes far longer than what is measured.
class Queue {
public:
    Queue() {
        StoreOptions options;
        options.directory = folder_ / "store";
        auto store = open_sqlite_store(options);
        if (!store) throw std::runtime_error(store.error().message);
        store_ = std::move(*store);
    }

    void grow_to(int jobs) {
        const auto bundle = folder_ / "bundle";
        for (; jobs_ < jobs; ++jobs_) {
            std::ofstream(bundle) << "a bundle";
            JobStore::NewJob job;
            job.name = "job-" + std::to_string(jobs_);
            if (auto made = store_->create(job, bundle); !made) throw std::runtime_error(made.error().message);
        }
    }

    /// No job fits: each needs a GPU more than is free.
    Times waiting(int sites) {
        AgreeablePool pool(sites, kNeeded - 1);
        auto scheduler = scheduler_for(pool, 1);
        while (scheduler->pass().wake_in == std::chrono::milliseconds(0)) {
        }
        return measure([&] {
            pool.report_a_change();
            return [&] { (void)scheduler->pass(); };
        });
    }

    /// Every job fits at every site.
    Times trying(int sites) {
        AgreeablePool pool(sites, kGpusAtSite);
        return measure([&] {
            return [scheduler = std::shared_ptr<Scheduler>(scheduler_for(pool, 1 << 20))] { (void)scheduler->pass(); };
        });
    }

private:
    static constexpr int kNeeded = 4;

    /// To which all jobs are due, now and for as long as it is measured.
    std::unique_ptr<Scheduler> scheduler_for(SitePool& pool, int max_jobs) {
        now_ += std::chrono::hours(1);
        Scheduler::Hooks hooks;
        hooks.definition_of = [](const JobRecord& record) {
            JobDefinition job;
            job.name = record.name;
            job.parts.push_back({"part", {std::string(kAllSites)}, {kNeeded, 40'000, 1, 100}});
            return job;
        };
        hooks.clock = [now = now_] { return now; };
        SchedulerOptions options;
        options.max_jobs = max_jobs;
        options.max_attempts = 1 << 20;
        return std::make_unique<Scheduler>(options, *store_, pool, std::move(hooks));
    }
    TemporaryFolder folder_{"rankexec-schedule"};
    std::unique_ptr<JobStore> store_;
    int jobs_ = 0;
    WallTime now_ = wall_now();
};

int measure_all(const std::string& plot_file) {
    constexpr std::array kJobs{100, 250, 500, 750, 1000};
    constexpr std::array kSites{10, 50, 200};
    plot::LineChart chart;
    chart.title = "A pass of the scheduler";
    chart.subtitle =
        "processor time in milliseconds, median of " + std::to_string(kPasses) + " passes; goal: under 10 ms";
    chart.steps = "queued jobs";
    for (const auto* what : {"waiting", "trying"}) {
        for (const int sites : kSites) {
            chart.series.push_back({std::string(what) + ", " + std::to_string(sites) + " sites", sites == 200, {}});
        }
    }
    bool good = true;
    Queue queue;
    std::printf("%-8s %6s %6s %11s %11s %11s\n", "case", "jobs", "sites", "processor", "median", "slowest");
    for (const int jobs : kJobs) {
        queue.grow_to(jobs);
        auto series = chart.series.begin();
        for (const bool waiting : {true, false}) {
            for (const int sites : kSites) {
                const auto times = waiting ? queue.waiting(sites) : queue.trying(sites);
                std::printf("%-8s %6d %6d %11.2f %11.2f %11.2f\n", waiting ? "waiting" : "trying", jobs, sites,
                            times.processor, times.median, times.slowest);
                std::fflush(stdout);
                (series++)->points.emplace_back(jobs, times.processor);
                good = good && times.processor < kGoal;
            }
        }
    }
    if (!plot_file.empty()) std::ofstream(plot_file) << plot::to_svg(chart);
    return good ? 0 : 1;
}

}  // namespace
}  // namespace rankexec::job

int main(int argc, char** argv) {
    try {
        return rankexec::job::measure_all(argc > 1 ? argv[1] : "");
    } catch (const std::exception& error) {
        std::fprintf(stderr, "schedule_pass: %s\n", error.what());
        return 1;
    }
}
