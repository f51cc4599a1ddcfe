// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/model/shareable.hpp"

#include <gtest/gtest.h>

#include <array>

namespace rankexec {
namespace {

TEST(Shareable, FindsHeadersAndTensorsByName) {
    const std::array<float, 1> one{1};
    Shareable content;
    content.headers["round"] = 3;
    content.tensors["w"] = Tensor::copy_of<float>(one, {1});
    ASSERT_NE(content.header("round"), nullptr);
    EXPECT_EQ(content.header("round")->integer_or(0), 3);
    ASSERT_NE(content.tensor("w"), nullptr);
    EXPECT_EQ(content.header("w"), nullptr);
    EXPECT_EQ(content.tensor("round"), nullptr);
    EXPECT_TRUE(content.ok());
}

TEST(Shareable, AFailedReplyCarriesItsFailure) {
    const auto reply = Shareable::failed(ReturnCode::bad_task_data, "no weights");
    EXPECT_FALSE(reply.ok());
    EXPECT_EQ(reply.code, ReturnCode::bad_task_data);
    ASSERT_TRUE(reply.failure);
    EXPECT_EQ(reply.failure->code, ReturnCode::bad_task_data);
    EXPECT_EQ(reply.failure->message, "no weights");
    EXPECT_TRUE(reply.headers.empty());
    EXPECT_TRUE(reply.body.is_null());
}

TEST(Shareable, CopiesShareTensorBytes) {
    const std::array<float, 1> one{1};
    Shareable content;
    content.tensors["w"] = Tensor::copy_of<float>(one, {1});
    const Shareable copy = content;
    EXPECT_EQ(copy, content);
    EXPECT_EQ(copy.tensor("w")->bytes().data(), content.tensor("w")->bytes().data());
}

TEST(ReturnCode, NumbersAndNamesGoTogether) {
    for (int number = 0; number <= static_cast<int>(ReturnCode::not_ready); ++number) {
        const auto code = return_code_from(number);
        ASSERT_TRUE(code) << number;
        EXPECT_NE(to_string(*code), "unknown") << number;
    }
    EXPECT_FALSE(return_code_from(-1));
    EXPECT_FALSE(return_code_from(static_cast<int>(ReturnCode::not_ready) + 1));
    EXPECT_EQ(to_string(ReturnCode::task_timeout), "task_timeout");
}

}  // namespace
}  // namespace rankexec
