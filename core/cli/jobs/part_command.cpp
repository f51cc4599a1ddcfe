// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/jobs/part_command.hpp"

#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <utility>

#include "rankexec/core/cli/commands.hpp"
#include "rankexec/core/cli/exit_code.hpp"
#include "rankexec/core/cli/interrupt_watch.hpp"
#include "rankexec/core/cli/jobs/part_code.hpp"
#include "rankexec/core/cli/signal_source.hpp"
#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/job/workflow/part_topics.hpp"

namespace rankexec::cli {
namespace {

using job::PartOutcome;
using job::PartReport;
using job::PartSetup;

constexpr std::chrono::seconds kReportTime{10};

/// Takes the setup out of the environment, so that nothing that this process starts finds the secret in there.
std::string take_variable() {
    char* const value = std::getenv(job::kPartVariable);
    if (value == nullptr) return {};
    std::string text = value;
    ::explicit_bzero(value, std::strlen(value));
    // NOLINTNEXTLINE(concurrency-mt-unsafe): there are no other threads yet
    ::unsetenv(job::kPartVariable);
    return text;
}

template <std::size_t kSize>
std::array<std::byte, kSize> bytes_of(const std::string& hex) {
    std::array<std::byte, kSize> bytes{};
    const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
    for (std::size_t index = 0; index < kSize && 2 * index + 1 < hex.size(); ++index) {
        bytes[index] = static_cast<std::byte>(digit(hex[2 * index]) * 16 + digit(hex[2 * index + 1]));
    }
    return bytes;
}

PartReport failed(PartReport report, PartOutcome outcome, const std::string& message) {
    report.outcome = outcome;
    report.failure = message;
    return report;
}

/// Of a part that has not even begun: the controller shall know why.
void report_alone(const PartSetup& setup, const PartReport& report) {
    try {
        const auto client = make_part_client(setup, {}, {});
        client->start();
        (void)client->wait_connected(kReportTime);
        send_report(*client, report);
    } catch (const std::exception& error) {
        complain(error.what());
    }
}

PartReport run_part(const PartSetup& setup, const Signal& abort) {
    const auto refused = [&](PartOutcome outcome, const char* message) {
        auto report = failed(empty_report(setup), outcome, message);
        report_alone(setup, report);
        return report;
    };
    try {
        return setup.participant == job::kControllerParticipant ? run_controller_part(setup, abort)
                                                                : run_site_part(setup, abort);
    } catch (const ConfigurationError& error) {
        return refused(PartOutcome::configuration_error, error.what());
    } catch (const UnsafeComponent& error) {
        return refused(PartOutcome::unsafe_component, error.what());
    } catch (const std::exception& error) {
        return refused(PartOutcome::exception, error.what());
    }
}

InterruptWatch::Hooks interrupt_hooks(const Signal& abort) {
    InterruptWatch::Hooks hooks;
    hooks.on_first = [abort](int signal) {
        complain(std::string(sigdescr_np(signal)) + ": ending this part");
        abort.trigger(sigdescr_np(signal));
    };
    hooks.on_second = [](int signal) { ::_exit(exit_code_of_signal(signal)); };
    hooks.on_suspend = [] {};
    return hooks;
}

/// Only for what this process starts: its ranks.
void show_gpus(const PartSetup& setup) {
    std::string list;
    for (const auto& gpu : setup.gpus) list += (list.empty() ? "" : ",") + gpu;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): there are no other threads yet
    if (!list.empty()) ::setenv("CUDA_VISIBLE_DEVICES", list.c_str(), 1);
}

}  // namespace

PartReport empty_report(const PartSetup& setup) {
    PartReport report;
    report.job = setup.job;
    report.participant = setup.participant;
    report.incarnation = setup.incarnation;
    return report;
}

std::unique_ptr<hub::HubClient> make_part_client(const PartSetup& setup, std::function<void()> on_connected,
                                                 std::function<void(const std::string& why)> on_lost) {
    hub::HubClient::Options options;
    options.connect = setup.endpoint;
    options.hub_key = bytes_of<sizeof(hub::PublicKey)>(setup.hub_key);
    options.keys = curve_keys_from(Secret::copy_of(bytes_of<Secret::kSize>(setup.secret)));
    options.on_connected = std::move(on_connected);
    options.on_lost = std::move(on_lost);
    // A controller that was just started again does not know all keys yet: the client goes on trying.
    options.on_refused = [](const std::string& why) { complain("the controller refuses this part: " + why); };
    auto client = hub::HubClient::make(std::move(options));
    if (client) return std::move(*client);
    throw ConfigurationError(ConfigurationError::Kind::option, client.error().message);
}

void send_report(hub::HubClient& client, const PartReport& report) {
    if (client.connected()) {
        Shareable content;
        content.body = to_value(report);
        const auto reply = client.ask(hub::kHubName, job::topic::kPartReport, std::move(content), kReportTime);
        if (!reply) complain("the controller could not be told how this part ended: " + reply.error().message);
    }
    client.close();
}

CommandResult job_part(const JobPartCommand& /*command*/) {
    auto text = take_variable();
    if (text.empty()) {
        complain(std::string("job-part: parts of jobs are started by a site or a controller, which say in ") +
                 job::kPartVariable + " what to do");
        return {job::exit_code_of(PartOutcome::configuration_error), {}};
    }
    const auto setup = PartSetup::from_text(text);
    ::explicit_bzero(text.data(), text.size());
    if (!setup) {
        complain(setup.error());
        return {job::exit_code_of(PartOutcome::configuration_error), {}};
    }
    ignore_terminal_signals();
    InterruptWatch::block();
    show_gpus(*setup);
    const Signal abort;
    const InterruptWatch interrupts(interrupt_hooks(abort));
    const auto report = run_part(*setup, abort);
    if (!report.failure.empty()) complain(report.detail.empty() ? report.failure : report.detail);
    if (const auto written = write_report(setup->workspace, report); !written) complain(written.error().message);
    return {job::exit_code_of(report.outcome), {}};
}

}  // namespace rankexec::cli
