// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/job/workflow/part_report.hpp"
#include "rankexec/core/job/workflow/task_message.hpp"
#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/failure.hpp"
#include "rankexec/core/model/shareable.hpp"
#include "rankexec/core/model/signal.hpp"
#include "rankexec/ipc/hub/hub.hpp"

namespace rankexec::job {

/// What executes the tasks of a site's part: an executor and its engine. Called on one thread.
class RANKEXEC_EXPORT PartWork {
public:
    virtual ~PartWork();

    /// Until tasks can be executed. On failure everything has been ended.
    virtual tl::expected<void, Failure> initialise(const Signal& abort) = 0;
    virtual Shareable execute(const std::string& task, const Shareable& input, const Signal& abort) = 0;
    /// Ends all that was started. Called once after initialise(), whatever that returned.
    virtual void finalise() = 0;
};

/// A site's part of a job: takes tasks from the controller part, one at a time in the order in which they come, until
/// it is told to end or nobody of the controller is there any more. part_topics.hpp says what it is told and says.
///
/// A task is executed once, however often it is sent: what it replied is kept until the controller part has saved a
/// snapshot after it, so that one that was started again from an earlier one gets the answers to what it asks again.
/// That is so for the latest kMostKept, as long as they have no more than kMostBytesKept together, and for the very
/// latest in any case.
class RANKEXEC_EXPORT SitePart {
public:
    using Milliseconds = std::chrono::milliseconds;
    struct Options {
        std::string job;
        std::string participant;  ///< the site's name
        int incarnation = 1;
        Milliseconds controller_gone_after{300'000};
    };
    /// Takes its topics of the end, before that is started; the end must be closed before the part is destroyed.
    SitePart(hub::HubEnd& hub, Options options);
    ~SitePart();
    SitePart(const SitePart&) = delete;
    SitePart& operator=(const SitePart&) = delete;

    /// Of the end: connected for the first time or again, and lost. Any thread.
    void on_connected();
    void on_lost(const std::string& why);
    /// The part is to end as aborted. Any thread.
    void abort(const std::string& reason);

    struct End {
        PartOutcome outcome = PartOutcome::success;
        std::optional<Failure> failure;
        std::int64_t tasks = 0;  ///< executed
    };
    /// The whole part, once; `work` is called on a thread of its own. Returns when all is ended.
    [[nodiscard]] End run(PartWork& work);

private:
    using Clock = std::chrono::steady_clock;
    using Lock = std::unique_lock<std::mutex>;
    static constexpr std::size_t kMostKept = 8;
    static constexpr std::size_t kMostBytesKept = std::size_t{256} << 20U;
    struct Done {
        std::string id;
        std::int64_t number = 0;
        Shareable reply;
    };
    struct Job {
        TaskMessage message;
        std::vector<hub::Answer> answers;
        Signal abort;
    };

    void take_topics();
    void take_task(hub::Request&& request, const hub::Answer& answer);
    void keep_only(const std::vector<std::string>& open);
    void remember(const TaskMessage& message, const Shareable& reply);
    void give_up(const std::string& id, const std::string& reason);
    void refuse_queued(const std::string& reason);
    void end_as(PartOutcome outcome, const std::string& reason, std::optional<Failure> failure = {});
    void say_ready();
    void say_ready_to(const std::string& peer);
    void work_on(PartWork& work);
    void execute_next(PartWork& work, Lock& lock);

    hub::HubEnd& hub_;
    const Options options_;
    const std::string controller_part_;
    const Signal abort_;  ///< ends initialise()
    std::mutex mutex_;
    std::condition_variable changed_;
    bool ready_ = false;
    std::optional<Clock::time_point> alone_since_;  ///< not connected since then
    std::string why_alone_ = "it was never there";
    std::optional<End> end_;
    bool worked_ = false;  ///< the working thread is done
    TaskMessage::Stamp latest_{-1, -1};
    std::set<std::string, std::less<>> open_;  ///< ids that the latest message counted as open
    std::deque<Job> queue_;
    Job* executing_ = nullptr;
    std::deque<Done> finished_;  ///< the latest last
    std::int64_t tasks_ = 0;
};

}  // namespace rankexec::job
