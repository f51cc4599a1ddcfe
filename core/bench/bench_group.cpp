// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/bench/bench_group.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <utility>

#include "rankexec/core/bench/components.hpp"
#include "rankexec/core/bench/process_usage.hpp"

namespace rankexec::bench {

/// Counts what the ranks fire.
class EventCounter : public Component {
public:
    void handle_event(const std::string& /*type*/, Context& context) override {
        const auto rank = context.get(property::kFromRank);
        if (!rank) return;
        const auto number = context.integer_or(kNumber, 0);
        const std::lock_guard lock(mutex_);
        auto& last = last_[rank->integer_or(0)];
        in_order_ = in_order_ && (number <= 1 || number == last + 1);
        last = number;
        ++count_;
        if (count_ >= wanted_) reached_.notify_all();
    }

    void wait_for(std::size_t count) {
        std::unique_lock lock(mutex_);
        wanted_ = count;
        reached_.wait(lock, [&] { return count_ >= count || over_; });
        wanted_ = kNone;
    }
    void end_waiting() {
        const std::lock_guard lock(mutex_);
        over_ = true;
        reached_.notify_all();
    }
    [[nodiscard]] std::size_t count() const {
        const std::lock_guard lock(mutex_);
        return count_;
    }
    [[nodiscard]] bool in_order() const {
        const std::lock_guard lock(mutex_);
        return in_order_;
    }

private:
    static constexpr std::size_t kNone = SIZE_MAX;
    mutable std::mutex mutex_;
    std::condition_variable reached_;
    std::size_t count_ = 0;
    std::size_t wanted_ = kNone;
    bool over_ = false;
    bool in_order_ = true;
    std::map<std::int64_t, std::int64_t> last_;  ///< by rank: number of its last one-way event
};

namespace {

MultiProcessOptions options_of(const BenchOptions& options, const Case& where) {
    auto group = options.group;
    group.group.world_size = where.ranks;
    group.group.launcher = where.launcher;
    if (where.launcher == "local") {
        // They are for the launchers that it is compared with.
        group.group.launcher_args.clear();
        group.group.hosts.clear();
    }
    group.transport = where.transport == "zeromq" ? Transport::zeromq : Transport::automatic;
    // The failure that a rank's end becomes tells its last words.
    group.on_output = [](int, wire::OutputStream, std::string_view) {};
    return group;
}

std::string host_name() {
    std::array<char, 256> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

}  // namespace

BenchGroup::BenchGroup(const BenchOptions& options, const Case& where) : abort_(options.abort) {
    auto counter = std::make_unique<EventCounter>();
    counter_ = counter.get();
    engine_.add("rankexec.bench.counter", std::move(counter));
    auto executor = std::make_unique<MultiProcessExecutor>(options_of(options, where));
    executor_ = executor.get();
    engine_.add("rankexec.bench.group", std::move(executor));
    context_ = engine_.new_context();
    for (int index = 0; index < 10; ++index) context_.set("property_" + std::to_string(index), index);
    for (int index = 0; index < 4; ++index)
        input_.headers["header_" + std::to_string(index)] = "value " + std::to_string(index);
    aborted_ = abort_.on_trigger([counter = counter_](const std::string&) { counter->end_waiting(); });
}

BenchGroup::~BenchGroup() {
    aborted_ = {};
    stop();
}

tl::expected<void, Failure> BenchGroup::start() { return executor_->initialise(context_, abort_); }

void BenchGroup::stop() { executor_->finalise(); }

tl::expected<GroupReply, Failure> BenchGroup::execute(const std::string& task, const Shareable& input,
                                                      bool all_results) {
    ExecuteOptions wanted;
    wanted.all_results = all_results;
    auto reply = executor_->execute(task, input, context_, abort_, wanted);
    if (reply.reply.ok()) return reply;
    Failure failure = reply.reply.failure.value_or(Failure{});
    failure.code = reply.reply.code;
    return tl::unexpected(std::move(failure));
}

std::future<GroupReply> BenchGroup::request_execute(const std::string& task, const Shareable& input) {
    return executor_->request_execute(task, input, context_, abort_);
}

void BenchGroup::wait_for_events(std::size_t count) { counter_->wait_for(count); }
std::size_t BenchGroup::events() const { return counter_->count(); }
bool BenchGroup::events_in_order() const { return counter_->in_order(); }

TensorBuffer BenchGroup::allocate(std::uint64_t bytes) const {
    return executor_->allocate(DType::uint8, {static_cast<std::int64_t>(bytes)});
}

std::vector<pid_t> BenchGroup::local_pids() const {
    const auto here = host_name();
    std::vector<pid_t> pids;
    for (const auto& rank : executor_->report().ranks) {
        if (rank.host != here || rank.pid <= 0) return {};
        pids.push_back(static_cast<pid_t>(rank.pid));
    }
    return pids;
}

std::string BenchGroup::channel() const {
    const auto report = executor_->report();
    if (report.ranks.empty()) return "";
    const auto& first = report.ranks.front();
    return first.transport + (first.security == "curve" ? "+curve" : "");
}

std::int64_t BenchGroup::peak_of_ranks() const {
    std::int64_t peak = -1;
    for (const auto pid : local_pids()) peak = std::max(peak, peak_memory(pid));
    return peak;
}

}  // namespace rankexec::bench
