// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/component/thrown_type.hpp"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <typeinfo>

namespace rankexec {

std::string name_of_thrown_type() {
    const auto* const type = abi::__cxa_current_exception_type();
    if (type == nullptr) return {};
    const std::unique_ptr<char, decltype(&std::free)> name(abi::__cxa_demangle(type->name(), nullptr, nullptr, nullptr),
                                                           &std::free);
    return name ? name.get() : type->name();
}

}  // namespace rankexec
