// SPDX-License-Identifier: Apache-2.0
#include "trainer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <limits>

#include "fake_group.hpp"
#include "model_tensors.hpp"

namespace digits {
namespace {

using rankexec::ReturnCode;
using rankexec::Shareable;
using rankexec::Signal;
using rankexec::Value;
using test::FakeGroup;
using testing::HasSubstr;
using testing::ThrowsMessage;

/// Remembers the metric events that reach the parent.
class Metrics : public rankexec::Component {
public:
    explicit Metrics(std::function<void()> on_metric) : on_metric_(std::move(on_metric)) {}
    void handle_event(const std::string& type, rankexec::Context& context) override {
        if (type != "metric") return;
        metrics_.push_back(*context.get("metric"));
        on_metric_();
    }
    const std::vector<Value>& metrics() const { return metrics_; }

private:
    std::function<void()> on_metric_;
    std::vector<Value> metrics_;
};

class TrainerGroup : public FakeGroup {
public:
    explicit TrainerGroup(
        int world_size, std::function<void()> on_metric = [] {})
        : FakeGroup(world_size) {
        std::signal(SIGPIPE, SIG_IGN);
        metrics_ = &dynamic_cast<Metrics&>(parent().add("metrics", std::make_unique<Metrics>(std::move(on_metric))));
        for (int r = 0; r < world_size; ++r) {
            rank(r).add("trainer",
                        std::make_unique<DigitsTrainer>(Value::Map{{"data", DIGITS_DATA}, {"address", "127.0.0.1"}}));
        }
    }

    std::vector<Shareable> execute(const std::string& task, const Shareable& input, const Signal& abort = {}) {
        std::vector<Shareable> replies(static_cast<std::size_t>(world_size()));
        const auto errors = on_all([&](int r) {
            auto context = rank_context(r);
            replies[static_cast<std::size_t>(r)] = rank(r).executor("trainer").execute(task, input, context, abort);
        });
        for (const auto& error : errors) EXPECT_EQ(test::message_of(error), std::nullopt);
        return replies;
    }

