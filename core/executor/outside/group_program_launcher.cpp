// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/outside/group_program_launcher.hpp"

#include <mutex>
#include <utility>

#include "rankexec/core/executor/group_plan.hpp"
#include "rankexec/core/executor/outside/option_checks.hpp"
#include "rankexec/core/executor/outside/program_group.hpp"
#include "rankexec/core/model/printable.hpp"
#include "rankexec/core/model/wiping.hpp"
#include "rankexec/core/system/log.hpp"

namespace rankexec {
namespace {

using Milliseconds = Launcher::Milliseconds;

constexpr const char* kDirectoryProperty = "app_directory";
/// What ending a group takes beyond its grace, at the worst: shims that confirm, launcher commands, and a guardian.
constexpr Milliseconds kEndingTime{25'000};

void check(const LaunchedProgramOptions& options, const GroupOptions& group) {
    const std::string whose = "launched program";
    check_group_options(group);
    option::not_negative(whose, "shutdown_timeout", options.shutdown_timeout);
    option::positive(whose, "clean_up_timeout", options.clean_up_timeout);
    if (!options.clean_up.empty() && options.clean_up.front().empty()) {
        option::refuse(whose, "clean_up names no program");
    }
    if (!group.agent_address.empty()) option::refuse(whose, "agent_address is the executor's to give; leave it out");
}

/// For people; arguments with spaces in them are quoted.
std::string command_line(const std::vector<std::string>& argv) {
    constexpr std::size_t kLongest = 400;
    std::string text;
    for (const auto& argument : argv) {
        const bool quoted = argument.empty() || argument.find(' ') != std::string::npos;
        text += (text.empty() ? "" : " ") + (quoted ? "'" + argument + "'" : argument);
    }
    return printable(text, kLongest);
}

}  // namespace

class GroupProgramLauncher::Impl {
public:
    Impl(LaunchedProgramOptions options, GroupOptions group, bool names_rank)
        : options_(std::move(options)), group_options_(std::move(group)), names_rank_(names_rank) {
        check(options_, group_options_);
        if (!options_.on_output) options_.on_output = OutputPump::to_standard_streams();
    }

    ~Impl() {
        on_change({});
        end(Milliseconds(0));
    }

    tl::expected<void, Failure> initialise(const Context& context) {
        directory_ =
            group_options_.directory.empty() ? context.text_or(kDirectoryProperty, "") : group_options_.directory;
        // Whether the launcher is installed shows here, too.
        auto plan = plan_group(group_options_, nullptr);
        if (!plan) return tl::unexpected(std::move(plan.error()));
        other_hosts_ = plan->may_be_remote;
        return {};
    }

    tl::expected<Launched, Failure> launch(const Launch& launch, const Signal& abort) {
        if (options_.launch_once && status() == RunStatus::running) return Launched::running;
        end(options_.shutdown_timeout);
        auto group = group_options_;
        group.directory = directory_;
        group.agent_address = launch.agent_address;
        auto started = ProgramGroup::start(group, options_.on_output, [this] { changed(); });
        wipe(group.agent_address);
        if (!started) return tl::unexpected(named(std::move(started.error())));
        const std::shared_ptr<ProgramGroup> program = std::move(*started);
        {
            const std::lock_guard lock(mutex_);
            program_ = program;
        }
        if (auto runs = program->wait_until_started(abort); !runs)
            return tl::unexpected(named(std::move(runs.error())));
        return Launched::started;
    }

    void stop(StopReason reason) {
        if (reason == StopReason::finished && options_.launch_once) return;
        end(options_.shutdown_timeout);
    }

    /// Waits that long for the program to end by itself, ends what is left of it, and cleans up.
    void end(Milliseconds patience) {
        // Whoever comes second waits for the same end.
        const std::lock_guard one_at_a_time(ending_);
        const auto program = current();
        if (!program) return;
        (void)program->wait_until_exited(patience);
        program->end(group_options_.grace);
        {
            const std::lock_guard lock(mutex_);
            report_ = program->report();
            program_.reset();
        }
        clean_up();
        changed();
    }

    [[nodiscard]] RunStatus status() const {
        const auto program = current();
        return program ? program->status() : RunStatus::not_running;
    }

