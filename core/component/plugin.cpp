// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/component/plugin.hpp"

#include <dlfcn.h>

#include "rankexec/core/component/configuration_error.hpp"

namespace rankexec {

void load_plugin(const std::string& path, ComponentRegistry& registry) {
    // RTLD_NOW, so that a missing symbol is an error here and not in the middle of a task.
    void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        throw ConfigurationError(ConfigurationError::Kind::plugin,
                                 "plugin \"" + path + "\" cannot be loaded: " + ::dlerror());
    }
    using EntryPoint = void (*)(ComponentRegistry&);
    auto* symbol = ::dlsym(library, "rankexec_register_components");
    if (symbol == nullptr) {
        ::dlclose(library);
        throw ConfigurationError(ConfigurationError::Kind::plugin,
                                 "plugin \"" + path +
                                     "\" has no entry point rankexec_register_components; define it with "
                                     "RANKEXEC_PLUGIN(registry) { ... }");
    }
    reinterpret_cast<EntryPoint>(symbol)(registry);
}

}  // namespace rankexec
