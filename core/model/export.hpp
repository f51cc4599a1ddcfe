// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Everything is compiled with hidden visibility; what an application or a plugin may call is marked.
#define RANKEXEC_EXPORT __attribute__((visibility("default")))
