// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/model/context.hpp"

#include <gtest/gtest.h>

#include <array>

#include "rankexec/core/component/engine.hpp"

namespace rankexec {
namespace {

TEST(Context, StickyPropertiesAreSeenByLaterContextsOfTheSameEngine) {
    Engine engine;
    Context first = engine.new_context();
    first.set("round", 3, Visibility::public_, Lifetime::sticky);
    first.set("once", 1);
    const Context second = engine.new_context();
    EXPECT_EQ(second.integer_or("round", 0), 3);
    EXPECT_FALSE(second.get("once"));
}

TEST(Context, APropertyThatStopsBeingStickyDoesNotComeBack) {
    Engine engine;
    Context first = engine.new_context();
    first.set("round", 3, Visibility::public_, Lifetime::sticky);
    first.set("round", 4);
    EXPECT_FALSE(engine.new_context().get("round"));
}

TEST(Context, LocalObjectsNeverLeaveTheProcess) {
    Context context;
    context.set_local("object", std::string("here"));
    EXPECT_TRUE(context.serialisable().empty());
    EXPECT_TRUE(context.changes().empty());
    EXPECT_EQ(std::any_cast<std::string>(context.local("object")), "here");
}

TEST(Context, ChangesHoldWhatWasSetAndRemovedSinceTheyWereForgotten) {
    Context context;
    context.set("kept", 1);
    context.set("gone", 2);
    context.forget_changes();
    context.remove("gone");
    context.set("new", 3);
    const auto changes = context.changes();
    EXPECT_EQ(changes.set.size(), 1U);
    EXPECT_TRUE(changes.set.contains("new"));
    EXPECT_TRUE(changes.removed.contains("gone"));

    Context other;
    other.set("gone", 2);
    other.apply(changes);
    EXPECT_FALSE(other.get("gone"));
    EXPECT_EQ(other.integer_or("new", 0), 3);
}

TEST(Context, AReceivedContextReplacesAllButWhatTheProcessSaysOfItself) {
    const auto store = std::make_shared<StickyProperties>();
    Context former(store);
    former.set("rank", 3, Visibility::private_, Lifetime::sticky);
    former.set("gone", 1, Visibility::private_, Lifetime::sticky);
    former.set("no longer sticky", 1, Visibility::private_, Lifetime::sticky);
    PropertyMap properties;
    properties["rank"] = {0, Visibility::private_, Lifetime::sticky};
    properties["world_size"] = {9, Visibility::private_, Lifetime::sticky};
    properties["kept"] = {2, Visibility::public_, Lifetime::sticky};
    properties["no longer sticky"] = {2, Visibility::private_, Lifetime::once};
    const std::array<std::string_view, 2> own{"rank", "world_size"};
    const auto context = Context::received(store, properties, own);
    EXPECT_EQ(context.integer_or("rank", -1), 3);
    EXPECT_FALSE(context.get("world_size"));
    EXPECT_FALSE(context.get("gone"));
    EXPECT_EQ(context.property("kept"), properties["kept"]);
    EXPECT_EQ(context.integer_or("no longer sticky", -1), 2);
    EXPECT_TRUE(context.changes().empty());
    const auto later = Context(store).serialisable();
    EXPECT_EQ(later.size(), 2U);
    EXPECT_TRUE(later.contains("rank"));
    EXPECT_TRUE(later.contains("kept"));
}

TEST(Context, CloneIsIndependent) {
    Context context;
    context.set("a", 1);
    Context copy = context.clone();
    copy.set("a", 2);
    EXPECT_EQ(context.integer_or("a", 0), 1);
    EXPECT_TRUE(context.clone().changes().empty());
}

TEST(ContextChanges, TheLaterChangeWins) {
    ContextChanges first;
    first.set["a"] = Property{Value(1)};
    first.removed.insert("b");
    ContextChanges later;
    later.removed.insert("a");
    later.set["b"] = Property{Value(2)};
    first.merge(later);
    EXPECT_TRUE(first.removed.contains("a"));
    EXPECT_FALSE(first.removed.contains("b"));
    EXPECT_EQ(first.set.at("b").value, Value(2));
}

class Recorder : public Component {
public:
    void handle_event(const std::string& type, Context& context) override {
        seen.push_back(type + "/" + context.text_or(property::kEventOrigin, "?"));
        if (type == "outer") {
            Context& same = context;
            fire_event("inner", same);
            seen.push_back("back/" + context.text_or(property::kEventOrigin, "?"));
        }
        if (type == "bad") throw std::runtime_error("handler failed");
    }
    std::vector<std::string> seen;
};

TEST(Engine, AnEventFiredInsideARemoteOneIsLocal) {
    Engine engine;
    auto& recorder = static_cast<Recorder&>(engine.add("r", std::make_unique<Recorder>()));
    Context context = engine.new_context();
    engine.deliver_event("outer", context, EventOrigin::parent);
    EXPECT_EQ(recorder.seen, (std::vector<std::string>{"outer/parent", "inner/local", "back/parent"}));
    EXPECT_FALSE(context.get(property::kEventOrigin));
    EXPECT_TRUE(context.changes().empty());
}

TEST(Engine, AHandlersExceptionDoesNotStopTheNextHandler) {
    Engine engine;
    engine.add("first", std::make_unique<Recorder>());
    auto& second = static_cast<Recorder&>(engine.add("second", std::make_unique<Recorder>()));
    Context context = engine.new_context();
    engine.fire_event("bad", context);
    EXPECT_EQ(second.seen.size(), 1U);
}

}  // namespace
}  // namespace rankexec
