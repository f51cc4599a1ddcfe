// SPDX-License-Identifier: Apache-2.0
#pragma once

// The compiler's flow analysis is not up to the header-only parser; nothing of ours is in between.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <toml++/toml.h>
#pragma GCC diagnostic pop
