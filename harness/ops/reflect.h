// Operations as data at run time: the names, domains and defaults of their fields, and access to a
// field by its number. For everything but the hottest path (codec.cc expands `each()` itself).
#pragma once
#include <cstddef>
#include <span>
#include <string_view>

#include "ops/domain.h"
#include "ops/op_list.h"

namespace sluice {

struct FieldInfo {
  std::string_view name;
  const DomainSpec* domain;
  FieldValue default_value;
};

/// The fields of operation `index` (in list order), as `each()` visits them.
std::span<const FieldInfo> fields_of(std::size_t index);

/// Operation `index` with every field at its default. Pre: index < AllOps::kCount.
Op make_op(std::size_t index);

/// Field `field` of `op`. Pre: field < fields_of(op.index()).size(); set: value in its domain.
FieldValue get_field(const Op& op, std::size_t field);
void set_field(Op& op, std::size_t field, FieldValue value);

/// The operation of that name; AllOps::kCount if there is none.
std::size_t find_op(std::string_view name);

bool same_op(const Op& a, const Op& b);

/// True unless who acts means nothing: `resume` names its actor as a field.
constexpr bool takes_actor(std::size_t index) { return !kOpInfo[index].positional; }

}  // namespace sluice
