// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/workflow/fed_avg.hpp"

#include <gmock/gmock.h>

#include <array>
#include <filesystem>
#include <limits>
#include <mutex>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/job/workflow/part_report.hpp"
#include "rankexec/core/job/workflow/small_floats.hpp"
#include "rankexec/core/job/workflow/weighted_average.hpp"
#include "rankexec/core/job/workflow/workflow_registry.hpp"

namespace rankexec::job {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

Tensor numbers(const std::vector<float>& values) {
    return Tensor::copy_of(std::span<const float>(values), {static_cast<std::int64_t>(values.size())});
}

/// Sites are functions.
class FakeSession final : public WorkflowSession {
public:
    using OnTask = std::function<Shareable(const std::string& site, const std::string& task, const Shareable& input)>;

    FakeSession(std::vector<std::string> sites, OnTask on_task)
        : sites_(std::move(sites)), on_task_(std::move(on_task)) {
        auto name = (std::filesystem::temp_directory_path() / "rankexec-fed-avg-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
        folder_ = name;
    }
    ~FakeSession() override { std::filesystem::remove_all(folder_); }

    [[nodiscard]] std::vector<std::string> sites() const override { return sites_; }
    [[nodiscard]] int min_sites() const override { return 1; }
    [[nodiscard]] tl::expected<std::map<std::string, Shareable>, Failure> broadcast_and_wait(
        const Broadcast& broadcast) override {
        if (abort_.triggered()) return tl::unexpected(*Shareable::failed(ReturnCode::task_aborted, "").failure);
        std::map<std::string, Shareable> replies;
        for (const auto& site : sites_) replies.emplace(site, on_task_(site, broadcast.task, broadcast.input));
        return replies;
    }
    [[nodiscard]] Shareable send(const std::string& site, const std::string& task, const Shareable& input,
                                 Milliseconds /*timeout*/) override {
        return on_task_(site, task, input);
    }
    [[nodiscard]] Shareable relay(const std::vector<std::string>& /*sites*/, const std::string& /*task*/,
                                  const Shareable& input, Milliseconds /*timeout*/) override {
        return input;
    }
    [[nodiscard]] Signal abort() const override { return abort_; }
    void save_snapshot(const Shareable& state) override {
        kept = state;
        if (on_snapshot) on_snapshot();
    }
    [[nodiscard]] std::optional<Shareable> snapshot() const override { return kept; }
    void progress(const std::string& line) override { lines.push_back(line); }
    void figure(const std::string& name, std::int64_t step, double value) override {
        figures[name].emplace_back(step, value);
    }
    [[nodiscard]] const std::string& result_directory() const override { return folder_; }
    [[nodiscard]] std::int64_t late_results() const override { return 0; }

    std::optional<Shareable> kept;
    std::function<void()> on_snapshot;
    std::vector<std::string> lines;
    Figures figures;

private:
    const std::vector<std::string> sites_;
    const OnTask on_task_;
    const Signal abort_;
    std::string folder_;
};

/// Each site adds its own number to the one weight; "b" has three times as many samples.
Shareable simple_site(const std::string& site, const std::string& task, const Shareable& input) {
    float weight = 0;
    if (const auto* tensor = input.tensor("w")) weight = tensor->elements<float>()[0];
    Shareable reply;
    reply.headers = {{"samples", site == "b" ? 30 : 10}};
    if (task == "train") reply.tensors.emplace("w", numbers({weight + (site == "b" ? 2.0F : 1.0F)}));
    // Best at 3.5, which is the second round's.
    if (task == "validate") reply.headers.insert_or_assign("accuracy", 1.0 - std::abs(weight - 3.5) / 10);
    return reply;
}

TEST(J5_FedAvg, AveragesByWeightValidatesAndKeepsTheBest) {
    FakeSession session({"a", "b"}, simple_site);
    ASSERT_TRUE(FedAvg(Value::Map{{"rounds", 3}}).run(session));
    ASSERT_EQ(session.figures.at("accuracy").size(), 3U);
    // 1.75, 3.5, 5.25: each round adds (10 * 1 + 30 * 2) / 40.
    EXPECT_DOUBLE_EQ(session.figures.at("accuracy")[1].second, 1.0);
    EXPECT_TRUE(std::filesystem::exists(std::filesystem::path(session.result_directory()) / "model.npz"));
    EXPECT_THAT(session.lines, Contains("held_out_accuracy=1.0000"));
    EXPECT_THAT(session.lines, Contains("model of round 2 saved as model.npz"));
    EXPECT_THAT(session.lines, Contains(HasSubstr("round 3/3  b  trained on 30 samples")));
}

TEST(J7_FedAvg, GoesOnFromItsSnapshot) {
    FakeSession first({"a", "b"}, simple_site);
    int rounds = 0;
    first.on_snapshot = [&] {
        if (++rounds == 2) throw std::runtime_error("killed");
    };
    EXPECT_THROW((void)FedAvg(Value::Map{{"rounds", 3}}).run(first), std::runtime_error);

    std::vector<std::int64_t> trained;
    FakeSession second({"a", "b"}, [&](const std::string& site, const std::string& task, const Shareable& input) {
        if (task == "train") trained.push_back(input.header("round")->integer_or(0));
        return simple_site(site, task, input);
    });
    second.kept = first.kept;
    ASSERT_TRUE(FedAvg(Value::Map{{"rounds", 3}}).run(second));
    EXPECT_THAT(trained, ElementsAre(3, 3));
    EXPECT_EQ(second.figures.at("accuracy").size(), 3U);
    EXPECT_THAT(second.lines, Contains("model of round 2 saved as model.npz"));
}

TEST(J7_FedAvg, RefusesAnotherWorkflowsSnapshot) {
    FakeSession session({"a"}, simple_site);
    session.kept = Shareable{};
    const auto done = FedAvg({}).run(session);
    ASSERT_FALSE(done);
    EXPECT_THAT(done.error().message, HasSubstr("not the state of workflow \"fed_avg\""));
}

TEST(J5_FedAvg, LeavesAFailedSiteOut) {
    FakeSession session({"a", "b"}, [](const std::string& site, const std::string& task, const Shareable& input) {
        if (site == "b") return Shareable::failed(ReturnCode::execution_exception, "out of ink");
        return simple_site(site, task, input);
    });
    ASSERT_TRUE(FedAvg(Value::Map{{"rounds", 1}}).run(session));
    EXPECT_THAT(session.lines, Contains("round 1/1  b  left out: out of ink"));
}

TEST(J5_FedAvg, ComparesWithEachSiteAlone) {
    FakeSession session({"a", "b"}, simple_site);
    ASSERT_TRUE(FedAvg(Value::Map{{"rounds", 2}, {"alone_rounds", 2}}).run(session));
    EXPECT_NEAR(session.figures.at("accuracy.a.alone")[0].second, 0.85, 1e-6);
    EXPECT_NEAR(session.figures.at("accuracy.b.alone")[0].second, 0.95, 1e-6);
}

TEST(J5_FedAvg, SaysWhatAReplyLacks) {
    FakeSession session({"a"}, [](const std::string&, const std::string&, const Shareable&) { return Shareable{}; });
    const auto done = FedAvg({}).run(session);
    ASSERT_FALSE(done);
    EXPECT_THAT(done.error().message, HasSubstr("site a's reply to task \"train\" has no number \"samples\""));
}

TEST(J11_FedAvg, RefusesArgumentsThatMakeNoSense) {
    EXPECT_THROW(FedAvg(Value::Map{{"rounds", 0}}), std::invalid_argument);
    EXPECT_THROW(FedAvg(Value::Map{{"round", 3}}), std::invalid_argument);
    EXPECT_THROW(FedAvg(Value::Map{{"save_file", "../model.npz"}}), std::invalid_argument);
    EXPECT_THROW(FedAvg(Value::Map{{"train_task", ""}}), std::invalid_argument);
    EXPECT_THROW(FedAvg(Value::Map{{"train_timeout_seconds", -1}}), std::invalid_argument);
}

TEST(J11_Workflow, IsBuiltFromTheRegistry) {
    ComponentRegistry registry;
    add_workflows(registry);
    Engine engine;
    const auto& built = build_workflow(engine, registry, {}, {"", "fed_avg", {}});
    EXPECT_EQ(&built, engine.find("workflow"));
    Engine other;
    EXPECT_THROW((void)build_workflow(other, registry, {}, {"w", "fed_agv", {}}), ConfigurationError);
    EXPECT_THROW((void)build_workflow(other, registry, {}, {"w", "fed_avg", {{"rounds", "x"}}}), ConfigurationError);
}

TEST(J5_Average, RefusesModelsThatAreNotAlike) {
    const Shareable::Tensors one{{"w", numbers({1, 2})}};
    const Shareable::Tensors other{{"w", numbers({1, 2, 3})}};
    const Shareable::Tensors none;
    const Shareable::Tensors broken{{"w", numbers({1, std::numeric_limits<float>::quiet_NaN()})}};
    const auto message = [&](const Shareable::Tensors& second, double weight = 1) {
        const auto average = weighted_average({{"a", {&one, 1}}, {"b", {&second, weight}}});
        return average ? std::string("none") : average.error().message;
    };
    EXPECT_THAT(message(other), HasSubstr("site b has another type or shape in tensor \"w\""));
    EXPECT_THAT(message(none), HasSubstr("site b has no tensor \"w\""));
    EXPECT_THAT(message(broken), HasSubstr("site b has a number in tensor \"w\" that is not finite"));
    EXPECT_THAT(message(one, -1), HasSubstr("site b has a weight"));
    EXPECT_EQ(message(one, 0), "none");
    EXPECT_FALSE(weighted_average({{"a", {&one, 0}}}));
    EXPECT_FALSE(weighted_average({}));
}

TEST(J5_Average, KnowsAllFloatingPointTypes) {
    const std::array<double, 2> doubles{1.0, -3.0};
    const std::array<std::uint16_t, 2> halves{float16_from(1.0F), float16_from(-3.0F)};
    const std::array<std::uint16_t, 2> brains{bfloat16_from(1.0F), bfloat16_from(-3.0F)};
    const std::array<std::int32_t, 2> integers{1, -3};
    const auto model = [&](double factor) {
        const std::array<double, 2> d{doubles[0] * factor, doubles[1] * factor};
        const std::array<std::uint16_t, 2> h{float16_from(static_cast<float>(d[0])),
                                             float16_from(static_cast<float>(d[1]))};
        const std::array<std::uint16_t, 2> b{bfloat16_from(static_cast<float>(d[0])),
                                             bfloat16_from(static_cast<float>(d[1]))};
        return Shareable::Tensors{{"d", Tensor::copy_of(std::span<const double>(d), {2})},
                                  {"h", Tensor::copy_bytes(DType::float16, {2}, std::as_bytes(std::span(h)))},
                                  {"b", Tensor::copy_bytes(DType::bfloat16, {2}, std::as_bytes(std::span(b)))},
                                  {"i", Tensor::copy_of(std::span<const std::int32_t>(integers), {2})}};
    };
    const auto low = model(0.5);
    const auto high = model(1.5);
    const auto average = weighted_average({{"a", {&low, 1}}, {"b", {&high, 1}}});
    ASSERT_TRUE(average);
    EXPECT_EQ(*average, model(1));
    EXPECT_TRUE(std::ranges::equal(average->at("h").bytes(), std::as_bytes(std::span(halves))));
    EXPECT_TRUE(std::ranges::equal(average->at("b").bytes(), std::as_bytes(std::span(brains))));
}

TEST(J5_Average, SmallFloatsKeepEveryValueThatTheyHave) {
    for (std::uint32_t bits = 0; bits <= 0xffff; ++bits) {
        const auto half = static_cast<std::uint16_t>(bits);
        const float value = float_from_float16(half);
        if (!std::isnan(value)) {
            ASSERT_EQ(float16_from(value), half) << bits;
        }
        const float brain = float_from_bfloat16(half);
        if (!std::isnan(brain)) {
            ASSERT_EQ(bfloat16_from(brain), half) << bits;
        }
    }
    // Between 1 and the next number, 1 + 2^-10: ties go to the even one.
    EXPECT_EQ(float16_from(1.0F + 0x1p-11F), 0x3c00);
    EXPECT_EQ(float16_from(1.0F + 0x1.8p-10F), 0x3c02);
    EXPECT_EQ(float16_from(65519.0F), 0x7bff);
    EXPECT_EQ(float16_from(65520.0F), 0x7c00);
    EXPECT_EQ(float16_from(0x1p-25F), 0);
    EXPECT_EQ(float16_from(0x1.8p-25F), 1);
    EXPECT_EQ(float16_from(0x1.ffcp-15F + 0x1p-26F), 0x0400);  // the largest below 2^-14 rounds up to it
    EXPECT_TRUE(std::isnan(float_from_float16(float16_from(NAN))));
    EXPECT_TRUE(std::isnan(float_from_bfloat16(bfloat16_from(NAN))));
}

}  // namespace
}  // namespace rankexec::job
