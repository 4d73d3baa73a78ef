#include "benchmarks/scenario/scenario.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "base/check.h"

namespace sluice::bench {
namespace {

std::deque<Definition>& registry() {
  static std::deque<Definition> definitions;  // a deque: instances point into it
  return definitions;
}

const std::vector<Value>& values_of(const Parameter& parameter, bool smoke) {
  return smoke && !parameter.smoke.empty() ? parameter.smoke : parameter.real;
}

Fact::Value fact_value(const Value& value) {
  return std::visit([](const auto& v) -> Fact::Value { return v; }, value);
}

/// Numbers are named only where there is a choice of them.
std::string name_part(const Parameter& parameter, const Value& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return "/" + *text;
  if (parameter.real.size() < 2) return "";
  return "/" + parameter.name + ":" + std::to_string(std::get<std::int64_t>(value));
}

void add_instances(const Definition& definition, bool smoke, std::vector<Instance>& to) {
  std::vector<std::size_t> choice(definition.parameters.size(), 0);
  for (;;) {
    std::string name = definition.name;
    Facts facts;
    for (std::size_t i = 0; i < choice.size(); ++i) {
      const Parameter& parameter = definition.parameters[i];
      const Value& value = values_of(parameter, smoke)[choice[i]];
      name += name_part(parameter, value);
      facts.push_back({.name = parameter.name, .value = fact_value(value)});
    }
    to.push_back({.definition = &definition,
                  .name = std::move(name),
                  .arguments = Arguments(std::move(facts), smoke)});
    std::size_t at = choice.size();
    while (at > 0 && ++choice[at - 1] == values_of(definition.parameters[at - 1], smoke).size())
      choice[--at] = 0;
    if (at == 0) return;
  }
}

/// No argument that both have differs.
bool agrees(const Instance& floor, const Instance& with) {
  return std::ranges::all_of(floor.arguments.facts(), [&](const Fact& fact) {
    const Fact* const other = find_fact(with.arguments.facts(), fact.name);
    return other == nullptr || other->value == fact.value;
  });
}

}  // namespace

std::unexpected<Refusal> skip(std::string reason) {
  return std::unexpected(Refusal{.kind = Refusal::Kind::kSkip, .reason = std::move(reason)});
}
std::unexpected<Refusal> fail(std::string reason) {
  return std::unexpected(Refusal{.kind = Refusal::Kind::kFailure, .reason = std::move(reason)});
}
std::unexpected<Refusal> fail(const SystemError& error) { return fail(error.message()); }

std::uint64_t Arguments::number(std::string_view name) const {
  const Fact* const fact = find_fact(facts_, name);
  SLUICE_CHECK(fact != nullptr);
  SLUICE_CHECK(std::holds_alternative<std::int64_t>(fact->value));
  return static_cast<std::uint64_t>(std::get<std::int64_t>(fact->value));
}

const std::string& Arguments::text(std::string_view name) const {
  const Fact* const fact = find_fact(facts_, name);
  SLUICE_CHECK(fact != nullptr);
  SLUICE_CHECK(std::holds_alternative<std::string>(fact->value));
  return std::get<std::string>(fact->value);
}

std::uint64_t Arguments::number_or(std::string_view name, std::uint64_t otherwise) const {
  return find_fact(facts_, name) == nullptr ? otherwise : number(name);
}

std::optional<std::string> Scenario::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void Scenario::note_failure(std::string reason) {
  const std::lock_guard lock(mutex_);
  if (!failure_) failure_ = std::move(reason);
}

bool add_benchmark(Definition definition) {
  SLUICE_CHECK(definition.make != nullptr);
  for (const Parameter& parameter : definition.parameters) {
    SLUICE_CHECK(!parameter.real.empty());
    SLUICE_CHECK(parameter.smoke.empty() || parameter.smoke.size() <= parameter.real.size());
  }
  registry().push_back(std::move(definition));
  return true;
}

std::vector<Instance> instances_of(const std::vector<const Definition*>& definitions, bool smoke) {
  std::vector<Instance> result;
  for (const Definition* definition : definitions) add_instances(*definition, smoke, result);
  return result;
}

std::vector<Instance> all_instances(bool smoke) {
  std::vector<const Definition*> definitions;
  for (const Definition& definition : registry()) definitions.push_back(&definition);
  // Files register in link order, which says nothing; names do.
  std::ranges::sort(definitions, {}, [](const Definition* definition) { return definition->name; });
  return instances_of(definitions, smoke);
}

const Instance* find_floor(const Instance& of, const std::vector<Instance>& among) {
  const std::string& wanted = of.definition->floor;
  if (wanted.empty()) return nullptr;
  for (const Instance& candidate : among) {
    if (candidate.name == wanted) return &candidate;
  }
  for (const Instance& candidate : among) {
    if (candidate.definition->name == wanted && agrees(candidate, of)) return &candidate;
  }
  return nullptr;
}

}  // namespace sluice::bench
