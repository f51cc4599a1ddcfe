// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/jobs/job_client.hpp"

#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <utility>

#include "rankexec/core/cli/exit_code.hpp"
#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/job/model/topics.hpp"

namespace rankexec::cli {
namespace {

constexpr std::chrono::milliseconds kConnectTime{10'000};

std::string variable(const char* name) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes the environment
    const char* const value = std::getenv(name);
    return value == nullptr ? std::string() : value;
}

std::string identity_file(const JobAccess& access) {
    if (!access.identity.empty()) return access.identity;
    if (auto file = variable("RANKEXEC_IDENTITY"); !file.empty()) return file;
    const auto home = variable("HOME");
    const auto file = home + "/.rankexec/identity";
    if (!home.empty() && std::filesystem::exists(file)) return file;
    throw ConfigurationError(ConfigurationError::Kind::option,
                             "who are you? give --identity FILE, or put the file that rankexec user enroll has made at "
                             "~/.rankexec/identity");
}

}  // namespace

JobClient::JobClient(const JobAccess& access)
    : identity_(job::Identity::load(identity_file(access))),
      controller_(access.controller.empty() ? identity_.controller_address : access.controller) {
    const auto wrong = [&](const std::string& what) {
        return ConfigurationError(ConfigurationError::Kind::option, identity_file(access) + what);
    };
    if (identity_.role() != job::Role::user) {
        throw wrong(" is the identity of " + identity_.public_part().peer() + ", not of a user");
    }
    if (!identity_.controller) throw wrong(" does not say which controller to trust; enroll the user again");
    if (controller_.empty())
        throw wrong(" does not say where the controller listens; give --controller tcp://HOST:PORT");

    struct Why {
        std::mutex mutex;
        std::string text;
    };
    const auto why = std::make_shared<Why>();
    hub::HubClient::Options options;
    options.connect = controller_;
    options.hub_key = identity_.controller->curve_key;
    options.keys = identity_.curve_keys();
    options.on_refused = [why](const std::string& text) {
        const std::lock_guard lock(why->mutex);
        why->text = text;
    };
    auto made = hub::HubClient::make(std::move(options));
    if (!made) throw JobError(made.error().message, kExitUsage);
    client_ = std::move(*made);
    client_->start();
    if (client_->wait_connected(kConnectTime)) return;
    const std::lock_guard lock(why->mutex);
    throw JobError(why->text.empty() ? "no controller answers at " + controller_ + "; is rankexec serve running there?"
                                     : "the controller refuses user " + identity_.name() + ": " + why->text,
                   kExitLauncher);
}

Shareable JobClient::ask(const char* topic, Value::Map headers, Value body, Milliseconds timeout) {
    Shareable content;
    content.headers = std::move(headers);
    content.body = std::move(body);
    auto reply = client_->ask(hub::kHubName, topic, std::move(content), timeout);
    if (!reply) throw JobError("the controller at " + controller_ + ": " + reply.error().message, kExitLauncher);
    if (!reply->ok()) {
        throw JobError(reply->failure ? reply->failure->message : "the controller refuses, and does not say why",
                       kExitFailure);
    }
    return std::move(*reply);
}

job::JobRecord JobClient::show(const std::string& job) {
    // Answers at once: no version is below 0.
    const auto reply = ask(job::topic::kWait, {{"job", job}, {"version", -1}, {"timeout_ms", 0}});
    return record_from(reply.body);
}

job::JobRecord record_from(const Value& value) {
    try {
        return job::job_record_from(value);
    } catch (const std::invalid_argument& error) {
        throw JobError(std::string("the controller's answer cannot be read: ") + error.what(), kExitLauncher);
    }
}

}  // namespace rankexec::cli
