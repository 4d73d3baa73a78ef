// docs/ops.md, written from the registry: every operation with its fields, and every kind of value.
#pragma once
#include <string>

namespace sluice {

/// The whole document, ending in a newline. A test compares docs/ops.md with it.
std::string ops_document();

}  // namespace sluice
