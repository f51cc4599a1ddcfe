// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/component/component_registry.hpp"

#include <gtest/gtest.h>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/component/engine.hpp"

namespace rankexec {
namespace {

using Kind = ConfigurationError::Kind;

class Plain : public Component {};

class Configured : public Component {
public:
    explicit Configured(const Value::Map& args) : epochs(args.at("epochs").integer_or(0)) {
        if (epochs < 1) throw std::invalid_argument("epochs must be at least 1");
    }
    std::int64_t epochs;
};

ComponentRegistry a_registry() {
    ComponentRegistry registry;
    registry.add<Plain>("plain");
    registry.add<Configured>("configured");
    registry.add("nothing", [](const Value::Map&) { return nullptr; });
    return registry;
}

/// Calls and returns the error; fails the test when there is none.
ConfigurationError error_of(const std::function<void()>& call) {
    try {
        call();
    } catch (const ConfigurationError& error) {
        return error;
    }
    ADD_FAILURE() << "no ConfigurationError";
    return {Kind::option, ""};
}

TEST(ComponentRegistry, BuildsFromArguments) {
    const auto registry = a_registry();
    EXPECT_NE(registry.build({"a", "plain", {}}), nullptr);
    const auto component = registry.build({"b", "configured", {{"epochs", 5}}});
    EXPECT_EQ(dynamic_cast<Configured&>(*component).epochs, 5);
    EXPECT_TRUE(registry.contains("plain"));
    EXPECT_EQ(registry.types(), (std::vector<std::string>{"configured", "nothing", "plain"}));
}

TEST(ComponentRegistry, ATypeIsTakenOnce) {
    auto registry = a_registry();
    EXPECT_THROW(registry.add<Plain>("plain"), std::logic_error);
}

TEST(ComponentRegistry, SaysWhatIsWrongWithASpec) {
    const auto registry = a_registry();
    EXPECT_EQ(error_of([&] { (void)registry.build({"", "plain", {}}); }).kind(), Kind::component_id_missing);

    const auto unknown = error_of([&] { (void)registry.build({"a", "plian", {}}); });
    EXPECT_EQ(unknown.kind(), Kind::component_type_unknown);
    EXPECT_NE(std::string(unknown.what()).find("did you mean \"plain\""), std::string::npos) << unknown.what();

    const auto refused = error_of([&] { (void)registry.build({"a", "configured", {{"epochs", 0}}}); });
    EXPECT_EQ(refused.kind(), Kind::component_arguments);
    EXPECT_NE(std::string(refused.what()).find("epochs must be at least 1"), std::string::npos) << refused.what();

    EXPECT_EQ(error_of([&] { (void)registry.build({"a", "configured", {}}); }).kind(), Kind::component_arguments);
    EXPECT_EQ(error_of([&] { (void)registry.build({"a", "nothing", {}}); }).kind(), Kind::component_arguments);
}

TEST(ComponentRegistry, TheOnlyTypeNeedsNoName) {
    ComponentRegistry registry;
    EXPECT_EQ(error_of([&] { (void)registry.build({"a", kOnlyType, {}}); }).kind(), Kind::component_type_unknown);
    registry.add<Configured>("configured");
    EXPECT_NE(registry.build({"a", kOnlyType, {{"epochs", 5}}}), nullptr);
    registry.add<Plain>("plain");
    const auto error = error_of([&] { (void)registry.build({"a", kOnlyType, {}}); });
    EXPECT_EQ(error.kind(), Kind::component_type_unknown);
    EXPECT_NE(std::string(error.what()).find("configured, plain"), std::string::npos) << error.what();
}

TEST(ComponentRegistry, WhateverAConstructorThrowsNamesTheComponent) {
    struct ThrowsNumber : Component {
        ThrowsNumber() { throw 42; }
    };
    struct ThrowsText : Component {
        ThrowsText() { throw "no licence"; }
    };
    ComponentRegistry registry;
    registry.add<ThrowsNumber>("number");
    registry.add<ThrowsText>("text");
    const std::string number = error_of([&] { (void)registry.build({"a", "number", {}}); }).what();
    EXPECT_EQ(number, "component \"a\" (number): it threw int, which is no std::exception");
    EXPECT_STREQ(error_of([&] {
                     (void)registry.build({"b", "text", {}});
                 }).what(),
                 "component \"b\" (text): no licence");
}

TEST(ComponentRegistry, ComponentsOfAnEngineHaveUniqueIds) {
    const auto registry = a_registry();
    Engine engine;
    const auto error = error_of([&] { build_components(engine, registry, {{"a", "plain", {}}, {"a", "plain", {}}}); });
    EXPECT_EQ(error.kind(), Kind::component_id_duplicate);
    ASSERT_NE(engine.find("a"), nullptr);
    EXPECT_EQ(engine.find("a")->id(), "a");
    EXPECT_EQ(engine.find("b"), nullptr);
}

TEST(ComponentRegistry, AnExecutorMustBeOne) {
    const auto registry = a_registry();
    Engine engine;
    build_components(engine, registry, {{"a", "plain", {}}});
    EXPECT_EQ(error_of([&] { (void)engine.executor("a"); }).kind(), Kind::not_an_executor);
    EXPECT_EQ(error_of([&] { (void)engine.executor("b"); }).kind(), Kind::executor_id_unknown);
}

}  // namespace
}  // namespace rankexec
