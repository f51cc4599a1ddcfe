// SPDX-License-Identifier: Apache-2.0
#include <rankexec/core/component/component_registry.hpp>

#include "store_server.hpp"

RANKEXEC_PLUGIN(registry) { registry.add<digits::StoreServer>("digits_store_server"); }
