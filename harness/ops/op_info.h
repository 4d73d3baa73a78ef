// How an operation is declared: a plain struct with defaults, `kInfo`, and `each()` that visits
// every field by name. What follows from that declaration: codec, text, mutation, execution tables,
// docs/ops.md. Why this form: docs/architecture.md.
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "ops/fields.h"

namespace sluice {

struct OpInfo {
  std::string_view name{};            // the kernel's or the manual's own name
  ActorKind actor = ActorKind::kVmm;  // who runs it unless the sequence says otherwise
  std::uint16_t weight = 1;           // how often the mutator picks it
  std::string_view source{};          // manual section or kernel function
  bool machine_scope_only = false;    // raw host instruction: legal only under `# scope: machine`
  bool positional = false;     // text gives the first field without its name (`resume vcpu0`)
  std::string_view summary{};  // one sentence for docs/ops.md
};

namespace detail {
struct AnyField {
  template <class T>
  constexpr operator T() const noexcept;  // never defined: only counts initializers
};
template <class T, std::size_t... I>
constexpr bool takes_initializers(std::index_sequence<I...>) {
  return requires { T{(static_cast<void>(I), AnyField{})...}; };
}
template <class T, std::size_t N = 0>
constexpr std::size_t field_count() {
  if constexpr (takes_initializers<T>(std::make_index_sequence<N + 1>{})) {
    return field_count<T, N + 1>();
  } else {
    return N;
  }
}
struct CountVisits {
  std::size_t count = 0;
  template <class T>
  constexpr void operator()(std::string_view, T&&) {
    ++count;
  }
};
template <class T>
constexpr std::size_t visited_fields() {
  T op{};
  CountVisits visits;
  T::each(op, visits);
  return visits.count;
}
}  // namespace detail

template <class T>
concept Operation = std::is_aggregate_v<T> && std::is_trivially_copyable_v<T> && requires {
  { T::kInfo } -> std::convertible_to<OpInfo>;
};

template <Operation... Ops>
struct OpList {
  using Variant = std::variant<Ops...>;
  static constexpr std::size_t kCount = sizeof...(Ops);
};

/// Place in each operation's file, so that the compiler's message names the operation.
#define SLUICE_OPERATION(Op)                                                                   \
  static_assert(::sluice::Operation<Op>, #Op " is not a plain operation struct");              \
  static_assert(::sluice::detail::field_count<Op>() == ::sluice::detail::visited_fields<Op>(), \
                "each() of " #Op " forgets a field")

}  // namespace sluice