    const std::vector<Value>& metrics() const { return metrics_->metrics(); }

private:
    Metrics* metrics_;
};

Shareable in_round(int round, Shareable::Tensors tensors = {}) {
    Shareable input;
    input.headers = {{"round", round}};
    input.tensors = std::move(tensors);
    return input;
}

Shareable::Tensors train_rounds(TrainerGroup& group, int rounds) {
    Shareable::Tensors model;
    for (int round = 1; round <= rounds; ++round) {
        const auto replies = group.execute("train", in_round(round, model));
        for (const auto& reply : replies) {
            EXPECT_TRUE(reply.ok());
            EXPECT_EQ(reply.tensors, replies[0].tensors) << "every rank has the same model";
        }
        EXPECT_EQ(replies[0].header("samples")->integer_or(0), 1442);
        model = replies[0].tensors;
    }
    return model;
}

TEST(DigitsTrainer, LearnsToReadDigitsItHasNotSeen) {
    TrainerGroup group(4);
    const auto model = train_rounds(group, 5);
    for (const auto& reply : group.execute("validate", in_round(5, model))) {
        ASSERT_TRUE(reply.ok());
        EXPECT_EQ(reply.header("samples")->integer_or(0), 355);
        EXPECT_GE(reply.header("accuracy")->real_or(0), 0.95);
        RecordProperty("accuracy", std::to_string(reply.header("accuracy")->real_or(0)));
    }
    EXPECT_EQ(group.metrics().size(), 4U * 5 * 3) << "ranks, rounds, epochs";
    for (const auto& metric : group.metrics()) {
        EXPECT_EQ(metric.find("world_size")->integer_or(0), 4);
        EXPECT_GT(metric.find("samples_per_second")->real_or(0), 0);
    }
}

TEST(DigitsTrainer, GivesTheSameBitsEachTime) {
    TrainerGroup first(4);
    TrainerGroup second(4);
    EXPECT_EQ(train_rounds(first, 2), train_rounds(second, 2));
}

TEST(DigitsTrainer, WorksAlone) {
    TrainerGroup group(1);
    const auto model = train_rounds(group, 1);
    EXPECT_GT(group.execute("validate", in_round(1, model))[0].header("accuracy")->real_or(0), 0.8);
}

TEST(DigitsTrainer, AbortEndsTraining) {
    const Signal abort;
    TrainerGroup group(4, [abort] { abort.trigger("enough"); });
    for (const auto& reply : group.execute("train", in_round(1), abort)) {
        EXPECT_EQ(reply.code, ReturnCode::task_aborted);
        ASSERT_TRUE(reply.failure);
        EXPECT_EQ(reply.failure->message, "enough");
    }
    const auto model = train_rounds(group, 1);  // and the group is as good as new
    EXPECT_EQ(model.size(), 4U);
}

TEST(DigitsTrainer, AbortBeforeTheTaskIsObeyed) {
    const Signal abort;
    abort.trigger("not even started");
    TrainerGroup group(2);
    for (const auto& reply : group.execute("train", in_round(1), abort)) {
        EXPECT_EQ(reply.code, ReturnCode::task_aborted);
    }
}

TEST(DigitsTrainer, RefusesWhatItCannotUse) {
    TrainerGroup group(1);
    const auto code = [&](const std::string& task, const Shareable& input) {
        return group.execute(task, input)[0].code;
    };
    EXPECT_EQ(code("evaluate", in_round(1)), ReturnCode::task_unknown);
    EXPECT_EQ(code("train", Shareable{}), ReturnCode::bad_task_data);
    EXPECT_EQ(code("train", in_round(0)), ReturnCode::bad_task_data);
    EXPECT_EQ(code("validate", in_round(1)), ReturnCode::bad_task_data) << "no model";

    const auto model = to_tensors(initial_parameters(1));
    auto missing = model;
    missing.erase("b2");
    EXPECT_EQ(code("train", in_round(1, missing)), ReturnCode::bad_task_data);
    auto additional = model;
    additional["w3"] = model.at("w2");
    EXPECT_EQ(code("train", in_round(1, additional)), ReturnCode::bad_task_data);
    auto reshaped = model;
    reshaped["b1"] = rankexec::Tensor::copy_of(std::span<const float>(std::vector<float>(64)), {1, 64});
    EXPECT_EQ(code("train", in_round(1, reshaped)), ReturnCode::bad_task_data);
    auto integers = model;
    integers["b2"] = rankexec::Tensor::copy_of(std::span<const std::int32_t>(std::vector<std::int32_t>(10)), {10});
    EXPECT_EQ(code("train", in_round(1, integers)), ReturnCode::bad_task_data);
    auto infinite = model;
    infinite["b2"] = rankexec::Tensor::copy_of(
        std::span<const float>(std::vector<float>(10, std::numeric_limits<float>::quiet_NaN())), {10});
    EXPECT_EQ(code("validate", in_round(1, infinite)), ReturnCode::bad_task_data);
    EXPECT_EQ(code("validate", in_round(1, model)), ReturnCode::ok);
}

TEST(DigitsTrainer, RefusesArgumentsThatMakeNoSense) {
    const auto make = [](const std::string& name, const Value& value) {
        return [=] {
            Value::Map args{{"data", DIGITS_DATA}};
            args.insert_or_assign(name, value);
            const DigitsTrainer trainer(args);
        };
    };
    EXPECT_THAT(make("epoch", 3), ThrowsMessage<std::invalid_argument>(HasSubstr("did you mean \"epochs\"")));
    EXPECT_THAT(make("epochs", 0), ThrowsMessage<std::invalid_argument>(HasSubstr("epochs")));
    EXPECT_THAT(make("batch", "many"), ThrowsMessage<std::invalid_argument>(HasSubstr("batch")));
    EXPECT_THAT(make("learning_rate", -1.0), ThrowsMessage<std::invalid_argument>(HasSubstr("learning_rate")));
    EXPECT_THAT(make("store", 1), ThrowsMessage<std::invalid_argument>(HasSubstr("store")));
    EXPECT_THAT(make("data", "/nonexistent/digits.csv"),
                ThrowsMessage<std::runtime_error>(HasSubstr("/nonexistent/digits.csv")));
}

}  // namespace
}  // namespace digits