    [[nodiscard]] ProgramReport report() const {
        const auto program = current();
        auto report = [&] {
            if (program) return program->report();
            const std::lock_guard lock(mutex_);
            return report_;
        }();
        report.program = command_line(group_options_.program);
        if (!names_rank_) report.facts.rank.reset();
        report.facts.log_directory = group_options_.log_directory;
        return report;
    }

    void on_change(std::function<void()> callback) {
        const std::lock_guard lock(change_mutex_);
        on_change_ = std::move(callback);
    }

    [[nodiscard]] Milliseconds longest_stop() const {
        const auto end = group_options_.grace + kEndingTime;
        return options_.shutdown_timeout + end +
               (options_.clean_up.empty() ? Milliseconds(0) : options_.clean_up_timeout + end);
    }
    [[nodiscard]] bool stops_after_task() const { return !options_.launch_once; }
    [[nodiscard]] bool other_hosts() const { return other_hosts_; }

private:
    [[nodiscard]] std::shared_ptr<ProgramGroup> current() const {
        const std::lock_guard lock(mutex_);
        return program_;
    }

    void changed() {
        const std::lock_guard lock(change_mutex_);
        if (on_change_) on_change_();
    }

    /// A failure to start, by the program's name.
    [[nodiscard]] Failure named(Failure failure) const {
        failure.message = "the program " + command_line(group_options_.program) + " could not be started" +
                          (failure.message.empty() ? "" : ": " + failure.message);
        if (!names_rank_) failure.rank.reset();
        return failure;
    }

    void clean_up() const {
        if (options_.clean_up.empty()) return;
        GroupOptions group;
        group.program = options_.clean_up;
        group.directory = directory_;
        group.environment = group_options_.environment;
        group.grace = group_options_.grace;
        const auto complain = [&](const std::string& what) {
            log::warning("the clean-up command " + command_line(options_.clean_up) + " " + what);
        };
        auto started = ProgramGroup::start(group, options_.on_output, {});
        if (!started) return complain("could not be started: " + started.error().message);
        auto& command = **started;
        if (!command.wait_until_exited(options_.clean_up_timeout)) {
            complain("has not ended within " + option::in_words(options_.clean_up_timeout) +
                     " (clean_up_timeout), and is ended");
            return command.end(group.grace);
        }
        command.end(group.grace);
        if (command.status() != RunStatus::success) complain("failed: " + command.report().facts.describe());
    }

    LaunchedProgramOptions options_;
    const GroupOptions group_options_;
    const bool names_rank_;
    std::string directory_;
    bool other_hosts_ = false;
    std::mutex ending_;
    mutable std::mutex mutex_;
    std::shared_ptr<ProgramGroup> program_;
    ProgramReport report_;  ///< of the last one that was ended
    std::mutex change_mutex_;
    std::function<void()> on_change_;
};

GroupProgramLauncher::GroupProgramLauncher(LaunchedProgramOptions options, GroupOptions group, bool names_rank)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(group), names_rank)) {}

GroupProgramLauncher::~GroupProgramLauncher() = default;

tl::expected<void, Failure> GroupProgramLauncher::initialise(Context& context) { return impl_->initialise(context); }

tl::expected<Launcher::Launched, Failure> GroupProgramLauncher::launch_task(const Launch& launch, Context& /*context*/,
                                                                            const Signal& abort) {
    return impl_->launch(launch, abort);
}

void GroupProgramLauncher::stop_task(const std::string& /*task*/, StopReason reason) { impl_->stop(reason); }
RunStatus GroupProgramLauncher::check_run_status(const std::string& /*task*/) { return impl_->status(); }
void GroupProgramLauncher::finalise() { impl_->stop(StopReason::given_up); }
bool GroupProgramLauncher::needs_deferred_stop() const { return impl_->stops_after_task(); }

bool GroupProgramLauncher::on_change(std::function<void()> callback) {
    impl_->on_change(std::move(callback));
    return true;
}

bool GroupProgramLauncher::reaches_other_hosts() const { return impl_->other_hosts(); }
Launcher::Milliseconds GroupProgramLauncher::longest_stop() const { return impl_->longest_stop(); }
ProgramReport GroupProgramLauncher::report() const { return impl_->report(); }

}  // namespace rankexec
