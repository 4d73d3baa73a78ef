// The byte form of sequences: what fuzzers store. Total (every byte string, the empty one too, is a
// sequence), deterministic, and canonical (encode of decode of encode changes nothing). Bytes are
// never kept in git: the build makes them from text, so the form may change with kCodecVersion.
//
//   header   version, scope and kernel, one byte per policy axis
//   step     operation, actor and park (one byte, or two if park > 14), the fields
//   field    a small domain: one byte, modulo its count
//            others: 0..127 one of the 8 likeliest values, 128..239 one of 64 hot values, 240..255
//            the next 1 to 8 bytes, little endian (248..255 of a host address: raw)
// So a flipped byte mostly moves an operation to another existing object, and seldom far away.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "ops/sequence.h"

namespace sluice {

inline constexpr std::uint8_t kCodecVersion = 7;
/// No sequence is longer: header, and per step operation, actor, park and fields of 9 bytes.
inline constexpr std::size_t kMaxEncodedBytes = 2 + kPolicyAxes.size() + kMaxOps * (3 + 9 * 16);

/// Fills `out`, which keeps its memory: no allocation once it is warm. Missing bytes read as zero,
/// more than kMaxOps steps are cut, a raw host instruction in host scope becomes another operation.
/// Cost: 10 to 20 ns a step.
void decode_sequence(std::span<const std::uint8_t> bytes, Sequence& out);

/// Replaces `out` by the canonical bytes of `sequence`; notes and expectations are left out.
/// Pre: at most kMaxOps steps, values in their domains, a modeled kernel.
void encode_sequence(const Sequence& sequence, std::vector<std::uint8_t>& out);

/// True if `bytes` carry this codec's version; decoding other bytes works, but means something
/// else than when they were written.
constexpr bool has_current_version(std::span<const std::uint8_t> bytes) {
  return !bytes.empty() && bytes[0] == kCodecVersion;
}

}  // namespace sluice
