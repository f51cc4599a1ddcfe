// SPDX-License-Identifier: Apache-2.0
// L17 for programs in any language: who gets the task, whatever becomes of those who ask.
#include "rankexec/worker/agent/shell/agent_server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <condition_variable>
#include <cstring>
#include <deque>
#include <future>
#include <mutex>

#include "rankexec/worker/agent/shell/agent_client.hpp"
#include "rankexec/worker/agent/shell/shell_message.hpp"
#include "unit/cli/temporary_folder.hpp"

namespace rankexec::agent {
namespace {

using Outcome = AgentClient::Outcome;
using ::testing::HasSubstr;

constexpr Milliseconds kLong{20'000};
constexpr Milliseconds kShort{50};

/// The test is its executor.
class FakeAgent final : public Agent {
public:
    void give(const std::string& name, const Signal& abort = {}) {
        {
            const std::lock_guard lock(mutex_);
            Task task;
            task.name = name;
            task.id = "id of " + name;
            task.abort = abort;
            task.input.headers["of"] = name;
            waiting_.push_back(std::move(task));
        }
        changed_.notify_all();
    }
    /// What the next submissions end with; without any they are accepted.
    void refuse_next(AgentError::Kind kind) {
        const std::lock_guard lock(mutex_);
        refusals_.push_back(kind);
    }
    Shareable next_result() {
        std::unique_lock lock(mutex_);
        EXPECT_TRUE(changed_.wait_for(lock, kLong, [this] { return !results_.empty(); }));
        if (results_.empty()) return {};
        auto first = std::move(results_.front());
        results_.pop_front();
        return first;
    }
    int fetches() {
        const std::lock_guard lock(mutex_);
        return fetches_;
    }

    void wait_for_waits(int count) {
        std::unique_lock lock(mutex_);
        EXPECT_TRUE(changed_.wait_for(lock, kLong, [&] { return waits_ >= count; }));
    }
    void wait_for_wakes(int count) {
        std::unique_lock lock(mutex_);
        EXPECT_TRUE(changed_.wait_for(lock, kLong, [&] { return wakes_ >= count; }));
    }

    bool wait_for_task(Milliseconds timeout) override {
        std::unique_lock lock(mutex_);
        const auto answers = [this] { return !waiting_.empty() || closed_.triggered(); };
        if (timeout.count() == 0) return answers();
        ++waits_;
        changed_.notify_all();
        const bool answer = changed_.wait_for(lock, timeout, answers);
        ++wakes_;
        changed_.notify_all();
        return answer;
    }
    tl::expected<std::optional<Task>, AgentError> get_task(Milliseconds timeout) override {
        std::unique_lock lock(mutex_);
        ++fetches_;
        changed_.notify_all();
        changed_.wait_for(lock, timeout, [this] { return !waiting_.empty() || closed_.triggered(); });
        if (closed_.triggered()) return tl::unexpected(AgentError{AgentError::Kind::closed, closed_.reason()});
        if (waiting_.empty()) return std::nullopt;
        auto first = std::move(waiting_.front());
        waiting_.pop_front();
        return first;
    }
    /// Submissions return when this is given up again.
    [[nodiscard]] std::unique_lock<std::mutex> hold_submissions() { return std::unique_lock(submitting_); }
    void wait_for_submission() {
        std::unique_lock lock(mutex_);
        EXPECT_TRUE(changed_.wait_for(lock, kLong, [this] { return submissions_ > 0; }));
    }
    tl::expected<void, AgentError> submit_result(Shareable result) override {
        {
            const std::lock_guard lock(mutex_);
            ++submissions_;
        }
        changed_.notify_all();
        const std::lock_guard held(submitting_);
        const std::lock_guard lock(mutex_);
        if (!refusals_.empty()) {
            const auto kind = refusals_.front();
            refusals_.pop_front();
            return tl::unexpected(AgentError{kind, std::string(to_string(kind))});
        }
        results_.push_back(std::move(result));
        changed_.notify_all();
        return {};
    }
    bool is_running() const override { return !closed_.triggered(); }
    Signal closed() const override { return closed_; }
    tl::expected<void, AgentError> log(const Value::Map& figures, std::string_view type) override {
        Shareable log;
        log.body = figures;
        log.headers["type"] = type;
        return submit_result(std::move(log));
    }
    void close() override {
        closed_.trigger("the test is over");
        const std::lock_guard lock(mutex_);
        changed_.notify_all();
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Task> waiting_;
    std::deque<AgentError::Kind> refusals_;
    std::deque<Shareable> results_;
    int fetches_ = 0;
    int waits_ = 0;  ///< with a time-out
    int wakes_ = 0;
    int submissions_ = 0;
    std::mutex submitting_;  ///< taken before mutex_
    const Signal closed_;
};

/// A client that may ask again before it is answered, which an AgentClient does not.
class RawClient {
public:
    explicit RawClient(UniqueFd fd) : fd_(std::move(fd)) {}

    void send(const PipeMessage& request) {
        const auto pieces = shell::to_pieces(request);
        ASSERT_TRUE(pieces);
        for (const auto& piece : *pieces) {
            ASSERT_EQ(::send(fd_.get(), piece.bytes.data(), piece.bytes.size(), MSG_NOSIGNAL),
                      static_cast<ssize_t>(piece.bytes.size()));
        }
    }
    std::optional<PipeMessage> receive() {
        while (true) {
            const auto frames = decoder_.next();
            if (!frames) return std::nullopt;
            if (*frames) {
                auto message = shell::from_frames(**frames);
                if (!message) return std::nullopt;
                return std::move(*message);
            }
            std::array<std::byte, 4096> buffer{};
            const auto size = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
            if (size <= 0) return std::nullopt;
            decoder_.feed(std::span(buffer).first(static_cast<std::size_t>(size)));
        }
    }

private:
    UniqueFd fd_;
    wire::StreamDecoder decoder_;
};

class L17_AgentServer : public ::testing::Test {
protected:
    L17_AgentServer() {
        auto made = std::make_unique<FakeAgent>();
        agent = made.get();
        auto started = AgentServer::start(std::move(made), socket);
        EXPECT_TRUE(started) << started.error();
        server = std::move(*started);
    }
    [[nodiscard]] AgentClient client() const {
        auto connected = AgentClient::connect(socket);
        EXPECT_TRUE(connected) << connected.error();
        return std::move(*connected);
    }
    /// Gets and takes the next task.
    std::string take() {
        auto asking = client();
        const auto answer = asking.get_task(kLong);
        if (!answer) return "error: " + answer.error();
        EXPECT_EQ(answer->outcome, Outcome::done);
        EXPECT_TRUE(asking.take());
        return answer->content.name;
    }
    std::future<std::string> get_elsewhere() {
        return std::async(std::launch::async, [this] {
            auto asking = client();
            const auto answer = asking.get_task({});
            if (!answer) return "error: " + answer.error();
            if (answer->outcome == Outcome::closed) return "closed: " + answer->message;
            if (!asking.take()) return std::string("not taken");
            return answer->content.name;
        });
    }
    [[nodiscard]] UniqueFd raw_connection() const {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, socket.c_str(), socket.size());
        UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        return fd;
    }

    cli::TemporaryFolder folder;
    const std::string socket = folder.path() / "agent";
    FakeAgent* agent = nullptr;
    std::unique_ptr<AgentServer> server;
};

TEST_F(L17_AgentServer, OnlyThisUserMayConnect) {
    struct stat status {};
    ASSERT_EQ(::stat(socket.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
    server->close();
    EXPECT_NE(::stat(socket.c_str(), &status), 0);
    const auto late = AgentClient::connect(socket);
    ASSERT_FALSE(late);
    EXPECT_THAT(late.error(), HasSubstr("has ended"));
}

TEST_F(L17_AgentServer, ATaskIsTakenSubmittedAndFollowedByTheNext) {
    for (const std::string name : {"first", "second"}) {
        agent->give(name);
        auto asking = client();
        const auto answer = asking.get_task(kLong);
        ASSERT_TRUE(answer) << answer.error();
        EXPECT_EQ(answer->content.name, name);
        EXPECT_EQ(answer->content.id, "id of " + name);
        EXPECT_EQ(answer->content.input.headers, (Value::Map{{"of", name}}));
        EXPECT_TRUE(asking.take());
        Shareable result;
        result.body = "done " + name;
        EXPECT_TRUE(client().submit_result(result));
        EXPECT_EQ(agent->next_result(), result);
    }
}

TEST_F(L17_AgentServer, ATaskThatIsNotTakenIsTheNextOnes) {
    agent->give("first");
    {
        auto dying = client();
        EXPECT_EQ(dying.get_task(kLong)->content.name, "first");
    }
    EXPECT_EQ(take(), "first");
}

TEST_F(L17_AgentServer, ATaskOnItsWayIsNobodyElses) {
    agent->give("first");
    auto slow = client();
    ASSERT_EQ(slow.get_task(kLong)->content.name, "first");
    EXPECT_EQ(client().get_task(kShort)->outcome, Outcome::nothing);
    EXPECT_FALSE(client().submit_result({}));
    EXPECT_TRUE(slow.take());
    EXPECT_FALSE(slow.take());
    EXPECT_TRUE(client().submit_result({}));
}

TEST_F(L17_AgentServer, WhoAsksWhileATaskIsOpenIsToldSo) {
    agent->give("first");
    EXPECT_EQ(take(), "first");
    EXPECT_THAT(client().get_task(kLong).error(), HasSubstr("first is open"));
}

TEST_F(L17_AgentServer, OfTwoThatWaitEachGetsOne) {
    auto one = get_elsewhere();
    agent->wait_for_waits(1);
    RawClient other(raw_connection());
    other.send(PipeMessage::request(std::string(shell::kGetTask), {}));
    other.send(PipeMessage::request("nonsense", {}));
    ASSERT_TRUE(other.receive()) << "the answer to the second request: the first one waits";
    agent->give("task");
    agent->give("task");
    EXPECT_EQ(one.get(), "task");
    EXPECT_TRUE(client().submit_result({}));
    const auto answer = other.receive();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->content.headers.at("name"), Value("task"));
}

TEST_F(L17_AgentServer, NothingIsFetchedThatNobodyWantsToHave) {
    agent->give("first");
    EXPECT_EQ(agent->fetches(), 0);
    EXPECT_EQ(take(), "first");
    EXPECT_EQ(agent->fetches(), 1);
}

TEST_F(L17_AgentServer, NothingIsFetchedForWhoIsGone) {
    {
        RawClient dying(raw_connection());
        dying.send(PipeMessage::request(std::string(shell::kGetTask), {}));
        agent->wait_for_waits(1);
    }
    // Its end was seen before this is answered.
    EXPECT_TRUE(client().log({{"loss", 0.5}}, "progress"));
    agent->give("first");
    agent->wait_for_wakes(1);
    EXPECT_TRUE(client().log({{"loss", 0.5}}, "progress"));
    EXPECT_EQ(agent->fetches(), 0);
    EXPECT_EQ(take(), "first");
}

TEST_F(L17_AgentServer, WhoComesWhenThereIsATaskGetsItWhateverItsPatience) {
    agent->give("first");
    auto asking = client();
    const auto answer = asking.get_task(Milliseconds(0));
    ASSERT_TRUE(answer) << answer.error();
    EXPECT_EQ(answer->outcome, Outcome::done);
}

TEST_F(L17_AgentServer, MoreThanItServesAtATimeWaitForTheirTurn) {
    std::vector<UniqueFd> idle;
    for (int count = 0; count < 64; ++count) idle.push_back(raw_connection());
    auto late = std::async(std::launch::async, [this] { return client().log({{"loss", 0.5}}, "late").has_value(); });
    EXPECT_EQ(late.wait_for(kShort), std::future_status::timeout);
    idle.pop_back();
    EXPECT_TRUE(late.get());
}

TEST_F(L17_AgentServer, ATaskThatIsAbortedOnItsWayMakesRoomForTheNext) {
    const Signal abort;
    agent->give("first", abort);
    {
        auto dying = client();
        ASSERT_EQ(dying.get_task(kLong)->content.name, "first");
        abort.trigger("enough");
    }
    agent->give("second");
    EXPECT_EQ(take(), "second");
    EXPECT_EQ(agent->next_result().code, ReturnCode::task_aborted);
}

TEST_F(L17_AgentServer, AResultThatWasNotDeliveredMayBeSubmittedAgain) {
    agent->give("first");
    EXPECT_EQ(take(), "first");
    agent->refuse_next(AgentError::Kind::not_delivered);
    EXPECT_THAT(client().submit_result({}).error(), HasSubstr("not delivered"));
    EXPECT_FALSE(client().get_task(kLong));
    EXPECT_TRUE(client().submit_result({}));
}

TEST_F(L17_AgentServer, AfterARefusalTheNextTaskComes) {
    agent->give("first");
    EXPECT_EQ(take(), "first");
    agent->refuse_next(AgentError::Kind::refused);
    EXPECT_THAT(client().submit_result({}).error(), HasSubstr("refused"));
    agent->give("second");
    EXPECT_EQ(take(), "second");
}

TEST_F(L17_AgentServer, ATaskThatComesWhileAnEarlyResultIsSubmittedIsNotLost) {
    auto held = agent->hold_submissions();
    auto early = std::async(std::launch::async, [this] { return client().submit_result({}).has_value(); });
    agent->wait_for_submission();
    auto waiting = get_elsewhere();
    agent->wait_for_waits(1);
    agent->give("first");
    held.unlock();
    EXPECT_TRUE(early.get());
    EXPECT_EQ(waiting.get(), "first");
    EXPECT_TRUE(client().submit_result({}));
}

TEST_F(L17_AgentServer, TheEndIsToldToWhoWaitsAndWhoComes) {
    auto waiting = get_elsewhere();
    agent->wait_for_waits(1);
    agent->close();
    EXPECT_EQ(waiting.get(), "closed: the test is over");
    EXPECT_EQ(client().get_task(kLong)->outcome, Outcome::closed);
    agent->refuse_next(AgentError::Kind::closed);
    EXPECT_EQ(client().submit_result({})->outcome, Outcome::closed);
}

TEST_F(L17_AgentServer, LogsArePassedOn) {
    EXPECT_TRUE(client().log({{"loss", 0.5}}, "progress"));
    const auto log = agent->next_result();
    EXPECT_EQ(log.body, Value(Value::Map{{"loss", 0.5}}));
    EXPECT_EQ(log.headers.at("type"), Value("progress"));
    EXPECT_FALSE(client().log({{"loss", Value::Array{}}}, "progress"));
}

TEST_F(L17_AgentServer, LargeTensorsPassBothWays) {
    const std::vector<float> elements(4'000'000, 0.25F);
    Shareable result;
    result.tensors.emplace("w", Tensor::copy_of<float>(elements, {4'000'000}));
    agent->give("first");
    EXPECT_EQ(take(), "first");
    EXPECT_TRUE(client().submit_result(result));
    EXPECT_EQ(agent->next_result(), result);
}

TEST_F(L17_AgentServer, WhoSaysNonsenseIsDropped) {
    const std::vector<std::string> nonsense{"GET / HTTP/1.1\r\n\r\n", std::string(100, '\xff'),
                                            std::string("\1\0\0\0\4\0\0\0\0\0\0\0abcd", 16)};
    for (const auto& bytes : nonsense) {
        const auto fd = raw_connection();
        ASSERT_EQ(::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
        char byte = 0;
        EXPECT_EQ(::recv(fd.get(), &byte, 1, 0), 0);
    }
    agent->give("first");
    EXPECT_EQ(take(), "first");
}

TEST_F(L17_AgentServer, WhoSendsHalfAMessageHoldsNobodyUp) {
    const auto fd = raw_connection();
    ASSERT_EQ(::send(fd.get(), "\2\0\0\0", 4, MSG_NOSIGNAL), 4);
    agent->give("first");
    EXPECT_EQ(take(), "first");
    server->close();
}

TEST_F(L17_AgentServer, UnknownRequestsAreErrors) {
    RawClient raw(raw_connection());
    raw.send(PipeMessage::request("steal_task", {}));
    const auto reply = raw.receive();
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->content.headers.at("outcome"), Value("error"));
}

TEST(L17_AgentServerStart, APlaceThatCannotBeIsAnError) {
    const auto nowhere = AgentServer::start(std::make_unique<FakeAgent>(), "/nowhere/agent");
    ASSERT_FALSE(nowhere);
    EXPECT_THAT(nowhere.error(), HasSubstr("/nowhere/agent"));
    EXPECT_THAT(AgentServer::start(std::make_unique<FakeAgent>(), "/" + std::string(200, 'x')).error(),
                HasSubstr("too long"));
}

}  // namespace
}  // namespace rankexec::agent
