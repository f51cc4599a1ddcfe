// SPDX-License-Identifier: Apache-2.0
#pragma once

// The compiler's flow analysis is not up to the header-only parser; nothing of ours is in between.
#pragma GCC diagnostic push
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <toml++/toml.h>
#pragma GCC diagnostic pop
