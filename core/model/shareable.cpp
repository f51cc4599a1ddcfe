// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/model/shareable.hpp"

#include <utility>

namespace rankexec {

const Tensor* Shareable::tensor(std::string_view name) const {
    const auto found = tensors.find(name);
    return found == tensors.end() ? nullptr : &found->second;
}

const Value* Shareable::header(std::string_view name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? nullptr : &found->second;
}

Shareable Shareable::failed(Failure failure) {
    Shareable reply;
    reply.code = failure.code;
    reply.failure = std::move(failure);
    return reply;
}

Shareable Shareable::failed(ReturnCode code, std::string message) {
    Failure failure;
    failure.code = code;
    failure.message = std::move(message);
    return failed(std::move(failure));
}

}  // namespace rankexec
