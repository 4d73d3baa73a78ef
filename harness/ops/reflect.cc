#include "ops/reflect.h"

#include <array>
#include <type_traits>

#include "base/check.h"

namespace sluice {
namespace {

template <class T>
constexpr auto field_table() {
  std::array<FieldInfo, detail::visited_fields<T>()> table{};
  T op{};
  std::size_t next = 0;
  T::each(op, [&](std::string_view name, auto& field) {
    using Field = std::remove_cvref_t<decltype(field)>;
    table[next++] = {name, &Domain<Field>::kSpec, Domain<Field>::to(field)};
  });
  return table;
}
template <class T>
constexpr auto kFieldTable = field_table<T>();

template <class... Ops>
constexpr auto span_table(OpList<Ops...>) {
  return std::array<std::span<const FieldInfo>, sizeof...(Ops)>{
      std::span<const FieldInfo>(kFieldTable<Ops>)...};
}
constexpr auto kSpans = span_table(AllOps{});

template <class... Ops>
constexpr auto default_table(OpList<Ops...>) {
  return std::array<Op, sizeof...(Ops)>{Op(std::in_place_type<Ops>)...};
}

}  // namespace

std::span<const FieldInfo> fields_of(std::size_t index) { return kSpans[index]; }

Op make_op(std::size_t index) {
  static constexpr auto kDefaults = default_table(AllOps{});
  SLUICE_DCHECK(index < kDefaults.size());
  return kDefaults[index];
}

FieldValue get_field(const Op& op, std::size_t field) {
  SLUICE_DCHECK(field < kSpans[op.index()].size());
  FieldValue found;
  std::visit(
      [&](const auto& one) {
        std::size_t next = 0;
        std::remove_cvref_t<decltype(one)>::each(one, [&](std::string_view, const auto& member) {
          using Field = std::remove_cvref_t<decltype(member)>;
          if (next++ == field) found = Domain<Field>::to(member);
        });
      },
      op);
  return found;
}

void set_field(Op& op, std::size_t field, FieldValue value) {
  SLUICE_DCHECK(field < kSpans[op.index()].size());
  SLUICE_DCHECK(value.bits <= kSpans[op.index()][field].domain->max);
  std::visit(
      [&](auto& one) {
        std::size_t next = 0;
        std::remove_cvref_t<decltype(one)>::each(one, [&](std::string_view, auto& member) {
          using Field = std::remove_cvref_t<decltype(member)>;
          if (next++ == field) member = Domain<Field>::from(value);
        });
      },
      op);
}

std::size_t find_op(std::string_view name) {
  std::size_t index = 0;
  while (index < kOpInfo.size() && kOpInfo[index].name != name) ++index;
  return index;
}

bool same_op(const Op& a, const Op& b) {
  if (a.index() != b.index()) return false;
  for (std::size_t i = 0; i < fields_of(a.index()).size(); ++i) {
    if (get_field(a, i) != get_field(b, i)) return false;
  }
  return true;
}

}  // namespace sluice
