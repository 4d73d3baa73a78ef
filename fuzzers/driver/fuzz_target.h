// What every fuzz target defines and every driver calls.
#pragma once
#include <cstddef>
#include <cstdint>

/// Runs one input. Returns 0; a finding or a bug of the harness aborts (report.h).
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
